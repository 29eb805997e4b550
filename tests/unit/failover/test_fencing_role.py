# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role fencing must keep so that laying it out, and doing so again, ends no service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles" / "fencing"


def test_the_lease_is_there_before_the_grant():
    """It fences a host whose grant is older than its time: a busy host was fenced while the role was still at it."""
    tasks = [task["name"] for task in yaml.safe_load((ROLE / "tasks/present.yml").read_text(encoding="utf-8"))]
    assert tasks.index("Hold the lease") < tasks.index("Let the boot policy decide about the grant")
    units = {name: (ROLE / f"templates/tutor-ops-{name}.service.j2").read_text() for name in ("grant", "lease")}
    after = re.compile(r"^After=.*\btutor-ops-(\w+)\.service", re.MULTILINE)
    assert after.findall(units["grant"]) == ["lease"] and after.findall(units["lease"]) == []


def test_the_witnesses_keep_their_order(tmp_path):
    """Whatever the hash seed of the process: another order would be another configuration, and restart the lease."""
    groups = ["[tutor_witness]", *(f"w{number}" for number in range(6)), "[tutor_proxy]", "w2", "p1"]
    (tmp_path / "inventory").write_text("\n".join(groups) + "\n")
    command = [str(Path(sys.executable).with_name("ansible")), "w2", "-i", str(tmp_path / "inventory"), "-m", "debug"]
    command += ["-a", "msg={{ __fencing_voters | join(' ') }}", "-e", f"@{ROLE}/vars/main.yml"]
    for seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": seed, "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
        assert "w0 w1 w3 w4 w5 p1" in done.stdout, done.stdout + done.stderr
