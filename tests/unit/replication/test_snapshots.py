# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots instead of a replica: what is made and sent, and how old the newest one is that is proved on the standby."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import ship
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import manifest_path, read_manifest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.run import verify

ROOT = Path(__file__).resolve().parents[3]
SSHD = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin")
NOW = datetime(2026, 11, 23, 2, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "storage" / "learning.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
        connection.executemany("INSERT INTO pairs VALUES (?, ?)", [(number, number) for number in range(20_000)])
    return path


def test_a_snapshot_of_a_database_that_is_written_to_is_whole(database: Path, tmp_path: Path) -> None:
    """Each transaction writes two rows; a copy with one of them is none."""
    end = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as connection:
            number = 0
            while not end.is_set():
                number += 1
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO pairs VALUES (-1, ?)", (number,))
                connection.execute("INSERT INTO pairs VALUES (-2, ?)", (number,))
                connection.execute("COMMIT")

    writer = threading.Thread(target=write)
    writer.start()
    place = tmp_path / "place"
    place.mkdir()
    try:
        for number in range(5):
            made = ship.snapshot(database, place, NOW + timedelta(seconds=number))
            with closing(sqlite3.connect(f"file:{made}?mode=ro&immutable=1", uri=True)) as connection:
                counts = [
                    connection.execute("SELECT count(*) FROM pairs WHERE a = ?", (n,)).fetchone()[0] for n in (-1, -2)
                ]
            assert counts[0] == counts[1]
    finally:
        end.set()
        writer.join()
    manifest = read_manifest(made)
    assert manifest and manifest.verified == "full" and manifest.rows["pairs"] == 20_000 + sum(counts)
    verdict = verify({"path": str(made)}, Deadline(30))
    assert verdict.ok, [check.summary for check in verdict.findings(ages=False)]
    # What a run that was killed left is gone with the next one.
    assert sorted(one.name for one in place.iterdir()) == [made.name, manifest_path(made).name]
    assert made.stat().st_mode & 0o777 == 0o600


def test_what_is_damaged_or_empty_is_not_sent(database: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).close()
    empty.touch()
    with pytest.raises(OpsError, match="no table"):
        ship.snapshot(empty, place, NOW)
    with pytest.raises(OpsError, match="cannot be copied"):
        ship.snapshot(tmp_path / "missing.db", place, NOW)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE INDEX wrong ON pairs (a)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX wrong ON pairs (b, a)' WHERE name = 'wrong'")
    with pytest.raises(OpsError, match="is damaged"):
        ship.snapshot(database, place, NOW)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[tuple[ship.Far, Path, Path]]:
    """A real ssh server that lets a key do SFTP only; the directory it is sent to, and the one with the keys."""
    if not SSHD:
        pytest.skip("there is no ssh server on this machine")
    etc, there = tmp_path / "etc", tmp_path / "far" / "snapshots"
    etc.mkdir()
    there.parent.mkdir()
    for name in ("key", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(etc / name)], check=True)
    shutil.copy(etc / "key.pub", etc / "authorized")
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    public = (etc / "host.pub").read_text().split()[:2]
    (etc / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n")
    (etc / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {etc}/host\nAuthorizedKeysFile {etc}/authorized\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nForceCommand internal-sftp\nSubsystem sftp internal-sftp\n"
    )
    with (
        (etc / "log").open("wb") as log,
        subprocess.Popen([SSHD, "-D", "-e", "-f", str(etc / "sshd.conf")], stderr=log) as sshd,
    ):
        try:
            end = time.monotonic() + 10
            while True:
                with closing(socket.socket()) as asked:
                    if asked.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if sshd.poll() is not None:
                    pytest.skip(f"no ssh server may run here: {(etc / 'log').read_text()}")
                assert time.monotonic() < end
            yield ship.Far("127.0.0.1", port, getpass.getuser(), etc, 60, str(there)), there, etc
        finally:
            sshd.terminate()


def test_it_arrives_whole_and_only_the_newest_stay(
    database: Path, tmp_path: Path, far: tuple[ship.Far, Path, Path]
) -> None:
    sender, there, etc = far
    place = tmp_path / "place"
    place.mkdir()
    for number in range(3):
        sender.send(ship.snapshot(database, place, NOW + timedelta(minutes=number)), 2)
    (there / "learning_20261123T010000Z.db.partial").touch()
    (there / "notes.txt").touch()
    name = ship.ship(database, place, sender, 2)
    listed = sorted(one.name for one in there.iterdir())
    assert listed == sorted(
        [
            "notes.txt",
            "learning_20261123T020200Z.db",
            "learning_20261123T020200Z.db.manifest.json",
            name,
            f"{name}.manifest.json",
        ]
    )
    assert verify({"path": str(there / name)}, Deadline(30)).ok
    assert [one.name for one in place.iterdir()] == [ship.SENT]
    assert json.loads((place / ship.SENT).read_text())["name"] == name
    # Another host that took the address gets nothing.
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(etc / "other")], check=True)
    words = (etc / "known_hosts").read_text().split()
    (etc / "known_hosts").write_text(f"{words[0]} {' '.join((etc / 'other.pub').read_text().split()[:2])}\n")
    with pytest.raises(OpsError, match="Host key verification failed|Connection closed"):
        ship.ship(database, place, sender, 2)
    assert sorted(one.name for one in there.iterdir()) == listed


