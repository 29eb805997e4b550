# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes by pid file, name, command line or user: how many, whether they run, what they hold.

For hosts without systemd, and for what one unit's state does not tell. Source: /proc only; psutil would cost its
import (over 20 ms) before it looked at anything. Cost: about 25 microseconds per process of the host, then 0.2 ms for
each matching one; one second more only when a matching process is in uninterruptible sleep.
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, size

TIMEOUT = 10.0
STUCK_SECONDS = 1.0
# What a package upgrade replaces; memory files, temporary files and shared memory are deleted on purpose.
_CODE = re.compile(r"^[\da-f]+-[\da-f]+ r.x. \S+ \S+ [1-9]\d* +(/(?:usr|lib|lib64|bin|sbin|opt)/.*) \(deleted\)$")
_KEYS = frozenset(("name", "pidfile", "comm", "cmdline", "user", "min", "max"))

OPTIONS: dict[str, dict[str, Any]] = {"processes": {"type": "list", "elements": "dict", "required": True}}

AREA = Area(
    "process",
    rules={
        "process.count": Rule(
            title=Text("Number of processes", "进程数量"),
            fix=Text(
                "Start the service that is missing, or end the surplus ones (evidence lists them); "
                "correct min and max in the probe if the number is right.",
                "启动缺失的服务，或结束多余进程（见证据）；若数量正常，请修改探测的 min 和 max。",
            ),
        ),
        "process.state": Rule(
            title=Text("Processes can run", "进程可以运行"),
            fix=Text(
                "Stopped (T): `kill -CONT PID` and find out who stopped it. Uninterruptible (D): a disk or mount does "
                "not answer; `cat /proc/PID/stack`, `dmesg -T | tail`.",
                "T 状态：`kill -CONT PID` 并查明原因。D 状态：磁盘或挂载点无响应，查看 `cat /proc/PID/stack`、`dmesg -T | tail`。",
            ),
        ),
        "process.memory": Rule(
            title=Text("Memory of the processes", "进程内存"),
            fix=Text(
                "Compare with earlier runs; if it only grows, restart in the maintenance window and report the leak.",
                "与历史对比；若持续增长，在维护窗口重启并上报内存泄漏。",
            ),
            uom="B",
        ),
        "process.fds": Rule(
            title=Text("Open files against the limit", "打开文件数占上限比例"),
            fix=Text(
                "`ls -l /proc/PID/fd` shows what is open; raise LimitNOFILE of the unit or find the leak.",
                "`ls -l /proc/PID/fd` 查看打开的文件；调大单元的 LimitNOFILE 或排查泄漏。",
            ),
            warn="80",
            crit="95",
            uom="%",
            source="samber/awesome-prometheus-alerts",
        ),
        "process.outdated": Rule(
            title=Text("Processes run what is on disk", "进程使用的是磁盘上的版本"),
            fix=Text(
                "The files were replaced by an upgrade: restart the service in the maintenance window.",
                "文件已被升级替换：请在维护窗口内重启该服务。",
            ),
            source="needrestart",
        ),
    },
    sentences={
        "process.counted": Text(
            "{item}: {count} processes, {threads} threads, oldest {age}, expected {bounds}",
            "{item}：{count} 个进程，{threads} 个线程，最早启动于 {age} 前，期望 {bounds}",
        ),
        "process.none": Text("{item}: no process, expected {bounds}", "{item}：没有进程，期望 {bounds}"),
        "process.pidfile_missing": Text(
            "{item}: no pid file {path}, so it does not run", "{item}：没有 pid 文件 {path}，进程未运行"
        ),
        "process.pidfile_stale": Text(
            "{item}: {path} names process {pid}, which is gone", "{item}：{path} 中的进程 {pid} 已不存在"
        ),
        "process.pidfile_foreign": Text(
            "{item}: {path} names process {pid}, which is another program ({comm})",
            "{item}：{path} 中的进程 {pid} 是另一个程序（{comm}）",
        ),
        "process.pidfile_unreadable": Text("{item}: cannot read {path}: {error}", "{item}：无法读取 {path}：{error}"),
        "process.running": Text("{item}: none is stopped or stuck", "{item}：没有进程被暂停或卡死"),
        "process.all_stopped": Text(
            "{item}: all {total} processes are stopped by a signal: it answers nobody",
            "{item}：全部 {total} 个进程被信号暂停，不再响应",
        ),
        "process.some_stopped": Text(
            "{item}: {count} of {total} processes are stopped by a signal",
            "{item}：{total} 个进程中有 {count} 个被信号暂停",
        ),
        "process.some_stuck": Text(
            "{item}: {count} of {total} processes hang in the kernel (state D)",
            "{item}：{total} 个进程中有 {count} 个卡在内核中（D 状态）",
        ),
        "process.rss": Text(
            "{item}: {size} resident in {count} processes", "{item}：{count} 个进程共占用 {size} 物理内存"
        ),
        "process.fds_used": Text(
            "{item}: {open} of {limit} files open in process {pid} ({value:.0f} %)",
            "{item}：进程 {pid} 已打开 {open}/{limit} 个文件（{value:.0f}%）",
        ),
        "process.fds_denied": Text(
            "{item}: may not look at the open files of process {pid}: run as root or as its user",
            "{item}：无权查看进程 {pid} 打开的文件：请以 root 或该用户运行",
        ),
        "process.up_to_date": Text("{item}: program and libraries are those on disk", "{item}：程序和库与磁盘一致"),
        "process.is_outdated": Text(
            "{item}: {count} processes run a program or library that was replaced on disk",
            "{item}：{count} 个进程仍在使用已被替换的程序或库",
        ),
    },
)


