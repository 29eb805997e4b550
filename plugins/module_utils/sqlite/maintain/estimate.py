# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action will cost: how long each of its slices will keep writers out, estimated on this very database.

Sorting is timed on a sample of each table, copied to memory; reading is timed on the table itself, after a first
reading that also brings it into memory before a writer has to wait for it; writing has a constant.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.statistics import indexes, tables

SAMPLE_ROWS = 10_000
# Measured on 2 cores with an SSD while another process commits 200 times a second; 1 GB takes VACUUM 10 s.
VACUUM_SECONDS_PER_BYTE = 10.0 / 1e9
READ_SECONDS_PER_BYTE = {"integrity_check": 18.0 / 1e9, "quick_check": 14.0 / 1e9, "foreign_key_check": 1.8 / 1e9}
WRITE_SECONDS_PER_BYTE = 1.0 / 150e6
# A slice begins, commits and syncs.
SLICE_SECONDS = 0.005
MARGIN = 1.25


@dataclass(frozen=True)
class Slice:
    """One statement that runs in a write transaction of its own; ``seconds`` is what it is expected to take."""

    name: str
    statement: str
    seconds: float


@dataclass(frozen=True)
class _Table:
    """A table, how many rows it has and how many seconds it takes to read."""

    name: str
    rows: int
    reading: float


@dataclass(frozen=True)
class _Sample:
    """What the index of the first rows of a table takes: seconds to sort and to analyse, and its bytes."""

    rows: int
    sort: float
    analyze: float
    bytes: int


def analyze_slices(connection: sqlite3.Connection) -> Iterator[Slice]:
    """Yield one slice for each table: ANALYZE reads all its indexes."""
    for table in _measured(connection):
        took = 0.0
        names = [name for name, _partial in indexes(connection, table.name)]
        for index in names:
            sample = _sample(connection, table.name, index)
            took += sample.analyze * table.rows / max(1, sample.rows)
        if not names:
            took = table.reading
        yield Slice(table.name, f"ANALYZE main.{quoted(table.name)}", SLICE_SECONDS + MARGIN * took)


def reindex_slices(connection: sqlite3.Connection) -> Iterator[Slice]:
    """Yield one slice for each index: REINDEX reads its table, sorts and writes it anew."""
    for table in _measured(connection):
        for index, _partial in indexes(connection, table.name):
            if not _has_pages(connection, index):
                continue  # the primary key of a table without rowids is the table
            sample = _sample(connection, table.name, index)
            deeper = math.log(table.rows + 2) / math.log(sample.rows + 2)
            one = (sample.sort * deeper + sample.bytes * WRITE_SECONDS_PER_BYTE) / max(1, sample.rows)
            took = table.reading + table.rows * one
            yield Slice(index, f"REINDEX main.{quoted(index)}", SLICE_SECONDS + MARGIN * took)


def _has_pages(connection: sqlite3.Connection, index: str) -> bool:
    found = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index' AND name = ?", (index,))
    return (found.fetchone() or (0,))[0] > 0


def _measured(connection: sqlite3.Connection) -> Iterator[_Table]:
    for name in tables(connection):
        count = f"SELECT count(*) FROM {quoted(name)} NOT INDEXED"
        rows = connection.execute(count).fetchone()[0]
        start = time.monotonic()
        connection.execute(count).fetchone()
        yield _Table(name, rows, time.monotonic() - start)


def _sample(connection: sqlite3.Connection, table: str, index: str) -> _Sample:
    """Copy the first rows of an index to memory and build it anew there."""
    run = connection.execute
    # Rows are: place, number of the column, its name (None for an expression), descending, collation, part of the key.
    parts = [(row[2], row[4]) for row in run(f"PRAGMA index_xinfo({quoted(index)})").fetchall() if row[5]]
    columns = ", ".join(f"{quoted(name) if name else 'random()'} AS c{at}" for at, (name, _coll) in enumerate(parts))
    keys = ", ".join(f"c{at} COLLATE {quoted(coll)}" for at, (_name, coll) in enumerate(parts))
    run(f"CREATE TEMP TABLE ops_sample AS SELECT {columns} FROM main.{quoted(table)} LIMIT {SAMPLE_ROWS}")
    try:
        rows = run("SELECT count(*) FROM temp.ops_sample").fetchone()[0]
        before, start = _temp_bytes(connection), time.monotonic()
        run(f"CREATE INDEX temp.ops_sample_index ON ops_sample ({keys})")
        sorted_at = time.monotonic()
        run("ANALYZE temp.ops_sample")
        analysed_at = time.monotonic()
        return _Sample(rows, sorted_at - start, analysed_at - sorted_at, _temp_bytes(connection) - before)
    finally:
        run("DROP TABLE temp.ops_sample")


def _temp_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA temp.{name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
