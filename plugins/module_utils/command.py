# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of the host: argument list, C locale, UTC, a time limit, never a shell."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# systemctl and friends live in directories that are not in every ssh session's PATH.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A process in uninterruptible sleep does not die of SIGKILL: wait this long for it, then leave it behind.
REAP_SECONDS = 0.2
# Of a line without an end, and of what a command complains, this much is kept.
LINE_BYTES = 1 << 20
COMPLAINT_BYTES = 4096


@dataclass(frozen=True)
class Output:
    """What a command left behind."""

    rc: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """Return the last line it said, stderr first: what an operator needs to see."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit status {self.rc}, no output"


class CommandMissing(OpsError):
    """The program is not installed."""


class CommandTimeout(OpsError):
    """The program did not finish in time and was killed."""


def run(
    argv: Sequence[str],
    timeout: float,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    before: Callable[[], None] | None = None,
) -> Output:
    """Run a command for at most ``timeout`` seconds; any exit status is an answer, only silence is an error.

    ``before`` is called in its process, already in ``cwd``, before the program begins: to become another user.
    """
    process = _start(argv, subprocess.PIPE if stdin else subprocess.DEVNULL, env, cwd, before)
    try:
        out, err = process.communicate(stdin.encode() or None, timeout=timeout)
    except subprocess.TimeoutExpired as exc:
        _kill(process)
        raise CommandTimeout(f"{' '.join(argv[:2])} did not answer within {timeout:g} s and was killed") from exc
    return Output(process.returncode, _text(out), _text(err))


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n")


class Lines:
    """What a command says, line by line while it runs: for output that must never be in memory as a whole.

    Iterate once; then ``rc`` is its exit status, None when it was killed: out of time, or nobody wanted to hear more.
    """

    def __init__(self, argv: Sequence[str], timeout: float, env: Mapping[str, str] | None = None) -> None:
        self.timed_out = False
        self.rc: int | None = None
        self._complaint = b""
        self._end = time.monotonic() + timeout
        self._process = _start(argv, subprocess.DEVNULL, env)

    @property
    def complaint(self) -> str:
        """Return the last line it said on stderr."""
        lines = self._complaint.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit status {self.rc}, no message")

    def __iter__(self) -> Iterator[str]:
        process = self._process
        if not process.stdout or not process.stderr:
            raise ValueError("started without pipes")
        pipes = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
        out = process.stdout.fileno()
        poll = select.poll()
        for fd in pipes:
            poll.register(fd, select.POLLIN | select.POLLHUP)
        waiting = set(pipes)
        try:
            while waiting:
                left = self._end - time.monotonic()
                events = poll.poll(left * 1000) if left > 0 else []
                if not events:
                    self.timed_out = True
                    return
                for fd, _event in events:
                    chunk = os.read(fd, 1 << 16)
                    if not chunk:
                        poll.unregister(fd)
                        waiting.discard(fd)
                    if fd != out:
                        self._complaint = (self._complaint + chunk)[-COMPLAINT_BYTES:]
                        continue
                    *whole, rest = (pipes[fd] + chunk).split(b"\n")
                    pipes[fd] = rest[-LINE_BYTES:]
                    yield from (line.decode(errors="replace") for line in whole)
            if pipes[out]:
                yield pipes[out].decode(errors="replace")
            process.wait(max(REAP_SECONDS, self._end - time.monotonic()))
            self.rc = process.returncode
        except subprocess.TimeoutExpired:
            self.timed_out = True
        finally:
            _kill(process)


def _start(
    argv: Sequence[str],
    stdin: int,
    env: Mapping[str, str] | None,
    cwd: str | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ.get("PATH", "") + ":" + SYSTEM_PATH, "LC_ALL": "C", "LANGUAGE": "", "TZ": "UTC"}
    try:
        return subprocess.Popen(  # pylint: disable=ansible-bad-function  # domain code has no AnsibleModule
            list(argv),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment, **(env or {})},
            cwd=cwd,
            preexec_fn=before,  # noqa: PLW1509 - no module of ours has threads
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise CommandMissing(f"{argv[0]} is not installed on this host: install its package") from exc
    except OSError as exc:
        raise OpsError(f"{argv[0]} cannot be started: {exc.strerror}") from exc
    except subprocess.SubprocessError as exc:
        raise OpsError(f"{argv[0]} cannot be started as another user: expected to run as root (become: true)") from exc


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the command with everything it started, and do not wait for what cannot die."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(REAP_SECONDS)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()