@dataclass(frozen=True)
class Wanted:
    """What an operator says about one group of processes."""

    name: str
    pidfile: str
    comm: str
    cmdline: re.Pattern[str] | None
    user: str
    least: int
    most: int | None

    @property
    def bounds(self) -> str:
        return f"{self.least}:" if self.most is None else f"{self.least}:{self.most}"

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Wanted:
        """Read a dict with pidfile, comm, cmdline (regular expression) or user, and name, min and max."""
        unknown = set(entry) - _KEYS
        selectors = [str(entry[key]) for key in ("pidfile", "comm", "cmdline", "user") if entry.get(key)]
        if unknown or not selectors:
            raise OpsError(
                f"processes: expected at least one of pidfile, comm, cmdline, user, and optionally name, min, max; "
                f"seen {dict(entry)!r}"
            )
        try:
            pattern = re.compile(str(entry["cmdline"])) if entry.get("cmdline") else None
        except re.error as exc:
            raise OpsError(f"processes: cmdline {entry['cmdline']!r} is not a regular expression: {exc}") from exc
        try:
            least = int(entry.get("min", 1))
            most = None if entry.get("max") is None else int(entry["max"])
        except (TypeError, ValueError) as exc:
            raise OpsError(f"processes: {selectors[0]}: min and max are numbers, seen {dict(entry)!r}") from exc
        return cls(
            name=str(entry.get("name") or selectors[0]),
            pidfile=str(entry.get("pidfile") or ""),
            comm=str(entry.get("comm") or ""),
            cmdline=pattern,
            user=str(entry.get("user") or ""),
            least=least,
            most=most,
        )


