# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the replies of one exchange into records; knows the protocol's texts and nothing of thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.wire import Refusal

# Not requirepass, masterauth or "*": a secret that is never read cannot leak.
CONFIG_NAMES = (
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "latency-monitor-threshold",
    "save",
    "bind",
    "protected-mode",
    "tcp-backlog",
    "tls-port",
    "aclfile",
)
SLOWLOG_FETCH = 128

# One CONFIG GET per name, since only 7.0 and newer take several. INFO comes first: its counters are then free of our
# own refused commands of this run. Every command is O(1) or bounded by SLOWLOG_FETCH.
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("INFO", "everything"),
    ("PING",),
    ("SLOWLOG", "LEN"),
    ("SLOWLOG", "GET", str(SLOWLOG_FETCH)),
    ("LATENCY", "LATEST"),
    ("MEMORY", "DOCTOR"),
    ("ACL", "LOG", "10"),
    *(("CONFIG", "GET", name) for name in CONFIG_NAMES),
)

# Command as it is sent -> rule that grants it.
GRANTS = {
    "INFO": "+info",
    "PING": "+ping",
    "SLOWLOG LEN": "+slowlog|len",
    "SLOWLOG GET": "+slowlog|get",
    "LATENCY LATEST": "+latency|latest",
    "MEMORY DOCTOR": "+memory|doctor",
    "ACL LOG": "+acl|log",
    "CONFIG GET": "+config|get",
}


class SlowEntry(NamedTuple):
    """One line of the slow log; of the command only its name, since arguments are users' data."""

    id: int
    at: int
    usec: int
    command: str


class LatencyEvent(NamedTuple):
    """The latest spike of one event of the latency monitor, in milliseconds."""

    name: str
    at: int
    latest_ms: int
    max_ms: int


@dataclass
class Reading:
    """Everything one exchange told."""

    info: dict[str, str] = field(default_factory=dict)
    sections: set[str] = field(default_factory=set)
    commands: dict[str, dict[str, float]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    latency_usec: dict[str, dict[str, float]] = field(default_factory=dict)
    databases: dict[str, dict[str, float]] = field(default_factory=dict)
    replicas: list[dict[str, str]] = field(default_factory=list)
    slowlog_len: int = 0
    slowlog: list[SlowEntry] = field(default_factory=list)
    latency_events: list[LatencyEvent] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)
    acl_log: list[str] = field(default_factory=list)
    doctor: str = ""
    refused: dict[str, Refusal] = field(default_factory=dict)
    refusals: int = 0
    ping_ms: float = 0.0

    def number(self, name: str) -> float | None:
        """Return a field of INFO as a number, None when it is missing or no number."""
        try:
            return float(self.info[name])
        except (KeyError, ValueError):
            return None

    def count(self, name: str) -> int:
        """Return a field of INFO as a whole number, 0 when it is missing: only for fields a rule already asked for."""
        return int(self.number(name) or 0)

    @property
    def server(self) -> str:
        """``Redis`` or ``Valkey``."""
        return "Valkey" if "valkey_version" in self.info else "Redis"

    @property
    def version(self) -> str:
        """The server's own version; Valkey's ``redis_version`` is only the protocol it is compatible with."""
        return self.info.get("valkey_version") or self.info.get("redis_version", "?")

    @property
    def keys(self) -> int:
        """Keys of all databases."""
        return int(sum(database.get("keys", 0) for database in self.databases.values()))

    @property
    def expiring_keys(self) -> int:
        """Keys of all databases that have a time to live."""
        return int(sum(database.get("expires", 0) for database in self.databases.values()))


def parse(replies: list[Any], ping_ms: float) -> Reading:
    """Put the replies to ``COMMANDS``, or to the first of them, into a record."""
    reading = Reading(ping_ms=ping_ms)
    for command, reply in zip(COMMANDS, replies):
        name = " ".join(command[:2]) if command[0] in ("SLOWLOG", "LATENCY", "MEMORY", "ACL", "CONFIG") else command[0]
        if isinstance(reply, Refusal):
            reading.refused[name] = reply
            reading.refusals += reply.kind == "denied"
        elif name == "INFO":
            _info(reading, str(reply))
        elif name == "SLOWLOG LEN":
            reading.slowlog_len = int(reply)
        elif name == "SLOWLOG GET":
            reading.slowlog = [_slow(entry) for entry in reply]
        elif name == "LATENCY LATEST":
            reading.latency_events = [LatencyEvent(str(e[0]), int(e[1]), int(e[2]), int(e[3])) for e in reply]
        elif name == "MEMORY DOCTOR":
            reading.doctor = str(reply)[:500]
        elif name == "ACL LOG":
            reading.acl_log = [_acl_entry(entry) for entry in reply]
        elif name == "CONFIG GET":
            reading.config.update(_pairs(reply))
    return reading


def _info(reading: Reading, text: str) -> None:
    for section, name, value in info_fields(text):
        reading.sections.add(section)
        if not name:
            continue
        if name.startswith("cmdstat_"):
            reading.commands[name[8:]] = _fields(value)
        elif name.startswith("errorstat_"):
            reading.errors[name[10:]] = int(_fields(value).get("count", 0))
        elif name.startswith("latency_percentiles_usec_"):
            reading.latency_usec[name[25:]] = _fields(value)
        elif section == "keyspace":
            reading.databases[name] = _fields(value)
        elif name.startswith("slave") and name[5:].isdigit():
            reading.replicas.append(dict(part.partition("=")[::2] for part in value.split(",")))
        else:
            reading.info[name] = value


def info_fields(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, name and value of each line of INFO, and each section once with an empty name."""
    section = ""
    for line in text.splitlines():
        if line.startswith("#"):
            section = line[1:].strip().lower()
            yield section, "", ""
        elif ":" in line:
            name, _sep, value = line.partition(":")
            yield section, name, value


def _fields(value: str) -> dict[str, float]:
    result = {}
    for part in value.split(","):
        name, _sep, number = part.partition("=")
        try:
            result[name] = float(number)
        except ValueError:
            continue
    return result


def _slow(entry: list[Any]) -> SlowEntry:
    words = entry[3]
    return SlowEntry(int(entry[0]), int(entry[1]), int(entry[2]), str(words[0]).upper()[:40] if words else "?")


def _pairs(reply: Any) -> dict[str, str]:
    if isinstance(reply, dict):
        return {str(name): str(value) for name, value in reply.items()}
    return dict(zip((str(name) for name in reply[::2]), (str(value) for value in reply[1::2])))


def _acl_entry(entry: Any) -> str:
    # Neither object nor client-info for a failed login: people type passwords where the user name belongs.
    pairs = _pairs(entry)
    reason = pairs.get("reason", "?")
    if reason == "auth":
        return f"{pairs.get('count', '?')} x failed login"
    return f"{pairs.get('count', '?')} x {reason} {pairs.get('object', '?')[:60]} by {pairs.get('username', '?')[:40]}"
