# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the same figures were in the weeks before: kept in a probe's state, one entry for each week that was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from statistics import median
from typing import Any

WEEKS = 8
# One earlier week is an accident, not what is usual.
ENOUGH_WEEKS = 2


def week_of(moment: float) -> str:
    """Return the ISO week of a moment (UTC), such as 2026-W48; their order as text is that of time."""
    year, week, _day = datetime.fromtimestamp(moment, timezone.utc).isocalendar()
    return f"{year}-W{week:02d}"


def earlier(weeks: Mapping[str, Any], week: str) -> dict[str, Any]:
    """Return the weeks before this one, the last eight; a second look in one week is not compared with the first."""
    return {name: weeks[name] for name in sorted(name for name in weeks if name < week)[-WEEKS:]}


def kept(weeks: Mapping[str, Any], week: str, figures: Any) -> dict[str, Any]:
    """Return what the next look wants to know: the earlier weeks, and this one as it is now."""
    return {**earlier(weeks, week), week: figures}


def usual(weeks: Mapping[str, Mapping[str, float]], name: str) -> float | None:
    """Return the median of a figure over the weeks that have it, None when they are too few."""
    values = [figures[name] for figures in weeks.values() if name in figures]
    return median(values) if len(values) >= ENOUGH_WEEKS else None
