# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is decided from figures alone: windows, guards, levels. The servers themselves are in tests/integration/redis."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis import engine, versions, wire
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import DAY, MIB, Figures, Host
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.last_run import Memory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.parse import COMMANDS, Reading, parse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules import evaluate as rules
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Wishes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.state import state as state_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.stats import stats
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.wire import Refusal, Target

NOW = 1_795_000_000.0
CONFIG = {
    "slowlog-log-slower-than": "10000",
    "slowlog-max-len": "128",
    "latency-monitor-threshold": "0",
    "save": "3600 1",
    "bind": "127.0.0.1 -::1",
    "protected-mode": "yes",
    "tcp-backlog": "511",
    "aclfile": "",
    "tls-port": "0",
}
# Two days up, a limit of 256 MiB and half of it used: everything is in order.
FIELDS: dict[str, dict[str, Any]] = {
    "Server": {
        "redis_version": "7.2.11",
        "run_id": "a" * 40,
        "tcp_port": 6379,
        "uptime_in_seconds": 172800,
        "executable": "/usr/local/bin/redis-server",
        "process_id": 1,
    },
    "Clients": {
        "connected_clients": 20,
        "maxclients": 10000,
        "blocked_clients": 0,
        "client_recent_max_input_buffer": 20480,
        "client_recent_max_output_buffer": 0,
    },
    "Memory": {
        "used_memory": 128 * MIB,
        "used_memory_rss": 140 * MIB,
        "used_memory_peak": 130 * MIB,
        "total_system_memory": 4096 * MIB,
        "maxmemory": 256 * MIB,
        "maxmemory_policy": "allkeys-lru",
        "allocator_frag_ratio": 1.05,
        "allocator_frag_bytes": 6 * MIB,
        "mem_clients_normal": 20 * 2048,
        "mem_clients_slaves": 0,
        "number_of_cached_scripts": 3,
    },
    "Persistence": {
        "loading": 0,
        "rdb_changes_since_last_save": 0,
        "rdb_bgsave_in_progress": 0,
        "rdb_last_save_time": int(NOW) - 600,
        "rdb_last_bgsave_status": "ok",
        "rdb_current_bgsave_time_sec": -1,
        "aof_enabled": 0,
        "aof_last_bgrewrite_status": "ok",
        "aof_last_write_status": "ok",
    },
    "Stats": {
        "total_commands_processed": 100_000,
        "rejected_connections": 0,
        "sync_full": 0,
        "expired_keys": 10,
        "expired_stale_perc": 0.5,
        "evicted_keys": 0,
        "keyspace_hits": 90_000,
        "keyspace_misses": 10_000,
        "latest_fork_usec": 900,
    },
    "Replication": {
        "role": "master",
        "connected_slaves": 0,
        "master_repl_offset": 0,
        "repl_backlog_size": MIB,
    },
    "CPU": {"used_cpu_sys_main_thread": 100.0, "used_cpu_user_main_thread": 100.0},
    "Commandstats": {"cmdstat_get": "calls=100000,usec=200000,usec_per_call=2.00"},
    "Errorstats": {},
    "Latencystats": {"latency_percentiles_usec_get": "p50=1.0,p99=4.0,p99.9=900.0"},
    "Keyspace": {"db0": "keys=5000,expires=4800,avg_ttl=1000"},
}


def info(**changes: Any) -> str:
    """INFO of the healthy server with other values; None takes a field away."""
    lines = []
    for section, fields in FIELDS.items():
        lines.append(f"# {section}")
        merged = {**fields, **{name: changes.pop(name) for name in list(changes) if name in fields}}
        if section == "Server":  # anything new goes somewhere
            merged.update({name: value for name, value in changes.items() if name not in _ALL})
        lines += [f"{name}:{value}" for name, value in merged.items() if value is not None]
    return "\r\n".join(lines)


_ALL = {name for fields in FIELDS.values() for name in fields}
BEFORE = {
    "run_id": "a" * 40,
    "at": NOW - 7200,
    "counters": {"keyspace_hits": 88_000, "keyspace_misses": 9_800, "used_cpu_sys_main_thread": 100.0},
    "calls": {"get": 0},
    "slowlog_id": 4,
}


