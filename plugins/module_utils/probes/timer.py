# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timers of systemd: armed, on time, and their jobs end well.

Sources: one ``systemctl show`` for the timers and one for the jobs they start. Cost: about 20 ms.

A timer that will never fire again is still ``active``, with ``NextElapse`` at infinity; but so is one whose job is
running at this moment, and one that waits for its job's end to count from. One that has never fired after boot is not
late: it may be weekly.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import moment, number, show, span, unit_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

TIMEOUT = 10.0
SYSTEMCTL_SECONDS = 4.0
# As many past triggers as a working week has, so that the longest gap of OnCalendar=Mon..Fri is among them.
KEPT_TRIGGERS = 8
# AccuracySec is one minute by default: below this nothing is late, and no period is shorter.
SLACK = 120.0

TIMER_PROPERTIES = [
    "ActiveState",
    "Triggers",
    "LastTriggerUSec",
    "NextElapseUSecRealtime",
    "NextElapseUSecMonotonic",
    "TimersCalendar",
    "TimersMonotonic",
]
JOB_PROPERTIES = ["ActiveState", "Result", "ExecMainStatus"]

OPTIONS: dict[str, dict[str, Any]] = {"units": {"type": "list", "elements": "raw", "required": True}}

AREA = Area(
    "unit",
    rules={
        "timer.state": Rule(
            title=Text("Timer is armed", "定时器已启用"),
            fix=Text(
                "`systemctl enable --now {item}`; not installed: correct the name in the probe or install the package.",
                "执行 `systemctl enable --now {item}`；若未安装，请核对探测中的名称或安装软件包。",
            ),
        ),
        "timer.late": Rule(
            title=Text("Timer fires on time", "定时器按时触发"),
            fix=Text(
                "`systemctl list-timers {item}` and `systemctl status {item}`; then `systemctl restart {item}`, and run its "
                "job once by hand if a run was lost.",
                "执行 `systemctl list-timers {item}` 和 `systemctl status {item}`；然后 `systemctl restart {item}`，如有遗漏请手动补跑。",
            ),
            warn="1.5",
            crit="3",
            source="times its period, from its last triggers (Josef-Friedrich/check_systemd)",
        ),
        "timer.job": Rule(
            title=Text("Job of the timer ends well", "定时任务执行成功"),
            fix=Text(
                "`journalctl -u {job} -n 50`, repair the cause, then `systemctl start {job}`.",
                "执行 `journalctl -u {job} -n 50`，排除原因后 `systemctl start {job}`。",
            ),
        ),
    },
    sentences={
        "timer.unknown": Text("cannot ask systemd: {error}", "无法查询 systemd：{error}"),
        "timer.armed": Text("{item} is armed", "{item} 已启用"),
        "timer.missing": Text("{item} is not installed", "{item} 未安装"),
        "timer.masked": Text("{item} is masked: it never fires", "{item} 已被屏蔽（masked），不会触发"),
        "timer.inactive": Text("{item} is {state}: it never fires", "{item} 为 {state}，不会触发"),
        "timer.on_time": Text("{item} fired {age} ago, next in {left}", "{item} 于 {age} 前触发，下次在 {left} 后"),
        "timer.first": Text("{item} has not fired yet, first in {left}", "{item} 尚未触发，首次在 {left} 后"),
        "timer.fired_once": Text(
            "{item} fired {age} ago, once after boot as planned", "{item} 已于 {age} 前触发，按设计每次开机仅一次"
        ),
        "timer.job_runs": Text("{item}: its job is running now", "{item}：任务正在运行"),
        "timer.is_late": Text(
            "{item} fired {age} ago, its period is {period}: late", "{item} 于 {age} 前触发，周期为 {period}，已逾期"
        ),
        "timer.overdue": Text("{item} should have fired {late} ago and did not", "{item} 应在 {late} 前触发却没有触发"),
        "timer.never_again": Text("{item} is active but will never fire again", "{item} 虽为 active，但不会再触发"),
        "timer.job_good": Text("{item}: last run of {job} ended well", "{item}：{job} 上次执行成功"),
        "timer.job_bad": Text(
            "{item}: last run of {job} failed: {result}, exit status {code}",
            "{item}：{job} 上次执行失败：{result}，退出码 {code}",
        ),
    },
)


@dataclass(frozen=True)
class Declared:
    """What an operator says about one timer; ``period`` in seconds only where it cannot be learned from its triggers."""

    name: str
    critical: bool = True
    period: float = 0.0

    @property
    def severity(self) -> Status:
        return Status.CRITICAL if self.critical else Status.WARNING

    @classmethod
    def read(cls, entry: Any) -> Declared:
        """Read a name, or a dict with name, tier (critical, normal) and period."""
        if isinstance(entry, str):
            return cls(unit_name(entry, ".timer"))
        if not isinstance(entry, Mapping) or not entry.get("name") or set(entry) - {"name", "tier", "period"}:
            raise OpsError(f"units: expected a name or a dict with name, tier, period; seen {entry!r}")
        tier = entry.get("tier", "critical")
        try:
            period = float(entry.get("period") or 0)
        except (TypeError, ValueError):
            period = -1.0
        if tier not in ("critical", "normal") or period < 0:
            raise OpsError(
                f"units: {entry['name']}: tier is critical or normal and period a number of seconds; seen {dict(entry)!r}"
            )
        return cls(unit_name(str(entry["name"]), ".timer"), tier == "critical", period)


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse an entry that cannot be read, before anything runs."""
    for entry in spec["units"]:
        Declared.read(entry)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at the declared timers and at the jobs they start."""
    say = AREA.reporter(spec.get("thresholds"), source="systemctl")
    declared = [Declared.read(entry) for entry in spec["units"]]
    try:
        timers = show([one.name for one in declared], TIMER_PROPERTIES, deadline.sooner(SYSTEMCTL_SECONDS).remaining())
        names = sorted({job for timer in timers.values() for job in timer.get("Triggers", "").split()})
        jobs = show(names, JOB_PROPERTIES, deadline.sooner(SYSTEMCTL_SECONDS).remaining())
    except OpsError as exc:
        blind = [
            say.find("timer.state", Status.UNKNOWN, "timer.unknown", item=one.name, error=str(exc)) for one in declared
        ]
        return ProbeResult(blind, dict(previous))
    checks: list[Check] = []
    state: dict[str, Any] = {}
    clocks = Clocks(time.time(), time.clock_gettime(time.CLOCK_MONOTONIC))
    for one in declared:
        found, state[one.name] = judge(say, one, timers[one.name], jobs, previous.get(one.name, []), clocks)
        checks += found
    return ProbeResult(checks, state)


