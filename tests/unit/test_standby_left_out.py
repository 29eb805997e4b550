# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the host that serves does is left out on its standby, and goes to whoever serves, whatever the groups say."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.bilingual_tutor.ops.plugins.filter.checks import ops_events, ops_served
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import describe, write_manifest

ROOT = Path(__file__).resolve().parents[2]
OLD = "2026-01-05T02:00:00Z"


class Host:
    """A host with a database of its own, and what the role fencing and a switchover leave there."""

    def __init__(self, top: Path, name: str) -> None:
        self.name, self.top = name, top / name
        self.backups, self.database, self.config = (
            self.top / one for one in ("backups", "learning.db", "fencing.json")
        )
        self.backups.mkdir(parents=True)
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE vocabulary (word TEXT)")
            connection.execute("INSERT INTO vocabulary VALUES (?)", (name,))

    def switched(self, primary: str, fenced: bool) -> Host:
        """Lay out failover, in an epoch of ``primary``."""
        state = self.top / "state"
        state.mkdir()
        told = {"host": self.name, "state_dir": str(state), "run_dir": str(self.top / "run")}
        self.config.write_text(json.dumps(told))
        (state / "epoch.json").write_text(json.dumps({"epoch": 2, "primary": primary, "since": OLD}))
        if fenced:
            (state / "FENCED").write_text(json.dumps({"epoch": 2}))
        return self

    def old_snapshot(self) -> Path:
        """Leave a snapshot of long ago, with the pointer to it."""
        path = self.backups / "learning_20260105T020000Z.db"
        path.write_bytes(self.database.read_bytes())
        write_manifest(path, describe(path, path, str(self.database), OLD))
        (self.backups / "learning_latest.db").symlink_to(path.name)
        return path

    @property
    def snapshots(self) -> list[str]:
        return sorted(path.name for path in self.backups.glob("learning_2*.db"))

    @property
    def content(self) -> tuple[bytes, list[str]]:
        return self.database.read_bytes(), sorted(str(path) for path in self.top.rglob("*"))


# How a host is left: whether failover is laid out, whose epoch it is, whether it is fenced; and whether that is a standby.
STATES = {
    "no fencing": (None, False),
    "serves": (("tutor1", False), False),
    "fenced in its own epoch": (("tutor1", True), False),
    "another's epoch, not fenced": (("tutor2", False), False),
    "standby": (("tutor2", True), True),
}


@pytest.fixture(params=STATES)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Host, bool]:
    laid_out, standby = STATES[request.param]
    made = Host(tmp_path, "tutor1")
    return (made.switched(*laid_out) if laid_out else made), standby


@pytest.fixture
def standby(tmp_path: Path) -> Host:
    return Host(tmp_path, "tutor1").switched("tutor2", True)


Run = Callable[..., dict[str, Any]]


def only(result: dict[str, Any]) -> Check:
    [check] = result["checks"]
    return Check.from_dict(check)


def test_a_standby_takes_no_snapshot(run_module: Run, host: tuple[Host, bool], returns_as_documented: Any) -> None:
    ours, left_out = host
    before = ours.content
    options = {"path": str(ours.database), "dest": str(ours.backups), "config": str(ours.config)}
    result = run_module("sqlite_backup", **options)
    returns_as_documented("sqlite_backup", result)
    assert (result["changed"], bool(ours.snapshots), result["standby_of"]) == (
        (False, False, "tutor2") if left_out else (True, True, "")
    )
    if left_out:
        assert (only(result).id, only(result).status.name) == ("backup.standby", "SKIPPED")
        assert "tutor2 serves" in only(result).summary and "serving: false" in only(result).summary
        assert not run_module("sqlite_backup", **options, _ansible_check_mode=True)["changed"]
        assert ours.content == before
        assert run_module("sqlite_backup", **options, serving=False)["changed"] and ours.snapshots


def test_a_standby_is_not_maintained(run_module: Run, host: tuple[Host, bool], returns_as_documented: Any) -> None:
    ours, left_out = host
    before = ours.content
    options = {"path": str(ours.database), "actions": ["integrity_check", "analyze"], "config": str(ours.config)}
    result = run_module("sqlite_maintenance", **options)
    returns_as_documented("sqlite_maintenance", result)
    assert (result["standby_of"], sorted(result["actions"])) == (
        ("tutor2", []) if left_out else ("", ["analyze", "integrity_check"])
    )
    if left_out:
        assert (only(result).id, only(result).status.name) == ("maintenance.standby", "SKIPPED")
        assert ours.content == before and not result["changed"]
        assert run_module("sqlite_maintenance", **options, serving=False)["changed"]


