# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions that serve the planner and its indexes: optimize, analyze, reindex."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain import estimate
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.estimate import Slice
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Result, Stopped
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.work import Work
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.statistics import stale
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

# SQLite's documentation recommends 100 to 1000 rows of each index; the plans are the same for all but skewed data.
SAMPLED_ROWS = 1000
HAS_LIMIT = sqlite3.sqlite_version_info >= (3, 32, 0)
SHOWN = 10


def optimize(work: Work) -> Result:
    """Analyse the tables that need it, one by one and from samples of their rows.

    What ``PRAGMA optimize = 0x10002`` does from SQLite 3.46 on, by the same rule, with every version: writers get in
    between the tables, and it can be said which they are.
    """
    found = list(stale(work.connection))
    if not found:
        return Result("skipped", "statistics_fresh")
    slices = [Slice(one.table, f"ANALYZE main.{quoted(one.table)}", estimate.SLICE_SECONDS) for one in found]
    return _run(work, slices, "analysed", sampled=HAS_LIMIT, lines=[str(one) for one in found])


def analyze(work: Work) -> Result:
    """Analyse every table, wholly where the stall budget allows it, else from samples of its rows."""
    slices = list(estimate.analyze_slices(work.connection))
    cap = work.lock.cap
    sampled = False
    if cap is not None and HAS_LIMIT and any(one.seconds > cap for one in slices):
        sampled = True
        slices = [replace(one, seconds=min(one.seconds, estimate.SLICE_SECONDS)) for one in slices]
    return _run(work, slices, "analysed", sampled)


def reindex(work: Work) -> Result:
    """Write every index anew, one after the other."""
    return _run(work, list(estimate.reindex_slices(work.connection)), "reindexed")


def _run(work: Work, slices: Sequence[Slice], reason: str, sampled: bool = False, lines: Sequence[str] = ()) -> Result:
    """Refuse what cannot keep the budget before anything is touched, else run slice after slice."""
    if not slices:
        return Result("skipped", "nothing_there")
    longest = max(slices, key=lambda one: one.seconds)
    names = listed([one.name for one in slices])
    evidence = list(lines)[:SHOWN] or [f"{one.name}: about {one.seconds:.2f} s" for one in slices][:SHOWN]
    params = {"count": len(slices), "names": names, "name": longest.name, "estimate": longest.seconds}
    if work.lock.cap is not None and longest.seconds > work.lock.cap:
        return Result(
            "refused", "stall_slice", {**params, "budget": work.wanted.max_stall}, evidence, stall=longest.seconds
        )
    if work.plan:
        return Result("planned", f"{reason}_planned", params, evidence, changed=True, stall=longest.seconds)
    work.connection.execute(f"PRAGMA analysis_limit = {SAMPLED_ROWS if sampled else 0}")
    done = 0
    try:
        for one in slices:
            held = work.lock.hold(one.statement)
            done += 1
            work.tell("analyze" if reason == "analysed" else "reindex", done / len(slices))
            work.lock.breathe(held)
    except Stopped as exc:
        params = {**params, "done": done, "held": exc.held, "name": slices[done].name, "budget": work.wanted.max_stall}
        return Result("failed", f"{exc.reason}_slice", params, evidence, changed=done > 0)
    how = "sampled" if sampled else "whole"
    return Result("done", f"{reason}_{how}" if reason == "analysed" else reason, params, evidence, changed=True)
