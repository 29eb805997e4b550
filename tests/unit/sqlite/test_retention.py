# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which snapshots stay: whatever lies there, the last good one does, and so does what cannot be told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.retention import (
    DEFAULTS,
    FUTURE_SECONDS,
    Kept,
    checked,
    decide,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=SHANGHAI)


def nights(count: int, end: datetime = NOW) -> list[Kept]:
    """Return one backup each night."""
    moments = [end - timedelta(days=night) for night in range(count)]
    return [Kept(f"{moment:%Y-%m-%d}", moment.timestamp()) for moment in moments]


def test_a_year_of_nights():
    decision = decide(nights(365), DEFAULTS, SHANGHAI, NOW.timestamp())
    daily = [key for key, reasons in decision.keep.items() if "daily" in reasons]
    weekly = [key for key, reasons in decision.keep.items() if "weekly" in reasons]
    monthly = [key for key, reasons in decision.keep.items() if "monthly" in reasons]
    assert (len(daily), len(weekly), len(monthly)) == (30, 12, 6)
    # 23 November 2026 is a Monday: its own week, then Sundays.
    assert weekly[:3] == ["2026-11-23", "2026-11-22", "2026-11-15"]
    assert monthly == ["2026-11-23", "2026-10-31", "2026-09-30", "2026-08-31", "2026-07-31", "2026-06-30"]
    assert decision.remove == sorted(decision.remove) and len(decision.remove) + len(decision.keep) == 365


def test_days_are_those_of_the_operator():
    # 23:30 and 00:30 in Shanghai are one day in UTC.
    late = datetime(2026, 11, 22, 23, 30, tzinfo=SHANGHAI)
    both = [Kept("before", late.timestamp()), Kept("after", (late + timedelta(hours=1)).timestamp())]
    keep = {"daily": 30, "weekly": 0, "monthly": 0}
    assert decide(both, keep, SHANGHAI, NOW.timestamp()).remove == []
    assert decide(both, keep, timezone.utc, NOW.timestamp()).remove == ["before"]


def test_a_gap_takes_nothing_away():
    """Backups stopped half a year ago: what there is stays, since it is all there is."""
    old = nights(30, NOW - timedelta(days=180))
    assert decide(old, DEFAULTS, SHANGHAI, NOW.timestamp()).remove == []


def test_the_set_made_now_stays_whatever_the_clock_says():
    now = NOW.timestamp()
    other = Kept("other", now + FUTURE_SECONDS / 2)
    decision = decide([Kept("made", now), other], {"daily": 1, "weekly": 0, "monthly": 0}, SHANGHAI, now, "made")
    assert decision.remove == ["other"]


def test_the_future_is_kept_and_told():
    now = NOW.timestamp()
    ahead = [Kept(f"ahead {hour}", now + 3600 * hour) for hour in range(1, 5)]
    decision = decide([Kept("now", now), *ahead], {"daily": 1, "weekly": 0, "monthly": 0}, SHANGHAI, now)
    assert decision.remove == [] and decision.future == [one.id for one in ahead]


def test_an_incomplete_set_displaces_none_that_is_complete():
    now = NOW.timestamp()
    sets = [Kept("complete", now - 60), Kept("half", now, complete=False)]
    assert decide(sets, DEFAULTS, SHANGHAI, now).remove == ["half"]
    assert decide(sets[1:], DEFAULTS, SHANGHAI, now).remove == []


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"yearly": 1}, "is no period"),
        ({"daily": -1}, "expected a number"),
        ({"daily": "30"}, "expected a number"),
        ({"daily": True}, "expected a number"),
        ({"daily": 0, "weekly": 0, "monthly": 0}, "at least one"),
    ],
)
def test_what_cannot_be_meant(keep, message):
    with pytest.raises(OpsError, match=message):
        checked(keep)


def test_what_is_not_given_is_the_default():
    assert checked({"daily": 3}) == {"daily": 3, "weekly": 12, "monthly": 6, "hours": 48}


def test_the_backup_before_a_change_outlives_those_after_it():
    now = NOW.timestamp()
    sets = [Kept(f"{hours} h ago", now - 3600 * hours) for hours in (0, 1, 2, 47, 49, 50)]
    keep = {"daily": 1, "weekly": 0, "monthly": 0, "hours": 48}
    assert decide(sets, keep, SHANGHAI, now).remove == ["50 h ago", "49 h ago"]
    assert len(decide(sets, {**keep, "hours": 0}, SHANGHAI, now).remove) == 5
