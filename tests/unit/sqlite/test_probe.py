# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sqlite probe on real databases: healthy, in use, crashed, damaged, locked; and it leaves no trace."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from databases import OTHER, bad, give, make_database, tree

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.versions import wal_reset_bug

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another user")
FLOORS = {"vocabulary": 1, "users": 0}


def test_a_healthy_database_in_use(database, application, look) -> None:
    app = application(database)
    before = tree(database.parent)
    checks = look("sqlite", database, pids=[app.pid], floors=FLOORS, python=sys.executable)
    assert bad(checks) == {}
    names = "file in_use owner lock wal version opens freelist statistics schema quick_check rows"
    assert {check.id: check.status.name for check in checks.values()} == {
        f"sqlite.{name}": "OK" for name in names.split()
    }
    assert sqlite3.sqlite_version in checks["sqlite.version"].summary
    after = tree(database.parent)
    assert after.keys() == before.keys()
    assert after["learning.db"] == before["learning.db"]
    assert after["learning.db-wal"] == before["learning.db-wal"]
    started = time.perf_counter()
    look("sqlite", database, pids=[app.pid], floors=FLOORS)
    assert time.perf_counter() - started < 3


@as_root
@pytest.mark.parametrize("state", ["closed", "crashed", "rollback", "in use"])
def test_root_leaves_no_trace_at_another_users_database(database, application, look, state) -> None:
    if state == "rollback":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    give(database.parent)
    if state in ("crashed", "in use"):
        app = application(database, uid=OTHER)
    if state == "crashed":
        app.kill()
        app.wait()
    before = tree(database.parent)
    assert ("learning.db-wal" in before) == (state in ("crashed", "in use"))
    checks = look("sqlite", database, floors={"vocabulary": 51 if "learning.db-wal" in before else 50})
    assert bad(checks) == {}
    assert checks["sqlite.rows"].status is Status.OK
    after = tree(database.parent)
    if state == "in use":  # readers note in it which part of the log they need
        assert after.pop("learning.db-shm")[:4] == before.pop("learning.db-shm")[:4]
    assert after == before


def test_a_wal_without_its_index_is_not_touched(database, application, look) -> None:
    app = application(database)
    app.kill()
    app.wait()
    database.with_name("learning.db-shm").unlink()
    before = tree(database.parent)
    checks = look("sqlite", database, floors=FLOORS)
    assert bad(checks) == {"sqlite.opens": ("UNKNOWN", "sqlite.opens_trace")}
    assert tree(database.parent) == before


def test_the_wrong_file(database, place, application, look) -> None:
    """The decoy is a valid database, and everything about it is green but this."""
    decoy = make_database(place / "decoy.db")
    app = application(database)
    checks = look("sqlite", decoy, pids=[app.pid], floors=FLOORS)
    assert bad(checks) == {"sqlite.in_use": ("CRITICAL", "sqlite.in_use_other")}
    assert str(database) in checks["sqlite.in_use"].summary
    link = place / "link.db"
    link.symlink_to(database)
    assert bad(look("sqlite", link, pids=[app.pid], floors=FLOORS)) == {}


def test_a_file_replaced_under_the_application(database, place, application, look) -> None:
    app = application(database)
    other = make_database(place / "restored.db")
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink()
    other.replace(database)
    check = look("sqlite", database, pids=[app.pid])["sqlite.in_use"]
    assert (check.status, f"{database} (deleted)" in check.summary) == (Status.CRITICAL, True)


def test_processes_by_pid_file(database, place, application, look) -> None:
    app = application(database)
    pidfile = place / "app.pid"
    pidfile.write_text(f"{app.pid}\n")
    assert look("sqlite", database, pidfile=str(pidfile))["sqlite.in_use"].status is Status.OK
    pidfile.write_text("nonsense\n")
    assert look("sqlite", database, pidfile=str(pidfile))["sqlite.in_use"].status is Status.UNKNOWN
    pidfile.unlink()
    assert look("sqlite", database, pidfile=str(pidfile))["sqlite.in_use"].status is Status.SKIPPED
    idle = application()
    check = look("sqlite", database, pids=[idle.pid])["sqlite.in_use"]
    assert (check.status, check.message) == (Status.SKIPPED, "sqlite.in_use_fresh")
    assert "sqlite.in_use" not in look("sqlite", database)


