# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict as a pure function: what it is for what was found, and how findings live from drill to drill."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.steady import is_red, judge_steady
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.verdict import Drill, judge, switch_of

SAY = AREA.reporter(source="drill_scratch")
DRILL = Drill("run-1", "2026-11-23T02:00:00.000Z", 1, 300.0, 5.0, "Chen Jing", 14)
OVER = {"outcome": "done", "rto_s": 4.0, "rpo_s": 0.0, "steps": [{"step": "quiesce", "seconds": 1.5}]}


def check(status: Status = Status.OK, item: str = "replica", check_id: str = "drill.restored") -> Check:
    sentence = "drill.restored_in" if status is Status.OK else "drill.restored_not"
    return SAY.find(check_id, status, sentence, item=item, seconds=1.0, error="broken")


def rehearsal(source: str = "replica", *checks: Check, **more: Any) -> dict[str, Any]:
    found = list(checks) or [check(item=source)]
    states = {one.status for one in found}
    verdict = "failed" if Status.CRITICAL in states else "inconclusive" if Status.UNKNOWN in states else "passed"
    told = {
        "source": source, "name": source, "host": "tutor2", "verdict": verdict, "served": verdict == "passed",
        "rto_s": 2.0 if verdict == "passed" else None, "rpo_s": 0.1, "seconds": {"restore": 0.5, "total": 2.0}, "rows": {"a": 3},
        "checks": [one.as_dict() for one in found],
    }  # fmt: skip
    return {**told, **more}


def judged(
    *rehearsals: dict[str, Any], checks: tuple[Check, ...] = (), past: tuple[dict[str, Any], ...] = (), **more: Any
) -> dict[str, Any]:
    switches = more.pop("switchovers", [])
    return judge(replace(DRILL, **more), rehearsals, switches, checks, past)[0]


def reasons(record: dict[str, Any]) -> list[str]:
    return [one["id"] for one in record["reasons"]]


def test_everything_well_is_passed() -> None:
    record = judged(rehearsal("snapshot", rpo_s=7200.0), rehearsal("replica"), rehearsal("moment"))
    assert record["verdict"] == "passed" and not record["reasons"] and not record["findings"]
    assert (record["rto_s"], record["rpo_s"]) == (2.0, 0.1), "those of the standby"


def test_a_critical_check_anywhere_fails() -> None:
    bad = check(Status.CRITICAL, "snapshot")
    assert judged(rehearsal("snapshot", bad), rehearsal("replica"))["verdict"] == "failed"
    assert judged(rehearsal("replica"), checks=(bad,))["verdict"] == "failed"


@pytest.mark.parametrize(
    "rehearsals",
    [
        (),
        (rehearsal("replica", check(Status.UNKNOWN)),),
        (rehearsal("snapshot"), {"name": "replica", "host": "tutor2", "failed": True, "msg": "timed out"}),
        (rehearsal("snapshot"), {"name": "replica", "host": "tutor2", "skipped": True}),
        (rehearsal("replica", served=False, rto_s=None),),
    ],
    ids=["nothing tried", "could not look", "task failed", "not tried", "application not started"],
)
def test_what_was_not_seen_is_inconclusive(rehearsals: tuple[dict[str, Any], ...]) -> None:
    record = judged(*rehearsals)
    assert record["verdict"] == "inconclusive" and record["reasons"]


def test_failed_goes_before_inconclusive() -> None:
    record = judged(rehearsal("replica", check(Status.UNKNOWN)), checks=(check(Status.CRITICAL, "x"),))
    assert record["verdict"] == "failed" and reasons(record)[0] == "drill.restored"


def test_a_warning_is_a_finding_and_no_reason() -> None:
    record = judged(rehearsal(), checks=(check(Status.WARNING, "snapshot"),))
    assert record["verdict"] == "passed" and [one["owner"] for one in record["findings"]] == ["Chen Jing"]
    assert (record["findings"][0]["since"], record["findings"][0]["due"]) == ("2026-11-23", "2026-12-07")


@pytest.mark.parametrize(
    ("more", "reason"), [({"rto": 1.9}, "drill.rto"), ({"rpo": 0.09}, "drill.rpo"), ({"rto": 2.0, "rpo": 0.1}, "")]
)
def test_targets(more: dict[str, float], reason: str) -> None:
    record = judged(rehearsal(), **more)
    assert reasons(record) == ([reason] if reason else [])
    assert record["verdict"] == ("failed" if reason else "passed")


def test_without_a_standby_the_backup_counts() -> None:
    record = judged(rehearsal("snapshot", rpo_s=3600.0), rpo=7200.0)
    assert record["verdict"] == "passed" and record["rpo_s"] == 3600.0


@pytest.mark.parametrize(
    ("closed", "error", "verdict"),
    [
        (OVER, "", "passed"),
        ({**OVER, "outcome": "rolled_back", "msg": "taken back"}, "", "failed"),
        ({**OVER, "outcome": "degraded"}, "", "failed"),
        ({"outcome": "refused", "steps": [{"step": "look", "seconds": 1.0}]}, "", "failed"),
        ({}, "the rehearsal in scratch did not pass", "inconclusive"),
        ({"outcome": "nothing"}, "", "inconclusive"),
    ],
)
def test_level_2(closed: dict[str, Any], error: str, verdict: str) -> None:
    switches = [switch_of("switchover", closed, error), switch_of("failback", OVER, "")]
    record = judged(rehearsal(), level=2, switchovers=switches)
    assert record["verdict"] == verdict
    if verdict == "passed":
        assert (record["rto_s"], record["rpo_s"]) == (4.0, 0.0), "of the real ones"
        assert {"part": "failback", "step": "quiesce", "seconds": 1.5} in record["steps"]


