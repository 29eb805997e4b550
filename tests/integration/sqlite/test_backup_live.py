# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a database that another process writes to, and backups that are killed at any moment.

OPS_BACKUP_RUNS sets how many backups are made beside the writer, OPS_BACKUP_KILLS how many are killed; OPS_SEED repeats
a run.
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
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import writer

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    manifest_path,
    read_manifest,
    sha256,
    write_manifest,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import prove

ROOT = Path(__file__).resolve().parents[3]
RUNS = int(os.environ.get("OPS_BACKUP_RUNS", "20"))
KILLS = int(os.environ.get("OPS_BACKUP_KILLS", "12"))
SEED = int(os.environ.get("OPS_SEED", "0")) or random.randrange(1, 1 << 30)
MEGABYTES = 50
RATE = 200
# Only the newest stays.
ONE = {"keep": {"hours": 0}}
RUN = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bilingual_tutor.ops.plugins.modules import sqlite_backup
with patch_module_args(json.load(sys.stdin)):
    sqlite_backup.main()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ops-backup-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def application(database: Path, rate: float) -> subprocess.Popen[str]:
    """Start a writer and wait until it writes."""
    command = [sys.executable, str(ROOT / "tests/integration/sqlite/writer.py"), str(database), str(rate)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "writing\n"
    return process


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """End a writer in order; return what it measured."""
    output = process.communicate("end\n", timeout=30)[0]
    return dict(json.loads(output))


def start(options: dict[str, Any]) -> subprocess.Popen[str]:
    """Start the module as a host does."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
    )
    assert process.stdin
    process.stdin.write(json.dumps(options))
    process.stdin.close()
    process.stdin = None
    return process


def backup(options: dict[str, Any]) -> dict[str, Any]:
    """Run the module to its end."""
    output, error = start(options).communicate(timeout=120)
    return dict(json.loads(output)) if output else {"failed": True, "msg": error}


def good_ones(dest: Path) -> dict[str, int]:
    """Return what anybody may take for a backup, with the commit it is the state of; anything that is none fails."""
    found = {}
    for path in sorted(dest.glob("*.db")):
        if path.is_symlink():
            continue
        manifest = read_manifest(path)
        assert manifest is not None, f"{path.name} has no manifest: a half-made file is taken for a backup"
        assert (manifest.bytes, manifest.sha256) == (path.stat().st_size, sha256(path)), path.name
        assert prove(path, Deadline(60)).good, path.name
        found[path.name] = writer.state(path)
    return found


def lock_free(dest: Path) -> None:
    """Wait until nobody holds the lock: a killed run's children end with it, a moment later."""
    import fcntl

    end = time.monotonic() + 5
    descriptor = os.open(dest, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                assert time.monotonic() < end, "an orphan of a killed run keeps the lock"
                time.sleep(0.01)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(("engine", "runs"), [("pinned_copy", RUNS), ("pinned_api", 3), ("vacuum_into", 3)])
def test_each_backup_is_the_state_of_one_commit(place: Path, engine: str, runs: int) -> None:
    database, dest = place / "storage" / "learning.db", place / "backups"
    database.parent.mkdir()
    dest.mkdir()
    writer.make(database, MEGABYTES)
    process = application(database, RATE)
    last = 0
    try:
        for _number in range(runs):
            before = writer.acked(database)
            result = backup({"path": str(database), "dest": str(dest), "engine": engine, **ONE})
            after = writer.acked(database)
            assert not result.get("failed"), result["msg"]
            commit = good_ones(dest)[os.path.basename(result["snapshot"]["path"])]
            # One commit may be done and not yet counted.
            assert before <= commit <= after + 1 and commit >= last
            last = commit
            checked = subprocess.run(
                ["sqlite3", result["snapshot"]["path"], "PRAGMA integrity_check"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert checked.stdout.strip() == "ok"
    finally:
        measured = finish(process)
    print(
        f"\n{engine}: {runs} of {runs} backups beside {measured['commits']} commits, slowest {measured['worst']:.0f} ms"
    )
    assert writer.acked(database) == writer.state_live(database)


def test_killed_at_any_moment(place: Path) -> None:
    """The live database stays whole, nothing half-made counts, the last good backup stays, the next run cleans up."""
    chance = random.Random(SEED)
    print(f"\nOPS_SEED={SEED}")
    database, dest = place / "storage" / "learning.db", place / "backups"
    database.parent.mkdir()
    dest.mkdir()
    writer.make(database, MEGABYTES / 5)
    process = application(database, RATE)
    options = {"path": str(database), "dest": str(dest), "files": [str(ROOT / "galaxy.yml")], **ONE}
    try:
        begin = time.monotonic()
        assert not backup(options).get("failed")
        usual = time.monotonic() - begin
        ended = 0
        for _number in range(KILLS):
            victim = start(options)
            try:
                victim.wait(chance.uniform(0.2, 0.95) * usual)
            except subprocess.TimeoutExpired:
                victim.kill()
                ended += 1
            victim.communicate()
            lock_free(dest)
            after = good_ones(dest)
            assert after, "the last good one stays until there is another"
            assert (dest / "learning_latest.db").resolve().name in after, "the pointer names a good one"
        result = backup(options)
        assert not result.get("failed"), result["msg"]
    finally:
        measured = finish(process)
    names = sorted(path.name for path in dest.iterdir())
    assert not [name for name in names if name.endswith(".partial")], "the next run cleans up"
    assert len(good_ones(dest)) == 1
    assert writer.acked(database) == writer.state_live(database)
    checked = subprocess.run(
        ["sqlite3", str(database), "PRAGMA integrity_check"], capture_output=True, text=True, check=True
    )
    assert checked.stdout.strip() == "ok"
    assert ended >= KILLS // 2, f"only {ended} of {KILLS} were killed in the middle"
    print(f"{ended} of {KILLS} killed in the middle, beside {measured['commits']} commits")


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_told_to_end(place: Path, compress: str) -> None:
    """A run that is told to end leaves nothing half-made; the next one need not clean up."""
    database, dest = place / "storage" / "learning.db", place / "backups"
    database.parent.mkdir()
    dest.mkdir()
    writer.make(database, MEGABYTES / 2)
    process = start({"path": str(database), "dest": str(dest), "compress": compress})
    end = time.monotonic() + 30
    while not list(dest.iterdir()) and time.monotonic() < end:
        time.sleep(0.005)
    process.terminate()
    result = json.loads(process.communicate(timeout=30)[0])
    assert result["failed"] and "SIGTERM ended the run" in result["msg"]
    lock_free(dest)
    assert not list(dest.iterdir())


def test_killed_while_it_thins_out(place: Path) -> None:
    """Whatever moment the end comes at, what is left are whole sets, and the next run goes on."""
    chance = random.Random(SEED)
    print(f"\nOPS_SEED={SEED}")
    database, dest = place / "learning.db", place / "backups"
    dest.mkdir()
    writer.make(database, 0.2)
    options = {"path": str(database), "dest": str(dest), "keep": {"daily": 2, "weekly": 0, "monthly": 0, "hours": 0}}
    first = Path(backup(options)["snapshot"]["path"])
    manifest = read_manifest(first)
    assert manifest is not None
    for _number in range(KILLS):
        for night in range(1, 41):
            made = datetime.now(timezone.utc) - timedelta(days=night)
            old = dest / f"learning_{made:%Y%m%dT%H%M%SZ}.db"
            shutil.copy(first, old)
            data = {
                **manifest.as_dict(),
                "created": f"{made:%Y-%m-%dT%H:%M:%SZ}",
                "set": old.name,
                "members": [old.name],
            }
            write_manifest(old, manifest.__class__.from_dict(data))
        victim = start(options)
        # Killed at one of its removals, whichever the chance says.
        left = chance.randrange(2, 41)
        end = time.monotonic() + 30
        while victim.poll() is None and time.monotonic() < end:
            if len(list(dest.glob("*.json"))) <= left:
                victim.send_signal(signal.SIGKILL)
                break
        victim.communicate()
        lock_free(dest)
        kept = good_ones(dest)
        assert (dest / "learning_latest.db").resolve().name in kept
        result = backup(options)
        assert not result.get("failed"), result["msg"]
        names = {path.name for path in dest.iterdir()}
        assert len(names) == 2 * 2 + 1, sorted(names)
        first = Path(result["snapshot"]["path"])
        manifest = read_manifest(first)
        assert manifest is not None and manifest_path(first).exists()
        for path in dest.glob("*.db"):
            if not path.is_symlink() and path != first:
                path.unlink()
                manifest_path(path).unlink()


def test_a_rollback_journal_database_under_writes(place: Path) -> None:
    """Writers wait while it is copied, as for any reader of such a database; the copy is whole."""
    database, dest = place / "storage" / "learning.db", place / "backups"
    database.parent.mkdir()
    dest.mkdir()
    writer.make(database, 5)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    process = application(database, RATE)
    try:
        for _number in range(5):
            result = backup({"path": str(database), "dest": str(dest), **ONE})
            assert not result.get("failed"), result["msg"]
            assert len(good_ones(dest)) == 1
    finally:
        finish(process)
