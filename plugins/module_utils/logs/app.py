# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in an application's log: errors with their tracebacks, counted by kind."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.again import Seen
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.fingerprint import fingerprint, moment_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import DAY, LINE, MAX_GROUPS, TOP
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.patterns import (
    ERROR,
    FATAL,
    any_of,
    compile_pattern,
    hint,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact

MAX_KNOWN = 200
_ACCESS_LIKE = re.compile(r"^\S+ \S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:")
_CHAINED = ("During handling of the above", "The above exception was")


@dataclass
class Event:
    """One error: its first line, the exception that ends its traceback, and which patterns it fits."""

    path: str
    first: str
    last: str = ""
    traceback: bool = False
    open: bool = False
    size: int = 0


@dataclass
class Group:
    """All errors of one fingerprint."""

    sample: str
    path: str
    count: int = 0
    fatal: bool = False
    new: bool = False


class AppReader:
    """Finds errors in an application's log lines and counts them by fingerprint."""

    def __init__(self, opts: Mapping[str, Any]) -> None:
        self._patterns = [
            (str(one["name"]), str(one["regex"]), one.get("status") or "warning") for one in opts["patterns"]
        ]
        if opts["default_patterns"]:
            self._patterns += [(name, regex, "critical") for name, regex in FATAL] + [("error", ERROR, "warning")]
        if not self._patterns:
            raise OpsError("log: no patterns: expected some in patterns, or default_patterns: true")
        self._fatal = [(name, compile_pattern(regex)) for name, regex, status in self._patterns if status == "critical"]
        self._any = any_of([regex for _name, regex, _status in self._patterns])
        self._hint, slow = hint([regex for _name, regex, _status in self._patterns])
        self._slow = any_of(slow) if slow else None
        self._ignore = [compile_pattern(regex) for regex in opts["ignore"]]
        self.groups: dict[str, Group] = {}
        self.events = self.older = self.tracebacks = 0
        self.fatal: Counter[str] = Counter()
        self.last_fatal = ""
        self._seen = Seen()
        self._event: Event | None = None
        self._before = ""
        self._path = ""
        self._fresh_after: float | None = None
        self._baseline: list[str] = []

    def begin(self, path: str, fresh_after: float | None) -> None:
        """Start with a file; with ``fresh_after`` only errors dated later count, the others become the baseline."""
        self._path, self._fresh_after, self._before, self._event = path, fresh_after, "", None

    def feed(self, block: bytes) -> None:
        """Take complete lines, joined by newlines. Only lines that may matter are looked at one by one."""
        position, end = 0, len(block)
        while position < end:
            if self._event is None and self._slow is None:
                hit = self._hint.search(block, position)
                if hit is None:
                    return
                position = max(position, block.rfind(b"\n", position, hit.start()) + 1)
            stop = block.find(b"\n", position)
            if stop < 0:
                stop = end
            limit = min(stop, position + LINE)
            line = block[position:limit].decode("utf-8", "replace")
            if self._event or not self._slow or self._slow(line) or self._hint.search(block, position, limit):
                self._line(line, stop - position + 1)
            position = stop + 1

    def _line(self, line: str, size: int) -> None:
        event = self._event
        if event is not None:
            if self._continues(event, line):
                event.size += size
                return
            self._close()
        if self._any(line) and not _ACCESS_LIKE.match(line):
            self._event = Event(self._path, line, size=size)
            if line.lstrip().startswith("Traceback (most"):
                self._event.traceback = self._event.open = True

    def _continues(self, event: Event, line: str) -> bool:
        """Tell whether a line belongs to the error before it: frames, the exception itself, what it was caused by."""
        if line.startswith("Traceback (most"):
            if event.traceback and not event.open and not event.last.startswith(_CHAINED):
                return False
            event.traceback = event.open = True
            return True
        if not event.traceback:
            return line[:1] in (" ", "\t") and bool(line.strip())
        if event.open:
            if line.strip() and line[0] not in " \t":
                event.last, event.open = line, False
            return True
        if not line.strip():
            return True
        if line.startswith(_CHAINED):
            event.last = line
            return True
        return line[0] in " \t"

    def end(self, complete: bool) -> int:
        """End a file; return the bytes of a traceback that is cut off, to be read again, or 0."""
        event = self._event
        if event is not None and event.open and not complete:
            self._event = None
            return event.size
        self._close()
        return 0

    def _close(self) -> None:
        event, self._event = self._event, None
        if event is None:
            return
        text = event.first if not event.last else f"{event.first} … {event.last}"
        if any(pattern.search(line) for pattern in self._ignore for line in (event.first, event.last) if line):
            return
        moment = moment_of(event.first)
        if self._twice(text, moment):
            return
        shape = event.last or event.first
        if self._fresh_after is not None and (moment is None or not self._fresh_after <= moment <= time.time() + DAY):
            self.older += 1
            self._baseline.append(fingerprint(shape))
            del self._baseline[:-MAX_KNOWN]
            return
        self.events += 1
        self.tracebacks += event.traceback
        names = [name for name, pattern in self._fatal if pattern.search(event.first) or pattern.search(event.last)]
        self.fatal.update(names)
        if names:
            self.last_fatal = redact(shape)[:160]
        key = fingerprint(shape)
        if key not in self.groups:
            if len(self.groups) >= MAX_GROUPS:
                return
            self.groups[key] = Group(redact(text), os.path.basename(event.path))
        group = self.groups[key]
        group.count += 1
        group.fatal = group.fatal or bool(names)

    def _twice(self, text: str, moment: float | None) -> bool:
        """Tell whether this is the same line again: the application writes each line twice, into two files.

        Dated lines are compared with all that were read, others only with the one before.
        """
        same = text == self._before
        self._before = text
        if moment is None:
            return same
        return self._seen.again(text)

    def checks(
        self, item: str, known: list[str], last: float, now: float, opts: Mapping[str, Any], say: Reporter
    ) -> tuple[list[Check], list[str]]:
        """Return the checks and the fingerprints that are known from now on, the last seen at the end."""
        familiar = set(known) | set(self._baseline)
        for key, group in self.groups.items():
            group.new = key not in familiar
        ranked = sorted(self.groups.values(), key=lambda one: (not one.fatal, not one.new, -one.count))
        evidence = [f"{one.count}x {'new ' if one.new else ''}{one.path}: {one.sample}" for one in ranked[:TOP]]
        facts: dict[str, Any] = {
            "new": sum(1 for one in ranked if one.new),
            "events": self.events,
            "kinds": len(ranked),
            "older": self.older,
            "since": _utc(last) if last else _utc(now - DAY),
        }
        first = not last
        checks = [
            say.measure(
                "log.new_fingerprints",
                facts["new"],
                "log.baseline" if first else "log.news",
                item=item,
                min=0,
                evidence=evidence,
                **facts,
            )
        ]
        fatal = [f"{one.count}x {one.path}: {one.sample}" for one in ranked if one.fatal]
        checks.append(
            say.measure(
                "log.fatal",
                sum(one.count for one in ranked if one.fatal),
                "log.fatal_seen" if fatal else "log.fatal_none",
                item=item,
                min=0,
                evidence=fatal,
                count=sum(one.count for one in ranked if one.fatal),
                names=", ".join(sorted(self.fatal)),
                last=self.last_fatal,
            )
        )
        # Of two runs a minute apart no rate per hour follows: one hour at least, a day at the first look.
        hours = max(1.0, (now - last) / 3600) if last else 24.0
        checks.append(say.measure("log.tracebacks", self.tracebacks / hours, "log.storm", item=item, min=0))
        current = [*self._baseline, *self.groups]
        merged = list(dict.fromkeys(reversed([*known, *current])))
        return checks, list(reversed(merged[:MAX_KNOWN]))


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
