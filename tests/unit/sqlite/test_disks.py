# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that fill up in the middle, cannot be written or go away, under each act on a database.

The disks are file systems of some megabytes, filled for real: by whoever is told that an act has come to a stage, which is
after the act looked for room.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import pytest
from bad_backups import FLOORS, make_snapshot
from bad_backups import fill as fill_words
from databases import make_database, tree
from sets import learn, words
from verdicts import found, verify

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed, OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain import checks
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain import options as maintenance
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.run import run as maintain
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import run as restoring
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot import backup as backing_up
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import read, scratch
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import run as verifying

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")

Mount = Callable[..., Path]


@pytest.fixture
def disk(place: Path) -> Iterator[Mount]:
    """Mount file systems of some megabytes."""
    mounted: list[Path] = []

    def mount(megabytes: float) -> Path:
        where = place / f"disk{len(mounted)}"
        where.mkdir()
        size = f"size={int(megabytes * (1 << 20))},mode=755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(where)], check=True)
        mounted.append(where)
        return where

    yield mount
    for where in mounted:
        subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.fixture
def failing(disk: Mount, place: Path) -> Iterator[Path]:
    """Mount a file system that has room, on a disk that has not: writing succeeds, and bringing it to the disk fails."""
    image, where = disk(12) / "image", place / "failing"
    where.mkdir()
    with image.open("wb") as stream:
        stream.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1", str(image)], check=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", str(image), str(where)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no loop device here: {mounted.stderr.strip()}")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def read_only(where: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(where)], check=True)


def fill_up(where: Path) -> Path:
    """Write a file until there is no room for another page."""
    ballast = where / "ballast"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with suppress(OSError):
        while os.write(descriptor, bytes(4096)):
            pass
    os.close(descriptor)
    return ballast


def filling(where: Path, stage: str) -> Tell:
    """Return who fills a disk up when told of that stage, but not of its beginning: that comes before the look for room."""

    def tell(told: str, done: float | None = None) -> None:
        if told == stage and done != 0.0:
            fill_up(where)

    return tell


def ask(path: Path, *statements: str) -> list[str]:
    """Ask with the sqlite3 command."""
    done = subprocess.run(["sqlite3", str(path), *statements], check=True, capture_output=True, text=True)
    return done.stdout.split()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


# ---------------------------------------------------------------- maintenance

CONTENT = ("PRAGMA integrity_check", "SELECT count(*), sum(id), max(word) FROM vocabulary", "PRAGMA freelist_count")


def care(path: Path, *actions: str, tell: Tell = silent, **chosen: Any) -> dict[str, Any]:
    defaults = {name: option.get("default") for name, option in maintenance.OPTIONS.items()}
    wanted = {**defaults, "path": str(path), "actions": list(actions), "force": True, "deadline": 60.0, **chosen}
    return maintain(wanted, False, tell)


def loose(path: Path, journal: str = "wal") -> Path:
    """A database of 5 MB of which half is unused."""
    make_database(path, 8000)
    change(path, f"PRAGMA journal_mode = {journal}", "DELETE FROM vocabulary WHERE id % 16 < 8")
    return path


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("full", ["database", "scratch"])
def test_full_in_the_middle_of_vacuum(
    disk: Mount, place: Path, application: Any, monkeypatch: pytest.MonkeyPatch, full: str, journal: str
) -> None:
    there = disk(40)
    directory = there if full == "database" else place / "storage"
    directory.mkdir(exist_ok=True)
    if full == "scratch":
        monkeypatch.setenv("SQLITE_TMPDIR", str(there))
        monkeypatch.setattr(checks, "CACHE_KIB", 1024)  # with more, so small a database never sees its temporary file
    path = loose(directory / "learning.db", journal)
    app = application(path)
    before = ask(path, *CONTENT)
    result = care(path, "integrity_check", "vacuum", max_stall_ms=0, tell=filling(there, "vacuum"))
    seen = result["actions"]["vacuum"]
    assert (seen["result"], seen["reason"]) == ("failed", "full"), seen
    assert not result["changed"]
    assert ask(path, *CONTENT) == before and before[0] == "ok"
    assert app.poll() is None
    (there / "ballast").unlink()
    assert care(path, "integrity_check", "vacuum", max_stall_ms=0)["actions"]["vacuum"]["result"] == "done"
    after = ask(path, *CONTENT)
    assert after == [*before[:-1], "0"]


