# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a web server's access log: requests, server errors and response times."""

from __future__ import annotations

import array
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.fingerprint import moment_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import LINE, MAX_GROUPS, TOP
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact_url

# The combined format of nginx, Apache and gunicorn; whatever follows the user agent may be a time.
COMBINED = re.compile(
    r"^\S+ \S+ .{0,100}?\[(?P<at>[^\]]{10,40})\] \"(?P<request>(?:[^\"\\]|\\.)*)\" (?P<status>[1-5]\d\d) \S+"
    r"(?: \"(?:[^\"\\]|\\.)*\" \"(?:[^\"\\]|\\.)*\")?(?P<rest>.*)$"
)
# Only a decimal fraction is surely seconds: gunicorn also knows whole microseconds.
SECONDS = re.compile(r"(?:^|[\s=\"])(\d{1,5}\.\d{1,6})\"?s?(?=\s|$)")


class AccessReader:
    """Counts requests, server errors and response times in an access log."""

    def __init__(self) -> None:
        self.requests = self.unread = 0
        self.classes: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.seconds = array.array("d")
        self._fresh_after: float | None = None

    def begin(self, path: str, fresh_after: float | None) -> None:
        """Start with a file; with ``fresh_after`` only requests dated later count."""
        self._fresh_after = fresh_after

    def feed(self, block: bytes) -> None:
        """Take complete lines, joined by newlines."""
        for line in block.decode("utf-8", "replace").split("\n"):
            match = COMBINED.match(line[:LINE])
            if not match:
                self.unread += bool(line.strip())
                continue
            if self._fresh_after is not None and (moment_of(f"{match['at']}") or 0) < self._fresh_after:
                continue
            self.requests += 1
            status = match["status"]
            self.classes[status[0]] += 1
            if status[0] == "5" and (len(self.failed) < MAX_GROUPS):
                words = match["request"].split(" ")
                self.failed[f"{status} {words[0]} {normalise_path(words[1] if len(words) > 1 else '')}"] += 1
            if match["rest"]:
                told = SECONDS.search(match["rest"])
                if told:
                    self.seconds.append(float(told[1]))

    def end(self, complete: bool) -> int:
        """End a file; requests are single lines, nothing is ever to be read again."""
        return 0

    def checks(
        self, item: str, known: list[str], last: float, now: float, opts: Mapping[str, Any], say: Reporter
    ) -> tuple[list[Check], list[str]]:
        """Return the rate of server errors, and the response times where the log has them."""
        failed = self.classes["5"]
        facts: dict[str, Any] = {"requests": self.requests, "failed": failed, "unread_lines": self.unread}
        evidence = [f"{count}x {what}" for what, count in self.failed.most_common(TOP - 1)]
        evidence += [", ".join(f"{name}xx: {count}" for name, count in sorted(self.classes.items()))]
        if self.requests < opts["min_requests"]:
            few = say.find(
                "http.5xx",
                Status.OK,
                "log.5xx_few",
                item=item,
                reason="insufficient_data",
                evidence=evidence,
                wanted=opts["min_requests"],
                **facts,
            )
            return [few], []
        rate = 100.0 * failed / self.requests
        checks = [say.measure("http.5xx", rate, "log.5xx", item=item, min=0, max=100, evidence=evidence, **facts)]
        if len(self.seconds) >= opts["min_requests"]:
            ordered = sorted(self.seconds)
            p50, p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95, 0.99))
            checks.append(say.measure("http.p95", p95, "log.p95", item=item, min=0, p50=p50, p99=p99))
        return checks, []


def normalise_path(target: str) -> str:
    """Return a request's path without its query and with numbers and ids replaced, redacted."""
    path = redact_url(target).split("?")[0][:200]
    return re.sub(r"(?<=/)(?:\d+|[0-9a-fA-F-]{16,})(?=/|$)", "<id>", path)
