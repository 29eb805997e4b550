# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what proves a snapshot. A file without one is not a backup.

A snapshot gets its name when its manifest is there, and is proved before that: what has both is complete.
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
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect

SCHEMA = "ops.snapshot/1"
SUFFIX = ".manifest.json"
# What a snapshot is called until it is proved; one that keeps this name is what an interrupted backup left.
PARTIAL = ".partial"
# Columns that say when a row was written, in the applications this operates.
STAMPS = ("created_at", "updated_at", "last_review_date")
HASH_CHUNK = 1 << 20
PAGE_SIZES = {1 << power for power in range(9, 17)}
# A manifest has a line per table; anything bigger is another file.
MAX_BYTES = 1 << 20

Give = Callable[[int], None]

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Python 3.9 reads three or six digits of a second, no others.
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?Z")


@dataclass(frozen=True)
class Manifest:
    """The manifest of one snapshot.

    ``sha256`` and ``bytes`` are those of the file as it lies there (compressed, if it is), ``database_sha256`` and
    ``database_bytes`` those of the database in it; ``rows`` counts each table; ``newest`` is the latest of all stamps in
    the rows, as the application writes them; times are UTC. ``journal_mode`` is the one of the live database: a snapshot
    is in none that makes other files. ``set`` and ``members`` name the snapshots that were made together, ``complete``
    tells whether all of them are good. ``verified`` is the level of the check it passed (``full``, ``quick``, ``none``).
    A manifest of ``kind`` ``files`` is one of an archive: it counts its ``entries`` and has no page, schema or row.
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
    kind: str = "database"
    engine: str = ""
    journal_mode: str = ""
    compress: str = "none"
    database_sha256: str = ""
    database_bytes: int = 0
    application_id: int = 0
    foreign_keys: int = 0
    verified: str = ""
    set: str = ""
    members: list[str] = field(default_factory=list)
    complete: bool = True
    entries: int = 0

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
        for name, good in manifest._right().items():
            if not good:
                raise OpsError(f"manifest: {name} is {getattr(manifest, name)!r}, which cannot be")
        return manifest

    def _right(self) -> dict[str, bool]:
        """Tell of each field whether it can be."""
        is_database = self.kind == "database"
        texts = {name: getattr(self, name) for name in ("engine", "journal_mode", "compress", "verified", "set")}
        return {
            "kind": self.kind in ("database", "files"),
            "sha256": _is_sha256(self.sha256),
            "bytes": _count(self.bytes) and self.bytes > 0,
            "source": isinstance(self.source, str) and bool(self.source),
            "created": _moment(self.created) is not None,
            "page_size": _count(self.page_size) and (self.page_size in PAGE_SIZES or not is_database),
            "user_version": isinstance(self.user_version, int),
            "schema_sha256": _is_sha256(self.schema_sha256) or (self.schema_sha256 == "" and not is_database),
            "rows": isinstance(self.rows, dict)
            and all(isinstance(name, str) and _count(n) for name, n in self.rows.items()),
            "newest": self.newest is None or isinstance(self.newest, str),
            "tools": isinstance(self.tools, dict) and all(isinstance(text, str) for text in self.tools.values()),
            **{name: isinstance(text, str) for name, text in texts.items()},
            "database_sha256": self.database_sha256 == "" or _is_sha256(self.database_sha256),
            "application_id": isinstance(self.application_id, int),
            "members": isinstance(self.members, list) and all(isinstance(name, str) for name in self.members),
            "complete": isinstance(self.complete, bool),
            **{name: _count(getattr(self, name)) for name in ("database_bytes", "foreign_keys", "entries")},
        }


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


def write_manifest(snapshot: Path, manifest: Manifest, give: Give | None = None) -> Path:
    """Write the manifest beside its snapshot, whole or not at all, and return its path.

    ``give`` gets the open file, to set its owner before anything is in it.
    """
    path = manifest_path(snapshot)
    partial = path.with_name(path.name + PARTIAL)
    text = json.dumps(manifest.as_dict(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        with open(descriptor, "w", encoding="utf-8") as stream:
            if give is not None:
                give(descriptor)
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


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and bool(_SHA256.fullmatch(value))


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
