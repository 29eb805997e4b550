# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients tell apart what was promised, what surely did not happen and what may have; against a server that misbehaves."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import checker
import pytest
import writers
from acks import FAIL, MAINTENANCE, OK, UNKNOWN


class Server(ThreadingHTTPServer):
    """Takes marks; ``mood`` says how it answers, and whether it takes them all the same."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mood, self.taken = "good", []  # type: ignore[var-annotated]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def answer(self, status: int, told: object, **headers: str) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(200, {"node": "here", "epoch": 3, "marks": [[name, "here 3"] for name in self.server.taken]})

    def do_POST(self) -> None:
        name = parse_qs(urlsplit(self.path).query)["id"][0]
        mood = self.server.mood
        if mood == "maintenance":
            self.answer(503, {}, Retry_After="5")
            return
        self.server.taken.append(name)
        if mood == "hangs up":
            self.close_connection = True
        elif mood == "silent":
            time.sleep(1.0)
        elif mood == "gateway":
            self.answer(502, {})
        elif mood == "another's":
            self.answer(200, {"status": "ok", "id": "r9-x-1", "node": "here", "epoch": 3})
        else:
            self.answer(200, {"status": "ok", "id": name, "node": "here", "epoch": 3})


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def one(server: Server, patience: float = 5.0) -> writers.Ack:
    client = writers.Client("c", "proxy", "127.0.0.1", server.server_port, patience=patience)
    connection = writers.http.client.HTTPConnection(client.address, client.port, timeout=patience)
    try:
        return writers.ask(connection, client, "r1-c-1")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("mood", "outcome", "taken"),
    [
        ("good", OK, True),
        ("maintenance", UNKNOWN, False),
        ("hangs up", UNKNOWN, True),
        ("gateway", UNKNOWN, True),
        ("another's", UNKNOWN, True),
    ],
)
def test_an_answer_is_judged(server: Server, mood: str, outcome: str, taken: bool) -> None:
    server.mood = mood
    ack = one(server)
    assert (ack.outcome, bool(server.taken)) == (outcome, taken)
    assert (ack.detail == MAINTENANCE) == (mood == "maintenance")
    assert (ack.node, ack.epoch) == (("here", 3) if outcome == OK else ("", 0))
    assert ack.invoked < ack.ended


def test_no_answer_in_time_is_unknown(server: Server) -> None:
    server.mood = "silent"
    assert one(server, patience=0.1).outcome == UNKNOWN


def test_nobody_there_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    client = writers.Client("c", "proxy", "127.0.0.1", port)
    connection = writers.http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    assert writers.ask(connection, client, "r1-c-1").outcome == FAIL


def test_a_fleet_writes_ids_that_are_never_the_same_and_keeps_runs_apart(server: Server) -> None:
    clients = [
        writers.Client(f"c{number}", "proxy", "127.0.0.1", server.server_port, pause=0.002, keeps=number % 2 == 0)
        for number in range(8)
    ]
    fleet = writers.Fleet(clients)
    fleet.start("r1")
    try:
        for run, following in (("r1", "r2"), ("r2", "r3")):
            end = time.monotonic() + 10
            while len(fleet.history.of(run)) < 100 and time.monotonic() < end:
                time.sleep(0.01)
            fleet.begin(following)
            taken = [name for name in server.taken if name.startswith(f"{run}-")]
            verdict = checker.check(fleet.history.of(run), taken)
            assert verdict.acked == len(taken) >= 100 and not verdict.bad, verdict.as_dict()
    finally:
        fleet.stop()
    ids = [ack.id for ack in fleet.history.all()]
    assert len(ids) == len(set(ids))


def test_marks_are_read_back(server: Server) -> None:
    one(server)
    assert writers.marks("127.0.0.1", "r1-", server.server_port) == ("here", 3, ["r1-c-1"])


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: another network namespace cannot be entered")
def test_a_client_in_a_namespace_that_is_not_there_breaks_the_fleet(server: Server, tmp_path: Path) -> None:
    """Unseen it would find nothing wrong for ever."""
    client = writers.Client("c", "tutor1", "127.0.0.1", server.server_port, namespace=tmp_path / "none")
    fleet = writers.Fleet([client])
    fleet.start("r1")
    fleet.stop()
    with pytest.raises(AssertionError, match="a client broke"):
        fleet.begin("r2")
