# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest proves a snapshot, and takes nothing else for one."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    Manifest,
    describe,
    manifest_path,
    read_manifest,
    schema_sha256,
    write_manifest,
)


@pytest.fixture
def snapshot(database: Path) -> Path:
    path = database.with_name("learning_20261123_020000.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    return path


def test_describe_write_read(snapshot: Path, database: Path) -> None:
    before = sorted(snapshot.parent.iterdir())
    manifest = describe(snapshot, snapshot, str(database), "2026-11-23T02:00:00Z")
    assert sorted(snapshot.parent.iterdir()) == before
    write_manifest(snapshot, manifest)
    assert read_manifest(snapshot) == manifest
    # By independent tools.
    known = subprocess.run(["sha256sum", str(snapshot)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert manifest.sha256 == known
    assert (manifest.bytes, manifest.page_size) == (snapshot.stat().st_size, 4096)
    assert (manifest.rows, manifest.newest) == ({"users": 0, "vocabulary": 50}, "2026-11-20")
    assert manifest_path(snapshot).stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in snapshot.parent.glob("*.partial")) == []


def test_schema_hash_is_of_the_application_alone(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        before = schema_sha256(connection)
        connection.execute("ANALYZE")
        assert schema_sha256(connection) == before
        connection.execute("CREATE INDEX more ON users (name)")
        assert schema_sha256(connection) != before


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "ops.snapshot/2"},
        {"sha256": "abc"},
        {"sha256": 5},
        {"bytes": 0},
        {"bytes": "12"},
        {"bytes": True},
        {"source": ""},
        {"created": "yesterday"},
        {"created": "2026-13-45T02:00:00Z"},
        {"created": "2026-11-23T02:00:00.5Z"},
        {"created": "2026-11-23T02:00:00+08:00"},
        {"page_size": 1000},
        {"schema_sha256": None},
        {"rows": {"a": -1}},
        {"rows": []},
        {"newest": 5},
        {"tools": {"sqlite": 3}},
    ],
)
def test_wrong_fields(snapshot: Path, change: dict) -> None:
    good = describe(snapshot, snapshot, "/db", "2026-11-23T02:00:00Z").as_dict()
    assert Manifest.from_dict({**good, "of a later release": 1}) == Manifest.from_dict(good)
    manifest_path(snapshot).write_text(json.dumps({**good, **change}))
    with pytest.raises(OpsError, match=next(iter(change))):
        read_manifest(snapshot)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"schema": "ops.snapshot/1"}', "x" * 2_000_000])
def test_what_is_no_manifest(snapshot: Path, text: str) -> None:
    assert read_manifest(snapshot) is None
    manifest_path(snapshot).write_text(text)
    with pytest.raises(OpsError, match=r"manifest"):
        read_manifest(snapshot)


def test_a_manifest_that_cannot_be_written_is_an_error(snapshot: Path) -> None:
    manifest = describe(snapshot, snapshot, "/db", "2026-11-23T02:00:00Z")
    manifest_path(snapshot).mkdir()
    with pytest.raises(OpsError, match="cannot be written"):
        write_manifest(snapshot, replace(manifest, sha256=hashlib.sha256().hexdigest()))
    assert not list(snapshot.parent.glob("*.partial"))
