# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the probes share: real processes that end with the test, and waiting with a deadline."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen]]:
    """Start Python programs that are killed, with all they started, when the test ends."""
    running: list[subprocess.Popen] = []

    def start(code: str, *args: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds, at most ten seconds."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, "the condition did not come true within 10 s"
            time.sleep(0.005)

    return wait


@pytest.fixture
def passable() -> Iterator[Path]:
    """A directory that every user may pass through, which those of pytest are not."""
    top = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="ops-test-"))
    top.chmod(0o755)
    yield top
    shutil.rmtree(top)
