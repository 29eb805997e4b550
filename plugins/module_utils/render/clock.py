# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as the operator reads them: in the operator's zone, and how long ago."""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo


def parse(stamp: str) -> datetime | None:
    """Read an ISO 8601 time, without a zone as UTC; None for what is none."""
    try:
        moment = datetime.fromisoformat(stamp[:-1] + "+00:00" if stamp.endswith("Z") else stamp)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def local(stamp: str, zone: tzinfo) -> str:
    """Write a recorded time in a zone, to the minute; what is no time stays as it is."""
    moment = parse(stamp)
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M") if moment else stamp


def age(stamp: str, now: datetime) -> tuple[str, int] | None:
    """Return how long ago a time is as a unit (``minutes``, ``hours``, ``days``) and a number; None for no time."""
    moment = parse(stamp)
    if moment is None:
        return None
    minutes = max(0, int((now - moment).total_seconds() // 60))
    if minutes < 120:
        return "minutes", minutes
    return ("hours", minutes // 60) if minutes < 48 * 60 else ("days", minutes // 1440)
