# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts without systemd: their files, real processes, and a real Litestream between them.

As root the application, and who receives, are users of their own, and a fence really shuts them out.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch, fence, grant
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.copies import epoch_text

ROOT = Path(__file__).resolve().parents[3]
LITESTREAM = Path(sys.executable).with_name("litestream")
SECONDS = 30.0
AS_ROOT = os.geteuid() == 0
APPLICATION, RECEIVER = (64001, 64002) if AS_ROOT else (os.geteuid(), os.geteuid())
EPOCH = 7

# Commits until it is killed, tells what it has acknowledged, and has the log checkpointed as SQLite likes.
WRITER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
number = 0
while True:
    number += 1
    row = connection.execute("INSERT INTO answers (user, text) VALUES (?, ?)", (number % 50, os.urandom(300).hex()))
    if number % 9 == 0:
        connection.execute("DELETE FROM answers WHERE id = ?", (number // 9 % 400,))  # of those that were there before
    print(row.lastrowid, flush=True)
"""
RUN = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bilingual_tutor.ops.plugins.modules import {module}
with patch_module_args(json.load(sys.stdin)):
    {module}.main()
"""


def wait(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.01)


class Host:
    """One host: its application's database, its fence, what it has received."""

    def __init__(self, top: Path, name: str) -> None:
        self.name, self.top = name, top / name
        self.storage = self.top / "app" / "storage"
        self.path = self.storage / "learning.db"
        self.home = self.top / "replica"
        self.etc, self.state, self.run_dir = (self.top / part for part in ("etc", "state", "run"))
        for folder in (self.storage, self.home / "data", self.etc, self.state, self.run_dir):
            folder.mkdir(parents=True)
        self.give(self.storage)
        self.give(self.home / "data", RECEIVER)
        self.config_file = self.etc / "fencing.json"
        told = {"host": name, "database": str(self.path), "state_dir": str(self.state), "run_dir": str(self.run_dir)}
        self.config_file.write_text(json.dumps(told))
        self.config = Config.read(str(self.config_file))
        self.epoch_file = self.etc / "epoch"
        self.epoch_file.write_text(epoch_text(EPOCH))

    @staticmethod
    def give(path: Path, uid: int = APPLICATION) -> None:
        if AS_ROOT:
            os.chown(path, uid, uid)

    def replica(self, number: int = EPOCH) -> Path:
        return self.home / "data" / f"epoch-{number:04d}"

    def make(self, rows: int = 500, bytes_each: int = 300) -> None:
        """Make the application's database."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
            connection.execute("CREATE TABLE answers (id INTEGER PRIMARY KEY, user INTEGER, text TEXT)")
            connection.execute("CREATE INDEX by_user ON answers (user)")
            connection.executemany("INSERT INTO users VALUES (?, ?)", [(n, f"用户{n}") for n in range(50)])
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO answers (user, text) VALUES (?, ?)",
                ((n % 50, os.urandom(bytes_each).hex()) for n in range(rows)),
            )
            connection.execute("COMMIT")
        self.give(self.path)
        self.path.chmod(0o640)

    def options(self, **more: Any) -> dict[str, Any]:
        """Return the options that tell a module where this host has its things."""
        return {"config": str(self.config_file), **more}

    def quiescing(self, **more: Any) -> dict[str, Any]:
        known = {"run_id": "run-1", "epoch": EPOCH, "binary": str(LITESTREAM)}
        known.update(replication_config=str(self.etc / "litestream.yml"), replication_epoch_file=str(self.epoch_file))
        return self.options(**{**known, **more})

    def promoting(self, state: str, **more: Any) -> dict[str, Any]:
        known = {"run_id": "run-1", "binary": str(LITESTREAM), "replication_home": str(self.home)}
        known.update(replication_epoch_file=str(self.epoch_file), **({"epoch": EPOCH + 1} if state == "placed" else {}))
        return self.options(state=state, **{**known, **more})

    def fence(self) -> None:
        fence.Fencing(self.config).fence(EPOCH, "run-0", "test")

    def rows(self, table: str = "answers") -> int:
        """Count rows without a trace, of a database that nobody writes."""
        with closing(sqlite3.connect(f"file:{self.path}?immutable=1", uri=True)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def ids(self) -> set[int]:
        with closing(sqlite3.connect(f"file:{self.path}?immutable=1", uri=True)) as connection:
            return {one for (one,) in connection.execute("SELECT id FROM answers")}

    def foreign(self) -> list[str]:
        """Return what lies beside the database and is not its owner's."""
        found = []
        for path in (self.storage, *self.storage.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # a Litestream that lives makes and removes files
                if path.lstat().st_uid != APPLICATION:
                    found.append(f"{path}: {path.lstat().st_uid}")
        return found

    def names(self) -> set[str]:
        return {path.name for path in self.storage.iterdir()}


class Pair:
    """The primary, which serves and sends, and the standby, which receives; they can change places."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.primary, self.standby = Host(top, "tutor1"), Host(top, "tutor2")
        self.epoch = EPOCH
        self.processes: list[subprocess.Popen[str]] = []
        self.acknowledged: set[int] = set()
        for host, other in ((self.primary, self.standby), (self.standby, self.primary)):
            epoch.raise_to(host.state, epoch.Record(EPOCH, "tutor1", "now"))
            self.aim(host, other.home / "data")
            if AS_ROOT:
                # Whoever sends comes in as the receiver over sftp; here it writes where the receiver does.
                (host.home / "data").chmod(0o777)
        grant.write(self.primary.run_dir, EPOCH, "run-0")

    @staticmethod
    def aim(host: Host, data: Path) -> None:
        """Say where a host sends its replica to."""
        (host.etc / "litestream.yml").write_text(
            f"dbs:\n  - path: {host.path}\n    monitor-interval: 50ms\n"
            f"    replica: {{url: 'file://{data}/epoch-${{REPLICATION_EPOCH}}', sync-interval: 50ms}}\n"
        )

    def grant(self) -> None:
        """Let the primary serve in the epoch in force."""
        for host in (self.primary, self.standby):
            epoch.raise_to(host.state, epoch.Record(self.epoch, self.primary.name, "now"))
        fence.Fencing(self.primary.config).grant(self.epoch, "run-0", guarded=False)

    def turn(self) -> None:
        """Make the standby the primary of the next epoch."""
        self.primary, self.standby, self.epoch = self.standby, self.primary, self.epoch + 1
        self.grant()

    def start(self, argv: list[str], **more: Any) -> subprocess.Popen[str]:
        """Start a process."""
        process = subprocess.Popen(argv, text=True, **more)
        self.processes.append(process)
        return process

    def replicate(self) -> None:
        """Start Litestream on the primary and wait for its first whole database."""
        environ = {**os.environ, **dict([self.primary.epoch_file.read_text().strip().split("=")])}
        with (self.top / "litestream.log").open("a") as log:
            user = {"user": APPLICATION, "group": APPLICATION, "extra_groups": []} if AS_ROOT else {}
            command = [str(LITESTREAM), "replicate", "-config", str(self.primary.etc / "litestream.yml")]
            self.start(command, env=environ, stdout=log, stderr=log, **user)
        wait(lambda: list(self.standby.replica(self.epoch).glob("ltx/9/*.ltx")), "a whole database in the replica")

    def write(self, commits: int = 30) -> subprocess.Popen[str]:
        """Start the application and wait until it has committed some. Its Python may be for root's eyes only, so it is root's.

        SQLite gives what root makes beside a database to its owner.
        """
        writer = self.start([sys.executable, "-c", WRITER, str(self.primary.path)], stdout=subprocess.PIPE)
        for _number in range(commits):
            assert writer.stdout
            self.acknowledged.add(int(writer.stdout.readline()))
        return writer

    def last_words(self, writer: subprocess.Popen[str]) -> None:
        """Take everything the application has acknowledged before it was killed."""
        assert writer.stdout
        for line in writer.stdout:
            if line.endswith("\n"):
                self.acknowledged.add(int(line))
        writer.wait(SECONDS)

    def receive(self) -> None:
        """Have the replica belong to who receives, as after sftp."""
        if AS_ROOT:
            subprocess.run(["chown", "-R", f"{RECEIVER}:{RECEIVER}", str(self.standby.home / "data")], check=True)
            (self.standby.home / "data").chmod(0o700)

    def quiesced(self, **more: Any) -> dict[str, Any]:
        """Quiesce the primary; return what a promotion has to have."""
        result = call("ops_quiesce", **self.primary.quiescing(**{"epoch": self.epoch, **more}))
        assert result.get("synced"), result
        return {name: result[name] for name in ("txid", "digest")}

    def end(self) -> None:
        """Kill what runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(SECONDS)
            if process.stdout:
                process.stdout.close()
        self.processes.clear()

    def close(self) -> None:
        self.end()
        for host in (self.primary, self.standby):
            host.storage.chmod(0o755)
        shutil.rmtree(self.top)


def begin(module: str, options: dict[str, Any]) -> subprocess.Popen[str]:
    """Start a module in a process of its own, as a host does."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN.format(module=module)],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(json.dumps(options))
    process.stdin.close()
    return process


def call(module: str, **options: Any) -> dict[str, Any]:
    """Run a module to its end; return its result."""
    return end(begin(module, options))


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the result of a module that was started."""
    assert process.stdout
    with process.stdout:
        said = process.stdout.read()
    process.wait(SECONDS)
    assert "{" in said, said
    return dict(json.loads(said[said.index("{") :]))
