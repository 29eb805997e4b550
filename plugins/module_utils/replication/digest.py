# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a database: schema, rows and a hash of the rows of each table, the same on every SQLite and Python."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted, schema_objects

ROWS = 1000


def digest(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the digest of what a connection sees, as plain JSON: ``schema`` and by table ``[rows, hash]``.

    A virtual table is hashed through the tables it keeps its content in.
    """
    # Text that is not UTF-8 is content too.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    objects = schema_objects(connection)
    versions = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")]
    schema = hashlib.sha256(json.dumps([sorted(objects.items()), versions]).encode()).hexdigest()
    plain = {
        name.partition(" ")[2]
        for name, sql in objects.items()
        if name.startswith("table ") and not sql.upper().startswith("CREATE VIRTUAL")
    }
    return {"schema": schema, "tables": {name: _rows(connection, name) for name in sorted(plain)}}


def _rows(connection: sqlite3.Connection, table: str) -> list[Any]:
    hasher, count = hashlib.sha256(), 0
    # By the table itself: in the order of its key, whichever index the planner of this version would like.
    rows = connection.execute(f"SELECT * FROM {quoted(table)} NOT INDEXED")
    while chunk := rows.fetchmany(ROWS):
        count += len(chunk)
        hasher.update("\n".join(map(repr, chunk)).encode("utf-8", "surrogateescape"))
        hasher.update(b"\n")
    return [count, hasher.hexdigest()]


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Say what is different there, table by table."""
    found = [] if here["schema"] == there["schema"] else ["the schema"]
    ours, theirs = here["tables"], there["tables"]
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in theirs:
            found.append(f"{name} is missing")
        elif name not in ours:
            found.append(f"{name} is there too")
        elif list(ours[name]) != list(theirs[name]):
            rows = f"{theirs[name][0]} rows, expected {ours[name][0]}"
            found.append(f"{name}: {rows if ours[name][0] != theirs[name][0] else 'other rows, as many'}")
    return found
