# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill on a real site: it passes and touches nothing, fails for what is bad, refuses what it must, switches for real."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import lab
import pytest
from failover_site import FailoverSite
from faults import APP, HOME, sh

NETS = range(81, 83)
SCRATCH = "/var/lib/tutor-ops/drill"
PLAY_SECONDS = 400.0
# Other work on this machine must not look like a partition to the lease: its own tests have a shorter one.
SETTINGS = {"fencing_ttl": 12, "failover_antiflap": 0}
LEFT_OUT = "" if os.environ.get("LAB_FAILOVER") else "minutes long, asked for with LAB_FAILOVER=1"
pytestmark = [
    pytest.mark.skipif(bool(lab.why_not() or LEFT_OUT), reason=lab.why_not() or LEFT_OUT or "a lab can be had"),
    pytest.mark.timeout(900),  # a site is laid out, and up to three drills are run
]

PEOPLE = [
    {"name": "Li Wei", "role": "system_administrator", "phone": "+86-571-5550-0001"},
    {"name": "Chen Jing", "role": "senior_engineer", "mobile": "+86-571-5550-0002"},
    {"name": "Zhao Min", "role": "operations_manager", "mail": "zhao@tutor.test"},
]


class Bench:
    """A site, and ways to drill on it."""

    def __init__(self, site: FailoverSite, directory: Path) -> None:
        self.site, self.directory = site, directory
        self.paged = directory / "paged"
        runbook = directory / "runbook.md"
        runbook.write_text("what to do\n")
        hook = directory / "page.sh"
        hook.write_text(f'#!/bin/sh\necho "$1" >> {self.paged}\n')
        hook.chmod(0o755)
        self.settings: dict[str, Any] = {
            "ops_contacts": {"people": PEOPLE, "channels": {"duty_phone": "+86-571-5550-0000"}},
            "dr_drill_owner": "Chen Jing",
            "dr_drill_runbook": str(runbook),
            "dr_drill_notify_command": [str(hook)],
            "dr_drill_requests": [{"url": "http://127.0.0.1:5000/api/test", "method": "POST", "body": '"ok"'}],
            "dr_drill_rto": 120,
        }

    def drill(self, **variables: Any) -> tuple[int, str, dict[str, Any]]:
        """Drill; return the exit status, the output, and the record, empty when there is none."""
        before = len(self.records())
        done = self.site.play("bilingual_tutor.ops.dr_drill", seconds=PLAY_SECONDS, **{**self.settings, **variables})
        text = done.stdout + done.stderr
        print(text)
        records = self.records()
        return done.returncode, text, records[-1] if len(records) > before else {}

    def records(self) -> list[dict[str, Any]]:
        """Return the records of all drills, oldest first."""
        path = self.site.state / "ledger.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            rows = ledger.execute("SELECT data FROM events WHERE kind = 'drill.run' ORDER BY seq").fetchall()
        return [json.loads(row[0]) for row in rows]

    def standing(self) -> dict[str, Any]:
        """Return what a drill of level 1 must not change: who serves, since when, what is in the databases."""
        hosts = {name: self.site.hosts[name] for name in ("tutor1", "tutor2")}
        primary = hosts["tutor1"]
        return {
            "epoch": self.site.epoch(),
            "pid": sh(primary, f"systemctl show -P MainPID -P NRestarts {APP}"),
            "rows": sh(primary, f"sqlite3 'file:{HOME}/bilingual_tutor/storage/learning.db?mode=ro' .dump | sha256sum"),
            "standby": sh(hosts["tutor2"], f"systemctl is-active {APP} || true"),
            "units": {name: sh(host, "ls /etc/systemd/system /run/systemd/system") for name, host in hosts.items()},
            "upstream": sh(self.site.hosts["tutor3"], "cat /etc/nginx/tutor-ops/upstream.conf"),
        }

    def left(self) -> dict[str, str]:
        """Return what drills left on the hosts."""
        look = f"ls -A {SCRATCH} 2>/dev/null; pgrep -f 'ops-scratc[h]' || true"
        return {name: sh(self.site.hosts[name], look) for name in ("tutor1", "tutor2")}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A site with a backup."""
    with lab.Lab.reserved(NETS) as ours:
        directory = tmp_path_factory.mktemp("drill")
        site = FailoverSite(ours, directory, **SETTINGS)
        site.up()
        done = site.play("bilingual_tutor.ops.backup")
        assert done.returncode == 0, done.stdout + done.stderr
        yield Bench(site, directory)


def test_it_passes_and_touches_nothing(bench: Bench) -> None:
    before = bench.standing()
    status, text, record = bench.drill()
    assert status == 0 and record["verdict"] == "passed", record.get("reasons")
    assert bench.standing() == before
    assert bench.left() == {"tutor1": "", "tutor2": ""}
    assert {one["source"]: one["verdict"] for one in record["restores"]} == dict.fromkeys(
        ("snapshot", "replica", "moment"), "passed"
    )
    assert record["findings"] == [] and 0 < record["rto_s"] < 120 and record["rpo_s"] < 5
    assert len({one["rows"] for one in record["restores"]}) <= 2
    seed = next(one["seed"] for one in record["restores"] if one["source"] == "moment")
    assert f"seed {seed}" in text, "the seed is told before anything is done"
    assert "[DRILL / 演练]" in bench.paged.read_text()
    for locale, words in (("en", "Disaster recovery drill"), ("zh", "灾备演练报告")):
        assert words in (bench.site.state / "reports" / f"latest.{locale}.html").read_text()


def test_a_bad_backup_fails_and_a_good_one_closes_the_finding(bench: Bench) -> None:
    pointer = f"$(readlink -f {HOME}/backups/learning_latest.db)"
    primary = bench.site.hosts["tutor1"]
    sh(primary, f"cp -p {pointer} /var/tmp/kept; truncate -s -8192 {pointer}")
    try:
        status, _text, record = bench.drill()
    finally:
        sh(primary, f"cp -p /var/tmp/kept {pointer}")
    assert status != 0 and record["verdict"] == "failed"
    found = [one for one in record["findings"] if one["check"]["id"] == "snapshot.sha256"]
    assert found and found[0]["owner"] == "Chen Jing" and found[0]["due"] > found[0]["since"]
    assert bench.left() == {"tutor1": "", "tutor2": ""}
    status, _text, record = bench.drill()
    assert status == 0 and record["verdict"] == "passed", record.get("reasons")
    assert "snapshot.sha256" in {one["check"]["id"] for one in record["closed"]}
    assert [one["verdict"] for one in record["trend"]] == ["passed", "failed", "passed"]


def test_what_must_wait_is_refused(bench: Bench) -> None:
    """An open failover, a change freeze, an urgent incident: nothing is done, nothing recorded, and the reason is told."""
    known = len(bench.records())

    def refused(words: str, **variables: Any) -> None:
        status, text, record = bench.drill(**variables)
        assert status == 2 and not record and re.search(words, " ".join(text.split())), text
        assert "Restore the newest backup" not in text and len(bench.records()) == known

    refused("Changes are frozen: exams", ops_change_freeze="exams")
    refused("处于变更冻结期：考试", ops_change_freeze="考试", ops_locale="zh")
    lock = {
        "run_id": "other-run",
        "controller": "desk",
        "since": "2026-11-23T00:00:00Z",
        "expires": "2027-01-01T00:00:00Z",
        "reason": "a test",
    }
    standby = bench.site.hosts["tutor2"]
    sh(standby, f"echo '{json.dumps(lock)}' > /var/lib/tutor-ops/run.json")
    try:
        refused("in the hands of run other-run")
    finally:
        sh(standby, "rm /var/lib/tutor-ops/run.json")


def test_it_is_inconclusive_without_what_it_needs(bench: Bench) -> None:
    status, _text, record = bench.drill(dr_drill_litestream="/nowhere/litestream")
    assert status != 0 and record["verdict"] == "inconclusive", record.get("reasons")
    assert bench.left() == {"tutor1": "", "tutor2": ""}


def test_level_2_switches_over_and_back(bench: Bench) -> None:
    before = bench.site.epoch()
    assert before["primary"] == "tutor1"
    status, _text, record = bench.drill(dr_drill_level=2)
    assert status == 0 and record["verdict"] == "passed", record.get("reasons")
    after = bench.site.epoch()
    assert after["primary"] == "tutor1" and after["epoch"] == before["epoch"] + 2
    parts = {one["part"] for one in record["steps"]}
    assert {"switchover", "failback"} <= parts and record["level"] == 2
    assert record["rpo_s"] == 0 and record["rto_s"] > 0
