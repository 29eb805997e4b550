# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks backup, backup_verification and restore against the sandbox: what they make, refuse and record."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import demo
import pytest
from sandbox import REPOSITORY, Sandbox

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import host

BIN = Path(sys.executable).parent
INVENTORY = REPOSITORY / "inventories/demo"
HOST = "tutor-demo"


def run(sandbox: Sandbox, *words: str | Path, locale: str = "en") -> subprocess.CompletedProcess[str]:
    """Run a command of Ansible as the demo would."""
    return subprocess.run(
        [BIN / words[0], *words[1:]],
        cwd=REPOSITORY,
        env=demo.run_environ(sandbox, locale),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=demo.PLAYBOOK_SECONDS,
        check=False,
    )


def play(
    sandbox: Sandbox, name: str, *words: str, locale: str = "en", **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run one of the playbooks with some extra words and variables."""
    given = json.dumps(variables)
    playbook = f"bilingual_tutor.ops.{name}"
    return run(sandbox, "ansible-playbook", playbook, "-i", INVENTORY, *words, "-e", given, locale=locale)


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stdout.split())


def tree(*folders: Path) -> dict[str, str]:
    """Return what is in some folders: links by target, files by hash."""
    return {
        str(path): str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def everything(sandbox: Sandbox) -> dict[str, str]:
    """Return what a run may have left: snapshots, reports, ledger."""
    found = tree(backups(sandbox), sandbox.directory / "reports")
    ledger = sandbox.directory / "ledger.db"
    return {**found, "ledger": hashlib.sha256(ledger.read_bytes()).hexdigest() if ledger.exists() else ""}


def backups(sandbox: Sandbox) -> Path:
    return sandbox.home / "backups"


def newest(sandbox: Sandbox) -> Path:
    return (backups(sandbox) / "learning_latest.db").resolve()


def events(sandbox: Sandbox, kind: str) -> list[dict[str, Any]]:
    return [event.data for event in Ledger(sandbox.directory / "ledger.db").query(kinds=[kind]).events]


def rows(path: Path) -> int:
    """Count with the real thing, read-only and without a trace."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(connection.execute("SELECT count(*) FROM vocabulary").fetchone()[0])


def test_check_run_run_check(sandbox: Sandbox) -> None:
    before = everything(sandbox)
    planned = play(sandbox, "backup", "--check", "--diff")
    assert planned.returncode == 0, planned.stdout
    assert re.search(r"changed: \[tutor-demo\]", planned.stdout), "check mode predicts no change"
    assert everything(sandbox) == before

    made = []
    for _turn in range(2):
        done = play(sandbox, "backup", tutor_backup_files=[str(sandbox.directory / "logrotate.conf")])
        assert done.returncode == 0, done.stdout
        made.append(newest(sandbox))
        manifest = json.loads(made[-1].with_name(made[-1].name + ".manifest.json").read_text(encoding="utf-8"))
        tool = subprocess.run(["sha256sum", made[-1]], capture_output=True, text=True, check=True)
        assert tool.stdout.split()[0] == manifest["sha256"]
        assert rows(made[-1]) == manifest["rows"]["vocabulary"] > 0
    assert made[0] != made[1], "the second backup made nothing"
    assert [data["snapshot"]["path"] for data in events(sandbox, "backup.run")] == [str(path) for path in made]
    assert [e["phase"] for e in events(sandbox, "check.run")] == ["backup", "backup"]

    before = everything(sandbox)
    assert play(sandbox, "backup", "--check").returncode == 0
    assert everything(sandbox) == before


@pytest.mark.parametrize("fail_on", ["warning", "never"])
def test_backup_that_cannot_be_made_fails_and_is_recorded(sandbox: Sandbox, fail_on: str) -> None:
    done = play(sandbox, "backup", tutor_backup_dir=str(sandbox.home / "nowhere"), ops_fail_on=fail_on)
    assert done.returncode != 0
    assert "nowhere" in said(done)
    record = events(sandbox, "check.run")[-1]
    assert (record["phase"], record["worst"]) == ("backup", 2)
    assert [check["item"] for check in record["checks"] if check["id"] == "action.completed"] == ["sqlite_backup"]
    assert events(sandbox, "backup.run")[-1]["failed"] is True


def test_next_shift_knows_what_the_last_one_knew(sandbox: Sandbox) -> None:
    skipped = sorted(host.AREA.rules)
    assert play(sandbox, "daily_checks", ops_shift="morning", tutor_host_skip=skipped).returncode == 0
    state = events(sandbox, "check.run")[-1]["state"]
    assert state["probes"]
    assert play(sandbox, "backup").returncode == 0
    assert play(sandbox, "backup_verification").returncode == 0
    last = events(sandbox, "check.run")[-1]
    assert (last["phase"], last["state"]) == ("verification", state)


def test_monitoring_goes_on_seeing_the_shift(sandbox: Sandbox) -> None:
    files = [sandbox.directory / "reports" / name for name in (f"nagios/{HOST}.txt", f"textfile/{HOST}.prom")]
    before = [path.read_bytes() for path in files]
    assert play(sandbox, "backup").returncode == 0
    assert [path.read_bytes() for path in files] == before
    # No series may be in two files of one directory.
    series = [
        line.rpartition(" ")[0]
        for path in (sandbox.directory / "reports/textfile").iterdir()
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert len(series) == len(set(series))


def test_verification_changes_nothing_and_finds_a_flipped_bit(sandbox: Sandbox) -> None:
    snapshots = tree(backups(sandbox))
    done = play(sandbox, "backup_verification", backup_verification_which="all")
    assert done.returncode == 0, done.stdout
    assert tree(backups(sandbox)) == snapshots
    verified = events(sandbox, "backup.verify")[-1]["results"]
    assert {Path(data["file"]).name for data in verified} == {
        path.name for path in backups(sandbox).glob("*.db") if not path.is_symlink()
    }

    path = newest(sandbox)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    try:
        done = play(sandbox, "backup_verification")
        assert done.returncode != 0
        assert "snapshot.sha256" in said(done)
        assert events(sandbox, "backup.verify")[-1]["ok"] is False
        chinese = (sandbox.directory / "reports/latest.zh.html").read_text(encoding="utf-8")
        assert "<h1>备份验证报告</h1>" in chinese and "未通过" in chinese
    finally:
        path.write_bytes(whole)
    assert play(sandbox, "backup_verification").returncode == 0


def test_a_question_that_is_answered_wrongly_fails(sandbox: Sandbox) -> None:
    question = {"name": "words", "sql": "SELECT count(*) FROM vocabulary", "min": 1000000}
    done = play(sandbox, "backup_verification", tutor_queries=[question])
    assert done.returncode != 0
    assert "snapshot.query" in said(done)


@pytest.mark.parametrize(
    ("locale", "variables", "expected"),
    [
        ("en", {}, "Nothing was changed"),
        ("zh", {}, "未做任何更改"),
        ("en", {"ops_confirm": "tutor_primary"}, "expected the name of the host"),
        ("en", {"ops_confirm": "all"}, "expected exactly one"),
        ("en", {"ops_confirm": "nobody"}, "'nobody' is no host"),
    ],
)
def test_restore_refuses_without_the_name(
    sandbox: Sandbox, tmp_path: Path, locale: str, variables: dict[str, str], expected: str
) -> None:
    options = {"ops_restore_snapshot": str(newest(sandbox)), "restore_path": str(tmp_path / "learning.db")}
    before = everything(sandbox)
    done = play(sandbox, "restore", locale=locale, **options, **variables)
    assert done.returncode != 0
    assert expected in said(done)
    assert list(tmp_path.iterdir()) == []
    assert everything(sandbox) == before


@pytest.mark.parametrize("folder", ["scratch", "a place"])
def test_restore_by_the_command_that_the_refusal_shows(sandbox: Sandbox, tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "learning.db"
    path.parent.mkdir()
    options = {"ops_restore_snapshot": str(newest(sandbox)), "restore_path": str(path)}
    planned = play(sandbox, "restore", "--check", **options)
    assert planned.returncode == 0, planned.stdout
    assert "put it in place" in said(planned) and "Findings: none" in said(planned), planned.stdout
    assert list(path.parent.iterdir()) == []

    refused = said(play(sandbox, "restore", **options))
    command = re.search(rf"ansible-playbook bilingual_tutor\.ops\.restore .*? -e ops_confirm={HOST}\b", refused)
    assert command, refused
    done = run(sandbox, *shlex.split(command[0]))
    assert done.returncode == 0, done.stdout
    assert rows(path) == rows(newest(sandbox))
    assert events(sandbox, "check.run")[-1]["phase"] == "restore"
    assert events(sandbox, "restore.run")[-1]["what"] == "sqlite_restore"

    again = run(sandbox, *shlex.split(command[0]))
    assert again.returncode == 0, again.stdout
    assert rows(path) == rows(newest(sandbox))


def test_restore_does_not_touch_what_is_served(sandbox: Sandbox) -> None:
    live = rows(sandbox.database) if not sandbox.database.with_name("learning.db-wal").exists() else None
    done = play(sandbox, "restore", ops_restore_snapshot=str(newest(sandbox)), ops_confirm=HOST)
    assert done.returncode != 0
    assert "expected it to be stopped" in said(done)
    assert sandbox.is_up()
    assert live is None or rows(sandbox.database) == live


def test_restore_of_a_bad_snapshot_ends_before_anything_is_replaced(sandbox: Sandbox, tmp_path: Path) -> None:
    bad = tmp_path / "bad.db"
    bad.write_bytes(newest(sandbox).read_bytes()[:-4096])
    path = tmp_path / "learning.db"
    done = play(
        sandbox, "restore", ops_restore_snapshot=str(bad), restore_path=str(path), ops_confirm=HOST, ops_fail_on="never"
    )
    assert done.returncode != 0
    assert not path.exists()


@pytest.mark.parametrize("name", ["backup", "backup_verification"])
def test_an_inventory_without_hosts_is_refused(sandbox: Sandbox, name: str) -> None:
    done = play(sandbox, name, ops_hosts="nobody")
    assert done.returncode != 0
    assert "No host in 'nobody'" in said(done)
