# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's records as series."""

from __future__ import annotations

import json

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.history import MOST_DAYS, series_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError


def record(at: str, value: float, host: str = "tutor1") -> dict:
    return {"host": host, "at": at, "points": json.dumps([["disk.used", "/", value], ["mem.used", "", 30]])}


def test_one_point_a_day_the_last_one() -> None:
    records = [record("2026-11-01T01:00:00.000Z", 40), record("2026-11-01T09:00:00.000Z", 41)]
    records += [record("2026-11-02T01:00:00.000Z", 42), record("2026-11-02T01:00:00.000Z", 99, "tutor2")]
    found = series_of(records, "tutor1")
    assert set(found) == {"disk.used|/", "mem.used|"}
    assert [value for _at, value in found["disk.used|/"]] == [41, 42]
    assert found["disk.used|/"][0][0] == 1793523600


def test_it_stays_small() -> None:
    records = [
        record(f"202{year}-{month:02d}-{day:02d}T01:00:00Z", day)
        for year in (5, 6)
        for month in range(1, 13)
        for day in range(1, 28)
    ]
    assert len(series_of(records, "tutor1")["disk.used|/"]) == MOST_DAYS


def test_an_unknown_host_has_none() -> None:
    assert series_of([record("2026-11-01T01:00:00Z", 40)], "tutor9") == {}


@pytest.mark.parametrize(
    "broken",
    [
        {"host": "h"},
        {"host": "h", "at": "soon", "points": []},
        {"host": "h", "at": "2026-11-01T00:00:00Z", "points": "[[1]]"},
    ],
)
def test_what_is_no_record_is_named(broken: dict) -> None:
    with pytest.raises(OpsError, match="not a record"):
        series_of([broken], "h")
