# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A read transaction held by a process of its own, while others copy the database.

It belongs in another process than the copy: closing any descriptor of the file drops all POSIX locks a process has on
it, and the transaction with them.
"""

from __future__ import annotations

import json
import os
import select
import sqlite3
from types import TracebackType

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, gather
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import size_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import holders
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become

# Readers of a WAL database wait for nobody; in a rollback journal's mode they wait while somebody commits.
BUSY_SECONDS = 10.0
# Beyond the busy timeout: opening the file and reading its first page.
OPEN_SECONDS = 20.0
END_SECONDS = 5.0

# A connection that goes out of scope is closed, and closing as the last user writes the log into the database.
_kept: list[sqlite3.Connection] = []


class Pin:
    """A read transaction on a live database, as its owner, from ``with`` to the end of its block.

    ``journal_mode`` is the database's. Leaving the block raises OpsError when the transaction did not last until then:
    what was copied meanwhile proves nothing.
    """

    def __init__(self, database: str, user: tuple[int, int], deadline: Deadline) -> None:
        self.database = database
        self.journal_mode = ""
        ready, self._ready = os.pipe()
        self._release, release = os.pipe()
        self._release_writer: int | None = release
        self._patience = patience(deadline)
        self._child = Child(lambda: self._hold(user), deadline.remaining() + END_SECONDS)
        os.close(self._ready)
        os.close(self._release)
        try:
            self._wait(ready, deadline.sooner(BUSY_SECONDS + OPEN_SECONDS))
        finally:
            os.close(ready)

    def _hold(self, user: tuple[int, int]) -> bool:
        """Be the child."""
        os.close(self._release_writer or -1)
        become(*user)
        connection = opened(self.database, self._patience)
        pin(connection)
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        os.write(self._ready, json.dumps({"journal_mode": mode}).encode() + b"\n")
        os.read(self._release, 1)
        let_go(connection, self.database)
        return True

    def _wait(self, ready: int, deadline: Deadline) -> None:
        readable = select.select([ready, self._child.fd], [], [], deadline.remaining())[0]
        line = os.read(ready, 1000) if ready in readable else b""
        if line:
            self.journal_mode = json.loads(line)["journal_mode"]
            return
        self._let_go()
        outcome = self._child.finish(True) if not readable else gather([self._child])[0]
        if outcome.timed_out:
            raise OpsError(f"{self.database} could not be opened within {outcome.seconds:.0f} s: does its disk answer?")
        raise OpsError(why_not(self.database, outcome.error))

    def _let_go(self) -> None:
        if self._release_writer is not None:
            os.close(self._release_writer)
            self._release_writer = None

    def __enter__(self) -> Pin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()
        outcome = gather([self._child])[0]
        if kind is None and outcome.value is not True:
            why = "ran out of time" if outcome.timed_out else "ended"
            raise OpsError(
                f"the read transaction on {self.database} {why} before the copy did: the copy proves nothing and is "
                "dropped. Try again; see the journal for a process that was killed"
            )


def patience(deadline: Deadline) -> float:
    """Return how many seconds to wait for a lock: part of the time there is, so that who holds it can still be told."""
    return min(BUSY_SECONDS, deadline.remaining() / 2)


def opened(database: str, seconds: float) -> sqlite3.Connection:
    """Open a live database, as its owner; it stays open until ``let_go`` or the end of the process."""
    connection = connect(database, "rw", seconds)
    _kept.append(connection)
    return connection


def let_go(connection: sqlite3.Connection, database: str) -> None:
    """Close, unless that might write a log into the database: what a crashed application left is not a backup's to touch."""
    if not size_of(database + "-wal"):
        connection.close()


def pin(connection: sqlite3.Connection) -> None:
    """Begin a read transaction that writes nothing; it needs no schema, so a damaged one does not keep it out."""
    connection.execute("PRAGMA query_only = ON")
    connection.execute("BEGIN")
    connection.execute("PRAGMA schema_version").fetchone()


def why_not(database: str, error: str) -> str:
    """Say why a database could not be read, from the last line of a traceback."""
    last = error.strip().splitlines()[-1] if error.strip() else "no answer"
    if "locked" in last or "busy" in last:
        who = holders(database, database + "-shm") or "another process"
        return (
            f"{database} is locked by {who}: expected to be let in. Wait until it ends, or end it "
            "if it is a forgotten shell"
        )
    state = _cannot_be_written(database)
    if state:
        return (
            f"{database} is on a file system that is {state} ({last}): expected room for {os.path.basename(database)}-shm, "
            "without which a database in WAL mode cannot be read. Copy it with its -wal, if it has one, to another disk and "
            "back it up there"
        )
    return (
        f"{database} cannot be read ({last}): expected a database its owner can open. Is its directory writable for it?"
    )


def _cannot_be_written(database: str) -> str:
    """Say what is wrong with the file system of a database, nothing when it can be written."""
    try:
        seen = os.statvfs(database)
    except OSError:
        return ""
    if seen.f_flag & os.ST_RDONLY:
        return "read-only"
    return "" if seen.f_bavail else "full"
