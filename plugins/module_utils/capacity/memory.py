# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of the application's processes and of the host, and where both are going."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.look import Past, judge_eta
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import find_service
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import number, show, unit_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

KIB = 1024
# What the host's memory is called in sentences of both languages.
RAM = "RAM"


def judge_memory(say: Reporter, spec: Mapping[str, Any], past: Past, deadline: Deadline) -> Iterator[Check]:
    """Judge the processes of the service against the unit's limit, or all memory where it has none."""
    info = meminfo()
    total = info["MemTotal"]
    if "MemAvailable" in info:
        used = 100.0 * (1 - info["MemAvailable"] / total)
        yield judge_eta(say, "mem.eta_full", RAM, used, past.with_now(used, "mem.used|"))
    item = spec["service"] or spec["pidfile"]
    if not item:
        return
    service = find_service(spec, deadline)
    if service.error:
        yield say.find("capacity.memory", Status.UNKNOWN, "capacity.memory_unknown", item, error=service.error)
        return
    held = {one: resident(one.pid) or one.rss for one in service.processes}
    if not held:
        yield say.find("capacity.memory", Status.SKIPPED, "capacity.memory_none", item)
        return
    name, limit = "MemTotal", total
    if spec["service"]:
        try:
            unit = unit_name(spec["service"])
            own = number(show([unit], ["MemoryMax"], deadline.remaining())[unit], "MemoryMax")
        except OpsError:
            own = None  # the processes were found through it a moment ago: the machine's own limit stands
        if own and own < total:
            name, limit = "MemoryMax", own
    value = 100.0 * sum(held.values()) / limit
    ranked = sorted(held.items(), key=lambda pair: -pair[1])
    yield say.measure(
        "capacity.memory", value, "capacity.memory_used", item, min=0, max=100,
        evidence=[f"pid {one.pid} {one.comm}: {size(count)}" for one, count in ranked],
        size=size(sum(held.values())), count=len(held), limit=name, limit_size=size(limit),
    )  # fmt: skip
    yield judge_eta(say, "capacity.memory_eta", item, value, past.with_now(value, f"capacity.memory|{item}"))


def meminfo() -> dict[str, int]:
    """Return /proc/meminfo in bytes."""
    lines = (line.split() for line in proc.read(f"{proc.PROC}/meminfo").splitlines())
    return {fields[0].rstrip(":"): int(fields[1]) * KIB for fields in lines if len(fields) > 2}


def resident(pid: int) -> int | None:
    """Return the proportional set size: pages that forked workers share count once, where RSS counts them in each."""
    try:
        lines = proc.read(f"{proc.PROC}/{pid}/smaps_rollup").splitlines()
    except OSError:
        return None  # gone, or of another user
    return next((int(line.split()[1]) * KIB for line in lines if line.startswith("Pss:")), None)
