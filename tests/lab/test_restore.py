# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore on a real host: over a stale -wal of a killed application, and undone when what was restored does not serve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab
import pytest
from faults import APP, DATABASE, HOME, http_code, prove, sh, wait_healthy
from runs import ansible

HOST = "tutor1"
NETS = range(30, 40)
BACKUPS = f"{HOME}/backups"
HEALTH = "http://127.0.0.1:5000/health"
PLAY_SECONDS = 180.0
pytestmark = pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not() or "a lab can be had")


class Bench:
    """One host, and a way to run one module on it."""

    def __init__(self, directory: Path, ours: lab.Lab) -> None:
        self.directory, self.host = directory, ours.host(HOST)
        self.snapshot_rows: dict[str, str] = {}
        (directory / "hosts.yml").write_text(ours.inventory([HOST]))

    def run(self, module: str, *words: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Run one task through Ansible; return the exit status of the play and the result of the module."""
        result = self.directory / "result.json"
        result.unlink(missing_ok=True)
        keep = {"content": "{{ done | to_json }}", "dest": str(result)}
        block = [{f"bilingual_tutor.ops.{module}": options, "register": "done"}]
        always = [{"ansible.builtin.copy": keep, "delegate_to": "localhost", "check_mode": False, "diff": False}]
        play = [{"hosts": HOST, "gather_facts": False, "tasks": [{"block": block, "always": always}]}]
        (self.directory / "play.json").write_text(json.dumps(play))
        done = ansible(self.directory, str(self.directory / "play.json"), *words, seconds=PLAY_SECONDS)
        print(done.stdout + done.stderr)
        return done.returncode, json.loads(result.read_text())

    def restore(self, *words: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """Restore what the pointer names; print the journal of the service, for a test that fails."""
        spec = {
            "snapshot": f"{BACKUPS}/learning_latest.db",
            "path": DATABASE,
            "service": APP,
            "health_url": HEALTH,
            "host": "{{ inventory_hostname }}",
            "confirm": HOST,
            "floors": {"vocabulary": 1},
        }
        answer = self.run("sqlite_restore", *words, **{**spec, **more})
        print(self.host.run("journalctl", "-q", "-n", "40", "-u", APP, check=False).stdout)
        return answer

    def sql(self, query: str, path: str = DATABASE) -> str:
        """Ask a database as its owner, by the sqlite3 command."""
        return sh(self.host, f"sudo -u bilingual-tutor sqlite3 '{path}' \"{query}\"")

    def rows(self, path: str = DATABASE) -> dict[str, str]:
        """Return a digest of the rows of each table, those of sessions left out: the application makes them."""
        names = self.sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", path
        ).split()
        return {
            name: sh(
                self.host, f"sudo -u bilingual-tutor sqlite3 '{path}' 'SELECT * FROM {name} ORDER BY 1' | sha256sum"
            )
            for name in names
            if name != "sessions"
        }

    def learn(self, word: str) -> None:
        """Write a word that stays in the -wal."""
        self.sql(
            "PRAGMA wal_autocheckpoint = 0; INSERT INTO vocabulary (word, meaning, language, level)"
            f" VALUES ('{word}', '词', 'english', 'CET-4')"
        )

    def words(self, path: str = DATABASE) -> list[str]:
        return self.sql("SELECT word FROM vocabulary WHERE meaning = '词' ORDER BY id", path).split()

    def users(self) -> str:
        """Return by inode what the application's processes have open of its database."""
        script = f"main=$(systemctl show -P MainPID {APP}); for pid in $main $(pgrep -P $main); do ls -lL /proc/$pid/fd; done"
        inode = sh(self.host, f"stat -c %i {DATABASE}")
        found = sh(
            self.host,
            f"{script} >/dev/null; find /proc/[0-9]*/fd -lname '{DATABASE}' -printf '%p\\n' 2>/dev/null; true",
        )
        assert found, "nobody has the database open"
        seen = sh(self.host, "stat -Lc %i " + " ".join(found.split()))
        assert set(seen.split()) == {inode}, "a process has another file of that name open"
        return inode


@pytest.fixture(scope="module")
def lab_of_ours() -> Iterator[lab.Lab]:
    with lab.Lab.reserved(NETS) as ours:
        yield ours


@pytest.fixture
def bench(lab_of_ours: lab.Lab, tmp_path: Path) -> Bench:
    """A fresh host with a snapshot made by sqlite_backup, and a word learned after it."""
    lab_of_ours.up([HOST], fresh=True)
    made = Bench(tmp_path, lab_of_ours)
    wait_healthy(made.host)
    status, done = made.run("sqlite_backup", path=DATABASE, service=APP, dest=BACKUPS)
    assert status == 0 and done["snapshot"]["path"].startswith(BACKUPS)
    made.snapshot_rows = made.rows(copied(made, done["snapshot"]["path"]))
    made.learn("later")
    return made


def copied(bench: Bench, path: str) -> str:
    """Return a copy of a snapshot that the application's user may open."""
    sh(bench.host, f"install -o bilingual-tutor -m 600 {path} /var/tmp/copy.db")
    return "/var/tmp/copy.db"


def test_over_the_stale_wal_of_a_killed_application(bench: Bench) -> None:
    """Rows are exactly the snapshot's, the application serves them, and the four runs tell the truth."""
    before = sh(bench.host, f"ls -li {HOME}/bilingual_tutor/storage {BACKUPS}")
    status, planned = bench.restore("--check", "--diff")
    assert (
        status == 0
        and planned["changed"]
        and planned["rows"]["vocabulary"]["before"] - 1 == planned["rows"]["vocabulary"]["after"]
    )
    assert sh(bench.host, f"ls -li {HOME}/bilingual_tutor/storage {BACKUPS}").split("\n")[1:] == before.split("\n")[1:]
    sh(bench.host, f"systemctl kill --kill-who=all -s KILL {APP}")
    prove(bench.host, f"test -s {DATABASE}-wal && echo stale", "stale")
    status, done = bench.restore()
    assert status == 0 and done["changed"] and not done["undone"]
    wait_healthy(bench.host)
    bench.users()
    assert bench.rows() == bench.snapshot_rows and bench.words() == []
    assert bench.words(done["previous_path"]) == ["later"]
    owners = sh(bench.host, f"stat -c '%U %G' {DATABASE}* | sort -u")
    assert owners == "bilingual-tutor bilingual-tutor"
    for words in ((), ("--check",)):
        status, again = bench.restore(*words)
        assert status == 0 and not again["changed"]


def test_what_does_not_serve_is_undone_and_the_play_fails(bench: Bench) -> None:
    """The service does not start while the former database lies aside."""
    drop_in = f"/etc/systemd/system/{APP}.d/fault.conf"
    test = f"ExecStartPre=/bin/sh -c '! ls {DATABASE}.before-restore-*'"
    sh(
        bench.host,
        f'mkdir -p $(dirname {drop_in}); printf "[Service]\\n%s\\n" "{test}" > {drop_in}; systemctl daemon-reload',
    )
    sh(bench.host, f"systemctl kill --kill-who=all -s KILL {APP}")
    status, failed = bench.restore(settle=10)
    assert status == 2 and failed["failed"] and failed["undone"] and "serves it" in failed["msg"]
    wait_healthy(bench.host)
    prove(bench.host, http_code("/health"), "200")
    bench.users()
    assert bench.words() == ["later"]
    assert (
        sh(bench.host, f"ls -A {HOME}/bilingual_tutor/storage | grep -e before-restore -e partial -e json || echo none")
        == "none"
    )
    told = {check["id"]: check["status"] for check in failed["checks"] if check["id"].startswith("restore.")}
    assert told["restore.served"] == told["restore.undone"] == 2
    sh(bench.host, f"rm {drop_in}; systemctl daemon-reload")
    status, done = bench.restore()
    assert status == 0 and bench.words() == [] and done["changed"]


def test_a_health_page_that_fails_is_undone(bench: Bench) -> None:
    sh(bench.host, "echo http_500 > /run/bilingual-tutor/fault")
    status, failed = bench.restore(settle=5)
    assert status == 2 and failed["undone"] and "status 500" in failed["msg"]
    sh(bench.host, "rm /run/bilingual-tutor/fault")
    wait_healthy(bench.host)
    assert bench.words() == ["later"]


def test_another_process_has_it_open(bench: Bench) -> None:
    """It is named, and the service, which was stopped to find out, serves again."""
    sh(
        bench.host,
        f"systemd-run -q --unit=shell --uid=bilingual-tutor sqlite3 {DATABASE} -cmd 'SELECT count(*) FROM users' '.shell sleep 600'",
    )
    prove(
        bench.host,
        f"find /proc/[0-9]*/fd -lname '{DATABASE}' -printf '%p\\n' | cut -d/ -f3 | xargs -n1 -I% cat /proc/%/comm | grep -c sqlite3",
        "1",
    )
    status, failed = bench.restore()
    assert status == 2 and "(sqlite3)" in failed["msg"] and not failed["undone"]
    wait_healthy(bench.host)
    assert bench.words() == ["later"]


def test_a_service_that_has_to_be_killed(bench: Bench) -> None:
    """A worker that is stopped by a signal ignores SIGTERM; systemd kills it after TimeoutStopSec."""
    sh(bench.host, f"systemctl kill --kill-who=all -s STOP {APP}")
    status, done = bench.restore()
    assert status == 0 and done["changed"] and bench.words() == []
    wait_healthy(bench.host)