class Gone(Exception):
    """The process a pid file names cannot be found; holds the finding."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.summary)
        self.check = check


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse an entry that cannot be read, before anything runs."""
    for entry in spec["processes"]:
        Wanted.read(entry)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at each group of processes; one pass over /proc serves all."""
    say = AREA.reporter(spec.get("thresholds"), source="/proc")
    processes = proc.table()
    checks: list[Check] = []
    for entry in spec["processes"]:
        wanted = Wanted.read(entry)
        try:
            members = select(say, wanted, processes)
        except Gone as gone:
            checks.append(gone.check)
            continue
        checks += judge(say, wanted, members, deadline)
    return ProbeResult(checks)


def select(say: Reporter, wanted: Wanted, processes: Mapping[int, proc.Process]) -> list[proc.Process]:
    """Return the processes meant; raise Gone when a pid file does not lead to one."""
    members = list(processes.values())
    if wanted.pidfile:
        members = proc.family(dict(processes), _from_pidfile(say, wanted, processes))
    uid = _uid(wanted.user) if wanted.user else None
    return [one for one in members if _matches(wanted, one, uid)]


def _matches(wanted: Wanted, one: proc.Process, uid: int | None) -> bool:
    # A pid file has said which process; name and command line then guard against a reused number.
    if not wanted.pidfile:
        # The kernel keeps 15 characters of a name.
        if wanted.comm and one.comm != wanted.comm[:15]:
            return False
        if wanted.cmdline and not wanted.cmdline.search(proc.cmdline(one.pid)):
            return False
    return uid is None or proc.owner(one.pid) == uid


def _from_pidfile(say: Reporter, wanted: Wanted, processes: Mapping[int, proc.Process]) -> int:
    words = {"item": wanted.name, "path": wanted.pidfile}
    try:
        text = proc.read(wanted.pidfile).split()
    except FileNotFoundError:
        raise Gone(
            say.find("process.count", Status.CRITICAL, "process.pidfile_missing", reason="missing", value=0, **words)
        ) from None
    except OSError as exc:
        error = exc.strerror or str(exc)
        raise Gone(
            say.find(
                "process.count", Status.UNKNOWN, "process.pidfile_unreadable", reason="denied", error=error, **words
            )
        ) from None
    pid = int(text[0]) if text and text[0].isdigit() else 0
    one = processes.get(pid)
    if one is None or one.state in "ZX":
        raise Gone(
            say.find(
                "process.count", Status.CRITICAL, "process.pidfile_stale", reason="missing", value=0, pid=pid, **words
            )
        )
    foreign_name = wanted.comm and one.comm != wanted.comm[:15]
    foreign_line = wanted.cmdline and not wanted.cmdline.search(proc.cmdline(pid))
    if foreign_name or foreign_line:
        raise Gone(
            say.find(
                "process.count",
                Status.CRITICAL,
                "process.pidfile_foreign",
                reason="missing",
                value=0,
                pid=pid,
                comm=one.comm,
                **words,
            )
        )
    return pid


def _uid(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise OpsError(f"processes: user {user!r} does not exist on this host: correct the name") from None


def judge(say: Reporter, wanted: Wanted, members: list[proc.Process], deadline: Deadline) -> list[Check]:
    """Judge the processes that were found."""
    # A zombie has ended; only its parent has not asked how. The host probe counts zombies.
    living = [one for one in members if one.state not in "ZX"]
    checks = [_count(say, wanted, living)]
    if living:
        checks.append(_state(say, wanted, living, deadline))
        resident = sum(one.rss for one in living)
        checks.append(
            say.measure(
                "process.memory",
                resident,
                "process.rss",
                item=wanted.name,
                size=size(resident),
                count=len(living),
                min=0,
            )
        )
        checks += _held(say, wanted, living)
    return checks


def _count(say: Reporter, wanted: Wanted, living: list[proc.Process]) -> Check:
    words: dict[str, Any] = {"item": wanted.name, "value": len(living), "bounds": wanted.bounds}
    if not living:
        none_wanted = wanted.least == 0
        status = Status.OK if none_wanted else Status.CRITICAL
        return say.find("process.count", status, "process.none", reason="ok" if none_wanted else "missing", **words)
    many = wanted.most is not None and len(living) > wanted.most
    status = Status.WARNING if many or len(living) < wanted.least else Status.OK
    return say.find(
        "process.count",
        status,
        "process.counted",
        reason="ok" if status is Status.OK else "threshold",
        count=len(living),
        threads=sum(one.threads for one in living),
        age=duration(max(proc.age(one) for one in living)),
        evidence=[] if status is Status.OK else [f"pid {one.pid} {one.comm}" for one in living],
        **words,
    )


def _state(say: Reporter, wanted: Wanted, living: list[proc.Process], deadline: Deadline) -> Check:
    words: dict[str, Any] = {"item": wanted.name, "total": len(living)}
    stopped = [one for one in living if one.state in proc.STOPPED]
    hang = [] if stopped else proc.stuck(living, deadline.sooner(STUCK_SECONDS).remaining())
    words["count"] = len(stopped or hang)
    words["evidence"] = [f"pid {one.pid} {one.comm}: state {one.state}" for one in stopped or hang]
    if len(stopped) == len(living):
        return say.find("process.state", Status.CRITICAL, "process.all_stopped", **words)
    if stopped:
        return say.find("process.state", Status.WARNING, "process.some_stopped", **words)
    if hang:
        status = Status.CRITICAL if len(hang) == len(living) else Status.WARNING
        return say.find("process.state", status, "process.some_stuck", **words)
    return say.find("process.state", Status.OK, "process.running", **words)


def _held(say: Reporter, wanted: Wanted, living: list[proc.Process]) -> list[Check]:
    """Judge open files and replaced programs; both need root or the same user."""
    worst: tuple[float, int, int, int] | None = None
    outdated: list[str] = []
    for one in living:
        try:
            count, limit = sum(1 for _file in proc.open_files(one.pid)), proc.file_limit(one.pid)
            replaced = next(replaced_code(one.pid), "")
        except PermissionError:
            denied = say.find(
                "process.fds", Status.UNKNOWN, "process.fds_denied", item=wanted.name, reason="denied", pid=one.pid
            )
            return [denied]
        if limit and (worst is None or count / limit > worst[0]):
            worst = (count / limit, count, limit, one.pid)
        if replaced:
            outdated.append(f"pid {one.pid} {one.comm}: {replaced}")
    checks = []
    if worst:
        share, count, limit, pid = worst
        checks.append(
            say.measure(
                "process.fds", share * 100, "process.fds_used", item=wanted.name, open=count, limit=limit, pid=pid
            )
        )
    status, sentence = (Status.WARNING, "process.is_outdated") if outdated else (Status.OK, "process.up_to_date")
    checks.append(
        say.find("process.outdated", status, sentence, item=wanted.name, count=len(outdated), evidence=outdated)
    )
    return checks


def replaced_code(pid: int) -> Iterator[str]:
    """Yield the program and libraries a process runs that are no longer on disk."""
    try:
        for line in proc.read(f"{proc.PROC}/{pid}/maps").splitlines():
            match = _CODE.match(line)
            if match:
                yield match[1]
    except (FileNotFoundError, ProcessLookupError):
        return
