# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a unit that is installed has: processes that may be stopped, limits, a file that may have changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import number
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.declared import Declared
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.restarts import Restarts, judge_restarts


def judge_loaded(
    say: Reporter,
    unit: Declared,
    shown: Mapping[str, str],
    restarts: Restarts,
    processes: dict[int, proc.Process],
) -> list[Check]:
    """Judge what only a unit that is installed has."""
    checks = [judge_restarts(say, unit, restarts)]
    family = proc.family(processes, number(shown, "MainPID") or 0)
    if family or shown.get("FreezerState") in ("frozen", "freezing"):
        checks.append(_frozen(say, unit, shown, family))
    file_state = shown.get("UnitFileState", "")
    if unit.enabled is not None:
        wanted = "enabled" if unit.enabled else "disabled"
        right = (
            file_state in ("enabled", "enabled-runtime", "alias")
            if unit.enabled
            else not file_state.startswith("enabled")
        )
        status, sentence = (Status.OK, "as_declared") if right else (Status.WARNING, "differs")
        checks.append(
            say.find(
                "unit.enabled", status, f"unit.enabled_{sentence}", item=unit.name, state=file_state, wanted=wanted
            )
        )
    stale = shown.get("NeedDaemonReload") == "yes"
    status, sentence = (Status.WARNING, "unit.reload_is_needed") if stale else (Status.OK, "unit.reload_not_needed")
    checks.append(say.find("unit.reload_needed", status, sentence, item=unit.name))
    if shown.get("ActiveState") == "active":
        checks += _limits(say, unit, shown)
    return checks


def _frozen(say: Reporter, unit: Declared, shown: Mapping[str, str], family: list[proc.Process]) -> Check:
    """Judge whether the unit's processes can run at all; systemd calls a stopped service active (running)."""
    freezer = shown.get("FreezerState", "")
    if freezer in ("frozen", "freezing"):
        return say.find("unit.frozen", unit.severity, "unit.is_frozen", item=unit.name, state=freezer)
    stopped = [one for one in family if one.state in proc.STOPPED]
    if stopped:
        # A login below sshd is a session of its own, where somebody may have pressed Ctrl-Z.
        own = proc.cgroup(family[0].pid)
        family = [one for one in family if proc.cgroup(one.pid) == own]
        stopped = [one for one in family if one.state in proc.STOPPED]
    living = [one for one in family if one.state not in "ZX"]
    words: dict[str, Any] = {
        "item": unit.name,
        "total": len(living),
        "count": len(stopped),
        "evidence": [f"pid {one.pid} {one.comm}: state {one.state}" for one in stopped],
    }
    if not stopped:
        return say.find("unit.frozen", Status.OK, "unit.not_stopped", **words)
    if len(stopped) == len(living):
        return say.find("unit.frozen", unit.severity, "unit.all_stopped", **words)
    return say.find("unit.frozen", Status.WARNING, "unit.some_stopped", **words)


def _limits(say: Reporter, unit: Declared, shown: Mapping[str, str]) -> list[Check]:
    """Judge memory and tasks against their limits; no check where no limit is set."""
    checks = []
    bounds = {name: number(shown, name) for name in ("MemoryHigh", "MemoryMax")}
    limits = {name: value for name, value in bounds.items() if value}
    if limits:
        name = min(limits, key=lambda one: limits[one])
        used = number(shown, "MemoryCurrent")
        if used is None:
            checks.append(say.find("unit.memory", Status.SKIPPED, "unit.not_counted", item=unit.name))
        else:
            checks.append(
                say.measure(
                    "unit.memory",
                    used * 100 / limits[name],
                    "unit.memory_used",
                    item=unit.name,
                    limit=name,
                    used_mib=used / 2**20,
                    limit_mib=limits[name] / 2**20,
                )
            )
    tasks, limit = number(shown, "TasksCurrent"), number(shown, "TasksMax")
    if limit and tasks is not None:
        checks.append(
            say.measure("unit.tasks", tasks * 100 / limit, "unit.tasks_used", item=unit.name, count=tasks, limit=limit)
        )
    return checks
