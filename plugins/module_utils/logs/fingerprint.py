# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a line was written, and what kind of error it is: the line without what differs from time to time."""

from __future__ import annotations

import hashlib
import re
import time
from datetime import datetime

_STAMP = re.compile(
    r"(?P<y>\d{4})[-/](?P<m>\d\d)[-/](?P<d>\d\d)[T ](?P<t>\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?"
    r"(?: ?(?P<z>Z|[+-]\d\d:?\d\d))?"
    r"|(?P<d2>\d\d)/(?P<mon>[A-Z][a-z]{2})/(?P<y2>\d{4}):(?P<t2>\d\d:\d\d:\d\d) (?P<z2>[+-]\d{4})"
)
# Not calendar.month_abbr, which follows the locale.
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}


def moment_of(line: str) -> float | None:
    """Return the time at the start of a log line, seconds since the epoch, or None. Without a zone it is local time."""
    match = _STAMP.search(line[:80])
    if not match:
        return None
    try:
        if match["y"]:
            date, clock, zone = (int(match["y"]), int(match["m"]), int(match["d"])), match["t"], match["z"]
        else:
            date, clock, zone = (int(match["y2"]), _MONTHS[match["mon"]], int(match["d2"])), match["t2"], match["z2"]
        hour, minute, second = (int(part) for part in clock.split(":"))
        naive = datetime(*date, hour, minute, min(second, 59))
        if not zone:
            return time.mktime(naive.timetuple())
        offset = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[-2:])) * (-60 if zone[0] == "-" else 60)
        return (naive - datetime(1970, 1, 1)).total_seconds() - offset
    except (ValueError, KeyError, OverflowError):
        return None


_NORMAL: tuple[tuple[re.Pattern[str], str], ...] = (
    (_STAMP, "<time>"),
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "<uuid>"),
    (re.compile(r"\"[^\"]*\"|'[^']*'|\u201c[^\u201d]*\u201d|「[^」]*」"), "<text>"),
    (re.compile(r"(?<![\w<])(?:[a-z][a-z0-9+.-]*:/)?/[^\s,;:\"')\]]+"), "<path>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def normalise(line: str) -> str:
    """Return a line without what differs between two occurrences of one error."""
    for pattern, replacement in _NORMAL:
        line = pattern.sub(replacement, line)
    return line.strip()


def fingerprint(line: str) -> str:
    """Return the identity of a kind of error."""
    return hashlib.sha256(normalise(line).encode("utf-8", "replace")).hexdigest()[:8]
