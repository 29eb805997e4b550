# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures that no server reports: rates since the last run, shares, forecasts. Pure: no clock, no file, no socket."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.last_run import Memory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.parse import LatencyEvent, Reading, SlowEntry

MIB = 1024 * 1024
DAY = 86400.0

# Counters of INFO that are compared with the last run.
COUNTERS = (
    "total_commands_processed",
    "total_error_replies",
    "keyspace_hits",
    "keyspace_misses",
    "expired_keys",
    "evicted_keys",
    "rejected_connections",
    "sync_full",
    "master_repl_offset",
    "aof_delayed_fsync",
    "acl_access_denied_auth",
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "acl_access_denied_channel",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
)
SAMPLES_DAYS = 7
RESTARTS_KEPT = 10


class Host(NamedTuple):
    """What the host the server runs on tells, where that is this host; None for what could not be read."""

    swap_bytes: int | None = None
    thp: str = ""
    overcommit: str = ""
    somaxconn: int | None = None


@dataclass
class Figures:
    """A reading, what came before it, and what follows from the two."""

    reading: Reading
    memory: Memory
    host: Host
    now: float
    cache: bool = True

    @property
    def known(self) -> bool:
        """Tell whether there was a run before this one."""
        return bool(self.memory.run_id)

    @property
    def restarted(self) -> bool:
        """Tell whether the server was restarted since the last run: its run id is another one."""
        return self.known and self.memory.run_id != self.reading.info.get("run_id", "")

    @property
    def uptime(self) -> float:
        """Seconds since the server started."""
        return self.reading.number("uptime_in_seconds") or 0.0

    @property
    def seconds(self) -> float:
        """Seconds the counters' differences span: since the last run, else since the start of the server.

        By the server's own clock, which an adjusted clock here does not disturb; never less than one second.
        """
        if not self.known or self.restarted:
            return max(self.uptime, 1.0)
        return max(self.now - self.memory.at, 1.0)

    def _since(self, current: float, before: float | None) -> float:
        # After a restart, or CONFIG RESETSTAT (the counter fell), everything counted happened since the last run.
        if before is None or self.restarted or current < before:
            return current
        return current - before

    def delta(self, name: str) -> float:
        """Difference of a counter of INFO since the last run, or since the start of the server at the first run."""
        return self._since(self.reading.number(name) or 0.0, self.memory.counters.get(name))

    def error_delta(self, name: str) -> float:
        """Error replies with this prefix since the last run, or since the start of the server at the first run."""
        # A prefix that never occurred has no field: at a known last run its count was 0, which is the default too.
        return self._since(float(self.reading.errors.get(name, 0)), self.memory.errors.get(name))

    def calls_delta(self, command: str) -> float:
        """Calls of a command since the last run, or since the start of the server at the first run."""
        return self._since(self.reading.commands.get(command, {}).get("calls", 0.0), self.memory.calls.get(command))

    def usec_delta(self, command: str) -> float:
        """Server time spent in a command, as for ``calls_delta``, in microseconds."""
        return self._since(self.reading.commands.get(command, {}).get("usec", 0.0), self.memory.usec.get(command))

    def per_minute(self, amount: float) -> float:
        """Rate per minute; a window under a minute counts as one, so that one event does not become thirty."""
        return amount * 60.0 / max(self.seconds, 60.0)

    def per_hour(self, amount: float) -> float:
        """Rate per hour; a window under an hour counts as one."""
        return amount * 3600.0 / max(self.seconds, 3600.0)

    @property
    def lookups(self) -> float:
        """Key look-ups in the window."""
        return self.delta("keyspace_hits") + self.delta("keyspace_misses")

    @property
    def hit_rate(self) -> float | None:
        """Share of look-ups in the window that found their key, in percent."""
        return 100.0 * self.delta("keyspace_hits") / self.lookups if self.lookups else None

    @property
    def hit_rate_lifetime(self) -> float | None:
        """The same since the server started or its statistics were reset."""
        hits, misses = self.reading.count("keyspace_hits"), self.reading.count("keyspace_misses")
        return 100.0 * hits / (hits + misses) if hits + misses else None

    @property
    def memory_percent(self) -> float | None:
        """Used memory in percent of maxmemory, None without a limit."""
        limit = self.reading.number("maxmemory")
        return 100.0 * self.reading.count("used_memory") / limit if limit else None

    @property
    def system_percent(self) -> float:
        """Resident memory of the server in percent of the host's memory."""
        return 100.0 * self.reading.count("used_memory_rss") / max(self.reading.count("total_system_memory"), 1)

    @property
    def fork_ms_per_gb(self) -> float | None:
        """Duration of the last fork per GB of used memory."""
        fork, used = self.reading.count("latest_fork_usec"), self.reading.count("used_memory")
        return fork / 1000.0 / (used / 1e9) if fork and used else None

    @property
    def growth_per_day(self) -> float | None:
        """Growth of used memory since the last run in bytes per day, None for windows under an hour."""
        if not self.known or self.restarted or self.seconds < 3600 or not self.memory.used_memory:
            return None
        return (self.reading.count("used_memory") - self.memory.used_memory) * DAY / self.seconds

    @property
    def days_to_maxmemory(self) -> float | None:
        """Days until used memory reaches maxmemory at the present growth, None when it does not grow."""
        limit, growth = self.reading.number("maxmemory"), self.growth_per_day
        if not limit or growth is None or growth <= 0:
            return None
        return max(0.0, limit - self.reading.count("used_memory")) / growth

    @property
    def backlog_window(self) -> float | None:
        """Seconds of writes the replication backlog holds, None without writes in the window."""
        written = self.delta("master_repl_offset")
        if not self.known or self.restarted or not written:
            return None
        return self.reading.count("repl_backlog_size") / (written / self.seconds)

    @property
    def cpu_percent(self) -> float | None:
        """Share of one core the main thread used in the window, None at the first run."""
        if not self.known:
            return None
        used = self.delta("used_cpu_sys_main_thread") + self.delta("used_cpu_user_main_thread")
        return 100.0 * used / self.seconds

    @property
    def denials(self) -> float:
        """Failed logins and refused commands in the window, without those of our own last run.

        ``acl_access_denied_*`` exists since 7.2; before that the error statistics count the same replies.
        """
        names = [name for name in COUNTERS if name.startswith("acl_access_denied_") and name in self.reading.info]
        if names:
            total = sum(self.delta(name) for name in names)
        else:
            total = self.error_delta("NOPERM") + self.error_delta("WRONGPASS")
        # After a restart our own refusals of the run before are gone with the counters.
        return total if self.restarted else max(0.0, total - self.memory.own_denials)

    @property
    def slow_new(self) -> list[SlowEntry]:
        """Entries of the slow log since the last run; at the first run those of the last hour."""
        if not self.known:
            return [entry for entry in self.reading.slowlog if entry.at > self.now - 3600]
        if self._slowlog_restarted:
            return list(self.reading.slowlog)
        return [entry for entry in self.reading.slowlog if entry.id > self.memory.slowlog_id]

    @property
    def slow_count(self) -> int:
        """How many there were, by their ids: the ring may have lost some and the fetch is bounded."""
        if not self.known or not self.reading.slowlog:
            return len(self.slow_new)
        newest = self.reading.slowlog[0].id
        return newest + 1 if self._slowlog_restarted else newest - self.memory.slowlog_id

    @property
    def slow_lost(self) -> int:
        """Entries since the last run that the ring has overwritten; 0 after SLOWLOG RESET, which leaves it not full."""
        limit = self.reading.config.get("slowlog-max-len", "")
        if not self.known or (limit.isdigit() and self.reading.slowlog_len < int(limit)):
            return 0
        return max(0, self.slow_count - self.reading.slowlog_len)

    @property
    def _slowlog_restarted(self) -> bool:
        newest = self.reading.slowlog[0].id if self.reading.slowlog else self.memory.slowlog_id
        return self.restarted or newest < self.memory.slowlog_id

    def slow_groups(self) -> list[dict[str, Any]]:
        """New entries by command, most time first: count, total and longest duration in milliseconds."""
        count: Counter[str] = Counter()
        total: Counter[str] = Counter()
        longest: dict[str, int] = {}
        for entry in self.slow_new:
            count[entry.command] += 1
            total[entry.command] += entry.usec
            longest[entry.command] = max(longest.get(entry.command, 0), entry.usec)
        return [
            {"command": name, "count": count[name], "total_ms": usec / 1000.0, "max_ms": longest[name] / 1000.0}
            for name, usec in total.most_common()
        ]

    @property
    def new_latency_events(self) -> list[LatencyEvent]:
        """Spikes of the latency monitor since the last run; at the first run those of the last hour."""
        # The server gives whole seconds: one that falls into the second of the last run is told twice rather than never.
        since = int(self.memory.at) if self.known and not self.restarted else self.now - 3600
        return [event for event in self.reading.latency_events if event.at >= since]

    def top_commands(self, number: int = 5) -> list[dict[str, Any]]:
        """Commands by their share of server time in the window."""
        spent = {name: self.usec_delta(name) for name in self.reading.commands}
        total = sum(spent.values())
        top = sorted((name for name in spent if spent[name] > 0), key=lambda name: -spent[name])[:number]
        return [
            {
                "command": name,
                "calls": int(self.calls_delta(name)),
                "share_percent": round(100.0 * spent[name] / total, 1),
                "usec_per_call": round(spent[name] / max(self.calls_delta(name), 1.0), 1),
            }
            for name in top
        ]

    @property
    def keys_median(self) -> float | None:
        """Median of the key counts of the last days, None below seven samples."""
        counts = [count for at, count in self.memory.samples if at > self.now - SAMPLES_DAYS * DAY]
        return sorted(counts)[len(counts) // 2] if len(counts) >= 7 else None

    @property
    def restarts_24h(self) -> int:
        """Restarts seen within a day, this run's included."""
        return len(self.restarts)

    @property
    def restarts(self) -> list[float]:
        """When the server was restarted within a day, this run's included."""
        moments = [moment for moment in self.memory.restarts if moment > self.now - DAY]
        return ([*moments, self.now - self.uptime] if self.restarted else moments)[-RESTARTS_KEPT:]

    @property
    def saves(self) -> bool | None:
        """Tell whether RDB snapshots are configured, None when the configuration could not be read."""
        return bool(self.reading.config["save"].strip()) if "save" in self.reading.config else None

    @property
    def save_age(self) -> float:
        """Seconds since the last successful snapshot, or since the start when there was none."""
        return max(0.0, self.now - self.reading.count("rdb_last_save_time"))

    @property
    def listens(self) -> str:
        """How far the TCP port reaches: ``none``, ``loopback``, ``some`` or ``all`` interfaces."""
        config = self.reading.config
        if self.reading.number("tcp_port") == 0 and config.get("tls-port", "") in ("", "0"):
            return "none"
        addresses = [address.lstrip("-") for address in config.get("bind", "").split()]
        if not addresses or any(address in ("*", "0.0.0.0", "::", "::*") for address in addresses):
            return "all"
        loopback = re.compile(r"^(127\.\d+\.\d+\.\d+|::1|localhost)$")
        return "loopback" if all(loopback.match(address) for address in addresses) else "some"

    def worst_replica(self) -> tuple[float, float]:
        """Largest lag over all attached replicas in seconds and in bytes."""
        offset = self.reading.count("master_repl_offset")
        seconds = [float(replica.get("lag", 0)) for replica in self.reading.replicas]
        behind = [offset - float(replica.get("offset", offset)) for replica in self.reading.replicas]
        return max(seconds, default=0.0), max(0.0, *behind, 0.0)
