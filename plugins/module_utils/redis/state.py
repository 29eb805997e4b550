# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next run is to be told."""

from __future__ import annotations

from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import (
    COUNTERS,
    DAY,
    SAMPLES_DAYS,
    Figures,
)

# A busy server has some 30 commands; the state stays small when modules bring hundreds.
COMMANDS_KEPT = 60
SAMPLES_KEPT = 40
SAMPLE_EVERY = 3600.0


def state(figures: Figures) -> dict[str, Any]:
    """Return what the next run is to be told."""
    reading = figures.reading
    if "run_id" not in reading.info:  # INFO was refused: nothing new is known but our own refusals
        return {}
    busiest = sorted(reading.commands, key=lambda name: -reading.commands[name].get("usec", 0.0))[:COMMANDS_KEPT]
    samples = [[at, keys] for at, keys in figures.memory.samples if at > figures.now - SAMPLES_DAYS * DAY]
    if not samples or figures.now - samples[-1][0] >= SAMPLE_EVERY:
        samples.append([figures.now, reading.keys])
    newest = -1 if figures.restarted else figures.memory.slowlog_id
    if reading.slowlog:
        newest = reading.slowlog[0].id
    return {
        "run_id": reading.info["run_id"],
        "at": figures.now,
        "counters": {name: reading.number(name) for name in COUNTERS if reading.number(name) is not None},
        "calls": {name: reading.commands[name].get("calls", 0.0) for name in busiest},
        "usec": {name: reading.commands[name].get("usec", 0.0) for name in busiest},
        "errors": {name: float(count) for name, count in sorted(reading.errors.items())[:COMMANDS_KEPT]},
        "slowlog_id": newest,
        "used_memory": reading.number("used_memory"),
        "samples": samples[-SAMPLES_KEPT:],
        "restarts": figures.restarts,
        "own_denials": reading.refusals,
    }
