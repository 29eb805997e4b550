# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A campaign ends with the one line and the exit status that its runs deserve; a schedule can be had again."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attempt
import campaign
import cases
import controls
import inject
import pytest

GOOD = {
    "run": "r1", "kind": "planned", "outcome": "done", "gap": 2.0, "acked": 10, "proxied": 10, "lost": 0, "dual": 0,
    "seconds": 9.0, "problems": [],
}  # fmt: skip
FLAGGED = {"fence_off": "flagged dual=3"}


@pytest.mark.parametrize(
    ("more", "flagged", "last", "status"),
    [
        ({}, FLAGGED, "lost=0 dual=0 runs=2 inconclusive=0", 0),
        ({"lost": 2}, FLAGGED, "lost=2 dual=0 runs=2 inconclusive=0", 1),
        ({"dual": 3}, FLAGGED, "lost=0 dual=3 runs=2 inconclusive=0", 1),
        ({"outcome": "inconclusive"}, FLAGGED, "lost=0 dual=0 runs=2 inconclusive=1", 0),
        ({"outcome": "broken"}, FLAGGED, "lost=0 dual=0 runs=2 inconclusive=0", 1),
        ({"phantom": 1}, FLAGGED, "lost=0 dual=0 runs=2 inconclusive=0", 1),
        ({"problems": ["nobody served for 70 s"]}, FLAGGED, "lost=0 dual=0 runs=2 inconclusive=0", 1),
        ({}, {"fence_off": "not flagged: dual=0"}, "lost=0 dual=0 runs=2 inconclusive=0", 1),
    ],
)
def test_the_last_line_and_the_exit_status(
    more: dict[str, Any],
    flagged: dict[str, str],
    last: str,
    status: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert campaign.close([GOOD, {**GOOD, **more}], flagged, tmp_path) == status
    assert capsys.readouterr().out.splitlines()[-1] == last
    assert json.loads((tmp_path / "summary.json").read_text())["runs"] == 2


def test_no_run_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert campaign.close([], FLAGGED, tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "lost=0 dual=0 runs=0 inconclusive=0"


def test_a_schedule_is_the_seed_and_the_number() -> None:
    first, again = (campaign.schedule("all", 50, 7) for _turn in range(2))
    assert first == again and set(first) == set(cases.KINDS)
    assert campaign.schedule("all", 10, 7) == first[:10], "a shorter one is the begin of a longer"
    assert campaign.schedule("planned", 2, 7) == ["planned", "planned"]
    assert set(campaign.ALL_WEIGHTS) == set(cases.KINDS)


def test_a_run_is_told_in_one_line() -> None:
    told = campaign.describe({**GOOD, "fault": "app_killed", "step": "quiesce", "problems": ["that was that"]})
    assert "app_killed quiesce" in told and "gap 2.00 s" in told and told.endswith("! that was that")
    assert "\n" not in told


def test_controls_are_chosen_by_name() -> None:
    assert controls.choose("all") == list(controls.CONTROLS)
    assert controls.choose("none") == []
    assert controls.choose("sync_skipped") == ["sync_skipped"]
    with pytest.raises(SystemExit, match="no control nonsense"):
        controls.choose("nonsense")


def test_every_fault_that_a_run_draws_exists() -> None:
    pairs = list(inject.in_a_step())
    assert len(pairs) == len(set(pairs)) > 50
    assert {step for _name, step in pairs} <= {*inject.ALL, *inject.EARLY, *inject.LATE}
    for name in (*inject.REACHABLE, *inject.UNREACHABLE):
        assert name in inject.FAULTS


def test_the_journal_is_followed_and_a_torn_line_is_none(tmp_path: Path) -> None:
    one = attempt.Attempt(SimpleNamespace(state=tmp_path), "switchover", "r1", tmp_path / "out")  # type: ignore[arg-type]
    assert one.lines() == [] and one.result() == {} and not one.reached("lock", "begin")
    one.directory.mkdir(parents=True)
    moments = [("lock", "begin", 1.0), ("lock", "ok", 1.5), ("quiesce", "begin", 2.0), ("quiesce", "fail", 2.25)]
    text = "".join(json.dumps({"step": step, "phase": phase, "mono": mono}) + "\n" for step, phase, mono in moments)
    (one.directory / attempt.JOURNAL).write_text(text + '{"step": "promote", "pha')
    assert one.reached("quiesce", "begin") and not one.reached("promote", "begin")
    assert one.steps() == {"lock": 0.5, "quiesce": 0.25}
    (one.directory / attempt.RESULT).write_text('{"outcome": "done", "rpo": {"newest_at": 12.5}}')
    assert one.result()["outcome"] == "done" and cases.newest_at(one.result()) == 12.5


def test_waiting_for_a_step_ends_with_the_playbook(tmp_path: Path) -> None:
    one = attempt.Attempt(SimpleNamespace(state=tmp_path), "switchover", "r1", tmp_path / "out")  # type: ignore[arg-type]
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    assert not one.wait_for(process, "lock", "begin")
    attempt.kill(process)


def test_marks_are_read_from_a_disk_with_what_is_in_its_log_only(tmp_path: Path) -> None:
    path = tmp_path / "learning.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE content (title TEXT, content_type TEXT)")
        with database:
            database.executemany(
                "INSERT INTO content VALUES (?, ?)", [("r1-a", "mark"), ("r2-a", "mark"), ("r1-", "x")]
            )
        site = SimpleNamespace(database=lambda _name: path)
        before = path.stat().st_size
        assert cases.marks_on_disk(site, "tutor1", "r1-") == ["r1-a"]  # type: ignore[arg-type]
        assert path.stat().st_size == before, "it was in the log, and still is"
