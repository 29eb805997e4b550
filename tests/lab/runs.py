# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook over hosts of a lab, and read from the ledger what it found."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import lab

ROOT = Path(__file__).resolve().parents[2]
STATUS = ("OK", "WARNING", "CRITICAL", "UNKNOWN", "SKIPPED")
FINDING = ("WARNING", "CRITICAL", "UNKNOWN")
# Tells that looking took more than 5 s, which it does where something hangs, and where this machine is busy.
DURATION = "check.duration|"
PLAYBOOK_SECONDS = 120.0


@dataclass(frozen=True)
class Run:
    """One run of a playbook: how it ended, and what it left in the ledger."""

    status: int
    seconds: float
    looking: float  # seconds from the name of the run to its last record
    output: str = field(repr=False)
    envelopes: dict[str, dict[str, Any]] = field(repr=False)
    commands: dict[str, int]  # started by ssh on each host that could be asked

    def statuses(self, host: str) -> dict[str, str]:
        """Return the status of each check of a host by ``id|item``."""
        checks = self.envelopes[host]["checks"]
        return {f"{check['id']}|{check['item']}": STATUS[check["status"]] for check in checks}

    def findings(self, host: str) -> dict[str, str]:
        """Return the checks of a host that need somebody."""
        return {key: status for key, status in self.statuses(host).items() if status in FINDING and key != DURATION}

    def told(self, host: str, keys: Sequence[str] | Mapping[str, str]) -> str:
        """Return the sentences of some checks of a host, and their evidence."""
        checks = self.envelopes[host]["checks"]
        chosen = [check for check in checks if f"{check['id']}|{check['item']}" in keys]
        return "\n".join("\n".join([check["summary"], *check["evidence"]]) for check in chosen)

    def failed(self, host: str) -> bool:
        """Tell whether the recap counts the host as failed or unreachable."""
        recap = re.search(rf"^{host}\s+: .*?unreachable=(\d+)\s+failed=(\d+)", self.output, re.MULTILINE)
        assert recap, self.output
        return recap.groups() != ("0", "0")


def ansible(directory: Path, playbook: str, *words: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a playbook, by name or file, over hosts whose inventory ``hosts.yml`` is in a directory."""
    environ = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
        "ANSIBLE_NOCOLOR": "1",
        # The hosts of the last batch had the same addresses: their connections must not be taken for these.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    return subprocess.run(
        [program, "-i", str(directory / "hosts.yml"), playbook, *words],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip


def play(ours: lab.Lab, playbook: str, directory: Path, names: Sequence[str], *more: str, **settings: str) -> Run:
    """Run a playbook of the collection once over hosts whose inventory is in a directory, its ledger beside it.

    ``more`` are words for the command line. A run that records nothing, such as one in check mode, has no envelopes.
    """
    before = {name: commands(ours.host(name)) for name in names}
    state = directory / "state"
    words = [*more]
    for name, value in {"ops_fail_on": "warning", "ops_locale": "en", "ops_state_dir": str(state), **settings}.items():
        words += ["-e", f"{name}={value}"]
    known = len(read_ledger(state / "ledger.db"))
    started = time.monotonic()
    done = ansible(directory, f"bilingual_tutor.ops.{playbook}", *words, seconds=PLAYBOOK_SECONDS)
    seconds = time.monotonic() - started
    events = read_ledger(state / "ledger.db")[known:]
    envelopes = {subject: data for _at, subject, data in events}
    looking = 0.0
    if events:
        named = datetime.strptime(events[-1][2]["run_id"].split("-")[0], "%Y%m%dT%H%M%SZ")
        looking = (datetime.fromisoformat(events[-1][0].rstrip("Z")) - named).total_seconds()
    after = {name: commands(ours.host(name)) for name in names}
    started_by_ssh = {name: after[name] - before[name] for name in names if after[name] >= 0}
    return Run(done.returncode, seconds, looking, done.stdout + done.stderr, envelopes, started_by_ssh)


def commands(host: lab.Host) -> int:
    """Count the commands that ssh has started on a host since it booted; -1 when the host is frozen."""
    if host.is_frozen():
        return -1
    journal = host.run("journalctl", "-q", "-o", "cat", "-t", "sshd", check=False).stdout
    return journal.count("Starting session: command")


def read_ledger(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Return time, host and envelope of each recorded run, oldest first; none without a ledger."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        rows = ledger.execute("SELECT at, subject, data FROM events WHERE kind = 'check.run' ORDER BY seq").fetchall()
    return [(at, subject, json.loads(data)) for at, subject, data in rows]
