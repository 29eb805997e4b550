# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run functions in killable children, side by side.

A thread cannot be stopped while it waits in a resolver, a stale mount or a C library; a child process can be killed,
and one that sits in an uninterruptible wait can at least be left behind without anybody waiting for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Callable

# A probe answers with a few kilobytes; more than this is a fault of the probe and must not fill our memory.
MAX_ANSWER = 8 * 1024 * 1024
# How long a finished or killed child may take to leave the process table; one in an uninterruptible wait never does.
REAP_SECONDS = 0.2
PR_SET_PDEATHSIG = 1
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass
class Outcome:
    """How one child ended: with a value (plain JSON), with an error (a traceback), or out of time."""

    value: Any = None
    error: str = ""
    timed_out: bool = False
    seconds: float = 0.0


class Child:
    """One function in one forked process; its value comes back through a pipe."""

    def __init__(self, function: Callable[[], Any], seconds: float) -> None:
        self.started = time.monotonic()
        self.ends = self.started + seconds
        self.chunks: list[bytes] = []
        self.size = 0
        self.fd, writer = os.pipe()
        # Python runs hooks around a fork, and an exception of a signal's handler in one of them is lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        self.pid = os.fork()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self.pid == 0:
            os.close(self.fd)
            _serve(function, writer)
        os.close(writer)

    def read(self) -> bool:
        """Take what the pipe holds; return whether the child has said everything."""
        chunk = os.read(self.fd, 1 << 16)
        self.chunks.append(chunk)
        self.size += len(chunk)
        return not chunk or self.size > MAX_ANSWER

    def finish(self, timed_out: bool) -> Outcome:
        """End the child and everything it started; return how it went."""
        seconds = time.monotonic() - self.started
        os.close(self.fd)
        # It may have ended, or not yet made its group: the direct kill below covers that.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        status = self._reap()
        if timed_out:
            return Outcome(timed_out=True, seconds=seconds)
        try:
            answer = json.loads(b"".join(self.chunks))
        except ValueError:
            how = f"signal {status & 0x7F}" if status & 0x7F else f"exit status {status >> 8}"
            return Outcome(error=f"ended without an answer ({how})", seconds=seconds)
        return Outcome(value=answer.get("value"), error=answer.get("error", ""), seconds=seconds)

    def _reap(self) -> int:
        end = time.monotonic() + REAP_SECONDS
        while True:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid:
                return status
            if time.monotonic() > end:
                return 0
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return 0
            time.sleep(0.001)


def _serve(function: Callable[[], Any], writer: int) -> None:
    """Be the child: own process group, no inherited terminal or ssh channel, one JSON answer, no clean-up of the parent's."""
    code = 1
    try:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        try:
            text = json.dumps({"value": function()})
        except Exception:  # noqa: BLE001 - whatever it was is the answer; the parent decides
            text = json.dumps({"error": traceback.format_exc()})
        data = memoryview(text.encode())
        while data:
            data = data[os.write(writer, data) :]
        code = 0
    finally:
        os._exit(code)


def gather(children: Iterable[Child]) -> list[Outcome]:
    """Wait for all children, each until its own end; return their outcomes in the order given."""
    children = list(children)
    outcomes: dict[int, Outcome] = {}
    waiting = {child.fd: (number, child) for number, child in enumerate(children)}
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN | select.POLLHUP)
    try:
        while waiting:
            soonest = min(child.ends for _number, child in waiting.values())
            events = poll.poll(max(0.0, soonest - time.monotonic()) * 1000)
            done = {fd: False for fd, _event in events if waiting[fd][1].read()}
            now = time.monotonic()
            done.update({fd: True for fd, (_number, child) in waiting.items() if fd not in done and child.ends <= now})
            for fd, timed_out in done.items():
                number, child = waiting.pop(fd)
                poll.unregister(fd)
                outcomes[number] = child.finish(timed_out)
    except BaseException:
        # A signal that ends this run in order must not leave children that go on reading for minutes.
        for _number, child in waiting.values():
            child.finish(timed_out=True)
        raise
    return [outcomes[number] for number in range(len(children))]


def run_isolated(function: Callable[[], Any], seconds: float) -> Outcome:
    """Run one function in a child that is killed after that many seconds."""
    return gather([Child(function, seconds)])[0]


def bound(function: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function for a child that ends with the process that called this, even when that one is killed.

    For children that work for long: an orphan would keep the locks it inherited.
    """
    parent = os.getpid()

    def child() -> Any:
        end_with(parent)
        return function()

    return child


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; undone by changing the user, so to be called after that."""
    import ctypes  # no probe needs it, and it takes longer to load than most of them run

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
