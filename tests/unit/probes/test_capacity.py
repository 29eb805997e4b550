# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The capacity probe on this machine, with a past made up: real file systems, processes, directories and databases."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import mounts
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity import memory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import capacity
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare

DAY = 86400
MIB = 2**20


def look(**options: Any) -> dict[str, Check]:
    spec = prepare({"kind": "capacity", **options}).spec
    result = capacity.probe(spec, {}, Deadline(15))
    return {f"{check.id}|{check.item}": check for check in result.checks}


def past(*values: float, every: float = 1) -> list[list[float]]:
    """Return values of the last days, the newest yesterday."""
    now = time.time()
    return [[now - (len(values) - number) * every * DAY, value] for number, value in enumerate(values)]


def allocate(path: Path, size: int) -> None:
    """Make a file that has all its blocks, without writing them."""
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, size)


def root() -> mounts.Usage:
    found = mounts.statvfs("/")
    assert found.total, "the tests need a root file system with a size"
    return found


def test_without_a_past_nothing_is_found() -> None:
    found = look()
    assert found["disk.eta_full|/"].reason == "insufficient_data"
    assert found["mem.eta_full|RAM"].reason == "insufficient_data"
    assert {check.status for check in found.values()} == {Status.OK}


@pytest.mark.parametrize(("days", "status"), [(4, Status.WARNING), (0.5, Status.CRITICAL), (30, Status.OK)])
def test_a_disk_that_fills_up(days: float, status: Status) -> None:
    used = root().percent
    slope = (100 - used) / days
    values = [used - slope * back for back in range(10, 0, -1)]
    found = look(history={"disk.used|/": past(*values)})["disk.eta_full|/"]
    assert found.status is status, found.summary
    assert found.value == pytest.approx(days, rel=0.1)
    assert found.params["points"] == 11


def test_a_disk_that_is_cleaned_up_again_and_again() -> None:
    used = root().percent
    values = [used + 8 * (day % 6) for day in range(24)]
    found = look(history={"disk.used|/": past(*values)})["disk.eta_full|/"]
    assert (found.status, found.message) == (Status.OK, "capacity.saw")


