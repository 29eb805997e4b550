# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the processes that were found: how many, whether they run, what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.processes.wanted import Wanted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, size

STUCK_SECONDS = 1.0
# What a package upgrade replaces; memory files, temporary files and shared memory are deleted on purpose.
_CODE = re.compile(r"^[\da-f]+-[\da-f]+ r.x. \S+ \S+ [1-9]\d* +(/(?:usr|lib|lib64|bin|sbin|opt)/.*) \(deleted\)$")


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
