# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup probe on real snapshots: fresh, old, shrunk, changed, unproved, half-made."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from databases import bad, make_database, tree

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    describe,
    manifest_path,
    read_manifest,
    write_manifest,
)

POINTER = "learning_latest.db"


def snapshot(directory: Path, hours: float, words: int = 50) -> Path:
    """Make one as the backup does: copy, manifest, nothing left over."""
    made = datetime.now(timezone.utc) - timedelta(hours=hours)
    path = directory / f"learning_{made:%Y%m%d_%H%M%S}.db"
    live = make_database(directory.parent / f"live{hours}.db", words)
    with closing(sqlite3.connect(live)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    live.unlink()
    write_manifest(path, describe(path, path, str(live), f"{made:%Y-%m-%dT%H:%M:%SZ}"))
    return path


@pytest.fixture
def backups(place: Path) -> Path:
    """Four nights, the newest three hours ago, and the pointer to it."""
    directory = place / "backups"
    directory.mkdir()
    for night in range(3, -1, -1):
        newest = snapshot(directory, 3 + 24 * night)
    (directory / POINTER).symlink_to(newest.name)
    return directory


def newest(backups: Path) -> Path:
    return sorted(path for path in backups.glob("learning_2*.db"))[-1]


def test_healthy(backups: Path, look) -> None:
    before = tree(backups)
    checks = look("backup", backups, pointer=POINTER)
    assert {check.id: check.status.name for check in checks.values()} == {
        f"backup.{name}": "OK"
        for name in ("directory", "manifest", "leftovers", "rejected", "age", "count", "size", "pointer", "sha256")
    }
    assert (checks["backup.count"].value, round(checks["backup.age"].value, 1)) == (4, 3)
    assert tree(backups) == before


def test_hashed_once_and_again_when_touched(backups: Path, look) -> None:
    path = newest(backups)
    assert look("backup", backups)["backup.sha256"].message == "backup.sha256_right"
    assert look("backup", backups)["backup.sha256"].message == "backup.sha256_before"
    seen = path.stat()
    with path.open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"!")
    # Not even a time set back hides it: the kernel keeps ctime.
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert bad(look("backup", backups)) == {"backup.sha256": ("CRITICAL", "backup.sha256_wrong")}
    assert bad(look("backup", backups)) == {"backup.sha256": ("CRITICAL", "backup.sha256_wrong")}


def test_truncated(backups: Path, look) -> None:
    os.truncate(newest(backups), 4096)
    assert bad(look("backup", backups)) == {"backup.sha256": ("CRITICAL", "backup.sha256_bytes")}


@pytest.mark.parametrize(("hours", "status"), [(25, "OK"), (27, "WARNING"), (51, "CRITICAL")])
def test_age(place: Path, look, hours: int, status: str) -> None:
    directory = place / "backups"
    directory.mkdir()
    for night in (2, 1, 0):
        path = snapshot(directory, hours + 24 * night)
    # A copy made now with the old manifest is as old as what is in it.
    os.utime(path)
    assert look("backup", directory)["backup.age"].status.name == status


def test_a_backup_from_the_future(backups: Path, look) -> None:
    path = newest(backups)
    later = datetime.now(timezone.utc) + timedelta(days=2)
    write_manifest(path, replace(read_manifest(path), created=f"{later:%Y-%m-%dT%H:%M:%SZ}"))
    assert bad(look("backup", backups)) == {"backup.age": ("WARNING", "backup.age_future")}


def test_half_the_size(backups: Path, look) -> None:
    snapshot(backups, 1, words=5)
    checks = look("backup", backups)
    assert bad(checks) == {"backup.size": ("WARNING", "backup.size_is")}
    assert -100 < checks["backup.size"].value < -50


def test_a_file_without_a_manifest_is_not_a_backup(backups: Path, look) -> None:
    manifest_path(newest(backups)).unlink()
    checks = look("backup", backups)
    assert bad(checks) == {
        "backup.manifest": ("WARNING", "backup.manifest_missing"),
        "backup.age": ("WARNING", "backup.age_is"),
    }
    assert newest(backups).name in checks["backup.manifest"].summary
    for path in backups.glob("*.manifest.json"):
        path.unlink()
    checks = look("backup", backups)
    assert bad(checks) == {
        "backup.manifest": ("WARNING", "backup.manifest_missing"),
        "backup.age": ("CRITICAL", "backup.age_none"),
    }
    assert "not backups" in checks["backup.manifest"].summary


