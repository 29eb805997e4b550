# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application in namespaces of its own: it reaches nothing but itself, and ends with the process that started it.

It has a network with a loopback device and nothing else, so that it can take the port it always takes and reach neither
Redis nor the world; it sees all files read-only, other directories in the place of those it writes to, and none of the
sockets in /run. It is in a PID namespace whose first process the kernel kills together with ours, however that one ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill import kernel
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.plan import Start
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, gather, run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.client import request
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.endpoint import Endpoint

NAMESPACES = kernel.NEW_MOUNTS | kernel.NEW_IPC | kernel.NEW_PIDS | kernel.NEW_NETWORK
# Covered by empty directories: sockets of other services, and what others left for it to find.
EMPTY = ("/run", "/tmp", "/var/tmp", "/dev/shm")
READY_SECONDS = 10.0
LOG_BYTES = 4096
# How long the kernel may take to end the last process of a namespace.
VANISH_SECONDS = 10.0
PAUSE = 0.01


@dataclass(frozen=True)
class Answer:
    """What the application answered: ``code`` 0 and a ``problem`` when it did not."""

    code: int
    body: str
    problem: str
    milliseconds: float


class Cell:
    """One application that is started at once; ``places`` are the directories it sees, by the path it sees them at."""

    def __init__(
        self, start: Start, places: Mapping[str, Path], hidden: Sequence[str], log: Path, seconds: float
    ) -> None:
        self.log = log
        parent = os.getpid()
        heard, told = os.pipe()
        order, ordered = os.pipe()

        def keep() -> Any:
            os.close(heard)
            os.close(ordered)
            return _keep(start, places, hidden, log, order, told, parent)

        self._child: Child | None = Child(keep, seconds)
        os.close(told)
        os.close(order)
        self.pid = self._child.pid
        try:
            # Only somebody outside can tell a user namespace which users there are.
            if _heard(heard):
                kernel.know_users(self.pid)
                os.write(ordered, b"known")
            ready = _heard(heard)
        finally:
            os.close(heard)
            os.close(ordered)
        if not ready:
            raise OpsError(f"the application could not be shut in: {self._why()}")

    def _why(self) -> str:
        child, self._child = self._child, None
        if not child:
            return "it has ended"
        child.ends = min(child.ends, time.monotonic() + 1.0)
        outcome = gather([child])[0]
        said = outcome.error.strip().splitlines()
        return said[-1] if said else "no answer in time"

    @property
    def isolated(self) -> bool:
        """Tell whether its network is not ours and has no device but the loopback."""
        lines = proc.read(f"/proc/{self.pid}/net/dev").splitlines()[2:]
        return kernel.network(self.pid) != kernel.network("self") and {one.split(":")[0].strip() for one in lines} == {
            "lo"
        }

    def pids(self) -> list[int]:
        """Return the processes of the application; none once it has ended."""
        found = proc.family(proc.table(), self.pid)
        ours = {self.pid, *(one.pid for one in found if one.ppid == self.pid)}
        return [one.pid for one in found if one.pid not in ours]

    def has_open(self, inode: os.stat_result) -> list[int]:
        """Return those of its processes that have this file open."""
        return [pid for pid in self.pids() if any(os.path.samestat(seen, inode) for seen in _files(pid))]

    def ask(self, url: str, method: str, deadline: Deadline) -> Answer:
        """Ask the application, over its own loopback device."""
        pid, seconds = self.pid, deadline.remaining()

        def asked() -> Any:
            kernel.enter_network(pid)
            endpoint = Endpoint.from_spec({"url": url, "method": method, "status": ["200"], "max_time": seconds})
            found = request(endpoint, Deadline(seconds))
            problem = found.failure.sentence if found.failure else ""
            return [found.code or 0, found.body.decode("utf-8", "replace")[:LOG_BYTES], problem]

        begin = time.monotonic()
        outcome = run_isolated(asked, seconds + 1.0)
        took = round((time.monotonic() - begin) * 1000, 1)
        if outcome.value is None:
            said = outcome.error.strip().splitlines()
            return Answer(0, "", said[-1] if said else "no answer in time", took)
        code, body, problem = outcome.value
        return Answer(code, body, problem, took)

    def said(self) -> list[str]:
        """Return the last lines the application wrote, for the reader of a failure."""
        with contextlib.suppress(OSError), self.log.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_BYTES))
            return stream.read().decode("utf-8", "replace").splitlines()[-5:]
        return []

    def close(self) -> None:
        """End the application with everything it started, and wait until it writes no more."""
        child, self._child = self._child, None
        if not child:
            return
        known = {one.identity for one in proc.family(proc.table(), self.pid)}
        child.finish(timed_out=True)
        until = Deadline(VANISH_SECONDS)
        while not until.expired:
            found = (proc.process(pid) for pid, _start in known)
            if not any(one and one.identity in known and one.state != "Z" for one in found):
                return
            time.sleep(PAUSE)