def test_full_when_the_log_is_moved(disk: Mount, application: Any) -> None:
    there = disk(24)
    path = make_database(there / "learning.db", 10)
    grow = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) "
    grow += "INSERT INTO vocabulary (word) SELECT hex(randomblob(400)) FROM n"
    app = application(path, code=f"connection.execute('PRAGMA wal_autocheckpoint = 0'); connection.execute({grow!r})")
    before = ask(f"file:{path}?mode=ro", *CONTENT)
    fill_up(there)
    result = care(path, "wal_checkpoint", max_stall_ms=0)
    seen = result["actions"]["wal_checkpoint"]
    assert (seen["result"], seen["reason"]) == ("failed", "full"), seen
    (there / "ballast").unlink()
    assert care(path, "wal_checkpoint", max_stall_ms=0)["actions"]["wal_checkpoint"]["result"] == "done"
    assert app.poll() is None
    assert ask(path, *CONTENT) == before and before[0] == "ok"


# ---------------------------------------------------------------- backup


def back_up(path: Path, dest: Path, tell: Tell = silent, **chosen: Any) -> Any:
    defaults = {name: option.get("default") for name, option in backing_up.OPTIONS.items()}
    wanted = {**defaults, "service": "", "path": str(path), "dest": str(dest), **chosen}
    return backing_up.run(wanted, Deadline(30), tell, False, datetime.now(timezone.utc))


@pytest.fixture
def dest(place: Path) -> Path:
    directory = place / "backups"
    directory.mkdir(mode=0o750)
    return directory


def test_a_disk_that_fails_behind_the_copy(place: Path, dest: Path, failing: Path) -> None:
    """All of the copy is in memory and passes its checks there; only the disk knows that it is lost."""
    path = make_database(place / "learning.db", 40_000)
    assert path.stat().st_size > 20 << 20
    with pytest.raises(OpsError, match="No space left on device.*full or failing"):
        back_up(path, failing)
    assert [one.name for one in failing.iterdir() if one.name != "lost+found"] == []
    assert not back_up(path, dest).failed


KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("INSERT INTO vocabulary (word) VALUES ('only in the log')")
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave(path: Path, state: str) -> int:
    """Bring a database into a state in which nobody has it open; return how many words it holds."""
    if state == "closed":
        return 50
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    if state == "log without index":
        path.with_name(path.name + "-shm").unlink()
    return 51


def outcome_of_backup(path: Path, dest: Path, refused: str, rows: int, **options: Any) -> None:
    """Expect a backup with so many words in it, or the refusal that is named; the database is as it was either way."""
    before = without_index(path.parent)
    if refused:
        with pytest.raises(OpsError, match=refused):
            back_up(path, dest, **options)
        assert not list(dest.iterdir())
    else:
        assert not back_up(path, dest, **options).failed
        assert ask(dest / "learning_latest.db", "PRAGMA integrity_check") == ["ok"]
        assert ask(dest / "learning_latest.db", "SELECT count(*) FROM vocabulary") == [str(rows)]
    assert without_index(path.parent) == before


def without_index(directory: Path) -> dict[str, tuple]:
    """Return what must stay: a reader marks in -shm what it reads, and begins an empty log where there was none."""
    found = tree(directory)
    return {
        name: seen for name, seen in found.items() if not name.endswith(("-shm", "-wal")) or name[-1] == "l" and seen[3]
    }


# SQLite needs -shm to read what has a log; where it cannot be made, only a copy of the whole set elsewhere helps.
STATES = [("in use", False), ("log", False), ("closed", True), ("log without index", True)]


@pytest.mark.parametrize(("state", "refused"), STATES)
@pytest.mark.parametrize("engine", ["auto", "pinned_api", "vacuum_into"])
def test_backup_from_a_read_only_disk(
    disk: Mount, dest: Path, place: Path, application: Any, engine: str, state: str, refused: bool
) -> None:
    there = disk(24)
    path = make_database(there / "learning.db")
    if state == "in use":
        # Somebody writes at another mount of it.
        application(path)
        rows, seen = 51, place / "seen"
        seen.mkdir()
        subprocess.run(["mount", "--bind", str(there), str(seen)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(seen)], check=True)
    else:
        rows, seen = leave(path, state), there
        read_only(there)
    try:
        outcome_of_backup(
            seen / path.name, dest, "is on a file system that is read-only" * refused, rows, engine=engine
        )
    finally:
        if seen != there:
            subprocess.run(["umount", "-l", str(seen)], check=True)


@pytest.mark.parametrize(("state", "refused"), STATES)
def test_backup_where_the_database_has_a_full_disk(
    disk: Mount, dest: Path, application: Any, state: str, refused: bool
) -> None:
    """A full disk is when a backup to another one is wanted most."""
    there = disk(24)
    path = make_database(there / "learning.db")
    if state == "in use":
        application(path)
    rows = 51 if state == "in use" else leave(path, state)
    ballast = fill_up(there)
    outcome_of_backup(path, dest, "is on a file system that is full" * refused, rows)
    ballast.unlink()
    outcome_of_backup(path, dest, "", rows)


