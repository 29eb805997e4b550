# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of maintenance is asked for, and the order in which it is safe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.standby import SERVING_OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.shifts import zone
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import OPTIONS as TARGET_OPTIONS

# Look before touching; small writes before large ones; the log last, since the others fill it.
CHECKS = ("quick_check", "integrity_check", "foreign_key_check")
WRITES = ("optimize", "analyze", "reindex", "incremental_vacuum", "vacuum", "wal_checkpoint")
ORDER = CHECKS + WRITES

# Options of the module, but for its deadline and its progress.
OPTIONS: dict[str, dict[str, Any]] = {
    **TARGET_OPTIONS,
    **SERVING_OPTIONS,
    "actions": {"type": "list", "elements": "str", "required": True, "choices": list(ORDER)},
    "max_stall_ms": {"type": "int", "default": 500},
    "busy_timeout": {"type": "float", "default": 5.0},
    "vacuum_min_reclaim": {"type": "float", "default": 25.0},
    "window": {"type": "str", "default": ""},
    "timezone": {"type": "str", "default": "UTC"},
    "force": {"type": "bool", "default": False},
    "checkpoint_mode": {"type": "str", "choices": ["passive", "truncate"], "default": "passive"},
    "thresholds": {"type": "dict", "default": {}},
}

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Wanted:
    """The options of a run, read and checked. Times are in seconds; ``window`` is in minutes of the day, or None."""

    actions: tuple[str, ...]
    max_stall: float
    busy_timeout: float
    deadline: float
    min_reclaim: float
    window: tuple[int, int] | None
    window_text: str
    timezone: str
    force: bool
    checkpoint_mode: str

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Wanted:
        """Read the options of the module; raise OpsError for what its argument spec cannot say."""
        if not options["actions"]:
            raise OpsError(f"actions is empty: expected at least one of {', '.join(ORDER)}")
        for name in ("max_stall_ms", "busy_timeout"):
            if options[name] < 0:
                raise OpsError(f"{name} is {options[name]}: expected 0 or more")
        if not options["deadline"] > 0:
            raise OpsError(f"deadline is {options['deadline']}: expected a number of seconds above 0")
        if not 0 <= options["vacuum_min_reclaim"] <= 100:
            raise OpsError(
                f"vacuum_min_reclaim is {options['vacuum_min_reclaim']}: expected a share in percent, 0 to 100"
            )
        if options["window"]:
            zone(options["timezone"])
        return cls(
            actions=tuple(name for name in ORDER if name in options["actions"]),
            max_stall=options["max_stall_ms"] / 1000,
            busy_timeout=options["busy_timeout"],
            deadline=options["deadline"],
            min_reclaim=options["vacuum_min_reclaim"],
            window=_minutes(options["window"]) if options["window"] else None,
            window_text=f"{options['window']} {options['timezone']}",
            timezone=options["timezone"],
            force=options["force"],
            checkpoint_mode=options["checkpoint_mode"],
        )

    @property
    def writes(self) -> bool:
        """Tell whether anything is asked for that changes the database's files."""
        return any(name in WRITES for name in self.actions)

    @property
    def slice_cap(self) -> float | None:
        """Seconds after which a slice is undone, None without a budget.

        A writer that waits looks again only every 0.1 s (SQLite's busy handler), and its own commit takes its time too.
        """
        return max(self.max_stall - 0.15, self.max_stall / 2) if self.max_stall else None

    def open_at(self, moment: datetime) -> bool:
        """Tell whether the window is open at an aware moment; one that ends before it begins goes over midnight."""
        if self.window is None:
            return True
        local = moment.astimezone(zone(self.timezone))
        minute, (start, end) = local.hour * 60 + local.minute, self.window
        return start <= minute < end if start <= end else minute >= start or minute < end

    @property
    def open_now(self) -> bool:
        """Tell whether the window is open now."""
        return self.open_at(datetime.now(timezone.utc))


def _minutes(text: str) -> tuple[int, int]:
    match = _WINDOW.fullmatch(text)
    if not match:
        raise OpsError(
            f"window is {text!r}: expected two times of the day such as 02:00-04:00, or nothing for any time"
        )
    first, second, third, fourth = (int(part) for part in match.groups())
    return first * 60 + second, third * 60 + fourth