def read(
    slowlog: list[Any] | None = None, config: dict[str, str] | None = None, refused: str = "", **changes: Any
) -> Reading:
    settings = {**CONFIG, **(config or {})}
    replies: list[Any] = []
    for command in COMMANDS:
        name = " ".join(command)
        if refused and name.startswith(refused):
            replies.append(Refusal("denied", "this user has no permissions to run it"))
        elif command[0] == "INFO":
            replies.append(info(**changes))
        elif command[0] == "CONFIG":
            replies.append([command[2], settings[command[2]]] if command[2] in settings else [])
        elif name == "SLOWLOG LEN":
            replies.append(len(slowlog or []))
        elif name.startswith("SLOWLOG GET"):
            replies.append(slowlog or [])
        else:
            replies.append({"PING": "PONG", "MEMORY": "fine"}.get(command[0], []))
    return parse(replies, 0.4)


def judge(
    check_id: str,
    before: dict[str, Any] | None = None,
    purpose: str = "cache",
    strict_os: bool = False,
    host: Host | None = None,
    thresholds: dict[str, Any] | None = None,
    **reading: Any,
) -> Check:
    figures = Figures(read(**reading), Memory.read(before or {}), host or Host(), NOW, cache=purpose == "cache")
    wishes = Wishes(role=purpose, strict_os=strict_os)
    found = {check.id: check for check in rules.evaluate(figures, Target(), wishes, thresholds or {})}
    json.dumps([check.as_dict() for check in found.values()])
    json.dumps([state_of(figures), stats(figures)])
    for check in found.values():
        for locale in ("en", "zh"):
            text = AREA.sentences[check.message].render(locale, check.words)
            assert "{" not in text, f"{check.message} lacks a value: {text}"
    return found[check_id]


def test_the_healthy_server_is_healthy() -> None:
    for before in ({}, BEFORE):
        for rule in AREA.rules:
            assert judge(rule, before).status in (Status.OK, Status.SKIPPED), rule


# Windows


def test_hit_rate_is_of_the_window_and_guarded() -> None:
    low = {"keyspace_hits": 89_500, "keyspace_misses": 10_500}  # 1500 of 2200 = 68 %
    found = judge("redis.hit_rate", BEFORE, **low)
    assert found.status is Status.CRITICAL
    assert found.value == pytest.approx(100 * 1500 / 2200)
    assert found.evidence == ["keyspace_hits +1500", "keyspace_misses +700"]
    assert judge("redis.hit_rate", BEFORE, keyspace_hits=89_700, keyspace_misses=10_400).status is Status.WARNING
    few = judge("redis.hit_rate", BEFORE, keyspace_hits=88_000, keyspace_misses=10_799)
    assert (few.status, few.reason, few.value) == (Status.OK, "insufficient_data", None)
    assert judge("redis.hit_rate", BEFORE, keyspace_hits=88_000, keyspace_misses=10_800).status is Status.CRITICAL
    cold = judge("redis.hit_rate", BEFORE, uptime_in_seconds=3599, **low)
    assert (cold.status, cold.message) == (Status.OK, "redis.thin.uptime")
    assert judge("redis.hit_rate", BEFORE, purpose="store", **low).status is Status.SKIPPED
    assert judge("redis.hit_rate", {}).value == 90.0


def test_evictions_of_a_cache_matter_only_with_a_low_hit_rate() -> None:
    evicting = {"evicted_keys": 2400, "keyspace_hits": 89_000, "keyspace_misses": 10_500}
    before = {**BEFORE, "counters": {**BEFORE["counters"], "evicted_keys": 0}}
    assert judge("redis.evictions", before, **evicting).status is Status.WARNING
    assert judge("redis.evictions", before, evicted_keys=2400).message == "redis.evictions.intended"
    assert judge("redis.evictions", {}, **evicting).reason == "insufficient_data"


