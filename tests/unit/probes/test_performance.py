# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performance probe on real logs: formats with and without times, rotated and packed, cut off, week after week."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import performance
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare

ENDPOINTS = [{"path": "/learn", "warn": "3"}, {"path": "/api/content", "warn": "1.5"}, {"path": "/api"}]


def line(rest: str, path: str = "/learn/7?lang=ja", status: int = 200, days: float = 0.1) -> str:
    at = datetime.now(timezone.utc) - timedelta(days=days)
    return (
        f'10.0.0.1 - - [{at:%d/%b/%Y:%H:%M:%S %z}] "GET {path} HTTP/1.1" {status} 512 "-" "Mozilla/5.0 (X11)"{rest}\n'
    )


class Log:
    """One access log, looked at with one probe and its state."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.path = folder / "access.log"
        self.options = {
            "kind": "performance",
            "name": "web",
            "paths": [str(self.path)],
            "endpoints": ENDPOINTS,
            **options,
        }
        self.state: dict[str, Any] = {}

    def write(self, lines: Iterable[str], name: str = "access.log", days: float = 0.0) -> None:
        path = self.path.with_name(name)
        data = "".join(lines).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        os.utime(path, (time.time() - days * 86400,) * 2)

    def look(self, seconds: float = 20) -> dict[str, Check]:
        result = performance.probe(prepare(self.options).spec, self.state, Deadline(seconds))
        self.state = json.loads(json.dumps(result.state))
        return {f"{check.id}|{check.item}": check for check in result.checks}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@pytest.mark.parametrize(
    ("form", "rest"),
    [
        ("auto", " 1.250"),
        ("auto", ' rt=1.250 uct="0.001"'),
        ("auto", ' "1.250"'),
        ("microseconds", " 1250000"),
        ("milliseconds", " 1250"),
        (r'\[(?P<at>[^\]]+)\] "\S+ (?P<path>\S+) [^"]*" (?P<status>\d+) .* took (?P<milliseconds>\d+)', " took 1250"),
    ],
)
def test_times_of_each_format(log: Log, form: str, rest: str) -> None:
    log.options["format"] = form
    log.write([line(rest)] * 120)
    found = log.look()["performance.response|/learn"]
    assert found.status is Status.OK
    assert found.value == pytest.approx(1.25, rel=0.01)
    assert found.params["requests"] == 120


def test_json_lines(log: Log) -> None:
    now = datetime.now(timezone.utc).isoformat()
    one = {"time": now, "status": 503, "request_uri": "/api/content/9", "request_time": "6.2"}
    log.write(json.dumps(one) + "\n" for _turn in range(100))
    found = log.look()
    assert found["performance.response|/api/content"].status is Status.CRITICAL
    assert found["performance.errors|all"].value == 100


def test_a_log_without_times_is_skipped_with_advice(log: Log) -> None:
    log.write([line("")] * 200)
    found = log.look()
    check = found["performance.times|web"]
    assert check.status is Status.SKIPPED
    assert "the log format has no time" in check.summary
    assert "$request_time" in performance.AREA.rules["performance.times"].fix.en
    assert not [key for key in found if key.startswith("performance.response")]
    assert found["performance.errors|all"].value == 0


def test_whole_numbers_are_no_seconds_by_themselves(log: Log) -> None:
    log.write([line(" 1250000")] * 200)
    assert log.look()["performance.times|web"].status is Status.SKIPPED


@pytest.mark.parametrize(
    ("path", "seconds", "status"),
    [
        ("/learn", 2.5, Status.OK),
        ("/learn/n5", 3.5, Status.WARNING),
        ("/learn", 5.5, Status.CRITICAL),
        ("/api/content", 1.6, Status.WARNING),
        ("/api/other", 1.6, Status.OK),
        ("/api/other", 2.1, Status.WARNING),
    ],
)
def test_each_endpoint_has_its_own_levels(log: Log, path: str, seconds: float, status: Status) -> None:
    log.write([line(f" {seconds:.3f}", path)] * 100)
    name = next(one["path"] for one in ENDPOINTS if path.startswith(one["path"]))
    assert log.look()[f"performance.response|{name}"].status is status


def test_a_prefix_is_a_part_of_the_path_not_of_a_word(log: Log) -> None:
    log.write([line(" 9.000", "/learning")] * 100)
    assert "performance.response|/learn" not in log.look()


def test_fewer_requests_than_a_hundred_are_not_judged(log: Log) -> None:
    log.write([line(" 9.000", status=500)] * 99)
    found = log.look()
    assert {found[key].status for key in ("performance.response|all", "performance.errors|all")} == {Status.OK}
    assert found["performance.response|all"].reason == "insufficient_data"


def test_ignored_paths_do_not_thin_the_percentiles(log: Log) -> None:
    log.options["ignore_paths"] = ["/health"]
    log.write([line(" 0.001", "/health")] * 5000 + [line(" 4.000", "/progress")] * 100)
    found = log.look()["performance.response|all"]
    assert found.params["requests"] == 100
    assert found.status is Status.WARNING


def test_errors_are_counted_by_class_and_path(log: Log) -> None:
    log.write([line(" 0.1", "/api/content/17?token=hunter2", 502)] * 8 + [line(" 0.1", status=404)] * 92)
    found = log.look()["performance.errors|all"]
    assert found.status is Status.WARNING
    assert found.evidence == ["8x 502 /api/content/<id>", "4xx: 92, 5xx: 8"]


def test_slowest_paths_are_the_evidence(log: Log) -> None:
    log.write([line(" 3.000", f"/learn/{n}") for n in range(90)] + [line(" 0.010", "/")] * 90)
    assert log.look()["performance.response|all"].evidence[0].startswith("/learn/<id>: p95 2.97")


def test_rotated_and_packed_files_of_the_window_are_read_and_older_requests_left_out(log: Log) -> None:
    log.write([line(" 0.1", days=0)] * 10)
    log.write([line(" 0.1", days=1)] * 20, "access.log.1", days=0.5)
    log.write([line(" 0.1", days=3)] * 40 + [line(" 9.9", days=8)] * 500, "access.log.2.gz", days=2.5)
    log.write([line(" 9.9", days=6)] * 500, "access.log.3.gz", days=9)  # not touched for nine days
    found = log.look()
    assert found["performance.errors|all"].params["requests"] == 70
    assert found["performance.read|web"].status is Status.OK
    assert found["performance.read|web"].params["files"] == 3


def test_what_is_beyond_the_budget_is_told_and_the_newest_is_read(log: Log) -> None:
    log.options["max_bytes"] = 30_000
    log.write([line(" 9.000", days=1)] * 1000 + [line(" 0.100", days=0)] * 150)
    log.write([line(" 9.000", days=1)] * 1000, "access.log.1.gz", days=0.5)
    found = log.look()
    assert found["performance.read|web"].status is Status.WARNING
    assert "older requests are left out" in found["performance.read|web"].summary
    assert found["performance.response|all"].params["p50"] == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("name", ["access.log", "access.log.1.gz"])
def test_one_file_beyond_the_budget_is_told(log: Log, name: str) -> None:
    log.options["max_bytes"] = 30_000
    log.write([])
    log.write([line(" 0.100", f"/{n}") for n in range(1000)], name)
    assert log.look()["performance.read|web"].message == "performance.cut"


@pytest.mark.parametrize("told", ["-", "-1", "nan", "inf", None, [1]])
def test_a_time_that_is_none_is_left_out(log: Log, told: Any) -> None:
    now = datetime.now(timezone.utc).isoformat()
    one = {"time": now, "status": 200, "uri": "/", "request_time": told}
    log.write([json.dumps(one) + "\n"] * 100)
    assert log.look()["performance.times|web"].status is Status.SKIPPED


def test_a_foreign_format_is_told(log: Log) -> None:
    log.write(["something else entirely\n"] * 100)
    assert log.look()["performance.read|web"].status is Status.WARNING


def test_a_missing_log_is_told(log: Log) -> None:
    assert log.look()[f"log.missing|{log.path}"].status is Status.WARNING


def past(seconds: float, weeks: int) -> dict[str, Any]:
    """Return a state with so many earlier weeks of that response time."""
    moments = (datetime.now(timezone.utc) - timedelta(weeks=week) for week in range(1, weeks + 1))
    names = [f"{m.isocalendar()[0]}-W{m.isocalendar()[1]:02d}" for m in moments]
    return {"weeks": {name: {"all": {"p95": seconds, "requests": 500}} for name in names}}


@pytest.mark.parametrize(
    ("before", "weeks", "now", "status"),
    [
        (1.0, 8, 1.4, Status.OK),
        (1.0, 8, 1.6, Status.WARNING),
        (1.0, 2, 1.6, Status.WARNING),
        (1.0, 1, 1.6, Status.OK),  # one week is not what is usual
        (0.01, 8, 0.1, Status.OK),  # ten times as slow, and nobody feels it
        (4.0, 8, 1.0, Status.OK),
    ],
)
def test_trend_against_the_median_of_earlier_weeks(
    log: Log, before: float, weeks: int, now: float, status: Status
) -> None:
    log.state = past(before, weeks)
    log.write([line(f" {now:.3f}")] * 100)
    assert log.look()["performance.trend|all"].status is status


def test_a_second_look_in_a_week_is_not_compared_with_the_first(log: Log) -> None:
    log.state = past(1.0, 3)
    log.write([line(" 1.800")] * 100)
    first, second = (log.look()["performance.trend|all"] for _turn in range(2))
    assert first.status is second.status is Status.WARNING
    assert first.params["weeks"] == second.params["weeks"] == 3


def test_state_keeps_eight_weeks_and_this_one(log: Log) -> None:
    log.state = past(1.0, 20)
    log.write([line(" 1.000")] * 100)
    log.look()
    assert len(log.state["weeks"]) == 9


def test_many_different_paths_and_a_huge_line_keep_memory_small(log: Log) -> None:
    log.write([*(line(" 0.1", f"/x{n}") for n in range(3000)), "x" * 3_000_000 + "\n", line(" 0.1")])
    found = log.look()
    assert found["performance.errors|all"].params["requests"] == 3001
