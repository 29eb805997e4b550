# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Response times and errors of the requests of some days, by endpoint, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.access import normalise_path
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import LINE
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance.formats import Parse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.performance.histogram import Histogram

# Different paths that are kept apart for the evidence; a scanner asks for thousands that do not exist.
MAX_PATHS = 300
MAX_TARGETS = 20000
# The group of every request.
ALL = "all"


@dataclass
class Group:
    """Requests that are judged together."""

    requests: int = 0
    times: Histogram = field(default_factory=Histogram)
    classes: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


class Requests:
    """Takes the lines of access logs; what is older than ``start`` or of an ignored path does not count."""

    def __init__(self, parse: Parse, endpoints: Sequence[str], ignored: Sequence[str], start: float) -> None:
        self._parse = parse
        self._start = start
        self._ignored = tuple(ignored)
        # The longest first: /api/content is not /api.
        self._endpoints = sorted(endpoints, key=len, reverse=True)
        self._known: dict[str, tuple[str, str]] = {}
        self.groups: dict[str, Group] = {name: Group() for name in (ALL, *endpoints)}
        self.paths: dict[str, Histogram] = {}
        self.lines = self.unread = 0

    def feed(self, block: bytes) -> None:
        """Take complete lines, joined by newlines."""
        for line in block.decode("utf-8", "replace").split("\n"):
            if not line.strip():
                continue
            self.lines += 1
            seen = self._parse(line[:LINE])
            if seen is None:
                self.unread += 1
                continue
            if seen.moment is not None and seen.moment < self._start:
                continue
            path, endpoint = self._place(seen.target)
            if not path:
                continue
            for name in (ALL, endpoint) if endpoint else (ALL,):
                group = self.groups[name]
                group.requests += 1
                group.classes[f"{seen.status[:1]}xx"] += 1
                failed = f"{seen.status} {path}" if seen.status[:1] == "5" else ""
                if failed and (failed in group.failed or len(group.failed) < MAX_PATHS):
                    group.failed[failed] += 1
                if seen.seconds is not None:
                    group.times.add(seen.seconds)
            if seen.seconds is not None:
                if path not in self.paths and len(self.paths) < MAX_PATHS:
                    self.paths[path] = Histogram()
                if path in self.paths:
                    self.paths[path].add(seen.seconds)

    def end(self, complete: bool) -> int:
        """End a file; a request is one line, nothing is ever to be read again."""
        return 0

    def _place(self, target: str) -> tuple[str, str]:
        """Return a request's path without what differs, empty for an ignored one, and its endpoint, empty for none."""
        target = target.partition("?")[0]
        found = self._known.get(target)
        if found is None:
            path = normalise_path(target)
            ignored = any(_below(path, one) for one in self._ignored)
            found = ("" if ignored else path or "?", next((one for one in self._endpoints if _below(path, one)), ""))
            if len(self._known) < MAX_TARGETS:
                self._known[target] = found
        return found


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def slowest(paths: Mapping[str, Histogram], least: int, most: int) -> list[str]:
    """Return the paths with the most time together, a line each; those asked for too seldom are left out."""
    ranked = sorted(
        ((path, times) for path, times in paths.items() if times.count >= least), key=lambda one: -one[1].total
    )
    return [
        f"{path}: p95 {times.quantile(0.95):.3f} s, {times.count}x, {times.total:.1f} s together, longest {times.largest:.3f} s"
        for path, times in ranked[:most]
    ]


def figures(group: Group) -> dict[str, Any]:
    """Return what is told of a group and remembered for later weeks."""
    times = group.times
    return {
        "p50": round(times.quantile(0.5), 6),
        "p95": round(times.quantile(0.95), 6),
        "p99": round(times.quantile(0.99), 6),
        "longest": round(times.largest, 6),
        "requests": group.requests,
    }