def test_short_windows_do_not_inflate_rates() -> None:
    just_now = {**BEFORE, "at": NOW - 5}
    slowlog = [[5, int(NOW) - 2, 20_000, ["GET", "k"]]]
    assert judge("redis.slowlog", just_now, slowlog=slowlog).value == 1
    assert judge("redis.slowlog", just_now, slowlog=slowlog).status is Status.WARNING
    late = {**BEFORE, "at": NOW - 4 * 3600}
    assert judge("redis.slowlog", late, slowlog=slowlog).status is Status.OK
    burst = [[number, int(NOW) - 2, 20_000, ["GET", "k"]] for number in range(24, 4, -1)]
    assert judge("redis.slowlog", just_now, slowlog=burst).status is Status.CRITICAL


def test_slow_log_of_the_first_run_is_that_of_the_last_hour() -> None:
    slowlog = [[5, int(NOW) - 60, 20_000, ["get", "k"]], [4, int(NOW) - 7200, 9_000_000, ["keys", "*"]]]
    assert judge("redis.slowlog", {}, slowlog=slowlog).params["count"] == 1
    assert judge("redis.slowlog.slowest", {}, slowlog=slowlog).status is Status.OK
    assert judge("redis.slowlog.lost", {}, slowlog=slowlog).status is Status.OK


def test_restarts() -> None:
    other = {**BEFORE, "run_id": "b" * 40, "restarts": [NOW - 3600, NOW - 90_000]}
    once = judge("redis.restart", other)
    assert (once.status, once.value) == (Status.WARNING, 2)  # the one of yesterday no longer counts
    often = judge("redis.restart", {**other, "restarts": [NOW - 3600, NOW - 7200]})
    assert (often.status, often.value) == (Status.CRITICAL, 3)
    assert judge("redis.restart", {**BEFORE, "restarts": [NOW - 3600]}).status is Status.OK


def test_forecast() -> None:
    figures = Figures(read(), Memory.read({**BEFORE, "used_memory": 127 * MIB}), Host(), NOW)
    assert figures.growth_per_day == 12 * MIB
    assert figures.days_to_maxmemory == pytest.approx(128 / 12)
    assert Figures(read(), Memory.read({**BEFORE, "used_memory": 129 * MIB}), Host(), NOW).days_to_maxmemory is None


def test_cpu_of_the_main_thread() -> None:
    before = {**BEFORE, "counters": {"used_cpu_sys_main_thread": 100.0, "used_cpu_user_main_thread": 100.0}}
    busy = judge("redis.cpu", before, used_cpu_user_main_thread=100.0 + 7200 * 0.97)
    assert (busy.status, round(busy.value or 0)) == (Status.CRITICAL, 97)
    assert judge("redis.cpu", {}).reason == "insufficient_data"


def test_event_counters_begin_at_the_first_run() -> None:
    for check_id, field in (
        ("redis.rejected_connections", {"rejected_connections": 70}),
        ("redis.oom_errors", {"errorstat_OOM": "count=9"}),
        ("redis.replication.full_sync", {"sync_full": 9}),
    ):
        assert judge(check_id, {}, **field).reason == "insufficient_data", check_id
        # The state of the last run holds no such counter: nothing of it had happened by then.
        assert judge(check_id, BEFORE, **field).status is Status.CRITICAL, check_id


def test_own_refusals_are_not_an_attack() -> None:
    refused = {"errorstat_NOPERM": "count=9", "errorstat_WRONGPASS": "count=1"}
    assert judge("redis.acl_denied", {**BEFORE, "own_denials": 9}, **refused).value == 0.5
    assert judge("redis.acl_denied", {**BEFORE, "own_denials": 10}, **refused).status is Status.OK
    newer = {**refused, "acl_access_denied_auth": 400, "acl_access_denied_cmd": 9}
    assert judge("redis.acl_denied", {**BEFORE, "own_denials": 9}, **newer).status is Status.CRITICAL


# Sizes below which a ratio says nothing