@dataclass(frozen=True)
class Clocks:
    """Now, on both clocks systemd counts with."""

    wall: float
    monotonic: float


def judge(
    say: Reporter,
    declared: Declared,
    timer: Mapping[str, str],
    jobs: Mapping[str, Mapping[str, str]],
    triggers: list[float],
    clocks: Clocks,
) -> tuple[list[Check], list[float]]:
    """Judge one timer; return its checks and its last triggers, oldest first."""
    active = timer.get("ActiveState", "")
    words: dict[str, Any] = {"item": declared.name, "state": active}
    load = timer.get("LoadState")
    if load == "not-found":
        return [say.find("timer.state", declared.severity, "timer.missing", reason="missing", **words)], triggers
    if active != "active":
        sentence = "timer.masked" if load == "masked" else "timer.inactive"
        return [say.find("timer.state", declared.severity, sentence, **words)], triggers
    last = moment(timer.get("LastTriggerUSec", ""))
    if last is not None and (not triggers or last > triggers[-1]):
        triggers = [*triggers, last][-KEPT_TRIGGERS:]
    own = {job: jobs[job] for job in timer.get("Triggers", "").split() if job in jobs}
    checks = [say.find("timer.state", Status.OK, "timer.armed", **words)]
    checks.append(_late(say, declared, timer, own, triggers, last, clocks))
    # A oneshot that never ran says Result=success too: of a timer that has not fired there is nothing to tell.
    if last is not None:
        checks += [_job(say, declared, name, job) for name, job in own.items()]
    return checks, triggers


def _late(
    say: Reporter,
    declared: Declared,
    timer: Mapping[str, str],
    jobs: Mapping[str, Mapping[str, str]],
    triggers: list[float],
    last: float | None,
    clocks: Clocks,
) -> Check:
    item = declared.name
    if any(job.get("ActiveState") in ("active", "activating", "deactivating", "reloading") for job in jobs.values()):
        return say.find("timer.late", Status.OK, "timer.job_runs", item=item)
    left = _left(timer, clocks)
    if left is None and last is not None and _once(timer):
        return say.find("timer.late", Status.OK, "timer.fired_once", item=item, age=duration(clocks.wall - last))
    if left is None:
        return say.find("timer.late", declared.severity, "timer.never_again", item=item)
    if left < -SLACK:
        return say.find("timer.late", declared.severity, "timer.overdue", item=item, late=duration(abs(left)))
    words: dict[str, Any] = {"item": item, "left": duration(max(0.0, left))}
    if last is None:
        return say.find("timer.late", Status.OK, "timer.first", **words)
    age = clocks.wall - last
    period = declared.period or _period(triggers, age + left)
    words.update(age=duration(age), period=duration(period))
    periods = age / max(period, SLACK)
    status = say.grade("timer.late", periods)
    if status is Status.CRITICAL:
        status = declared.severity
    sentence = "timer.on_time" if status is Status.OK else "timer.is_late"
    reason = "ok" if status is Status.OK else "threshold"
    return say.find("timer.late", status, sentence, reason=reason, value=periods, **words)


def _left(timer: Mapping[str, str], clocks: Clocks) -> float | None:
    """Return the seconds until the timer fires, negative when that is past, None for never."""
    lefts = []
    realtime = moment(timer.get("NextElapseUSecRealtime", ""))
    if realtime is not None:
        lefts.append(realtime - clocks.wall)
    monotonic = span(timer.get("NextElapseUSecMonotonic", ""))
    if monotonic:
        lefts.append(monotonic - clocks.monotonic)
    return min(lefts) if lefts else None


def _once(timer: Mapping[str, str]) -> bool:
    """Tell whether a timer fires once after boot and never again by design."""
    bases = [line.lstrip("{ ").partition("=")[0] for line in timer.get("TimersMonotonic", "").splitlines() if line]
    return not timer.get("TimersCalendar") and bool(bases) and "OnUnit" not in "".join(bases)


def _period(triggers: list[float], planned: float) -> float:
    """Return the longest gap between the triggers seen, or what systemd plans when fewer than three were seen.

    The longest, since OnCalendar=Mon..Fri is not late on Sunday; and the plan is the truth for one that was seen less.
    """
    gaps = [later - earlier for earlier, later in zip(triggers, triggers[1:])]
    if len(gaps) < KEPT_TRIGGERS - 1:
        gaps.append(planned)
    return max(gaps)


def _job(say: Reporter, declared: Declared, name: str, job: Mapping[str, str]) -> Check:
    result = job.get("Result", "")
    words = {"item": declared.name, "job": name, "result": result, "code": str(number(job, "ExecMainStatus") or 0)}
    if result == "success":
        return say.find("timer.job", Status.OK, "timer.job_good", **words)
    return say.find("timer.job", declared.severity, "timer.job_bad", **words)
