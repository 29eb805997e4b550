# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of an export: applied to the reference it gives the rows of the former primary, whatever their order."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.export import BESIDE, opened, statements
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.tables import Table, layout
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted

SIZE = 1 << 256


def apply(script: int, database: Path) -> str:
    """Apply an open export to a private database; return why it cannot be, empty when it was.

    SQLite's messages may quote what is in a statement, and that is somebody's data: only the place is told.
    """
    number = 0
    with closing(connect(database, "rw", 0.0)) as connection:
        try:
            for number, statement in enumerate(statements(script), 1):  # noqa: B007 - told in the error
                connection.execute(statement)
        except sqlite3.Error as exc:
            return f"statement {number} is refused ({type(exc).__name__})"
    return ""


def differences(old: Path, applied: Path, left: list[str]) -> list[str]:
    """Compare the rows of each table by a hash that does not depend on their order; return the tables that differ."""
    found = []
    with closing(opened(old, applied, None)) as connection:
        there = layout(connection, "ref").tables
        for name, table in sorted(layout(connection, "old").tables.items()):
            if name in left:
                continue
            whole = there.get(name)
            if whole is None or whole.columns != table.columns:
                whole = there.get(name + BESIDE)
            if whole is None or _content(connection, "old", table) != _content(connection, "ref", whole):
                found.append(name)
    return found


def _content(connection: sqlite3.Connection, schema: str, table: Table) -> tuple[int, int]:
    """Return how many rows there are, and the sum of their hashes."""
    total = count = 0
    names = ", ".join(map(quoted, table.columns))
    for row in connection.execute(f"SELECT {names} FROM {schema}.{table.sql}"):
        count += 1
        raw = repr(row).encode("utf-8", "surrogateescape")
        total += int.from_bytes(hashlib.sha256(raw).digest(), "big")
    return count, total % SIZE


def prove(old: Path, ref: Path, script: int, left: list[str], tell: Tell) -> dict[str, Any]:
    """Apply an export to the reference, which is private and not needed any more; return what is wrong, if anything."""
    tell("apply", None)
    error = apply(script, ref)
    tell("verify", None)
    return {"error": error, "differs": [] if error else differences(old, ref, left)}
