# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decisions of lease and boot, their arithmetic, and how the witnesses are asked."""

from __future__ import annotations

import importlib
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import boot, lease
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import (
    Config,
    Witness,
    lease_bound,
    majority,
    raise_needed,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.epoch import Record
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.witness import Answer, ask

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "ansible_collections.bilingual_tutor.ops.plugins.module_utils"


def said(number: int, primary: str = "tutor1") -> Answer:
    return Answer("w", Record(number, primary, "now"))


SILENT = Answer("w", error="no answer")


def test_the_bound_is_the_sum_of_its_parts():
    assert lease_bound(ttl=8, loop=1, probe_timeout=1, stop_timeout=2) == 13
    assert Config("tutor1").bound == 13


@pytest.mark.parametrize("count", range(1, 12))
def test_a_quorum_and_the_raised_ones_always_share_a_witness(count):
    for quorum in (*range(1, count + 1), majority(count)):
        assert quorum + raise_needed(count, quorum) > count
        # As few as can be: with one less raised, a whole quorum without any of them is left.
        assert quorum + raise_needed(count, quorum) - 1 <= count


@pytest.mark.parametrize("seed", range(300))
def test_properties_of_the_decision(seed):
    """Whatever is answered: an expired lease, a newer epoch and another primary fence; renewal needs the quorum."""
    dice = random.Random(seed)
    mine, ttl, now = dice.randint(1, 4), dice.uniform(1, 20), dice.uniform(50, 100)
    renewed = now - dice.uniform(0, 2 * ttl)
    answers = [
        dice.choice((SILENT, said(dice.randint(1, 5), dice.choice(("tutor1", "tutor2")))))
        for _n in range(dice.randint(1, 5))
    ]
    needed = dice.randint(1, len(answers))
    verdict = lease.decide(now, renewed, ttl, mine, "tutor1", answers, needed)
    records = [one.record for one in answers if one.record]
    expired = now - renewed > ttl
    newer = any(one.epoch > mine for one in records)
    stolen = any(one.epoch == mine and one.primary != "tutor1" for one in records)
    agree = sum((one.epoch, one.primary) == (mine, "tutor1") for one in records)
    assert (verdict.action == "fence") == (expired or newer or stolen), f"seed {seed}"
    if verdict.action != "fence":
        assert (verdict.action == "renew") == (agree >= needed)
    if newer and not expired:
        assert verdict.record and verdict.record.epoch == max(one.epoch for one in records)
    # More silence never keeps a host serving that would not have been kept without it.
    worse = lease.decide(now, renewed, ttl, mine, "tutor1", [SILENT] * len(answers), needed)
    assert worse.action == ("fence" if expired else "hold")


def test_no_witness_never_renews():
    assert lease.decide(1.0, 1.0, 8.0, 1, "tutor1", [], 0).action == "hold"


def test_a_renewal_from_the_future_is_none():
    """A status of another boot: its clock began anew."""
    assert lease.decide(5.0, 900.0, 8.0, 1, "tutor1", [said(1)], 1).action == "fence"


MINE, OTHERS = Record(3, "tutor1", "now"), Record(3, "tutor2", "now")


@pytest.mark.parametrize(
    ("policy", "fenced", "record", "answers", "action"),
    [
        ("standalone", False, MINE, [], "grant"),
        ("standalone", True, MINE, [], "stay"),
        ("standalone", False, None, [], "refuse"),
        ("manual", False, MINE, [said(3), said(3)], "refuse"),
        ("manual", False, OTHERS, [], "stay"),
        ("quorum", False, MINE, [said(3), said(3), SILENT], "grant"),
        ("quorum", False, MINE, [said(3), SILENT, SILENT], "wait"),
        ("quorum", False, MINE, [said(3), said(2), SILENT], "wait"),
        ("quorum", False, MINE, [SILENT] * 3, "wait"),
        ("quorum", False, MINE, [said(3), said(3), said(4, "tutor2")], "fence"),
        ("manual", False, MINE, [said(4, "tutor2")], "fence"),
        ("quorum", True, MINE, [said(3)] * 3, "stay"),
        ("quorum", False, OTHERS, [said(3, "tutor2")] * 3, "stay"),
        ("quorum", False, None, [said(1)] * 3, "refuse"),
        # The witnesses say this host is to serve in a newer epoch, which it was never told: a person must look.
        ("quorum", False, MINE, [said(4)] * 3, "wait"),
    ],
)
def test_boot(policy, fenced, record, answers, action):
    assert boot.decide(policy, "tutor1", fenced, record, answers, 2).action == action


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"ttl": 3}, "ttl"),
        ({"policy": "quorum"}, "witnesses"),
        ({"policy": "maybe"}, "policy"),
        ({"quorum": 1}, "quorum"),
        ({"loop": 0}, "loop"),
        ({"database": "learning.db"}, "absolute"),
        ({"state_dir": "x"}, "absolute"),
        ({"tll": 3}, "tll"),
        ({"units": ["*"]}, "name of a unit"),
        ({"witnesses": [{"name": "a", "address": "tutor3", "port": 1}]}, "IP address"),
        ({"witnesses": [{"name": "a", "address": "10.0.0.1", "port": 0}]}, "port"),
        ({"host": ""}, "host"),
    ],
)
def test_a_wrong_configuration_is_named(wrong, word):
    with pytest.raises(OpsError, match=word):
        Config.from_dict({"host": "tutor1", **wrong})


