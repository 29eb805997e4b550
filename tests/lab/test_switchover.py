# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of the failover on real hosts: handed over, refused, taken back, killed and gone on with."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lab
import pytest
from failover_site import APPLICATION, NAMES, WITNESSES, FailoverSite, cut, results
from faults import APP, HOME

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import NewEvent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger

NETS = range(71, 73)
# Other work on this machine must not look like a partition to the lease: its own tests have a shorter one.
SETTINGS = {"fencing_ttl": 12, "failover_antiflap": 0}
LEFT_OUT = "" if os.environ.get("LAB_FAILOVER") else "minutes long, asked for with LAB_FAILOVER=1"
pytestmark = [
    pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not() or "a lab can be had"),
    pytest.mark.timeout(900),  # laying out a site takes minutes on a busy machine
]
long = pytest.mark.skipif(bool(LEFT_OUT), reason=LEFT_OUT or "asked for")
# What a look may touch: logs of ssh, of the sessions it opens, and the time stamps of the running system.
TREE = (
    "find /etc /opt /srv /var/lib/tutor-ops /run/tutor-ops /usr/local /root -xdev "
    "-not -path '*/__pycache__*' -not -path '*/logs/*' -not -path '/root/.ansible*' "
    "-not -name lease.json -not -name '*-wal' -not -name '*-shm' -not -name '*.db' "
    r"-not -path '/srv/tutor-ops-replica/*' -not -path '*-litestream/*' -type f -printf '%p %m %U %s %C@\n' | sort | sha256sum; "
    "systemctl show -p MainPID,ActiveState,NRestarts bilingual-tutor nginx tutor-ops-replication tutor-ops-lease"
)
# Databases, their logs and the replica, byte for byte: nobody writes, so nothing may.
DATA = (
    f"find {HOME} /srv/tutor-ops-replica -xdev -type f \\( -name '*.db' -o -name '*-wal' -o -name '*.ltx' \\) "
    "-exec sha256sum {} + | sort"
)


