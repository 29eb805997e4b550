# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a snapshot and tell what was found, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bad_backups import FLOORS

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.verdict import Verdict


def verify(path: Path, seconds: float = 60.0, **options: Any) -> Verdict:
    """Verify with the floors of these tests; each sentence must be whole in both languages."""
    verdict = run.verify({"path": str(path), "floors": FLOORS, **options}, Deadline(seconds))
    for check in verdict.checks:
        for locale in ("en", "zh"):
            text = AREA.sentences[check.message].render(locale, check.words)
            assert "{" not in text, text
    keys = [check.key for check in verdict.checks]
    assert verdict.ok == (not found(verdict) and bool(verdict.facts)), keys
    return verdict


def found(verdict: Verdict) -> dict[str, str]:
    """Return the sentence of each finding by the id of its check."""
    return {check.id: check.message for check in verdict.checks if check.status not in (Status.OK, Status.SKIPPED)}


def by_id(verdict: Verdict) -> dict[str, Check]:
    return {check.id: check for check in verdict.checks}
