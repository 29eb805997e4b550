# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what proves a snapshot. A file without one is not a backup.

It is written last, so that it also says that the snapshot beside it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect

SCHEMA = "ops.snapshot/1"
SUFFIX = ".manifest.json"
# What a snapshot is called until it is proved; one that keeps this name is what an interrupted backup left.
PARTIAL = ".partial"
# Columns that say when a row was written, in the applications this operates.
STAMPS = ("created_at", "updated_at", "last_review_date")
HASH_CHUNK = 1 << 20
# A manifest has a line per table; anything bigger is another file.
MAX_BYTES = 1 << 20

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Python 3.9 reads three or six digits of a second, no others.
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?Z")


@dataclass(frozen=True)
class Manifest:
    """The manifest of one snapshot.

    ``sha256`` and ``bytes`` are those of the file as it lies there (compressed, if it is); ``rows`` counts each table;
    ``newest`` is the latest of all stamps in the rows, as the application writes them; times are UTC.
    """

    sha256: str
    bytes: int
    source: str
    created: str
    page_size: int
    user_version: int
    schema_sha256: str
    rows: dict[str, int]
    newest: str | None = None
    tools: dict[str, str] = field(default_factory=dict)
    schema: str = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)

    @property
    def made(self) -> float:
        """When the snapshot was made, in seconds since 1970."""
        return _moment(self.created) or 0.0

    @classmethod
    def from_dict(cls, data: Any) -> Manifest:
        """Check and read the data of a manifest; raise OpsError that names the first wrong field."""
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise OpsError(
                f"not a manifest of {SCHEMA}: seen schema {data.get('schema') if isinstance(data, dict) else data!r}"
            )
        known = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        try:
            manifest = cls(**known)
        except TypeError as exc:
            raise OpsError(f"manifest is incomplete: {exc}") from exc
        rows, tools = manifest.rows, manifest.tools
        right = {
            "sha256": isinstance(manifest.sha256, str) and bool(_SHA256.fullmatch(manifest.sha256)),
            "bytes": _count(manifest.bytes) and manifest.bytes > 0,
            "source": isinstance(manifest.source, str) and bool(manifest.source),
            "created": _moment(manifest.created) is not None,
            "page_size": _count(manifest.page_size) and manifest.page_size in {1 << power for power in range(9, 17)},
            "user_version": isinstance(manifest.user_version, int),
            "schema_sha256": isinstance(manifest.schema_sha256, str)
            and bool(_SHA256.fullmatch(manifest.schema_sha256)),
            "rows": isinstance(rows, dict) and all(isinstance(name, str) and _count(n) for name, n in rows.items()),
            "newest": manifest.newest is None or isinstance(manifest.newest, str),
            "tools": isinstance(tools, dict) and all(isinstance(text, str) for text in tools.values()),
        }
        for name, good in right.items():
            if not good:
                raise OpsError(f"manifest: {name} is {known[name]!r}, which cannot be")
        return manifest


def describe(database: Path, snapshot: Path, source: str, created: str) -> Manifest:
    """Make the manifest of a snapshot.

    ``database`` is the private, uncompressed copy nobody else has open, ``snapshot`` the file that stays; they are the
    same unless the snapshot is compressed. ``source`` is the path of the live database, ``created`` UTC.
    """
    with closing(connect(database, "ro", 0.0, "immutable=1")) as connection:
        names = tables(connection)
        return Manifest(
            sha256=sha256(snapshot),
            bytes=snapshot.stat().st_size,
            source=source,
            created=created,
            page_size=connection.execute("PRAGMA page_size").fetchone()[0],
            user_version=connection.execute("PRAGMA user_version").fetchone()[0],
            schema_sha256=schema_sha256(connection),
            rows={name: connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for name in names},
            newest=newest_stamp(connection, names),
            tools={"sqlite": sqlite3.sqlite_version, "python": platform.python_version()},
        )


def manifest_path(snapshot: Path) -> Path:
    """Return where the manifest of a snapshot lies."""
    return snapshot.with_name(snapshot.name + SUFFIX)


def write_manifest(snapshot: Path, manifest: Manifest) -> Path:
    """Write the manifest beside its snapshot, whole or not at all, and return its path."""
    path = manifest_path(snapshot)
    partial = path.with_name(path.name + PARTIAL)
    text = json.dumps(manifest.as_dict(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as exc:
        partial.unlink(missing_ok=True)
        raise OpsError(
            f"manifest {path} cannot be written: {exc.strerror}; the snapshot is no backup without it"
        ) from exc
    return path


def read_manifest(snapshot: Path) -> Manifest | None:
    """Return the manifest of a snapshot, None when there is none; raise OpsError when it cannot be one."""
    path = manifest_path(snapshot)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise OpsError(f"manifest {path} cannot be read: {exc.strerror}") from exc
    if len(raw) > MAX_BYTES:
        raise OpsError(f"manifest {path} has more than {MAX_BYTES} bytes: this is another file")
    try:
        return Manifest.from_dict(json.loads(raw))
    except (ValueError, RecursionError) as exc:
        raise OpsError(f"manifest {path} is not JSON: {exc}") from exc
    except OpsError as exc:
        raise OpsError(f"{path}: {exc}") from exc


def sha256(path: Path) -> str:
    """Return the sha256 of a file; raises OSError. About 0.7 GB/s of a cached file."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(HASH_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def schema_objects(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the SQL of each table, index, trigger and view by ``type name``.

    Without SQLite's own tables: ANALYZE makes ``sqlite_stat1``, and statistics are no change of the schema.
    """
    rows = connection.execute(
        "SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "ORDER BY type, name"
    )
    return dict(rows.fetchall())


def schema_sha256(connection: sqlite3.Connection) -> str:
    """Return one hash of the whole schema."""
    return hashlib.sha256("\n".join(schema_objects(connection).values()).encode()).hexdigest()


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the application's tables."""
    return [name[len("table ") :] for name in schema_objects(connection) if name.startswith("table ")]


def newest_stamp(connection: sqlite3.Connection, names: list[str]) -> str | None:
    """Return the latest stamp in the rows of some tables; text of one form sorts as time does."""
    newest: list[str] = []
    for name in names:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({quoted(name)})")}
        for column in sorted(columns & set(STAMPS)):
            (stamp,) = connection.execute(f"SELECT max({quoted(column)}) FROM {quoted(name)}").fetchone()
            newest += [stamp] if isinstance(stamp, str) else []
    return max(newest, default=None)


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _moment(text: Any) -> float | None:
    """Return a time of the manifest's form in seconds since 1970, None for anything else."""
    if not isinstance(text, str) or not _CREATED.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
