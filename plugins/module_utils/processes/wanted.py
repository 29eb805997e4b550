# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator says about one group of processes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

_KEYS = frozenset(("name", "pidfile", "comm", "cmdline", "user", "min", "max"))


@dataclass(frozen=True)
class Wanted:
    """What an operator says about one group of processes."""

    name: str
    pidfile: str
    comm: str
    cmdline: re.Pattern[str] | None
    user: str
    least: int
    most: int | None

    @property
    def bounds(self) -> str:
        return f"{self.least}:" if self.most is None else f"{self.least}:{self.most}"

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Wanted:
        """Read a dict with pidfile, comm, cmdline (regular expression) or user, and name, min and max."""
        unknown = set(entry) - _KEYS
        selectors = [str(entry[key]) for key in ("pidfile", "comm", "cmdline", "user") if entry.get(key)]
        if unknown or not selectors:
            raise OpsError(
                f"processes: expected at least one of pidfile, comm, cmdline, user, and optionally name, min, max; "
                f"seen {dict(entry)!r}"
            )
        try:
            pattern = re.compile(str(entry["cmdline"])) if entry.get("cmdline") else None
        except re.error as exc:
            raise OpsError(f"processes: cmdline {entry['cmdline']!r} is not a regular expression: {exc}") from exc
        try:
            least = int(entry.get("min", 1))
            most = None if entry.get("max") is None else int(entry["max"])
        except (TypeError, ValueError) as exc:
            raise OpsError(f"processes: {selectors[0]}: min and max are numbers, seen {dict(entry)!r}") from exc
        return cls(
            name=str(entry.get("name") or selectors[0]),
            pidfile=str(entry.get("pidfile") or ""),
            comm=str(entry.get("comm") or ""),
            cmdline=pattern,
            user=str(entry.get("user") or ""),
            least=least,
            most=most,
        )
