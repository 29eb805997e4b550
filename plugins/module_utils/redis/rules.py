# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn figures into checks. Pure; one function per check, which names what it needs to know.

What a check needs and the server does not tell is never OK: refused by the ACL, not in this version, or not applicable
becomes SKIPPED with that reason. Decisions that go beyond a number:

* A default installation on loopback without a memory limit is a WARNING (``redis.mem.unbounded``): it is the one default
  that ends in the OOM killer. The Bilingual Tutor sets 256 MB and allkeys-lru whenever it connects.
* Evictions are what an allkeys policy of a cache is for: they count only when the hit rate is low as well.
* Kernel settings, the latency monitor and the peak are advice inside an OK, since they harm nobody by themselves and
  every fresh Debian host has them; ``strict_os`` makes a WARNING of the first.
* Debian's 7.0 is past its upstream end but patched by the distribution: OK. The same version built by hand is not.
* Left out: what needs to read keys (big keys), or more than one server (number of masters).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis import versions
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import MIB, Figures
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.parse import GRANTS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.wire import Target

ENOUGH_LOOKUPS = 1000
ENOUGH_CALLS = 1000
WARM_SECONDS = 3600
# Below these sizes a ratio says nothing.
FRAG_BYTES = 100 * MIB
USED_BYTES = 64 * MIB
AOF_BYTES = 64 * MIB  # auto-aof-rewrite-min-size: below it Redis itself does not rewrite
KEYS = 1000
CLIENTS = 10
AOF_GROWTH = 3.0
SLOWER_THAN = (1, 100_000)  # microseconds in which the slow log is of use


class Wishes(NamedTuple):
    """What an operator declares about the server."""

    role: str = "cache"
    expected_role: str = ""
    strict_os: bool = False


class Case(NamedTuple):
    """Everything a rule may look at, and the voice it speaks with."""

    check_id: str
    figures: Figures
    target: Target
    wishes: Wishes
    say: Reporter

    def number(self, name: str) -> float:
        """Return a field of INFO the rule declared as needed."""
        return self.figures.reading.number(name) or 0.0

    def grade(self, value: float) -> Status:
        return self.say.grade(self.check_id, value)

    def measure(self, value: float, sentence: str, **rest: Any) -> Check:
        return self.say.measure(self.check_id, value, sentence, item=self.target.item, **rest)

    def find(self, status: Status, sentence: str, **rest: Any) -> Check:
        return self.say.find(self.check_id, status, sentence, item=self.target.item, **rest)

    def ok(self, sentence: str, **rest: Any) -> Check:
        return self.find(Status.OK, sentence, **rest)

    def skip(self, sentence: str, reason: str = "not_applicable", **rest: Any) -> Check:
        return self.find(Status.SKIPPED, sentence, reason=reason, **rest)

    def thin(self, sentence: str, **rest: Any) -> Check:
        return self.find(Status.OK, sentence, reason="insufficient_data", **rest)


Decide = Callable[[Case], Check]
_DECISIONS: list[tuple[str, tuple[str, ...], Decide]] = []


def _decides(check_id: str, *needs: str) -> Callable[[Decide], Decide]:
    """Register a rule. ``needs``: fields of INFO, ``#section`` of INFO, ``@COMMAND`` or ``@CONFIG GET name``."""

    def register(function: Decide) -> Decide:
        _DECISIONS.append((check_id, needs, function))
        return function

    return register


def evaluate(figures: Figures, target: Target, wishes: Wishes, thresholds: Mapping[str, Any]) -> list[Check]:
    """Return every check of a server that answered."""
    say = AREA.reporter({**_contextual(figures), **_laid_over(figures, thresholds)}, source="redis")
    checks = []
    for check_id, needs, decide in _DECISIONS:
        case = Case(check_id, figures, target, wishes, say)
        checks.append(_lacking(case, needs) or decide(case))
    denied = sum(check.status is Status.SKIPPED and check.reason == "denied" for check in checks)
    checks.append(_access(Case("redis.access", figures, target, wishes, say), denied))
    return checks


