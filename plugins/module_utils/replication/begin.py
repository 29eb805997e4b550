# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start Litestream without a gap: ``begin DATABASE COMMAND...`` becomes the command, behind a reader that keeps the log.

While Litestream does not run, nobody keeps the log from starting over, and ``lag.goes_on`` tells what becomes of that. So
the log is looked at under a read lock; where it started over, it is emptied, for Litestream to copy the whole database;
and the lock is held until Litestream has its own. A database of which nothing was copied yet needs none of this.

Run by the unit as the owner of the database, from a copy of this package without Ansible.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NoReturn

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import lag
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect

# The read marks of those who read frames of the log. Mark 0, a byte before, is of those who need none of them.
KEEPING = (124, 127)
# How long is tried: somebody may read, and the log cannot be emptied.
PIN_SECONDS = 10.0
# Writers wait for a checkpoint that waits for a reader, so only so long.
BUSY_SECONDS = 0.2
# A Litestream that has no lock by then has not come up.
KEEP_SECONDS = 30.0
PAUSE = 0.01
# Litestream's own table, and what it does to it itself when it needs a frame. A database that was restored may lack it, and
# may not be in WAL mode.
PREPARE = (
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)",
)
TICK = "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Keep the log, and become the command."""
    database, *command = argv or sys.argv[1:]
    if lag.has_copied(database) and not _kept_by_another_process(database):
        raise SystemExit(1)
    os.execv(command[0], command)


def _kept_by_another_process(database: str) -> bool:
    """Keep the log until this process does; tell whether that has begun.

    In a child of a child, which Litestream does not have to wait for.
    """
    litestream = os.getpid()
    ready, tell = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            try:
                keep(database, litestream, lambda: os.write(tell, b"x"))
            except (OpsError, OSError, sqlite3.Error) as exc:
                raise SystemExit(str(exc)) from exc
            raise SystemExit
        os._exit(0)
    os.wait()
    os.close(tell)
    with os.fdopen(ready, "rb") as said:
        return said.read(1) == b"x"


def keep(database: str, litestream: int, ready: Callable[[], object]) -> None:
    """Keep the log from starting over, say so, and go on until Litestream, the process of that number, keeps it."""
    with closing(connect(database, "rw", BUSY_SECONDS)) as connection:
        pin(connection, database)
        ready()
        end = time.monotonic() + KEEP_SECONDS
        while not holds(database, litestream) and time.monotonic() < end:
            time.sleep(PAUSE)


def pin(connection: sqlite3.Connection, database: str) -> None:
    """Begin to read, from a log with which Litestream can go on; raise OpsError when there is none within PIN_SECONDS."""
    seen, emptied = "somebody else writes all the time", False
    end = time.monotonic() + PIN_SECONDS
    while time.monotonic() < end:
        try:
            for statement in PREPARE:
                connection.execute(statement).fetchone()
            # Who needs no frame of the log keeps nobody from starting it over, so one is written first.
            connection.execute(TICK)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM _litestream_seq").fetchone()
            kept, whole = holds(database, os.getpid()), lag.goes_on(database)
            # In a log that was emptied nothing lies where it was, also when it is as long again as it was known.
            if kept and (whole or emptied):
                return
            connection.execute("ROLLBACK")
            if not whole and not emptied:
                seen = "it started over while nothing was copied, and somebody reads"
                emptied = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        except sqlite3.OperationalError as exc:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            seen = str(exc)
            time.sleep(PAUSE)
    raise OpsError(
        f"the log of {database} could not be kept within {PIN_SECONDS:g} s ({seen}): expected that nobody reads or writes "
        "for so long at a stretch. Nothing is copied until it can be; the unit tries again"
    )


def holds(database: str, pid: int) -> bool:
    """Tell whether a process keeps the log from starting over."""
    return pid in lag.lock_holders(database, KEEPING)


if __name__ == "__main__":
    main()
