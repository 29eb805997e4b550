# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Derived figures and the fields they rest on, as a module returns them."""

from __future__ import annotations

from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import Figures


def stats(figures: Figures) -> dict[str, Any]:
    """Derived figures and the selected fields they rest on, as plain JSON data."""
    reading, info = figures.reading, figures.reading.info
    commands = max(figures.delta("total_commands_processed"), 1.0)
    return {
        "server": {
            "name": reading.server,
            "version": reading.version,
            "uptime_seconds": int(figures.uptime),
            "run_id": info.get("run_id", ""),
            "executable": info.get("executable", ""),
            "config_file": info.get("config_file", ""),
            "role": info.get("role", ""),
        },
        "window_seconds": round(figures.seconds, 1),
        "ping_ms": round(reading.ping_ms, 3),
        "hit_rate_percent": _round(figures.hit_rate),
        "hit_rate_lifetime_percent": _round(figures.hit_rate_lifetime),
        "lookups": int(figures.lookups),
        "operations_per_second": _round(figures.delta("total_commands_processed") / figures.seconds),
        "evictions_per_minute": _round(figures.per_minute(figures.delta("evicted_keys"))),
        "expirations_per_second": _round(figures.delta("expired_keys") / figures.seconds),
        "errors_per_1000_commands": {
            name: round(1000.0 * figures.error_delta(name) / commands, 3) for name in sorted(reading.errors)
        },
        "top_commands": figures.top_commands(),
        "clients": {
            name: reading.number(name)
            for name in ("connected_clients", "blocked_clients", "maxclients", "rejected_connections")
        },
        "memory": {
            **{
                name: reading.number(name)
                for name in (
                    "used_memory",
                    "used_memory_rss",
                    "used_memory_peak",
                    "maxmemory",
                    "total_system_memory",
                    "allocator_frag_ratio",
                    "allocator_frag_bytes",
                    "mem_fragmentation_ratio",
                )
            },
            "policy": info.get("maxmemory_policy", ""),
            "used_percent": _round(figures.memory_percent),
            "headroom_bytes": max(0, reading.count("maxmemory") - reading.count("used_memory"))
            if reading.count("maxmemory")
            else None,
            "growth_bytes_per_day": _round(figures.growth_per_day),
            "days_to_maxmemory": _round(figures.days_to_maxmemory),
            "doctor": reading.doctor,
        },
        "keyspace": {
            "keys": reading.keys,
            "expiring": reading.expiring_keys,
            "databases": {name: int(fields.get("keys", 0)) for name, fields in reading.databases.items()},
        },
        "persistence": {
            "rdb_last_status": info.get("rdb_last_bgsave_status", ""),
            "seconds_since_save": int(figures.save_age) if "rdb_last_save_time" in info else None,
            "changes_since_save": reading.number("rdb_changes_since_last_save"),
            "aof_enabled": info.get("aof_enabled") == "1",
            "fork_ms": reading.count("latest_fork_usec") / 1000.0,
            "fork_ms_per_gb": _round(figures.fork_ms_per_gb),
        },
        "replication": {
            "role": info.get("role", ""),
            "replicas": reading.count("connected_slaves"),
            "link": info.get("master_link_status", ""),
            "backlog_window_seconds": _round(figures.backlog_window),
        },
        "slowlog": {"new": figures.slow_count, "lost": figures.slow_lost, "commands": figures.slow_groups()[:10]},
        "latency_p999_ms": {
            name: round(values["p99.9"] / 1000.0, 3)
            for name, values in sorted(reading.latency_usec.items())
            if "p99.9" in values
        },
        "refused": {name: refusal.kind for name, refusal in sorted(reading.refused.items())},
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
