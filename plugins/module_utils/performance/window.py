# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the logs of the last days: the live files and those they were rotated to, the newest first, within a budget."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.area import AREA as LOG
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.cursor import Part
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.find import find, unreadable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import DAY
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.read import Budget, Reader, read_part
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.rotation import rotated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

OPTIONS: dict[str, dict[str, Any]] = {
    "paths": {"type": "list", "elements": "str", "required": True},
    "optional": {"type": "bool", "default": False},
    "days": {"type": "float", "default": 7.0},
    "max_bytes": {"type": "int", "default": 536870912},
}


@dataclass
class Coverage:
    """What was read; ``cut`` when older files or lines of the window were not."""

    bytes: int = 0
    files: int = 0
    limit: int = 0
    cut: bool = False
    checks: list[Check] = field(default_factory=list)

    @property
    def words(self) -> dict[str, Any]:
        """The figures for a sentence."""
        return {"bytes": size(self.bytes), "files": self.files, "limit": size(self.limit)}


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for a window that cannot be read."""
    if not spec["paths"] or not all(str(path).startswith("/") for path in spec["paths"]):
        raise OpsError(f"paths {spec['paths']!r}: expected absolute paths or globs")
    for name in ("days", "max_bytes"):
        if not spec[name] > 0:
            raise OpsError(f"{name} is {spec[name]}: expected a number above 0")


def read_window(spec: Mapping[str, Any], reader: Reader, now: float, deadline: Deadline) -> Coverage:
    """Feed the reader every file that was written to within the window; what is older in them it leaves out itself."""
    say = LOG.reporter(source="log")
    live, checks = find(spec, say)
    budget = Budget(spec["max_bytes"], deadline)
    seen = Coverage(limit=budget.limit, checks=checks)
    for part in sorted(_parts(live, now - spec["days"] * DAY, seen, say), key=lambda one: -one.order):
        if budget.left <= 0:
            seen.cut = True
            break
        try:
            read_part(part, reader, budget)
        except (OSError, EOFError) as exc:
            seen.checks.append(unreadable(part.path, exc, say))
        # A packed file does not tell how much of it is left.
        seen.cut = seen.cut or budget.unread > 0 or budget.left <= 0
    seen.bytes, seen.files = budget.used, budget.files
    return seen


def _parts(live: list[str], start: float, seen: Coverage, say: Reporter) -> Iterator[Part]:
    for path in live:
        try:
            files = [*rotated(path), (os.stat(path).st_mtime, path)]
        except OSError as exc:
            seen.checks.append(unreadable(path, exc, say))
            continue
        for moment, member in files:
            if moment >= start:
                yield Part(path, member, 0, 0, moment, True, False)
