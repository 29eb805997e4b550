# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every action works with."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.lock import Lock
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.options import Wanted


@dataclass(frozen=True)
class Work:
    """A connection to the database, as its owner.

    ``wal`` tells whether it has a write-ahead log, so that readers and writers are not in each other's way. ``plan``
    means: decide and estimate, change nothing. ``pending`` tells whether the write-ahead log held anything that was not
    in the database before the connection was made; ``proved`` whether this run's integrity check was ok.
    """

    connection: sqlite3.Connection
    path: str
    wanted: Wanted
    lock: Lock
    tell: Tell
    wal: bool
    plan: bool
    pending: bool
    proved: bool

    def pragma(self, name: str) -> int:
        """Return the number a pragma tells."""
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])
