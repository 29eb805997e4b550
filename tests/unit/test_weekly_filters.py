# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the weekly maintenance."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bilingual_tutor.ops.plugins.filter.weekly import ops_day, ops_history


@pytest.mark.parametrize(
    ("now", "zone", "day"),
    [
        ("2026-11-23T03:00:00Z", "Asia/Shanghai", "mon"),
        ("2026-11-23T16:30:00Z", "Asia/Shanghai", "tue"),  # half past midnight there
        ("2026-11-23T16:30:00Z", "UTC", "mon"),
        ("2026-11-27T12:00:00+08:00", "Asia/Shanghai", "fri"),
        ("2026-11-28T12:00:00+08:00", "Asia/Shanghai", "sat"),
        ("2026-11-29T12:00:00+08:00", "Asia/Shanghai", "sun"),
    ],
)
def test_the_day_is_that_of_the_operators(now: str, zone: str, day: str) -> None:
    assert ops_day(zone, now) == day


def test_without_a_moment_it_is_today() -> None:
    assert ops_day("UTC") in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="Mars/Olympus"):
        ops_day("Mars/Olympus")


def test_series_of_a_host() -> None:
    records = [{"host": "a", "at": "2026-11-01T00:00:00Z", "points": '[["disk.used", "/", 41.5]]'}]
    assert ops_history(records, "a") == {"disk.used|/": [[1793491200, 41.5]]}
    assert ops_history(records, "b") == {}


def test_a_broken_record_is_an_error_to_read() -> None:
    with pytest.raises(AnsibleFilterError, match="not a record of a run"):
        ops_history([{"host": "a"}], "a")
