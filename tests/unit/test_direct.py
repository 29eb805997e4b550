# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's modules on the controller: started as they are, with the result of the packed module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible.plugins.action", reason="a target has no action plugins")
ROOT = Path(__file__).resolve().parents[2]
EVENT = {"kind": "test", "subject": "tutor1", "data": {"zh": "磁盘"}, "run_id": "r1", "at": "2026-11-23T01:00:00Z"}
# The same Python under another name: enough for Ansible to pack the module and carry it there.
OTHER = os.path.join(os.path.dirname(sys.executable), ".", os.path.basename(sys.executable))


def run(module: str, options: dict[str, Any], *more: str) -> tuple[dict[str, Any], bool]:
    """Run a module on the controller; return its result, and whether Ansible carried it there."""
    ansible = Path(sys.executable).with_name("ansible")
    command = [
        str(ansible),
        "localhost",
        "-vvv",
        "-m",
        f"bilingual_tutor.ops.{module}",
        "-a",
        json.dumps(options),
        *more,
    ]
    settings = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"), "ANSIBLE_NOCOLOR": "1"}
    environment = {**os.environ, **settings, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    before, _arrow, result = done.stdout.partition(" => ")
    assert result, done.stdout + done.stderr
    return {**json.JSONDecoder().raw_decode(result)[0], "status": done.returncode}, "EXEC" in before


def test_the_result_is_that_of_the_packed_module(tmp_path):
    options = {"ledger": str(tmp_path / "ledger.db")}
    predicted, _carried = run("ops_record", {**options, **EVENT}, "--check")
    assert predicted["changed"]
    assert not (tmp_path / "ledger.db").exists()
    recorded, carried = run("ops_record", {**options, **EVENT})
    assert (recorded["changed"], recorded["event"]["kind"], carried) == (True, EVENT["kind"], False)
    direct, carried = run("ops_query", {**options, "verify": True})
    assert not carried
    packed, carried = run("ops_query", {**options, "verify": True}, "-e", f"ansible_python_interpreter={OTHER}")
    assert carried
    assert direct["events"] == packed["events"] == [{**recorded["event"], "data": EVENT["data"]}]
    assert direct.keys() - {"invocation"} == packed.keys() - {"invocation"}


@pytest.mark.parametrize("options", [{"ledger": "/nowhere/ledger.db"}, {"wrong": 1}])
def test_a_failure_is_that_of_the_packed_module(options):
    direct, _carried = run("ops_query", options)
    packed, _carried = run("ops_query", options, "-e", f"ansible_python_interpreter={OTHER}")
    assert direct["status"] == packed["status"] != 0
    assert direct["msg"]
    assert direct["msg"] == packed["msg"]
