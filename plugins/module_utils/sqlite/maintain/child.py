# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One action, in a process of its own that has become the owner of the database: open, act or plan, tell in plain JSON."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import process_name, writers
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import (
    NoTraceless,
    become,
    how_to_open,
    shape,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain import checks, planner, vacuum
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.checkpoint import checkpoint
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.lock import Lock
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.options import CHECKS, Wanted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Result, Stopped
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.sizes import sizes, unmoved
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.work import Work
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import Target

_ACTIONS: dict[str, Callable[[Work], Result]] = {
    "optimize": planner.optimize,
    "analyze": planner.analyze,
    "reindex": planner.reindex,
    "incremental_vacuum": vacuum.incremental,
    "vacuum": vacuum.vacuum,
    "wal_checkpoint": checkpoint,
}
# The integrity check reads every page for the structure, and the tables again for their rows.
PASSES = 2.0


@dataclass(frozen=True)
class Task:
    """One action on a database: ``seconds`` until it is interrupted; ``plan`` and ``proved`` as in Work."""

    action: str
    target: Target
    wanted: Wanted
    seconds: float
    tell: Tell
    plan: bool
    proved: bool


def perform(task: Task) -> dict[str, Any]:
    """Do it; for a child process, since it cannot become root again."""
    started = time.monotonic()
    heard = _counter(task)
    become(*task.target.user)
    pending = unmoved(task.target.real)
    try:
        result = _watched(task, pending, started, heard)
    except NoTraceless as exc:
        result = Result("refused", "traceless", {"error": str(exc)})
    except (sqlite3.Error, UnicodeDecodeError, OSError) as exc:
        result = _trouble(task, exc)
    result.seconds = time.monotonic() - started
    return asdict(result)


def _watched(task: Task, pending: bool, started: float, heard: Callable[[], None]) -> Result:
    """Act; once more if somebody began to write while the file was read as one that nobody writes to."""
    while True:
        before = shape(task.target.real)
        if before[:2] != (task.target.seen.st_dev, task.target.seen.st_ino):
            raise OSError("it was replaced by another file since it was looked at")
        mode, extra = _how(task)
        with closing(connect(task.target.real, mode, task.wanted.busy_timeout, extra)) as connection:
            result = _act(task, connection, pending, started, heard)
        if extra != "immutable=1" or shape(task.target.real) == before:
            return result


def _how(task: Task) -> tuple[str, str]:
    """Return mode and parameter to open with; what only reads leaves no trace."""
    if not task.plan and task.action not in CHECKS:
        return "rw", ""
    try:
        return "ro", how_to_open(task.target.real)
    except NoTraceless:
        if task.plan:
            raise
        return "rw", ""  # as the application's own start would recover it


def _act(
    task: Task, connection: sqlite3.Connection, pending: bool, started: float, heard: Callable[[], None]
) -> Result:
    connection.execute("PRAGMA temp_store = MEMORY" if task.plan else "PRAGMA temp_store = DEFAULT")
    connection.execute(
        "PRAGMA wal_autocheckpoint = 0"
    )  # it would count as ours what Lock.breathe does with nobody waiting
    lock = Lock(connection, task.wanted.slice_cap, started + task.seconds, heard)
    wal = task.target.header.wal  # asked through an immutable connection, SQLite would deny it
    work = Work(connection, task.target.real, task.wanted, lock, task.tell, wal, task.plan, pending, task.proved)
    before = sizes(connection, task.target.real)
    try:
        result = checks.check(work, task.action) if task.action in CHECKS else _ACTIONS[task.action](work)
    except (sqlite3.Error, UnicodeDecodeError, OSError, Stopped) as exc:
        result = _trouble(task, exc)
    connection.set_progress_handler(None, 0)
    result.stall = result.stall or lock.worst
    result.changed = result.changed or lock.committed > 0
    result.before = result.after = before
    with suppress(sqlite3.Error):
        result.after = before if task.plan else sizes(connection, task.target.real)
    return result


def _counter(task: Task) -> Callable[[], None]:
    """Return what tells how far a check has come, by the bytes it has read.

    The kernel lets a process read its own counters only through a file opened before it changed its user.
    """
    if task.action not in CHECKS or task.plan:
        return lambda: None
    try:
        counters = os.open("/proc/self/io", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return lambda: None
    begin, whole = _bytes_read(counters), max(1, task.target.header.size)
    return lambda: task.tell(task.action, min(0.99, (_bytes_read(counters) - begin) / (PASSES * whole)))


def _bytes_read(counters: int) -> int:
    for line in os.pread(counters, 1000, 0).splitlines():
        if line.startswith(b"rchar:"):
            return int(line.split()[1])
    return 0


def _trouble(task: Task, exc: Exception) -> Result:
    """Tell what an action ended with; nothing of it is left in the database."""
    text = str(exc)
    if isinstance(exc, Stopped) or "interrupted" in text:
        return Result("failed", "deadline", {"limit": task.wanted.deadline})
    if "locked" in text or "busy" in text:
        holder = ", ".join(process_name(pid) for pid in sorted(writers(task.target.real))) or "?"
        return Result("failed", "locked", {"holder": holder, "waited": task.wanted.busy_timeout})
    if "full" in text:
        return Result("failed", "full", {"error": text})
    if task.action in CHECKS and ("malformed" in text or "not a database" in text):
        return Result("done", "damaged", {"first": text, "count": 1}, [text], problems=1)
    return Result("failed", "error", {"error": text})