def _contextual(figures: Figures) -> dict[str, dict[str, str]]:
    limits: dict[str, dict[str, str]] = {}
    if figures.reading.info.get("maxmemory_policy") == "noeviction":
        limits["redis.mem.maxmemory"] = {"crit": "@90:"}  # the next step is refused writes, not evictions
    backlog = figures.reading.number("repl_backlog_size")
    if backlog:
        limits["redis.replication.lag_bytes"] = {"crit": f"{backlog:.0f}"}  # beyond it a break costs a full copy
    return limits


def _laid_over(figures: Figures, thresholds: Mapping[str, Any]) -> dict[str, Any]:
    context = _contextual(figures)
    return {check_id: {**context.get(check_id, {}), **limits} for check_id, limits in thresholds.items()}


def _lacking(case: Case, needs: tuple[str, ...]) -> Check | None:
    reading = case.figures.reading
    for need in needs:
        command = " ".join(need[1:].split()[:2]) if need.startswith("@") else "INFO"
        refusal = reading.refused.get(command)
        if refusal and refusal.kind == "denied":
            return case.skip("redis.skip.denied", reason="denied", user=case.target.user, command=command)
        if refusal:
            return case.skip("redis.skip.refused", command=command, answer=refusal.text[:100])
        if need.startswith("@CONFIG GET "):
            missing = need[12:] not in reading.config
        elif need.startswith("#"):
            missing = need[1:] not in reading.sections
        else:
            missing = not need.startswith("@") and need not in reading.info
        if missing:
            field = need.lstrip("#@")
            return case.skip("redis.skip.version", server=reading.server, version=reading.version, field=field)
    return None


def _access(case: Case, skipped: int) -> Check:
    user = case.target.user
    denied = sorted(name for name, refusal in case.figures.reading.refused.items() if refusal.kind == "denied")
    if not denied:
        return case.ok("redis.access.full", user=user)
    grant = f"ACL SETUSER {user} {' '.join(GRANTS[name] for name in denied)}"
    persist = (
        "ACL SAVE" if case.figures.reading.config.get("aclfile") else "ACL SAVE (with an aclfile) or CONFIG REWRITE"
    )
    return case.find(
        Status.WARNING,
        "redis.access.denied",
        reason="denied",
        user=user,
        commands=", ".join(denied),
        number=skipped,
        grant=grant,
        evidence=[grant, persist],
    )


# Availability


@_decides("redis.up", "redis_version")
def _up(case: Case) -> Check:
    reading = case.figures.reading
    days = case.figures.uptime / 86400
    return case.ok("redis.up.ok", server=reading.server, version=reading.version, days=days)


@_decides("redis.ping", "@PING")
def _ping(case: Case) -> Check:
    return case.measure(case.figures.reading.ping_ms, "redis.ping.took", min=0)


@_decides("redis.restart", "run_id", "uptime_in_seconds")
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


@_decides("redis.version", "redis_version")
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


# Memory


@_decides("redis.mem.maxmemory", "used_memory", "maxmemory", "maxmemory_policy")
def _maxmemory(case: Case) -> Check:
    percent = case.figures.memory_percent
    if percent is None:
        return case.skip("redis.skip.no_limit")
    policy = case.figures.reading.info["maxmemory_policy"]
    return case.measure(
        percent, "redis.mem.used", limit_mib=case.number("maxmemory") / MIB, policy=policy, min=0, max=100
    )


@_decides("redis.mem.unbounded", "maxmemory", "used_memory", "total_system_memory")
def _unbounded(case: Case) -> Check:
    limit = case.number("maxmemory")
    if limit:
        return case.ok("redis.mem.limit_set", limit_mib=limit / MIB)
    percent = 100.0 * case.number("used_memory") / max(case.number("total_system_memory"), 1)
    status = Status.CRITICAL if case.grade(percent) is Status.CRITICAL else Status.WARNING
    return case.find(status, "redis.mem.no_limit", value=percent)


@_decides("redis.mem.system", "used_memory_rss", "total_system_memory")
def _system(case: Case) -> Check:
    return case.measure(case.figures.system_percent, "redis.mem.share", min=0, max=100)


