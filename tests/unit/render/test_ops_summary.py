# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback in real runs of ansible-playbook, and what it costs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.executor.stats import AggregateStats
from ansible.inventory.host import Host
from ansible.playbook.task import Task

from ansible_collections.bilingual_tutor.ops.plugins.callback.ops_summary import CallbackModule

GIVE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"checks": {"type": "list"}, "fail": {"type": "str"}})
if module.params["fail"]:
    module.fail_json(msg=module.params["fail"], checks=module.params["checks"] or [])
module.exit_json(checks=module.params["checks"])
"""
RESTORE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"fail": {"type": "str"}}, supports_check_mode=True)
if module.params["fail"]:
    module.fail_json(msg=module.params["fail"], previous_path="/old")
module.exit_json(changed=True, previous_path="/old")
"""
VERIFY = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"ok": {"type": "bool"}})
module.exit_json(ok=module.params["ok"], file="/b/one.db")
"""
INVENTORY = f"""
[all]
alpha ansible_connection=local
beta ansible_connection=local
omega ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=9
[all:vars]
ansible_python_interpreter={sys.executable}
"""
GOOD = {"id": "mem.used", "group": "host", "item": "", "status": 0, "reason": "ok", "summary": "fine", "message": ""}
BAD = {**GOOD, "id": "disk.used", "item": "/var", "status": 2, "reason": "threshold", "summary": "/var is full"}


@pytest.fixture
def play(tmp_path):
    """Run tasks on some hosts and return what was printed after the recap, and the exit status."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "give.py").write_text(GIVE)
    (tmp_path / "library" / "sqlite_restore.py").write_text(RESTORE)
    (tmp_path / "library" / "sqlite_backup_verify.py").write_text(VERIFY)
    (tmp_path / "library" / "service_health.py").write_text("#!/usr/bin/python\nimport time\ntime.sleep(9)\n")
    (tmp_path / "inventory").write_text(INVENTORY)

    def run(tasks, hosts="alpha", variables=None, **environment):
        source = [{"hosts": hosts, "gather_facts": False, "vars": variables or {}, "tasks": tasks}]
        (tmp_path / "play.yml").write_text(json.dumps(source))
        env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "OPS_LOCALE")}
        env |= {
            "ANSIBLE_CALLBACKS_ENABLED": "bilingual_tutor.ops.ops_summary",
            "ANSIBLE_FORCE_COLOR": "1",
            **environment,
        }
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "inventory", "play.yml"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "ops_summary" not in done.stderr, done.stderr
        recap = done.stdout.rpartition("PLAY RECAP")[2]
        return recap.split("\n\n", 1)[1].strip(), done.returncode

    return run


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_worst_first_unreachable_before_all_failed_with_message(play):
    tasks = [
        {"give": {"checks": [GOOD, BAD]}},
        {"give": {"fail": "no such unit"}, "when": "inventory_hostname == 'beta'"},
    ]
    text, code = play(tasks, hosts="all")
    lines = plain(text).splitlines()
    assert code != 0
    assert lines[0].startswith("CHECKS") and "hosts: 3" in lines[0]
    assert lines[1] == "✖ Critical 3   ⚠ Warning 0   ? Unknown 0   ✔ OK 2   – Skipped 0"
    assert [line.split()[1] for line in lines[2:] if line.startswith("✖")] == ["omega", "alpha", "beta", "beta"]
    assert any(re.match(r"✖ beta +failed +no such unit", line) for line in lines)
    assert any(re.match(r"✔ alpha +OK 1: System 1", line) for line in lines)
    assert "\x1b[0;31m✖ alpha" in text


def test_the_play_may_say_the_language_and_the_environment_overrules_it(play):
    tasks = [{"give": {"checks": [BAD]}}]
    assert "✖ 严重 1" in plain(play(tasks, variables={"ops_locale": "zh"})[0])
    assert "✖ Critical 1" in plain(play(tasks, variables={"ops_locale": "zh"}, OPS_LOCALE="en")[0])


def test_no_color_means_ascii_signs(play):
    text, _code = play([{"give": {"checks": [BAD]}}], NO_COLOR="1", ANSIBLE_FORCE_COLOR="0", OPS_LOCALE="zh")
    assert "X 严重 1" in text and "✖" not in text and "\x1b" not in text


def test_nothing_is_said_without_checks(play):
    assert play([{"ping": {}}])[0] == ""
    assert play([{"give": {"fail": "bad"}}])[0] == ""


def test_a_check_counts_once_and_loops_and_failures_count_too(play):
    other = {**BAD, "item": "/srv"}
    tasks = [
        {"give": {"checks": [{**BAD, "status": 0}]}},
        {"give": {"checks": ["{{ item }}"]}, "loop": [BAD, other]},
        {"give": {"checks": [GOOD], "fail": "gate"}, "ignore_errors": True},
    ]
    text = plain(play(tasks)[0])
    assert "✖ Critical 2   ⚠ Warning 0   ? Unknown 0   ✔ OK 1" in text
    assert "gate" not in text


def test_a_verdict_does_not_repeat_the_findings(play):
    fail = {"fail": {"msg": "CRITICAL disk.used"}}
    checks = {"give": {"checks": [BAD]}}
    assert "CRITICAL disk.used" in plain(play([checks, fail])[0])
    text, code = play([checks, {**fail, "tags": "ops_verdict"}])
    assert code != 0
    assert "CRITICAL disk.used" not in plain(text) and "✖ Critical 1" in plain(text)


