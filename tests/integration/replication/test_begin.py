# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Litestream that was down misses nothing of what was written meanwhile, however the log went on without it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from replicated import ENVIRON, LITESTREAM, Bench, wait

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.quiesce import sync
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import begin, lag, ltx

RESTARTS = 6


def contents(path: Path) -> tuple[list[tuple[str]], list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM answers ORDER BY id").fetchall()
        rows += connection.execute("SELECT * FROM users ORDER BY id").fetchall()
        return connection.execute("PRAGMA integrity_check").fetchall(), rows


def start_the_log_over(bench: Bench) -> sqlite3.Connection:
    """Write while Litestream is down, and a little more into a log that has started over; return who has it open."""
    application = sqlite3.connect(bench.path, isolation_level=None)
    for number in range(20):
        application.execute("INSERT INTO answers (user, text) VALUES (1, ?)", (f"before {number}",))
    wait(lambda: lag.position(str(bench.path)).behind == 0, "all that was written before is copied")
    bench.end_replicating()
    # In a page that what comes after has no part in.
    application.execute("UPDATE users SET name = 'missed' WHERE id = 7")
    application.execute("PRAGMA wal_checkpoint(RESTART)")
    application.execute("INSERT INTO answers (user, text) VALUES (3, 'after')")
    assert not lag.goes_on(str(bench.path))
    return application


@pytest.mark.parametrize("guarded", [True, False])
def test_a_log_that_started_over(bench: Bench, guarded: bool) -> None:
    """By itself Litestream 0.5.17 misses a change, which the second case shows: when that ends, the guard can go."""
    with closing(start_the_log_over(bench)):
        bench.replicate(guarded)
        before = lag.newest(str(bench.path)).last
        wait(lambda: lag.newest(str(bench.path)).last > before, "what came after is copied")
    bench.end_replicating()
    integrity, rows = contents(bench.restored())
    well = integrity == [("ok",)] and rows == contents(bench.path)[1]
    assert well is guarded


def test_the_last_of_such_a_log(bench: Bench) -> None:
    """As a host is left whose Litestream and application were killed: what is sent once more is the whole database."""
    epoch = bench.directory / "epoch"
    epoch.write_text("REPLICATION_EPOCH=0001\n")
    options = {"replication_epoch_file": str(epoch), "binary": str(LITESTREAM), "replication_config": str(bench.config)}
    with closing(start_the_log_over(bench)):
        sync.send(str(bench.path), options, Deadline(30))
        integrity, rows = contents(bench.restored())
        assert integrity == [("ok",)]
        assert rows == contents(bench.path)[1]


def test_a_log_that_is_as_long_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an application that hardly writes: emptied, the log is at once as long as Litestream knows it."""
    bench.end_replicating()
    page = 4096
    known = ltx.Header(page, 1, 1, 1, 0.0, lag.WAL_HEADER, lag.FRAME_HEADER + page, b"another.")
    monkeypatch.setattr(lag, "newest", lambda _database: known)
    monkeypatch.setattr(begin, "PIN_SECONDS", 1.0)
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as connection:
        begin.pin(connection, str(bench.path))
        assert begin.holds(str(bench.path), os.getpid())


def test_restarts_under_load(bench: Bench) -> None:
    """Ended and killed at random moments, and down for random times."""
    seed = int(os.environ.get("OPS_SEED", str(time.time_ns() % 1_000_000)))
    print(f"OPS_SEED={seed}")
    chance = random.Random(seed)
    bench.write()
    for _restart in range(RESTARTS):
        time.sleep(chance.uniform(0.2, 1.0))
        bench.end_replicating(chance.choice([signal.SIGTERM, signal.SIGKILL]))
        time.sleep(chance.uniform(0.0, 1.5))
        bench.replicate()
        assert bench.daemon
        wait(lambda: begin.holds(str(bench.path), bench.daemon.pid), "Litestream keeps the log")
    bench.stop_writing()
    bench.end_replicating()
    integrity, rows = contents(bench.restored())
    assert integrity == [("ok",)]
    assert rows == contents(bench.path)[1]


def test_the_keeper_goes_when_litestream_has_its_lock(bench: Bench) -> None:
    bench.end_replicating()
    bench.replicate()
    assert bench.daemon
    wait(lambda: lag.lock_holders(str(bench.path)) == {bench.daemon.pid}, "nobody but Litestream holds a lock")


def test_somebody_who_reads_all_the_time(bench: Bench) -> None:
    """The log cannot be emptied: an error that says so, and Litestream is not started; then it goes on."""
    application = start_the_log_over(bench)
    reader = sqlite3.connect(bench.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM answers").fetchone()
    program = f"import {begin.__name__} as begin; begin.PIN_SECONDS = 0.5; begin.main()"
    command = [sys.executable, "-c", program, str(bench.path), "/bin/echo", "started"]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1 and done.stdout == "", done
    assert "started over while nothing was copied" in done.stderr or "locked" in done.stderr
    reader.close()
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "started\n"), done
    application.close()


def test_a_database_that_was_restored(bench: Bench) -> None:
    """From a time before Litestream, or as one file: it makes its table and sets the mode, as Litestream does itself."""
    bench.end_replicating()
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE _litestream_seq")
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    bench.replicate()
    assert bench.daemon
    wait(lambda: begin.holds(str(bench.path), bench.daemon.pid), "Litestream keeps the log")


def test_nothing_was_copied_yet(tmp_path: Path) -> None:
    command = [sys.executable, "-m", begin.__name__, str(tmp_path / "none.db"), "/bin/echo", "started"]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")
    assert list(tmp_path.iterdir()) == []