def test_fragmentation_needs_mass() -> None:
    assert judge("redis.frag", allocator_frag_ratio=2.5, allocator_frag_bytes=90 * MIB).status is Status.OK
    assert judge("redis.frag", allocator_frag_ratio=2.5, allocator_frag_bytes=190 * MIB).status is Status.CRITICAL
    assert judge("redis.frag", allocator_frag_ratio=1.5, allocator_frag_bytes=190 * MIB).status is Status.WARNING


def test_blocked_clients_need_company() -> None:
    assert judge("redis.blocked_clients", connected_clients=9, blocked_clients=8).status is Status.OK
    assert judge("redis.blocked_clients", connected_clients=20, blocked_clients=11).status is Status.WARNING


def test_slowest_command_needs_calls() -> None:
    slow = {"latency_percentiles_usec_get": "p50=1.0,p99=4.0,p99.9=300000.0"}
    assert judge("redis.latency.p999", {**BEFORE, "calls": {"get": 99_001}}, **slow).reason == "insufficient_data"
    assert judge("redis.latency.p999", {**BEFORE, "calls": {"get": 99_000}}, **slow).status is Status.CRITICAL


def test_keyspace_against_its_median() -> None:
    samples = [[NOW - hour * 3600, 5000 + hour] for hour in range(20, 0, -1)]
    assert judge("redis.keyspace", {**BEFORE, "samples": samples}).status is Status.OK
    gone = judge("redis.keyspace", {**BEFORE, "samples": samples}, db0=None)
    assert (gone.status, gone.message) == (Status.CRITICAL, "redis.keyspace.gone")
    half = {"db0": "keys=2400,expires=2400"}
    assert judge("redis.keyspace", {**BEFORE, "samples": samples}, **half).status is Status.WARNING
    assert judge("redis.keyspace", {**BEFORE, "samples": samples[:6]}, db0=None).status is Status.OK
    small = [[at, 90] for at, _keys in samples]
    assert judge("redis.keyspace", {**BEFORE, "samples": small}, db0=None).status is Status.OK
    week_old = [[at - 8 * DAY, keys] for at, keys in samples]
    assert judge("redis.keyspace", {**BEFORE, "samples": week_old}, db0=None).status is Status.OK


def test_times_to_live() -> None:
    assert judge("redis.ttl_coverage", db0="keys=2000,expires=900").status is Status.WARNING
    assert judge("redis.ttl_coverage", db0="keys=1000,expires=0").status is Status.OK
    assert judge("redis.ttl_coverage", purpose="store", db0="keys=2000,expires=0").status is Status.SKIPPED
    stale = {"expired_stale_perc": 30.0}
    assert judge("redis.expired_stale_perc", **stale).status is Status.CRITICAL
    assert judge("redis.expired_stale_perc", db0="keys=90,expires=90", **stale).status is Status.OK


# Levels


