# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables of a database hold rows of their own, and by what a row of each is known."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted

# What a virtual table keeps its content in: derived, and never to be written by hand.
SHADOWS = {
    "fts3": ("content", "segments", "segdir", "docsize", "stat"),
    "fts4": ("content", "segments", "segdir", "docsize", "stat"),
    "fts5": ("data", "idx", "content", "docsize", "config"),
    "rtree": ("node", "rowid", "parent"),
    "rtree_i32": ("node", "rowid", "parent"),
}
TEXT_SEARCH = ("fts3", "fts4", "fts5")
# SQLite's own and Litestream's notes are no rows of the application.
FOREIGN = ("sqlite_", "_litestream_")
ALIASES = ("rowid", "_rowid_", "oid")
_MODULE = re.compile(r"^\s*CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+\"?(\w+)", re.IGNORECASE | re.DOTALL)
_ELSEWHERE = re.compile(r"[(,]\s*content\s*=\s*([^,)]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """One table: the columns that are stored, and those by which a row is known (none: by all it holds).

    ``rowid`` is a name for the row number that no column has taken, empty without one.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    rowid: str = ""
    nullable: bool = False

    @property
    def sql(self) -> str:
        """Return its name as SQL takes it."""
        return quoted(self.name)


@dataclass(frozen=True)
class Layout:
    """What there is in one database. ``derived`` are text indexes over other tables, made again by ``rebuild``.

    ``left`` tells by name why a table's rows cannot be compared. ``objects`` is the SQL of everything by (type, name).
    """

    tables: dict[str, Table]
    derived: tuple[str, ...]
    left: dict[str, str]
    objects: dict[tuple[str, str], str]
    triggers: dict[str, tuple[str, str]]


def layout(connection: sqlite3.Connection, schema: str) -> Layout:
    """Describe the database that is attached under a name."""
    rows = connection.execute(f"SELECT type, name, tbl_name, sql FROM {schema}.sqlite_master WHERE sql IS NOT NULL")
    found = [row for row in rows.fetchall() if not row[1].startswith(FOREIGN)]
    sqls = {name: sql for kind, name, _table, sql in found if kind == "table"}
    modules = {name: match[1].lower() for name, sql in sqls.items() for match in [_MODULE.match(sql)] if match}
    shadows = {f"{name}_{end}".lower() for name, module in modules.items() for end in SHADOWS.get(module, ())}
    tables: dict[str, Table] = {}
    derived: list[str] = []
    left: dict[str, str] = {}
    for name, sql in sorted(sqls.items()):
        if name.lower() in shadows and name not in modules:
            continue
        module = modules.get(name)
        elsewhere = _ELSEWHERE.search(sql) if module in TEXT_SEARCH else None
        if module and module not in SHADOWS:
            left[name] = f"virtual table of {module}"
        elif elsewhere and elsewhere[1].strip("'\" "):
            derived.append(name)
        elif elsewhere:
            left[name] = "text index that does not keep its text"
        else:
            try:
                tables[name] = (
                    _virtual(connection, schema, name, module) if module else _plain(connection, schema, name)
                )
            except sqlite3.OperationalError as exc:
                left[name] = str(exc)
    return Layout(
        tables,
        tuple(derived),
        left,
        {(kind, name): sql for kind, name, _table, sql in found},
        {name: (table, sql) for kind, name, table, sql in found if kind == "trigger"},
    )


def _columns(connection: sqlite3.Connection, schema: str, name: str) -> list[tuple[str, str, int, int]]:
    """Return name, type, NOT NULL and place in the key of each column that is stored."""
    # hidden: 1 belongs to a virtual table, 2 and 3 are computed and cannot be written.
    rows = connection.execute(f"PRAGMA {schema}.table_xinfo({quoted(name)})")
    return [(row[1], row[2], row[3], row[5]) for row in rows.fetchall() if row[6] == 0]


def _plain(connection: sqlite3.Connection, schema: str, name: str) -> Table:
    columns = _columns(connection, schema, name)
    names = tuple(one[0] for one in columns)
    key = tuple(one[0] for one in sorted((one for one in columns if one[3]), key=lambda one: one[3]))
    taken = {one.lower() for one in names}
    rowid = next((one for one in ALIASES if one not in taken), "")
    if rowid and not _has(connection, schema, name, rowid):
        return Table(name, names, key)
    # SQLite lets NULL into a primary key, any number of times, unless the table is WITHOUT ROWID.
    declared = {one[0]: one for one in columns}
    number = len(key) == 1 and declared[key[0]][1].upper() == "INTEGER"
    nullable = bool(key) and not number and any(not declared[one][2] for one in key)
    return Table(name, names, key, rowid, nullable or (number and _null(connection, schema, name, key[0])))


def _virtual(connection: sqlite3.Connection, schema: str, name: str, module: str) -> Table:
    names = tuple(one[0] for one in _columns(connection, schema, name))
    if module in TEXT_SEARCH:
        return Table(name, ("rowid", *names), ("rowid",), "rowid")
    return Table(name, names, names[:1])


def _has(connection: sqlite3.Connection, schema: str, name: str, rowid: str) -> bool:
    try:
        connection.execute(f"SELECT {rowid} FROM {schema}.{quoted(name)} LIMIT 0")
    except sqlite3.OperationalError:
        return False
    return True


def _null(connection: sqlite3.Connection, schema: str, name: str, column: str) -> bool:
    """Tell whether there is a NULL in the key: with DESC even INTEGER PRIMARY KEY may be NULL."""
    asked = f"SELECT 1 FROM {schema}.{quoted(name)} WHERE {quoted(column)} IS NULL LIMIT 1"
    return connection.execute(asked).fetchone() is not None
