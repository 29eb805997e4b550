# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The weekly maintenance refuses a day without tasks before it asks any host, in the operator's language."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# A host that cannot be reached: what is refused in time never tries to.
INVENTORY = "all: {children: {tutor: {hosts: {nowhere: {ansible_host: 192.0.2.1}}}}}\n"


def play(directory: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Run the playbook with some extra variables."""
    inventory = directory / "hosts.yml"
    inventory.write_text(INVENTORY)
    environ = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "bilingual_tutor.ops.weekly_maintenance"]
    command += [
        "-i",
        str(inventory),
        "-e",
        f"ops_state_dir={directory}/state",
        "-e",
        "ops_usage_scope=personal_learning",
    ]
    for setting in settings:
        command += ["-e", setting]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)


# The clock of a weekend cannot be had at will: this is what the role works out from it.
@pytest.mark.parametrize(("locale", "said"), [("en", "There is nothing to do on 'sat'"), ("zh", "「sat」没有每周任务")])
def test_a_weekend_is_refused_and_nothing_recorded(tmp_path: Path, locale: str, said: str) -> None:
    done = play(tmp_path, "ops_run_part=sat", f"ops_locale={locale}")
    assert done.returncode == 2, done.stdout
    assert said in done.stdout + done.stderr
    assert "mon" in done.stdout + done.stderr
    assert not (tmp_path / "state").exists()


def test_a_day_that_is_none_is_refused_by_the_argument_specs(tmp_path: Path) -> None:
    done = play(tmp_path, "ops_day=friday")
    assert done.returncode == 2, done.stdout
    assert "value of ops_day must be one of" in done.stdout + done.stderr
    assert not (tmp_path / "state").exists()
