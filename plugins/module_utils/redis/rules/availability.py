# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server answers, since when, and which version it is.

Debian's 7.0 is past its upstream end but patched by the distribution: OK. The same version built by hand is not.
"""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis import versions
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Case, Decisions

DECISIONS = Decisions()


@DECISIONS.about("redis.up", "redis_version")
def _up(case: Case) -> Check:
    reading = case.figures.reading
    days = case.figures.uptime / 86400
    return case.ok("redis.up.ok", server=reading.server, version=reading.version, days=days)


@DECISIONS.about("redis.ping", "@PING")
def _ping(case: Case) -> Check:
    return case.measure(case.figures.reading.ping_ms, "redis.ping.took", min=0)


@DECISIONS.about("redis.restart", "run_id", "uptime_in_seconds")
def _restart(case: Case) -> Check:
    figures = case.figures
    if not figures.known:
        return case.thin("redis.thin.begin")
    count = figures.restarts_24h
    status = case.grade(count)
    if figures.restarted:
        return case.find(status, "redis.restart.seen", value=count, minutes=figures.uptime / 60)
    # Once is a warning at the run that sees it, not for a whole day.
    status = status if status is Status.CRITICAL else Status.OK
    return case.find(status, "redis.restart.none", value=count)


@DECISIONS.about("redis.version", "redis_version")
def _version(case: Case) -> Check:
    reading = case.figures.reading
    server, version = reading.server, reading.version
    known = {"server": server, "version": version}
    day, hole = versions.ended(server, version), versions.open_hole(server, version)
    if versions.from_distribution(reading.info.get("executable", "")):
        if day:
            return case.ok("redis.version.distribution", day=day, **known)
        return case.ok("redis.version.packaged", **known)
    if hole:
        return case.find(Status.CRITICAL, "redis.version.hole", hole=hole, **known)
    if day:
        return case.find(Status.WARNING, "redis.version.ended", day=day, **known)
    return case.ok("redis.version.fine", **known)
