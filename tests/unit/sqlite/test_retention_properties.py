# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for any backups, any numbers to keep and any zone."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.retention import (
    FUTURE_SECONDS,
    PERIODS,
    Kept,
    decide,
)

pytest.importorskip("hypothesis")
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=timezone.utc).timestamp()
YEAR = 366 * 86400

moments = st.integers(min_value=-2 * YEAR, max_value=30 * 86400)
sets = st.lists(st.tuples(moments, st.booleans()), max_size=60).map(
    lambda ones: [Kept(f"set {number}", NOW + moment, whole) for number, (moment, whole) in enumerate(ones)]
)
numbers = st.fixed_dictionaries({name: st.integers(0, 8) for name in PERIODS}, optional={"hours": st.integers(0, 72)})
zones = st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Pacific/Kiritimati"]).map(ZoneInfo)


@settings(max_examples=300, deadline=None)
@given(sets, numbers, zones)
def test_laws(ones, keep, zone):
    decision = decide(ones, keep, zone, NOW)
    known = {one.id: one for one in ones}
    removed = set(decision.remove)
    assert removed.isdisjoint(decision.keep) and removed | set(decision.keep) == known.keys(), "each set, once"
    past = [one for one in ones if one.created <= NOW + FUTURE_SECONDS]
    good = [one for one in past if one.complete]
    assert all(one.id not in removed for one in ones if one not in past), "nothing from the future goes"
    if good:
        newest = max(one.created for one in good)
        assert any(one.created == newest and one.id not in removed for one in good), "the last good one stays"
    else:
        assert not removed, "without a good one, all there is stays"
    recent = [one for one in good if max(0.0, NOW - one.created) < 3600 * keep.get("hours", 0)]
    assert all(one.id in decision.keep for one in recent), "all of the last hours stay"
    for period, form in PERIODS.items():
        names = {datetime.fromtimestamp(one.created, zone).strftime(form) for one in past}
        kept = {
            datetime.fromtimestamp(known[key].created, zone).strftime(form)
            for key in decision.keep
            if known[key] in past
        }
        last = sorted(names, reverse=True)[: keep[period]]
        assert set(last) <= kept, f"each of the last {keep[period]} of {period} has one"
        for name in last:
            of_it = [one for one in good if datetime.fromtimestamp(one.created, zone).strftime(form) == name]
            assert not of_it or any(one.id in decision.keep for one in of_it), "a complete one, where there is one"


@settings(max_examples=200, deadline=None)
@given(sets, numbers, zones)
def test_deciding_again_removes_nothing_more(ones, keep, zone):
    """An interrupted removal goes on where it was: what was to go still goes, what was to stay still stays."""
    first = decide(ones, keep, zone, NOW)
    left = [one for one in ones if one.id not in first.remove[: len(first.remove) // 2]]
    again = decide(left, keep, zone, NOW)
    assert set(again.keep) == set(first.keep)
