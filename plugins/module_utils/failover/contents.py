# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a database that nobody can change any more: a hash of the file, and of the rows of each table.

Litestream restores a database byte by byte as it was after ``wal_checkpoint(TRUNCATE)``, so the hash of the file is the
whole proof: 0.9 s of a gigabyte, where its three million rows take 5 s. Rows tell which table differs when the file does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.digest import differences, digest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted, sha256, tables

# Up to here the rows are hashed beside the file: a third of a second.
ROWS_BYTES = 64 << 20
# What Litestream keeps in each database it replicates, and nobody reads.
OWN = "_litestream_"


def hashed(path: str) -> dict[str, Any]:
    """Return sha256 and length of a file."""
    return {"sha256": sha256(Path(path)), "bytes": os.path.getsize(path)}


def contents(path: str) -> tuple[dict[str, Any], int]:
    """Return the digest of a database that nobody has open, and the number of its rows; reads it without a trace."""
    file = hashed(path)
    with closing(connect(path, "ro", 0.0, "immutable=1")) as connection:
        if file["bytes"] > ROWS_BYTES:
            counts = [
                connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]
                for name in tables(connection)
                if not name.startswith(OWN)
            ]
            return {"file": file}, sum(counts)
        found = rows_of(connection)
    return {"file": file, **found}, sum(count for count, _hash in found["tables"].values())


def rows_of(connection: Any) -> dict[str, Any]:
    """Return schema and tables as the replication's digest has them, without Litestream's own tables."""
    found = digest(connection)
    return {**found, "tables": {name: told for name, told in found["tables"].items() if not name.startswith(OWN)}}


def differing(wanted: Mapping[str, Any], path: str) -> list[str]:
    """Say in what a database that nobody has open is not what was digested elsewhere; nothing when it is the same."""
    file = wanted.get("file")
    if file and hashed(path) == dict(file):
        return []
    if "tables" not in wanted:
        return ["the file"]
    with closing(connect(path, "ro", 0.0, "immutable=1")) as connection:
        here = rows_of(connection)
    ours = {name: told for name, told in wanted["tables"].items() if not name.startswith(OWN)}
    return differences({"schema": wanted["schema"], "tables": ours}, here)


def checked(data: Any) -> dict[str, Any] | None:
    """Read a digest that was handed on; raise OpsError for what cannot be one. None for none."""
    if not data:
        return None
    found: dict[str, Any] = {}
    try:
        if data.get("file"):
            found["file"] = {"sha256": str(data["file"]["sha256"]), "bytes": int(data["file"]["bytes"])}
        if data.get("tables") is not None:
            found["schema"] = str(data["schema"])
            found["tables"] = {str(name): [int(rows), str(text)] for name, (rows, text) in data["tables"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise OpsError(f"digest: expected what ops_quiesce returned as digest; {exc!r}") from exc
    if not found:
        raise OpsError("digest: expected what ops_quiesce returned as digest, with file or tables in it")
    return found
