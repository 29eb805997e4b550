# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots, and the ways in which backups go bad."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    describe,
    manifest_path,
    read_manifest,
    sha256,
    write_manifest,
)

SCHEMA = """
CREATE TABLE vocabulary (id INTEGER PRIMARY KEY, word TEXT NOT NULL, meaning TEXT, language TEXT, created_at TEXT);
CREATE TABLE learning_records (
    id INTEGER PRIMARY KEY,
    vocabulary_id INTEGER REFERENCES vocabulary (id),
    strength REAL,
    created_at TEXT
);
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
CREATE INDEX words ON vocabulary (word);
CREATE INDEX records ON learning_records (vocabulary_id, created_at);
"""
FLOORS = {"vocabulary": 1, "learning_records": 1}
PACKED = {"": "none", ".gz": "gzip", ".zst": "zstd"}


def fill(path: Path, words: int = 300) -> Path:
    """Make a database in WAL mode with tables that refer to each other, closed properly."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 7200))
        connection.executemany(
            "INSERT INTO vocabulary (word, meaning, language, created_at) VALUES (?, ?, ?, ?)",
            ((f"word {n:05d} " + "x" * 200, "意思" * 40, ("english", "japanese")[n % 2], stamp) for n in range(words)),
        )
        connection.executemany(
            "INSERT INTO learning_records (vocabulary_id, strength, created_at) VALUES (?, ?, ?)",
            ((1 + n % words, n / 7, stamp) for n in range(words * 3)),
        )
        connection.execute("COMMIT")
    return path


def utc(hours_ago: float = 0.0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - hours_ago * 3600))


def make_snapshot(live: Path, directory: Path, suffix: str = "", hours_ago: float = 1.0) -> Path:
    """Make a snapshot with its manifest as a backup does; it says WAL, as a live database does."""
    directory.mkdir(exist_ok=True)
    plain = directory / "learning_20261123T020000Z.db"
    with closing(sqlite3.connect(live)) as connection:
        connection.execute("VACUUM INTO ?", (str(plain),))
    snapshot = pack(plain, suffix)
    write_manifest(snapshot, describe(plain, snapshot, str(live), utc(hours_ago)))
    if snapshot != plain:
        plain.unlink()
    return snapshot


def pack(plain: Path, suffix: str) -> Path:
    packed = plain.with_name(plain.name + suffix)
    if suffix == ".gz":
        packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    elif suffix == ".zst":
        subprocess.run(["zstd", "-qf", str(plain), "-o", str(packed)], check=True)
    return packed


def amend(snapshot: Path, **changes: Any) -> None:
    """Write other values into a manifest."""
    manifest = read_manifest(snapshot)
    assert manifest
    manifest_path(snapshot).unlink()
    write_manifest(snapshot, replace(manifest, **changes))


def agree(snapshot: Path) -> None:
    """Let the manifest agree with the file, as if the damage had been there when the backup was made."""
    amend(snapshot, sha256=sha256(snapshot), bytes=max(1, snapshot.stat().st_size))


def agree_in_all(snapshot: Path) -> None:
    """Let the manifest agree with everything that is in the file."""
    made = read_manifest(snapshot)
    assert made
    amend(snapshot, **{**describe(snapshot, snapshot, made.source, made.created).as_dict()})


def root_page(path: Path, name: str) -> tuple[int, int]:
    """Return the root page of a table or index, and the page size."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        return page, connection.execute("PRAGMA page_size").fetchone()[0]


def flip(path: Path, offset: int, bit: int = 0) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ (1 << bit)]))


def change(path: Path, sql: str) -> None:
    """Run statements on a snapshot, which stays one file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.executescript(sql)


def truncated(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size * 2 // 3 // 4096 * 4096)


def flipped_in_a_table(path: Path) -> None:
    """Flip the page type of the table's root page."""
    page, page_size = root_page(path, "vocabulary")
    flip(path, (page - 1) * page_size, 3)


def flipped_in_an_index(path: Path) -> None:
    """Flip a letter of a key on a leaf of the index: its order or its row is not the table's any more."""
    data = path.read_bytes()
    _page, page_size = root_page(path, "words")
    start = next(
        number * page_size
        for number in range(1, len(data) // page_size)
        if data[number * page_size] == 0x0A and b"word 0" in data[number * page_size : (number + 1) * page_size]
    )
    flip(path, data.index(b"word 0", start) + 2, 1)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def old(path: Path) -> None:
    amend(path, created=utc(24 * 9))


def other_schema(path: Path) -> None:
    change(path, "ALTER TABLE users ADD COLUMN email TEXT")


def table_missing(path: Path) -> None:
    change(path, "DROP TABLE learning_records")


def rows_missing(path: Path) -> None:
    change(path, "DELETE FROM learning_records")


def wrong_sha256(path: Path) -> None:
    amend(path, sha256="0" * 64)


def cut_stream(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size * 9 // 10)


Damage = Callable[[Path], None]
# The ten, as the issue names them; the last one is of compressed snapshots.
DAMAGES: dict[str, Damage] = {
    "truncated": truncated,
    "bit flip in a table page": flipped_in_a_table,
    "bit flip in an index": flipped_in_an_index,
    "0 bytes": emptied,
    "valid but old": old,
    "other schema": other_schema,
    "missing table": table_missing,
    "rows missing": rows_missing,
    "wrong sha256": wrong_sha256,
    "compressed stream cut": cut_stream,
}


def copy_of(snapshot: Path, directory: Path) -> Path:
    directory.mkdir()
    shutil.copy(manifest_path(snapshot), directory)
    return Path(shutil.copy(snapshot, directory))


def told(snapshot: Path) -> dict[str, Any]:
    return dict(json.loads(manifest_path(snapshot).read_text(encoding="utf-8")))