@pytest.mark.parametrize(
    ("check_id", "changes", "status"),
    [
        ("redis.mem.maxmemory", {"used_memory": 0.8001 * 256 * MIB}, Status.WARNING),
        ("redis.mem.maxmemory", {"used_memory": 0.79 * 256 * MIB}, Status.OK),
        ("redis.mem.unbounded", {"maxmemory": 0, "used_memory": 2500 * MIB}, Status.CRITICAL),
        ("redis.mem.unbounded", {"maxmemory": 0}, Status.WARNING),
        ("redis.mem.system", {"used_memory_rss": 3500 * MIB}, Status.WARNING),
        ("redis.swap", {"used_memory_rss": 100 * MIB}, Status.WARNING),
        ("redis.swap", {"used_memory_rss": 30 * MIB, "used_memory": 60 * MIB}, Status.OK),
        ("redis.clients", {"connected_clients": 9500}, Status.CRITICAL),
        ("redis.client_buffers", {"mem_clients_normal": 20 * 300_000}, Status.WARNING),
        ("redis.client_buffers.max", {"client_recent_max_output_buffer": 65 * MIB}, Status.CRITICAL),
        ("redis.scripts", {"number_of_cached_scripts": 1001}, Status.WARNING),
        ("redis.fork", {"latest_fork_usec": 150_000}, Status.WARNING),
        ("redis.rdb", {"rdb_changes_since_last_save": 5, "rdb_last_save_time": NOW - 27 * 3600}, Status.WARNING),
        ("redis.rdb", {"rdb_changes_since_last_save": 0, "rdb_last_save_time": NOW - 99 * 3600}, Status.OK),
        ("redis.rdb", {"rdb_changes_since_last_save": 5, "rdb_last_save_time": NOW - 49 * 3600}, Status.CRITICAL),
        ("redis.bgsave_slow", {"rdb_bgsave_in_progress": 1, "rdb_current_bgsave_time_sec": 700}, Status.WARNING),
        ("redis.aof", {"aof_enabled": 1, "aof_last_write_status": "err"}, Status.CRITICAL),
        ("redis.aof", {"aof_enabled": 1, "aof_current_size": 65 * MIB, "aof_base_size": 20 * MIB}, Status.WARNING),
        ("redis.aof", {"aof_enabled": 1, "aof_current_size": 60 * MIB, "aof_base_size": MIB}, Status.OK),
        ("redis.aof", {"aof_enabled": 1, "aof_delayed_fsync": 2}, Status.WARNING),
        (
            "redis.replication.link",
            {"role": "slave", "master_link_status": "down", "master_sync_in_progress": 1},
            Status.WARNING,
        ),
        ("redis.replication.lag", {"slave0": "ip=10.0.0.2,state=online,offset=0,lag=11"}, Status.WARNING),
        (
            "redis.replication.lag_bytes",
            {"slave0": "ip=10.0.0.2,state=online,offset=5,lag=0", "master_repl_offset": MIB + 6},
            Status.CRITICAL,
        ),
        (
            "redis.replication.backlog_window",
            {"slave0": "ip=10.0.0.2,state=online,offset=0,lag=0", "master_repl_offset": 7200 * MIB // 30},
            Status.WARNING,
        ),
        ("redis.replica_buffers", {"connected_slaves": 1, "mem_clients_slaves": 11 * MIB}, Status.WARNING),
        (
            "redis.replica_buffers",
            {"connected_slaves": 1, "mem_total_replication_buffers": 11 * MIB, "mem_replication_backlog": 10 * MIB},
            Status.OK,
        ),
    ],
)
def test_levels(check_id: str, changes: dict[str, Any], status: Status) -> None:
    assert judge(check_id, BEFORE, **changes).status is status


def test_swap_by_the_kernel() -> None:
    assert judge("redis.swap", host=Host(swap_bytes=MIB)).status is Status.WARNING
    assert judge("redis.swap", host=Host(swap_bytes=65 * MIB)).status is Status.CRITICAL
    assert judge("redis.swap", host=Host(swap_bytes=0)).status is Status.OK


def test_kernel_settings_are_advice_unless_strict() -> None:
    host = Host(thp="always", overcommit="0", somaxconn=128)
    advice = judge("redis.os", host=host)
    assert advice.status is Status.OK
    assert len(advice.evidence) == 3
    assert judge("redis.os", host=host, strict_os=True).status is Status.WARNING
    fine = Host(thp="madvise", overcommit="1", somaxconn=4096)
    assert judge("redis.os", host=fine, strict_os=True).status is Status.OK
    assert judge("redis.os", strict_os=True).status is Status.SKIPPED


def test_a_process_of_another_name_is_not_the_server(tmp_path: Path) -> None:
    process = tmp_path / "7"
    process.mkdir()
    (tmp_path / "sys/vm").mkdir(parents=True)
    (tmp_path / "sys/vm/overcommit_memory").write_text("0\n")
    (process / "status").write_text("Name:\tsshd\nVmSwap:\t  12 kB\n")
    assert engine.read_host(7, proc=tmp_path) == Host()
    (process / "status").write_text("Name:\tredis-server\nVmSwap:\t  12 kB\n")
    assert engine.read_host(7, proc=tmp_path).swap_bytes == 12288
    assert engine.read_host(7, proc=tmp_path).overcommit == "0"


@pytest.mark.parametrize(
    ("server", "version", "hole", "ended"),
    [
        ("Redis", "6.2.19", True, False),
        ("Redis", "6.2.20", False, False),
        ("Redis", "7.0.15", True, True),
        ("Redis", "7.4.6", False, False),
        ("Redis", "5.0.14", True, True),
        ("Redis", "8.4.0", False, False),
        ("Valkey", "8.1.3", True, False),
        ("Valkey", "9.1.2", False, False),
        ("Valkey", "unstable", False, False),
    ],
)
def test_versions(server: str, version: str, hole: bool, ended: bool) -> None:
    assert bool(versions.open_hole(server, version)) is hole
    assert bool(versions.ended(server, version)) is ended


def test_who_built_the_server_decides() -> None:
    built = {"redis_version": "7.0.15"}
    assert judge("redis.version", **built).status is Status.CRITICAL
    assert judge("redis.version", executable="/usr/bin/redis-server", **built).status is Status.OK


def test_what_is_not_told_is_never_ok() -> None:
    missing = judge("redis.hit_rate", keyspace_hits=None)
    assert (missing.status, missing.reason) == (Status.SKIPPED, "not_applicable")
    assert "keyspace_hits" in missing.summary
    refused = judge("redis.slowlog", refused="SLOWLOG GET")
    assert (refused.status, refused.reason) == (Status.SKIPPED, "denied")
    assert judge("redis.exposure", config={"bind": "10.0.0.1"}).status is Status.WARNING


def test_an_operators_level_beats_the_one_of_the_context() -> None:
    own = {"redis.mem.maxmemory": {"crit": "99"}}
    full = {"maxmemory_policy": "noeviction", "used_memory": 0.93 * 256 * MIB}
    assert judge("redis.mem.maxmemory", **full).status is Status.CRITICAL
    assert judge("redis.mem.maxmemory", thresholds=own, **full).status is Status.WARNING


# State


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*BEFORE, "errors", "usec", "samples", "restarts", "own_denials", "used_memory"]),
        st.recursive(
            st.none() | st.booleans() | st.floats(0, 1e12) | st.text(max_size=5),
            lambda s: st.lists(s) | st.dictionaries(st.text(max_size=5), s),
        ),
    )
)
def test_any_state_is_survived(state: dict[str, Any]) -> None:
    assert judge("redis.up", state).status is Status.OK