def test_snapshots_on_a_standby_are_proved_but_not_for_their_age(
    run_module: Run, host: tuple[Host, bool], returns_as_documented: Any
) -> None:
    ours, left_out = host
    snapshot = ours.old_snapshot()
    options = {
        "path": str(ours.backups / "learning_latest.db"), "schema_of": str(ours.database), "config": str(ours.config),
    }  # fmt: skip
    if left_out:  # shut, and in the end not even there
        ours.database.unlink()
    result = run_module("sqlite_backup_verify", **options)
    returns_as_documented("sqlite_backup_verify", result)
    found = {check["id"]: Check.from_dict(check) for check in result["checks"]}
    age = found["snapshot.age"]
    assert (result["ok"], result["standby_of"], age.status.name) == (
        (True, "tutor2", "SKIPPED") if left_out else (False, "", "CRITICAL")
    )
    if left_out:
        assert "tutor2 serves" in age.summary
        forced = run_module("sqlite_backup_verify", **options, serving=False)["checks"]
        assert {"snapshot.age", "snapshot.schema"} <= {one["id"] for one in forced if Check.from_dict(one).status > 0}
    # Damage is damage wherever it lies.
    with snapshot.open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"broken")
    assert not run_module("sqlite_backup_verify", **options)["ok"]


def test_a_standby_that_never_served_has_no_snapshot_to_miss(run_module: Run, host: tuple[Host, bool]) -> None:
    ours, left_out = host
    pointer = ours.backups / "learning_latest.db"
    options = {"path": str(pointer), "config": str(ours.config)}
    assert only(run_module("sqlite_backup_verify", **options)).status.name == ("SKIPPED" if left_out else "CRITICAL")
    pointer.symlink_to("learning_gone.db")
    assert only(run_module("sqlite_backup_verify", **options)).status.name == "CRITICAL"


def test_a_restore_refuses_a_standby(run_module: Run, host: tuple[Host, bool]) -> None:
    ours, left_out = host
    snapshot = ours.old_snapshot()
    with closing(sqlite3.connect(ours.database, isolation_level=None)) as connection:
        connection.execute("INSERT INTO vocabulary VALUES ('later')")
    before = ours.content
    options = {"snapshot": str(snapshot), "config": str(ours.config), "host": "tutor1", "confirm": "tutor1"}
    result = run_module("sqlite_restore", path=str(ours.database), **options)
    assert bool(result.get("failed")) is left_out, result
    if left_out:
        assert ours.content == before
        assert "tutor2 serves" in result["msg"] and "-e ops_confirm=tutor2" in result["msg"]
        assert "serving: false" in result["msg"] and result["steps"] == []
        planned = run_module("sqlite_restore", path=str(ours.database), **options, _ansible_check_mode=True)
        assert planned["failed"]
        scratch = run_module("sqlite_restore", path=str(ours.top / "scratch.db"), **options)
        assert scratch["changed"] and (ours.top / "scratch.db").exists()
        assert run_module("sqlite_restore", path=str(ours.database), **options, serving=False)["changed"]


def test_what_is_left_out_is_no_backup_in_the_ledger() -> None:
    """Who asks for the last backup, such as a drill that may begin, would take it for a good one."""
    steps = [{"register": "made", "what": "sqlite_backup", "kind": "backup.run"}]
    run = {"id": "r1", "phase": "backup", "part": "", "started": OLD}
    left, done = (
        {"changed": False, "standby_of": "tutor2", "checks": []},
        {"changed": True, "standby_of": "", "checks": []},
    )
    hosts = {"tutor1": {"made": left}, "tutor2": {"made": done}, "tutor3": {"made": {"skipped": True}}}
    kinds = [(event["kind"], event["subject"]) for event in ops_events(hosts, run, steps)]
    assert kinds == [("check.run", "tutor1"), ("check.run", "tutor2"), ("backup.run", "tutor2")]
    assert ops_served(hosts, steps) == {"by": ["tutor2"], "serves": ["tutor2"]}
    assert ops_served({"tutor1": {"made": left}, "tutor3": {}}, steps) == {"by": [], "serves": ["tutor2"]}
    failed = {"made": {"failed": True, "msg": "disk full"}}
    assert ops_served({"tutor1": failed}, steps) == {"by": ["tutor1"], "serves": []}
    looped = {"made": {"results": [{**left, "item": 1}, {**left, "item": 2}]}}
    assert ops_served({"tutor1": looped}, steps) == {"by": [], "serves": ["tutor2"]}


