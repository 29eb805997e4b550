# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a figure is going: a robust line through its past, how sure that is, and when it reaches a limit. Pure.

The slope is the median of the slopes of all pairs of points (Theil and Sen): three of ten points may be nonsense without
moving it. A trend counts only when it is steady (the line explains more than 70 % of the variance) and significant (the
95 % interval of the slope, after Kendall, lies above zero).

What grows and is cleaned up again and again (logs and their rotation) is a saw, and its teeth say nothing about when it
is full: of those only the last tooth counts, and only once it has grown above all others, since the cleaning then failed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

DAY = 86400.0
WEEK = 7.0
# Fewer points, or points closer together than this, are no history.
LEAST_POINTS = 5
LEAST_DAYS = 3.0
STEADY = 0.7
# Standard deviation of normal noise as a multiple of the median of what it is off; share of the points that must be kept.
SIGMA = 1.4826
KEPT = 0.8
# Quantile of the normal distribution for an interval of 95 %.
NORMAL_95 = 1.96
# A fall of more than this share of all that the series ever moved is somebody cleaning up, not noise.
FALL = 0.3
# The same as a share of the limit: a disk that swings by less than this is not being cleaned up.
LEAST_FALL = 0.03

Point = tuple[float, float]


@dataclass(frozen=True)
class Forecast:
    """What a series says. ``kind`` is ``rising``, ``flat``, ``saw`` or ``short``; only a rising one has ``days`` left.

    ``slope`` is per day, ``low`` and ``high`` its 95 % interval; ``steady`` is R2 of the line. ``soonest`` and ``latest``
    are the days left at the ends of the interval, None for "never" and where there is no forecast.
    """

    kind: str
    points: int
    span: float
    slope: float = 0.0
    low: float = 0.0
    high: float = 0.0
    steady: float = 0.0
    days: float | None = None
    soonest: float | None = None
    latest: float | None = None
    falls: int = 0
    peak: float = 0.0


def forecast(series: Iterable[Sequence[float]], limit: float) -> Forecast:
    """Return the forecast of a series of (unix time, value) for the day it reaches a limit; the order does not matter."""
    points = _clean(series)
    teeth = _teeth(points, limit)
    last = teeth[-1] if teeth else []
    falls, peak = max(0, len(teeth) - 1), max((value for _at, value in points), default=0.0)
    if falls > 1 and last:
        earlier = max(value for tooth in teeth[:-1] for _at, value in tooth)
        if last[-1][1] <= earlier:
            return Forecast("saw", len(points), _span(points), falls=falls, peak=peak)
    span = _span(last)
    if len(last) < LEAST_POINTS or span < LEAST_DAYS:
        return Forecast("short", len(last), span, falls=falls, peak=peak)
    days = [(at - last[0][0]) / DAY for at, _value in last]
    values = [value for _at, value in last]
    slope, low, high = theil_sen(days, values)
    steady = explained(days, values, slope)
    if slope <= 0 or low <= 0 or steady <= STEADY:
        return Forecast("flat", len(last), span, slope, low, high, steady, falls=falls, peak=peak)
    left = max(0.0, limit - values[-1])
    return Forecast(
        "rising", len(last), span, slope, low, high, steady, left / slope, left / high, left / low, falls, peak
    )


def per_week(series: Iterable[Sequence[float]]) -> float | None:
    """Return how much a figure grows in a week, None when its past is shorter than three days."""
    points = _clean(series)
    if len(points) < 2 or _span(points) < LEAST_DAYS:
        return None
    slope, _low, _high = theil_sen([at / DAY for at, _value in points], [value for _at, value in points])
    return slope * WEEK


def theil_sen(days: Sequence[float], values: Sequence[float]) -> tuple[float, float, float]:
    """Return the slope and its 95 % interval (Sen 1968); of points at one moment there is none."""
    slopes = sorted(
        (values[b] - values[a]) / (days[b] - days[a])
        for a in range(len(days))
        for b in range(a + 1, len(days))
        if days[b] != days[a]
    )
    if not slopes:
        return 0.0, 0.0, 0.0
    count = len(days)
    reach = NORMAL_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    first = math.floor((len(slopes) - reach) / 2)
    last = math.ceil((len(slopes) + reach) / 2)
    # Too few points for an interval: then it is all of them.
    return median(slopes), slopes[max(0, first)], slopes[min(len(slopes) - 1, last)]


def explained(days: Sequence[float], values: Sequence[float], slope: float) -> float:
    """Return R2 of the line with this slope through the medians; 0 where nothing varies.

    Up to a fifth of the points that lie far off (beyond three standard deviations, told from the median) are left out: the
    slope does not mind them, and one odd day must not hide a disk that fills up for weeks.
    """
    base = median(value - slope * day for day, value in zip(days, values))
    off = [abs(value - base - slope * day) for day, value in zip(days, values)]
    far = max(3 * SIGMA * median(off), 1e-9 * max(abs(value) for value in values))
    near = [(value, rest) for value, rest in zip(values, off) if rest <= far]
    if len(near) < KEPT * len(values):
        near = list(zip(values, off))
    mean = sum(value for value, _rest in near) / len(near)
    whole = sum((value - mean) ** 2 for value, _rest in near)
    if whole <= 0:
        return 0.0
    return max(0.0, 1 - sum(rest**2 for _value, rest in near) / whole)


def _clean(series: Iterable[Sequence[float]]) -> list[Point]:
    """Return the points in the order of time, the last of each moment, without what is no number."""
    found = {float(at): float(value) for at, value in series if math.isfinite(at) and math.isfinite(value)}
    return sorted(found.items())


def _span(points: Sequence[Point]) -> float:
    return (points[-1][0] - points[0][0]) / DAY if points else 0.0


def _teeth(points: Sequence[Point], limit: float) -> list[list[Point]]:
    """Split a series where it falls and stays down for the next point too, which noise and one odd point do not."""
    if not points:
        return []
    values = [value for _at, value in points]
    fall = max(FALL * (max(values) - min(values)), LEAST_FALL * limit)
    teeth = [[points[0]]]
    for number in range(1, len(points)):
        before = min(values[max(0, number - 2) : number])
        after = max(values[number : number + 2])
        if before - after > fall:
            teeth.append([])
        teeth[-1].append(points[number])
    return teeth
