# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow queries: which are one kind, which are new, how many, from a log in which each line stands twice."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance.slow import without_literals
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import slow_queries
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare


def slow(query: str, seconds: float, minutes: float = 60) -> str:
    at = datetime.now() - timedelta(minutes=minutes)
    return f"{at:%Y-%m-%d %H:%M:%S} - bilingual_tutor - WARNING - 慢查询检测: {query} 耗时 {seconds:.3f}s\n"


class Log:
    """One application log, looked at with one probe and its state."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.log"
        self.options: dict[str, Any] = {"kind": "slow_queries", "name": "app", "paths": [str(self.path)]}
        self.state: dict[str, Any] = {}

    def look(self, *lines: str) -> dict[str, Check]:
        self.path.write_text("".join(lines), encoding="utf-8")
        result = slow_queries.probe(prepare(self.options).spec, self.state, Deadline(10))
        self.state = json.loads(json.dumps(result.state))
        return {check.id: check for check in result.checks}

    def a_week_passes(self) -> None:
        week = (datetime.now(timezone.utc) - timedelta(weeks=1)).isocalendar()
        name = f"{week[0]}-W{week[1]:02d}"
        self.state["weeks"] = dict.fromkeys([name], *self.state["weeks"].values())
        self.state["kinds"] = {kind: [name, name] for kind in self.state["kinds"]}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT * FROM t WHERE id = 17", "SELECT * FROM t WHERE id = -3.5e2"),
        ("SELECT 'it''s', x'00'", "SELECT 'other', 'long'"),
        ("SELECT * FROM t WHERE id IN (1, 2, 3)", "SELECT * FROM t WHERE id IN (4,5)"),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT INTO t VALUES (9, 'z'), (8, 'y'), (7, 'x')"),
        ("SELECT  a\tFROM t -- why\n", "SELECT a FROM t /* how */;"),
        ("SELECT * FROM t WHERE a = :name", "SELECT * FROM t WHERE a = ?"),
    ],
)
def test_literals_make_no_other_kind(one: str, other: str) -> None:
    assert without_literals(one) == without_literals(other)


@pytest.mark.parametrize(
    ("one", "other"), [("SELECT a FROM t1", "SELECT a FROM t2"), ("get_due_reviews", "count_vocabulary")]
)
def test_names_do(one: str, other: str) -> None:
    assert without_literals(one) != without_literals(other)


def test_no_slow_query_is_good(log: Log) -> None:
    found = log.look("2026-11-23 01:02:03 - bilingual_tutor - INFO - 数据库已打开\n")
    assert found["slow_query.rate"].status is Status.OK
    assert found["slow_query.rate"].value == 0


def test_a_line_that_stands_twice_counts_once(log: Log) -> None:
    one = slow("get_due_reviews", 0.4)
    found = log.look(one, one, one, slow("get_due_reviews", 0.5))
    assert found["slow_query.rate"].params["count"] == 2


@pytest.mark.parametrize(("count", "status"), [(160, Status.OK), (180, Status.WARNING), (3400, Status.CRITICAL)])
def test_rate_of_a_week(log: Log, count: int, status: Status) -> None:
    found = log.look(*(slow(f"SELECT {n}", 0.2 + n / 10000) for n in range(count)))
    assert found["slow_query.rate"].status is status
    assert found["slow_query.rate"].params["kinds"] == 1


@pytest.mark.parametrize(("seconds", "status"), [(0.9, Status.OK), (1.2, Status.WARNING), (6.0, Status.CRITICAL)])
def test_the_slowest(log: Log, seconds: float, status: Status) -> None:
    found = log.look(slow("a", 0.1), slow("SELECT * FROM users WHERE email = 'x@y.cn'", seconds))
    assert found["slow_query.worst"].status is status
    assert "x@y.cn" not in json.dumps(found["slow_query.worst"].as_dict())


def test_evidence_ranks_by_time_together(log: Log) -> None:
    found = log.look(slow("rare", 0.9), *(slow("often", 0.2 + n / 1000) for n in range(10)))
    lines = found["slow_query.rate"].evidence
    assert "often" in lines[0]
    assert "rare" in lines[1]


def test_new_kinds_are_told_from_the_second_week_on(log: Log) -> None:
    found = log.look(slow("known", 0.3))
    assert found["slow_query.new"].status is Status.OK
    log.a_week_passes()
    assert log.look(slow("known", 0.3))["slow_query.new"].status is Status.OK
    for _turn in range(2):  # a second look within the week finds the same
        found = log.look(slow("known", 0.3), slow("fresh", 0.3))
        assert found["slow_query.new"].status is Status.WARNING
        assert found["slow_query.new"].evidence == ["fresh"]


def test_older_lines_than_the_window_do_not_count(log: Log) -> None:
    found = log.look(slow("old", 9.0, minutes=8 * 1440), slow("now", 0.2))
    assert found["slow_query.rate"].params["count"] == 1


def test_another_pattern(log: Log) -> None:
    log.options["pattern"] = r"slow: (?P<milliseconds>\d+) ms (?P<query>.+)"
    found = log.look("slow: 1500 ms SELECT 1\n", "slow: 1500 ms SELECT 2\n")
    assert found["slow_query.worst"].value == 1.5
    assert found["slow_query.rate"].params == {**found["slow_query.rate"].params, "count": 2, "kinds": 1}


def test_the_usual_number_is_told_once_it_is_known(log: Log) -> None:
    weeks = [(datetime.now(timezone.utc) - timedelta(weeks=back)).isocalendar() for back in (1, 2)]
    log.state["weeks"] = {f"{w[0]}-W{w[1]:02d}": {"count": 10 * n, "total": 1.0} for n, w in enumerate(weeks, 1)}
    found = log.look(slow("a", 0.2))["slow_query.rate"]
    assert (found.message, found.params["usual"]) == ("slow_query.compared", 15)
