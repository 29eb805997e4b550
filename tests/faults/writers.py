# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that write without end, each write with an id of its own, and note what they were told.

Those outside go through the proxy, as users do. In the network namespace of each host of the application are two more, who
reach it however it is cut off: one asks gunicorn itself every 100 ms (it is the sampler: does this host take writes?), one
the host's own nginx. All are threads of one process: their times are of one clock.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from acks import FAIL, MAINTENANCE, OK, UNKNOWN, Ack, History

CLONE_NEWNET = 0x40000000
# A write that is held for longer than this is given up by its client.
PATIENCE = 10.0
SAMPLE_SECONDS = 0.1
SAMPLE_PATIENCE = 2.0
# The proxies' page that asks to come back later says when; other answers than 200 and it are errors.
LATER = "Retry-After"


def enter_network(namespace: Path) -> None:
    """Put the calling thread, and no other, into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with namespace.open("rb") as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


@dataclass(frozen=True)
class Client:
    """One client: where it asks, how often, and whether it keeps its connection as browsers do."""

    name: str
    via: str
    address: str
    port: int = 80
    pause: float = 0.1
    patience: float = PATIENCE
    keeps: bool = True
    namespace: Path | None = None


class Fleet:
    """All clients. They run from ``start`` to ``stop``; what they write belongs to the run that was named last."""

    def __init__(self, clients: Sequence[Client], history: History | None = None) -> None:
        self.history = history or History()
        self._clients = clients
        self._run = ""
        self._over = threading.Event()
        self._busy: dict[str, str] = {}
        self._broken: list[BaseException] = []
        self._threads = [threading.Thread(target=self._work, args=(one,), daemon=True) for one in clients]

    def start(self, run: str) -> None:
        """Let all clients go."""
        self._run = run
        for thread in self._threads:
            thread.start()

    def begin(self, run: str, seconds: float = 3 * PATIENCE) -> None:
        """Begin another run, and wait until no client waits for a write of the one before."""
        assert run and "-" not in run, run
        self._run = run
        end = time.monotonic() + seconds
        while any(busy not in ("", run) for busy in list(self._busy.values())):
            if time.monotonic() > end:
                raise AssertionError(f"writes of an older run do not end: {self._busy}")
            time.sleep(0.01)
        if self._broken:
            raise AssertionError("a client broke") from self._broken[0]

    def stop(self) -> None:
        """Let all clients end."""
        self._over.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * PATIENCE)

    def _work(self, client: Client) -> None:
        try:
            if client.namespace:
                enter_network(client.namespace)
            self._write(client)
        except Exception as exc:  # noqa: BLE001 - a client that died unseen would find nothing wrong for ever
            self._broken.append(exc)

    def _write(self, client: Client) -> None:
        number, connection = 0, None
        while not self._over.is_set():
            begun = time.monotonic()
            number += 1
            while self._busy.get(client.name) != (run := self._run):
                self._busy[client.name] = run  # then look again: begin may have looked before it was noted
            if connection is None:
                connection = http.client.HTTPConnection(client.address, client.port, timeout=client.patience)
            ack = ask(connection, client, f"{run}-{client.name}-{number}")
            self.history.add(ack)
            self._busy[client.name] = ""
            if ack.outcome != OK or not client.keeps:
                connection.close()
                connection = None
            self._over.wait(max(0.0, client.pause - (time.monotonic() - begun)))
        if connection:
            connection.close()


def ask(connection: http.client.HTTPConnection, client: Client, name: str) -> Ack:
    """Write one mark and judge the answer."""
    invoked = time.monotonic()
    sent = False

    def ended(outcome: str, detail: str = "", node: str = "", epoch: int = 0) -> Ack:
        return Ack(name, client.name, client.via, invoked, time.monotonic(), outcome, node, epoch, detail)

    try:
        if connection.sock is None:
            connection.connect()
        sent = True
        connection.request("POST", f"/api/marks?id={quote(name)}", headers={"Content-Length": "0"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as exc:
        return ended(UNKNOWN if sent else FAIL, f"{type(exc).__name__}: {exc}"[:120])
    if answer.status == 200:
        try:
            told = json.loads(body)
            if (told["status"], told["id"]) == ("ok", name):
                return ended(OK, node=str(told["node"]), epoch=int(told["epoch"]))
        except (ValueError, KeyError, TypeError):
            return ended(UNKNOWN, f"200 with {body[:80]!r}")
    # All of them may stand for a server that had committed and was gone before it could say so, that page too.
    page = answer.status == 503 and answer.getheader(LATER)
    return ended(UNKNOWN, MAINTENANCE if page else f"{answer.status} {answer.reason}")


def marks(address: str, prefix: str, port: int = 80, namespace: Path | None = None) -> tuple[str, int, list[str]]:
    """Ask who serves, in which epoch, and which marks are there; raises OSError or ValueError without an answer."""
    found: list[tuple[str, int, list[str]]] = []
    broken: list[Exception] = []

    def work() -> None:
        try:
            if namespace:
                enter_network(namespace)
            connection = http.client.HTTPConnection(address, port, timeout=PATIENCE)
            connection.request("GET", f"/api/marks?prefix={quote(prefix)}")
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if answer.status != 200:
                raise ValueError(f"{address}:{port} answers {answer.status} {answer.reason}")
            told = json.loads(body)
            found.append((str(told["node"]), int(told["epoch"]), [str(name) for name, _who in told["marks"]]))
        except (OSError, ValueError, KeyError, http.client.HTTPException) as exc:
            broken.append(exc if isinstance(exc, (OSError, ValueError)) else ValueError(repr(exc)))

    thread = threading.Thread(target=work)  # a thread of its own: it does not come back from a namespace
    thread.start()
    thread.join()
    if broken:
        raise broken[0]
    return found[0]


def outside(proxy: str, count: int, pause: float) -> list[Client]:
    """Return clients that come through the proxy; every second one keeps its connection."""
    return [Client(f"p{number}", "proxy", proxy, pause=pause, keeps=number % 2 == 0) for number in range(count)]


def inside(name: str, namespace: Path, pause: float) -> list[Client]:
    """Return the sampler of a host, and a client that its own nginx serves."""
    return [
        Client(f"s.{name}", name, "127.0.0.1", 5000, SAMPLE_SECONDS, SAMPLE_PATIENCE, False, namespace),
        Client(f"b.{name}", name, "127.0.0.1", 80, pause, SAMPLE_PATIENCE, True, namespace),
    ]


def netns(machine: str) -> Path:
    """Return where the network namespace of a machine can be opened."""
    return Path(os.sep, "run", "netns", machine)
