# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a unit is in the state that is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import seconds_since
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.declared import Declared
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.restarts import BURST_RESTARTS, Restarts
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

# How long a start may take before it is a finding; service type notify waits for the application.
START_WARNING = 90.0
START_CRITICAL = 300.0
# A crash loop can be caught in its good moment. Without an earlier run to compare with: up for less than this after
# several restarts. With one: restarted since, and up for so short a time that nothing is proved.
FRESH_SECONDS = 60.0
UNPROVED_SECONDS = 2.0


def judge_state(say: Reporter, unit: Declared, shown: Mapping[str, str], restarts: Restarts) -> Check:
    """Judge the state of one unit against what is declared."""
    load, active, sub = shown.get("LoadState", ""), shown.get("ActiveState", ""), shown.get("SubState", "")
    result = shown.get("Result", "")
    age = seconds_since(shown, "StateChangeTimestampMonotonic")
    words: dict[str, Any] = {
        "state": active,
        "sub": sub,
        "result": result,
        "load": load,
        "age": duration(age),
        "restarts": restarts.total,
        "code": shown.get("ExecMainStatus", ""),
        "item": unit.name,
    }

    def found(status: Status, sentence: str, reason: str = "") -> Check:
        return say.find("unit.state", status, sentence, reason=reason, **words)

    running = active in ("active", "activating", "reloading", "refreshing", "deactivating")
    if not unit.active:
        return found(unit.severity, "unit.up_unwanted") if running else found(Status.OK, "unit.down_wanted")
    if load == "not-found":
        return found(unit.severity, "unit.missing", "missing")
    if load == "masked" and not running:
        return found(unit.severity, "unit.is_masked")
    if load not in ("loaded", "masked"):
        return found(unit.severity, "unit.broken_file")
    if sub.startswith("auto-restart"):
        return found(unit.severity, "unit.crash_loop")
    if active == "activating":
        if restarts.since_last:
            return found(unit.severity, "unit.crash_loop")
        if age is not None and age > START_CRITICAL:
            return found(unit.severity, "unit.slow_start", "timeout")
        slow = age is not None and age > START_WARNING
        return found(Status.WARNING if slow else Status.OK, "unit.slow_start", "timeout" if slow else "")
    if active in ("active", "reloading", "refreshing"):
        limit = UNPROVED_SECONDS if restarts.compared else FRESH_SECONDS
        suspect = restarts.since_last > 0 if restarts.compared else restarts.total >= BURST_RESTARTS
        if suspect and age is not None and age < limit:
            return found(unit.severity, "unit.crash_loop_fresh")
        return found(Status.OK, "unit.up")
    if active == "inactive" and shown.get("Type") == "oneshot" and result == "success":
        return found(Status.OK, "unit.finished" if age and shown.get("ExecMainCode") == "1" else "unit.waiting")
    if result in ("oom-kill", "watchdog"):
        return found(unit.severity, "unit.killed")
    return found(unit.severity, "unit.down")
