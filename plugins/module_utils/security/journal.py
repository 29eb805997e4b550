# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the journal entry by entry, from where the last run ended, never as a whole."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import Lines
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

FILES = ("/var/log/journal/*/system.journal", "/run/log/journal/*/system.journal")
FIRST_SECONDS = 3.0
_JOURNALCTL = ("journalctl", "--quiet", "--no-pager", "--output=json")


@dataclass(frozen=True)
class Entry:
    """One message: when (seconds since 1970), from which program and process, and its place in the journal."""

    when: float
    identifier: str
    pid: str
    uid: str
    message: str
    cursor: str


def trouble(patterns: Sequence[str] = FILES) -> str:
    """Return why the journal cannot be read, empty when it can: journalctl shows strangers an empty one instead."""
    files = [path for pattern in patterns for path in glob.glob(pattern)]
    # Who may not look into the directory sees no file in it either.
    hidden = any(os.path.isdir(top) and not os.access(top, os.R_OK | os.X_OK) for top in map(_top, patterns))
    if any(os.access(path, os.R_OK) for path in files):
        return ""
    return "denied" if files or hidden else "missing"


def _top(pattern: str) -> str:
    return pattern.partition("/*")[0]


def parse(line: str) -> Entry | None:
    """Read one line of ``journalctl --output=json``; None for what is no message."""
    try:
        data = json.loads(line)
        message = _text(data.get("MESSAGE"))
        when = int(data["__REALTIME_TIMESTAMP"]) / 1e6
        return Entry(
            when,
            _text(data.get("SYSLOG_IDENTIFIER")),
            _text(data.get("_PID")),
            _text(data.get("_UID")),
            message,
            _text(data.get("__CURSOR")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _text(value: Any) -> str:
    """Return a field as text: one that is not UTF-8 comes as a list of bytes, one that appears twice as a list of texts."""
    if isinstance(value, list):
        return bytes(value).decode(errors="replace") if all(isinstance(one, int) for one in value) else _text(value[0])
    return value if isinstance(value, str) else ""


def begins(seconds: float) -> float:
    """Return when the oldest entry was written: a journal in memory knows nothing from before the last boot."""
    for line in Lines([*_JOURNALCTL, "--output-fields=_PID"], min(FIRST_SECONDS, seconds)):
        entry = parse(line)
        if entry:
            return entry.when
    return 0.0


def entries(identifiers: Sequence[str], cursor: str, since: float, seconds: float) -> Iterator[Entry]:
    """Yield the messages of these programs after the cursor, or since a time if there is none.

    It ends early, without an error, when the time is up: who reads goes on from the last cursor at the next run.
    """
    lines = Lines(
        [
            *_JOURNALCTL,
            "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_UID,_PID",
            *(f"--identifier={name}" for name in identifiers),
            f"--after-cursor={cursor}" if cursor else f"--since=@{since:.0f}",
        ],
        seconds,
    )
    for line in lines:
        entry = parse(line)
        if entry:
            yield entry
    if lines.rc not in (0, None):
        raise OpsError(f"journalctl: {lines.complaint}")
