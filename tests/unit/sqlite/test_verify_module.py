# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sqlite_backup_verify as a module, and on what sqlite_backup makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import bad_backups
from bad_backups import agree, fill, make_snapshot
from verdicts import found, verify

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import run


def test_the_module(run_module: Any, returns_as_documented: Any, tmp_path: Path) -> None:
    path, progress = make_snapshot(fill(tmp_path / "learning.db"), tmp_path / "backups", ".zst"), tmp_path / "progress"
    progress.touch()
    result = run_module("sqlite_backup_verify", path=str(path), floors={"vocabulary": 300}, progress=str(progress))
    assert result["ok"] and not result["changed"] and result["rows"]["vocabulary"] == 300
    assert result["sha256"] == subprocess.run(
        ["sha256sum", str(path)], capture_output=True, text=True, check=True
    ).stdout[:64]  # fmt: skip
    assert '"stage"' in progress.read_text()
    returns_as_documented("sqlite_backup_verify", result)
    bad_backups.cut_stream(path)
    result = run_module("sqlite_backup_verify", path=str(path), _ansible_check_mode=True)
    assert not result.get("failed") and not result["ok"]
    returns_as_documented("sqlite_backup_verify", result)
    wrong = run_module("sqlite_backup_verify", path=str(path), thresholds={"snapshot.agee": {}})
    assert wrong["failed"] and "did you mean snapshot.age" in wrong["msg"]


def test_the_archive_of_a_set(run_module: Any, tmp_path: Path) -> None:
    """Made by the backup; it has no rows, and a restore does not take it for a database."""
    dest, config = tmp_path / "backups", tmp_path / "config.ini"
    dest.mkdir()
    config.write_bytes(os.urandom(50_000))
    made = run_module("sqlite_backup", path=str(fill(tmp_path / "learning.db")), dest=str(dest), files=[str(config)])
    assert not made.get("failed"), made.get("msg")
    assert all(verify(path).ok for path in dest.glob("*.db"))
    (archive,) = dest.glob("*.tar.gz")
    verdict = verify(archive)
    assert verdict.ok and verdict.facts == {"entries": 1}
    refused = run.verify({"path": str(archive)}, Deadline(20), stage=tmp_path / "staged")
    assert found(refused)["snapshot.file"] == "snapshot.file_header" and not refused.ok
    bad_backups.cut_stream(archive)
    assert set(found(verify(archive))) == {"snapshot.file", "snapshot.sha256"}
    agree(archive)
    assert found(verify(archive)) == {"snapshot.file": "snapshot.file_archive"}