def _heard(descriptor: int) -> bool:
    """Tell whether the keeper said something in time, and has not ended."""
    return bool(select.select([descriptor], [], [], READY_SECONDS)[0] and os.read(descriptor, 64))


def _files(pid: int) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError):
        for one in proc.open_files(pid):
            with contextlib.suppress(OSError):
                seen = os.stat(f"{proc.PROC}/{pid}/fd/{one.fd}")
                if stat.S_ISREG(seen.st_mode):
                    yield seen


def _keep(
    start: Start, places: Mapping[str, Path], hidden: Sequence[str], log: Path, order: int, told: int, parent: int
) -> dict[str, int]:
    """Be the keeper: make the namespaces and what is seen in them, then wait for the first process in there."""
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    kernel.leave(NAMESPACES)
    kernel.die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    os.write(told, b"left")
    if not os.read(order, 64):
        os._exit(1)
    kernel.loopback_up()
    kernel.own_mounts()
    # Opened here: a descriptor from before belongs to the mounts of the host, and what is mounted next may cover them.
    sources = {target: os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for target, place in places.items()}
    kernel.read_only()
    for target in (*EMPTY, *hidden):
        if os.path.isdir(target):
            kernel.mount_empty(target)
    for target, source in sources.items():
        os.makedirs(target, exist_ok=True)
        kernel.mount_over(source, target)
    alive, held = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(held)
        _first(start, alive, written, order, told)
    os.close(alive)
    os.close(told)
    status = os.waitpid(first, 0)[1]
    return {"status": status}


def _first(start: Start, alive: int, log: int, order: int, told: int) -> None:
    """Be the first process of the PID namespace: start the application, reap, end when it ends."""
    try:
        kernel.die_with_parent()
        # The keeper may have ended before that: its end of the pipe is closed then.
        if select.select([alive], [], [], 0)[0]:
            os._exit(1)
        os.close(order)
        application = os.fork()
        if application == 0:
            _application(start, log)
        # Not before: whoever asks for its processes must not take it for one that has ended.
        os.write(told, b"ready")
        os.close(told)
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == application:
                os._exit(status >> 8 or status & 0x7F)
    finally:
        os._exit(1)


def _application(start: Start, log: int) -> None:
    try:
        os.setsid()
        os.dup2(log, 1)
        os.dup2(log, 2)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o077)
        if os.geteuid() == 0 and start.uid:
            os.setgroups([start.gid])
            os.setresgid(start.gid, start.gid, start.gid)
            os.setresuid(start.uid, start.uid, start.uid)
        kernel.no_new_privileges()
        os.chdir(start.directory)
        os.execvpe(start.command[0], list(start.command), dict(start.environment))
    except OSError as exc:
        os.write(2, f"{start.command[0]}: {exc.strerror}\n".encode())
    finally:
        os._exit(127)
