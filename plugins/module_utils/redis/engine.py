# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask one server and judge it: the engine behind the probe ``redis`` and the module ``redis_stats``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import Figures, Host
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.last_run import Memory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.parse import COMMANDS, Reading, parse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Wishes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.evaluate import evaluate
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.state import state
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.stats import stats
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.wire import Target, Unreachable, exchange

# A server that needs longer for a PONG is down for its users (thresholds of the field: 3 s).
PATIENCE = 3.0
# Above this the first reply is confirmed by four more; equals the default warning of redis.ping.
SLOW_MS = 10.0

OPTIONS: dict[str, dict[str, Any]] = {
    "host": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int", "default": 6379},
    "unix_socket": {"type": "path", "default": ""},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "tls": {"type": "bool", "default": False},
    "tls_ca": {"type": "path", "default": ""},
    "tls_cert": {"type": "path", "default": ""},
    "tls_key": {"type": "path", "default": "", "no_log": False},
    "tls_verify": {"type": "bool", "default": True},
    "role": {"type": "str", "default": "cache", "choices": ["cache", "store"]},
    "expected_role": {"type": "str", "default": "", "choices": ["", "master", "replica"]},
    "strict_os": {"type": "bool", "default": False},
}

# Everything else means that the server, or the way to it, is broken for its users too.
_STATUS = {"loading": Status.WARNING, "forbidden_socket": Status.UNKNOWN}
_REASON = {
    "loading": "state",
    "no_socket": "missing",
    "unresolved": "missing",
    **dict.fromkeys(
        ("forbidden_socket", "wrong_password", "password_wanted", "no_password_set", "protected"), "denied"
    ),
    **dict.fromkeys(("connect_timeout", "silent", "drip", "tls_silent", "resolver_silent"), "timeout"),
}
# Only these reach the server's counters of refused logins.
_COUNTED = ("wrong_password",)


class Inspection(NamedTuple):
    """What one look at a server gave."""

    checks: list[Check]
    state: dict[str, Any]
    stats: dict[str, Any]


def validate(options: Mapping[str, Any]) -> None:
    """Raise OpsError for options with which no server can be asked."""
    if not options["unix_socket"] and not 0 < options["port"] < 65536:
        raise OpsError(f"port is {options['port']}: expected 1 to 65535, or a unix_socket")
    if options["tls_key"] and not options["tls_cert"]:
        raise OpsError("tls_key is given without tls_cert: expected the certificate that belongs to the key")


def inspect(
    options: Mapping[str, Any], thresholds: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline
) -> Inspection:
    """Ask the server once and return its checks.

    A server that does not answer is a finding, never an exception. Raises LibraryMissing without the library redis and
    OpsError when our own side is misconfigured (options, TLS files, thresholds).
    """
    validate(options)
    target = Target(**{name: options[name] for name in Target.__dataclass_fields__})
    wishes = Wishes(options["role"], options["expected_role"], options["strict_os"])
    say = AREA.reporter(thresholds, source="redis")
    memory = Memory.read(previous)
    try:
        found = exchange(target, COMMANDS, deadline, SLOW_MS)
    except Unreachable as exc:
        return Inspection([_down(say, target, exc)], _after_failure(previous, memory, exc), {})
    reading = parse(found.replies, found.ping_ms)
    if reading.info.get("loading") == "1":
        return Inspection([_loading(say, target, reading)], dict(previous), {})
    host = read_host(reading.count("process_id")) if target.local else Host()
    figures = Figures(reading, memory, host, _server_time(reading), cache=wishes.role == "cache")
    checks = evaluate(figures, target, wishes, thresholds)
    kept = state(figures) or {**previous, "own_denials": memory.own_denials + reading.refusals}
    return Inspection(checks, kept, stats(figures))


def _down(say: Any, target: Target, exc: Unreachable) -> Check:
    return say.find(
        "redis.up",
        _STATUS.get(exc.kind, Status.CRITICAL),
        f"redis.up.{exc.kind}",
        item=target.item,
        reason=_REASON.get(exc.kind, "state"),
        detail=exc.detail,
        waited=exc.waited,
        user=target.user,
        progress="",
    )


def _after_failure(previous: Mapping[str, Any], memory: Memory, exc: Unreachable) -> dict[str, Any]:
    # The counters wait for the next success, and our own refused login is not somebody's attack.
    return {**previous, "own_denials": memory.own_denials + 1} if exc.kind in _COUNTED else dict(previous)


def _loading(say: Any, target: Target, reading: Reading) -> Check:
    done, eta = reading.info.get("loading_loaded_perc", "?"), reading.info.get("loading_eta_seconds", "?")
    return say.find(
        "redis.up",
        Status.WARNING,
        "redis.up.loading",
        item=target.item,
        progress=f" ({done} %, {eta} s)",
        evidence=[f"{name}: {reading.info[name]}" for name in reading.info if name.startswith("loading_")],
    )


def _server_time(reading: Reading) -> float:
    # Two runs are compared by the server's clock, so that the prober's may be wrong.
    usec = reading.number("server_time_usec")
    return usec / 1e6 if usec else time.time()


def read_host(process_id: int, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Host:
    """Read what the kernel of this host says about the server's process; nothing when the process is not here.

    A loopback address may lead into a container or through a tunnel, so the process itself has to be seen.
    """
    status = _text(proc / str(process_id) / "status")
    name = status.partition("Name:")[2].split("\n", 1)[0].lower()
    if not process_id or not ("redis" in name or "valkey" in name):
        return Host()
    swap = status.partition("VmSwap:")[2].split()
    thp = _text(sys / "kernel/mm/transparent_hugepage/enabled")
    somaxconn = _text(proc / "sys/net/core/somaxconn").strip()
    return Host(
        swap_bytes=int(swap[0]) * 1024 if swap else None,
        thp=thp.partition("[")[2].partition("]")[0],
        overcommit=_text(proc / "sys/vm/overcommit_memory").strip(),
        somaxconn=int(somaxconn) if somaxconn.isdigit() else None,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