def test_a_worker_counts_though_the_master_has_nothing_open(database, application, look) -> None:
    code = f"""
import subprocess
worker = subprocess.Popen([sys.executable, "-c", "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1]);"
    "c.execute('SELECT count(*) FROM vocabulary').fetchone(); print('ready', flush=True); sys.stdin.readline()",
    {str(database)!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
worker.stdout.readline()
"""
    master = application(code=code)
    check = look("sqlite", database, pids=[master.pid])["sqlite.in_use"]
    assert (check.status, check.params["count"], check.params["total"]) == (Status.OK, 1, 2)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: path.unlink(), "sqlite.file_missing"),
        (lambda path: (path.rename(f"{path}.away"), path.symlink_to("nowhere")), "sqlite.file_dangling"),
        (lambda path: path.write_bytes(b""), "sqlite.file_empty"),
        (lambda path: path.write_bytes(b"\0" * 16 + path.read_bytes()[16:]), "sqlite.file_header"),
        (lambda path: path.write_bytes(os.urandom(8192)), "sqlite.file_header"),
        (lambda path: path.write_bytes(path.read_bytes()[:50]), "sqlite.file_header"),
        (lambda path: os.truncate(path, path.stat().st_size - 4096), "sqlite.file_truncated"),
        (lambda path: os.truncate(path, path.stat().st_size // 2 + 7), "sqlite.file_truncated"),
        (lambda path: (path.unlink(), path.mkdir()), "sqlite.file_kind"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "sqlite.file_kind"),
    ],
)
def test_what_is_wrong_from_outside(database, look, damage, expected) -> None:
    damage(database)
    before = tree(database.parent)
    checks = look("sqlite", database, floors=FLOORS)
    assert bad(checks) == {"sqlite.file": ("CRITICAL", expected)}
    assert tree(database.parent) == before
    assert checks["sqlite.file"].fix == "sqlite.file"


def page_of(database: Path, name: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]


@pytest.mark.parametrize("damage", [bytes(4096), b"\xff" * 4096, b"\x0d" + bytes(4095)])
@pytest.mark.parametrize("name", ["vocabulary", "users", "words"])
def test_a_destroyed_page_is_one_finding(database, look, name, damage) -> None:
    with database.open("r+b") as stream:
        stream.seek((page_of(database, name) - 1) * 4096)
        stream.write(damage)
    checks = look("sqlite", database, floors={"vocabulary": 50})
    assert bad(checks).pop("sqlite.quick_check") == ("CRITICAL", "sqlite.quick_bad")
    assert bad(checks).keys() <= {"sqlite.quick_check", "sqlite.rows"}
    assert "?" not in checks["sqlite.quick_check"].summary


def test_a_destroyed_schema(database, look) -> None:
    with database.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff" * 200)
    assert bad(look("sqlite", database, floors=FLOORS)) == {"sqlite.opens": ("CRITICAL", "sqlite.opens_not")}


def test_rows_and_tables(database, look) -> None:
    assert bad(look("sqlite", database, floors={"vocabulary": 50})) == {}
    few = look("sqlite", database, floors={"vocabulary": 51, "users": 1})
    assert bad(few) == {"sqlite.rows": ("CRITICAL", "sqlite.rows_few")}
    assert few["sqlite.rows"].evidence == ["vocabulary 50 < 51", "users 0 < 1"]
    gone = look("sqlite", database, floors={"vocabulary": 1, 'no "such" table': 0})
    assert bad(gone) == {"sqlite.rows": ("CRITICAL", "sqlite.rows_no_table")}


def test_a_quick_check_that_takes_too_long_is_not_ok(place, look) -> None:
    database = make_database(place / "big.db", words=60_000)
    started = time.monotonic()
    check = look("sqlite", database, quick_check_seconds=0.02)["sqlite.quick_check"]
    assert (check.status, check.reason) == (Status.UNKNOWN, "timeout")
    assert 0 < check.params["done"] < 100
    assert time.monotonic() - started < 5
    assert look("sqlite", database, quick_check=False)["sqlite.quick_check"].status is Status.SKIPPED
    assert look("sqlite", database)["sqlite.quick_check"].status is Status.OK


def test_a_changed_schema_warns_once(database, look) -> None:
    assert look("sqlite", database)["sqlite.schema"].message == "sqlite.schema_first"
    assert look("sqlite", database)["sqlite.schema"].message == "sqlite.schema_same"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ANALYZE")
    assert look("sqlite", database)["sqlite.schema"].message == "sqlite.schema_same"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript("DROP INDEX words; ALTER TABLE users ADD COLUMN mail TEXT; CREATE TABLE extra (x);")
    checks = look("sqlite", database)
    assert bad(checks) == {"sqlite.schema": ("WARNING", "sqlite.schema_changed")}
    assert checks["sqlite.schema"].evidence == ["- index words", "+ table extra", "* table users"]
    assert bad(look("sqlite", database)) == {}


