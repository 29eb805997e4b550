# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook on this machine as its one host, with a live application beside which it drills."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bad_backups import emptied, fill, make_snapshot
from rehearsals import PYTHON, Site

ROOT = Path(__file__).resolve().parents[3]
Play = Callable[..., tuple[int, str, list[dict[str, Any]]]]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A live application with a backup."""
    made = Site(tmp_path)
    fill(made.live)
    snapshot = make_snapshot(made.live, tmp_path / "backups")
    (tmp_path / "backups" / "learning_latest.db").symlink_to(snapshot.name)
    made.port = free_port()
    environ = {**os.environ, "DB_PATH": str(made.live), "LOG": str(made.logs / "app.log"), "PORT": str(made.port)}
    process = subprocess.Popen([sys.executable, str(made.live.parent / "code.py")], env=environ)
    (tmp_path / "pid").write_text(f"{process.pid}\n")
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", made.port), 1).close()
            break
        except OSError:
            assert time.monotonic() < end, "the live application did not start"
            time.sleep(0.05)
    yield made
    process.kill()
    process.wait()


@pytest.fixture
def play(site: Site, tmp_path: Path) -> Play:
    """Run the playbook; return its exit status, what it printed, and the records of drills."""
    settings = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ops_usage_scope": "personal_learning",
        "ops_locale": "en",
        "ops_state_dir": str(tmp_path / "state"),
        "tutor_service_manager": "none",
        "tutor_service": "app",
        "tutor_pidfiles": {"app": str(tmp_path / "pid")},
        "tutor_url": f"http://127.0.0.1:{site.port}",
        "tutor_database": str(site.live),
        "tutor_logs_dir": str(site.logs),
        "tutor_backup_dir": str(tmp_path / "backups"),
        "dr_drill_scratch": str(site.scratch),
        "dr_drill_command": [PYTHON, str(site.live.parent / "code.py")],
        "dr_drill_environment": {"DB_PATH": str(site.live), "LOG": str(site.logs / "app.log")},
        "ops_contacts": {
            "people": [{"name": "Li Wei", "role": role, "phone": "+86-571-5550-0001"} for role in ("a", "b")],
            "channels": {"duty": "+86-571-5550-0000"},
        },
        "dr_drill_contact_roles": ["a", "b"],
    }
    groups = {"tutor_primary": {"hosts": {"alpha": {}}}, "other": {"hosts": {"beta": {}}}}
    inventory = {"all": {"children": {"tutor": {"children": {"tutor_primary": {}}}, **groups}, "vars": settings}}
    (tmp_path / "hosts.yml").write_text(json.dumps(inventory))
    environ = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environ["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / ".tree")
    program = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(tmp_path / "hosts.yml")]

    def run(*words: str, **variables: Any) -> tuple[int, str, list[dict[str, Any]]]:
        command = [*program, "bilingual_tutor.ops.dr_drill", "-e", json.dumps(variables), *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
        print(done.stdout + done.stderr)
        ledger = tmp_path / "state" / "ledger.db"
        if not ledger.exists():
            return done.returncode, done.stdout + done.stderr, []
        with closing(sqlite3.connect(ledger)) as connection:
            rows = connection.execute("SELECT data FROM events WHERE kind = 'drill.run' ORDER BY seq").fetchall()
        return done.returncode, done.stdout + done.stderr, [json.loads(row[0]) for row in rows]

    return run


def test_one_host_without_a_standby(play: Play, site: Site) -> None:
    status, _text, records = play()
    assert status == 0 and [one["verdict"] for one in records] == ["passed"], records
    assert [one["source"] for one in records[0]["restores"]] == ["snapshot"] and records[0]["restores"][0]["rto_s"] > 0
    # Nobody said where the page is, which runbook, and how to page: findings, and no reason to fail.
    assert {one["check"]["id"] for one in records[0]["findings"]} == {
        "drill.maintenance",
        "drill.runbook",
        "drill.notified",
    }
    emptied(next((site.directory / "backups").glob("learning_2*.db")))
    status, text, records = play()
    assert status == 2 and [one["verdict"] for one in records] == ["passed", "failed"]
    assert "drill.verdict" in text.rpartition("PLAY RECAP")[2] and not site.left()


def test_check_mode_changes_and_records_nothing(play: Play, site: Site) -> None:
    status, text, records = play("--check")
    assert status == 0, text
    assert not records and not site.scratch.exists()


def test_a_system_that_is_not_well_is_not_drilled(play: Play, site: Site) -> None:
    status, _text, records = play(tutor_health_url=f"http://127.0.0.1:{site.port}/nothing")
    assert status == 2 and records[0]["verdict"] == "inconclusive"
    assert "drill.steady" in {one["id"] for one in records[0]["reasons"]} and not site.scratch.exists()


def test_a_freeze_and_a_limit_are_refused(play: Play, site: Site) -> None:
    status, text, records = play(ops_change_freeze="exams")
    assert status == 2 and "Changes are frozen: exams" in text and not records and not site.scratch.exists()
    status, text, records = play("--limit", "beta")
    assert status == 2 and "（--limit beta）" in text and not records
