# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one action of a run went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Stopped(Exception):
    """What ran was interrupted and undone: ``reason`` is ``deadline`` or ``stall_reached``, ``held`` in seconds."""

    def __init__(self, reason: str, held: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.held = held


@dataclass
class Result:
    """One action: ``result`` is done, skipped, refused, failed or planned; ``reason`` names its sentence.

    ``params`` are the sentence's values, ``lines`` its evidence, ``problems`` how much a check found (None: it did not
    end), ``before`` and ``after`` what ``sizes`` returns.
    """

    result: str
    reason: str
    params: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    changed: bool = False
    problems: int | None = None
    seconds: float = 0.0
    stall: float = 0.0
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
