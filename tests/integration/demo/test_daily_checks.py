# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook daily_checks against the sandbox: what it refuses, what it survives, what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import demo
import pytest
from sandbox import REPOSITORY, Sandbox

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import Event
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import host

DAY = 86400
# Nothing listens on the discard port of loopback: the connection is refused at once.
GONE = (
    "all:\n  children:\n    tutor:\n      hosts:\n        gone:\n"
    "          ansible_connection: ssh\n          ansible_host: 127.0.0.1\n          ansible_port: 9\n"
)


def play(sandbox: Sandbox, *words: str, locale: str = "en", **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the playbook with some extra words and variables."""
    # What the machine under the sandbox suffers from is not what is tested.
    given = {"ops_shift": "morning", "tutor_host_skip": sorted(host.AREA.rules), **variables}
    return subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            demo.DAILY,
            "-i",
            REPOSITORY / "inventories/demo",
            *words,
            "-e",
            json.dumps({key: value for key, value in given.items() if value is not None}),
        ],
        cwd=REPOSITORY,
        env=demo.run_environ(sandbox, locale),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=demo.PLAYBOOK_SECONDS,
        check=False,
    )


def events(ledger: Path, kind: str) -> list[Event]:
    return Ledger(ledger).query(kinds=[kind]).events


def latest(sandbox: Sandbox) -> dict[str, Any]:
    return json.loads((sandbox.directory / "reports/latest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("locale", "said"), [("en", "bound to report it at once"), ("zh", "有义务立即报告并停止相关运维服务")]
)
@pytest.mark.parametrize("scope", ["", "commercial"])
def test_nothing_runs_outside_the_scope(sandbox: Sandbox, scope: str, locale: str, said: str) -> None:
    done = play(sandbox, locale=locale, ops_usage_scope=scope)
    assert done.returncode != 0
    assert said in "".join(done.stdout.split("\n"))
    assert "Look at the host" not in done.stdout


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ops_shift": "night"}, "morning, afternoon, evening"),
        ({"ops_hosts": "nobody"}, "No host in 'nobody'"),
        ({"ops_fail_on": "sometimes"}, "never, critical, warning, unknown"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(sandbox: Sandbox, variables: dict[str, str], said: str) -> None:
    done = play(sandbox, **variables)
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())
    assert "Look at the host" not in done.stdout


def test_mistake_in_a_probe_fails_the_run_and_says_where(sandbox: Sandbox) -> None:
    done = play(sandbox, daily_checks_thresholds={"host": {"disk.used": {"warn": "80:x"}}})
    text = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "threshold '80:x' is not a Nagios range" in text
    assert "host.checked" in text


def test_broken_ledger_does_not_keep_the_operator_from_seeing(sandbox: Sandbox, tmp_path: Path) -> None:
    broken = tmp_path / "ledger.db"
    broken.write_bytes(b"this is no database" * 100)
    before = broken.read_bytes()
    done = play(sandbox, ops_ledger_path=str(broken))
    assert done.returncode != 0
    assert re.search(r"tutor-demo +OK \d+", done.stdout), "the operator sees no healthy host"
    assert str(broken) in done.stdout
    assert broken.read_bytes() == before


def test_lost_record_is_told_beside_the_findings(sandbox: Sandbox) -> None:
    # Nobody can make a directory there: reading finds no ledger yet, recording fails.
    nowhere = "/proc/nowhere/ledger.db"
    always = {"http": {"http.total": {"crit": "~:-1"}}}
    done = play(sandbox, ops_ledger_path=nowhere, daily_checks_thresholds=always)
    table = " ".join(done.stdout[done.stdout.rindex("CHECKS") :].split())
    assert done.returncode != 0
    assert "http.total" in table and "place for the ledger" in table


def test_host_that_cannot_be_reached_comes_first_and_is_recorded(sandbox: Sandbox, tmp_path: Path) -> None:
    inventory = tmp_path / "gone.yml"
    inventory.write_text(GONE)
    done = play(sandbox, "-i", str(inventory), ops_state_dir=str(tmp_path))
    lines = done.stdout[done.stdout.rindex("CHECKS") :].splitlines()
    assert done.returncode != 0
    assert lines[2].split()[1:3] == ["gone", "host.reachable"]
    assert {event.subject for event in events(tmp_path / "ledger.db", "check.run")} == {"gone", "tutor-demo"}
    hosts = {
        envelope["host"]: envelope
        for envelope in json.loads((tmp_path / "reports/latest.json").read_text())["envelopes"]
    }
    assert hosts["gone"]["worst"] == 2
    assert hosts["tutor-demo"]["worst"] == 0


def test_state_of_one_run_reaches_the_next(sandbox: Sandbox) -> None:
    assert play(sandbox).returncode == 0
    with (sandbox.logs / "bilingual_tutor.log").open("a", encoding="utf-8") as log:
        log.write("2026-11-23 01:00:00,123 - web.app - ERROR - 学习记录保存失败: disk I/O error\n")
    done = play(sandbox)
    assert done.returncode != 0
    assert "log.new_fingerprints" in done.stdout
    found = {
        c["id"]: c["prev_status"] for e in latest(sandbox)["envelopes"] for c in e["checks"] if c["status"] in (1, 2)
    }
    assert found["log.new_fingerprints"] == 0
    assert play(sandbox).returncode == 0, "a line was reported twice"


def test_evening_removes_stale_files_and_only_those(sandbox: Sandbox) -> None:
    temp = sandbox.directory / "tmp"
    stale, fresh, link = temp / "bilingual_old.wav", temp / "bilingual_new.wav", temp / "bilingual_link"
    target = sandbox.directory / "precious"
    for path in (stale, fresh, target):
        path.write_text("x")
    link.symlink_to(target)
    old = target.stat().st_mtime - 9 * DAY
    os.utime(stale, (old, old))

    def evening(*words: str) -> set[str]:
        done = play(sandbox, *words, ops_shift="evening", daily_checks_temp_min_age="0s")
        assert done.returncode == 0, done.stdout
        return {path.name for path in temp.iterdir()}

    before = hashlib.sha256((sandbox.directory / "ledger.db").read_bytes()).hexdigest()
    assert stale.name in evening("--check", "--diff")
    assert hashlib.sha256((sandbox.directory / "ledger.db").read_bytes()).hexdigest() == before
    left = evening()
    assert stale.name not in left and link.name in left and target.exists()
    [event] = events(sandbox.directory / "ledger.db", "maintenance.temp_clean")
    assert stale.name in json.dumps(event.data)
    evening()
    assert len(events(sandbox.directory / "ledger.db", "maintenance.temp_clean")) == 1


def test_afternoon_renews_statistics_only_where_they_are_missing(sandbox: Sandbox) -> None:
    def statistics() -> int:
        with closing(sqlite3.connect(sandbox.database)) as connection:
            found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone()[0]
            return connection.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0] if found else 0

    def afternoon(*words: str, **variables: Any) -> None:
        # That the schema changed is a finding, as it should be.
        done = play(sandbox, *words, ops_shift="afternoon", ops_fail_on="critical", **variables)
        assert done.returncode == 0, done.stdout

    with closing(sqlite3.connect(sandbox.database)) as connection:
        connection.execute("CREATE TABLE planned (n INTEGER)")
        connection.execute("CREATE INDEX planned_n ON planned (n)")
        connection.execute("INSERT INTO planned VALUES (1)")
        connection.commit()
    before = statistics()
    afternoon(daily_checks_optimize=False)
    afternoon("--check")
    assert statistics() == before
    afternoon()
    assert statistics() > before
    [event] = events(sandbox.directory / "ledger.db", "maintenance.sqlite")
    assert "planned: no statistics of planned_n" in event.data["actions"]["optimize"]["lines"]
    afternoon()
    assert len(events(sandbox.directory / "ledger.db", "maintenance.sqlite")) == 1
    told = {c["id"]: c for e in latest(sandbox)["envelopes"] for c in e["checks"]}
    assert told["sqlite.statistics"]["value"] == 0
    assert (told["sqlite.version"]["status"], sqlite3.sqlite_version in told["sqlite.version"]["summary"]) == (0, True)
