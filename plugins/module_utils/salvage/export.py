# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare three databases and write what was never replicated as SQL.

The text is one statement a line, first all that go, then all that come, so that no unique value is there twice; lines of
rows that both sides changed end in ``-- !conflict``. Applied to the reference it gives the former primary's rows.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.differ import (
    CONFLICT,
    LOST,
    SAME,
    UNDECIDED,
    Change,
    changes,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.literals import Literals
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.tables import Layout, Table, layout
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted

# The rows of a table that has other columns by now are written into one of this name beside it.
BESIDE = "_salvaged"
MARK = "  -- !conflict"
CACHE_KIB = 12 << 10
# A merged file is copied in pieces of this size.
CHUNK = 1 << 20
KINDS = ("inserted", "updated", "deleted")

HEADER = """\
-- {schema}, run {run_id}, host {host}: rows of the former primary that were never replicated. Nothing has been merged.
-- {schema}，运行 {run_id}，主机 {host}：原主机上从未复制出去的行。未做任何合并。
-- Lines that end in -- !conflict are of rows that both sides changed: a person decides. To apply the others, with the
-- application stopped and a backup made: grep -v -- '-- !conflict$' THIS | sqlite3 -bail DATABASE
-- 以 -- !conflict 结尾的行两边都改过，须由人判断。应用其余各行（先停应用并备份）：
--   grep -v -- '-- !conflict$' 本文件 | sqlite3 -bail 数据库
"""


@dataclass
class Count:
    """What was found of one table, in rows."""

    by: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    lost: int = 0
    conflict: int = 0
    same: int = 0
    undecided: int = 0

    def add(self, change: Change) -> None:
        """Count a change."""
        for name in (change.kind, change.what):
            setattr(self, name, getattr(self, name) + change.count)

    @property
    def rows(self) -> int:
        """How many rows this side had to itself."""
        return self.lost + self.conflict + self.undecided


@dataclass
class Found:
    """All that was found, by table; ``left`` tells what could not be compared, ``schema`` what differs besides rows."""

    tables: dict[str, Count] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    schema: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        counts = {name: {**asdict(count), "rows": count.rows} for name, count in sorted(self.tables.items())}
        total: Counter[str] = Counter()
        for count in self.tables.values():
            total.update({name: value for name, value in asdict(count).items() if name != "by"}, rows=count.rows)
        return {
            "tables": counts,
            "total": {name: total[name] for name in (*KINDS, LOST, CONFLICT, SAME, UNDECIDED, "rows")},
            "not_compared": dict(sorted(self.left.items())),
            "schema_differs": self.schema,
        }


def opened(old: Path, ref: Path, new: Path | None) -> sqlite3.Connection:
    """Open private databases beside each other, read-only."""
    connection = connect(old, "ro", 0.0, "immutable=1")
    # Text that is not UTF-8 is content too.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    for name, path in (("old", old), ("ref", ref), ("new", new)):
        if path:
            connection.execute(f"ATTACH ? AS {name}", (f"{path.as_uri()}?mode=ro&immutable=1",))
            connection.execute(f"PRAGMA {name}.cache_size = -{CACHE_KIB}")
    return connection


