# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook backup against the sandbox, with places elsewhere to copy the snapshots to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import demo
import pytest
from sandbox import REPOSITORY, Sandbox

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger

pytestmark = pytest.mark.skipif(not shutil.which("rsync"), reason="no rsync on this machine")


def backup(sandbox: Sandbox, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("ansible-playbook"), "bilingual_tutor.ops.backup"]
    command += ["-i", REPOSITORY / "inventories/demo", *words, "-e", json.dumps(variables)]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=demo.run_environ(sandbox, "en"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=demo.PLAYBOOK_SECONDS,
        check=False,
    )


def test_snapshots_are_copied_after_a_backup(sandbox: Sandbox, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    places = [{"name": "vault", "engine": "rsync", "destination": str(far), "check": "read_data"}]
    ledger = Ledger(sandbox.directory / "ledger.db")
    assert backup(sandbox).returncode == 0
    assert not ledger.query(kinds=["backup.offsite"]).events, "it was not told to"

    done = backup(sandbox, backup_offsite=places)
    assert done.returncode == 0, done.stdout
    copied = len(list(far.glob("*.manifest.json")))
    assert copied == len(list(sandbox.directory.rglob("*.manifest.json"))) > 0
    [event] = ledger.query(kinds=["backup.offsite"]).events
    assert "vault" in json.dumps(event.data)

    places.append({"name": "nowhere", "engine": "rsync", "destination": str(tmp_path / "missing" / "far")})
    failed = backup(sandbox, backup_offsite=places)
    assert failed.returncode != 0
    assert "missing/far" in failed.stdout
    assert len(list(far.glob("*.manifest.json"))) > copied, "a place that fails keeps the others from nothing"
    checks = {
        (check["id"], check["status"])
        for envelope in json.loads((sandbox.directory / "reports/latest.json").read_text(encoding="utf-8"))["envelopes"]
        for check in envelope["checks"]
    }
    assert ("offsite.copied", 0) in checks
    assert ("action.completed", 2) in checks