def test_identity(database, look) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 7")
    assert bad(look("sqlite", database, user_version=7, application_id=0)) == {}
    assert bad(look("sqlite", database, user_version=8)) == {"sqlite.identity": ("CRITICAL", "sqlite.identity_wrong")}


@pytest.mark.parametrize(("mode", "options", "seconds"), [
    ("WAL", {}, 5),
    ("DELETE", {"timeout": 3.5, "thresholds": {"sqlite.lock": {"crit": "0.9"}}}, 0.9),
])  # fmt: skip
def test_a_writer_that_keeps_the_lock(database, application, look, mode, options, seconds) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    app = application(database, code="connection.execute('BEGIN IMMEDIATE')")
    started = time.monotonic()
    checks = look("sqlite", database, pids=[app.pid], floors=FLOORS, **options)
    assert seconds < time.monotonic() - started < seconds + 5
    assert bad(checks) == {"sqlite.lock": ("CRITICAL", "sqlite.lock_held")}
    assert f"pid {app.pid} (" in checks["sqlite.lock"].summary


def test_readers_kept_out_too(database, application, look) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    app = application(database, code="connection.execute('BEGIN EXCLUSIVE')")
    limits = {"sqlite.lock": {"warn": "0.1", "crit": "0.2"}}
    checks = look("sqlite", database, floors=FLOORS, thresholds=limits, timeout=4)
    assert bad(checks).keys() == {"sqlite.lock", "sqlite.opens"}
    assert f"locked by pid {app.pid}" in checks["sqlite.opens"].summary


def test_a_lock_let_go_in_time(database, application, look) -> None:
    app = application(database, code="connection.execute('BEGIN IMMEDIATE')")
    timer = threading.Timer(0.4, app.kill)
    timer.start()
    checks = look("sqlite", database, floors=FLOORS)
    timer.join()
    assert bad(checks) == {}
    assert 0.2 < checks["sqlite.lock"].value < 2
    assert checks["sqlite.lock"].message == "sqlite.lock_short"


def test_busy_writers_are_no_lock(database, application, look) -> None:
    """A process that has the lock at every look, but commits ten times a second and lets others in, is no finding."""
    code = """
import threading, time
connection = sqlite3.connect(sys.argv[3], isolation_level=None, timeout=10, check_same_thread=False)
def work():
    while True:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO vocabulary (word) VALUES ('busy')")
        time.sleep(0.1)
        connection.execute("COMMIT")
threading.Thread(target=work, daemon=True).start()
"""
    app = application(database, code=code)
    for _turn in range(3):
        assert bad(look("sqlite", database, pids=[app.pid], floors=FLOORS)) == {}
    assert app.poll() is None


def test_sizes(database, application, look) -> None:
    application(database, code="connection.execute('PRAGMA wal_autocheckpoint=0');"
                "connection.execute('INSERT INTO vocabulary (word) VALUES (hex(zeroblob(2000000)))')")  # fmt: skip
    limits = {"sqlite.wal": {"warn": "2", "crit": "30"}}
    assert bad(look("sqlite", database, thresholds=limits)) == {"sqlite.wal": ("WARNING", "sqlite.wal_size")}


def test_free_pages(database, look) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO vocabulary (word) VALUES (hex(zeroblob(12000000)))")
        connection.execute("DELETE FROM vocabulary WHERE length(word) > 1000")
        connection.commit()
    checks = look("sqlite", database)
    assert bad(checks) == {"sqlite.freelist": ("WARNING", "sqlite.freelist_share")}
    assert checks["sqlite.freelist"].value > 90