@_decides("redis.frag", "allocator_frag_ratio", "allocator_frag_bytes", "used_memory")
def _frag(case: Case) -> Check:
    ratio, wasted, used = (
        case.number(name) for name in ("allocator_frag_ratio", "allocator_frag_bytes", "used_memory")
    )
    if wasted <= FRAG_BYTES or used <= USED_BYTES:
        return case.ok("redis.frag.harmless", value=ratio, wasted_mib=wasted / MIB, used_mib=used / MIB)
    return case.measure(ratio, "redis.frag.ratio", wasted_mib=wasted / MIB, evidence=[case.figures.reading.doctor])


@_decides("redis.swap", "used_memory", "used_memory_rss")
def _swap(case: Case) -> Check:
    used, resident = case.number("used_memory"), case.number("used_memory_rss")
    if used <= USED_BYTES:
        return case.thin("redis.thin.small", what=f"{used / MIB:.0f} MiB")
    if case.figures.host.swap_bytes:
        return case.measure(case.figures.host.swap_bytes / MIB, "redis.swap.amount", min=0)
    status = Status.WARNING if resident < used else Status.OK
    return case.find(status, "redis.swap.resident", percent=100.0 * resident / used)


@_decides("redis.peak", "used_memory", "used_memory_peak")
def _peak(case: Case) -> Check:
    return case.ok("redis.peak.ratio", value=case.number("used_memory_peak") / max(case.number("used_memory"), 1.0))


@_decides("redis.evictions", "evicted_keys", "maxmemory_policy", "#keyspace")
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


@_decides("redis.oom_errors", "#errorstats")
def _oom_errors(case: Case) -> Check:
    if not case.figures.known:
        return case.thin("redis.thin.first", total=case.figures.reading.errors.get("OOM", 0))
    return case.measure(case.figures.error_delta("OOM"), "redis.oom_errors.count", min=0)


@_decides("redis.expired_stale_perc", "expired_stale_perc", "#keyspace")
def _stale(case: Case) -> Check:
    # The server estimates this share from samples: with few expiring keys one batch that ends together reads as 100 %.
    expiring = case.figures.reading.expiring_keys
    if expiring <= KEYS:
        return case.thin("redis.thin.small", what=f"{expiring} expiring keys")
    return case.measure(case.number("expired_stale_perc"), "redis.expired_stale_perc.share", min=0, max=100)


@_decides("redis.scripts", "number_of_cached_scripts")
def _scripts(case: Case) -> Check:
    return case.measure(case.number("number_of_cached_scripts"), "redis.scripts.count", min=0)


# Keys


@_decides("redis.hit_rate", "keyspace_hits", "keyspace_misses", "uptime_in_seconds")
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


@_decides("redis.keyspace", "#keyspace")
def _keyspace(case: Case) -> Check:
    keys, median = case.figures.reading.keys, case.figures.keys_median
    if median is None:
        return case.thin("redis.thin.samples", count=len(case.figures.memory.samples), keys=keys)
    if median < KEYS:
        return case.thin("redis.thin.small", what=f"{keys} keys")
    change = 100.0 * (keys - median) / median
    if not keys:
        return case.find(Status.CRITICAL, "redis.keyspace.gone", value=change, median=median)
    return case.measure(change, "redis.keyspace.change", keys=keys, median=median)


@_decides("redis.ttl_coverage", "#keyspace")
def _ttl_coverage(case: Case) -> Check:
    keys = case.figures.reading.keys
    if not case.figures.cache:
        return case.skip("redis.skip.store")
    if keys <= KEYS:
        return case.thin("redis.thin.small", what=f"{keys} keys")
    share = 100.0 * case.figures.reading.expiring_keys / keys
    return case.measure(share, "redis.ttl_coverage.share", keys=keys, min=0, max=100)


# Clients


@_decides("redis.clients", "connected_clients", "maxclients")
def _clients(case: Case) -> Check:
    count, limit = case.number("connected_clients"), max(case.number("maxclients"), 1.0)
    return case.measure(100.0 * count / limit, "redis.clients.share", count=count, limit=limit, min=0, max=100)


