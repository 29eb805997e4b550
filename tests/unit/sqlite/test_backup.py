# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup module on real databases: what it makes, what it refuses, what it leaves alone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import pytest
from databases import OTHER, bad, give, make_database, tree

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import silent, teller
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    manifest_path,
    read_manifest,
    sha256,
    write_manifest,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot import compress as compression
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.backup import OPTIONS, prepare
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.backup import run as run_backup
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.dest import Destination

POINTER = "learning_latest.db"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

Backup = Callable[..., dict[str, Any]]


def defaults(database: Path, dest: Path) -> dict[str, Any]:
    """Return the options of a run without any wish, but for the hours that nothing of a test would outlive."""
    options = {name: spec.get("default") for name, spec in OPTIONS.items()}
    return {**options, "keep": {"hours": 0}, "service": "", "path": str(database), "dest": str(dest)}


@pytest.fixture
def dest(place: Path) -> Path:
    directory = place / "backups"
    directory.mkdir()
    return directory


@pytest.fixture
def backup(database: Path, dest: Path) -> Backup:
    """Make a backup, as the module does; every finding must read well in both languages."""

    def run(deadline: float = 30, progress: str = "", check_mode: bool = False, **options: Any) -> dict[str, Any]:
        wanted = {**defaults(database, dest), **options}
        try:
            made = run_backup(wanted, Deadline(deadline), teller(progress), check_mode, datetime.now(timezone.utc))
        except OpsError as exc:
            return {"failed": True, "msg": str(exc)}
        for check in made.checks:
            for locale in ("en", "zh"):
                assert "{" not in AREA.sentences[check.message].render(locale, check.words), check.message
        return {**made.as_dict(), "failed": bool(made.failed), "msg": made.failed}

    return run


