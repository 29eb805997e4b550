# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables' planner statistics are missing or stale, told without writing and without reading whole tables.

``PRAGMA optimize`` of a connection that has run no query yet does nothing before SQLite 3.46, which is every command of
a cron job on Debian 12. So the decision is made here, by the rule of 3.46: an index without statistics, or a table that
has 10 times, or a tenth of, the rows it had when it was analysed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted

FACTOR = 10
# Below this many rows any plan is fast, and ten times as many come and go in an hour.
FEW = 100
# Rows that are counted at most (0.1 s per million); above, the range of rowids has to do.
COUNTED = 2_000_000


@dataclass(frozen=True)
class Stale:
    """A table to analyse: ``reason`` is ``missing`` (``index`` has no statistics), ``grown`` or ``shrunk``.

    ``rows`` is how many it has now, at least, and ``known`` how many it had when it was analysed.
    """

    table: str
    reason: str
    rows: int
    known: int | None = None
    index: str = ""

    def __str__(self) -> str:
        if self.reason == "missing":
            return f"{self.table}: no statistics of {self.index}"
        return f"{self.table}: {self.known} rows when analysed, {self.rows} now"


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the application's tables that have pages of their own, which virtual tables have not."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name")
    return [name for (name,) in found if not name.startswith("sqlite_")]


def indexes(connection: sqlite3.Connection, table: str) -> list[tuple[str, bool]]:
    """Return name and whether it is partial of each index of a table."""
    rows = connection.execute(f"PRAGMA index_list({quoted(table)})").fetchall()
    return sorted((row[1], bool(row[4])) for row in rows)


def stale(connection: sqlite3.Connection) -> Iterator[Stale]:
    """Yield the tables whose statistics are missing or stale."""
    known = _known(connection)
    for table in tables(connection):
        found = _judge(connection, table, known.get(table, {}))
        if found:
            yield found


def _judge(connection: sqlite3.Connection, table: str, known: dict[str, int]) -> Stale | None:
    have = indexes(connection, table)
    # ANALYZE writes nothing for a partial index without rows, so that one cannot be asked for.
    wanted = [name for name, partial in have if not partial]
    if not have:
        return None  # a table without an index has one plan
    # The primary key of a table without rowids is the table, and goes by its name in the statistics.
    missing = [name for name in wanted if name not in known and not (table in known and name.startswith("sqlite_"))]
    if missing:
        rows = _rows(connection, table, FEW)
        return Stale(table, "missing", rows, index=missing[0]) if rows else None
    before = max(known.values(), default=0)
    if _span(connection, table) >= FACTOR * max(before, FEW):
        rows = _rows(connection, table, FACTOR * max(before, FEW))
        if rows >= min(FACTOR * max(before, FEW), COUNTED):
            return Stale(table, "grown", rows, before)
    enough = min(before // FACTOR + 1, COUNTED)
    if before >= FACTOR * FEW:
        rows = _rows(connection, table, enough)
        if rows < enough:
            return Stale(table, "shrunk", rows, before)
    return None


def _known(connection: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Return the rows each index had when it was analysed, by table; the first number of its statistics."""
    known: dict[str, dict[str, int]] = {}
    if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone()[0]:
        return known
    for table, index, text in connection.execute("SELECT tbl, idx, stat FROM sqlite_stat1"):
        first = str(text).split(" ", maxsplit=1)[0]
        if index and first.isdigit():
            known.setdefault(table, {})[index] = int(first)
    return known


def _span(connection: sqlite3.Connection, table: str) -> int:
    """Return the most rows a table can have, from its lowest and highest rowid; COUNTED where there are no rowids."""
    try:
        low, high = connection.execute(
            f"SELECT (SELECT min(rowid) FROM {quoted(table)}), (SELECT max(rowid) FROM {quoted(table)})"
        ).fetchone()
    except sqlite3.OperationalError:
        return COUNTED
    return 0 if low is None or not isinstance(low, int) else high - low + 1


def _rows(connection: sqlite3.Connection, table: str, most: int) -> int:
    limited = f"SELECT 1 FROM {quoted(table)} LIMIT {min(most, COUNTED)}"
    return int(connection.execute(f"SELECT count(*) FROM ({limited})").fetchone()[0])