class Switch:
    """The site, and the playbooks of the failover on it."""

    def __init__(self, site: FailoverSite) -> None:
        self.site = site

    def to(
        self, target: str, *words: str, playbook: str = "switchover", **more: Any
    ) -> subprocess.CompletedProcess[str]:
        told = {"failover_target": target, "failover_confirm": target, **more}
        done = self.site.play(f"bilingual_tutor.ops.{playbook}", *words, **told)
        print(cut(done, 60))
        return done

    def last(self) -> dict[str, Any]:
        """Return how the newest run ended."""
        directory = list(results(self.site.state).values())[-1]
        return dict(json.loads((directory / "result.json").read_text(encoding="utf-8")))

    def journal(self) -> list[dict[str, Any]]:
        """Return the lines of the newest run's journal; one that is being written is left out."""
        found = list(results(self.site.state).values())
        path = found[-1] / "journal.ndjson" if found else Path("/nonexistent")
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def trees(self) -> dict[str, str]:
        return {name: self.site.sh(name, TREE) for name in NAMES}

    def data(self) -> dict[str, str]:
        return {name: self.site.sh(name, DATA) for name in APPLICATION}

    def one_serves(self, target: str) -> None:
        """Prove that the target serves through the proxy, and that the other one cannot be started."""
        self.site.wait_serving(target)
        assert self.site.primary() == target
        other = next(name for name in APPLICATION if name != target)
        assert self.site.fenced(other) and not self.site.fenced(target)
        assert self.site.hosts[other].run("systemctl", "start", APP, check=False).returncode != 0
        assert self.marks("none-", patience=20)[0] == target

    def marks(self, prefix: str, patience: float = 0.0) -> tuple[str, list[str]]:
        """Ask the proxy who serves, and for the marks that begin so."""
        end = time.monotonic() + patience
        while True:
            status, body = self.ask("GET", f"/api/marks?prefix={prefix}")
            if status == 200:
                return body["node"], [title for title, _body in body["marks"]]
            assert time.monotonic() < end, f"the proxy says {status}"
            time.sleep(0.1)

    def ask(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        try:
            connection = http.client.HTTPConnection(self.site.proxy, timeout=10)
            connection.request(method, path)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if answer.status == 200 else {}
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    @contextmanager
    def writing(self, prefix: str) -> Iterator[list[str]]:
        """Write through the proxy all the while; yields the ids that were acknowledged."""
        acknowledged: list[str] = []
        over = threading.Event()

        def write() -> None:
            number = 0
            while not over.is_set():
                name = f"{prefix}{number}"
                if self.ask("POST", f"/api/marks?id={name}")[0] == 200:
                    acknowledged.append(name)
                number += 1
                over.wait(0.02)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield acknowledged
        finally:
            over.set()
            thread.join()


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """Count what a play changed, on every host."""
    return sum(int(count) for count in re.findall(r"^\w+\s+: ok=\d+\s+changed=(\d+)", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    """Hosts on which nothing was laid out yet."""
    with lab.Lab.reserved(NETS) as ours:
        site = FailoverSite(ours, tmp_path_factory.mktemp("switchover"), **SETTINGS)
        site.up(lay_out=False)
        yield Switch(site)


@pytest.fixture(scope="module")
def switch(plain: Switch) -> Switch:
    """A site that can fail over; who serves, the tests before have decided."""
    plain.site.lay_out(seconds=840.0)
    return plain


def test_what_is_not_ready_is_refused_whole_and_nothing_is_touched(plain: Switch) -> None:
    """Nothing is laid out and a witness is off: each reason is told, the record is written, no host is changed."""
    site = plain.site
    site.hosts[WITNESSES[1]].set_link(up=False)
    try:
        before = plain.trees()
        done = plain.to("tutor2")
        assert done.returncode != 0
        assert plain.trees() == before
    finally:
        site.hosts[WITNESSES[1]].set_link(up=True)
    result = plain.last()
    assert result["outcome"] == "refused" and "no host knows an epoch" in result["msg"]
    assert "tutor5 (witness) does not answer" in done.stdout, "and the play went on to its end"
    assert "Record the run" in done.stdout
    assert "Take the locks" not in done.stdout, "what was not begun is not listed"
    assert site.record("tutor1")["epoch"] == 0


@long
def test_a_dry_run_shows_the_plan_and_changes_nothing(switch: Switch) -> None:
    before, runs, data = switch.trees(), list(results(switch.site.state)), switch.data()
    assert all("learning.db" in one for one in data.values())
    for words, more in ((["--check"], {}), ([], {"failover_dry_run": True})):
        done = switch.to("tutor2", *words, failover_confirm="", **more)
        assert done.returncode == 0
        assert "would hand over to tutor2, epoch 2" in done.stdout and "quiesce: tutor1" in done.stdout
    assert switch.trees() == before and list(results(switch.site.state)) == runs
    assert switch.data() == data


@long
def test_the_confirmation_is_the_name_of_the_target(switch: Switch) -> None:
    before = switch.trees()
    for word in ("", "tutor1", "yes"):
        assert switch.to("tutor2", failover_confirm=word).returncode != 0
        assert switch.last()["outcome"] == "refused"
    assert switch.trees() == before


@long
@pytest.mark.parametrize(
    ("host", "spoil", "restore", "expected"),
    [
        ("tutor2", f"echo SECRET_KEY=other >> {HOME}/.env", f"sed -i '$d' {HOME}/.env", "SECRET_KEY on tutor2 is not that"),
        ("tutor2", "rm -rf /var/tmp/kept; cd /srv/tutor-ops-replica/data; mv epoch-* /var/tmp/",
         "mv /var/tmp/epoch-* /srv/tutor-ops-replica/data/", "no replica of epoch"),
        ("tutor3", "echo 'nonsense;' > /etc/nginx/conf.d/x.conf", "rm /etc/nginx/conf.d/x.conf", "would refuse its configuration"),
        ("tutor4", "echo '{\"run_id\":\"other\",\"controller\":\"station2\",\"since\":\"x\",\"expires\":\"2100-01-01T00:00:00Z\"}' "
         "> /var/lib/tutor-ops/run.json", "rm /var/lib/tutor-ops/run.json", "locked by run other of station2"),
    ],
)  # fmt: skip
def test_it_is_refused_before_anything_is_touched(
    switch: Switch, host: str, spoil: str, restore: str, expected: str
) -> None:
    site = switch.site
    target = site.standby()
    if host in APPLICATION:
        host = target
    site.sh(host, spoil)
    try:
        before = switch.trees()
        assert switch.to(target).returncode != 0
        assert expected in switch.last()["msg"].replace(target, "tutor2")
        assert switch.trees() == before
    finally:
        site.sh(host, restore)


@long
def test_an_incident_that_is_not_resolved_is_not_got_in_the_way_of(switch: Switch) -> None:
    target = switch.site.standby()
    ledger = Ledger(str(switch.site.state / "ledger.db"))

    def told(state: str) -> None:
        ledger.append([NewEvent("incident.event", "INC-7", {"priority": "P1", "state": state})])

    told("investigating")
    before = switch.trees()
    assert switch.to(target).returncode != 0
    assert "incident INC-7 (P1) is investigating" in switch.last()["msg"] and switch.trees() == before
    assert switch.to(target, failover_dry_run=True, failover_incident="INC-7").returncode == 0
    told("resolved")
    assert switch.to(target, failover_dry_run=True).returncode == 0


@long
def test_a_switchover_loses_nothing_and_the_next_one_has_nothing_to_do(switch: Switch) -> None:
    for target in ("tutor2", "tutor1"):
        with switch.writing(f"to-{target}-") as acknowledged:
            done = switch.to(target, playbook="switchover" if target == "tutor2" else "failback")
            assert done.returncode == 0
            node, _marks = switch.marks("none-", patience=10)
            assert node == target
        result = switch.last()
        print(json.dumps({key: result[key] for key in ("gap_s", "rto_s", "rpo_s", "steps")}))
        assert (result["outcome"], result["rpo_s"]) == ("done", 0)
        assert len(acknowledged) > 10 and set(acknowledged) <= set(switch.marks(f"to-{target}-", 10)[1])
        switch.one_serves(target)
        before = switch.trees()
        again = switch.to(target, playbook="switchover" if target == "tutor2" else "failback")
        assert again.returncode == 0 and changed(again) == 0 and "serves already" in again.stdout
        assert switch.trees() == before


@long
def test_anti_flap(switch: Switch) -> None:
    target = switch.site.standby()
    assert switch.to(target, failover_antiflap=3600).returncode != 0
    assert "between two switches" in switch.last()["msg"]


def _started(switch: Switch, target: str, step: str, phase: str, output: Path) -> subprocess.Popen[bytes]:
    """Start a switchover and return when its journal has this line."""
    known = set(results(switch.site.state))
    process = switch.site.start(
        output, "bilingual_tutor.ops.switchover", failover_target=target, failover_confirm=target
    )  # fmt: skip

    def there() -> bool:
        if process.poll() is not None:
            raise AssertionError(output.read_text(encoding="utf-8", errors="replace")[-3000:])
        new = set(results(switch.site.state)) - known
        return bool(new) and any((line["step"], line["phase"]) == (step, phase) for line in switch.journal())

    lab.wait_for(f"{step} {phase}", there, 120)
    return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@long
@pytest.mark.parametrize(
    ("step", "phase"),
    [
        (step, phase)
        for step in ("lock", "quiesce", "promote", "epoch", "grant", "switch", "reprotect")
        for phase in ("begin", "ok")
    ],
)
def test_killed_anywhere_the_same_command_ends_it(switch: Switch, tmp_path: Path, step: str, phase: str) -> None:
    target = switch.site.standby()
    _kill(_started(switch, target, step, phase, tmp_path / "out"))
    run_id = list(results(switch.site.state))[-1]
    assert switch.to(target).returncode == 0
    assert list(results(switch.site.state))[-1] == run_id, "it went on with the same run"
    assert switch.last()["outcome"] == "done"
    switch.one_serves(target)
    again = switch.to(target)
    assert again.returncode == 0 and changed(again) == 0


@long
def test_a_second_run_is_refused(switch: Switch, tmp_path: Path) -> None:
    target = switch.site.standby()
    first = _started(switch, target, "lock", "ok", tmp_path / "out")
    runs = set(results(switch.site.state))
    second = switch.to(target)
    assert second.returncode != 0 and "is under way since" in second.stdout
    assert first.wait(timeout=300) == 0
    [other] = set(results(switch.site.state)) - runs
    assert not (results(switch.site.state)[other] / "plan.json").exists()
    switch.one_serves(target)


@long
def test_what_fails_before_the_epoch_is_taken_back(switch: Switch) -> None:
    """The standby cannot put the database in its place: the old primary serves again in the same epoch."""
    site = switch.site
    target, old = site.standby(), site.primary()
    epoch = site.epoch()["epoch"]
    binary = "/usr/local/lib/tutor-ops/litestream"
    site.sh(target, f"mv {binary} {binary}.away; printf '#!/bin/sh\\nexit 1\\n' > {binary}; chmod 755 {binary}")
    try:
        with switch.writing("back-") as acknowledged:
            done = switch.to(target)
            switch.marks("none-", patience=10)
        assert done.returncode != 0
    finally:
        site.sh(target, f"mv {binary}.away {binary}")
    result = switch.last()
    assert result["outcome"] == "rolled_back" and f"{old} serves again in epoch {epoch}" in result["msg"]
    assert site.epoch()["epoch"] == epoch
    assert set(acknowledged) <= set(switch.marks("back-", 10)[1])
    switch.one_serves(old)
    assert switch.to(target).returncode == 0, "and when it is repaired it is switched"


@long
def test_an_emergency_waits_for_the_lease_of_a_host_that_is_gone(switch: Switch) -> None:
    """Last: the site is without a standby then."""
    site = switch.site
    old, target = site.primary(), site.standby()
    with switch.writing("gone-") as acknowledged:
        lab.wait_for("writes", lambda: len(acknowledged) > 20, 30)
    site.power_off(old)
    assert switch.to(target).returncode != 0, "a planned one is refused"
    assert switch.last()["outcome"] == "refused"
    done = switch.to(target, playbook="emergency_failover", failover_max_rpo=600)
    assert done.returncode == 0, "a host that is gone does not end the play"
    result = switch.last()
    print(json.dumps({key: result[key] for key in ("gap_s", "rto_s", "rpo_s", "steps")}))
    assert (result["outcome"], result["way"], result["left"]) == ("degraded", "emergency", ["protected"])
    waited = next(step for step in result["steps"] if step["step"] == "wait")
    assert waited["seconds"] >= 12
    assert switch.marks("gone-", 10)[0] == target
    site.power_on(old, wait=True)
    assert site.hosts[old].run("systemctl", "start", APP, check=False).returncode != 0, "it comes up and does not serve"
