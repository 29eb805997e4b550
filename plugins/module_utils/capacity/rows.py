# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rows the tables have that grow with the users."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.look import Past
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import (
    BUSY_SECONDS,
    PROGRESS_STEPS,
    NoTraceless,
    become,
    how_to_open,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted

NEW_DAYS = 7
# Fewer rows, and one more or less is a tenth.
JUDGED_ROWS = 100


def validate(growth: Sequence[Mapping[str, Any]]) -> None:
    """Raise OpsError for an entry that names no rows."""
    for entry in growth:
        if bool(entry["table"]) == bool(entry["query"]):
            raise OpsError(f"growth: {entry['name']}: expected either a table or a query")
        if entry["query"] and entry["query"].lstrip().split(None, 1)[0].upper() not in ("SELECT", "WITH"):
            raise OpsError(f"growth: {entry['name']}: {entry['query']!r}: expected a SELECT of one number")
        if entry["created"] and not entry["table"]:
            raise OpsError(f"growth: {entry['name']}: created is a column of a table: expected table beside it")


def judge_rows(say: Reporter, spec: Mapping[str, Any], past: Past, deadline: Deadline) -> Iterator[Check]:
    """Count what is declared, as the database's owner in a child process, and judge the growth."""
    path, growth = spec["database"], spec["growth"]
    if not path or not growth:
        return
    real = os.path.realpath(path)
    seconds = max(0.1, deadline.remaining() - 0.5)
    try:
        seen = os.stat(real)
    except OSError as exc:
        yield say.find("capacity.rows", Status.UNKNOWN, "capacity.not_opened", path, "missing", error=exc.strerror)
        return
    outcome = run_isolated(lambda: count(real, growth, (seen.st_uid, seen.st_gid), seconds), seconds + 0.3)
    if outcome.timed_out or outcome.error:
        error = outcome.error.strip().splitlines()[-1] if outcome.error else f"no answer within {outcome.seconds:.0f} s"
        reason = "timeout" if outcome.timed_out else "error"
        yield say.find("capacity.rows", Status.UNKNOWN, "capacity.not_opened", path, reason, error=error)
        return
    if outcome.value["error"]:
        yield say.find("capacity.rows", Status.UNKNOWN, "capacity.not_opened", path, error=outcome.value["error"])
        return
    for name, (rows, new, error) in outcome.value["rows"].items():
        if error:
            yield say.find("capacity.rows", Status.WARNING, "capacity.not_counted", name, "missing", error=error)
            continue
        sentence = "capacity.counted" if new is None else "capacity.counted_new"
        yield say.find("capacity.rows", Status.OK, sentence, name, value=rows, new=new)
        yield _growth(say, name, rows, past)


def _growth(say: Reporter, name: str, rows: float, past: Past) -> Check:
    change, points = past.change(rows, f"capacity.rows|{name}")
    if change is None:
        return say.find(
            "capacity.rows_growth", Status.OK, "capacity.grows_new", name, "insufficient_data", points=points
        )
    before = rows - change
    value = 100.0 * change / max(1.0, before)
    words: dict[str, Any] = {"change": change, "points": points, "rows": int(rows)}
    if before < JUDGED_ROWS:
        return say.find("capacity.rows_growth", Status.OK, "capacity.rows_few", name, value=value, **words)
    return say.measure("capacity.rows_growth", value, "capacity.rows_grow", name, **words)


def count(path: str, growth: Sequence[Mapping[str, Any]], user: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Return for each entry ``[rows, rows made within a week or None, error]``; to be called in a child process.

    Leaves no file behind and changes nothing (see ``sqlite/look.py``). A count that takes too long is an error.
    """
    rows: dict[str, list[Any]] = {}
    end = time.monotonic() + seconds
    try:
        become(*user)
        with closing(connect(path, "ro", BUSY_SECONDS, how_to_open(path))) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            connection.set_progress_handler(lambda: time.monotonic() > end, PROGRESS_STEPS)
            for entry in growth:
                try:
                    new = _number(connection, _new_query(entry)) if entry["created"] else None
                    rows[entry["name"]] = [_number(connection, _query(entry)), new, ""]
                except (sqlite3.Error, ValueError) as exc:
                    rows[entry["name"]] = [None, None, str(exc)]
    except (sqlite3.Error, OSError, NoTraceless) as exc:
        return {"rows": {}, "error": str(exc)}
    return {"rows": rows, "error": ""}


def _query(entry: Mapping[str, Any]) -> str:
    return str(entry["query"]) or f"SELECT count(*) FROM {quoted(entry['table'])}"


def _new_query(entry: Mapping[str, Any]) -> str:
    column = f"{quoted(entry['table'])}.{quoted(entry['created'])}"
    return f"{_query(entry)} WHERE {column} >= datetime('now', '-{NEW_DAYS} days')"


def _number(connection: sqlite3.Connection, query: str) -> float:
    row = connection.execute(query).fetchone()
    if row is None or len(row) != 1 or not isinstance(row[0], (int, float)):
        raise ValueError(f"{query!r} gave {row!r}: expected one number")
    return row[0]
