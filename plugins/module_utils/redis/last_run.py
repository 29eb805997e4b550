# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last run left behind for the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Memory:
    """What the last run left behind. Anything that does not look as expected is taken for nothing."""

    run_id: str = ""
    at: float = 0.0
    counters: dict[str, float] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)
    usec: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    slowlog_id: int = -1
    used_memory: float = 0.0
    samples: list[tuple[float, float]] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    own_denials: int = 0

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> Memory:
        """Read the state dict of the last run, ``{}`` at the first."""
        memory = cls()
        if isinstance(state.get("run_id"), str) and _is_number(state.get("at")):
            memory.run_id, memory.at = state["run_id"], float(state["at"])
        for name in ("counters", "calls", "usec", "errors"):
            values = state.get(name)
            if isinstance(values, Mapping):
                setattr(memory, name, {str(key): float(value) for key, value in values.items() if _is_number(value)})
        for name in ("slowlog_id", "own_denials"):
            if _is_number(state.get(name)):
                setattr(memory, name, int(state[name]))
        if _is_number(state.get("used_memory")):
            memory.used_memory = float(state["used_memory"])
        samples, restarts = state.get("samples"), state.get("restarts")
        if isinstance(samples, list):
            memory.samples = [(float(s[0]), float(s[1])) for s in samples if _is_pair(s)]
        if isinstance(restarts, list):
            memory.restarts = [float(moment) for moment in restarts if _is_number(moment)]
        return memory


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(_is_number(part) for part in value)
