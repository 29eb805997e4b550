# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance of real databases: what it does, what it refuses, and that it tells the truth about both."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from databases import OTHER, give, make_database, tree

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import teller
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.lock import Lock
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.options import (
    CHECKS,
    OPTIONS,
    ORDER,
    WRITES,
    Wanted,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Stopped
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.run import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.sizes import room, temp_place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.statistics import stale

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
DEFAULTS = {name: option.get("default") for name, option in {**OPTIONS, **acting.options(deadline=600.0)}.items()}


def maintain(path: Path, *actions: str, check: bool = False, **options: Any) -> dict[str, Any]:
    """Run actions on a database as the module does; every sentence is whole in both languages."""
    given = {**DEFAULTS, "path": str(path), "service": "", "pidfile": None, "actions": list(actions), **options}
    tell = teller(options.get("progress", ""))
    result = run(given, check, tell)
    for data in result["checks"]:
        found = Check.from_dict(data)
        for locale in ("en", "zh"):
            text = AREA.sentences[found.message].render(locale, found.words)
            assert "{" not in text, text
    assert list(result["actions"]) == [name for name in ORDER if name in actions]
    return result


def outcome(result: dict[str, Any], action: str) -> tuple[str, str]:
    return result["actions"][action]["result"], result["actions"][action]["reason"]


def status(result: dict[str, Any], check_id: str) -> Status:
    (found,) = [Status(check["status"]) for check in result["checks"] if check["id"] == check_id]
    return found


def sql(path: Path, *statements: str) -> list[Any]:
    """Ask a database by itself; return the rows of the last statement."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows


def command(path: Path, *statements: str) -> list[str]:
    """Ask with the sqlite3 command."""
    if not shutil.which("sqlite3"):
        pytest.skip("no sqlite3 command")
    told = subprocess.run(["sqlite3", str(path), *statements], check=True, capture_output=True, text=True)
    return told.stdout.split()


@pytest.fixture
def loose(database: Path) -> Path:
    """A database of which most is unused, without statistics."""
    make_more(database, 2000)
    sql(database, "DELETE FROM vocabulary WHERE id > 300")
    return database


def make_more(path: Path, words: int) -> None:
    numbers = f"WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {words}) "
    sql(path, f"INSERT INTO vocabulary (word, created_at) {numbers} SELECT hex(randomblob(300)), i FROM n")


# What it does


def kept(path: Path) -> dict[str, tuple]:
    """Return what must stay; a reader of a database that is in use marks in -shm what it reads."""
    return {name: seen for name, seen in tree(path.parent).items() if not name.endswith("-shm")}


def test_four_runs(loose: Path, application) -> None:
    application(loose)
    actions = ("integrity_check", "optimize", "vacuum", "wal_checkpoint")
    before = kept(loose)
    planned = maintain(loose, *actions, check=True)
    assert kept(loose) == before, "check mode left a trace"
    assert planned["changed"]
    assert [outcome(planned, name)[0] for name in actions] == ["planned"] * 4

    done = maintain(loose, *actions)
    assert done["changed"]
    assert [outcome(done, name)[0] for name in actions] == ["done", "done", "done", "skipped"], (
        "vacuum moves the log too"
    )
    assert command(loose, "PRAGMA freelist_count", "PRAGMA integrity_check") == ["0", "ok"]
    assert command(loose, "SELECT count(*) FROM sqlite_stat1 WHERE idx = 'words'") == ["1"]
    assert int(command(loose, "SELECT count(*) FROM vocabulary")[0]) == 301
    seen = done["actions"]["vacuum"]
    assert seen["after"]["bytes"] < seen["before"]["bytes"] == before["learning.db"][3]
    assert seen["after"]["wal_bytes"] == 0
    assert done["diff"]["before"] != done["diff"]["after"]

    for check in (False, True):
        again = maintain(loose, *actions, check=check)
        assert not again["changed"]
        assert [outcome(again, name)[0] for name in actions[1:]] == ["skipped"] * 3
        assert "diff" not in again


def test_check_mode_leaves_no_trace(loose: Path) -> None:
    sql(loose, "PRAGMA auto_vacuum = INCREMENTAL", "VACUUM", "DELETE FROM vocabulary WHERE id > 100")
    before = tree(loose.parent)
    for mode in ("passive", "truncate"):
        result = maintain(loose, *ORDER, check=True, checkpoint_mode=mode, force=True)
        assert {name for name in ORDER if outcome(result, name)[0] == "planned"} >= {
            *CHECKS,
            "analyze",
            "reindex",
            "vacuum",
        }
    assert tree(loose.parent) == before


def test_all_actions_of_a_quiet_database(loose: Path) -> None:
    result = maintain(loose, *reversed(ORDER))
    assert {outcome(result, name)[0] for name in ORDER} <= {"done", "skipped"}, result["actions"]
    assert [path.name for path in loose.parent.iterdir()] == [loose.name]
    assert status(result, "maintenance.integrity") is Status.OK
    assert status(result, "maintenance.stall") is Status.OK
    assert command(loose, "PRAGMA integrity_check") == ["ok"]


def test_optimize_serves_the_planner(loose: Path) -> None:
    result = maintain(loose, "optimize")
    assert result["actions"]["optimize"]["lines"] == ["vocabulary: no statistics of words"]
    assert "vocabulary" in result["actions"]["optimize"]["text"]
    assert sql(loose, "SELECT tbl, idx FROM sqlite_stat1") == [("vocabulary", "words")]
    make_more(loose, 10 * 300)
    result = maintain(loose, "optimize")
    assert result["actions"]["optimize"]["lines"][0].startswith("vocabulary: 300 rows when analysed")
    assert outcome(maintain(loose, "optimize"), "optimize") == ("skipped", "statistics_fresh")


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], {"vocabulary": "missing"}),
        (["ANALYZE"], {}),
        (["DELETE FROM vocabulary"], {}),
        (["ANALYZE", "CREATE INDEX second ON vocabulary (created_at)"], {"vocabulary": "missing"}),
        (["ANALYZE", "CREATE INDEX none ON vocabulary (created_at) WHERE id < 0"], {}),
        (["CREATE TABLE named (name TEXT PRIMARY KEY) WITHOUT ROWID", "INSERT INTO named VALUES (1)", "ANALYZE"], {}),
        (["INSERT INTO vocabulary (word) SELECT word FROM vocabulary LIMIT 50", "ANALYZE", "DELETE FROM vocabulary WHERE id < 96"], {}),
        (["CREATE VIRTUAL TABLE v USING dbstat", "ANALYZE"], {}),
    ],
)  # fmt: skip
def test_stale_statistics(database: Path, statements: list[str], expected: dict[str, str]) -> None:
    if statements:
        sql(database, *statements)
    with closing(sqlite3.connect(database)) as connection:
        assert {one.table: one.reason for one in stale(connection)} == expected


def test_statistics_of_a_table_that_grew_or_shrank(database: Path) -> None:
    make_more(database, 2000)
    sql(database, "ANALYZE", "DELETE FROM vocabulary WHERE id > 200")
    with closing(sqlite3.connect(database)) as connection:
        assert [(one.reason, one.rows, one.known) for one in stale(connection)] == [("shrunk", 200, 2050)]
    # As many rowids as ten times the rows, and no more rows: nothing has grown.
    sql(database, "ANALYZE", "UPDATE vocabulary SET id = 900000 WHERE id = 1")
    with closing(sqlite3.connect(database)) as connection:
        assert list(stale(connection)) == []
    make_more(database, 2000)
    with closing(sqlite3.connect(database)) as connection:
        assert [one.reason for one in stale(connection)] == ["grown"]


def test_incremental_vacuum(loose: Path, application) -> None:
    assert outcome(maintain(loose, "incremental_vacuum"), "incremental_vacuum") == ("skipped", "not_incremental")
    sql(loose, "PRAGMA auto_vacuum = INCREMENTAL", "VACUUM", "DELETE FROM vocabulary WHERE id > 30")
    free = sql(loose, "PRAGMA freelist_count")[0][0]
    assert free > 20
    application(loose)
    result = maintain(loose, "incremental_vacuum", "wal_checkpoint", checkpoint_mode="truncate")
    assert result["actions"]["incremental_vacuum"]["before"]["freelist"] >= free
    assert command(loose, "PRAGMA freelist_count", "PRAGMA integrity_check") == ["0", "ok"]
    assert status(result, "maintenance.reclaimed") is Status.OK
    assert outcome(maintain(loose, "incremental_vacuum"), "incremental_vacuum") == ("skipped", "no_free_pages")


def test_checkpoint(loose: Path, application) -> None:
    application(loose, code="connection.execute('UPDATE vocabulary SET word = 1')")
    wal = loose.with_name(loose.name + "-wal")
    assert outcome(maintain(loose, "wal_checkpoint", check=True), "wal_checkpoint") == ("planned", "log_planned")
    assert outcome(maintain(loose, "wal_checkpoint"), "wal_checkpoint") == ("done", "log_whole")
    assert wal.stat().st_size > 0
    assert outcome(maintain(loose, "wal_checkpoint"), "wal_checkpoint") == ("skipped", "log_moved")
    assert outcome(maintain(loose, "wal_checkpoint", checkpoint_mode="truncate"), "wal_checkpoint") == (
        "done",
        "log_cut",
    )
    assert wal.stat().st_size == 0
    assert not maintain(loose, "wal_checkpoint", checkpoint_mode="truncate")["changed"]


def test_checkpoint_behind_a_reader(loose: Path, application) -> None:
    reader = application(
        loose, code="connection.execute('BEGIN'); connection.execute('SELECT * FROM vocabulary').fetchone()"
    )
    make_more(loose, 10)
    result = maintain(loose, "wal_checkpoint")
    assert outcome(result, "wal_checkpoint") == ("done", "log_partly")
    assert f"pid {reader.pid} " in result["actions"]["wal_checkpoint"]["text"]
    result = maintain(loose, "wal_checkpoint", checkpoint_mode="truncate")
    assert outcome(result, "wal_checkpoint") == ("failed", "log_busy")
    assert f"pid {reader.pid} " in result["actions"]["wal_checkpoint"]["text"]
    assert result["actions"]["wal_checkpoint"]["stall_ms"] < 400, "writers waited for a reader"
    assert status(result, "maintenance.action") is Status.WARNING


def test_indexes_of_every_kind(loose: Path, application) -> None:
    sql(
        loose,
        "CREATE TABLE named (name TEXT PRIMARY KEY COLLATE NOCASE, size INT, UNIQUE (size, name)) WITHOUT ROWID",
        "INSERT INTO named SELECT 'n' || id, id % 7 FROM vocabulary",
        "CREATE INDEX lowered ON named (lower(name), size DESC)",
        "CREATE INDEX short ON vocabulary (length(word)) WHERE id > 10",
        'CREATE TABLE "with ""quote" (a INT, b AS (a * 2) STORED)',
        'CREATE INDEX "index ""quoted" ON "with ""quote" (b)',
        'INSERT INTO "with ""quote" (a) VALUES (1)',
        "CREATE VIEW words_only AS SELECT word FROM vocabulary",
    )
    application(loose)
    for action in ("reindex", "analyze"):
        assert outcome(maintain(loose, action, check=True), action)[0] == "planned"
        result = maintain(loose, action)
        assert result["actions"][action]["result"] == "done", result
    assert "sqlite_autoindex_named_2" in str(maintain(loose, "reindex")["actions"]["reindex"]["lines"])
    assert command(loose, "PRAGMA integrity_check") == ["ok"]
    assert outcome(maintain(loose, "optimize"), "optimize")[0] == "skipped"


def test_what_a_killed_application_left(loose: Path, application) -> None:
    """Its log waits to be recovered: looking leaves it alone, acting recovers it as the application would."""
    app = application(loose, code="connection.execute('PRAGMA wal_autocheckpoint = 0')")
    make_more(loose, 20)
    rows = sql(loose, "SELECT count(*) FROM vocabulary")
    app.kill()
    app.wait()
    assert loose.with_name(loose.name + "-wal").stat().st_size > 0
    before = tree(loose.parent)
    assert outcome(maintain(loose, *ORDER, check=True), "optimize")[0] == "planned"
    assert status(maintain(loose, "integrity_check"), "maintenance.integrity") is Status.OK
    assert tree(loose.parent) == before
    loose.with_name(loose.name + "-shm").unlink()
    planned = maintain(loose, "optimize", check=True)
    assert outcome(planned, "optimize") == ("refused", "traceless")
    assert outcome(maintain(loose, "integrity_check", "optimize"), "optimize")[0] == "done"
    assert [path.name for path in loose.parent.iterdir()] == [loose.name]
    assert sql(loose, "SELECT count(*) FROM vocabulary") == rows


# What it refuses


def spoil(path: Path, page: int, content: bytes = b"\xa5" * 4096) -> None:
    with path.open("r+b") as stream:
        stream.seek((page - 1) * 4096)
        stream.write(content)


def test_damage_is_told_and_not_written_to(loose: Path) -> None:
    (page,) = sql(loose, "SELECT max(pageno) FROM dbstat WHERE name = 'vocabulary'")[0]
    spoil(loose, page)
    before = tree(loose.parent)
    result = maintain(loose, *ORDER, force=True)
    assert outcome(result, "integrity_check") == ("done", "damaged")
    assert status(result, "maintenance.integrity") is Status.CRITICAL
    assert status(result, "maintenance.quick_check") is Status.CRITICAL
    assert {outcome(result, name) for name in WRITES} == {("refused", "not_sound")}
    assert tree(loose.parent) == before


def test_damage_of_an_index_only(loose: Path) -> None:
    """An entry of the index names another row: what quick_check misses."""
    sql(loose, "VACUUM")
    (page,) = sql(loose, "SELECT max(pageno) FROM dbstat WHERE name = 'words' AND pagetype = 'leaf'")[0]
    with loose.open("rb") as stream:
        stream.seek((page - 1) * 4096)
        content = bytearray(stream.read(4096))
    content[-20] ^= 0x04
    spoil(loose, page, bytes(content))
    result = maintain(loose, "quick_check", "integrity_check", "vacuum", force=True)
    assert status(result, "maintenance.quick_check") is Status.OK, "the very reason for the integrity check"
    assert status(result, "maintenance.integrity") is Status.CRITICAL
    assert outcome(result, "vacuum") == ("refused", "not_sound")


def test_destroyed_schema(loose: Path) -> None:
    spoil(loose, 1, loose.read_bytes()[:100] + b"\xff" * 1000)
    result = maintain(loose, "integrity_check", "optimize")
    assert status(result, "maintenance.integrity") is Status.CRITICAL
    assert outcome(result, "optimize") == ("refused", "not_sound")


def test_orphans_are_told(loose: Path) -> None:
    sql(loose, "CREATE TABLE score (word INT REFERENCES vocabulary (id))", "INSERT INTO score VALUES (1), (99999)")
    result = maintain(loose, "foreign_key_check", "optimize")
    assert status(result, "maintenance.foreign_keys") is Status.CRITICAL
    assert result["actions"]["foreign_key_check"]["lines"] == [
        "score row 2 refers to a row of vocabulary that is not there"
    ]
    assert outcome(result, "optimize") == ("refused", "not_sound")


def test_a_database_without_tables_is_not_ok(loose: Path) -> None:
    sql(loose, "DROP TABLE vocabulary", "DROP TABLE users")
    assert status(maintain(loose, "integrity_check"), "maintenance.integrity") is Status.CRITICAL


@pytest.mark.parametrize(
    "content", [None, b"", b"SQLite format 3", b"word;" * 100], ids=["missing", "empty", "short", "text"]
)
def test_what_is_no_database_is_refused(place: Path, content: bytes | None) -> None:
    path = place / "learning.db"
    if content is not None:
        path.write_bytes(content)
    before = tree(place)
    with pytest.raises(OpsError, match="learning.db"):
        maintain(path, "integrity_check", "optimize")
    assert tree(place) == before


def test_a_file_the_service_has_not_open_is_refused(loose: Path, application, place: Path) -> None:
    other = make_database(place / "other.db")
    pidfile = place / "app.pid"
    pidfile.write_text(str(application(other).pid))
    with pytest.raises(OpsError, match="does not use"):
        maintain(loose, "optimize", pidfile=str(pidfile))
    assert maintain(other, "optimize", pidfile=str(pidfile))["changed"]


@root_only
def test_works_as_the_owner(loose: Path, application) -> None:
    give(loose.parent)
    application(loose, uid=OTHER)
    maintain(loose, *ORDER, force=True)
    assert {path.stat().st_uid for path in loose.parent.iterdir()} == {OTHER}


@root_only
@pytest.mark.parametrize("user", [OTHER, OTHER + 1])
def test_without_root(loose: Path, user: int) -> None:
    give(loose.parent.parent)

    def alone() -> dict[str, Any]:
        become(user, user)
        return maintain(loose, "integrity_check", "optimize")

    done = run_isolated(alone, 20)
    if user == OTHER:
        assert outcome(done.value, "optimize")[0] == "done", done.error
    else:
        assert "belongs to" in done.error
    assert {path.stat().st_uid for path in loose.parent.iterdir()} == {OTHER}


@root_only
def test_a_directory_of_others_is_not_left_to_root(loose: Path) -> None:
    """Files beside the database that are somebody else's are refused, not spread."""
    give(loose.parent)
    loose.with_name(loose.name + "-wal").touch()
    with pytest.raises(OpsError, match="one owner"):
        maintain(loose, "optimize")


def test_vacuum_needs_a_proof(loose: Path) -> None:
    assert outcome(maintain(loose, "vacuum", force=True), "vacuum") == ("refused", "unproved")
    assert outcome(maintain(loose, "quick_check", "vacuum", force=True), "vacuum") == ("refused", "unproved")


def test_vacuum_only_when_worth_it(loose: Path) -> None:
    assert outcome(maintain(loose, "integrity_check", "vacuum", vacuum_min_reclaim=99.5), "vacuum") == (
        "skipped",
        "not_worth",
    )
    assert (
        outcome(maintain(loose, "integrity_check", "vacuum", vacuum_min_reclaim=99.5, force=True), "vacuum")[0]
        == "done"
    )


def test_vacuum_only_in_the_window(loose: Path) -> None:
    now = datetime.now(timezone.utc)
    closed = f"{(now.hour + 11) % 24:02d}:00-{(now.hour + 12) % 24:02d}:00"
    for check in (True, False):
        result = maintain(loose, "integrity_check", "vacuum", window=closed, check=check)
        assert outcome(result, "vacuum") == ("refused", "window")
        assert closed in result["actions"]["vacuum"]["text"]
        assert not result["changed"]
    opened = f"{(now.hour + 23) % 24:02d}:00-{(now.hour + 2) % 24:02d}:00"
    assert outcome(maintain(loose, "integrity_check", "vacuum", window=opened), "vacuum") == ("done", "vacuumed")


@pytest.mark.parametrize(
    ("window", "moment", "expected"),
    [
        ("02:00-04:00", "18:00", True),
        ("02:00-04:00", "19:59", True),
        ("02:00-04:00", "20:00", False),
        ("02:00-04:00", "02:30", False),
        ("23:00-01:00", "16:30", True),
        ("23:00-01:00", "14:59", False),
    ],
)
def test_window_in_the_operators_time_zone(window: str, moment: str, expected: bool) -> None:
    wanted = Wanted.from_options({**DEFAULTS, "actions": ["vacuum"], "window": window, "timezone": "Asia/Shanghai"})
    hour, minute = map(int, moment.split(":"))
    assert wanted.open_at(datetime(2026, 11, 23, hour, minute, tzinfo=timezone.utc)) is expected


@pytest.mark.parametrize(
    "mistake",
    [
        {"actions": []},
        {"window": "2-4"},
        {"window": "02:00-04:00", "timezone": "Asia/Beijing"},
        {"deadline": 0.0},
        {"max_stall_ms": -1},
        {"vacuum_min_reclaim": 101.0},
    ],
)
def test_mistakes(mistake: dict[str, Any]) -> None:
    with pytest.raises(OpsError, match="expected"):
        Wanted.from_options({**DEFAULTS, "actions": ["vacuum"], **mistake})


@pytest.mark.parametrize("action", ["reindex", "vacuum"])
@pytest.mark.parametrize("check", [True, False])
def test_a_plan_that_takes_too_long_is_refused(loose: Path, action: str, check: bool) -> None:
    before = loose.read_bytes()
    result = maintain(loose, "integrity_check", action, max_stall_ms=2, check=check)
    assert outcome(result, action)[0] == "refused"
    assert result["actions"][action]["reason"] in ("stall", "stall_slice")
    assert result["actions"][action]["stall_ms"] > 2
    assert status(result, "maintenance.action") is Status.WARNING
    assert loose.read_bytes() == before
    assert outcome(maintain(loose, "integrity_check", action, max_stall_ms=0), action)[0] == "done"


def test_without_a_log_readers_keep_writers_out(loose: Path) -> None:
    sql(loose, "PRAGMA journal_mode = DELETE")
    assert outcome(maintain(loose, "integrity_check", max_stall_ms=2), "integrity_check") == ("refused", "stall")
    result = maintain(loose, "integrity_check", "vacuum", "wal_checkpoint")
    assert [outcome(result, name)[0] for name in result["actions"]] == ["done", "done", "skipped"]


def test_what_takes_longer_than_it_may_is_undone(loose: Path) -> None:
    with closing(connect(loose, "rw", 1.0)) as connection:
        lock = Lock(connection, 0.05, time.monotonic() + 60, lambda: None)
        endless = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO users (name) SELECT i FROM n"
        with pytest.raises(Stopped, match="stall_reached"):
            lock.hold(endless)
        assert 0.05 <= lock.worst < 1
        lock.ends = time.monotonic()
        with pytest.raises(Stopped, match="deadline"):
            lock.hold(endless)
        assert not connection.in_transaction
    assert sql(loose, "SELECT count(*) FROM users") == [(0,)]


def test_vacuum_is_given_up_while_that_is_possible(loose: Path) -> None:
    make_more(loose, 8000)
    before = sql(loose, "PRAGMA page_count")
    with closing(connect(loose, "rw", 1.0)) as connection:
        lock = Lock(connection, 10.0, time.monotonic() + 60, lambda: None)
        with pytest.raises(Stopped, match="stall_reached"):
            lock.alone("VACUUM", 0.001)
        assert lock.committed == 0
        assert lock.cap == 10.0
    assert sql(loose, "PRAGMA page_count") == before
    assert sql(loose, "PRAGMA integrity_check") == [("ok",)]


def test_writers_are_let_in_as_long_as_they_were_kept_out(loose: Path) -> None:
    with closing(connect(loose, "rw", 1.0)) as connection:
        lock = Lock(connection, 1.0, time.monotonic() + 60, lambda: None)
        started = time.monotonic()
        lock.breathe(0.1)
        assert 0.1 <= time.monotonic() - started < 1
        lock.ends = time.monotonic()
        lock.breathe(10.0)
        assert time.monotonic() - started < 2, "the deadline ends a pause too"


# What goes wrong


def test_locked(loose: Path, application) -> None:
    holder = application(loose, code="connection.execute('BEGIN IMMEDIATE')")
    result = maintain(loose, "integrity_check", *WRITES, busy_timeout=0.05, force=True)
    for action in ("optimize", "analyze", "reindex", "vacuum"):
        assert outcome(result, action) == ("failed", "locked"), result["actions"][action]
        assert f"pid {holder.pid} " in result["actions"][action]["text"]
    assert status(result, "maintenance.integrity") is Status.OK


@pytest.mark.parametrize("action", ["integrity_check", "reindex", "analyze", "vacuum"])
def test_deadline(loose: Path, action: str) -> None:
    make_more(loose, 8000)
    sql(loose, "DELETE FROM vocabulary WHERE id % 2", "PRAGMA wal_checkpoint(TRUNCATE)")
    before = sql(loose, "SELECT count(*), max(word) FROM vocabulary")
    actions = (action,) if action != "vacuum" else ("integrity_check", "vacuum")
    limit = 0.004
    started = time.monotonic()
    result = maintain(loose, *actions, deadline=limit, max_stall_ms=0)
    assert time.monotonic() - started < 2
    assert outcome(result, action) in {
        ("failed", "deadline"),
        ("failed", "deadline_slice"),
        ("failed", "not_begun"),
        ("refused", "not_sound"),
    }
    if action == "integrity_check":
        assert status(result, "maintenance.integrity") is Status.UNKNOWN
    assert sql(loose, "PRAGMA integrity_check") == [("ok",)]
    assert sql(loose, "SELECT count(*), max(word) FROM vocabulary") == before


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    where = place / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "tmpfs", str(where)], check=True)
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def fill(path: Path) -> None:
    """Write a file until there is no room for another page."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(descriptor, b"\0" * 4096):
            pass
    os.close(descriptor)


@root_only
def test_no_room_for_vacuum(small_disk: Path) -> None:
    path = make_database(small_disk / "learning.db")
    make_more(path, 4000)
    sql(path, "DELETE FROM vocabulary WHERE id > 800", "PRAGMA wal_checkpoint(TRUNCATE)")
    before = tree(small_disk)
    for check in (True, False):
        result = maintain(path, "integrity_check", "vacuum", check=check, force=True)
        assert outcome(result, "vacuum") == ("refused", "room")
        assert str(small_disk) in result["actions"]["vacuum"]["text"]
    assert tree(small_disk) == before


@root_only
def test_vacuum_where_the_usual_place_for_temporary_files_is_full(
    loose: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(small_disk / "ballast")
    monkeypatch.setenv("SQLITE_TMPDIR", str(small_disk))
    assert temp_place() == str(small_disk)
    assert room(str(loose), 1000).temp == str(loose.parent)
    make_more(loose, 6000)
    sql(loose, "DELETE FROM vocabulary WHERE id % 2")
    result = maintain(loose, "integrity_check", "vacuum", force=True)
    assert outcome(result, "vacuum") == ("done", "vacuumed"), result["actions"]["vacuum"]


@root_only
@pytest.mark.parametrize("action", ["reindex", "optimize"])
def test_disk_full(small_disk: Path, action: str, application) -> None:
    path = make_database(small_disk / "learning.db")
    make_more(path, 2000)
    app = application(path)
    rows = sql(path, "SELECT count(*) FROM vocabulary", "SELECT count(*) FROM vocabulary")
    fill(small_disk / "ballast")
    result = maintain(path, action, max_stall_ms=0)
    assert outcome(result, action) == ("failed", "full"), result["actions"]
    (small_disk / "ballast").unlink()
    assert command(path, "PRAGMA integrity_check") == ["ok"]
    assert sql(path, "SELECT count(*) FROM vocabulary") == rows
    assert app.poll() is None
    assert outcome(maintain(path, action, max_stall_ms=0), action)[0] == "done"


@root_only
def test_read_only_file_system(loose: Path, small_disk: Path) -> None:
    shutil.copy(loose, small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = maintain(small_disk / loose.name, *ORDER, force=True)
    assert status(result, "maintenance.integrity") is Status.OK
    assert outcome(result, "vacuum")[0] == "failed" or outcome(result, "vacuum")[0] == "refused"
    assert outcome(result, "optimize") == ("failed", "error")
    assert not result["changed"]


def test_replaced_while_it_is_looked_at(loose: Path, place: Path) -> None:
    other = make_database(place / "other.db")

    def tell(stage: str, done: float | None = None) -> None:
        if stage == "optimize" and other.exists():
            other.replace(loose)

    options = {**DEFAULTS, "path": str(loose), "actions": ["optimize"]}
    result = run(options, False, tell)
    assert outcome(result, "optimize") == ("failed", "error")
    assert "replaced" in result["actions"]["optimize"]["text"]
    assert sql(loose, "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'") == [(0,)]


def test_what_hears_no_interrupt_is_killed(loose: Path) -> None:
    parent = os.getpid()

    def tell(stage: str, done: float | None = None) -> None:
        while stage == "vacuum" and os.getpid() != parent:
            time.sleep(1)  # a disk that hangs

    options = {**DEFAULTS, "path": str(loose), "actions": ["integrity_check", "vacuum"], "deadline": 1.0}
    started = time.monotonic()
    result = run(options, False, tell)
    assert time.monotonic() - started < 8
    assert outcome(result, "vacuum") == ("failed", "killed")
    assert sql(loose, "PRAGMA integrity_check") == [("ok",)]
    assert outcome(maintain(loose, "integrity_check", "vacuum"), "vacuum") == ("done", "vacuumed")


def test_slices_that_were_done_are_changes(loose: Path, application) -> None:
    """The lock is gone in the middle: what was written until then is told as a change."""
    sql(loose, "CREATE INDEX stamps ON vocabulary (created_at)")
    holder: list[subprocess.Popen] = []

    def tell(stage: str, done: float | None = None) -> None:
        if stage == "reindex" and done == 0.5 and not holder:
            holder.append(application(loose, code="connection.execute('BEGIN IMMEDIATE')"))

    options = {**DEFAULTS, "path": str(loose), "actions": ["reindex"], "busy_timeout": 0.05}
    result = run(options, False, tell)
    assert outcome(result, "reindex") == ("failed", "locked")
    assert result["changed"]


def test_one_run_at_a_time(loose: Path) -> None:
    descriptor = os.open(loose.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # a backup
        with pytest.raises(OpsError, match="has to wait"):
            maintain(loose, "optimize")
        assert maintain(loose, "integrity_check")["checks"]
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # a restore
        with pytest.raises(OpsError, match="has to wait"):
            maintain(loose, "integrity_check")
    finally:
        os.close(descriptor)


@root_only
def test_progress_is_told_by_the_owner(loose: Path, place: Path) -> None:
    give(loose.parent)
    progress = place / "progress"
    progress.touch(mode=0o600)
    maintain(loose, "integrity_check", "reindex", progress=str(progress))
    assert json.loads(progress.read_text())["stage"] == "reindex"
