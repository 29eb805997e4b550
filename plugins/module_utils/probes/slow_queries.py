# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow queries of a week from the application's log: how many, of which kinds, which of them are new."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import DAY, TOP
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance import area, weeks, window
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance.slow import (
    PATTERN,
    SlowQueries,
    compiled,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

AREA = area.SLOW
TIMEOUT = 30.0
OPTIONS: dict[str, dict[str, Any]] = {
    **window.OPTIONS,
    "pattern": {"type": "str", "default": PATTERN},
}
MAX_KNOWN = 200


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    window.validate(spec)
    compiled(spec["pattern"])


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Read the window; the state holds counts of the last weeks, and of each kind when it was first and last slow."""
    say = AREA.reporter(spec.get("thresholds"), source="application log")
    now = time.time()
    item = spec.get("name") or ", ".join(spec["paths"])
    reader = SlowQueries(spec["pattern"], now - spec["days"] * DAY)
    seen = window.read_window(spec, reader, now, deadline)
    week, known = weeks.week_of(now), dict(previous.get("weeks") or {})
    # Kind -> [first week, last week]: a second look within a week finds the same ones new.
    kinds: dict[str, list[str]] = {key: list(span) for key, span in (previous.get("kinds") or {}).items()}
    checks = [*seen.checks, *_coverage(say, item, seen)]
    checks += _judge(say, item, reader, spec["days"], weeks.earlier(known, week), kinds, week)
    for key in reader.kinds:
        kinds[key] = [kinds.get(key, [week])[0], week]
    newest = sorted(kinds, key=lambda key: kinds[key][1], reverse=True)[:MAX_KNOWN]
    figures = {"count": reader.count, "total": round(reader.total, 3)}
    return ProbeResult(
        checks, {"weeks": weeks.kept(known, week, figures), "kinds": {key: kinds[key] for key in newest}}
    )


def _coverage(say: Reporter, item: str, seen: window.Coverage) -> Iterator[Check]:
    if seen.cut:
        yield say.find("slow_query.read", Status.WARNING, "slow_query.cut", item=item, **seen.words)
    elif seen.files:
        yield say.find("slow_query.read", Status.OK, "slow_query.whole", item=item, **seen.words)


def _judge(
    say: Reporter,
    item: str,
    reader: SlowQueries,
    days: float,
    before: Mapping[str, Any],
    kinds: Mapping[str, list[str]],
    week: str,
) -> Iterator[Check]:
    usual = weeks.usual(before, "count")
    if not reader.count:
        yield say.find("slow_query.rate", Status.OK, "slow_query.none", item=item, value=0, days=days)
        return
    ranked = sorted(reader.kinds.items(), key=lambda one: -one[1].total)
    new = {key for key in reader.kinds if kinds.get(key, [week])[0] >= week} if before else set()
    evidence = [
        f"{'new ' if key in new else ''}{kind.count}x, {kind.total:.2f} s together, worst {kind.worst:.3f} s: "
        f"{redact(kind.query)}"
        for key, kind in ranked[:TOP]
    ]
    told: dict[str, Any] = {"count": reader.count, "kinds": len(ranked), "days": days, "total": reader.total}
    sentence = "slow_query.counted"
    if usual is not None:
        sentence, told["usual"] = "slow_query.compared", usual
    yield say.measure("slow_query.rate", reader.count / days, sentence, item=item, min=0, evidence=evidence, **told)
    worst = max(reader.kinds.values(), key=lambda kind: kind.worst)
    yield say.measure(
        "slow_query.worst", worst.worst, "slow_query.longest", item=item, min=0, query=redact(worst.query)[:100]
    )
    if not before:
        yield say.find(
            "slow_query.new", Status.OK, "slow_query.first", item=item, reason="insufficient_data", kinds=len(ranked)
        )
        return
    names = [redact(kind.query)[:60] for key, kind in ranked if key in new]
    sentence = "slow_query.news" if names else "slow_query.no_news"
    yield say.measure("slow_query.new", len(names), sentence, item=item, min=0, evidence=names, names=listed(names, 3))
