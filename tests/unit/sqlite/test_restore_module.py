# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sqlite_restore as a module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bad_backups
import pytest
from bad_backups import fill, make_snapshot
from databases import tree
from sets import journal_mode, learn, words

HOST = "tutor1"


@pytest.mark.parametrize("suffix", bad_backups.PACKED)
def test_four_runs(tmp_path: Path, suffix: str, run_module: Any) -> None:
    """Check, run, run again, check again; what is there is told by the sqlite3 command."""
    live = tmp_path / "storage" / "learning.db"
    live.parent.mkdir()
    made = make_snapshot(fill(live), tmp_path / "backups", suffix)
    learn(live)
    live.chmod(0o600)
    options = {"snapshot": str(made), "path": str(live), "host": HOST, "confirm": HOST}
    before = tree(live.parent)
    planned = run_module("sqlite_restore", **options, _ansible_check_mode=True, _ansible_diff=True)
    assert planned["changed"] and tree(live.parent) == before and planned["previous_path"] == ""
    assert "vocabulary 301\n" in planned["diff"]["before"] and "vocabulary 300\n" in planned["diff"]["after"]
    done = run_module("sqlite_restore", **options)
    assert done["changed"] and words(live) == [] and live.stat().st_mode & 0o777 == 0o600
    assert [step["step"] for step in planned["steps"]] == [step["step"] for step in done["steps"]]
    assert words(Path(done["previous_path"])) == ["later"]
    assert sorted(path.name for path in live.parent.iterdir()) == ["learning.db", Path(done["previous_path"]).name]
    before = tree(live.parent)
    for check in (False, True):
        again = run_module("sqlite_restore", **options, _ansible_check_mode=check)
        assert (
            not again["changed"] and again["diff"]["before"] == again["diff"]["after"] and tree(live.parent) == before
        )
    assert journal_mode(live) == "wal", "as the database that was replaced"
