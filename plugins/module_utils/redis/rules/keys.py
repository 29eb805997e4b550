# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: whether they are found, whether they are still there, whether they expire."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import (
    ENOUGH_KEYS,
    ENOUGH_LOOKUPS,
    Case,
    Decisions,
)

WARM_SECONDS = 3600

DECISIONS = Decisions()


@DECISIONS.about("redis.hit_rate", "keyspace_hits", "keyspace_misses", "uptime_in_seconds")
def _hit_rate(case: Case) -> Check:
    figures = case.figures
    if not figures.cache:
        return case.skip("redis.skip.store")
    if figures.uptime < WARM_SECONDS:
        return case.thin("redis.thin.uptime", minutes=figures.uptime / 60)
    if figures.lookups < ENOUGH_LOOKUPS or figures.hit_rate is None:
        return case.thin("redis.thin.traffic", lookups=figures.lookups, minutes=figures.seconds / 60)
    evidence = [f"{name} +{figures.delta(name):.0f}" for name in ("keyspace_hits", "keyspace_misses")]
    return case.measure(
        figures.hit_rate,
        "redis.hit_rate.window",
        lookups=figures.lookups,
        minutes=figures.seconds / 60,
        evidence=evidence,
        min=0,
        max=100,
    )


@DECISIONS.about("redis.keyspace", "#keyspace")
def _keyspace(case: Case) -> Check:
    keys, median = case.figures.reading.keys, case.figures.keys_median
    if median is None:
        return case.thin("redis.thin.samples", count=len(case.figures.memory.samples), keys=keys)
    if median < ENOUGH_KEYS:
        return case.thin("redis.thin.small", what=f"{keys} keys")
    change = 100.0 * (keys - median) / median
    if not keys:
        return case.find(Status.CRITICAL, "redis.keyspace.gone", value=change, median=median)
    return case.measure(change, "redis.keyspace.change", keys=keys, median=median)


@DECISIONS.about("redis.ttl_coverage", "#keyspace")
def _ttl_coverage(case: Case) -> Check:
    keys = case.figures.reading.keys
    if not case.figures.cache:
        return case.skip("redis.skip.store")
    if keys <= ENOUGH_KEYS:
        return case.thin("redis.thin.small", what=f"{keys} keys")
    share = 100.0 * case.figures.reading.expiring_keys / keys
    return case.measure(share, "redis.ttl_coverage.share", keys=keys, min=0, max=100)
