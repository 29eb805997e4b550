# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forecast: exact on lines, unmoved by odd points, silent without a steady trend."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.forecast import (
    DAY,
    Forecast,
    forecast,
    per_week,
)

START = 1_795_000_000.0


def daily(values: list[float], start: float = START) -> list[tuple[float, float]]:
    return [(start + day * DAY, value) for day, value in enumerate(values)]


def line(first: float, slope: float, count: int = 14) -> list[float]:
    return [first + slope * day for day in range(count)]


SLOPES = st.floats(min_value=0.05, max_value=3)
FIRSTS = st.floats(min_value=1, max_value=40)
COUNTS = st.integers(min_value=5, max_value=60)


@given(FIRSTS, SLOPES, st.integers(min_value=5, max_value=15))
def test_a_line_is_told_exactly(first: float, slope: float, count: int) -> None:
    values = line(first, slope, count)
    seen = forecast(daily(values), 100)
    assert seen.kind == "rising"
    assert seen.slope == pytest.approx(slope, rel=1e-6)
    assert seen.days == pytest.approx((100 - values[-1]) / slope, rel=1e-6)
    assert seen.soonest <= seen.days * (1 + 1e-9)
    assert seen.latest >= seen.days * (1 - 1e-9)


@given(FIRSTS, SLOPES, st.randoms(use_true_random=False), st.floats(min_value=-3e8, max_value=3e8))
def test_neither_order_nor_the_calendar_matters(first: float, slope: float, dice: random.Random, shift: float) -> None:
    points = daily(line(first, slope))
    moved = [(at + shift, value) for at, value in points]
    dice.shuffle(moved)
    assert forecast(moved, 100).days == pytest.approx(forecast(points, 100).days, rel=1e-3)


@given(st.floats(min_value=0, max_value=100), COUNTS)
def test_what_stands_still_is_never_full(value: float, count: int) -> None:
    assert forecast(daily([value] * count), 100).days is None


@given(FIRSTS, SLOPES, COUNTS)
def test_what_shrinks_is_never_full(first: float, slope: float, count: int) -> None:
    assert forecast(daily(line(first + slope * count, -slope, count)), 200).days is None


@given(st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True)), max_size=12))
def test_no_input_breaks_it(points: list[tuple[float, float]]) -> None:
    points = [point for point in points if all(abs(one) < 1e12 or math.isnan(one) for one in point)]
    seen = forecast(points, 100)
    assert seen.days is None or seen.days >= 0


@given(st.lists(st.floats(min_value=0, max_value=100), min_size=0, max_size=4))
def test_four_days_are_no_history(values: list[float]) -> None:
    assert forecast(daily(values), 100).days is None


def test_five_points_within_a_day_are_no_history() -> None:
    assert forecast([(START + hour * 3600, 50.0 + hour) for hour in range(20)], 100).kind == "short"


@pytest.mark.parametrize("seed", range(20))
def test_noise_around_a_level_gives_no_date(seed: int) -> None:
    dice = random.Random(seed)
    assert forecast(daily([60 + dice.gauss(0, 2) for _day in range(28)]), 100).days is None


@pytest.mark.parametrize("seed", range(20))
def test_odd_points_do_not_move_it(seed: int) -> None:
    dice = random.Random(seed)
    values = [40 + day + dice.gauss(0, 0.3) for day in range(20)]
    values[dice.randrange(2, 17)] += 5
    seen = forecast(daily(values), 100)
    assert seen.days == pytest.approx((100 - values[-1]) / 1.0, rel=0.15)
    assert seen.soonest < seen.days < seen.latest


@pytest.mark.parametrize("period", [4, 5, 7, 10])
def test_a_saw_is_no_trend(period: int) -> None:
    # Grows 5 % a day and is cleaned up: a line through the last tooth says "full in a week" every time.
    values = [40 + 5 * (day % period) for day in range(41)]
    seen = forecast(daily(values), 100)
    assert seen.days is None, seen
    assert seen.kind in ("saw", "flat", "short")


def test_a_saw_that_is_not_cleaned_any_more_is() -> None:
    values = [40 + 4 * (day % 7) for day in range(21)] + [40 + 4 * day for day in range(12)]
    seen = forecast(daily(values), 100)
    assert seen.kind == "rising"
    assert seen.days == pytest.approx((100 - 84) / 4)


def test_after_one_cleaning_the_past_before_it_does_not_count() -> None:
    values = [*line(50, 3, 14), *line(30, 1, 10)]
    seen = forecast(daily(values), 100)
    assert (seen.kind, seen.points, seen.falls) == ("rising", 10, 1)
    assert seen.days == pytest.approx((100 - 39) / 1)


def test_a_line_that_explains_little_gives_no_date() -> None:
    dice = random.Random(5)
    assert forecast(daily([50 + 0.1 * day + dice.gauss(0, 1.2) for day in range(40)]), 100).kind == "flat"


def test_one_low_point_is_no_cleaning() -> None:
    values = line(40, 1, 20)
    values[10] = 25
    seen = forecast(daily(values), 100)
    assert (seen.kind, seen.points, seen.falls) == ("rising", 20, 0)


def test_a_small_swing_is_no_cleaning() -> None:
    assert forecast(daily([60.0 + (day // 2) % 2 for day in range(28)]), 100).kind == "flat"


def test_many_odd_points_are_no_trend() -> None:
    values = line(40, 1, 20)
    values[3::3] = [20.0, 90.0, 25.0, 85.0, 30.0, 80.0]
    assert forecast(daily(values), 100).days is None


def test_a_slope_that_may_as_well_be_none_is_no_trend() -> None:
    # The line explains 81 % of it, but six points with two falls are not enough to be sure.
    seen = forecast(daily([0.0, 6.0, 9.0, 22.0, 22.0, 20.0]), 100)
    assert (seen.kind, seen.steady > 0.8, seen.low) == ("flat", True, 0.0)


def test_what_is_full_is_full_now() -> None:
    assert forecast(daily(line(91, 1, 10)), 100).days == 0


def test_nothing_at_all() -> None:
    assert forecast([], 100) == Forecast("short", 0, 0.0)


def test_growth_in_a_week() -> None:
    assert per_week(daily(line(100, 2))) == pytest.approx(14)
    assert per_week(daily([100.0, 107.0])) is None
    assert per_week([(START, 100.0), (START + 7 * DAY, 130.0)]) == pytest.approx(30)
