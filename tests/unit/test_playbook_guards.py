# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that would do nothing say so and fail; a restore that cannot be planned is recorded."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.filter.checks import ops_steps
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = f"""
[tutor_primary]
alpha
[tutor:children]
tutor_primary
[other]
beta
[all:vars]
ansible_connection=local
ansible_python_interpreter={sys.executable}
ops_usage_scope=personal_learning
"""


@pytest.fixture
def play(tmp_path):
    """Run a playbook of the collection over two hosts; return its exit status and what it printed."""
    (tmp_path / "inventory").write_text(INVENTORY)
    environ = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environ["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / ".tree")
    program = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(tmp_path / "inventory")]
    program += ["-e", f"ops_state_dir={tmp_path}/state"]

    def run(name, *words):
        command = [*program, f"bilingual_tutor.ops.{name}", *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("name", ["backup", "backup_verification", "daily_checks", "weekly_maintenance"])
def test_a_limit_that_leaves_nobody_is_no_success(play, name):
    status, text = play(name, "--limit", "beta")
    assert status == 2
    assert "with --limit beta" in text and "中没有主机（--limit beta）" in text


@pytest.mark.parametrize(
    ("groups", "words", "seen"),
    [
        ("", [], "alpha"),
        ("[tutor_standby]\nalpha\n", [], "alpha"),
        ("[tutor_standby]\nbeta\n[tutor_witness]\ngamma\n", ["--limit", "alpha,beta"], "--limit alpha,beta"),
        ("[tutor_standby]\nbeta\n", ["-e", "fencing_state=absent"], "alpha, beta"),
    ],
)
def test_a_standby_needs_all_hosts_of_the_site(play, tmp_path, groups, words, seen):
    with (tmp_path / "inventory").open("a") as inventory:
        inventory.write(groups)
    status, text = play("standby", *words)
    told = " ".join(text.split())
    assert status == 2 and "Learn who serves" not in text
    assert "Expected one host in tutor_primary, another one in tutor_standby" in told and "应各有一台不同的主机" in text
    assert seen in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-e", "ops_confirm=alpha", "--limit", "beta"], "'alpha' is alpha (--limit beta): expected exactly one"),
        (["-e", "ops_confirm=alpha,beta"], "is alpha, beta: expected exactly one"),
        (["-e", "ops_confirm=gamma"], "「gamma」对应的主机：无"),
    ],
)
def test_a_restore_is_for_one_host_that_is_there(play, words, said):
    status, text = play("restore", "-e", "ops_restore_snapshot=/nowhere/a.db", *words)
    assert status == 2
    assert said in text and "Plan the restore" not in text


def test_a_salvage_needs_both_hosts(play):
    status, text = play("salvage", "-e", "salvage_confirm=alpha")
    assert status == 2
    assert "Expected one in tutor_primary and one in" in text and "组中应各有一台" in text and "Write down" not in text


def test_a_restore_asks_for_the_snapshot(play):
    status, text = play("restore", "-e", "ops_confirm=alpha")
    assert status == 2
    assert "请指定快照" in text and "argument_spec_data" not in text


@pytest.mark.parametrize(
    ("way", "found", "said"),
    [
        ({}, "action.completed", "gone.db does not exist"),
        ({"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}, "host.reachable", "refused"),
    ],
)
def test_a_restore_that_cannot_be_planned_is_recorded(play, tmp_path, way, found, said):
    where = {"ops_restore_snapshot": str(tmp_path / "gone.db"), "restore_path": str(tmp_path / "scratch.db")}
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "alpha.json").write_text(json.dumps(way))
    status, text = play("restore", "-e", json.dumps(where))
    assert status == 2
    assert found in text.rpartition("PLAY RECAP")[2] and "Finalization of task args" not in text
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as ledger:
        rows = ledger.execute("SELECT kind, subject, data FROM events ORDER BY kind").fetchall()
    assert [(kind, subject) for kind, subject, _data in rows] == [("check.run", "alpha"), ("restore.run", "alpha")]
    assert said in rows[1][2]
    assert json.loads(rows[0][2])["phase"] == "restore"


@pytest.mark.parametrize(("locale", "said"), [("en", "may be replaced yet"), ("zh", "数据库仍可能被替换")])
def test_a_restore_that_meets_itself_does_not_say_that_nothing_was_replaced(tmp_path, locale, said):
    # What a module says that Ansible started again after a broken connection, while the first one is at work.
    with locked(str(tmp_path), "a restore"), pytest.raises(OpsError) as met, locked(str(tmp_path), "a restore"):
        pass
    tell = {"ansible.builtin.debug": {"msg": f"{{{{ __restore_failed.{locale} }}}}"}}
    known = {"__restore_done": {"failed": True, "msg": str(met.value), "undone": False, "previous_path": ""}}
    files = [str(ROOT / "roles" / "restore" / "vars" / "main.yml")]
    (tmp_path / "play.yml").write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "vars_files": files, "vars": known, "tasks": [tell]}])
    )
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, "-i", "localhost,", str(tmp_path / "play.yml")],
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert said in " ".join(done.stdout.split()), done.stdout + done.stderr
    assert "nothing had been replaced" not in done.stdout and "数据库未被替换" not in done.stdout


def test_steps_in_words():
    steps = [{"step": "stop", "seconds": 0.1}, {"step": "fly"}]
    assert ops_steps(steps, "zh") == ["停止服务", "fly"]
    assert ops_steps(steps) == ["stop the service", "fly"]


@pytest.mark.parametrize("name", ["backup", "backup_verification", "dr_drill"])
def test_a_site_without_a_standby_is_not_warned_that_it_has_none(play, name):
    status, text = play(name, "--list-hosts")
    assert status == 0 and "alpha" in text
    assert "Could not match supplied host pattern" not in text
