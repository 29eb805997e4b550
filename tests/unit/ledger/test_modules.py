# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ops_record and ops_query as Ansible runs them, verified with the plain sqlite3 library."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COLLECTION = "ansible_collections.bilingual_tutor.ops.plugins.modules"


def run(module: str, *, fails: bool = False, check: bool = False, **options: Any) -> dict:
    """Run a module in a process of its own and return its result."""
    args = {"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check, "_ansible_diff": True}}
    done = subprocess.run(
        [sys.executable, "-m", f"{COLLECTION}.{module}"],
        input=json.dumps(args),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=30,
        check=False,
    )
    result = json.loads(done.stdout or "null")
    assert result is not None, done.stderr
    assert bool(result.get("failed")) is fails, result
    return result


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "new" / "ledger.db")


def rows(path: str) -> list[tuple]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    result = connection.execute("SELECT seq, kind, subject, data FROM events ORDER BY seq").fetchall()
    connection.close()
    return result


def test_check_run_again_check(path: str) -> None:
    event = {
        "ledger": path,
        "kind": "check.run",
        "subject": "tutor1",
        "data": {"worst": 2, "zh": "磁盘"},
        "run_id": "r1",
    }
    predicted = run("ops_record", check=True, **event)
    assert predicted["changed"]
    assert not Path(path).parent.exists()
    first = run("ops_record", **event)
    assert (first["changed"], first["added"], first["event"]["seq"]) == (True, 1, 1)
    assert predicted["diff"] == first["diff"]
    again = run("ops_record", **event)
    assert (again["changed"], again["event"]) == (False, first["event"])
    assert not run("ops_record", check=True, **event)["changed"]
    assert rows(path) == [(1, "check.run", "tutor1", '{"worst":2,"zh":"磁盘"}')]


def test_many_events_in_one_task(path: str) -> None:
    events = [{"kind": "check.run", "subject": f"tutor{n}", "data": {"worst": n}} for n in range(3)]
    done = run("ops_record", ledger=path, events=events, run_id="r1")
    assert [event["seq"] for event in done["events"]] == [1, 2, 3]
    assert not run("ops_record", ledger=path, events=events, run_id="r1")["changed"]
    more = [*events, {"kind": "notice.sent", "subject": "x", "run_id": "r2", "at": "2026-01-01T00:00:00Z"}]
    assert run("ops_record", ledger=path, events=more, run_id="r1")["added"] == 1

    found = run("ops_query", ledger=path, kind="check.run", select="[?data.worst > `0`].subject", limit=2)
    assert (found["selected"], found["count"], found["events"]) == (["tutor1", "tutor2"], 3, [])
    assert found["chain_ok"] is None
    assert run("ops_query", ledger=path, until="2026-01-02")["events"][0]["kind"] == "notice.sent"


def test_query_proves(path: str) -> None:
    run("ops_record", ledger=path, events=[{"kind": "a", "subject": "b"}] * 3)
    good = run("ops_query", ledger=path, verify=True, limit=1)
    assert (good["chain_ok"], good["checks"][0]["value"], len(good["events"])) == (True, 3, 1)
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER events_update")
    connection.execute("UPDATE events SET subject = 'c' WHERE seq = 2")
    connection.commit()
    connection.close()
    bad = run("ops_query", ledger=path, verify=True)
    assert (bad["chain_ok"], bad["events"]) == (False, [])
    assert bad["checks"][0]["summary"].startswith("event 2 was changed")


def test_missing_ledger(path: str) -> None:
    assert "there is no ledger" in run("ops_query", fails=True, ledger=path)["msg"]
    empty = run("ops_query", ledger=path, missing="empty", verify=True, select="length(@)")
    assert (empty["events"], empty["count"], empty["selected"], empty["chain_ok"]) == ([], 0, 0, None)
    assert not Path(path).parent.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": "[?"}, "select is not a JMESPath expression"),
        ({"select": "sum(@)"}, "select failed"),
        ({"since": "soon"}, "time 'soon'"),
        ({"limit": -1}, "limit -1"),
    ],
)
def test_query_refuses(path: str, options: dict, message: str) -> None:
    run("ops_record", ledger=path, kind="a", subject="b")
    assert message in run("ops_query", fails=True, ledger=path, **options)["msg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the following is required: kind, events"),
        ({"kind": "a"}, "subject"),
        ({"kind": "a", "subject": "b", "events": []}, "mutually exclusive"),
        ({"events": []}, "no event to record"),
        ({"kind": "A", "subject": "b"}, "event kind 'A'"),
    ],
)
def test_record_refuses(path: str, options: dict, message: str) -> None:
    assert message in run("ops_record", fails=True, ledger=path, **options)["msg"]
    assert not Path(path).exists()


def test_jmespath_is_needed_only_to_select(path: str, tmp_path: Path) -> None:
    """With a jmespath that cannot be imported, everything but select works."""
    run("ops_record", ledger=path, kind="a", subject="b")
    blocker = tmp_path / "blocked" / "jmespath.py"
    blocker.parent.mkdir()
    blocker.write_text("raise ImportError('not here')\n")
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(blocker.parent)!r}); sys.argv = ['ops_query'];"
        f"runpy.run_module('{COLLECTION}.ops_query', run_name='__main__')"
    )
    for select, fails in ((None, False), ("[0]", True)):
        args = {"ANSIBLE_MODULE_ARGS": {"ledger": path, "select": select}}
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(args),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=30,
            check=False,
        )
        result = json.loads(done.stdout)
        assert bool(result.get("failed")) is fails, result
        assert not fails or "jmespath" in result["msg"]


def test_the_package_ansible_sends_is_complete(path: str) -> None:
    """Through the real command: everything a module imports is in what Ansible packs for the host."""
    for module, args in (
        ("ops_record", {"ledger": path, "kind": "a", "subject": "b"}),
        ("ops_query", {"ledger": path, "verify": True}),
    ):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local",
             "-e", f"ansible_python_interpreter={sys.executable}", "-m", f"bilingual_tutor.ops.{module}", "-a", json.dumps(args)],
            capture_output=True,
            text=True,
            env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"},
            timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert "chain_ok: true" in done.stdout.replace('"', "")
