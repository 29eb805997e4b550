# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that outlive the program that starts them, known again by pid and start time.

A pid alone is not an identity: after a reboot, or 32768 processes later, it belongs to a stranger.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.02
TERM_SECONDS = 5.0


@dataclass(frozen=True)
class Started:
    """A process that was started: its pid and, in clock ticks since boot, when."""

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        """Tell whether this very process still runs; one that has ended and waits for its parent does not."""
        return self.start == _running_since(self.pid)


def _running_since(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return None if fields[0] in "ZX" else int(fields[19])


def launch(command: Sequence[str | Path], directory: Path, log: Path, environ: Mapping[str, str]) -> Started:
    """Start a program in a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=directory,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Popen returns after the program was executed; one that has ended at once shows as not alive.
    return Started(process.pid, _running_since(process.pid) or 0)


def stop(started: Started) -> None:
    """End a process and what it started: asked first, after some seconds killed. One that has ended is left alone."""
    if not started.alive:
        return
    os.kill(started.pid, signal.SIGTERM)
    if not wait(lambda: _gone(started), TERM_SECONDS):
        os.killpg(started.pid, signal.SIGKILL)  # the leader of its own session leads its group
        wait(lambda: _gone(started), TERM_SECONDS)


def _gone(started: Started) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(started.pid, os.WNOHANG)
    return not started.alive


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; tell whether it did within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True