@_decides("redis.rejected_connections", "rejected_connections")
def _rejected(case: Case) -> Check:
    if not case.figures.known:
        return case.thin("redis.thin.first", total=case.number("rejected_connections"))
    return case.measure(case.figures.delta("rejected_connections"), "redis.rejected_connections.count", min=0)


@_decides("redis.client_buffers", "mem_clients_normal", "connected_clients")
def _client_buffers(case: Case) -> Check:
    average = case.number("mem_clients_normal") / max(case.number("connected_clients"), 1.0)
    return case.measure(average, "redis.client_buffers.average", kib=average / 1024, min=0)


@_decides("redis.client_buffers.max", "client_recent_max_input_buffer", "client_recent_max_output_buffer")
def _largest_buffer(case: Case) -> Check:
    largest = max(case.number("client_recent_max_input_buffer"), case.number("client_recent_max_output_buffer"))
    return case.measure(largest, "redis.client_buffers.largest", mib=largest / MIB, min=0)


@_decides("redis.blocked_clients", "blocked_clients", "connected_clients")
def _blocked(case: Case) -> Check:
    blocked, total = case.number("blocked_clients"), case.number("connected_clients")
    if total < CLIENTS:
        return case.thin("redis.thin.small", what=f"{blocked:.0f}/{total:.0f}")
    return case.measure(
        100.0 * blocked / total, "redis.blocked_clients.share", count=blocked, total=total, min=0, max=100
    )


# Speed


@_decides("redis.latency.p999", "#latencystats", "#commandstats")
def _p999(case: Case) -> Check:
    figures = case.figures
    usec = {
        name: values["p99.9"]
        for name, values in figures.reading.latency_usec.items()
        if "p99.9" in values and figures.calls_delta(name) >= ENOUGH_CALLS
    }
    if not usec:
        return case.thin("redis.latency.few", minutes=figures.seconds / 60)
    worst = sorted(usec, key=lambda name: -usec[name])
    evidence = [f"{name} p99.9 {usec[name] / 1000:.2f} ms" for name in worst[:5]]
    return case.measure(usec[worst[0]] / 1000, "redis.latency.worst", command=worst[0], evidence=evidence, min=0)


@_decides("redis.slowlog", "@SLOWLOG GET")
def _slowlog(case: Case) -> Check:
    figures = case.figures
    setting = figures.reading.config.get("slowlog-log-slower-than", "10000")
    if not SLOWER_THAN[0] <= int(setting) <= SLOWER_THAN[1]:
        return case.find(Status.WARNING, "redis.slowlog.off", setting=setting)
    groups = figures.slow_groups()
    evidence = [f"{g['command']}: {g['count']} x, longest {g['max_ms']:.1f} ms" for g in groups]
    minutes = (figures.seconds if figures.known else min(figures.uptime, 3600)) / 60
    rate = figures.per_hour(figures.slow_count) if figures.known else float(figures.slow_count)
    return case.measure(
        rate,
        "redis.slowlog.rate",
        count=figures.slow_count,
        limit_ms=int(setting) / 1000,
        minutes=minutes,
        evidence=evidence,
        min=0,
    )


@_decides("redis.slowlog.slowest", "@SLOWLOG GET")
def _slowest(case: Case) -> Check:
    slowest = max(case.figures.slow_new, key=lambda entry: entry.usec, default=None)
    if slowest is None:
        return case.ok("redis.slowlog.none")
    return case.measure(slowest.usec / 1000, "redis.slowlog.longest", command=slowest.command, min=0)


@_decides("redis.slowlog.lost", "@SLOWLOG GET", "@SLOWLOG LEN")
def _slowlog_lost(case: Case) -> Check:
    return case.measure(case.figures.slow_lost, "redis.slowlog.gap", min=0)


@_decides("redis.latency_monitor", "@LATENCY LATEST")
def _latency_monitor(case: Case) -> Check:
    events = sorted(case.figures.new_latency_events, key=lambda event: -event.latest_ms)
    if events:
        evidence = [f"{event.name}: latest {event.latest_ms} ms, worst {event.max_ms} ms" for event in events]
        return case.measure(events[0].latest_ms, "redis.latency_monitor.spike", event=events[0].name, evidence=evidence)
    if case.figures.reading.config.get("latency-monitor-threshold") == "0":
        return case.ok("redis.latency_monitor.off")
    return case.ok("redis.latency_monitor.quiet")


