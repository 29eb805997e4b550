# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a capacity report adds to the past: one point for each series, taken now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.forecast import (
    LEAST_POINTS,
    Forecast,
    forecast,
    per_week,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import EVIDENCE_LINES, Check, Status


@dataclass(frozen=True)
class Past:
    """The series of this host, by ``check|item``, and the present moment."""

    series: Mapping[str, Sequence[Sequence[float]]]
    now: float

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Past:
        """Return the past that the caller gave."""
        return cls(spec["history"], time.time())

    def with_now(self, value: float, *names: str) -> list[Sequence[float]]:
        """Return the points of one figure under all its names, and the one that was just taken."""
        return [*(point for name in names for point in self.series.get(name, ())), [self.now, value]]

    def change(self, value: float, *names: str) -> tuple[float | None, int]:
        """Return the growth in a week, None when it cannot be told, and how many days it is known from."""
        points = self.with_now(value, *names)
        return per_week(points), len(points)


def judge_eta(
    say: Reporter, check_id: str, item: str, value: float, points: Sequence[Sequence[float]], limit: float = 100.0
) -> Check:
    """Judge when a share in percent reaches its limit."""
    seen = forecast(points, limit)
    words = _words(seen, value)
    if seen.days is not None:
        newest = sorted(points, key=lambda point: point[0])[-EVIDENCE_LINES:]
        words["evidence"] = [f"{time.strftime('%Y-%m-%d', time.gmtime(at))} {share:.1f} %" for at, share in newest]
        return say.measure(check_id, seen.days, "capacity.eta", item, min=0, **words)
    reason = "insufficient_data" if seen.kind == "short" else "ok"
    return say.find(check_id, Status.OK, f"capacity.{seen.kind}", item, reason, **words)


def _words(seen: Forecast, value: float) -> dict[str, Any]:
    return {
        "now": value,
        "week": seen.slope * 7,
        "points": seen.points,
        "span": seen.span,
        "steady": seen.steady,
        "soonest": seen.soonest,
        "latest": seen.latest,
        "falls": seen.falls,
        "peak": seen.peak,
        "wanted": LEAST_POINTS,
    }
