# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance while an application commits 200 times a second, and killed at any moment: nothing is lost, nobody waits.

OPS_VACUUM_KILLS sets how often VACUUM is killed (15), OPS_SEED repeats the moments of a run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

WRITER = Path(__file__).with_name("writer.py")
MODULE = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bilingual_tutor.ops.plugins.modules import sqlite_maintenance
with patch_module_args(json.load(sys.stdin)):
    sqlite_maintenance.main()
"""
ROOT = Path(__file__).parents[3]
MIB = 60
MADE = MIB * 2400
GONE = "id > 1000 AND id % 3000 < 1000"
ROWS = sum(number <= 1000 or number % 3000 >= 1000 for number in range(1, MADE + 1))
KILLS = int(os.environ.get("OPS_VACUUM_KILLS", "15"))
BUDGET = 500


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory in memory where there is one: what is measured is the lock, not other work on this disk."""
    memory = Path("/dev/shm")
    room = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    directory = Path(tempfile.mkdtemp(prefix="ops-load-", dir=memory if room else None))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def original(place: Path) -> Path:
    """A database of 60 MiB, a third of it unused."""
    path = place / "original.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE ledger (id INTEGER PRIMARY KEY, n INTEGER UNIQUE)")
        connection.execute("CREATE TABLE vocabulary (id INTEGER PRIMARY KEY, word TEXT, body TEXT, score INTEGER)")
        connection.execute("CREATE INDEX words ON vocabulary (word)")
        connection.execute("CREATE INDEX scores ON vocabulary (score, word)")
        source = random.Random(1)
        rows = (
            (f"{source.getrandbits(64):x}", "b" * source.randrange(100, 500), source.randrange(1000))
            for _row in range(MADE)
        )
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO vocabulary (word, body, score) VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
        connection.execute(f"DELETE FROM vocabulary WHERE {GONE}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert MIB * 2**20 * 0.8 < path.stat().st_size < MIB * 2**20 * 1.4
    return path


@pytest.fixture
def database(original: Path, place: Path) -> Iterator[Path]:
    directory = place / "live"
    directory.mkdir()
    path = directory / "learning.db"
    shutil.copy(original, path)
    yield path
    shutil.rmtree(directory)


def start(path: Path, actions: list[str], **options: Any) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
    )
    assert process.stdin
    process.stdin.write(json.dumps({"path": str(path), "actions": actions, **options}))
    process.stdin.close()
    return process


def maintain(path: Path, actions: list[str], **options: Any) -> dict[str, Any]:
    with start(path, actions, **options) as process:
        assert process.stdout
        result = json.loads(process.stdout.read())
    assert "actions" in result, result
    return dict(result)


class Writer:
    """The application; ``commits`` and ``worst`` (seconds) when it has ended."""

    commits = 0
    worst = 0.0


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Let the application write; afterwards every number it committed must be there, once and in order."""
    writer = Writer()
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    try:
        yield writer
    finally:
        told, _nothing = process.communicate()
    commits, worst = told.split()
    writer.commits, writer.worst = int(commits), float(worst)
    assert whole(path) == writer.commits


def whole(path: Path) -> int:
    """Return how many numbers the ledger has; all is sound and in order."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        count, least, most = connection.execute("SELECT count(*), min(n), max(n) FROM ledger").fetchone()
        assert connection.execute("SELECT count(*) FROM vocabulary").fetchone()[0] == ROWS
    assert count == 0 or (least, most) == (1, count)
    return int(count)


@pytest.mark.parametrize("action", ["optimize", "analyze", "reindex", "incremental_vacuum", "wal_checkpoint"])
def test_writers_wait_no_longer_than_the_budget(database: Path, action: str) -> None:
    with writing(database) as writer:
        result = maintain(database, [action], max_stall_ms=BUDGET, checkpoint_mode="truncate")["actions"][action]
    print(f"{action}: {result['text']}; stall {result['stall_ms']} ms, writer's worst {writer.worst * 1000:.0f} ms")
    assert result["result"] == "done", result
    assert result["stall_ms"] <= BUDGET
    assert writer.worst * 1000 <= BUDGET
    assert writer.commits > 1


def test_vacuum_is_refused_where_it_would_take_too_long(database: Path) -> None:
    with writing(database) as writer:
        result = maintain(database, ["integrity_check", "vacuum"], max_stall_ms=200)["actions"]["vacuum"]
    assert (result["result"], result["reason"]) == ("refused", "stall")
    assert result["stall_ms"] > 200
    assert writer.worst < 0.2


def test_vacuum_under_load(database: Path) -> None:
    with writing(database) as writer:
        result = maintain(database, ["integrity_check", "vacuum"], max_stall_ms=0)["actions"]["vacuum"]
    print(f"vacuum: {result['text']}; stall {result['stall_ms']} ms, writer's worst {writer.worst * 1000:.0f} ms")
    assert result["result"] == "done", result
    assert result["after"]["bytes"] < result["before"]["bytes"] * 0.75
    assert writer.worst <= result["stall_ms"] / 1000 + 0.3, "the stall that is told is the one that was suffered"


def test_killed_at_any_moment(database: Path) -> None:
    """SIGKILL of the module and of the process that works for it: the database is as before, or vacuumed."""
    seed = int(os.environ.get("OPS_SEED", random.randrange(10**6)))
    print(f"OPS_SEED={seed}")
    source = random.Random(seed)
    rows = whole(database)
    started = time.monotonic()
    maintain(database, ["quick_check"])
    overhead = time.monotonic() - started
    reached = {"whole": 0, "vacuumed": 0}
    for number in range(KILLS):
        shutil.copy(database, database.with_name("victim.db"))
        victim = database.with_name("victim.db")
        process = start(victim, ["integrity_check", "vacuum"], max_stall_ms=0)
        wait(lambda victim=victim, process=process: working(victim) or process.poll() is not None)
        time.sleep(source.uniform(0, 0.4))
        killed = family(process.pid)
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert whole(victim) == rows, f"kill {number}"
        with closing(sqlite3.connect(victim)) as connection:
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        reached["whole" if free else "vacuumed"] += 1
        again = maintain(victim, ["integrity_check", "vacuum"], max_stall_ms=0)["actions"]["vacuum"]
        assert again["result"] == ("done" if free else "skipped")
        for path in database.parent.glob("victim.db*"):
            path.unlink()
    print(f"{KILLS} kills, seed {seed}: {reached}, {overhead:.1f} s before each")
    assert sorted(path.name for path in database.parent.iterdir()) == [database.name]


def wait(done: Any) -> None:
    """Wait for a condition, not longer than 20 s."""
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.002)


def working(path: Path) -> bool:
    """Tell whether somebody has begun to write the database anew."""
    return path.with_name(path.name + "-shm").exists()


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        children = []
    return [*map(int, children), pid]