@as_root
def test_owners(database, application, look) -> None:
    give(database.parent)
    app = application(database, uid=OTHER)
    options = {"pids": [app.pid], "floors": FLOORS}
    assert bad(look("sqlite", database, **options)) == {}

    shm = database.with_name("learning.db-shm")
    os.chown(shm, 0, 0)
    checks = look("sqlite", database, **options)
    assert checks["sqlite.owner"].message == "sqlite.owner_wrong"
    assert "learning.db-shm (root)" in checks["sqlite.owner"].summary
    os.chown(shm, OTHER, OTHER)

    os.chown(database, 0, 0)
    database.chmod(0o600)
    before = {name: seen[:3] for name, seen in tree(database.parent).items()}
    assert bad(look("sqlite", database, **options)) == {
        "sqlite.owner": ("CRITICAL", "sqlite.owner_wrong"),
        "sqlite.opens": ("CRITICAL", "sqlite.opens_not"),
    }
    assert look("sqlite", database)["sqlite.owner"].status is Status.CRITICAL
    assert {name: seen[:3] for name, seen in tree(database.parent).items()} == before
    os.chown(database, OTHER, OTHER)

    database.chmod(0o400)
    assert bad(look("sqlite", database, **options)) == {"sqlite.owner": ("CRITICAL", "sqlite.owner_denied")}
    database.chmod(0o600)
    database.parent.chmod(0o500)
    checks = look("sqlite", database, **options)
    assert bad(checks) == {"sqlite.owner": ("CRITICAL", "sqlite.owner_denied")}
    assert "in the directory" in checks["sqlite.owner"].summary
    database.parent.chmod(0o700)
    assert look("sqlite", database, owner="nobody")["sqlite.owner"].status is Status.CRITICAL
    assert look("sqlite", database, owner="no-such-user")["sqlite.owner"].message == "sqlite.owner_unknown"

    database.chmod(0o000)
    checks = look("sqlite", database, **options)
    assert bad(checks) == {
        "sqlite.owner": ("CRITICAL", "sqlite.owner_denied"),
        "sqlite.opens": ("CRITICAL", "sqlite.opens_not"),
    }


@as_root
def test_the_inside_is_seen_as_the_owner(database, place, look) -> None:
    """The interpreter of the application is run as the owner of the database too, never as root."""
    give(database.parent)
    python = place / "python"
    python.write_text("#!/bin/sh\nid -u\nid -G\n")
    python.chmod(0o755)
    version = look("sqlite", database, python=str(python))["sqlite.version"].params["version"]
    assert version.split() == [str(OTHER), str(OTHER)]


def test_the_reset_bug(database, application, look) -> None:
    affected = ["3.7.0", "3.40.1", "3.44.5", "3.45.0", "3.46.1", "3.50.6", "3.51.0", "3.51.2"]
    fixed = ["3.6.23", "3.44.6", "3.44.9", "3.50.7", "3.51.3", "3.52.0", "4.0.0"]
    assert [wal_reset_bug(version) for version in affected + fixed] == [True] * len(affected) + [False] * len(fixed)
    old = database.with_name("python")
    old.write_text("#!/bin/sh\necho 3.40.1\n")
    old.chmod(0o755)
    pids = [application(database).pid for _turn in range(2)]
    options = {"pids": pids, "python": str(old)}
    check = look("sqlite", database, **options)["sqlite.version"]
    assert (check.status, check.message) == (Status.OK, "sqlite.version_affected")
    assert look("sqlite", database, wal_reset_bug="warn", **options)["sqlite.version"].status is Status.WARNING
    options["pids"] = pids[:1]
    assert look("sqlite", database, wal_reset_bug="warn", **options)["sqlite.version"].status is Status.OK
    old.write_text("#!/bin/sh\nexit 1\n")
    assert look("sqlite", database, **options)["sqlite.version"].status is Status.UNKNOWN


HALF = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = DELETE")
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.executemany("INSERT INTO vocabulary (word) VALUES (?)", (("x" * 9000,) for n in range(50)))
print("half", flush=True)
sys.stdin.readline()
"""


def test_a_hot_journal_is_left_to_the_service(database, look) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HALF, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.communicate()
    before = tree(database.parent)
    assert "learning.db-journal" in before
    checks = look("sqlite", database, floors=FLOORS)
    assert bad(checks) == {"sqlite.opens": ("UNKNOWN", "sqlite.opens_hot")}
    assert tree(database.parent) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "relative.db"}, "absolute"),
        ({"path": "/x", "floors": {"a": -1}}, "floors: a is -1"),
        ({"path": "/x", "floors": {"a": "many"}}, "floors: a is 'many'"),
        ({"path": "/x", "quick_check_seconds": -1}, "quick_check_seconds is -1"),
        ({"path": "/x", "service": "a", "pidfile": "b"}, "only one way"),
        ({"path": "/x", "service": "a b"}, "not the name of a unit"),
        ({"path": "/x", "wal_reset_bug": "shout"}, "wal_reset_bug"),
        ({}, "path"),
    ],
)
def test_bad_options(options, message) -> None:
    with pytest.raises(OpsError, match=message):
        prepare({"kind": "sqlite", **options})


def test_planner_statistics_are_told(database, look) -> None:
    """What the afternoon decides by: it never warns by itself, since the run that sees it renews them."""
    check = look("sqlite", database)["sqlite.statistics"]
    assert (check.status, check.value, check.evidence) == (Status.OK, 1.0, ["vocabulary: no statistics of words"])
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ANALYZE")
    check = look("sqlite", database)["sqlite.statistics"]
    assert (check.value, check.message) == (0.0, "sqlite.statistics_fresh")
