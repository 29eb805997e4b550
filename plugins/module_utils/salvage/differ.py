# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the former primary has that a reference does not, row by row: SQL over attached databases, little memory.

The reference (``ref``) is the state both sides had in common, or the new lineage itself where that is not known. Equal is
what has the same bytes and the same type: 1 is not 1.0, and 'a' is not 'A' whatever the collation of the column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.tables import Table
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted

Row = tuple[Any, ...]
# lost: the new lineage has not touched the row. conflict: both changed it. same: both have the same by now. undecided:
# without the common state it cannot be told who changed it.
LOST, CONFLICT, SAME, UNDECIDED = "lost", "conflict", "same", "undecided"


@dataclass(frozen=True)
class Change:
    """One row that differs: ``old`` as the former primary has it, ``ref`` as the reference, None for no such row.

    ``count`` is how many such rows, of a table whose rows are known by all they hold.
    """

    kind: str
    old: Row | None
    ref: Row | None
    what: str = UNDECIDED
    count: int = 1


def changes(connection: sqlite3.Connection, table: Table, new: bool) -> Iterator[Change]:
    """Yield what differs between ``old`` and ``ref``; with ``new`` attached, what became of each row there."""
    if table.key:
        judge = _Judge(connection, table) if new else None
        for kind, old, ref in _keyed(connection, table):
            yield Change(kind, old, ref, judge.of(kind, old, ref) if judge else UNDECIDED)
    if not table.key or table.nullable:
        yield from _whole(connection, table, new)


def _names(prefix: str, names: tuple[str, ...]) -> str:
    return ", ".join(f"{prefix}.{quoted(name)}" for name in names)


def _keyed(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[str, Row | None, Row | None]]:
    width = len(table.columns)
    match = " AND ".join(f"o.{quoted(name)} = r.{quoted(name)}" for name in table.key)
    first = quoted(table.key[0])

    def vector(prefix: str) -> str:
        kinds = (f"typeof({prefix}.{quoted(name)})" for name in table.columns)
        values = (f"{prefix}.{quoted(name)} COLLATE BINARY" for name in table.columns)
        return f"({', '.join([*kinds, *values])})"

    def known(prefix: str) -> str:
        return " AND ".join(f"{prefix}.{quoted(name)} IS NOT NULL" for name in table.key)

    rows = connection.execute(
        f"SELECT {_names('o', table.columns)}, {_names('r', table.columns)}, r.{first} IS NULL "
        f"FROM old.{table.sql} o LEFT JOIN ref.{table.sql} r ON {match} "
        f"WHERE {known('o')} AND (r.{first} IS NULL OR {vector('o')} IS NOT {vector('r')})"
    )
    for row in rows:
        yield ("inserted", row[:width], None) if row[-1] else ("updated", row[:width], row[width:-1])
    rows = connection.execute(
        f"SELECT {_names('r', table.columns)} FROM ref.{table.sql} r LEFT JOIN old.{table.sql} o ON {match} "
        f"WHERE {known('r')} AND o.{first} IS NULL"
    )
    for row in rows:
        yield "deleted", None, row


class _Judge:
    """Asks the new lineage what became of a row."""

    def __init__(self, connection: sqlite3.Connection, table: Table) -> None:
        match = " AND ".join(f"{quoted(name)} = ?" for name in table.key)
        self._asked = f"SELECT {_names('n', table.columns)} FROM new.{table.sql} n WHERE {match}"
        self._places = [table.columns.index(name) for name in table.key]
        self._connection = connection

    def of(self, kind: str, old: Row | None, ref: Row | None) -> str:
        """Return lost, conflict or same."""
        known: Row = ref if old is None else old  # type: ignore[assignment]  # one of them is there
        there = self._connection.execute(self._asked, [known[place] for place in self._places]).fetchone()
        if same(there, old):
            return SAME
        return LOST if same(there, ref) else CONFLICT


def same(one: Row | None, other: Row | None) -> bool:
    """Tell whether two rows are the same to the type."""
    if one is None or other is None:
        return one is other
    return all(type(a) is type(b) and a == b for a, b in zip(one, other))


def _whole(connection: sqlite3.Connection, table: Table, new: bool) -> Iterator[Change]:
    """Compare how often each row is there, by all it holds; of a table with a key only those with NULL in it."""
    only = " OR ".join(f"{quoted(name)} IS NULL" for name in table.key)
    names = ", ".join(quoted(name) for name in table.columns)
    sides = ["old", "ref", "new"][: 3 if new else 2]
    parts = [
        f"SELECT {names}, {', '.join(str(int(side == one)) for one in sides)} FROM {side}.{table.sql}"
        f"{' WHERE ' + only if only else ''}"
        for side in sides
    ]
    columns = [f"c{number}" for number in range(len(table.columns))]
    counts = [f"sum(n_{side})" for side in sides]
    grouped = ", ".join([f"{name} COLLATE BINARY, typeof({name})" for name in columns])
    head = ", ".join([*columns, *(f"n_{side}" for side in sides)])
    rows = connection.execute(
        f"WITH a({head}) AS ({' UNION ALL '.join(parts)}) SELECT {', '.join([*columns, *counts])} FROM a "
        f"GROUP BY {grouped} HAVING sum(n_old) <> sum(n_ref)"
    )
    width = len(columns)
    for row in rows:
        values, seen = row[:width], row[width:]
        more = seen[0] - seen[1]
        kind, old, ref = ("inserted", values, None) if more > 0 else ("deleted", None, values)
        left = abs(more)
        if new:
            there = seen[2] - seen[1]
            shared = min(left, abs(there)) if there * more > 0 else 0
            left -= shared
            if shared:
                yield Change(kind, old, ref, SAME, shared)
        if left:
            yield Change(kind, old, ref, LOST if new else UNDECIDED, left)
