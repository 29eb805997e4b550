# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of maintenance did, as checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.options import CHECKS, Wanted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Result
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import Target
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

_IDS = {
    "quick_check": "maintenance.quick_check",
    "integrity_check": "maintenance.integrity",
    "foreign_key_check": "maintenance.foreign_keys",
}
_STATUS = {
    "done": Status.OK,
    "planned": Status.OK,
    "skipped": Status.OK,
    "refused": Status.WARNING,
    "failed": Status.WARNING,
}
# Pages that were given back, at least, for the figure to be told.
_RECLAIMS = ("incremental_vacuum", "vacuum")


def sentence(one: Result, locale: str) -> str:
    """Return what happened, in words."""
    return AREA.sentences[f"maintenance.{one.reason}"].render(locale, {**one.params, "seconds": one.seconds})


def judge(say: Reporter, target: Target, wanted: Wanted, results: Mapping[str, Result]) -> Iterator[Check]:
    """Yield one check for each action, and how long writers were kept out by all of them."""
    for action, one in results.items():
        yield _check(say, target.path, action, one) if action in CHECKS else _action(say, target.path, action, one)
    freed = [
        results[name]
        for name in _RECLAIMS
        if name in results and results[name].changed and results[name].result == "done"
    ]
    if freed:
        before, after = freed[0].before, freed[-1].after
        mib = (before["bytes"] - after["bytes"]) / 2**20
        rest = {"before": size(before["bytes"]), "after": size(after["bytes"])}
        yield say.find("maintenance.reclaimed", Status.OK, "maintenance.given_back", target.path, value=mib, **rest)
    acted = [one for name, one in results.items() if name not in CHECKS and one.result in ("done", "failed")]
    if acted:
        worst = max(one.stall for one in acted)
        over = wanted.max_stall and worst > wanted.max_stall and not wanted.force
        yield say.find(
            "maintenance.stall", Status.WARNING if over else Status.OK, "maintenance.kept_out", target.path,
            reason="threshold" if over else "", value=worst * 1000, budget=wanted.max_stall * 1000,
        )  # fmt: skip


def _check(say: Reporter, path: str, action: str, one: Result) -> Check:
    """A check that ran says what it found; one that did not is unknown, never ok."""
    status, reason = Status.UNKNOWN, "timeout" if one.reason in ("deadline", "killed", "not_begun", "locked") else ""
    if one.result == "planned":
        status, reason = Status.SKIPPED, ""
    elif one.result == "done":
        status, reason = (Status.OK if one.problems == 0 else Status.CRITICAL), ""
    return say.find(
        _IDS[action], status, f"maintenance.{one.reason}", path,
        reason=reason, value=one.problems, evidence=one.lines, seconds=one.seconds, **one.params,
    )  # fmt: skip


def _action(say: Reporter, path: str, action: str, one: Result) -> Check:
    return say.find(
        "maintenance.action", _STATUS[one.result], f"maintenance.{one.reason}", f"{action} {path}",
        evidence=one.lines, seconds=one.seconds, **one.params,
    )  # fmt: skip