@_decides("redis.fork", "latest_fork_usec")
def _fork(case: Case) -> Check:
    if not case.number("latest_fork_usec"):
        return case.ok("redis.fork.none")
    return case.measure(case.number("latest_fork_usec") / 1000, "redis.fork.took", min=0)


@_decides("redis.cpu", "used_cpu_sys_main_thread", "used_cpu_user_main_thread")
def _cpu(case: Case) -> Check:
    percent = case.figures.cpu_percent
    if percent is None:
        return case.thin("redis.thin.begin")
    return case.measure(percent, "redis.cpu.share", min=0)


# Persistence


@_decides("redis.rdb", "rdb_last_bgsave_status", "rdb_last_save_time", "rdb_changes_since_last_save")
def _rdb(case: Case) -> Check:
    hours, changes = case.figures.save_age / 3600, case.number("rdb_changes_since_last_save")
    if case.figures.reading.info["rdb_last_bgsave_status"] != "ok":
        return case.find(Status.CRITICAL, "redis.rdb.failed", hours=hours, changes=changes)
    if case.figures.saves is False:
        return case.skip("redis.skip.save_off")
    if case.figures.saves is None:
        return case.skip("redis.skip.denied", reason="denied", user=case.target.user, command="CONFIG GET")
    if not changes:
        return case.ok("redis.rdb.clean")
    return case.measure(hours, "redis.rdb.age", changes=changes, min=0)


@_decides("redis.bgsave_slow", "rdb_bgsave_in_progress", "rdb_current_bgsave_time_sec")
def _bgsave(case: Case) -> Check:
    if not case.number("rdb_bgsave_in_progress"):
        return case.ok("redis.bgsave_slow.none")
    return case.measure(max(case.number("rdb_current_bgsave_time_sec"), 0), "redis.bgsave_slow.running", min=0)


@_decides("redis.aof", "aof_enabled", "aof_last_write_status", "aof_last_bgrewrite_status")
def _aof(case: Case) -> Check:
    info = case.figures.reading.info
    if info["aof_enabled"] != "1":
        return case.skip("redis.skip.aof_off")
    failed = [name for name in ("aof_last_write_status", "aof_last_bgrewrite_status") if info[name] != "ok"]
    if failed:
        return case.find(Status.CRITICAL, "redis.aof.failed", what=", ".join(f"{name}={info[name]}" for name in failed))
    delayed = case.figures.delta("aof_delayed_fsync")
    if case.figures.known and delayed:
        return case.find(Status.WARNING, "redis.aof.delayed", count=delayed)
    size, base = case.number("aof_current_size"), case.number("aof_base_size")
    if size > AOF_BYTES and base and size / base > AOF_GROWTH:
        return case.find(Status.WARNING, "redis.aof.grown", ratio=size / base, mib=size / MIB)
    return case.ok("redis.aof.fine")


# Replication


def _is_replica(case: Case) -> bool:
    return case.figures.reading.info.get("role") == "slave"


@_decides("redis.role", "role")
def _role(case: Case) -> Check:
    if not case.wishes.expected_role:
        return case.skip("redis.skip.no_role")
    role = "replica" if _is_replica(case) else case.figures.reading.info["role"]
    if role != case.wishes.expected_role:
        return case.find(Status.CRITICAL, "redis.role.wrong", role=role, expected=case.wishes.expected_role)
    return case.ok("redis.role.right", role=role)


@_decides("redis.replication.link", "role")
def _link(case: Case) -> Check:
    if not _is_replica(case):
        return case.skip("redis.skip.not_replica")
    info = case.figures.reading.info
    master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
    if info.get("master_link_status") == "up":
        return case.ok("redis.replication.up", master=master)
    if info.get("master_sync_in_progress") == "1":
        return case.find(Status.WARNING, "redis.replication.syncing", master=master)
    # -1 on a replica that never had a link.
    seconds = max(case.number("master_link_down_since_seconds"), 0.0)
    return case.find(Status.CRITICAL, "redis.replication.down", master=master, seconds=seconds)


