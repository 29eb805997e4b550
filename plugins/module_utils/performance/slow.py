# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow queries in an application's log, by kind: a query without its literals."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.again import Seen
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.fingerprint import moment_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import LINE, MAX_GROUPS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance.formats import UNITS

# As the Bilingual Tutor writes it.
PATTERN = r"慢查询检测[:：]\s*(?P<query>.+?)\s*耗时[:：]?\s*(?P<seconds>\d+(?:\.\d+)?)\s*(?:s\b|秒)"
QUERY_CHARS = 200

_LITERALS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"/\*.*?\*/|--[^\n]*"), " "),
    (re.compile(r"[xX]?'(?:[^']|'')*'?"), "?"),
    (re.compile(r"(?<![\w\"`\]])[-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\b"), "?"),
    (re.compile(r"[:@$]\w+"), "?"),
    (re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)"), "(?, ...)"),
    (re.compile(r"(\(\?(?:, \.\.\.)?\))(?:\s*,\s*\(\?(?:, \.\.\.)?\))+"), r"\1, ..."),
    (re.compile(r"\s+"), " "),
)


@dataclass
class Kind:
    """All queries of one fingerprint, and what they took in seconds."""

    query: str
    count: int = 0
    total: float = 0.0
    worst: float = 0.0


def without_literals(query: str) -> str:
    """Return a query with ``?`` for every literal and parameter; lists of them are one, whatever their length."""
    for pattern, replacement in _LITERALS:
        query = pattern.sub(replacement, query)
    return query.strip().rstrip(";").strip()[:QUERY_CHARS]


def fingerprint(query: str) -> str:
    """Return the identity of a kind of query."""
    return hashlib.sha256(query.lower().encode("utf-8", "replace")).hexdigest()[:8]


def compiled(text: str) -> tuple[re.Pattern[str], float]:
    """Return an operator's expression and the seconds its unit has; raise OpsError for one that cannot be used."""
    try:
        pattern = re.compile(text)
    except re.error as exc:
        raise OpsError(f"pattern {text!r} is not a regular expression: {exc}") from exc
    unit = [name for name in UNITS if name in pattern.groupindex]
    if "query" not in pattern.groupindex or len(unit) != 1:
        raise OpsError(f"pattern {text!r}: expected the named groups query and one of {', '.join(UNITS)}")
    return pattern, UNITS[unit[0]]


class SlowQueries:
    """Takes the lines of application logs; what is older than ``start`` or was read before does not count."""

    def __init__(self, pattern: str, start: float) -> None:
        self._pattern, self._scale = compiled(pattern)
        self._unit = next(name for name in UNITS if name in self._pattern.groupindex)
        self._start = start
        self._seen = Seen()
        self.kinds: dict[str, Kind] = {}
        self.count = 0
        self.total = 0.0

    def feed(self, block: bytes) -> None:
        """Take complete lines, joined by newlines."""
        for line in block.decode("utf-8", "replace").split("\n"):
            match = self._pattern.search(line[:LINE])
            if match:
                self._take(line, match)

    def end(self, complete: bool) -> int:
        """End a file; a slow query is one line, nothing is ever to be read again."""
        return 0

    def _take(self, line: str, match: re.Match[str]) -> None:
        moment = moment_of(line)
        if moment is not None and (moment < self._start or self._seen.again(line)):
            return
        query = without_literals(match["query"])
        key = fingerprint(query)
        if key not in self.kinds and len(self.kinds) >= MAX_GROUPS:
            return
        seconds = float(match[self._unit]) * self._scale
        kind = self.kinds.setdefault(key, Kind(query))
        kind.count += 1
        kind.total += seconds
        kind.worst = max(kind.worst, seconds)
        self.count += 1
        self.total += seconds
