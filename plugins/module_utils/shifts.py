# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's day: which shift it is now."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# The runbook's checks are at 9-10, 14-15 and 17-18; a run in between belongs to the shift that is due or was last due.
SHIFT_ENDS = ((12, "morning"), (16, "afternoon"), (24, "evening"))
SHIFTS = tuple(name for _hour, name in SHIFT_ENDS)
# In the order of datetime.weekday(); the runbook has tasks for the first five.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name, or raise OpsError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError, PermissionError) as exc:
        raise OpsError(f"time zone {name!r} is not known: expected an IANA name such as Asia/Shanghai") from exc


def shift_at(moment: datetime, timezone: str) -> str:
    """Return the shift of an aware moment in the operator's zone."""
    hour = moment.astimezone(zone(timezone)).hour
    return next(name for end, name in SHIFT_ENDS if hour < end)


def day_at(moment: datetime, timezone: str) -> str:
    """Return the day of the week of an aware moment in the operator's zone: mon to sun."""
    return DAYS[moment.astimezone(zone(timezone)).weekday()]
