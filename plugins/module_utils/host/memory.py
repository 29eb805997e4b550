# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, swap, and what the kernel killed for lack of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

JOURNAL_SECONDS = 3.0


def judge_memory(look: Look, pressures: Mapping[str, float | None], state: dict[str, Any]) -> list[Check]:
    """Judge memory and swap."""
    say, info, vmstat = look.say, look.files.table("/proc/meminfo"), look.files.table("/proc/vmstat")
    checks = []
    if info.get("MemTotal") and "MemAvailable" in info:
        total, available = info["MemTotal"] * 1024, info["MemAvailable"] * 1024
        value = 100 * (1 - available / total)
        checks.append(
            say.measure("mem.used", value, "host.memory", available=size(available), total=size(total), min=0, max=100)
        )
    state["pswpin"] = vmstat.get("pswpin", 0)
    if not info.get("SwapTotal"):
        return [*checks, say.find("swap.used", Status.SKIPPED, "host.no_swap")]
    value = 100 * (1 - info.get("SwapFree", 0) / info["SwapTotal"])
    words: dict[str, Any] = {"total": size(info["SwapTotal"] * 1024)}
    before = look.before("pswpin")
    active = (before is not None and state["pswpin"] > before) or (pressures.get("mem") or 0.0) > 1
    if active:
        return [*checks, say.measure("swap.used", value, "host.swap", min=0, max=100, **words)]
    quiet = "host.swap" if say.grade("swap.used", value) is Status.OK else "host.swap_idle"
    return [*checks, say.find("swap.used", Status.OK, quiet, value=value, **words)]


def judge_oom(look: Look, units: list[str], state: dict[str, Any]) -> list[Check]:
    """Judge whether the kernel killed for memory since the last run, and whether it hit one of these units."""
    count = look.files.table("/proc/vmstat").get("oom_kill")
    if count is None:
        return []
    state["oom_kill"] = count
    before = look.before("oom_kill")
    if before is None:
        return [look.say.find("oom_kill", Status.OK, "host.counting", value=0)]
    killed = max(0, count - before)
    if not killed:
        return [look.say.find("oom_kill", Status.OK, "host.oom_none", value=0)]
    lines = _kernel_kills(look, float(look.previous.get("at", look.now)))
    names = [unit if "." in unit else f"{unit}.service" for unit in units]
    status = look.say.grade("oom_kill", killed)
    if status is not Status.OK and any(f"/{name}" in line for line in lines for name in names):
        status = Status.CRITICAL
    evidence = [line for line in lines if "Killed process" in line] or lines
    return [look.say.find("oom_kill", status, "host.oom_some", value=killed, count=killed, evidence=evidence)]


def _kernel_kills(look: Look, since: float) -> list[str]:
    """Return the kernel's lines about it; nothing where the journal is not ours to read."""
    argv = [
        "journalctl",
        "-k",
        "-q",
        "--no-pager",
        "-o",
        "cat",
        f"--since=@{int(since)}",
        "-g",
        "oom-kill:|Killed process",
    ]
    try:
        return run(argv, look.deadline.sooner(JOURNAL_SECONDS).remaining()).stdout.splitlines()[-20:]
    except OpsError:
        return []
