# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error looks like in a log, and how to find one quickly among millions of lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# Known to end in lost data or an outage, whoever logs it.
FATAL = (
    (
        "database",
        r"database is locked|database disk image is malformed|malformed database schema|file is not a database|"
        r"disk I/O error|unable to open database file|database or disk is full|attempt to write a readonly database",
    ),
    ("disk", r"No space left on device|Read-only file system|Disk quota exceeded"),
    ("memory", r"Out of memory|\bOOM\b|oom-kill|MemoryError|Cannot allocate memory"),
    ("worker", r"Worker failed to boot|WORKER TIMEOUT|Too many open files|segfault|Segmentation fault"),
)
# Levels as words: "errors=0" or a word in somebody's sentence is not an error.
ERROR = (
    r"\b(?:ERROR|CRITICAL|FATAL)\b|\[(?:error|crit|alert|emerg)\]|\blevel=(?:error|fatal|critical)\b|"
    r"Traceback \(most recent call last\)"
)


def compile_pattern(regex: str) -> re.Pattern[str]:
    """Compile an operator's expression; raise OpsError for one that is none."""
    try:
        return re.compile(regex)
    except re.error as exc:
        raise OpsError(f"log: {regex!r} is not a regular expression: {exc}") from exc


def any_of(regexes: list[str]) -> Callable[[str], Any]:
    """Return a search for any of the patterns: one alternation, unless they refer to groups of their own."""
    compiled = [compile_pattern(regex) for regex in regexes]
    if any(one.groups for one in compiled):
        return lambda line: any(one.search(line) for one in compiled)
    # Flags at the start of one pattern must not reach the others.
    scoped = [re.sub(r"^\(\?([aimsux]+)\)(.*)$", r"(?\1:\2)", regex, flags=re.DOTALL) for regex in regexes]
    return compile_pattern("|".join(f"(?:{regex})" for regex in scoped)).search


# Every line that fits a shipped pattern holds one of these. Looking for plain words in raw bytes reads a log ten times
# faster than trying the patterns on each decoded line.
_HINTS = (
    *("ERROR", "CRITICAL", "FATAL", "[error]", "[crit]", "[alert]", "[emerg]", "level=", "Traceback (most"),
    *("is locked", "malformed", "not a database", "disk I/O", "open database", "is full", "readonly database"),
    *("No space left", "Read-only file", "quota exceeded", "Out of memory", "OOM", "oom-kill", "MemoryError"),
    *("Cannot allocate", "failed to boot", "WORKER TIMEOUT", "Too many open", "segfault", "Segmentation"),
)


def hint(regexes: list[str]) -> tuple[re.Pattern[bytes], list[str]]:
    """Return a quick search in bytes, and the patterns for which it cannot tell and that each line must be tried with."""
    shipped = {regex for _name, regex in FATAL} | {ERROR}
    plain = {regex for regex in regexes if regex not in shipped and not re.search(r"[\\^$.|?*+()\[\]{}]", regex)}
    words = plain | (set(_HINTS) if shipped & set(regexes) else set())
    slow = [regex for regex in regexes if regex not in shipped and regex not in plain]
    # (?!) fits nowhere: without any word there is no line to be found quickly.
    return re.compile(b"|".join(re.escape(word.encode()) for word in sorted(words)) or b"(?!)"), slow