def test_a_damaged_manifest(backups: Path, look) -> None:
    oldest = sorted(backups.glob("*.manifest.json"))[0]
    oldest.write_text(oldest.read_text()[:-20])
    assert bad(look("backup", backups)) == {"backup.manifest": ("CRITICAL", "backup.manifest_bad")}


def test_the_pointer(backups: Path, look) -> None:
    pointer = backups / POINTER

    def found() -> tuple[str, str]:
        return bad(look("backup", backups, pointer=POINTER))["backup.pointer"]

    pointer.unlink()
    assert found() == ("CRITICAL", "backup.pointer_missing")
    pointer.symlink_to("learning_gone.db")
    assert found() == ("CRITICAL", "backup.pointer_dangling")
    pointer.unlink()
    pointer.symlink_to(sorted(backups.glob("learning_2*.db"))[0].name)
    assert found() == ("WARNING", "backup.pointer_other")
    pointer.unlink()
    pointer.write_bytes(newest(backups).read_bytes())
    assert found() == ("WARNING", "backup.pointer_copy")
    pointer.unlink()
    os.link(newest(backups), pointer)
    assert bad(look("backup", backups, pointer=POINTER)) == {}


def test_leftovers(backups: Path, look) -> None:
    names = ["learning_1.db.partial", "learning_2.db-wal", "x.manifest.json.partial"]
    for name in names:
        (backups / name).write_bytes(b"half")
    assert bad(look("backup", backups)) == {}
    for name in names:
        os.utime(backups / name, (time.time() - 7200,) * 2)
    checks = look("backup", backups)
    assert bad(checks) == {"backup.leftovers": ("WARNING", "backup.leftovers_some")}
    assert checks["backup.leftovers"].evidence == names


def test_no_backups_at_all(place: Path, look) -> None:
    directory = place / "backups"
    assert bad(look("backup", directory)) == {"backup.directory": ("CRITICAL", "backup.directory_missing")}
    directory.mkdir()
    assert bad(look("backup", directory)) == {"backup.directory": ("CRITICAL", "backup.directory_empty")}
    (directory / "notes.txt").write_text("none yet")
    (directory / "learning.db").symlink_to("/etc/passwd")
    assert bad(look("backup", directory)) == {"backup.directory": ("CRITICAL", "backup.directory_empty")}
    assert bad(look("backup", directory / "notes.txt")) == {"backup.directory": ("CRITICAL", "backup.directory_kind")}
    snapshot(directory, 1)
    checks = look("backup", directory)
    assert bad(checks) == {"backup.count": ("WARNING", "backup.count_is")}
    assert checks["backup.size"].message == "backup.size_first"


def test_too_big_to_hash_here(backups: Path, look) -> None:
    check = look("backup", backups, hash_rate=0.001, hash_seconds=1)["backup.sha256"]
    assert (check.status, check.reason) == (Status.SKIPPED, "insufficient_data")
    assert look("backup", backups, hash=False)["backup.sha256"].message == "backup.sha256_off"


def test_a_snapshot_on_a_disk_that_hangs(backups: Path, look) -> None:
    """A file that cannot be read to its end in time: here a huge hole under a manifest of its length."""
    path = newest(backups)
    size = 40 * 2**30
    os.truncate(path, size)
    write_manifest(path, replace(read_manifest(path), bytes=size))
    started = time.monotonic()
    check = look("backup", backups, hash_rate=1e9, hash_seconds=0.3)["backup.sha256"]
    assert (check.status, check.message) == (Status.UNKNOWN, "backup.sha256_late")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "backups"}, "absolute"),
        ({"path": "/b", "patterns": []}, "patterns is empty"),
        ({"path": "/b", "pointer": "../x"}, "pointer"),
        ({"path": "/b", "hash_seconds": 0}, "hash_seconds is 0"),
        ({}, "path"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(OpsError, match=message):
        prepare({"kind": "backup", **options})
