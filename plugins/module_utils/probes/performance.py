# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performance report of a week: response times and errors of each endpoint from the access log, and the trend.

Percentiles come from a histogram with an error of at most 1 %, so that memory does not grow with the log: 500,000 lines
or 120 MB take some 9 seconds and 10 MB. Read are the live files and those they were rotated to (also ``.gz``), the newest
first, until the window, ``max_bytes`` or the time ends; what was left out is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Range, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import DAY, TOP
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance import area, weeks, window
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance.formats import parser
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance.requests import (
    ALL,
    Group,
    Requests,
    figures,
    slowest,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult

AREA = area.AREA
TIMEOUT = 40.0
OPTIONS: dict[str, dict[str, Any]] = {
    **window.OPTIONS,
    "format": {"type": "str", "default": "auto"},
    "endpoints": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "warn": {"type": "str"},
            "crit": {"type": "str"},
        },
    },
    "ignore_paths": {"type": "list", "elements": "str", "default": []},
    "min_requests": {"type": "int", "default": 100},
}
# Below this nobody feels a difference.
FELT_SECONDS = 0.2
# A path asked for less often says nothing about itself.
PATH_REQUESTS = 5


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    window.validate(spec)
    parser(spec["format"])
    for path in [*spec["ignore_paths"], *(one["path"] for one in spec["endpoints"])]:
        if not path.startswith("/"):
            raise OpsError(f"{path!r} is not the begin of a path: expected for example /api/content")
    for endpoint in spec["endpoints"]:
        for level in ("warn", "crit"):
            if endpoint[level]:
                Range.parse(endpoint[level])


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Read the window; the state holds the figures of the last eight weeks."""
    say = AREA.reporter(spec.get("thresholds"), source="access log")
    now = time.time()
    item = spec.get("name") or ", ".join(spec["paths"])
    reader = Requests(
        parser(spec["format"]),
        [one["path"] for one in spec["endpoints"]],
        spec["ignore_paths"],
        now - spec["days"] * DAY,
    )
    seen = window.read_window(spec, reader, now, deadline)
    checks = [*seen.checks, *_coverage(say, item, seen, reader)]
    week, known = weeks.week_of(now), dict(previous.get("weeks") or {})
    timed = reader.groups[ALL].times.count
    if reader.groups[ALL].requests:
        checks.append(_times(say, item, reader.groups[ALL]))
    told = {}
    for name, group in reader.groups.items():
        checks += _errors(say, name, group, spec)
        if timed:
            checks += _response(say, name, group, reader, spec)
        if group.times.count >= spec["min_requests"]:
            told[name] = figures(group)
            checks.append(_trend(say, name, told[name], weeks.earlier(known, week)))
    return ProbeResult(checks, {"weeks": weeks.kept(known, week, told)})


def _coverage(say: Reporter, item: str, seen: window.Coverage, reader: Requests) -> Iterator[Check]:
    if not seen.files:
        return
    words: dict[str, Any] = {**seen.words, "unread_lines": reader.unread, "lines": reader.lines}
    if reader.unread * 2 > reader.lines:
        yield say.find("performance.read", Status.WARNING, "performance.foreign", item=item, **words)
    elif seen.cut:
        yield say.find("performance.read", Status.WARNING, "performance.cut", item=item, **words)
    else:
        yield say.find("performance.read", Status.OK, "performance.whole", item=item, **words)


def _times(say: Reporter, item: str, group: Group) -> Check:
    words: dict[str, Any] = {"timed": group.times.count, "requests": group.requests}
    if group.times.count:
        return say.find("performance.times", Status.OK, "performance.timed", item=item, **words)
    return say.find("performance.times", Status.SKIPPED, "performance.no_times", item=item, **words)


def _errors(say: Reporter, name: str, group: Group, spec: Mapping[str, Any]) -> Iterator[Check]:
    words: dict[str, Any] = {"days": spec["days"], "requests": group.requests, "wanted": spec["min_requests"]}
    evidence = [f"{count}x {what}" for what, count in group.failed.most_common(TOP - 1)]
    evidence.append(", ".join(f"{kind}: {count}" for kind, count in sorted(group.classes.items())))
    if not group.requests:
        if name == ALL:
            yield say.find(
                "performance.errors", Status.OK, "performance.no_requests", name, "insufficient_data", **words
            )
    elif group.requests < spec["min_requests"]:
        few = "insufficient_data"
        yield say.find("performance.errors", Status.OK, "performance.few", name, few, evidence=evidence, **words)
    else:
        failed = group.classes["5xx"]
        yield say.measure(
            "performance.errors", 100.0 * failed / group.requests, "performance.share", name,
            min=0, max=100, evidence=evidence, failed=failed, **words,
        )  # fmt: skip


def _response(say: Reporter, name: str, group: Group, reader: Requests, spec: Mapping[str, Any]) -> Iterator[Check]:
    words: dict[str, Any] = {"days": spec["days"], "wanted": spec["min_requests"], **figures(group)}
    if not group.requests:
        return
    if group.times.count < spec["min_requests"]:
        yield say.find("performance.response", Status.OK, "performance.few", name, "insufficient_data", **words)
        return
    paths = (
        reader.paths if name == ALL else {path: times for path, times in reader.paths.items() if path.startswith(name)}
    )
    own: Mapping[str, Any] = next((one for one in spec["endpoints"] if one["path"] == name), {})
    levels = {level: own[level] for level in ("warn", "crit") if own.get(level)}
    if levels:
        # The other level stays as it is for all endpoints.
        limits = {**dict(zip(("warn", "crit"), say.limits("performance.response"))), **levels}
        say = AREA.reporter({"performance.response": limits}, say.source)
    value = words.pop("p95")
    yield say.measure(
        "performance.response", value, "performance.percentiles", name,
        min=0, evidence=slowest(paths, PATH_REQUESTS, TOP), **words,
    )  # fmt: skip


def _trend(say: Reporter, name: str, told: Mapping[str, float], before: Mapping[str, Any]) -> Check:
    past = {week: groups[name] for week, groups in before.items() if name in groups}
    usual = weeks.usual(past, "p95")
    if not usual:
        few = {"weeks": len(past), "wanted": weeks.ENOUGH_WEEKS}
        return say.find("performance.trend", Status.OK, "performance.begin", name, "insufficient_data", **few)
    change = 100.0 * (told["p95"] - usual) / usual
    words: dict[str, Any] = {"now": told["p95"], "before": usual, "weeks": len(past)}
    words["evidence"] = [f"{week}: p95 {one['p95']:.3f} s, {one['requests']} requests" for week, one in past.items()]
    if told["p95"] < FELT_SECONDS:
        return say.find("performance.trend", Status.OK, "performance.fast", name, value=change, **words)
    return say.measure("performance.trend", change, "performance.slower", name, **words)
