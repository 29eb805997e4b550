# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Percentiles of the histogram against those of the sorted times."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance.histogram import ERROR, Histogram

TIMES = st.lists(st.floats(min_value=1e-6, max_value=86400, allow_nan=False), min_size=1, max_size=200)


def filled(times: list[float]) -> Histogram:
    histogram = Histogram()
    for seconds in times:
        histogram.add(seconds)
    return histogram


@given(TIMES, st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_quantile_is_within_one_percent_of_the_exact_one(times: list[float], share: float) -> None:
    exact = sorted(times)[max(1, math.ceil(share * len(times))) - 1]
    assert abs(filled(times).quantile(share) - exact) <= exact * ERROR * 1.0001


@given(TIMES)
def test_largest_count_and_sum_are_exact(times: list[float]) -> None:
    histogram = filled(times)
    assert (histogram.largest, histogram.count) == (max(times), len(times))
    assert math.isclose(histogram.total, sum(times))


def test_a_million_different_times_take_few_buckets() -> None:
    dice = random.Random(3)
    histogram = filled([dice.lognormvariate(-3, 3) for _turn in range(100_000)])
    assert len(histogram._buckets) < 1300


def test_nothing_and_zero() -> None:
    assert Histogram().quantile(0.95) == 0
    assert filled([0.0] * 10).quantile(0.95) == 0
