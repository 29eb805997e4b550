# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe epoch on real files, with a real witness."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch, grant, lease
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


@contextmanager
def witness(directory: Path) -> Iterator[dict[str, Any]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield {"name": "w1", "address": "127.0.0.1", "port": server.server_address[1]}
    finally:
        # Python does not end before this thread does.
        server.shutdown()
        server.server_close()
        thread.join()


class Host:
    """A host that serves in epoch 3, as its witness knows."""

    def __init__(self, top: Path, entry: dict[str, Any]) -> None:
        self.top, self.state, self.run, self.far = top, top / "state", top / "run", top / "far"
        self.told = {
            "host": "tutor1",
            "policy": "quorum",
            "witnesses": [entry],
            "state_dir": str(self.state),
            "run_dir": str(self.run),
        }
        for where in (self.state, self.far):
            epoch.raise_to(where, epoch.Record(3, "tutor1", "now"))
        grant.write(self.run, 3, "run")
        self.renewed(0.0)

    def renewed(self, ago: float) -> None:
        (self.run / lease.STATUS).write_text(json.dumps({"renewed": grant.boottime() - ago, "answers": {"w1": 3}}))

    def look(self) -> dict[str, str]:
        path = self.top / "fencing.json"
        path.write_text(json.dumps(self.told))
        prepared = registry.prepare({"kind": "epoch", "config": str(path)})
        result = prepared.module.probe(prepared.spec, {}, Deadline(10))
        return {check.id: check.status.name for check in result.checks}


GOOD = {"epoch.agreed": "OK", "epoch.grant": "OK", "epoch.fenced": "OK", "epoch.guard": "OK", "lease.fresh": "OK"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "far").mkdir()
    with ExitStack() as stack:
        yield Host(tmp_path, stack.enter_context(witness(tmp_path / "far")))


def test_all_is_well(host):
    assert host.look() == GOOD


def test_nothing_is_said_where_it_is_not_set_up(tmp_path):
    prepared = registry.prepare({"kind": "epoch", "config": str(tmp_path / "none")})
    result = prepared.module.probe(prepared.spec, {}, Deadline(10))
    assert {check.id: check.status.name for check in result.checks} == {name: "SKIPPED" for name in GOOD}


def test_one_host_is_never_silently_green(host):
    host.told.update(policy="standalone", witnesses=[])
    assert host.look() == {**GOOD, "lease.fresh": "SKIPPED"}


def test_another_epoch_at_the_witness(host):
    epoch.raise_to(host.far, epoch.Record(4, "tutor2", "now"))
    assert host.look() == {**GOOD, "epoch.agreed": "CRITICAL"}


def test_a_witness_without_a_record(host):
    (host.far / "epoch.json").unlink()
    assert host.look() == {**GOOD, "epoch.agreed": "CRITICAL"}


def test_one_silent_witness_of_three(host):
    host.told["witnesses"] += [
        dict(host.told["witnesses"][0], name="w2"),
        {"name": "w3", "address": "127.0.0.1", "port": 1},
    ]
    assert host.look() == {**GOOD, "epoch.agreed": "WARNING"}


def test_a_damaged_record(host):
    (host.state / "epoch.json").write_text("{")
    assert host.look()["epoch.agreed"] == "CRITICAL"


def test_no_record(host):
    (host.state / "epoch.json").unlink()
    assert host.look()["epoch.agreed"] == "CRITICAL"


def test_a_grant_on_the_wrong_host(host):
    host.told["host"] = "tutor2"
    assert host.look() == {**GOOD, "epoch.grant": "CRITICAL"}


def test_no_grant_on_the_primary(host):
    grant.remove(host.run)
    assert host.look() == {**GOOD, "epoch.grant": "CRITICAL", "lease.fresh": "SKIPPED"}


@pytest.mark.parametrize(("ago", "status"), [(3, "OK"), (5, "WARNING"), (9, "CRITICAL")])
def test_an_old_lease(host, ago, status):
    host.renewed(ago)
    assert host.look() == {**GOOD, "lease.fresh": status}


def test_nobody_holds_the_lease(host):
    (host.run / lease.STATUS).unlink()
    assert host.look() == {**GOOD, "lease.fresh": "CRITICAL"}


def test_half_a_fence_and_a_fenced_primary(host):
    (host.state / "FENCED").write_text('{"epoch": 3}')
    assert host.look()["epoch.fenced"] == "CRITICAL"
    grant.remove(host.run)
    assert host.look()["epoch.fenced"] == "CRITICAL"
    host.told["host"] = "tutor2"
    assert host.look() == {**GOOD, "lease.fresh": "SKIPPED"}
