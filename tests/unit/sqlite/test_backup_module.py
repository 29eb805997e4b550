# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup module, run as a host runs it, four times: check, run, again, check."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from databases import tree


def test_four_runs(run_module, database: Path, place: Path) -> None:
    dest = place / "backups"
    dest.mkdir()

    def backup(check: bool = False) -> dict:
        options = {"keep": {"hours": 0}, "_ansible_check_mode": check, "_ansible_diff": True}
        return run_module("sqlite_backup", path=str(database), dest=str(dest), **options)

    def shape(text: str) -> str:
        return re.sub(r"\d{8}T\d{6}Z(-\d+)?", "T", text)

    before = tree(place)
    planned = backup(check=True)
    assert planned["changed"] and tree(place) == before
    made = backup()
    assert made["changed"] and shape(made["diff"]["after"]) == shape(planned["diff"]["after"])
    planned = backup(check=True)
    again = backup()
    assert again["changed"] and again["removed"] == planned["removed"] == [os.path.basename(made["snapshot"]["path"])]
    after = tree(dest)
    last = backup(check=True)
    assert last["changed"] and tree(dest) == after
    assert shape(last["diff"]["after"]) == shape("".join(f"{name}\n" for name in sorted(after)))
    # By independent tools.
    path = Path(again["snapshot"]["path"])
    assert os.readlink(dest / "learning_latest.db") == path.name
    command = ["sqlite3", str(path), "PRAGMA integrity_check; SELECT count(*) FROM vocabulary; PRAGMA journal_mode"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["ok", "50", "delete"]
    known = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert again["snapshot"]["sha256"] == known


def test_a_refusal_fails_and_makes_nothing(run_module, place: Path) -> None:
    result = run_module("sqlite_backup", path=str(place / "none.db"), dest=str(place))
    assert result["failed"] and "cannot be looked at" in result["msg"]
    assert not list(place.iterdir())