def test_level_2_without_any_switchover_is_inconclusive() -> None:
    assert judged(rehearsal(), level=2)["verdict"] == "inconclusive"


def test_findings_live_until_they_are_seen_well() -> None:
    first = judged(rehearsal(), checks=(check(Status.CRITICAL, "a"), check(Status.CRITICAL, "b")))
    assert [one["key"] for one in first["findings"]] == ["drill.restored|a", "drill.restored|b"]
    # b is seen well, a not looked at, c is new: a comes first, with the date it had.
    second = judged(
        rehearsal(), checks=(check(item="b"), check(Status.CRITICAL, "c")), past=(first,), at="2026-12-21T02:00:00Z"
    )
    assert [(one["key"], one["since"], one["overdue"]) for one in second["findings"]] == [
        ("drill.restored|a", "2026-11-23", True),
        ("drill.restored|c", "2026-12-21", False),
    ]
    assert [one["key"] for one in second["closed"]] == ["drill.restored|b"]
    third = judged(
        rehearsal(), checks=(check(item="a"), check(item="c")), past=(first, second), at="2027-01-18T02:00:00Z"
    )
    assert third["findings"] == [] and len(third["closed"]) == 2 and third["verdict"] == "passed"


def test_a_skipped_check_closes_nothing() -> None:
    first = judged(rehearsal(), checks=(check(Status.CRITICAL, "a"),))
    second = judged(
        rehearsal(),
        checks=(SAY.find("drill.restored", Status.SKIPPED, "drill.restored_not", item="a", error=""),),
        past=(first,),
    )
    assert [one["key"] for one in second["findings"]] == ["drill.restored|a"] and not second["closed"]


def test_an_overdue_finding_warns() -> None:
    first = judged(rehearsal(), checks=(check(Status.CRITICAL, "a"),))
    _record, made = judge(replace(DRILL, at="2026-12-08T00:00:00Z"), [rehearsal()], [], [], [first])
    overdue = [one for one in made if one.id == "drill.overdue"]
    assert [(one.status, one.item) for one in overdue] == [(Status.WARNING, "drill.restored|a")]
    assert "was due 2026-12-07 (Chen Jing)" in overdue[0].summary
    _record, made = judge(replace(DRILL, at="2026-12-07T00:00:00Z"), [rehearsal()], [], [], [first])
    assert not [one for one in made if one.id == "drill.overdue"], "the day itself is in time"


def test_trend_is_of_the_last_six_and_this_one() -> None:
    past: list[dict[str, Any]] = []
    for month in range(1, 9):
        past.append(judged(rehearsal(rto_s=float(month)), past=tuple(past[-6:]), at=f"2026-{month:02d}-01T00:00:00Z"))
    record = judged(rehearsal(), past=tuple(past[-6:]))
    assert [one["rto_s"] for one in record["trend"]] == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 2.0]


STATUSES = st.lists(st.sampled_from(list(Status)), max_size=8)


@given(STATUSES)
def test_passed_means_that_nothing_was_bad_or_unseen(statuses: list[Status]) -> None:
    found = tuple(check(status, f"{number}") for number, status in enumerate(statuses))
    record = judged(rehearsal(), checks=found)
    expected = "failed" if Status.CRITICAL in statuses else "inconclusive" if Status.UNKNOWN in statuses else "passed"
    assert record["verdict"] == expected
    assert bool(record["reasons"]) == (expected != "passed")


def look(*checks: Check) -> dict[str, Any]:
    return {"checks": [one.as_dict() for one in checks]}


@pytest.mark.parametrize(
    ("before", "after", "states"),
    [
        (look(check()), look(check()), [0, 0]),
        (look(check(Status.WARNING)), look(check(Status.WARNING)), [0, 0]),
        (look(check(Status.CRITICAL)), {}, [3, 3]),
        (look(check()), look(check(Status.CRITICAL)), [0, 2]),
        (look(check(Status.CRITICAL)), look(check(Status.CRITICAL)), [3, 0]),
        (look(check(Status.UNKNOWN)), look(check()), [3, 0]),
        ({"msg": "timed out", "failed": True}, look(check()), [3, 0]),
    ],
)
def test_the_live_system_before_and_after(before: dict[str, Any], after: dict[str, Any], states: list[int]) -> None:
    say = AREA.reporter()
    found = list(judge_steady(say, {"tutor1": before}, {"tutor1": after}))
    assert [int(one.status) for one in found] == states
    assert is_red(before) == (states[0] != 0)


def test_a_finding_of_nobody_gets_the_owner_who_is_named_later() -> None:
    first = judged(rehearsal(), checks=(check(Status.CRITICAL, "a"),), owner="")
    assert first["findings"][0]["owner"] == ""
    second = judged(rehearsal(), past=(first,), owner="Li Wei")
    assert second["findings"][0]["owner"] == "Li Wei"
    assert judged(rehearsal(), past=(second,), owner="Zhao Min")["findings"][0]["owner"] == "Li Wei", "and keeps it"


@pytest.mark.parametrize(
    "standby", [rehearsal("replica", check(Status.UNKNOWN)), {"name": "replica", "failed": True, "msg": "gone"}]
)
def test_the_age_of_a_backup_is_no_measure_for_a_standby_that_was_not_seen(standby: dict[str, Any]) -> None:
    record = judged(rehearsal("snapshot", rpo_s=7200.0), standby)
    assert record["verdict"] == "inconclusive" and record["rto_s"] is None and record["rpo_s"] is None