INVENTORY = """
[tutor_primary]
tutor1
{standby}
[tutor:children]
tutor_primary
{children}
[all:vars]
ansible_connection=local
ansible_python_interpreter={python}
ops_usage_scope=personal_learning
"""
GONE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}


class Site:
    """Two hosts on this machine, each with its own files, and the playbooks over them."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.one, self.two = Host(top, "tutor1"), Host(top, "tutor2")

    def play(self, name: str, *words: str, groups: bool = True, gone: str = "", **more: Any) -> tuple[int, str]:
        standby, children = ("[tutor_standby]\ntutor2", "tutor_standby") if groups else ("", "")
        inventory = INVENTORY.format(standby=standby, children=children, python=sys.executable)
        (self.top / "inventory").write_text(inventory)
        (self.top / "host_vars").mkdir(exist_ok=True)
        (self.top / "host_vars" / "tutor2.json").write_text(json.dumps(GONE if gone else {}))
        given = {
            "ops_state_dir": f"{self.top}/ledger", "tutor_service": "", "tutor_database_floors": {},
            "__ops_fencing_config": f"{self.top}/{{{{ inventory_hostname }}}}/fencing.json",
            "tutor_root": f"{self.top}/{{{{ inventory_hostname }}}}", "tutor_database": "{{ tutor_root }}/learning.db", **more,
        }  # fmt: skip
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.top / "inventory")]
        command += ["-e", json.dumps(given), f"bilingual_tutor.ops.{name}", *words]
        environ = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environ["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / ".tree")
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=110, check=False)
        print(done.stdout, done.stderr)
        assert "Could not match supplied host pattern" not in done.stdout + done.stderr
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    @property
    def events(self) -> list[tuple[str, str]]:
        found = Ledger(self.top / "ledger" / "ledger.db").query().events
        return sorted((event.kind, event.subject) for event in found)

    def statuses(self, host: str) -> dict[str, str]:
        found = Ledger(self.top / "ledger" / "ledger.db").query(kinds=["check.run"]).events
        checks = next(event.data["checks"] for event in found if event.subject == host)
        return {check["id"]: Check.from_dict(check).status.name for check in checks}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("groups", "gone"), [(False, ""), (True, ""), (True, "tutor2")])
def test_where_failover_is_not_laid_out_the_primary_is_backed_up_and_nobody_else(
    site: Site, groups: bool, gone: str
) -> None:
    status, text = site.play("backup", groups=groups, gone=gone)
    assert status == 0
    assert (len(site.one.snapshots), site.two.snapshots) == (1, [])
    assert site.events == [("backup.run", "tutor1"), ("check.run", "tutor1")]
    assert "host.reachable" not in text
    assert set(site.statuses("tutor1").values()) <= {"OK", "SKIPPED"}


@pytest.mark.timeout(240)
def test_after_a_switchover_the_new_primary_is_backed_up(site: Site) -> None:
    site.one.switched("tutor2", True)
    site.two.switched("tutor2", False)
    before = site.one.content
    place = {"name": "far", "engine": "rsync", "destination": f"{site.top}/{{{{ inventory_hostname }}}}"}
    far = [place] if shutil.which("rsync") else []
    status, text = site.play("backup", ops_fail_on="unknown", backup_offsite=far)
    assert status == 0 and site.one.content == before and len(site.two.snapshots) == 1
    seen = [event for event in site.events if event != ("backup.offsite", "tutor2")]
    assert seen == [("backup.run", "tutor2"), ("check.run", "tutor1"), ("check.run", "tutor2")]
    assert site.statuses("tutor1") == {"backup.standby": "SKIPPED"}
    status, text = site.play("backup_verification")
    assert status == 0
    assert site.events.count(("backup.verify", "tutor2")) == 1 and ("backup.verify", "tutor1") not in site.events


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("name", "words", "more", "serves"),
    [
        ("backup", [], {"groups": False}, True),  # the host that serves is not in the inventory
        ("backup", ["--limit", "tutor1"], {}, True),
        ("backup", [], {"gone": "tutor2"}, True),
        ("backup", ["--limit", "tutor2"], {}, False),  # failover is not laid out there
        ("backup_verification", [], {"gone": "tutor2"}, True),
    ],
)
def test_a_run_in_which_nobody_serves_is_no_success(
    site: Site, name: str, words: list[str], more: dict[str, Any], serves: bool
) -> None:
    site.one.switched("tutor2", True).old_snapshot()
    status, text = site.play(name, *words, **more, ops_fail_on="never")
    assert status == 2 and len(site.one.snapshots) == 1 and not site.two.snapshots
    assert "Nothing was done: no host of this run" in text
    assert ("-e ops_hosts=tutor2" if serves else "-e ops_hosts=HOST") in text
    assert site.statuses("tutor1" if serves else "tutor2")["action.completed"] == "CRITICAL"
    assert not {"backup.run", "backup.verify"} & {kind for kind, _host in site.events}


@pytest.mark.timeout(240)
def test_a_named_host_is_backed_up_as_before(site: Site) -> None:
    status, text = site.play("backup", ops_hosts="tutor2", ops_locale="zh")
    assert status == 0 and len(site.two.snapshots) == 1, text
    site.one.switched("tutor2", True)
    status, text = site.play("backup", ops_hosts="tutor1", ops_locale="zh")
    assert status == 2 and "未执行任何操作" in text and "备机显示由 tutor2 提供服务" in text
    assert site.play("backup", ops_hosts="tutor1", ops_serving=False)[0] == 0 and len(site.one.snapshots) == 1


@pytest.mark.timeout(240)
def test_a_restore_of_the_old_primary_names_the_new_one(site: Site) -> None:
    snapshot = site.one.switched("tutor2", True).old_snapshot()
    status, text = site.play("restore", ops_restore_snapshot=str(snapshot))
    assert status == 2 and "tutor2 serves, and this host is fenced as its standby" in text
    assert site.statuses("tutor1") == {"action.completed": "CRITICAL"}


@pytest.mark.timeout(240)
def test_on_thursday_the_database_that_serves_is_maintained(site: Site) -> None:
    site.one.switched("tutor2", True)
    site.two.switched("tutor2", False)
    before = site.one.database.read_bytes()
    _status, text = site.play(
        "weekly_maintenance", ops_day="thu", weekly_maintenance_actions=["integrity_check", "analyze"]
    )
    assert ("maintenance.sqlite", "tutor2") in site.events and ("maintenance.sqlite", "tutor1") not in site.events
    assert site.one.database.read_bytes() == before
    standby = site.statuses("tutor1")
    assert standby["maintenance.standby"] == standby["snapshot.file"] == "SKIPPED"
    assert site.statuses("tutor2")["maintenance.integrity"] == "OK" and "action.completed" not in site.statuses(
        "tutor2"
    )


@pytest.mark.timeout(240)
def test_on_thursday_a_standby_alone_is_no_success_and_one_without_failover_is_left_alone(site: Site) -> None:
    status, _text = site.play("weekly_maintenance", "--limit", "tutor2", ops_day="thu", ops_fail_on="never")
    assert status == 0 and "maintenance.standby" not in site.statuses("tutor2")
    site.one.switched("tutor2", True)
    status, text = site.play("weekly_maintenance", "--limit", "tutor1", ops_day="thu", ops_fail_on="never")
    assert status == 2 and "Nothing was done: no host of this run" in text


def test_on_a_standby_no_shift_and_no_weekday_asks_for_what_is_only_where_the_application_serves() -> None:
    """A new backup above all: the playbook leaves a standby out, so that its newest one grows old."""
    wanted = {
        "daily_checks": {"services", "ports", "health", "response", "access", "database", "backup"},
        "weekly_maintenance": {"requests", "ports", "maintained", "backup"},
    }
    for role, names in wanted.items():
        told = yaml.safe_load((ROOT / "roles" / role / "vars" / "main.yml").read_text(encoding="utf-8"))
        probes = [one for key, one in told.items() if "_probe_" in key]
        assert {one["name"] for one in probes if one.get("serving")} == names, role
