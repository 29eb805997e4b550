# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of systemd: running, not restarting again and again, not frozen, enabled, within their limits.

Sources: one ``systemctl show`` for all declared units, one ``systemctl list-units --state=failed``, /proc/PID/stat of
the units' processes; the journal only of units that are down. Cost: about 25 ms, nearly all of it the two commands.

The state alone does not tell: a unit that crashes for ever is ``activating (auto-restart)`` and never ``failed``, and
one whose processes are stopped by a signal is ``active (running)``.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import (
    failed_units,
    number,
    seconds_since,
    show,
    unit_name,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed

TIMEOUT = 10.0
# systemd answers in milliseconds; a manager that takes this long hangs.
SYSTEMCTL_SECONDS = 4.0
JOURNAL_SECONDS = 2.0
JOURNAL_UNITS = 3
JOURNAL_LINES = 5

# How long a start may take before it is a finding; service type notify waits for the application.
START_WARNING = 90.0
START_CRITICAL = 300.0
HOUR = 3600.0
BURST_SECONDS = 600.0
BURST_RESTARTS = 3
# Without an earlier run to compare with: up for less than this after restarts is a crash loop caught in its good moment.
FRESH_SECONDS = 60.0

PROPERTIES = (
    "ActiveState SubState Type Result NRestarts InvocationID ActiveEnterTimestampMonotonic "
    "StateChangeTimestampMonotonic UnitFileState NeedDaemonReload MemoryCurrent MemoryHigh MemoryMax TasksCurrent "
    "TasksMax MainPID FreezerState ExecMainCode ExecMainStatus"
).split()

OPTIONS: dict[str, dict[str, Any]] = {
    "units": {"type": "list", "elements": "raw", "default": []},
    "failed_ignore": {"type": "list", "elements": "str", "default": []},
}

AREA = Area(
    "unit",
    rules={
        "unit.manager": Rule(
            title=Text("systemd answers", "systemd 应答"),
            fix=Text(
                "Run `systemctl is-system-running` on the host. Where systemd does not run, use the probe kinds process "
                "and port instead of unit.",
                "在主机上执行 `systemctl is-system-running`。未使用 systemd 的主机请改用 process 和 port 探测。",
            ),
        ),
        "unit.state": Rule(
            title=Text("Unit is in the declared state", "单元处于声明的状态"),
            fix=Text(
                "`systemctl status {item}` and `journalctl -u {item} -n 50`; repair the cause, then `systemctl restart {item}`. "
                "Not installed: correct its name in the inventory.",
                "执行 `systemctl status {item}` 和 `journalctl -u {item} -n 50`，排除原因后 `systemctl restart {item}`。"
                "若未安装，请核对清单（inventory）中的单元名。",
            ),
            source="state seen twice: SubState and NRestarts",
        ),
        "unit.restarts": Rule(
            title=Text("Automatic restarts", "自动重启次数"),
            fix=Text(
                "`journalctl -u {item} --since -1h`: look for the exit status or signal before each start.",
                "执行 `journalctl -u {item} --since -1h`，查看每次启动前的退出码或信号。",
            ),
            warn="0",
            crit="5",
            uom="c",
            source="more than 5 in 1 h or 3 in 10 min critical (samber/awesome-prometheus-alerts, NVSentinel)",
        ),
        "unit.frozen": Rule(
            title=Text("Processes of the unit run", "单元进程在运行"),
            fix=Text(
                "`kill -CONT PID` (evidence) or `systemctl thaw {item}`; find out who stopped it before you trust the host.",
                "执行 `kill -CONT PID`（PID 见证据）或 `systemctl thaw {item}`，并查明是谁暂停了进程。",
            ),
        ),
        "unit.enabled": Rule(
            title=Text("Unit starts at boot as declared", "开机自启与声明一致"),
            fix=Text(
                "`systemctl enable {item}` or `systemctl disable {item}`.",
                "执行 `systemctl enable {item}` 或 `systemctl disable {item}`。",
            ),
        ),
        "unit.reload_needed": Rule(
            title=Text("systemd knows the unit file on disk", "systemd 已加载磁盘上的单元文件"),
            fix=Text(
                "`systemctl daemon-reload`, then restart the unit in the maintenance window.",
                "执行 `systemctl daemon-reload`，并在维护窗口内重启该单元。",
            ),
        ),
        "unit.memory": Rule(
            title=Text("Memory of the unit against its limit", "单元内存占限额比例"),
            fix=Text(
                "Look for a leak (`systemctl status {item}`, Memory); restart in the window or raise MemoryHigh/MemoryMax.",
                "检查是否内存泄漏（`systemctl status {item}` 的 Memory）；在窗口内重启，或调大 MemoryHigh/MemoryMax。",
            ),
            warn="80",
            crit="95",
            uom="%",
            source="chosen; above MemoryHigh the kernel throttles, at MemoryMax it kills",
        ),
        "unit.tasks": Rule(
            title=Text("Threads of the unit against its limit", "单元任务数占限额比例"),
            fix=Text(
                "`systemctl status {item}` lists the processes; end the runaways or raise TasksMax.",
                "执行 `systemctl status {item}` 查看进程；清理失控进程或调大 TasksMax。",
            ),
            warn="80",
            crit="90",
            uom="%",
            source="samber/awesome-prometheus-alerts",
        ),
        "unit.failed": Rule(
            title=Text("Failed units on the host", "主机上失败的单元"),
            fix=Text(
                "`systemctl status` of the units listed; repair them, or `systemctl reset-failed UNIT`; "
                "what does not matter here goes into failed_ignore of the probe.",
                "对所列单元执行 `systemctl status` 并修复，或 `systemctl reset-failed UNIT`；无关紧要的写入探测的 failed_ignore。",
            ),
        ),
    },
    sentences={
        "unit.manager_ok": Text("systemd answered in {value:.0f} ms", "systemd {value:.0f} 毫秒内应答"),
        "unit.manager_away": Text("cannot ask systemd: {error}", "无法查询 systemd：{error}"),
        "unit.up": Text("{item} is {state} ({sub}) for {age}", "{item} 为 {state}（{sub}），已持续 {age}"),
        "unit.finished": Text("{item} ran and ended well", "{item} 已正常执行完毕"),
        "unit.waiting": Text("{item} has not run since boot", "{item} 开机后尚未运行"),
        "unit.down": Text("{item} is {state} ({sub}), result {result}", "{item} 为 {state}（{sub}），结果 {result}"),
        "unit.up_unwanted": Text(
            "{item} is {state}, declared is that it does not run here", "{item} 为 {state}，而声明要求它在此不运行"
        ),
        "unit.down_wanted": Text("{item} does not run, as declared", "{item} 未运行，与声明一致"),
        "unit.killed": Text(
            "{item} was killed: {result} ({state}, {sub})", "{item} 被杀死：{result}（{state}，{sub}）"
        ),
        "unit.crash_loop": Text(
            "{item} crashes and is restarted again and again: {restarts} restarts, result {result}, exit status {code}",
            "{item} 反复崩溃并被重启：已重启 {restarts} 次，结果 {result}，退出码 {code}",
        ),
        "unit.crash_loop_fresh": Text(
            "{item} runs since {age} only, after {restarts} automatic restarts",
            "{item} 自动重启 {restarts} 次后仅运行了 {age}",
        ),
        "unit.slow_start": Text("{item} is starting for {age} already", "{item} 启动已耗时 {age}"),
        "unit.missing": Text("{item} is not installed", "{item} 未安装"),
        "unit.broken_file": Text("{item}: its unit file cannot be used ({load})", "{item}：单元文件无法使用（{load}）"),
        "unit.is_masked": Text("{item} is masked: nothing can start it", "{item} 已被屏蔽（masked），无法启动"),
        "unit.restarts_some": Text(
            "{item}: {count} automatic restarts {window}", "{item}：{window_zh}自动重启 {count} 次"
        ),
        "unit.restarts_none": Text("{item}: no automatic restart", "{item}：无自动重启"),
        "unit.restarted_by_hand": Text(
            "{item} was restarted on purpose since the last run", "{item} 自上次检查后被人为重启"
        ),
        "unit.all_stopped": Text(
            "{item}: all {total} processes are stopped by a signal: it answers nobody",
            "{item}：全部 {total} 个进程被信号暂停，不再响应任何请求",
        ),
        "unit.some_stopped": Text(
            "{item}: {count} of {total} processes are stopped by a signal",
            "{item}：{total} 个进程中有 {count} 个被信号暂停",
        ),
        "unit.is_frozen": Text("{item} is frozen ({state})", "{item} 已被冻结（{state}）"),
        "unit.not_stopped": Text("{item}: none of {total} processes is stopped", "{item}：{total} 个进程均未被暂停"),
        "unit.enabled_as_declared": Text("{item} is {state} as declared", "{item} 为 {state}，与声明一致"),
        "unit.enabled_differs": Text("{item} is {state}, declared is {wanted}", "{item} 为 {state}，声明为 {wanted}"),
        "unit.reload_not_needed": Text("{item}: the unit file on disk is loaded", "{item}：磁盘上的单元文件已加载"),
        "unit.reload_is_needed": Text(
            "{item}: the unit file changed on disk and is not loaded", "{item}：磁盘上的单元文件已改动但未加载"
        ),
        "unit.memory_used": Text(
            "{item} uses {value:.0f} % of {limit} ({used_mib:.0f} of {limit_mib:.0f} MiB)",
            "{item} 已用 {limit} 的 {value:.0f}%（{used_mib:.0f}/{limit_mib:.0f} MiB）",
        ),
        "unit.tasks_used": Text(
            "{item} has {count} of {limit} tasks ({value:.0f} %)", "{item} 任务数 {count}/{limit}（{value:.0f}%）"
        ),
        "unit.not_counted": Text(
            "{item}: this host does not count it (no cgroup controller)", "{item}：本机未启用相应 cgroup 控制器，无统计"
        ),
        "unit.none_failed": Text("no failed unit", "没有失败的单元"),
        "unit.some_failed": Text("{count} failed units: {names}", "{count} 个单元失败：{names}"),
    },
)


@dataclass(frozen=True)
class Declared:
    """What an operator says about one unit."""

    name: str
    critical: bool = True
    active: bool = True
    enabled: bool | None = None

    @property
    def severity(self) -> Status:
        return Status.CRITICAL if self.critical else Status.WARNING

    @classmethod
    def read(cls, entry: Any) -> Declared:
        """Read a name, or a dict with name, tier (critical, normal), state (active, inactive) and enabled."""
        if isinstance(entry, str):
            return cls(unit_name(entry))
        if not isinstance(entry, Mapping) or not entry.get("name"):
            raise OpsError(f"units: expected a name or a dict with a name, seen {entry!r}")
        unknown = set(entry) - {"name", "tier", "state", "enabled"}
        tier, state, enabled = entry.get("tier", "critical"), entry.get("state", "active"), entry.get("enabled")
        if unknown or tier not in ("critical", "normal") or state not in ("active", "inactive"):
            raise OpsError(
                f"units: {entry['name']}: expected name, tier (critical or normal), state (active or inactive) and "
                f"enabled (true or false), seen {dict(entry)!r}"
            )
        if enabled is not None and not isinstance(enabled, bool):
            raise OpsError(f"units: {entry['name']}: enabled is {enabled!r}: expected true or false")
        return cls(unit_name(str(entry["name"])), tier == "critical", state == "active", enabled)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at all declared units and at every failed one."""
    say = AREA.reporter(spec.get("thresholds"), source="systemctl")
    declared = [Declared.read(entry) for entry in spec.get("units", [])]
    start = time.monotonic()
    try:
        properties = show([one.name for one in declared], PROPERTIES, deadline.sooner(SYSTEMCTL_SECONDS).remaining())
        failed = failed_units(deadline.sooner(SYSTEMCTL_SECONDS).remaining())
    except OpsError as exc:
        away = say.find("unit.manager", Status.UNKNOWN, "unit.manager_away", error=str(exc))
        return ProbeResult([away], dict(previous))
    took = (time.monotonic() - start) * 1000
    checks = [say.find("unit.manager", Status.OK, "unit.manager_ok", value=took)]
    found, state = judge(say, declared, properties, previous, proc.table(), time.time())
    checks += found
    checks.append(judge_failed(say, failed, declared, spec.get("failed_ignore", [])))
    _add_journal(checks, deadline)
    return ProbeResult(checks, state)


def judge(
    say: Reporter,
    declared: list[Declared],
    properties: Mapping[str, Mapping[str, str]],
    previous: Mapping[str, Any],
    processes: dict[int, proc.Process],
    now: float,
) -> tuple[list[Check], dict[str, Any]]:
    """Judge what systemd said about the declared units; return the checks and the state for the next run."""
    checks: list[Check] = []
    state: dict[str, Any] = {}
    for unit in declared:
        shown = properties[unit.name]
        restarts, state[unit.name] = count_restarts(shown, previous.get(unit.name, {}), now)
        checks.append(_state(say, unit, shown, restarts))
        if shown.get("LoadState") == "loaded":
            checks += _loaded(say, unit, shown, restarts, processes)
    return checks, state


@dataclass(frozen=True)
class Restarts:
    """Automatic restarts of one unit."""

    total: int
    since_last: int
    in_window: int
    burst: int
    window: float
    by_hand: bool
    compared: bool


def count_restarts(shown: Mapping[str, str], before: Mapping[str, Any], now: float) -> tuple[Restarts, dict[str, Any]]:
    """Compare the restart counter of systemd with the last run; return the figures and what the next run needs.

    A counter that fell was reset by a restart on purpose, so what it shows now is new. The window is one hour, or the
    time since the last run when that is longer.
    """
    total = number(shown, "NRestarts") or 0
    invocation = shown.get("InvocationID", "")
    compared = "restarts" in before
    last = before.get("restarts", total)
    reset = total < last
    fresh = total if reset else total - last
    by_hand = compared and fresh == 0 and (reset or (bool(invocation) and invocation != before.get("invocation")))
    window = max(HOUR, now - before.get("at", now))
    recent = [[at, count] for at, count in before.get("recent", []) if at > now - HOUR]
    if fresh:
        recent.append([now, fresh])
    # What happened since the last run counts as recent only if the last run was.
    near = now - before.get("at", 0) <= BURST_SECONDS
    burst = sum(count for at, count in recent if at > now - BURST_SECONDS and (at != now or near))
    figures = Restarts(total, fresh, sum(count for _at, count in recent), burst, window, by_hand, compared)
    return figures, {"restarts": total, "invocation": invocation, "at": now, "recent": recent}


def _state(say: Reporter, unit: Declared, shown: Mapping[str, str], restarts: Restarts) -> Check:
    """Judge the state of one unit against what is declared."""
    load, active, sub = shown.get("LoadState", ""), shown.get("ActiveState", ""), shown.get("SubState", "")
    result = shown.get("Result", "")
    age = seconds_since(shown, "StateChangeTimestampMonotonic")
    words: dict[str, Any] = {
        "state": active,
        "sub": sub,
        "result": result,
        "load": load,
        "age": duration(age),
        "restarts": restarts.total,
        "code": shown.get("ExecMainStatus", ""),
        "item": unit.name,
    }

    def found(status: Status, sentence: str, reason: str = "") -> Check:
        return say.find("unit.state", status, sentence, reason=reason, **words)

    running = active in ("active", "activating", "reloading", "refreshing", "deactivating")
    if not unit.active:
        return found(unit.severity, "unit.up_unwanted") if running else found(Status.OK, "unit.down_wanted")
    if load == "not-found":
        return found(unit.severity, "unit.missing", "missing")
    if load == "masked" and not running:
        return found(unit.severity, "unit.is_masked")
    if load not in ("loaded", "masked"):
        return found(unit.severity, "unit.broken_file")
    if sub.startswith("auto-restart"):
        return found(unit.severity, "unit.crash_loop")
    if active == "activating":
        if restarts.since_last:
            return found(unit.severity, "unit.crash_loop")
        if age is not None and age > START_CRITICAL:
            return found(unit.severity, "unit.slow_start", "timeout")
        slow = age is not None and age > START_WARNING
        return found(Status.WARNING if slow else Status.OK, "unit.slow_start", "timeout" if slow else "")
    if active in ("active", "reloading", "refreshing"):
        fresh = age is not None and age < FRESH_SECONDS
        if not restarts.compared and fresh and restarts.total >= BURST_RESTARTS:
            return found(unit.severity, "unit.crash_loop_fresh")
        return found(Status.OK, "unit.up")
    if active == "inactive" and shown.get("Type") == "oneshot" and result == "success":
        return found(Status.OK, "unit.finished" if age and shown.get("ExecMainCode") == "1" else "unit.waiting")
    if result in ("oom-kill", "watchdog"):
        return found(unit.severity, "unit.killed")
    return found(unit.severity, "unit.down")


def _loaded(
    say: Reporter,
    unit: Declared,
    shown: Mapping[str, str],
    restarts: Restarts,
    processes: dict[int, proc.Process],
) -> list[Check]:
    """Judge what only a unit that is installed has."""
    checks = [_restarts(say, unit, restarts)]
    family = proc.family(processes, number(shown, "MainPID") or 0)
    if family or shown.get("FreezerState") in ("frozen", "freezing"):
        checks.append(_frozen(say, unit, shown, family))
    file_state = shown.get("UnitFileState", "")
    if unit.enabled is not None:
        wanted = "enabled" if unit.enabled else "disabled"
        right = (
            file_state in ("enabled", "enabled-runtime", "alias")
            if unit.enabled
            else not file_state.startswith("enabled")
        )
        status, sentence = (Status.OK, "as_declared") if right else (Status.WARNING, "differs")
        checks.append(
            say.find(
                "unit.enabled", status, f"unit.enabled_{sentence}", item=unit.name, state=file_state, wanted=wanted
            )
        )
    stale = shown.get("NeedDaemonReload") == "yes"
    status, sentence = (Status.WARNING, "unit.reload_is_needed") if stale else (Status.OK, "unit.reload_not_needed")
    checks.append(say.find("unit.reload_needed", status, sentence, item=unit.name))
    if shown.get("ActiveState") == "active":
        checks += _limits(say, unit, shown)
    return checks


def _restarts(say: Reporter, unit: Declared, restarts: Restarts) -> Check:
    if not restarts.compared or not restarts.in_window:
        sentence = "unit.restarted_by_hand" if restarts.by_hand else "unit.restarts_none"
        return say.find("unit.restarts", Status.OK, sentence, item=unit.name, value=0)
    status = say.grade("unit.restarts", restarts.in_window)
    if restarts.burst >= BURST_RESTARTS:
        status = Status.CRITICAL
    return say.find(
        "unit.restarts",
        status,
        "unit.restarts_some",
        item=unit.name,
        value=restarts.in_window,
        reason="ok" if status is Status.OK else "threshold",
        count=restarts.in_window,
        window="in the last " + duration(restarts.window),
        window_zh="最近 " + duration(restarts.window) + " 内",
    )


def _frozen(say: Reporter, unit: Declared, shown: Mapping[str, str], family: list[proc.Process]) -> Check:
    """Judge whether the unit's processes can run at all; systemd calls a stopped service active (running)."""
    freezer = shown.get("FreezerState", "")
    if freezer in ("frozen", "freezing"):
        return say.find("unit.frozen", unit.severity, "unit.is_frozen", item=unit.name, state=freezer)
    stopped = [one for one in family if one.state in proc.STOPPED]
    if stopped:
        # A login below sshd is a session of its own, where somebody may have pressed Ctrl-Z.
        own = proc.cgroup(family[0].pid)
        family = [one for one in family if proc.cgroup(one.pid) == own]
        stopped = [one for one in family if one.state in proc.STOPPED]
    living = [one for one in family if one.state not in "ZX"]
    words: dict[str, Any] = {
        "item": unit.name,
        "total": len(living),
        "count": len(stopped),
        "evidence": [f"pid {one.pid} {one.comm}: state {one.state}" for one in stopped],
    }
    if not stopped:
        return say.find("unit.frozen", Status.OK, "unit.not_stopped", **words)
    if len(stopped) == len(living):
        return say.find("unit.frozen", unit.severity, "unit.all_stopped", **words)
    return say.find("unit.frozen", Status.WARNING, "unit.some_stopped", **words)


def _limits(say: Reporter, unit: Declared, shown: Mapping[str, str]) -> list[Check]:
    """Judge memory and tasks against their limits; no check where no limit is set."""
    checks = []
    bounds = {name: number(shown, name) for name in ("MemoryHigh", "MemoryMax")}
    limits = {name: value for name, value in bounds.items() if value}
    if limits:
        name = min(limits, key=lambda one: limits[one])
        used = number(shown, "MemoryCurrent")
        if used is None:
            checks.append(say.find("unit.memory", Status.SKIPPED, "unit.not_counted", item=unit.name))
        else:
            checks.append(
                say.measure(
                    "unit.memory",
                    used * 100 / limits[name],
                    "unit.memory_used",
                    item=unit.name,
                    limit=name,
                    used_mib=used / 2**20,
                    limit_mib=limits[name] / 2**20,
                )
            )
    tasks, limit = number(shown, "TasksCurrent"), number(shown, "TasksMax")
    if limit and tasks is not None:
        checks.append(
            say.measure("unit.tasks", tasks * 100 / limit, "unit.tasks_used", item=unit.name, count=tasks, limit=limit)
        )
    return checks


def judge_failed(say: Reporter, failed: list[str], declared: list[Declared], ignore: list[str]) -> Check:
    """Name the failed units of the host, except declared ones, which have their own check, and ignored patterns."""
    own = {unit.name for unit in declared}
    others = [name for name in failed if name not in own and not any(fnmatch.fnmatch(name, one) for one in ignore)]
    if not others:
        return say.find("unit.failed", Status.OK, "unit.none_failed", value=0)
    return say.find(
        "unit.failed",
        Status.WARNING,
        "unit.some_failed",
        value=len(others),
        count=len(others),
        names=listed(others),
        evidence=others,
    )


def _add_journal(checks: list[Check], deadline: Deadline) -> None:
    """Put the last words of units that are down into the evidence: what an operator would look up next."""
    down = [check for check in checks if check.id == "unit.state" and check.status in (Status.CRITICAL, Status.WARNING)]
    for check in down[:JOURNAL_UNITS]:
        if check.reason == "missing":
            continue
        try:
            output = run(
                [
                    "journalctl",
                    "--no-pager",
                    "--quiet",
                    "--output=cat",
                    f"--lines={JOURNAL_LINES}",
                    f"--unit={check.item}",
                ],
                deadline.sooner(JOURNAL_SECONDS).remaining(),
            )
        except OpsError:
            return  # the finding stands without its last words
        check.evidence = [redact(line)[:200] for line in output.stdout.splitlines()[-JOURNAL_LINES:]]
