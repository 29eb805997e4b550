# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port probe, on real listening sockets and on what a Debian 12 host really showed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.accounts import user_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import port
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

DATA = Path(__file__).parent / "data"
ME = user_name(os.geteuid())


def captured():
    return [
        one for name in ("tcp", "tcp6") for one in port.parse_listeners((DATA / f"proc_net_{name}.txt").read_text())
    ]


def look(**spec):
    result = port.probe(spec, {}, Deadline(5))
    return {check.id: check for check in result.checks}


@pytest.fixture
def listener():
    opened = []

    def listen(address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family)
        opened.append(sock)
        sock.bind((address, 0))
        sock.listen(5)
        return sock.getsockname()[1]

    yield listen
    for sock in opened:
        sock.close()


def test_what_the_kernel_prints_is_read_as_addresses():
    assert [str(one) for one in captured()] == [
        "127.0.0.1:6379",
        "127.0.0.1:5000",
        "0.0.0.0:80",
        "0.0.0.0:22",
        "[::1]:6379",
        "[::]:22",
    ]
    assert [one.uid for one in captured()] == [101, 997, 0, 0, 101, 0]


@pytest.mark.parametrize(
    ("entry", "status", "sentence"),
    [
        ({"port": 80, "scope": "any"}, Status.OK, "port.listens"),
        ({"port": 6379, "scope": "loopback"}, Status.OK, "port.listens"),
        ({"port": 5000, "scope": "any"}, Status.CRITICAL, "port.elsewhere"),
        ({"port": 5000, "scope": "10.0.0.1"}, Status.CRITICAL, "port.elsewhere"),
        ({"port": 80, "scope": "10.0.0.1"}, Status.OK, "port.listens"),
        ({"port": 5000, "scope": "127.0.0.1"}, Status.OK, "port.listens"),
        ({"port": 443}, Status.CRITICAL, "port.closed"),
    ],
)
def test_expected(entry, status, sentence):
    expected = port.Expected.read(entry)
    listeners = [one for one in captured() if one.port == expected.port]
    check = port.judge(port.AREA.reporter(), expected, listeners)[0]
    assert (check.status, check.message) == (status, sentence)


def test_exposed():
    def exposed(number, scope, address):
        one = port.Listener(port.ipaddress.ip_address(address), number, 0, 1, 0)
        found = port.judge(port.AREA.reporter(), port.Expected.read({"port": number, "scope": scope}), [one])
        return next((check.status for check in found if check.id == "port.exposed"), None)

    assert exposed(5000, "loopback", "127.0.0.1") == Status.OK
    assert exposed(5000, "loopback", "0.0.0.0") == Status.WARNING
    assert exposed(6379, "loopback", "0.0.0.0") == Status.CRITICAL
    assert exposed(6379, "loopback", "::") == Status.CRITICAL
    assert exposed(6379, "loopback", "10.0.0.1") is None  # missing on loopback: port.expected says so
    assert exposed(6379, "10.0.0.1", "0.0.0.0") == Status.CRITICAL
    assert exposed(80, "any", "0.0.0.0") is None


def test_unexpected_needs_a_complete_declaration():
    say = port.AREA.reporter()
    assert port.judge_unexpected(say, captured(), {22, 80}).status == Status.OK
    assert port.judge_unexpected(say, captured(), {22}).status == Status.WARNING
    store = port.Listener(port.ipaddress.ip_address("0.0.0.0"), 6379, 0, 1, 0)
    assert port.judge_unexpected(say, [store], set()).status == Status.CRITICAL
    bound = port.Listener(port.ipaddress.ip_address("10.0.0.1"), 6379, 0, 1, 0)
    assert port.judge_unexpected(say, [bound], set()).status == Status.WARNING
    mapped = port.Listener(port.ipaddress.ip_address("::ffff:127.0.0.1"), 6379, 0, 1, 0)
    assert port.judge_unexpected(say, [mapped], set()).status == Status.OK
    assert "port.unexpected" not in look(ports=[])


def test_a_real_listener_and_its_owner(listener):
    number = listener("127.0.0.1")
    mine = {"port": number, "scope": "loopback", "process": proc.process(os.getpid()).comm, "user": ME}
    checks = look(ports=[mine])
    assert {check.status for check in checks.values()} == {Status.OK}
    stranger = look(ports=[{**mine, "process": "nginx-worker"}])["port.expected"]
    assert (stranger.status, stranger.message) == (Status.CRITICAL, "port.foreign_process")
    assert str(os.getpid()) in stranger.evidence[0]
    other = look(ports=[{**mine, "user": "nobody"}])["port.expected"]
    assert (other.status, other.message) == (Status.CRITICAL, "port.foreign_user")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give its rights up")
def test_a_socket_made_by_root_belongs_to_the_user_its_process_became(spawn):
    code = (
        "import os, socket; s = socket.create_server(('127.0.0.1', 0)); os.setgid(65534); os.setuid(65534); "
        "print(s.getsockname()[1], flush=True); input()"
    )
    number = int(spawn(code).stdout.readline())
    name = user_name(65534)
    assert look(ports=[{"port": number, "user": name}])["port.expected"].status == Status.OK
    assert look(ports=[{"port": number, "user": "root"}])["port.expected"].status == Status.OK


def test_connections_that_nobody_accepts_are_counted(listener):
    number = listener("127.0.0.1")
    with socket.create_connection(("127.0.0.1", number)), socket.create_connection(("127.0.0.1", number)):
        assert look(ports=[{"port": number}])["port.expected"].value == 2


def test_a_real_stranger_on_the_network_is_named(listener):
    before = {one.port for name in ("tcp", "tcp6") for one in port.parse_listeners(proc.read(f"/proc/net/{name}"))}
    number = listener("0.0.0.0")
    check = look(ports=[], declared=sorted(before))["port.unexpected"]
    assert (check.status, check.params["ports"]) == (Status.WARNING, str(number))
    assert f"(pid {os.getpid()})" in check.evidence[0]
    assert look(ports=[{"port": number}], declared=sorted(before))["port.unexpected"].status == Status.OK


@pytest.mark.parametrize(
    "entry",
    [{}, {"port": 0}, {"port": "http"}, {"port": 65536}, {"port": 80, "scope": "wan"}, {"port": 80, "prot": "tcp"}],
)
def test_what_cannot_be_a_port_is_refused(entry):
    with pytest.raises(OpsError):
        port.Expected.read(entry)