@contextmanager
def witness(answer: bytes | None, drip: float = 0.0) -> Iterator[Witness]:
    """Answer with these bytes, or accept and say nothing."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                connection, _address = server.accept()
            except OSError:
                return
            connection.settimeout(10)
            with closing(connection):
                connection.recv(4096)
                for byte in answer or b"":
                    try:
                        connection.send(bytes([byte]))
                    except OSError:
                        return
                    if drip and done.wait(drip):
                        return
                if answer is None:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Witness("w", "127.0.0.1", server.getsockname()[1])
        finally:
            # Python does not end before this thread does.
            done.set()
            server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


GOOD = b'HTTP/1.1 200 OK\r\nX: y\r\n\r\n{"epoch": 4, "primary": "tutor2", "since": "now"}\n'


def test_a_witness_answers():
    with witness(GOOD) as one:
        (answer,) = ask([one], 5)
    assert answer.record and (answer.record.epoch, answer.record.primary) == (4, "tutor2")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        (b"", "status none"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "damaged"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"epoch": 4, "prim', "damaged"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 20000, "too long"),
    ],
)
def test_what_is_no_record_is_no_vote(answer, word):
    with witness(answer) as one:
        (seen,) = ask([one], 5)
    assert seen.record is None and word in seen.error


def test_all_are_asked_at_once_and_nobody_holds_up_the_others():
    """One silent, one that drips, one closed port, one good: all within one time limit."""
    with witness(None) as silent, witness(GOOD, drip=0.2) as drips, witness(GOOD) as good:
        closed = Witness("closed", "127.0.0.1", 1)
        begun = time.monotonic()
        answers = ask([silent, drips, closed, good], 0.5)
        took = time.monotonic() - begun
    assert [bool(one.record) for one in answers] == [False, False, False, True]
    assert took < 1.0 and "no answer within" in answers[0].error and "refused" in answers[2].error.lower()


def test_the_role_installs_exactly_what_the_programs_import():
    script = (
        f"import sys; import {PACKAGE}.failover.lease, {PACKAGE}.failover.boot\n"
        "for name, module in sys.modules.items():\n"
        f"    if name.startswith('{PACKAGE}.') and getattr(module, '__file__', None):\n"
        f"        print(name[{len(PACKAGE) + 1}:].replace('.', '/') + '.py')\n"
        "    assert not name.startswith('ansible.'), name"
    )
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT / ".tree")}, capture_output=True, text=True, check=True)  # fmt: skip
    text = (ROOT / "roles/fencing/vars/main.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^  - (\S+\.py)$", text, re.MULTILINE)
    assert listed == sorted(done.stdout.split())


def test_the_guard_of_the_role_is_what_the_fence_looks_for():
    fence = importlib.import_module(f"{PACKAGE}.failover.fence")
    config = Config("tutor1")
    text = (ROOT / "roles/fencing/templates/guard.conf.j2").read_text(encoding="utf-8")
    seen = frozenset(
        (path.lstrip("!"), path.startswith("!")) for path in re.findall(r"^AssertPathExists=(\S+)$", text, re.MULTILINE)
    )
    assert fence.Unit("a.service", True, "active", seen).guarded(config)
    for missing in seen:
        assert not fence.Unit("a.service", True, "active", seen - {missing}).guarded(config)