def statuses(result: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return bad({data["id"]: Check.from_dict(data) for data in result["checks"]})


def snapshots(dest: Path) -> list[str]:
    """Return what anybody may take for a backup: files with a manifest that is theirs."""
    found = []
    for path in sorted(dest.iterdir()):
        if path.is_file() and not path.is_symlink() and re.search(r"\.db(\.gz|\.zst)?$", path.name):
            manifest = read_manifest(path)
            assert manifest is not None, f"{path.name} is a snapshot without a manifest"
            assert (manifest.bytes, manifest.sha256) == (path.stat().st_size, sha256(path))
            found.append(path.name)
    return found


def age(dest: Path, name: str, days: float) -> str:
    """Make a snapshot older, in its name and its manifest."""
    made = datetime.now(timezone.utc) - timedelta(days=days)
    older = f"learning_{made:%Y%m%dT%H%M%SZ}.db"
    path = dest / name
    data = json.loads(manifest_path(path).read_text())
    data.update(created=f"{made:%Y-%m-%dT%H:%M:%S}.000Z", members=[older], set=f"of {older}")
    path.rename(dest / older)
    manifest_path(path).unlink()
    manifest_path(dest / older).write_text(json.dumps(data))
    return older


def test_manifest(backup: Backup, database: Path, dest: Path) -> None:
    snapshot = backup()["snapshot"]
    manifest = read_manifest(Path(snapshot["path"]))
    assert manifest is not None
    assert (manifest.rows, manifest.newest) == ({"users": 0, "vocabulary": 50}, "2026-11-20")
    assert (manifest.source, manifest.engine, manifest.journal_mode) == (str(database), "pinned_copy", "wal")
    assert (manifest.verified, manifest.members) == ("full", [os.path.basename(snapshot["path"])])
    assert (manifest.database_sha256, manifest.database_bytes) == (manifest.sha256, manifest.bytes)
    for path in (Path(snapshot["path"]), Path(snapshot["manifest"])):
        assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("engine", ["pinned_copy", "pinned_api", "vacuum_into"])
def test_engines_copy_what_is_only_in_the_log(backup: Backup, database: Path, dest: Path, application, engine) -> None:
    application(database, code="connection.execute(\"INSERT INTO users (name) VALUES ('late')\")")
    before = tree(database.parent)
    result = backup(engine=engine)
    assert not statuses(result) and result["snapshot"]["engine"] == engine
    assert result["snapshot"]["rows"] == {"users": 1, "vocabulary": 51}
    after = tree(database.parent)
    for name in (database.name, f"{database.name}-wal"):
        assert after[name] == before[name], "the live database is only read"
    assert snapshots(dest)


@pytest.mark.parametrize("engine", ["auto", "pinned_api", "vacuum_into"])
def test_what_a_killed_writer_left_is_in_it_and_stays(backup: Backup, database: Path, application, engine) -> None:
    process = application(database)
    process.kill()
    process.wait()
    before = tree(database.parent)
    assert before[f"{database.name}-wal"][3], "the row is in the log"
    assert backup(engine=engine)["snapshot"]["rows"]["vocabulary"] == 51
    after = tree(database.parent)
    for name in (database.name, f"{database.name}-wal"):
        assert after[name] == before[name], "what crashed is the application's to recover"


def test_a_log_that_begins_anew_during_the_copy_is_no_matter(backup: Backup, database: Path, application) -> None:
    """All of the log is in the file: the next commit starts it over, and the file alone is the database."""
    application(database, code="connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')")
    assert backup(engine="pinned_copy")["snapshot"]["rows"]["vocabulary"] == 51


def test_nothing_is_left_beside_a_database_nobody_has_open(backup: Backup, database: Path) -> None:
    before = tree(database.parent)
    assert not statuses(backup())
    assert tree(database.parent) == before


@pytest.mark.parametrize("engine", ["auto", "pinned_api"])
def test_rollback_journal(backup: Backup, database: Path, engine) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    result = backup(engine=engine)
    assert not statuses(result)
    assert (result["snapshot"]["journal_mode"], result["snapshot"]["rows"]["vocabulary"]) == ("delete", 50)


@pytest.mark.parametrize("page_size", [512, 65536])
def test_page_sizes(backup: Backup, database: Path, application, page_size) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL")
    application(database)
    result = backup(engine="pinned_copy")
    assert not statuses(result)
    assert result["snapshot"]["rows"]["vocabulary"] == 51


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
def test_compressed(backup: Backup, dest: Path, compress) -> None:
    command = {"gzip": "gzip", "zstd": "zstd"}[compress]
    if shutil.which(command) is None:
        pytest.skip(f"needs {command}")
    backup()
    result = backup(compress=compress)
    assert not statuses(result)
    path = Path(result["snapshot"]["path"])
    manifest = read_manifest(path)
    assert manifest is not None and manifest.compress == compress
    content = subprocess.run([command, "-dc", str(path)], capture_output=True, check=True).stdout
    assert hashlib.sha256(content).hexdigest() == manifest.database_sha256
    assert len(content) == manifest.database_bytes
    assert snapshots(dest) == [path.name]
    suffix = path.suffix
    assert sorted(one.name for one in dest.glob("*_latest*")) == [POINTER + suffix], "the plain pointer would grow old"


def test_zstd_that_is_not_there(backup: Backup, dest: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(dest))
    monkeypatch.setattr(compression, "SYSTEM_PATH", str(dest))
    with pytest.raises(OpsError, match="install the package zstd"):
        compression.available("zstd")


def test_a_set(backup: Backup, database: Path, dest: Path, place: Path) -> None:
    data = place / "data"
    data.mkdir()
    other = make_database(data / "learning.db", 7)
    config = place / "config"
    (config / "site").mkdir(parents=True)
    (config / "settings.ini").write_text("[tutor]\n")
    (config / "site" / "index.html").write_text("hello")
    (config / "outside").symlink_to("/etc/passwd")
    os.mkfifo(config / "pipe")
    result = backup(databases=[str(other)], files=[str(config), str(place / "none")])
    assert statuses(result) == {"backup.files": ("WARNING", "backup.files_some")}
    evidence = next(one for one in result["checks"] if one["id"] == "backup.files")["evidence"]
    assert [line.partition(": ")[2] for line in evidence] == [
        "neither file, directory nor link",
        "No such file or directory",
    ]
    names = [os.path.basename(one["path"]) for one in result["snapshots"]]
    assert [re.sub(r"\d{8}T\d{6}Z", "T", name) for name in names] == ["learning_T.db", "data-learning_T.db"]
    archive = Path(result["archive"]["path"])
    with tarfile.open(archive) as opened:
        members = {member.name.split("config", 1)[1]: member for member in opened.getmembers()}
    assert set(members) == {"", "/settings.ini", "/site", "/site/index.html", "/outside"}
    assert members["/outside"].issym(), "a link goes in as a link"
    manifests = [read_manifest(dest / name) for name in (*names, archive.name)]
    assert {manifest.set for manifest in manifests if manifest} == {manifests[0].set}
    assert all(manifest.members == [*names, archive.name] for manifest in manifests)
    assert [manifest.kind for manifest in manifests] == ["database", "database", "files"]
    # The whole set goes, or none of it.
    again = backup(databases=[str(other)], files=[str(config)])
    assert sorted(again["removed"]) == sorted([*names, archive.name])
    assert len(list(dest.iterdir())) == 2 * 3 + 2


def test_the_archive_leaves_out_the_databases_and_the_backups(backup: Backup, database: Path, dest: Path) -> None:
    (database.parent / "notes.txt").write_text("note")
    result = backup(files=[str(database.parent), str(dest)])
    with tarfile.open(result["archive"]["path"]) as opened:
        assert [Path(name).name for name in opened.getnames()] == ["storage", "notes.txt"]


def test_damage_is_kept_apart(backup: Backup, database: Path, dest: Path) -> None:
    good = backup()["snapshot"]["path"]
    with database.open("r+b") as stream:
        stream.seek(4096 * 3)
        stream.write(b"\xff" * 4096)
    before = tree(dest)
    for number in range(4):
        result = backup(compress="gzip" if number == 3 else "none")
        assert result["failed"] and "damaged" in result["msg"]
        assert statuses(result)["backup.proof"] == ("CRITICAL", "backup.proof_bad")
        assert statuses(result)["backup.made"][0] == "CRITICAL"
        assert result["rejected"][0].endswith(".db.bad")
    after = tree(dest)
    kept = [name for name in after if name.endswith(".bad")]
    assert len(kept) == 2, "the first and the last of them"
    assert {name: after[name] for name in before} == before, "no backup was touched, nor the pointer"
    assert snapshots(dest) == [os.path.basename(good)]


def test_an_emptied_database_is_no_backup(backup: Backup, database: Path, dest: Path) -> None:
    backup(floors={"vocabulary": 50})
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("DELETE FROM vocabulary")
    before = tree(dest)
    result = backup(floors={"vocabulary": 50, "none": 1})
    assert result["failed"] and "too few rows: vocabulary 0 < 50, none 0 < 1" in result["msg"]
    assert statuses(result)["backup.rows"] == ("CRITICAL", "backup.rows_few")
    after = tree(dest)
    assert {name: after[name] for name in before} == before


def test_a_set_with_a_bad_member_thins_out_nothing(backup: Backup, database: Path, dest: Path, place: Path) -> None:
    other = make_database(place / "audio.db", 60)
    first = backup(databases=[str(other)])
    assert not statuses(first)
    with other.open("r+b") as stream:
        stream.seek(4096 * 3)
        stream.write(b"\xff" * 4096)
    result = backup(databases=[str(other)])
    assert result["failed"] and len(result["snapshots"]) == 1 and not result["removed"]
    assert os.readlink(dest / "audio_latest.db") == os.path.basename(first["snapshots"][1]["path"])
    assert read_manifest(Path(result["snapshot"]["path"])).complete is False
    # The next good set displaces the half one and keeps the last whole one of other days.
    make_database(other.with_name("new.db"), 60).replace(other)
    final = backup(databases=[str(other)])
    assert not statuses(final)


def test_broken_references_are_told_and_kept(backup: Backup, database: Path, dest: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE reviews (word INTEGER REFERENCES vocabulary (id))")
        connection.execute("INSERT INTO reviews VALUES (4711)")
    result = backup()
    assert statuses(result) == {"backup.proof": ("WARNING", "backup.proof_references")}
    assert read_manifest(Path(result["snapshot"]["path"])).foreign_keys == 1


def test_retention(backup: Backup, dest: Path) -> None:
    names = [age(dest, os.path.basename(backup()["snapshot"]["path"]), days) for days in (400, 300, 3, 2, 1)]
    (dest / "learning_before_upgrade.db").write_bytes(b"somebody's")
    foreign = dest / "learning_20200101T000000Z.db"
    foreign.write_bytes(b"somebody's, of our name")
    other = dest / "learning_20200102T000000Z.db"
    shutil.copy(dest / names[0], other)
    write_manifest(
        other,
        read_manifest(dest / names[0]).__class__.from_dict(
            {
                **json.loads(manifest_path(dest / names[0]).read_text()),
                "source": "/another.db",
                "members": [other.name],
                "set": "x",
            }
        ),
    )
    planned = backup(keep={"daily": 2, "weekly": 0, "monthly": 0}, check_mode=True)
    result = backup(keep={"daily": 2, "weekly": 0, "monthly": 0})
    assert result["removed"] == planned["removed"] == names[:4]
    left = {path.name for path in dest.iterdir() if not path.name.endswith(".json")}
    new = os.path.basename(result["snapshot"]["path"])
    assert left == {names[4], new, POINTER, "learning_before_upgrade.db", foreign.name, other.name}


def test_retention_spares_what_another_link_names(backup: Backup, dest: Path) -> None:
    names = [age(dest, os.path.basename(backup()["snapshot"]["path"]), days) for days in (9, 8, 7)]
    # Of a set with a second database, which is in it no more: its last copy is there. And what an operator marked.
    (dest / "second_latest.db").symlink_to(names[0])
    (dest / "before_upgrade").symlink_to(names[1])
    keep = {"hours": 0, "daily": 1, "weekly": 0, "monthly": 0}
    planned = backup(keep=keep, check_mode=True)
    result = backup(keep=keep)
    assert result["removed"] == planned["removed"] == [names[2]]
    assert set(names[:2]) <= {path.name for path in dest.iterdir()}
    assert [check["value"] for check in result["checks"] if check["id"] == "backup.retention"] == [1]


def test_the_clock_was_stepped_back(backup: Backup, dest: Path) -> None:
    ahead = age(dest, os.path.basename(backup()["snapshot"]["path"]), -3)
    result = backup(keep={"daily": 1, "weekly": 0, "monthly": 0})
    assert statuses(result) == {"backup.retention": ("WARNING", "backup.retention_future")}
    new = os.path.basename(result["snapshot"]["path"])
    assert sorted(snapshots(dest)) == sorted([ahead, new])
    assert os.readlink(dest / POINTER) == new


def test_an_application_that_is_down_is_told_with_the_way_around(backup: Backup, place: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (place / "app.pid").write_text(f"{gone.pid}\n")
    result = backup(pidfile=str(place / "app.pid"))
    assert result["failed"] and "-e tutor_service=" in result["msg"], result["msg"]


def test_two_in_one_second(database: Path, dest: Path) -> None:

    options = defaults(database, dest)
    now = datetime(2026, 11, 23, 2, 0, tzinfo=timezone.utc)
    run = [run_backup(options, Deadline(20), silent, False, now) for _number in range(2)]
    names = [os.path.basename(one.snapshots[0]["path"]) for one in run]
    assert names == ["learning_20261123T020000Z.db", "learning_20261123T020000Z-2.db"]
    assert run[1].removed == names[:1], "the one made last is the newest"
    assert os.readlink(dest / POINTER) == names[1]


def test_it_cleans_up_after_a_dead_run(backup: Backup, dest: Path) -> None:
    good = os.path.basename(backup()["snapshot"]["path"])
    for name in (
        "learning_20261122T020000Z.db.partial",
        "learning_20261122T020000Z.db.gz.partial",
        "learning_20261122T020000Z.db.manifest.json.partial",
        f".{POINTER}.partial",
    ):
        (dest / name).write_text("half")
    shutil.copy(manifest_path(dest / good), dest / "learning_20261121T020000Z.db.manifest.json")
    for name in ("other_20261122T020000Z.db.partial", "upload.partial"):
        (dest / name).write_text("not ours")
    planned = backup(check_mode=True)
    result = backup()
    assert sorted(result["cleaned"]) == sorted(planned["cleaned"]) and len(result["cleaned"]) == 5
    assert statuses(result) == {"backup.interrupted": ("WARNING", "backup.interrupted_yes")}
    left = {path.name for path in dest.iterdir()}
    assert {"other_20261122T020000Z.db.partial", "upload.partial"} <= left and len(left) == 5


def test_refused(database: Path, dest: Path, place: Path) -> None:
    link = place / "link"
    link.symlink_to(dest)
    everybody = place / "everybody"
    everybody.mkdir()
    everybody.chmod(0o777)
    (place / "file").write_text("")
    empty = place / "empty.db"
    empty.touch()
    wrong = [
        ({"dest": str(link)}, "is a link to .*backups: expected the directory itself"),
        ({"dest": str(place / "none")}, "does not exist.*create_dest"),
        ({"dest": str(place / "file")}, "Not a directory"),
        ({"dest": str(everybody)}, "everybody could replace a backup"),
        ({"dest": str(database.parent)}, "is the directory of"),
        ({"dest": "backups"}, "is a link|does not exist|absolute"),
        ({"path": str(empty)}, "has 0 bytes"),
        ({"path": str(place / "none.db")}, "cannot be looked at"),
        ({"databases": [str(database)]}, "in the set twice"),
        ({"files": ["/etc/../etc"]}, "without .."),
        ({"pointer": "a/b"}, "expected a name in dest"),
        ({"keep": {"yearly": 1}}, "is no period"),
        ({"timezone": "Mars/Olympus"}, "is not known"),
        ({"floors": {"users": "many"}}, "expected a number of rows"),
        ({"thresholds": {"backup.spce": {"warn": "1"}}}, "did you mean backup.space"),
    ]
    before = tree(place)
    for options, message in wrong:
        with pytest.raises(OpsError, match=message):
            run_backup({**defaults(database, dest), **options}, Deadline(20), silent, False, datetime.now(timezone.utc))
    assert tree(place) == before, "a refusal leaves no trace"


def test_a_pointer_that_is_a_file(backup: Backup, dest: Path) -> None:
    (dest / POINTER).write_text("a copy somebody made")
    result = backup()
    assert result["failed"] and "is a file of its own" in result["msg"]
    assert [path.name for path in dest.iterdir()] == [POINTER]


def test_create_dest(backup: Backup, dest: Path) -> None:
    dest.rmdir()
    planned = backup(create_dest=True, check_mode=True)
    assert planned["snapshot"] and not dest.exists()
    result = backup(create_dest=True)
    assert not statuses(result) and dest.stat().st_mode & 0o777 == 0o750


def test_two_at_once(backup: Backup, dest: Path) -> None:
    descriptor = os.open(dest, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        result = backup()
    finally:
        os.close(descriptor)
    assert result["failed"] and f"{dest} is in use by pid {os.getpid()}" in result["msg"]
    assert not list(dest.iterdir())


def test_the_database_is_locked_exclusively(backup: Backup, database: Path, dest: Path, monkeypatch) -> None:
    code = "connection.execute('PRAGMA locking_mode = EXCLUSIVE'); connection.execute('BEGIN EXCLUSIVE')"
    with subprocess.Popen(
        [sys.executable, "-c", f"import sqlite3, sys; connection = sqlite3.connect({str(database)!r}); {code}; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        process.stdout.readline()
        result = backup(deadline=3)
        process.communicate("")
    assert result["failed"] and f"is locked by pid {process.pid}" in result["msg"]
    assert not list(dest.iterdir())


def test_out_of_time(backup: Backup, dest: Path) -> None:
    result = backup(deadline=0.001)
    assert result["failed"] and "within" in result["msg"]
    assert not list(dest.iterdir())


def test_progress(backup: Backup, tmp_path: Path) -> None:
    told = tmp_path / "progress"
    told.touch()
    backup(progress=str(told))
    assert json.loads(told.read_text())["done"] == 1.0


@root_only
def test_owner(backup: Backup, database: Path, dest: Path) -> None:
    give(database.parent)
    dest.chmod(0o700)
    for engine in ("pinned_copy", "pinned_api", "vacuum_into"):
        result = backup(engine=engine)
        assert not statuses(result), engine
        for path in dest.iterdir():
            assert (path.lstat().st_uid, path.lstat().st_gid) == (OTHER, OTHER), path
        assert all(path.stat().st_uid == OTHER for path in database.parent.iterdir())


@root_only
def test_a_user_who_is_not_the_owner(database: Path, dest: Path) -> None:
    def as_another() -> None:
        os.setgid(OTHER)
        os.setuid(OTHER)
        prepare({**defaults(database, dest)}, datetime.now(timezone.utc))

    outcome = run_isolated(as_another, 20)
    assert "a third user's -wal and -shm would lock the application out" in outcome.error


@root_only
def test_disk_full(backup: Backup, dest: Path, database: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=750", "tmpfs", str(dest)], check=True)
    try:
        good = backup()["snapshot"]["path"]
        (dest / "video.mp4").write_bytes(bytes(4 << 20))
        before = tree(dest)
        result = backup()
        assert result["failed"] and re.search(r"has .* free: expected .*nothing was written", result["msg"])
        assert tree(dest) == before
        assert snapshots(dest) == [os.path.basename(good)]
    finally:
        subprocess.run(["umount", str(dest)], check=True)


@root_only
@pytest.mark.parametrize("options", [{}, {"engine": "pinned_api"}, {"engine": "vacuum_into"}, {"compress": "gzip"}])
def test_disk_full_in_the_middle(dest: Path, database: Path, place: Path, options, monkeypatch) -> None:
    """Somebody else fills the disk after the room was looked at."""

    big = make_database(place / "big.db", 9000)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m,mode=750", "tmpfs", str(dest)], check=True)
    try:
        monkeypatch.setattr(Destination, "room", lambda *_arguments: 0)
        run_backup(defaults(database, dest), Deadline(20), silent, False, datetime.now(timezone.utc))
        before = tree(dest)
        chosen = {**defaults(big, dest), **options}
        with pytest.raises(OpsError, match="full"):
            run_backup(chosen, Deadline(20), silent, False, datetime.now(timezone.utc))
        assert tree(dest) == before
    finally:
        subprocess.run(["umount", str(dest)], check=True)


@root_only
def test_read_only_file_system(backup: Backup, dest: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,mode=750", "tmpfs", str(dest)], check=True)
    try:
        result = backup()
        assert result["failed"] and "mounted read-only" in result["msg"]
    finally:
        subprocess.run(["umount", str(dest)], check=True)


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("instead", ["nothing", "directory", "link"])
def test_the_destination_goes_away_meanwhile(database: Path, dest: Path, place: Path, instead, damaged) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    if damaged:
        whole = database.read_bytes()
        database.write_bytes(whole[:8192] + b"\xff" * 8192 + whole[16384:])

    def swap(stage: str, done: float | None = None) -> None:
        """Be told of the progress, and take the directory away: in the middle, or when the copy was found bad."""
        if stage == "integrity_check" and (done == 1 or not damaged) and dest.stat().st_ino == inode:
            dest.rename(place / "moved")
            if instead == "link":
                dest.symlink_to(elsewhere)
            elif instead == "directory":
                dest.mkdir()
            else:
                shutil.rmtree(place / "moved")

    inode = dest.stat().st_ino
    options = defaults(database, dest)
    with pytest.raises(OpsError, match="removed while the backup ran|another directory than when|cannot be written"):
        run_backup(options, Deadline(20), swap, False, datetime.now(timezone.utc))
    for directory in (elsewhere, dest, place / "moved"):
        assert not directory.is_dir() or not list(directory.iterdir()), "no snapshot that counts anywhere"


def test_the_probe_reads_what_it_wrote(backup: Backup, database: Path, dest: Path, look, place: Path) -> None:
    backup(compress="gzip", files=[str(database)])
    checks = look("backup", dest, pointer=POINTER + ".gz")
    assert bad(checks) == {"backup.count": ("WARNING", "backup.count_is")}, "one day, one backup"
    whole = database.read_bytes()
    database.write_bytes(whole[:8192] + b"\xff" * 8192 + whole[16384:])
    assert backup(compress="gzip")["failed"]
    assert bad(look("backup", dest, pointer=POINTER + ".gz")) == {
        "backup.count": ("WARNING", "backup.count_is"),
        "backup.rejected": ("CRITICAL", "backup.rejected_newer"),
    }
    database.write_bytes(whole)
    backup(compress="gzip")
    checks = look("backup", dest, pointer=POINTER + ".gz")
    assert (checks["backup.rejected"].status.name, checks["backup.rejected"].message) == ("OK", "backup.rejected_older")
