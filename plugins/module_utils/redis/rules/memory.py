# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory: how much of it, what happens at its limit, what is wasted.

* A default installation on loopback without a memory limit is a WARNING (``redis.mem.unbounded``): it is the one default
  that ends in the OOM killer. The Bilingual Tutor sets 256 MB and allkeys-lru whenever it connects.
* Evictions are what an allkeys policy of a cache is for: they count only when the hit rate is low as well.
* The peak is advice inside an OK, since it harms nobody by itself.
"""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import MIB
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import (
    ENOUGH_KEYS,
    ENOUGH_LOOKUPS,
    Case,
    Decisions,
)

# Below these sizes a ratio says nothing.
FRAG_BYTES = 100 * MIB
USED_BYTES = 64 * MIB

DECISIONS = Decisions()


@DECISIONS.about("redis.mem.maxmemory", "used_memory", "maxmemory", "maxmemory_policy")
def _maxmemory(case: Case) -> Check:
    percent = case.figures.memory_percent
    if percent is None:
        return case.skip("redis.skip.no_limit")
    policy = case.figures.reading.info["maxmemory_policy"]
    return case.measure(
        percent, "redis.mem.used", limit_mib=case.number("maxmemory") / MIB, policy=policy, min=0, max=100
    )


@DECISIONS.about("redis.mem.unbounded", "maxmemory", "used_memory", "total_system_memory")
def _unbounded(case: Case) -> Check:
    limit = case.number("maxmemory")
    if limit:
        return case.ok("redis.mem.limit_set", limit_mib=limit / MIB)
    percent = 100.0 * case.number("used_memory") / max(case.number("total_system_memory"), 1)
    status = Status.CRITICAL if case.grade(percent) is Status.CRITICAL else Status.WARNING
    return case.find(status, "redis.mem.no_limit", value=percent)


@DECISIONS.about("redis.mem.system", "used_memory_rss", "total_system_memory")
def _system(case: Case) -> Check:
    return case.measure(case.figures.system_percent, "redis.mem.share", min=0, max=100)


@DECISIONS.about("redis.frag", "allocator_frag_ratio", "allocator_frag_bytes", "used_memory")
def _frag(case: Case) -> Check:
    ratio, wasted, used = (
        case.number(name) for name in ("allocator_frag_ratio", "allocator_frag_bytes", "used_memory")
    )
    if wasted <= FRAG_BYTES or used <= USED_BYTES:
        return case.ok("redis.frag.harmless", value=ratio, wasted_mib=wasted / MIB, used_mib=used / MIB)
    return case.measure(ratio, "redis.frag.ratio", wasted_mib=wasted / MIB, evidence=[case.figures.reading.doctor])


@DECISIONS.about("redis.swap", "used_memory", "used_memory_rss")
def _swap(case: Case) -> Check:
    used, resident = case.number("used_memory"), case.number("used_memory_rss")
    if used <= USED_BYTES:
        return case.thin("redis.thin.small", what=f"{used / MIB:.0f} MiB")
    if case.figures.host.swap_bytes:
        return case.measure(case.figures.host.swap_bytes / MIB, "redis.swap.amount", min=0)
    status = Status.WARNING if resident < used else Status.OK
    return case.find(status, "redis.swap.resident", percent=100.0 * resident / used)


@DECISIONS.about("redis.peak", "used_memory", "used_memory_peak")
def _peak(case: Case) -> Check:
    return case.ok("redis.peak.ratio", value=case.number("used_memory_peak") / max(case.number("used_memory"), 1.0))


@DECISIONS.about("redis.evictions", "evicted_keys", "maxmemory_policy", "#keyspace")
def _evictions(case: Case) -> Check:
    figures = case.figures
    policy, keys, percent = figures.reading.info["maxmemory_policy"], figures.reading.keys, figures.memory_percent
    nothing_expires = policy.startswith("volatile-") and keys and not figures.reading.expiring_keys
    if nothing_expires and percent is not None and percent >= 80:
        return case.find(Status.CRITICAL, "redis.evictions.impossible", policy=policy, keys=keys, percent=percent)
    if not figures.known:
        return case.thin("redis.thin.first", total=case.number("evicted_keys"))
    rate = figures.per_minute(figures.delta("evicted_keys"))
    if case.wishes.role == "store" and rate > 0:
        return case.find(Status.CRITICAL, "redis.evictions.store", value=rate)
    if policy.startswith("allkeys-") and not _hit_rate_low(case):
        return case.ok("redis.evictions.intended", value=rate, policy=policy)
    return case.measure(rate, "redis.evictions.rate", min=0)


def _hit_rate_low(case: Case) -> bool:
    figures = case.figures
    if figures.lookups < ENOUGH_LOOKUPS or figures.hit_rate is None:
        return False
    return case.say.grade("redis.hit_rate", figures.hit_rate) is not Status.OK


@DECISIONS.about("redis.oom_errors", "#errorstats")
def _oom_errors(case: Case) -> Check:
    if not case.figures.known:
        return case.thin("redis.thin.first", total=case.figures.reading.errors.get("OOM", 0))
    return case.measure(case.figures.error_delta("OOM"), "redis.oom_errors.count", min=0)


@DECISIONS.about("redis.expired_stale_perc", "expired_stale_perc", "#keyspace")
def _stale(case: Case) -> Check:
    # The server estimates this share from samples: with few expiring keys one batch that ends together reads as 100 %.
    expiring = case.figures.reading.expiring_keys
    if expiring <= ENOUGH_KEYS:
        return case.thin("redis.thin.small", what=f"{expiring} expiring keys")
    return case.measure(case.number("expired_stale_perc"), "redis.expired_stale_perc.share", min=0, max=100)


@DECISIONS.about("redis.scripts", "number_of_cached_scripts")
def _scripts(case: Case) -> Check:
    return case.measure(case.number("number_of_cached_scripts"), "redis.scripts.count", min=0)
