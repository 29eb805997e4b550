# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions that only read: quick_check, integrity_check, foreign_key_check."""

from __future__ import annotations

import sqlite3

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.estimate import READ_SECONDS_PER_BYTE
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Result
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.work import Work
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.statistics import tables
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

# Problems that are counted, and shown; a damaged page can be a million of them.
COUNTED = 1000
SHOWN = 10
CACHE_KIB = 48 * 1024


def check(work: Work, action: str) -> Result:
    """Run one check; ``problems`` of the result is how many it listed, 0 only for the single row ok."""
    cost = READ_SECONDS_PER_BYTE[action] * work.pragma("page_count") * work.pragma("page_size")
    # Without a write-ahead log a reader keeps writers from committing.
    stall = 0.0 if work.wal else cost
    if work.wanted.max_stall and stall > work.wanted.max_stall:
        return Result("refused", "stall", {"estimate": stall, "budget": work.wanted.max_stall}, stall=stall)
    if work.plan:
        return Result("planned", "check_planned", {"estimate": duration(cost)})
    work.connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    if not tables(work.connection):
        return Result("done", "no_tables", lines=["there is no table in it"], problems=1)
    return _foreign_keys(work) if action == "foreign_key_check" else _structure(work, action)


def _structure(work: Work, action: str) -> Result:
    try:
        rows = [str(row[0]) for row in work.connection.execute(f"PRAGMA {action}({COUNTED})")]
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.OperationalError):
            raise
        rows = [str(exc)]
    if rows == ["ok"]:
        return Result("done", "check_ok", problems=0)
    lines = [line for row in rows for line in row.splitlines()]
    first = next((line for line in lines if not line.startswith("***")), "?")
    count = sum(not line.startswith("***") for line in lines)
    return Result("done", "damaged", {"first": first, "count": count}, lines[:SHOWN], problems=max(1, count))


def _foreign_keys(work: Work) -> Result:
    lines, count = [], 0
    try:
        for table, rowid, parent, _key in work.connection.execute("PRAGMA foreign_key_check"):
            count += 1
            if count <= SHOWN:
                lines.append(f"{table} row {rowid} refers to a row of {parent} that is not there")
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.OperationalError) and "mismatch" not in str(exc):
            raise
        lines, count = [str(exc)], max(1, count)  # a key that can refer to nothing at all
    if not count:
        return Result("done", "check_ok", problems=0)
    return Result("done", "orphans", {"count": count, "first": lines[0]}, lines, problems=count)
