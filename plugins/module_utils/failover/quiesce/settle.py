# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a database that nobody has open into one file, and tell what is in it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.contents import contents
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.passing import as_owner
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import size_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.holders import holders

BUSY_SECONDS = 1.0


def prove_free(database: str) -> None:
    """Raise OpsError that names who has a database open."""
    found = sorted(set(holders(Path(database))) - {os.getpid()})
    if found:
        names = ", ".join(proc.named(pid) for pid in found)
        raise OpsError(f"{database} is open in {names}: expected nobody. `ps` tells who started it")


def settle(database: str, deadline: Deadline) -> tuple[dict[str, Any], int]:
    """Write the log into the database and hash it; return digest and number of rows."""
    prove_free(database)
    as_owner(database, lambda: empty_log(database), deadline, "wal_checkpoint(TRUNCATE)")
    prove_free(database)
    left = [suffix for suffix in ("-wal", "-journal") if size_of(database + suffix)]
    if left:
        raise OpsError(f"{database}{left[0]} is not empty after a checkpoint: expected all of it in the database")
    found, rows = as_owner(database, lambda: contents(database), deadline, "the hash")
    return found, rows


def empty_log(database: str) -> None:
    """Write the log into the database; raise OpsError when somebody else is at it."""
    with closing(connect(database, "rw", BUSY_SECONDS)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # rolls back what a crash has left
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.DatabaseError as exc:
            raise OpsError(f"{exc}. Is it damaged? With sync false the host is only stopped and fenced") from exc
    if busy:
        raise OpsError("somebody holds a lock on it, which is not to be seen from here")
