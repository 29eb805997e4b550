# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real databases for the tests, and what lies around them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status

# A user that is nobody on this host.
OTHER = 4711


def make_database(path: Path, words: int = 50) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE vocabulary (id INTEGER PRIMARY KEY, word TEXT, created_at TEXT)")
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("CREATE INDEX words ON vocabulary (word)")
        connection.execute("BEGIN")
        rows = ((f"word {number} " + "x" * 500, f"2026-11-{1 + number % 20:02d}") for number in range(words))
        connection.executemany("INSERT INTO vocabulary (word, created_at) VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    return path


def tree(directory: Path) -> dict[str, tuple]:
    """Return all there is to know about the files of a directory, but for when they were last read."""
    result = {}
    for path in sorted(directory.rglob("*")):
        seen = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        result[path.name] = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_size, seen.st_mtime_ns, content)
    return result


def give(path: Path, uid: int = OTHER) -> None:
    """Give a directory and all in it to a user."""
    for one in (path, *path.rglob("*")):
        os.chown(one, uid, uid)


def bad(checks: dict[str, Check]) -> dict[str, tuple[str, str]]:
    """Return status and sentence of what is neither OK nor skipped."""
    return {
        check.id: (check.status.name, check.message)
        for check in checks.values()
        if check.status not in (Status.OK, Status.SKIPPED)
    }
