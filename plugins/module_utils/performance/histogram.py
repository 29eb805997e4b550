# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Percentiles of any number of times in a few kilobytes, each within 1 % of the true one."""

from __future__ import annotations

import math
from collections import Counter

# A bucket reaches from GAMMA**(n-1) to GAMMA**n; told is the value that is at most ERROR away from both ends
# (Masson, Rim, Lee: DDSketch, VLDB 2019). From a microsecond to a day these are some 1,250 buckets.
ERROR = 0.01
GAMMA = (1 + ERROR) / (1 - ERROR)
_LOG_GAMMA = math.log(GAMMA)
# No clock that writes access logs knows less.
LEAST = 1e-6


class Histogram:
    """Times in seconds by bucket; the largest and the sum are exact."""

    __slots__ = ("_buckets", "count", "largest", "total")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.total = 0.0
        self.largest = 0.0

    def add(self, seconds: float) -> None:
        """Count one time, 0 or more."""
        self._buckets[math.ceil(math.log(max(seconds, LEAST)) / _LOG_GAMMA)] += 1
        self.count += 1
        self.total += seconds
        self.largest = max(self.largest, seconds)

    def quantile(self, share: float) -> float:
        """Return the time that this share (0 to 1) of all are at or below; 0 of none."""
        wanted = max(1, math.ceil(share * self.count))
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(self.largest, 2 * GAMMA**bucket / (GAMMA + 1))
        return 0.0
