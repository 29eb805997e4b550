# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the present database with a snapshot: what a restore gives up, and whether it would change anything."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import BUSY_SECONDS, become, how_to_open
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted, schema_objects, tables


@dataclass
class Comparison:
    """Rows by table, of the present database (``before``) and of the snapshot; ``error`` when they cannot be counted."""

    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    same: bool = False
    error: str = ""


def compare(present: Path, snapshot: Path, deadline: Deadline) -> Comparison:
    """Compare as the owner of the present database, leaving no trace; a damaged one is a result with an ``error``."""
    outcome = run_isolated(lambda: _compare(present, snapshot), deadline.remaining())
    if isinstance(outcome.value, dict):
        return Comparison(**outcome.value)
    error = "out of time" if outcome.timed_out else (outcome.error.strip().splitlines() or ["no answer"])[-1]
    return Comparison(error=error[-200:])


def _compare(present: Path, snapshot: Path) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    with closing(connect(snapshot, "ro", 0.0, "immutable=1")) as new:
        # Opened before root is given up: the snapshot may not be for the owner's eyes.
        wanted = schema_objects(new)
        answer["after"] = _rows(new)
        try:
            seen = os.stat(present)
            become(seen.st_uid, seen.st_gid)
            with closing(connect(present, "ro", BUSY_SECONDS, how_to_open(str(present)))) as old:
                old.execute("BEGIN")
                answer["before"] = _rows(old)
                alike = schema_objects(old) == wanted and answer["before"] == answer["after"]
                answer["same"] = alike and _sound(old) and all(_equal(old, new, table) for table in tables(new))
        except (sqlite3.Error, UnicodeDecodeError, OSError, OpsError) as exc:
            answer["error"] = str(exc)
    return answer


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    names = tables(connection)
    return {name: connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for name in names}


def _sound(connection: sqlite3.Connection) -> bool:
    """A database with damaged indexes has the same rows, and is what somebody wants to get rid of."""
    return [row[0] for row in connection.execute("PRAGMA integrity_check(1)")] == ["ok"]


def _equal(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> bool:
    """Tell whether two tables hold the same rows, in the order of their keys, by value and type."""
    return all(one == other for one, other in zip(_content(old, table), _content(new, table)))


def _content(connection: sqlite3.Connection, table: str) -> Iterator[list[tuple[type, Any]]]:
    for row in connection.execute(f"SELECT * FROM {quoted(table)} NOT INDEXED"):
        yield [(type(value), value) for value in row]
