# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The write lock in slices: never longer than the budget, undone if it would be, and others let in after each."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from typing import Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Stopped

# Virtual machine steps between two looks at the clock: about 2 ms.
STEPS = 20_000


class Lock:
    """Runs statements of one connection in write transactions, and knows how long each kept other writers out.

    ``cap`` is in seconds, None for no budget; ``ends`` is a moment on the monotonic clock. ``worst`` is the longest time
    that others were kept out, ``committed`` how many of the statements are done for good.
    """

    def __init__(
        self, connection: sqlite3.Connection, cap: float | None, ends: float, heard: Callable[[], None]
    ) -> None:
        self.connection = connection
        self.cap = cap
        self.ends = ends
        self.worst = 0.0
        self.committed = 0
        self._heard = heard
        self._begun: float | None = None
        connection.create_function("ops_begun", 0, self._begin)
        connection.set_progress_handler(self._late, STEPS)

    def _begin(self) -> None:
        self._begun = time.monotonic()

    def _late(self) -> bool:
        """Interrupt what runs: SQLite then undoes the transaction."""
        self._heard()
        now = time.monotonic()
        return now > self.ends or (self.cap is not None and self._begun is not None and now > self._begun + self.cap)

    def hold(self, statement: str) -> float:
        """Run a statement in a write transaction of its own; return the seconds that writers were kept out.

        One script, since Python's ``execute`` takes a single step of ``PRAGMA incremental_vacuum``, which frees one page.
        Raises Stopped when it took longer than the budget or the deadline, with nothing changed.
        """
        self._begun = None
        script = f"BEGIN IMMEDIATE; SELECT ops_begun(); {statement}; COMMIT;"
        return self._measured(lambda: self.connection.executescript(script))

    def alone(self, statement: str, cap: float | None) -> float:
        """Run a statement that makes its own transaction; as ``hold``, with a budget of its own."""
        # It would wait for the lock where that cannot be told from its work.
        self.connection.executescript("BEGIN IMMEDIATE; ROLLBACK;")
        self._begun, budget, self.cap = time.monotonic(), self.cap, cap
        try:
            return self._measured(lambda: self.connection.execute(statement))
        finally:
            self.cap = budget

    def _measured(self, work: Callable[[], object]) -> float:
        """Do something that holds the lock; return for how long it did, or tell why it was interrupted."""
        try:
            work()
        except sqlite3.OperationalError as exc:
            self._undo()
            if "interrupted" not in str(exc):
                raise
            raise Stopped("deadline" if time.monotonic() > self.ends else "stall_reached", self._held()) from exc
        finally:
            held = self._held()
            self.worst = max(self.worst, held)
            self._begun = None
        self.committed += 1
        return held

    def _held(self) -> float:
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    def _undo(self) -> None:
        if self.connection.in_transaction:
            with suppress(sqlite3.OperationalError):
                self.connection.execute("ROLLBACK")

    def breathe(self, held: float) -> None:
        """Let writers in for as long as they were kept out, and put what was written into the database meanwhile.

        A passive checkpoint keeps nobody out, and what it moves no request of the application has to move.
        """
        start = time.monotonic()
        self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        time.sleep(max(0.0, min(held - (time.monotonic() - start), self.ends - time.monotonic())))
