# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The write-ahead log: put into the database, and made small."""

from __future__ import annotations

import time

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import set_busy_timeout
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import size_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import file_locks, process_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Result
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.work import Work
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

# Bytes of -shm that readers of the log lock (wal.c, WAL_READ_LOCK(1) to (4)); 123 is for those who do without the log.
FIRST_READER, LAST_READER = 124, 127
# TRUNCATE waits for readers with the write lock in its hand, so it does not wait long.
TRUNCATE_SECONDS = 0.2
# The application's own commits move the log too, which is in the way as long as it lasts: 1 GB takes seconds.
TRUNCATE_ATTEMPTS = 3
MOVE_SECONDS = 30.0


def checkpoint(work: Work) -> Result:
    """Move the log into the database; with truncate also cut it to nothing.

    ``wal_checkpoint`` tells in a column whether it was busy, and never fails for it.
    """
    if not work.wal:
        return Result("skipped", "no_log")
    wal = size_of(work.path + "-wal")
    truncate = work.wanted.checkpoint_mode == "truncate"
    if not (work.pending or (truncate and wal)):
        return Result("skipped", "log_moved")
    if work.plan:
        return Result("planned", "log_planned", {"size": size(wal)}, changed=True)
    if truncate:
        holder = empty_log(work)
        if holder:
            return Result("failed", "log_busy", {"holder": holder, "size": size(wal)}, changed=True)
        return Result("done", "log_cut", {"size": size(wal)}, changed=True)
    work.tell("wal_checkpoint", None)
    busy, frames, moved = work.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    params = {"frames": frames, "moved": moved, "holder": readers(work.path) or "?"}
    if busy:
        return Result("failed", "log_other", params)
    return Result("done", "log_partly" if moved < frames else "log_whole", params, changed=moved > 0)


def empty_log(work: Work) -> str:
    """Move the log into the database and cut it; return who is in the way, nothing when it worked."""
    work.tell("wal_checkpoint", None)
    wait = min(work.wanted.busy_timeout, TRUNCATE_SECONDS, work.lock.cap or TRUNCATE_SECONDS)
    set_busy_timeout(work.connection, wait)
    for _attempt in range(TRUNCATE_ATTEMPTS):
        _move(work)
        start = time.monotonic()
        busy = work.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        held = time.monotonic() - start
        work.lock.worst = max(work.lock.worst, held)
        holder = readers(work.path)
        if not busy or holder:
            break
        time.sleep(held)
    set_busy_timeout(work.connection, work.wanted.busy_timeout)
    return (holder or "?") if busy else ""


def _move(work: Work) -> None:
    """Move what can be moved without keeping anybody out; a process that does so itself is waited for."""
    end = min(time.monotonic() + MOVE_SECONDS, work.lock.ends)
    while work.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] and time.monotonic() < end:
        time.sleep(0.02)


def readers(path: str) -> str:
    """Name the processes that read through the log at this moment."""
    pids = {lock.pid for lock in file_locks(path + "-shm") if lock.covers(FIRST_READER, LAST_READER)}
    return ", ".join(process_name(pid) for pid in sorted(pids - {0}))
