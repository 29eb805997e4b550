# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of databases share: real databases with real processes that have them open."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from databases import make_database

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare

# An application: becomes its user, opens each database named, writes to it, runs the code given, then waits for its end.
APPLICATION = """
import os, sqlite3, sys
if int(sys.argv[2]):
    os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))
connections = []
for path in sys.argv[3:]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("INSERT INTO vocabulary (word) VALUES ('open')")
    connections.append(connection)
exec(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory every user can come to, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="ops-sqlite-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def database(place: Path) -> Path:
    """A database in WAL mode with some words, closed properly: one file."""
    path = place / "storage" / "learning.db"
    path.parent.mkdir()
    return make_database(path)


@pytest.fixture
def application() -> Iterator[Callable[..., subprocess.Popen]]:
    """Start applications that have databases open; they are killed at the end of the test."""
    running: list[subprocess.Popen] = []

    def start(*paths: Path, code: str = "", uid: int = 0) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, code, str(uid), *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout.readline() == "open\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


Look = Callable[..., dict[str, Check]]


@pytest.fixture
def look() -> Look:
    """Run a probe as the runner does and return its checks by id; the state goes from one look to the next."""
    state: dict[str, Any] = {}

    def run(kind: str, path: Path, **options: Any) -> dict[str, Check]:
        prepared = prepare({"kind": kind, "path": str(path), **options})
        result = prepared.module.probe(prepared.spec, dict(state), Deadline(prepared.timeout))
        state.clear()
        state.update(result.state)
        assert len({check.id for check in result.checks}) == len(result.checks)
        assert all(check.item == str(path) for check in result.checks)
        for check in result.checks:
            for locale in ("en", "zh"):
                text = prepared.module.AREA.sentences[check.message].render(locale, check.words)
                assert "{" not in text, text
        return {check.id: check for check in result.checks}

    return run
