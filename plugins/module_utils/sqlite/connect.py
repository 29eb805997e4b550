# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open SQLite files by URI, so that opening never creates one."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote


def connect(path: Path | str, mode: str, busy_timeout: float, extra: str = "") -> sqlite3.Connection:
    """Open an existing database; ``mode`` is ``ro`` or ``rw``, ``busy_timeout`` is in seconds.

    ``extra`` is one more URI parameter, such as ``immutable=1``.

    Transactions are explicit (``isolation_level`` None). The path is quoted: ``?`` and ``#`` would end it otherwise.
    A plain ``sqlite3.connect(path)`` of a mistyped path makes an empty database there, which every check calls good.
    """
    uri = f"file:{quote(str(path))}?mode={mode}{'&' * bool(extra)}{extra}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout, isolation_level=None)
    # Views and triggers of a file we do not trust must not reach functions with side effects (SQLite 3.31+).
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def set_busy_timeout(connection: sqlite3.Connection, seconds: float) -> None:
    """Change how long the next statements wait for a lock."""
    connection.execute(f"PRAGMA busy_timeout = {max(0, int(seconds * 1000))}")