def test_a_host_that_falls_silent_or_cannot_be_checked_is_a_finding(play):
    silent = {"service_health": {}, "timeout": 1, "ignore_errors": True, "when": "inventory_hostname == 'alpha'"}
    broken = {"give": {"fail": "no python"}, "ignore_errors": True, "when": "inventory_hostname == 'beta'"}
    verdict = {"fail": {"msg": "verdict"}, "tags": "ops_verdict"}
    text, code = play([silent, broken, verdict], hosts="alpha,beta")
    assert code != 0
    lines = plain(text).splitlines()
    assert "hosts: 2" in lines[0]
    assert re.match(r"✖ alpha +host.reachable", lines[2])
    assert any(re.match(r"✖ beta +host.checked +the checks could not run: no python", line) for line in lines)


def test_an_action_that_failed_is_told_once_beside_the_findings(play):
    act = {"give": {"fail": "no space left"}, "ignore_errors": True}
    late = {"command": "sleep 9", "timeout": 1, "ignore_errors": True}
    verdict = {"fail": {"msg": "CRITICAL action.completed"}, "tags": "ops_verdict"}
    text, code = play([{"give": {"checks": [GOOD]}}, act, verdict])
    lines = plain(text).splitlines()
    assert code != 0
    assert [line for line in lines if "no space left" in line] == [
        "✖ alpha          failed                 no space left"
    ]
    repeated = {"fail": {"msg": "no record: no space left"}}
    text, _code = play([{"give": {"checks": [GOOD]}}, act, repeated])
    assert plain(text).count("no space left") == 1
    text, _code = play([late, verdict])
    assert "host.reachable" not in plain(text)


def test_what_was_done_is_told_and_what_was_planned_or_failed_is_not(play):
    look, act = {"give": {"checks": [GOOD]}}, {"sqlite_restore": {}}
    text, code = play([look, act])
    assert code == 0 and re.search(r"✔ alpha +Restore +/old", plain(text))
    assert "/old" not in plain(play([look, {**act, "check_mode": True}])[0])
    failed, code = play([look, {"sqlite_restore": {"fail": "undone"}, "ignore_errors": True}, {"fail": {"msg": "so"}}])
    assert code != 0 and "/old" not in plain(failed) and "undone" in plain(failed)


def test_an_action_that_failed_is_a_finding_even_where_nothing_else_was_seen(play):
    act = {"sqlite_restore": {"fail": "no space left"}, "ignore_errors": True}
    verdict = {"fail": {"msg": "CRITICAL action.completed"}, "tags": "ops_verdict"}
    text, code = play([act, verdict])
    assert code != 0
    assert "✖ Critical 1" in plain(text) and "✖ alpha          action.completed" in plain(text)
    assert " ".join(plain(text).split()).count("complete: no") == 1
    assert play([act])[0] == ""  # whoever ignores a failure knows of it


@pytest.mark.parametrize(("good", "sign"), [(True, "✔"), (False, "✖")])
def test_a_snapshot_that_is_not_proved_has_no_sign_of_health(play, good, sign):
    text, _code = play([{"give": {"checks": [GOOD]}}, {"sqlite_backup_verify": {"ok": good}}])
    assert re.search(rf"{sign} alpha +Backup verification +one.db", plain(text))


def test_a_failure_that_was_rescued_is_not_told(play):
    tasks = [{"block": [{"give": {"checks": [GOOD], "fail": "rescued"}}], "rescue": [{"ping": {}}]}]
    text, code = play(tasks)
    assert code == 0 and "rescued" not in text and "OK 1" in text


@pytest.mark.parametrize("checks", [[5], "text", [{"id": 1, "status": 0}], {"id": "x", "status": 0}])
def test_results_that_only_look_like_checks_are_left_alone(play, checks):
    assert play([{"set_fact": {"x": 1}}, {"debug": {"msg": checks}}, {"give": {"checks": checks}}])[0] == ""


def test_checks_of_another_version_are_told(play):
    text, _code = play([{"give": {"checks": [{**BAD, "reason": "from the future"}]}}])
    assert "? Unknown 1" in plain(text) and "a record could not be read" in " ".join(plain(text).split())


def collected(hosts, checks):
    callback = CallbackModule()
    callback._plugin_options = {"locale": "zh"}
    lines = []
    callback._display = type("Lines", (), {"display": lambda self, text, color=None: lines.append(text)})()
    for host in range(hosts):
        result = {"checks": [{**BAD, "item": f"/{n}", "status": n % 3 % 2} for n in range(checks)]}
        # Only what a callback may use of a result: how one is made differs from one ansible-core to the next.
        callback.v2_runner_on_ok(SimpleNamespace(host=Host(f"tutor{host}"), task=Task(), result=result))
    return callback, lines


def test_the_table_costs_less_than_20_ms():
    # Of its own thread: what else the machine does is not its cost.
    took = []
    for _attempt in range(5):
        callback, lines = collected(hosts=3, checks=60)
        begin = time.thread_time()
        callback.v2_playbook_on_stats(AggregateStats())
        took.append(time.thread_time() - begin)
        assert len(lines) > 40
    assert min(took) < 0.020, took


def test_it_never_raises():
    callback, lines = collected(hosts=1, checks=1)
    warnings = []
    callback._display = type("Broken", (), {"display": None, "warning": lambda self, text: warnings.append(text)})()
    callback.v2_playbook_on_stats(AggregateStats())
    callback.v2_runner_on_ok(None)
    assert len(warnings) == 2 and all(text.startswith("ops_summary: ") for text in warnings)
