# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification tells the truth about damaged databases; the table of docs/sqlite.md, with fewer of them."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests" / "bench"))

import corruption  # noqa: E402

SEED = random.SystemRandom().randrange(10**6)


@pytest.fixture(scope="module")
def results() -> dict[str, list[corruption.Trial]]:
    found: dict[str, list[corruption.Trial]] = {}
    for kind, trial in corruption.measure(4, SEED, words=300):
        found.setdefault(kind, []).append(trial)
    return found


@pytest.mark.parametrize("kind", corruption.DAMAGES)
def test_no_damage_is_called_ok(kind: str, results: dict[str, list[corruption.Trial]]) -> None:
    print(f"seed {SEED}")
    for trial in results[kind]:
        assert trial.found["verification"], "the sha256 of the manifest finds everything"
        assert not trial.untrue, "never ok where a check listed a problem"
        if trial.listed:
            assert trial.found["verification without the hash"]


def test_no_good_one_is_refused(results: dict[str, list[corruption.Trial]]) -> None:
    assert [trial.found for trial in results[""]] == [dict.fromkeys(corruption.FINDERS, False)] * 4


def test_the_document_has_a_row_for_each_damage() -> None:
    text = corruption.DOCUMENT.read_text(encoding="utf-8")
    table = text.partition(corruption.BEGIN)[2].partition(corruption.END)[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows == ["damage", *corruption.DAMAGES, "none (found wrongly)"]
    assert "200 databases for each damage" in table