def test_state_stays_small_and_comes_back() -> None:
    many = {f"cmdstat_module.command{number}": f"calls={number},usec={number}" for number in range(500)}
    state: dict[str, Any] = {}
    for hour in range(300):
        figures = Figures(read(**many), Memory.read(state), Host(), NOW + hour * 3600)
        state = json.loads(json.dumps(state_of(figures)))
    assert len(json.dumps(state)) < 6000
    assert Memory.read(state).run_id == "a" * 40


# Catalogue


def test_catalogue_is_complete_and_used() -> None:
    decided = {check_id for check_id, _needs, _decide in rules.ALL} | {"redis.access"}
    assert decided == set(AREA.rules)
    folder = Path(engine.__file__).parent
    speakers = [*(folder / "rules").glob("*.py"), folder / "engine.py", folder.parent / "probes" / "redis.py"]
    source = "".join(path.read_text() for path in speakers)
    kinds = set(re.findall(r'Unreachable\(\s*"(\w+)"', Path(wire.__file__).read_text()))
    kinds |= {"drip", "silent", "full", "closed", "loading"}
    spoken = {f"redis.up.{kind}" for kind in kinds} | {"redis.exposure.none", "redis.exposure.loopback"}
    spoken |= set(re.findall(r'"(redis\.[a-z0-9_.]+)"', source)) & set(AREA.sentences)
    assert spoken == set(AREA.sentences)
    placeholders = re.compile(r"{(\w+)")
    for key, text in AREA.sentences.items():
        assert set(placeholders.findall(text.en)) == set(placeholders.findall(text.zh)), key
