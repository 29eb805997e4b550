# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes have a database open, by device and inode, and whether those are the service's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import stat_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import MAGIC
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import number, show, unit_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed

SYSTEMCTL_SECONDS = 4.0
# Young processes may not have opened their database yet; the first request does that.
FRESH_SECONDS = 60.0


@dataclass
class Service:
    """The processes that should have the database open; ``error`` when they cannot be found out, ``asked`` if at all."""

    asked: bool = False
    error: str = ""
    processes: tuple[proc.Process, ...] = ()

    @property
    def user(self) -> int | None:
        """The user the work is done as: the one of the youngest process, since a master may stay root."""
        if not self.processes:
            return None
        return proc.owner(max(self.processes, key=lambda one: one.start_ticks).pid)


def find_service(spec: Mapping[str, Any], deadline: Deadline) -> Service:
    """Find the processes of the unit, of the pid file or of the list of pids, each with all its descendants."""
    roots: list[int] = list(spec.get("pids", []))
    try:
        if spec["service"]:
            unit = unit_name(spec["service"])
            shown = show([unit], ["MainPID"], deadline.sooner(SYSTEMCTL_SECONDS).remaining())[unit]
            roots = [number(shown, "MainPID") or 0]
        elif spec["pidfile"]:
            roots = [int(Path(spec["pidfile"]).read_text(encoding="ascii").split()[0])]
    except FileNotFoundError:
        return Service(asked=True)
    except (OpsError, OSError, ValueError, IndexError) as exc:
        return Service(asked=True, error=f"{spec['pidfile']}: {exc}" if spec["pidfile"] else str(exc))
    if not roots:
        return Service()
    table = proc.table()
    family = {one.pid: one for root in roots for one in proc.family(table, root)}
    return Service(asked=True, processes=tuple(family.values()))


def judge_in_use(say: Reporter, service: Service, real: str) -> tuple[int, list[Check]]:
    """Judge whether the service's processes have exactly this file open; return how many have."""
    if not service.asked:
        return 0, []

    def found(status: Status, sentence: str, reason: str = "", **rest: Any) -> list[Check]:
        return [say.find("sqlite.in_use", status, sentence, reason=reason, **rest)]

    if service.error:
        return 0, found(Status.UNKNOWN, "sqlite.in_use_error", error=service.error)
    if not service.processes:
        return 0, found(Status.SKIPPED, "sqlite.in_use_stopped")
    seen = usage(stat_of(real), [one.pid for one in service.processes])
    total = len(service.processes)
    if seen.by:
        return len(seen.by), found(Status.OK, "sqlite.in_use_yes", count=len(seen.by), total=total, value=len(seen.by))
    if seen.others:
        return 0, found(Status.CRITICAL, "sqlite.in_use_other", others=listed(seen.others), evidence=seen.others)
    if seen.denied:
        return 0, found(Status.UNKNOWN, "sqlite.in_use_denied", "denied")
    age = min(proc.age(one) for one in service.processes)
    if age < FRESH_SECONDS:
        return 0, found(Status.SKIPPED, "sqlite.in_use_fresh", "insufficient_data", age=duration(age))
    return 0, found(Status.CRITICAL, "sqlite.in_use_none", age=duration(age))


@dataclass
class Usage:
    """Who of some processes has a database open: ``others`` are the databases they have open instead."""

    by: list[int] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    denied: list[int] = field(default_factory=list)


def usage(database: os.stat_result | None, pids: Iterable[int], root: str = proc.PROC) -> Usage:
    """Look through the open files of some processes.

    A file that was deleted or replaced since it was opened is another inode, whatever its name: it is among the others,
    with ``(deleted)`` behind its name, as the kernel writes it.
    """
    result = Usage()
    for pid in pids:
        try:
            opened = list(proc.open_files(pid, root))
        except PermissionError:
            result.denied.append(pid)
            continue
        for one in opened:
            if not one.target.startswith("/") or one.target.startswith(("/dev/", "/proc/", "/sys/")):
                continue
            path = f"{root}/{pid}/fd/{one.fd}"
            try:
                seen = os.stat(path)
                if not stat.S_ISREG(seen.st_mode):
                    continue
                if database is not None and (seen.st_dev, seen.st_ino) == (database.st_dev, database.st_ino):
                    result.by.append(pid)
                elif one.target not in result.others and _is_database(path):
                    result.others.append(one.target)
            except OSError:
                continue  # closed, or ended, in between
    result.by = sorted(set(result.by))
    return result


def _is_database(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC
