# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database file from outside: is it there, is it a database, is it whole."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import Header, read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

# A checkpoint writes the header before it has made the file longer.
GROW_SECONDS = 0.3
GROW_PAUSE = 0.02


def judge_file(say: Reporter, path: str, real: str) -> Iterator[Check]:
    """Judge the file of that path; ``real`` is what it is called without links."""

    def found(status: Status, sentence: str, reason: str = "", **rest: Any) -> Check:
        return say.find("sqlite.file", status, sentence, reason=reason, path=path, **rest)

    try:
        seen = os.stat(path)
        if not stat.S_ISREG(seen.st_mode):
            what = ("a directory", "目录") if stat.S_ISDIR(seen.st_mode) else ("a special file", "特殊文件")
            yield found(Status.CRITICAL, "sqlite.file_kind", what=what[0], what_zh=what[1])
            return
        if seen.st_size == 0:
            yield found(Status.CRITICAL, "sqlite.file_empty")
            return
        header = _settled_header(real)
    except FileNotFoundError:
        if os.path.islink(path):
            yield found(Status.CRITICAL, "sqlite.file_dangling", "missing", target=real)
        else:
            yield found(Status.CRITICAL, "sqlite.file_missing", "missing")
        return
    except OSError as exc:
        yield found(Status.UNKNOWN, "sqlite.file_unseen", "denied", error=exc.strerror or str(exc))
        return
    if not header.valid:
        yield found(Status.CRITICAL, "sqlite.file_header", size=size(header.size))
    elif not header.whole and not size_of(real + "-wal"):
        expected = size(max(header.expected, -(-header.size // header.page_size) * header.page_size))
        evidence = [f"{header.size} bytes, expected {header.expected}"]
        yield found(
            Status.CRITICAL, "sqlite.file_truncated", size=size(header.size), expected=expected, evidence=evidence
        )
    else:
        yield found(Status.OK, "sqlite.file_whole", size=size(header.size), value=header.size)


def _settled_header(real: str) -> Header:
    """Read the header; look again for a moment while it is not whole, since a checkpoint may be writing."""
    end = time.monotonic() + GROW_SECONDS
    header = read_header(real)
    while header.valid and not header.whole and time.monotonic() < end:
        time.sleep(GROW_PAUSE)
        header = read_header(real)
    return header


def stat_of(path: str) -> os.stat_result | None:
    """Return what the kernel knows of a file, None when it is not there or not for us."""
    try:
        return os.stat(path)
    except OSError:
        return None


def size_of(path: str) -> int:
    """Return the size of a file in bytes, 0 when it is not there."""
    seen = stat_of(path)
    return seen.st_size if seen else 0
