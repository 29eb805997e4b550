# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pinned copy relies on, and what it does when that is not so."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from databases import OTHER, make_database

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot import engines, walindex
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.pin import Pin
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.pinned_copy import (
    Source,
    Swapped,
    copy_pinned,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import find_target

ROOT = os.geteuid() == 0


def source(database: Path) -> Source:
    seen = database.stat()
    return Source(str(database), seen.st_dev, seen.st_ino, seen.st_uid)


@pytest.fixture
def out(place: Path):
    descriptor = os.open(place / "out.db", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def live(database: Path, application) -> Path:
    """A database with a log, which a process has open."""
    application(database)
    return database


def descriptor(path: str) -> int:
    return os.open(path, os.O_RDWR)


def test_the_pin_keeps_the_state(live: Path, place: Path, out: int) -> None:
    """What is committed and checkpointed while it is pinned, and after the index was read, is not in the copy."""
    seen = live.stat()
    with Pin(str(live), (seen.st_uid, seen.st_gid), Deadline(20)) as pinned:
        assert pinned.journal_mode == "wal"

        def writes() -> None:
            with closing(sqlite3.connect(live, isolation_level=None)) as connection:
                connection.execute("INSERT INTO users (name) VALUES ('late')")
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

        def copy_while_written(_stage: str, _done: float | None = None) -> None:
            """Commit and checkpoint once the index was read."""
            if not run_isolated(writes, 10).error:
                written.append(True)

        written: list[bool] = []
        # In another process than the pin's, as everything that opens the file.
        answer = run_isolated(lambda: (copy_pinned(source(live), True, out, copy_while_written), len(written)), 20)
        assert not answer.error
        assert answer.value[0]["from_wal"] > 0 and answer.value[1] > 0
    with closing(sqlite3.connect(place / "out.db")) as connection:
        assert connection.execute("SELECT count(*) FROM vocabulary").fetchone() == (51,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_pin_that_does_not_last_proves_nothing(live: Path) -> None:
    seen = live.stat()
    pinned = Pin(str(live), (seen.st_uid, seen.st_gid), Deadline(20))
    with pytest.raises(OpsError, match="the copy proves nothing"), pinned:
        os.kill(pinned._child.pid, signal.SIGKILL)


def test_an_error_inside_is_not_hidden_by_the_pin(live: Path) -> None:
    seen = live.stat()
    with pytest.raises(ZeroDivisionError), Pin(str(live), (seen.st_uid, seen.st_gid), Deadline(20)):
        raise ZeroDivisionError


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_link_in_its_place_is_not_followed(live: Path, place: Path, out: int, suffix: str) -> None:
    secret = place / "shadow"
    secret.write_text("secret")
    judged = source(live)
    path = Path(f"{live}{suffix}")
    path.rename(f"{path}.moved")
    path.symlink_to(secret)
    with pytest.raises(Swapped, match="cannot be opened"):
        copy_pinned(judged, True, out, silent)
    path.unlink()
    path.write_bytes(Path(f"{path}.moved").read_bytes())
    if not suffix:
        with pytest.raises(Swapped, match="was replaced"):
            copy_pinned(judged, True, out, silent)
    elif ROOT:
        os.chown(path, OTHER, OTHER)
        with pytest.raises(Swapped, match="was replaced"):
            copy_pinned(judged, True, out, silent)


def test_an_index_that_does_not_come_to_rest(live: Path, monkeypatch) -> None:
    shm = descriptor(f"{live}-shm")
    monkeypatch.setattr(walindex, "READS", 3)
    try:
        index = walindex.read_index(shm)
        assert index.frames > 0 and not index.settled
        os.pwrite(shm, b"\xff", 60)
        with pytest.raises(walindex.Untrusted, match="does not come to rest"):
            walindex.read_index(shm)
        os.pwrite(shm, os.pread(shm, 48, 48), 0)
        with pytest.raises(walindex.Untrusted, match="is not valid"):
            walindex.read_index(shm)
    finally:
        os.close(shm)


@pytest.mark.parametrize(
    ("offset", "data", "message"),
    [
        (0, b"no log", "does not begin"),
        (16, b"salt", "same salts"),
        (32 + 8, b"salt", "of another log"),
        (32, bytes(4), "of another log"),
        (32 + 4, b"\0\0\0\x01", "commits 1 pages"),
    ],
)
def test_a_log_that_is_another(live: Path, offset: int, data: bytes, message: str) -> None:
    shm, wal = descriptor(f"{live}-shm"), descriptor(f"{live}-wal")
    try:
        index = walindex.read_index(shm)
        assert any(walindex.overlay(wal, index))
        if offset == 32 + 4:
            offset = walindex.frame_offset(index.frames, index.page_size) - 20
        os.pwrite(wal, data, offset)
        with pytest.raises(walindex.Untrusted, match=message):
            walindex.overlay(wal, index)
    finally:
        os.close(shm)
        os.close(wal)


def test_a_log_that_ends_too_early(live: Path) -> None:
    shm, wal = descriptor(f"{live}-shm"), descriptor(f"{live}-wal")
    try:
        index = walindex.read_index(shm)
        os.ftruncate(wal, 40)
        with pytest.raises(walindex.Untrusted, match="ends at frame 1"):
            walindex.overlay(wal, index)
    finally:
        os.close(shm)
        os.close(wal)


def test_a_log_that_begins_anew_while_it_is_copied(live: Path, out: int) -> None:
    def start_over(_stage: str, _done: float | None = None) -> None:
        wal = descriptor(f"{live}-wal")
        os.pwrite(wal, b"salt", 16)
        os.close(wal)

    with pytest.raises(walindex.Untrusted, match="was started over"):
        copy_pinned(source(live), True, out, start_over)


def test_auto_asks_sqlite_when_the_index_cannot_be_trusted(live: Path, place: Path, out: int, monkeypatch) -> None:
    def untrusted(*_arguments: object) -> None:
        raise walindex.Untrusted("its WAL index is not valid")

    monkeypatch.setattr(engines, "copy_pinned", untrusted)
    target = find_target({"path": str(live)})
    copied = engines.copy(target, "auto", out, str(place / "out.db"), Deadline(20), silent)
    assert copied.engine == "pinned_api"
    with closing(sqlite3.connect(place / "out.db")) as connection:
        assert connection.execute("SELECT count(*) FROM vocabulary").fetchone() == (51,)
    with pytest.raises(OpsError, match="Use engine: pinned_api"):
        engines.copy(target, "pinned_copy", out, str(place / "out.db"), Deadline(20), silent)


def test_a_truncated_database_is_no_source(live: Path, out: int) -> None:
    os.truncate(live, 8192)
    with pytest.raises(OpsError, match="it is truncated"):
        copy_pinned(source(live), True, out, silent)


def test_pages_that_are_only_in_the_log(database: Path, place: Path, application, out: int) -> None:
    """The file has not yet grown to what the log commits."""
    application(
        database,
        code="connection.execute('PRAGMA wal_autocheckpoint = 0')\n"
        'connection.execute("INSERT INTO users (name) SELECT hex(randomblob(2000)) FROM vocabulary")',
    )
    answer = copy_pinned(source(database), True, out, silent)
    assert answer["bytes"] > database.stat().st_size
    with closing(sqlite3.connect(place / "out.db")) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (51,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_database_that_shrank_in_the_log(database: Path, place: Path, application, out: int) -> None:
    application(
        database,
        code="connection.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "connection.execute('DELETE FROM vocabulary WHERE id > 3'); connection.execute('VACUUM')",
    )
    answer = copy_pinned(source(database), True, out, silent)
    assert answer["bytes"] < database.stat().st_size
    with closing(sqlite3.connect(place / "out.db")) as connection:
        assert connection.execute("SELECT count(*) FROM vocabulary").fetchone() == (3,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_api_gives_up_in_time(database: Path, place: Path, out: int) -> None:
    """Connection.backup() of a locked source tries for ever; here somebody keeps the copy locked."""
    make_database(place / "big.db", 3000)
    target = find_target({"path": str(place / "big.db")})
    holder = sqlite3.connect(place / "out.db", isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(OpsError, match="within|locked"):
            engines.copy(target, "pinned_api", out, str(place / "out.db"), Deadline(2), silent)
    finally:
        holder.close()