@pytest.mark.parametrize(
    ("compress", "stage"),
    [("none", "copy"), ("gzip", "copy"), ("gzip", "compress"), ("zstd", "copy"), ("zstd", "compress")],
)
def test_backup_to_a_disk_that_fills_up(disk: Mount, place: Path, compress: str, stage: str) -> None:
    there = disk(40)
    path = make_database(place / "learning.db", 4000)
    change(path, "UPDATE vocabulary SET word = hex(randomblob(300))")
    back_up(path, there, compress=compress)
    before = tree(there)
    # A small copy may be whole before there is no room left: then its manifest cannot be written.
    with pytest.raises(OpsError, match="full|No space left"):
        back_up(path, there, compress=compress, verify="none", tell=filling(there, stage))
    (there / "ballast").unlink()
    assert {name: seen for name, seen in tree(there).items() if name != "ballast"} == before
    assert not back_up(path, there, compress=compress).failed


# ---------------------------------------------------------------- verification


@pytest.fixture
def live(place: Path) -> Path:
    path = place / "storage" / "learning.db"
    path.parent.mkdir()
    return fill_words(path)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_verify_on_a_read_only_disk(
    disk: Mount, live: Path, place: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(scratch, "FALLBACK", elsewhere)
    there = disk(24)
    snapshot = make_snapshot(live, there / "backups", suffix)
    read_only(there)
    before = tree(there)
    assert verify(snapshot).ok
    assert verify(snapshot, schema_of=str(live)).ok
    assert tree(there) == before and not list(elsewhere.iterdir())


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_verify_where_the_scratch_fills_up(
    disk: Mount, live: Path, place: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = disk(24)
    snapshot = make_snapshot(live, place / "backups", suffix)
    before = tree(snapshot.parent)
    looked = read.Reading._room

    def room(*arguments: Any) -> None:
        looked(*arguments)
        fill_up(there)

    monkeypatch.setattr(read.Reading, "_room", room)
    verdict = verify(snapshot, scratch=str(there))
    assert not verdict.ok and found(verdict) == {"snapshot.scratch": "snapshot.scratch_failed"}
    assert tree(snapshot.parent) == before
    assert [path.name for path in there.iterdir()] == ["ballast"]
    (there / "ballast").unlink()
    monkeypatch.undo()
    assert verify(snapshot, scratch=str(there)).ok


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_verify_what_is_removed_meanwhile(live: Path, place: Path, suffix: str) -> None:
    snapshot = make_snapshot(live, place / "backups", suffix)

    def tell(_stage: str, _done: float | None = None) -> None:
        shutil.rmtree(snapshot.parent, ignore_errors=True)

    verdict = verifying.verify({"path": str(snapshot), "floors": FLOORS}, Deadline(30), tell)
    assert not verdict.ok and found(verdict), found(verdict)


# ---------------------------------------------------------------- restore


def restore(snapshot: Path, path: Path, tell: Tell = silent) -> Any:
    spec = {"snapshot": str(snapshot), "path": str(path), "confirm": "tutor1", "host": "tutor1", "floors": FLOORS}
    return restoring.restore(spec, Deadline(60), tell)


@pytest.mark.parametrize("suffix", ["", ".zst"])
@pytest.mark.parametrize("stage", ["unpack", "compare", "stage", "prove_free", "replace", "prove"])
def test_restore_where_the_disk_fills_up(disk: Mount, live: Path, place: Path, stage: str, suffix: str) -> None:
    """Either the snapshot is in place whole, or the former database is; and the next run has its way."""
    there = disk(24)
    snapshot = make_snapshot(live, place / "backups", suffix)
    path = Path(shutil.copy(live, there))
    learn(path)
    stages: list[str] = []

    def tell(told: str, _done: float | None = None) -> None:
        stages.append(told)
        if told == stage or (stage == "unpack" and _done is not None):
            fill_up(there)

    try:
        restore(snapshot, path, tell)
    except ActionFailed as exc:
        said = str(exc)
    else:
        said = ""
    if said:
        assert re.search("No space left|has 0 B free", said), said
        assert words(path) == ["later"]
        assert not list(there.glob(".*")), "a journal that is none would stop the next run"
    else:
        assert stage not in ("unpack", "compare") and words(path) == []
    assert (there / "ballast").exists(), stages
    (there / "ballast").unlink()
    restore(snapshot, path)
    assert words(path) == []
    assert not [one.name for one in there.iterdir() if "staged" in one.name or one.suffix == ".json"]


def test_restore_into_a_directory_that_goes_away(live: Path, place: Path) -> None:
    snapshot = make_snapshot(live, place / "backups")
    learn(live)
    moved = place / "moved"

    def tell(stage: str, _done: float | None = None) -> None:
        if stage == "compare":
            live.parent.rename(moved)

    with pytest.raises(ActionFailed, match=str(live.parent)):
        restore(snapshot, live, tell)
    assert not live.parent.exists(), "nothing is made anew where the directory was"
    assert words(moved / live.name) == ["later"]
    moved.rename(live.parent)
    restore(snapshot, live)
    assert words(live) == []