def test_the_role_copies_what_the_programs_import(tmp_path: Path) -> None:
    package = "ansible_collections/bilingual_tutor/ops/plugins/module_utils"
    files = yaml.safe_load((ROOT / "roles/replication/vars/main.yml").read_text())["__replication_files"]
    for name in files:
        (tmp_path / package / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "plugins/module_utils" / name, tmp_path / package / name)
    code = (
        "import sys, runpy; from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import begin, ship; "
        "print(*sorted(name for name in sys.modules if '.module_utils.' in name))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; "
         f"sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    modules = {name.partition("module_utils.")[2].replace(".", "/") + ".py" for name in done.stdout.split()}
    assert {name for name in modules if (ROOT / "plugins/module_utils" / name).is_file()} == set(files)


class Host:
    """A host with an epoch, and what the role replication lays out."""

    def __init__(self, directory: Path, primary: str) -> None:
        self.directory = directory
        state = directory / "state"
        state.mkdir()
        where = {"state_dir": str(state), "run_dir": str(directory / "run")}
        (directory / "fencing.json").write_text(json.dumps({"host": "tutor1", **where}))
        record = {"epoch": 2, "primary": primary, "since": "2026-11-23T02:00:00Z"}
        (state / "epoch.json").write_text(json.dumps(record))
        self.etc, self.home, self.place = directory / "etc", directory / "home", directory / "place"
        for path in (self.etc, self.home / "data" / "snapshots", self.place):
            path.mkdir(parents=True)
        (self.etc / "epoch").write_text("REPLICATION_EPOCH=0002\n")
        (self.etc / "known_hosts").write_text("[192.0.2.9]:2222 ssh-ed25519 AAAA\n")

    def spec(self, **more: Any) -> dict[str, Any]:
        given = {
            "kind": "replication",
            "side": "auto",
            "path": str(self.directory / "learning.db"),
            "config": str(self.directory / "fencing.json"),
            "etc": str(self.etc),
            "home": str(self.home),
            "place": str(self.place),
        }
        return {**given, **more}

    def look(self, previous: Any = None, **more: Any) -> dict[str, Any]:
        """Return the status of each check, and the state."""
        prepared = registry.prepare(self.spec(**more))
        result = prepared.module.probe(prepared.spec, previous or {}, Deadline(20))
        for check in result.checks:
            print(check.id, check.status.name, check.summary)
        return {"state": result.state, **{check.id: check.status.name for check in result.checks}}


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("tutor2.example.com ssh-ed25519 A", "tutor2.example.com", 22), ("[192.0.2.9]:2222 ssh-ed25519 A", "192.0.2.9", 2222),
     ("192.0.2.9 ssh-ed25519 A", "192.0.2.9", 22)],
)  # fmt: skip
def test_the_epoch_says_which_side_a_host_is_on(tmp_path: Path, text: str, host: str, port: int) -> None:
    from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.replication import here

    ours = Host(tmp_path, "tutor1")
    (ours.etc / "known_hosts").write_text(text + "\n")
    seen = here(registry.prepare(ours.spec()).spec)
    assert (seen["side"], seen["host"], seen["port"], seen["replica"]) == ("primary", host, port, "/data/epoch-0002")
    assert (seen["user"], seen["key"]) == ("tutor-replica", str(ours.etc / "key"))


