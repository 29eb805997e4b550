# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check record, its ranges and the arithmetic on lists."""

from __future__ import annotations

import json
import math

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import (
    EVIDENCE_LINES,
    Check,
    Range,
    Status,
    by_severity,
    counts,
    worst,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError


def make(status: Status = Status.OK, **rest) -> Check:
    given = {"id": "disk.used", "group": "host", "item": "/", "reason": "ok", "summary": "s", "message": "m", **rest}
    return Check(status=status, **given)


# The table of the Monitoring Plugins Development Guidelines: range, values that alert, values that do not.
@pytest.mark.parametrize(
    ("text", "alerting", "quiet"),
    [
        ("10", [-1, 10.1], [0, 10]),
        ("10:", [9.9, -1], [10, 1e9]),
        ("~:10", [10.1], [-1e9, 10]),
        ("10:20", [9.9, 20.1], [10, 20]),
        ("@10:20", [10, 15, 20], [9.9, 20.1]),
        ("0", [1, -1], [0]),
        ("-5:.5", [-5.1, 0.6], [-5, 0.5]),
    ],
)
def test_range_alerts_as_the_guidelines_say(text, alerting, quiet):
    parsed = Range.parse(text)
    assert all(parsed.alerts(value) for value in alerting)
    assert not any(parsed.alerts(value) for value in quiet)


@pytest.mark.parametrize("text", ["80:x", "", ":", "@", "20:10", "1e3", "80%", "10:20:30", "~", None, "nan"])
def test_range_refuses_what_is_not_a_range_and_shows_it(text):
    with pytest.raises(OpsError) as error:
        Range.parse(text)
    assert repr(str(text).strip()) in str(error.value)


def test_nan_always_alerts():
    assert Range.parse("10").alerts(math.nan)
    assert make(value=math.nan).value is None


def test_worst_puts_unknown_above_ok_and_below_warning():
    order = [Status.SKIPPED, Status.OK, Status.UNKNOWN, Status.WARNING, Status.CRITICAL]
    for number, status in enumerate(order):
        assert worst([make(one) for one in order[: number + 1]]) is status


def test_worst_of_nothing_is_unknown():
    assert worst([]) is Status.UNKNOWN


def test_counts_name_every_status():
    found = counts([make(), make(), make(Status.CRITICAL)])
    assert found == {"ok": 2, "warning": 0, "critical": 1, "unknown": 0, "skipped": 0}


def test_record_survives_json():
    check = make(Status.WARNING, reason="threshold", value=84.2, evidence=["a"], labels={"tier": "cache"})
    again = Check.from_dict(json.loads(json.dumps(check.as_dict())))
    assert again == check
    assert again.status is Status.WARNING


@pytest.mark.parametrize("data", [{}, {"id": "x"}, {**make().as_dict(), "status": 9}])
def test_record_refuses_what_is_not_a_check(data):
    with pytest.raises(OpsError, match=r"ops\.check/1"):
        Check.from_dict(data)


def test_unknown_reason_is_refused():
    with pytest.raises(OpsError, match="mood"):
        make(reason="mood")


def test_evidence_is_bounded():
    check = make(evidence=["x" * 10_000, " ", *map(str, range(50))])
    assert len(check.evidence) == EVIDENCE_LINES
    assert max(map(len, check.evidence)) <= 300


def test_fingerprint_follows_the_reason_and_key_does_not():
    one, other = make(Status.CRITICAL, reason="missing"), make(Status.CRITICAL, reason="denied")
    assert one.key == other.key
    assert one.fingerprint != other.fingerprint


def test_sorting_is_worst_first():
    checks = [make(), make(Status.CRITICAL), make(Status.UNKNOWN), make(Status.SKIPPED), make(Status.WARNING)]
    assert [check.status.name[0] for check in by_severity(checks)] == ["C", "W", "U", "O", "S"]
