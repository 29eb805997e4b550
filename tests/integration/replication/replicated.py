# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with a real Litestream beside it, and an application that never stops writing."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import begin

ENVIRON = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / ".tree")}
LITESTREAM = Path(sys.executable).with_name("litestream")
SECONDS = 30.0

# Commits some 200 times a second, with SQLite's own checkpoints, and keeps the longest it had to wait in a table of its own.
WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.execute("PRAGMA synchronous = NORMAL")
number = 0
worst = 0.0
while True:
    number += 1
    begin = time.monotonic()
    connection.execute("INSERT INTO answers (user, text) VALUES (?, ?)", (number % 50, "x" * (number % 900)))
    worst = max(worst, time.monotonic() - begin)
    if number % 7 == 0:
        connection.execute("UPDATE users SET seen = ? WHERE id = ?", (number, number % 50))
    if number % 20 == 0:
        print(worst, flush=True)
    time.sleep(0.004)
"""


def wait(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.01)


class Bench:
    """One database, its Litestream and its replica in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "storage" / "learning.db"
        self.replica = directory / "replica" / "epoch-0001"
        self.config, self.pidfile, self.socket = (directory / name for name in ("litestream.yml", "pid", "socket"))
        self.path.parent.mkdir()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, seen INTEGER)")
            connection.execute("CREATE TABLE answers (id INTEGER PRIMARY KEY, user INTEGER, text TEXT)")
            connection.execute("CREATE INDEX by_user ON answers (user)")
            connection.executemany("INSERT INTO users VALUES (?, ?, 0)", [(n, f"用户{n}") for n in range(50)])
        self.config.write_text(
            f"socket: {{enabled: true, path: {self.socket}}}\n"
            f"dbs:\n  - path: {self.path}\n    monitor-interval: 100ms\n"
            f"    replica: {{url: 'file://{self.replica}', sync-interval: 100ms}}\n"
        )
        self.daemon: subprocess.Popen[bytes] | None = None
        self.writer: subprocess.Popen[str] | None = None

    def replicate(self, guarded: bool = True) -> None:
        """Start Litestream as the unit does, or by itself alone, and wait for its first file."""
        command = [str(LITESTREAM), "replicate", "-config", str(self.config)]
        if guarded:
            command = [sys.executable, "-m", begin.__name__, str(self.path), *command]
        with (self.directory / "log").open("ab") as log:
            self.daemon = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRON)
        self.pidfile.write_text(f"{self.daemon.pid}\n")
        wait(lambda: list(self.replica.glob("ltx/9/*.ltx")), "the first whole database in the replica")

    def end_replicating(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End Litestream."""
        assert self.daemon
        self.daemon.send_signal(number)
        self.daemon.wait(SECONDS)

    def restored(self) -> Path:
        """Send what is left, and restore all of it."""
        made = self.directory / "restored.db"
        made.unlink(missing_ok=True)
        for command in (
            ["replicate", "-once", "-config", self.config],
            ["restore", "-o", made, f"file://{self.replica}"],
        ):
            subprocess.run([LITESTREAM, *command], check=True, capture_output=True, timeout=SECONDS)
        return made

    def write(self) -> None:
        """Start the application."""
        command = [sys.executable, "-c", WRITER, str(self.path)]
        self.writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.writer.stdout
        assert self.writer.stdout.readline()

    def stop_writing(self) -> float:
        """End the application; return the longest it had to wait."""
        assert self.writer and self.writer.stdout
        self.writer.send_signal(signal.SIGTERM)
        said = self.writer.communicate(timeout=SECONDS)[0]
        self.writer = None
        return float(said.split()[-1])

    def close(self) -> None:
        """End what runs."""
        for process in (self.writer, self.daemon):
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait(SECONDS)

    def rows(self) -> int:
        """Count the answers."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