def test_on_a_standby_the_replica_of_a_former_epoch_is_no_replica(tmp_path: Path) -> None:
    ours = Host(tmp_path, "tutor2")
    (ours.home / "data" / "epoch-0001" / "ltx" / "9").mkdir(parents=True)
    assert ours.look()["replication.replica"] == "CRITICAL"


def test_without_a_standby_it_is_not_applicable_and_without_an_epoch_unknown(tmp_path: Path) -> None:
    ours = Host(tmp_path, "tutor2")
    assert ours.look(side="none")["replication.replica"] == "SKIPPED"
    (tmp_path / "state" / "epoch.json").unlink()
    assert ours.look()["replication.replica"] == "UNKNOWN"
    assert ours.look(config="/nowhere/fencing.json")["replication.replica"] == "UNKNOWN"


def test_the_newest_proved_snapshot_is_what_a_switch_would_lose(tmp_path: Path, database: Path) -> None:
    ours = Host(tmp_path, "tutor2")
    arrived = ours.home / "data" / "snapshots"
    assert ours.look(mode="snapshot")["replication.rpo"] == "CRITICAL", "nothing has arrived"
    now = datetime.now(timezone.utc)
    stale = ship.snapshot(database, ours.place, now - timedelta(hours=3))
    for one in (stale, manifest_path(stale)):
        shutil.move(str(one), arrived / one.name)
    assert ours.look(mode="snapshot")["replication.rpo"] == "CRITICAL", "three hours"
    fresh = ship.snapshot(database, ours.place, now)
    shutil.move(str(fresh), arrived / fresh.name)
    assert ours.look(mode="snapshot")["replication.rpo"] == "CRITICAL", "without its manifest it is none"
    shutil.move(str(manifest_path(fresh)), arrived / manifest_path(fresh).name)
    first = ours.look(mode="snapshot")
    assert first["replication.rpo"] == "OK"
    # Each is hashed once, and again when it was touched.
    again = ours.look(first["state"], mode="snapshot")
    assert again == first
    with (arrived / fresh.name).open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"x")
    assert ours.look(first["state"], mode="snapshot")["replication.rpo"] == "CRITICAL"


def test_the_primary_tells_what_it_has_sent(tmp_path: Path) -> None:
    ours = Host(tmp_path, "tutor1")
    assert ours.look(mode="snapshot")["replication.rpo"] == "CRITICAL"
    for hours, status in ((0.1, "OK"), (1, "WARNING"), (3, "CRITICAL")):
        (ours.place / ship.SENT).write_text(json.dumps({"name": "a.db", "created": time.time() - hours * 3600}))
        assert ours.look(mode="snapshot")["replication.rpo"] == status


def test_on_a_standby_what_only_a_primary_does_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fenced in another host's epoch it is a standby; fenced in its own, or not fenced, it has to serve."""
    from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import standby
    from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import runner

    ours = Host(tmp_path, "tutor2")
    config = str(tmp_path / "fencing.json")
    monkeypatch.setattr(runner, "serves_elsewhere", lambda: standby.serves_elsewhere(config))
    probes = [
        registry.prepare({"kind": "http", "url": "http://127.0.0.1:1/health", "serving": True, "name": "health"}),
        registry.prepare({"kind": "file", "files": [{"path": str(tmp_path)}], "name": "sizes"}),
    ]

    def look() -> dict[str, str]:
        return {check.id: check.status.name for check in runner.run_probes(probes, {}, 10).checks}

    assert "check.standby" not in look()
    (tmp_path / "state" / "FENCED").write_text(json.dumps({"epoch": 2}))
    found = look()
    assert found["check.standby"] == "SKIPPED" and not any(name.startswith("http") for name in found)
    (tmp_path / "state" / "epoch.json").write_text(json.dumps({"epoch": 2, "primary": "tutor1", "since": "x"}))
    assert "check.standby" not in look()
    assert os.path.exists(ours.etc)
