# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often systemd restarted a unit by itself, by its counter of now and that of the last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import number
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.declared import Declared
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

HOUR = 3600.0
BURST_SECONDS = 600.0
BURST_RESTARTS = 3


@dataclass(frozen=True)
class Restarts:
    """Automatic restarts of one unit."""

    total: int
    since_last: int
    in_window: int
    burst: int
    window: float
    by_hand: bool
    compared: bool


def count_restarts(shown: Mapping[str, str], before: Mapping[str, Any], now: float) -> tuple[Restarts, dict[str, Any]]:
    """Compare the restart counter of systemd with the last run; return the figures and what the next run needs.

    A counter that fell was reset by a restart on purpose, so what it shows now is new. The window is one hour, or the
    time since the last run when that is longer.
    """
    total = number(shown, "NRestarts") or 0
    invocation = shown.get("InvocationID", "")
    compared = "restarts" in before
    last = before.get("restarts", total)
    reset = total < last
    fresh = total if reset else total - last
    by_hand = compared and fresh == 0 and (reset or (bool(invocation) and invocation != before.get("invocation")))
    window = max(HOUR, now - before.get("at", now))
    recent = [[at, count] for at, count in before.get("recent", []) if at > now - HOUR]
    if fresh:
        recent.append([now, fresh])
    # What happened since the last run counts as recent only if the last run was.
    near = now - before.get("at", 0) <= BURST_SECONDS
    burst = sum(count for at, count in recent if at > now - BURST_SECONDS and (at != now or near))
    figures = Restarts(total, fresh, sum(count for _at, count in recent), burst, window, by_hand, compared)
    return figures, {"restarts": total, "invocation": invocation, "at": now, "recent": recent}


def judge_restarts(say: Reporter, unit: Declared, restarts: Restarts) -> Check:
    """Judge the restarts of one unit; a first run has nothing to compare with."""
    if not restarts.compared or not restarts.in_window:
        sentence = "unit.restarted_by_hand" if restarts.by_hand else "unit.restarts_none"
        return say.find("unit.restarts", Status.OK, sentence, item=unit.name, value=0)
    status = say.grade("unit.restarts", restarts.in_window)
    if restarts.burst >= BURST_RESTARTS:
        status = Status.CRITICAL
    return say.find(
        "unit.restarts",
        status,
        "unit.restarts_some",
        item=unit.name,
        value=restarts.in_window,
        reason="ok" if status is Status.OK else "threshold",
        count=restarts.in_window,
        window="in the last " + duration(restarts.window),
        window_zh="最近 " + duration(restarts.window) + " 内",
    )
