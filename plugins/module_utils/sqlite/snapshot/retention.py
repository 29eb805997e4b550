# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which snapshots stay: the newest of each of the last days, weeks and months that have one (grandfather, father, son).

Everything of the last hours stays too: the backup before a change is what it is undone with, and the one after it, of the
same day, must not take its place. Periods without a backup do not count, so a host whose backups stopped keeps what it has. Only whole sets go, and only
sets this knows: never the newest complete one, never one from the future (the clock was stepped back: its age cannot be
told), never a file without a manifest of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# Two clocks may differ by that much; more is a wrong one.
FUTURE_SECONDS = 60.0
PERIODS = {"daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m"}
# Days, weeks and months are the documented retention; two days are long enough to find out that a change was wrong.
DEFAULTS = {"daily": 30, "weekly": 12, "monthly": 6, "hours": 48}


@dataclass(frozen=True)
class Kept:
    """One set of snapshots: ``created`` in seconds since 1970, ``complete`` when all its files are there and whole."""

    id: str
    created: float
    complete: bool = True


@dataclass(frozen=True)
class Decision:
    """What stays and why (``daily``, ``weekly``, ``monthly``, ``hours``, ``last``, ``future``), and what goes, oldest first."""

    keep: dict[str, list[str]]
    remove: list[str]
    future: list[str]


def checked(keep: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers to keep; raise OpsError for what cannot be meant."""
    for name, count in keep.items():
        if name not in DEFAULTS:
            raise OpsError(f"keep: {name!r} is no period: expected {', '.join(DEFAULTS)}")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise OpsError(f"keep: {name} is {count!r}: expected a number, 0 or more")
    wanted = {**DEFAULTS, **keep}
    if not any(wanted[name] for name in PERIODS):
        raise OpsError("keep: all of it is 0: expected to keep at least one daily backup")
    return wanted


def decide(sets: Iterable[Kept], keep: Mapping[str, int], zone: tzinfo, now: float, made: str = "") -> Decision:
    """Decide which sets stay; ``zone`` is the operator's, in which days, weeks (Monday first) and months begin.

    ``made`` is the set that was made just now: the newest one, whatever a clock that was stepped back says.
    """
    ordered = sorted(sets, key=lambda one: (one.id == made, one.created, one.id), reverse=True)
    future = [one for one in ordered if one.created > now + FUTURE_SECONDS and one.id != made]
    past = [one for one in ordered if one.created <= now + FUTURE_SECONDS or one.id == made]
    reasons: dict[str, list[str]] = {one.id: ["future"] for one in future}
    last = next((one for one in past if one.complete), None)
    if last is None:
        # Nothing that is whole: what is left is all there is.
        for one in past:
            reasons[one.id] = ["last"]
    else:
        reasons[last.id] = ["last"]
    for period, form in PERIODS.items():
        best: dict[str, Kept] = {}
        for one in past:
            name = datetime.fromtimestamp(one.created, timezone.utc).astimezone(zone).strftime(form)
            # The newest complete one; an incomplete one only where there is no other.
            if name not in best or (one.complete and not best[name].complete):
                best[name] = one
        for name in list(best)[: keep[period]]:
            reasons.setdefault(best[name].id, []).append(period)
    for one in past:
        if one.complete and max(0.0, now - one.created) < 3600 * keep.get("hours", 0):
            reasons.setdefault(one.id, []).append("hours")
    remove = [one.id for one in reversed(past) if one.id not in reasons]
    return Decision(reasons, remove, [one.id for one in reversed(future)])