class Export:
    """One comparison; ``out`` takes the text, and a second private file holds what comes behind it."""

    def __init__(self, connection: sqlite3.Connection, new: bool, out: BinaryIO, later: BinaryIO) -> None:
        self.connection = connection
        self.old, self.ref = layout(connection, "old"), layout(connection, "ref")
        self.new: Layout | None = layout(connection, "new") if new else None
        self.literals = Literals(connection.execute("PRAGMA old.encoding").fetchone()[0])
        self.out, self.later = out, later
        self.found = Found(left={**self.old.left})

    def write(self, words: Mapping[str, Any], tell: Tell) -> Found:
        """Write everything; return what was found."""
        self.out.write(HEADER.format(**words).encode())
        self._say("PRAGMA foreign_keys = OFF;", "BEGIN IMMEDIATE;")
        here = self.new or self.ref
        triggers = self.ref.triggers if self.new is None else {**self.ref.triggers, **self.new.triggers}
        self._say(*(f"DROP TRIGGER IF EXISTS {quoted(name)};" for name in sorted(triggers)))
        for number, (name, table) in enumerate(sorted(self.old.tables.items())):
            tell("compare", number / len(self.old.tables))
            self._table(name, table)
        tell("compare", 1.0)
        self._missing()
        self.later.seek(0)
        while chunk := self.later.read(CHUNK):
            self.out.write(chunk)
        self._say(*(f"INSERT INTO {quoted(one)}({quoted(one)}) VALUES('rebuild');" for one in here.derived))
        self._say(*(f"{sql};" for _name, (_table, sql) in sorted(here.triggers.items())), "COMMIT;")
        self.out.flush()
        objects, there = self.old.objects, here.objects
        differing = {one for one in objects.keys() | there.keys() if objects.get(one) != there.get(one)}
        self.found.schema = sorted(f"{kind} {name}" for kind, name in differing)
        return self.found

    def _say(self, *lines: str) -> None:
        for line in lines:
            self.out.write(line.encode() + b"\n")

    def _table(self, name: str, table: Table) -> None:
        other = self.ref.tables.get(name)
        if other is None or (other.columns, other.key) != (table.columns, table.key):
            self._all(table, name if other is None and ("table", name) not in self.ref.objects else name + BESIDE)
            return
        there = self.new.tables.get(name) if self.new else None
        comparable = there is not None and (there.columns, there.key) == (table.columns, table.key)
        if not table.key and not table.rowid:
            self.found.left[name] = "neither a key nor a row number that a column has not taken"
            return
        count = self.found.tables[name] = Count("key" if table.key else "row")
        merged = Table(name, table.columns, table.key, table.rowid, table.nullable or other.nullable)
        for change in changes(self.connection, merged, comparable):
            count.add(change)
            mark = MARK if change.what == CONFLICT else ""
            if change.ref is not None:
                self._say(f"DELETE FROM {table.sql} WHERE {self._which(merged, change)};{mark}")
            if change.old is not None:
                self._insert(table.sql, table.columns, change, mark)

    def _insert(self, sql: str, columns: tuple[str, ...], change: Change, mark: str = "") -> None:
        names = ",".join(map(quoted, columns))
        line = f"INSERT INTO {sql}({names}) VALUES({self.literals.row(change.old or ())});{mark}\n".encode()
        for _time in range(change.count):
            self.later.write(line)

    def _which(self, table: Table, change: Change) -> str:
        row = dict(zip(table.columns, change.ref or ()))
        if table.key and all(row[name] is not None for name in table.key):
            return " AND ".join(f"{quoted(name)}={self.literals.of(row[name])}" for name in table.key)
        same = " AND ".join(self._is(name, value) for name, value in row.items())
        return f"{table.rowid} IN (SELECT {table.rowid} FROM {table.sql} WHERE {same} LIMIT {change.count})"

    def _is(self, name: str, value: Any) -> str:
        kinds = {bytes: "blob", str: "text", float: "real", int: "integer"}
        if value is None:
            return f"{quoted(name)} IS NULL"
        kind = f"typeof({quoted(name)})='{kinds[type(value)]}'"
        return f"{quoted(name)} COLLATE BINARY IS {self.literals.of(value)} AND {kind}"

    def _all(self, table: Table, name: str) -> None:
        """Write all rows of a table that the reference does not have, or has with other columns."""
        if name in self.old.tables and name != table.name or name in self.ref.tables:
            self.found.left[table.name] = f"it has other columns than in the reference, and {name} is taken"
            return
        sql = self.old.objects["table", table.name]
        columns = ",".join(map(quoted, table.columns))
        # Without types, so that no value is changed on its way in.
        self._say(f"{sql};" if name == table.name else f"CREATE TABLE {quoted(name)}({columns});")
        count = self.found.tables[table.name] = Count("whole")
        for row in self.connection.execute(f"SELECT {columns} FROM old.{table.sql}"):
            change = Change("inserted", row, None)
            count.add(change)
            self._insert(quoted(name), table.columns, change)

    def _missing(self) -> None:
        """Note what only the reference has: this side dropped it, which is no row."""
        for name in sorted(self.ref.tables.keys() - self.old.tables.keys()):
            self.found.left[name] = "the former primary does not have it"


def compare(
    old: Path, ref: Path, new: Path | None, out: int, later: Path, words: Mapping[str, Any], tell: Tell
) -> dict[str, Any]:
    """Compare private databases and write the export into an open file; to be called in a child of its own."""
    # Whole rows are sorted beside the databases, and not in /var/tmp or in memory.
    os.environ["SQLITE_TMPDIR"] = str(later.parent)
    with (
        closing(opened(old, ref, new)) as connection,
        open(out, "wb", closefd=False) as text,
        later.open("w+b") as behind,
    ):
        found = Export(connection, new is not None, text, behind).write(words, tell)
        os.fsync(text.fileno())
    return found.as_dict()


def statements(text: int) -> Iterator[str]:
    """Yield the statements of an open export; a line is one, but for the triggers, whose text is the application's."""
    collected = ""
    os.lseek(text, 0, os.SEEK_SET)
    with open(text, encoding="utf-8", newline="\n", closefd=False) as stream:
        for line in stream:
            if not collected and (line.startswith("--") or not line.strip()):
                continue
            collected += line
            if sqlite3.complete_statement(collected):
                yield collected
                collected = ""
    if collected:
        raise OpsError("the export ends in the middle of a statement")