def test_memory_is_that_of_a_whole_family_with_shared_pages_once(spawn: Callable[..., Any], tmp_path: Path) -> None:
    code = (
        "import os, time\nheld = bytearray(os.urandom(1 << 16)) * 640\nend, parent = os.pipe()\n"
        # The children end with their parent: their end of the pipe closes.
        "for _turn in range(3):\n    if os.fork() == 0:\n"
        "        os.close(parent)\n        os.close(1)\n        os.read(end, 1)\n        os._exit(0)\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    parent = spawn(code)
    assert parent.stdout.readline() == "ready\n"
    pidfile = tmp_path / "app.pid"
    pidfile.write_text(f"{parent.pid}\n")
    found = look(pidfile=str(pidfile))[f"capacity.memory|{pidfile}"]
    assert found.params["count"] == 4
    total = memory.meminfo()["MemTotal"]
    held = found.value / 100 * total
    assert 40 * MIB < held < 100 * MIB  # four times the resident set would be 160 MiB and more
    assert found.status is Status.OK
    assert len(found.evidence) == 4


def test_a_leak(spawn: Callable[..., Any], tmp_path: Path) -> None:
    parent = spawn("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    parent.stdout.readline()
    pidfile = tmp_path / "app.pid"
    pidfile.write_text(f"{parent.pid}\n")
    now = look(pidfile=str(pidfile))[f"capacity.memory|{pidfile}"].value
    history = {f"capacity.memory|{pidfile}": past(*(now - 5 * week for week in range(6, 0, -1)), every=7)}
    found = look(pidfile=str(pidfile), history=history)[f"capacity.memory_eta|{pidfile}"]
    assert found.status is Status.OK  # five percent a week: half a year
    assert found.value == pytest.approx(100 / 5 * 7, rel=0.1)


def test_a_service_without_processes_is_skipped(tmp_path: Path) -> None:
    assert look(pidfile=str(tmp_path / "none"))[f"capacity.memory|{tmp_path / 'none'}"].status is Status.SKIPPED


@pytest.mark.parametrize(
    ("before", "status"),
    [(40 * MIB, Status.WARNING), (170 * MIB, Status.OK)],
)
def test_growth_of_a_directory(tmp_path: Path, before: int, status: Status) -> None:
    allocate(tmp_path / "big", 200 * MIB)
    history = {f"file.size|{tmp_path}": past(before, every=7)}
    found = look(sizes=[str(tmp_path)], history=history)
    assert found[f"capacity.size|{tmp_path}"].value >= 200 * MIB
    assert found[f"capacity.growth|{tmp_path}"].status is status, found


def test_small_growth_is_none_whatever_its_share(tmp_path: Path) -> None:
    allocate(tmp_path / "log", 50 * MIB)
    history = {f"capacity.size|{tmp_path}": past(1, every=7)}
    assert look(sizes=[str(tmp_path)], history=history)[f"capacity.growth|{tmp_path}"].status is Status.OK


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    assert look(sizes=[path])[f"capacity.size|{path}"].status is Status.UNKNOWN


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "learning.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, created_at DATETIME)")
        connection.executemany(
            "INSERT INTO users (created_at) VALUES (datetime('now', ?))",
            [(f"-{day * 24 + 12} hours",) for day in range(200)],
        )
    return path


USERS = {"name": "users", "table": "users", "created": "created_at"}


def test_rows_are_counted_and_no_file_is_left(database: Path) -> None:
    before = sorted(os.listdir(database.parent))
    found = look(
        database=str(database), growth=[USERS, {"name": "odd", "query": "SELECT count(*) FROM users WHERE id % 2"}]
    )
    assert found["capacity.rows|users"].value == 200
    assert found["capacity.rows|users"].params["new"] == 7
    assert found["capacity.rows|odd"].value == 100
    assert sorted(os.listdir(database.parent)) == before


def test_rows_not_yet_in_the_file_are_counted_while_the_application_writes(database: Path) -> None:
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO users (created_at) VALUES (datetime('now'))")
        writer.commit()
        assert look(database=str(database), growth=[USERS])["capacity.rows|users"].value == 201


@pytest.mark.parametrize(("before", "status"), [(150, Status.OK), (260, Status.WARNING), (205, Status.OK)])
def test_growth_of_rows(database: Path, before: int, status: Status) -> None:
    history = {"capacity.rows|users": past(before, every=7)}
    found = look(database=str(database), growth=[USERS], history=history)["capacity.rows_growth|users"]
    assert found.status is status
    assert found.params["change"] == pytest.approx(200 - before, abs=0.1)


def test_of_a_few_rows_one_less_is_no_loss(database: Path) -> None:
    half = {"name": "few", "query": "SELECT count(*) FROM users WHERE id <= 40"}
    history = {"capacity.rows|few": past(60, every=7)}
    found = look(database=str(database), growth=[half], history=history)["capacity.rows_growth|few"]
    assert found.status is Status.OK
    assert found.value < -10


def test_a_table_that_is_not_there_is_told_and_the_others_counted(database: Path) -> None:
    found = look(database=str(database), growth=[{"name": "gone", "table": "gone"}, USERS])
    assert found["capacity.rows|gone"].status is Status.WARNING
    assert "no such table" in found["capacity.rows|gone"].summary
    assert found["capacity.rows|users"].status is Status.OK


def test_a_missing_database_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert look(database=str(path), growth=[USERS])[f"capacity.rows|{path}"].status is Status.UNKNOWN
    assert not path.exists()


def test_a_query_cannot_write(database: Path) -> None:
    with pytest.raises(OpsError, match="SELECT"):
        look(database=str(database), growth=[{"name": "x", "query": "DELETE FROM users"}])
    writing = "WITH gone AS (SELECT 1) DELETE FROM users"
    found = look(database=str(database), growth=[{"name": "x", "query": writing}, USERS])
    assert found["capacity.rows|x"].status is Status.WARNING
    assert found["capacity.rows|users"].value == 200


def test_everything_is_plain_json(database: Path) -> None:
    found = look(database=str(database), growth=[USERS], sizes=[str(database)])
    json.dumps([check.as_dict() for check in found.values()], allow_nan=False)
