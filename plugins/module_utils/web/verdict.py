# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask an endpoint until it is clear how it does, and make its checks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact_url
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.area import AREA, PHASES
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.client import request
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.endpoint import Endpoint
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.exchange import Exchange, Failed

# The third attempt decides: 2 of 3 failed is CRITICAL, 1 of 3 a WARNING, as one lost packet is no outage.
ATTEMPTS = 3
PAUSE = 0.2
DAY = 86400.0


def watch(endpoint: Endpoint, thresholds: Mapping[str, Any], phases: bool, deadline: Deadline) -> list[Check]:
    """Ask one endpoint up to three times and make its checks."""
    if endpoint.limits:
        thresholds = {**thresholds, "http.total": {**thresholds.get("http.total", {}), **endpoint.limits}}
    say = AREA.reporter(thresholds)
    tries: list[Exchange] = []
    budget = deadline.sooner(endpoint.max_time)
    if deadline.expired:
        return [say.find("http.status", Status.UNKNOWN, "http.not_asked", item=endpoint.item, reason="timeout")]
    while True:
        tries.append(request(endpoint, budget.sooner(endpoint.max_time)))
        failed = sum(1 for one in tries if one.failure)
        last = tries[-1].failure
        settled = not failed or failed > 1 or len(tries) == ATTEMPTS or (last and last.sentence == "http.untrusted")
        if settled or budget.remaining() <= PAUSE:
            break
        time.sleep(PAUSE)
    checks = [_answer_check(endpoint, tries, say), *_body_checks(endpoint, tries, say)]
    checks += _time_checks(endpoint, tries, phases, say)
    if endpoint.url.startswith("https:") or any(one.certificate for one in tries):
        checks.append(_certificate_check(endpoint, tries, thresholds))
    return checks


def _failure_of(tries: list[Exchange], check_id: str) -> Exchange | None:
    return next((one for one in reversed(tries) if one.failure and one.failure.check_id == check_id), None)


def _report(endpoint: Endpoint, tries: list[Exchange], bad: Exchange, failure: Failed, say: Reporter) -> Check:
    failed = sum(1 for one in tries if one.failure)
    # One failure is a WARNING only if another attempt succeeded; out of time after the first is an outage.
    status = Status.WARNING if failed < len(tries) and failed == 1 else Status.CRITICAL
    if failure.sentence == "http.too_large" and status is Status.CRITICAL:
        status = Status.WARNING  # it answers, with more than anybody asked for
    evidence = [f"{endpoint.method} {redact_url(endpoint.url)}", *bad.hops, _phases_line(bad)]
    if bad.excerpt:
        evidence.append(f"body: {bad.excerpt}")
    return say.find(
        failure.check_id,
        status,
        failure.sentence,
        item=endpoint.item,
        reason=failure.reason,
        evidence=evidence,
        failed=failed,
        tried=len(tries),
        **failure.params,
    )


def _phases_line(one: Exchange) -> str:
    times = ", ".join(f"{phase} {one.times[phase]:.1f} ms" for phase in PHASES)
    return f"{times}, total {one.seconds:.3f} s"


def _answer_check(endpoint: Endpoint, tries: list[Exchange], say: Reporter) -> Check:
    bad = _failure_of(tries, "http.status")
    if bad and bad.failure and bad.failure.sentence == "http.untrusted":
        return say.find("http.status", Status.SKIPPED, "http.untrusted", item=endpoint.item, evidence=bad.hops)
    if bad and bad.failure:
        return _report(endpoint, tries, bad, bad.failure, say)
    good = tries[-1]
    return say.find(
        "http.status",
        Status.OK,
        "http.answered",
        item=endpoint.item,
        code=good.code,
        seconds=good.seconds,
        evidence=good.hops,
    )


def _body_checks(endpoint: Endpoint, tries: list[Exchange], say: Reporter) -> list[Check]:
    bad = _failure_of(tries, "http.body")
    if bad and bad.failure:
        return [_report(endpoint, tries, bad, bad.failure, say)]
    if not endpoint.body and not endpoint.json:
        return []
    good = next((one for one in tries if not one.failure), None)
    if good is None:
        return [say.find("http.body", Status.SKIPPED, "http.body_unseen", item=endpoint.item)]
    return [say.find("http.body", Status.OK, "http.body_ok", item=endpoint.item, bytes=len(good.body))]


def _time_checks(endpoint: Endpoint, tries: list[Exchange], phases: bool, say: Reporter) -> list[Check]:
    """Time the first attempt that brought an answer, right or wrong: a later one finds warm caches."""
    answered = next((one for one in tries if _was_answered(one)), None)
    if answered is None:
        return [say.find("http.total", Status.SKIPPED, "http.untimed", item=endpoint.item)]
    checks = [
        say.measure(
            "http.total",
            answered.seconds,
            "http.took",
            item=endpoint.item,
            min=0,
            evidence=[*answered.hops, _phases_line(answered)],
            **{f"{phase}_ms": answered.times[phase] for phase in PHASES},
        )
    ]
    if phases:
        checks += [
            say.measure(f"http.{phase}", answered.times[phase], "http.phase", item=endpoint.item, min=0, phase=phase)
            for phase in PHASES
        ]
    return checks


def _was_answered(one: Exchange) -> bool:
    return one.failure is None or one.failure.check_id == "http.body" or one.failure.sentence == "http.wrong_status"


def _certificate_check(endpoint: Endpoint, tries: list[Exchange], thresholds: Mapping[str, Any]) -> Check:
    seen = next((one.certificate for one in tries if one.certificate), None)
    say = AREA.reporter(thresholds)
    if seen is None or not (seen.ends or seen.error):
        return say.find("http.cert", Status.SKIPPED, "http.cert_unseen", item=endpoint.item)
    until = datetime.fromtimestamp(seen.ends, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if seen.ends else ""
    days = (seen.ends - time.time()) / DAY
    if seen.error:
        value: dict[str, Any] = {"value": days} if until else {}
        return say.find(
            "http.cert",
            Status.CRITICAL,
            "http.cert_bad",
            item=endpoint.item,
            host=seen.host,
            error=seen.error,
            evidence=[f"valid until {until} ({days:.1f} days)"] if until else [],
            **value,
        )
    lifetime = (seen.ends - seen.begins) / DAY
    if "http.cert" not in thresholds and lifetime < 42:
        # Certificates of a few days or weeks (ACME) are nearly always within 14 days of their end: a third and a sixth.
        say = AREA.reporter(
            {**thresholds, "http.cert": {"warn": f"{lifetime / 3:.2f}:", "crit": f"{lifetime / 6:.2f}:"}}
        )
    return say.measure("http.cert", days, "http.cert_days", item=endpoint.item, host=seen.host, until=until)