@_decides("redis.replication.lag", "role")
def _lag(case: Case) -> Check:
    if _is_replica(case):
        return case.measure(max(case.number("master_last_io_seconds_ago"), 0.0), "redis.replication.behind", min=0)
    if not case.figures.reading.replicas:
        return case.skip("redis.skip.alone")
    return case.measure(case.figures.worst_replica()[0], "redis.replication.behind", min=0)


@_decides("redis.replication.lag_bytes", "role", "master_repl_offset")
def _lag_bytes(case: Case) -> Check:
    if not case.figures.reading.replicas:
        return case.skip("redis.skip.no_replicas")
    return case.measure(case.figures.worst_replica()[1], "redis.replication.behind_bytes", min=0)


@_decides("redis.replication.backlog_window", "repl_backlog_size", "master_repl_offset")
def _backlog(case: Case) -> Check:
    if not case.figures.reading.replicas:
        return case.skip("redis.skip.no_replicas")
    window = case.figures.backlog_window
    if window is None:
        return case.ok("redis.replication.no_writes")
    return case.measure(window, "redis.replication.window", min=0)


@_decides("redis.replication.full_sync", "sync_full")
def _full_sync(case: Case) -> Check:
    if not case.figures.known:
        return case.thin("redis.thin.first", total=case.number("sync_full"))
    count = case.figures.delta("sync_full")
    return case.measure(case.figures.per_hour(count), "redis.replication.full", count=count, min=0)


@_decides("redis.replica_buffers", "mem_clients_slaves", "connected_slaves")
def _replica_buffers(case: Case) -> Check:
    if not case.number("connected_slaves"):
        return case.skip("redis.skip.no_replicas")
    # Since 7.0 replicas share one buffer with the backlog, which is not a delay.
    shared = case.number("mem_total_replication_buffers") - case.number("mem_replication_backlog")
    size = max(case.number("mem_clients_slaves"), shared)
    return case.measure(size, "redis.replica_buffers.size", mib=size / MIB, min=0)


# Security


@_decides("redis.acl_denied", "#errorstats")
def _acl_denied(case: Case) -> Check:
    figures = case.figures
    if not figures.known:
        return case.thin("redis.thin.first", total=figures.denials)
    count = figures.denials
    evidence = figures.reading.acl_log if count else []
    rate = figures.per_hour(count)
    return case.measure(rate, "redis.acl_denied.rate", count=count, evidence=evidence, min=0)


@_decides("redis.exposure", "tcp_port", "@CONFIG GET bind", "@CONFIG GET protected-mode")
def _exposure(case: Case) -> Check:
    config, reach = case.figures.reading.config, case.figures.listens
    if reach in ("none", "loopback"):
        return case.ok(f"redis.exposure.{reach}")
    # Only who got in without a password knows that there is none; the password itself is never read.
    if case.target.password:
        return case.ok("redis.exposure.password")
    protected = config["protected-mode"]
    status = Status.CRITICAL if protected == "no" and reach == "all" else Status.WARNING
    bind = config["bind"] or "all interfaces"
    return case.find(status, "redis.exposure.open", bind=bind, protected=protected)


@_decides("redis.os")
def _os(case: Case) -> Check:
    host = case.figures.host
    if not host.overcommit:
        return case.skip("redis.skip.remote")
    backlog = case.figures.reading.config.get("tcp-backlog", "511")
    advice = []
    if host.overcommit != "1":
        advice.append(f"vm.overcommit_memory={host.overcommit}")
    if host.thp == "always":
        advice.append("transparent_hugepage=always")
    if host.somaxconn is not None and host.somaxconn < int(backlog):
        advice.append(f"net.core.somaxconn={host.somaxconn} < tcp-backlog {backlog}")
    if not advice:
        return case.ok("redis.os.fine")
    status = Status.WARNING if case.wishes.strict_os else Status.OK
    return case.find(status, "redis.os.advice", what=", ".join(advice), evidence=advice)
