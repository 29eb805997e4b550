# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every probe takes and gives."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check


@dataclass
class ProbeResult:
    """What one probe found, and what it wants to be told at the next run (plain JSON, a few hundred bytes)."""

    checks: list[Check]
    state: dict[str, Any] = field(default_factory=dict)


class Deadline:
    """A moment on the monotonic clock, so that a stepped wall clock neither shortens nor stretches a wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Tell whether no time is left."""
        return self.remaining() <= 0.0

    def sooner(self, seconds: float) -> Deadline:
        """Return a deadline of that many seconds, but not later than this one."""
        return Deadline(min(seconds, self.remaining()))
