# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look of a failover puts together what its steps send: afterwards no step waits for Ansible to do it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.plan import LOOK, MODULES

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ("tutor1", "tutor2", "tutor3")


@pytest.mark.parametrize("dry", [False, True])
def test_what_the_steps_send_is_there_after_the_look(tmp_path: Path, dry: bool) -> None:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": dict.fromkeys(HOSTS, local)}}))
    look = {"state": "look", "dry": dry, "options": {"host": "{{ inventory_hostname }}", "database": "{{ omit }}"}}
    tasks = [
        {"bilingual_tutor.ops.ops_failover": look, "register": "seen"},
        {"ansible.builtin.assert": {"that": "seen.look.host == inventory_hostname"}},
        # What Ansible put together lies there until the playbook ends.
        {"ansible.builtin.command": {"argv": ["cp", "-r", f"{tmp_path}/local", f"{tmp_path}/kept"]}, "run_once": True},
    ]
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    environ = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.json", "play.json"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.name.partition("-")[0].rpartition(".")[2] for path in tmp_path.glob("kept/*/ansiballz_cache/*")}
    expected = {name.rpartition(".")[2] for name in MODULES}
    assert LOOK.rpartition(".")[2] in made
    assert made & expected == (set() if dry else expected)
