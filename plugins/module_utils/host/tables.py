# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the kernel that run full: open files, process numbers, tracked connections, listen queues."""

from __future__ import annotations

from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Look


def judge_tables(look: Look, state: dict[str, Any]) -> list[Check]:
    """Judge open files, process numbers, tracked connections, listen queues, random numbers."""
    say, files = look.say, look.files
    checks = []
    handles = (files.read("/proc/sys/fs/file-nr") or "").split()
    if len(handles) == 3:
        checks.append(_table(say, "fd.system", int(handles[0]), int(handles[2])))
    limits = [files.number(f"/proc/sys/kernel/{name}") for name in ("pid_max", "threads-max")]
    running = (files.read("/proc/loadavg") or "").split()
    known = [limit for limit in limits if limit]
    if known and len(running) > 3:
        checks.append(_table(say, "pid.space", int(running[3].partition("/")[2]), min(known)))
    tracked, most = (files.number(f"/proc/sys/net/netfilter/nf_conntrack_{name}") for name in ("count", "max"))
    if tracked is not None and most:
        checks.append(_table(say, "conntrack", tracked, most))
    checks += _overflows(look, state)
    # From 5.18 on the pool is 256 bits and always full.
    pool, bits = (files.number(f"/proc/sys/kernel/random/{name}") for name in ("poolsize", "entropy_avail"))
    if pool not in (None, 256) and bits is not None:
        checks.append(say.measure("entropy", bits, "host.bits", min=0))
    return checks


def _table(say: Reporter, check_id: str, used: int, limit: int) -> Check:
    return say.measure(check_id, 100 * used / limit, "host.table", used=used, limit=limit, min=0, max=100)


def _overflows(look: Look, state: dict[str, Any]) -> list[Check]:
    lines = [line.split() for line in (look.files.read("/proc/net/netstat") or "").splitlines()]
    pairs = {
        name: value
        for names, values in zip(lines, lines[1:])
        for name, value in zip(names, values)
        if names[0] == "TcpExt:"
    }
    if not pairs.get("ListenOverflows", "").isdigit():
        return []
    count = int(pairs["ListenOverflows"])
    state["overflows"] = count
    before = look.before("overflows")
    if before is None:
        return [look.say.find("tcp.listen_overflow", Status.OK, "host.counting", value=0)]
    fresh = max(0, count - before)
    status = look.say.grade("tcp.listen_overflow", fresh)
    if status is not Status.OK and fresh / max(1.0, look.now - look.previous.get("at", 0)) > 5:
        status = Status.CRITICAL
    reason = "ok" if status is Status.OK else "threshold"
    return [look.say.find("tcp.listen_overflow", status, "host.overflows", reason=reason, value=fresh)]
