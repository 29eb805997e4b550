# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the new stretch of a file line by line, within a budget of bytes and time."""

from __future__ import annotations

import os
from typing import Any, Protocol

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.cursor import (
    HEAD,
    Cursor,
    Part,
    content,
    head_of,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import LINE
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

CHUNK = 262144
# An unfinished last line is left for the next run, unless it is longer than any line somebody would read.
TAIL = 65536


class Reader(Protocol):
    """Who is fed the lines of a log."""

    def feed(self, block: bytes) -> None:
        """Take complete lines, joined by newlines."""

    def end(self, complete: bool) -> int:
        """End a file; return how many of its last bytes are to be read again at the next run."""


class Budget:
    """The bytes that one run may read, and those that it left out."""

    def __init__(self, limit: int, deadline: Deadline) -> None:
        self.limit, self.used, self.unread, self.files = limit, 0, 0, 0
        self._deadline = deadline
        self._reserve = min(1.0, deadline.seconds / 5)

    @property
    def left(self) -> int:
        return 0 if self._deadline.remaining() <= self._reserve else self.limit - self.used


def read_part(part: Part, reader: Reader, budget: Budget) -> Cursor:
    """Feed a part to the reader, line by line; return the cursor for the next run."""
    budget.files += 1
    with content(part.path) as stream:
        status = os.fstat(stream.fileno())
        packed = part.path.endswith(".gz")
        position = part.start
        allowed = budget.left
        if not packed and status.st_size - position > allowed:
            skipped = status.st_size - position - allowed
            budget.unread += skipped
            position += skipped  # the newest lines are worth more
        in_middle = position not in (0, part.start) or part.first and position > 0
        stream.seek(position)
        held, held_size, complete = b"", 0, part.finished
        while True:
            if budget.left <= 0:
                rest = 0 if packed else max(0, status.st_size - position)
                budget.unread += rest
                position += rest
                held, held_size, complete = b"", 0, True
                break
            chunk = stream.read(min(CHUNK, budget.left))
            if not chunk:
                break
            position += len(chunk)
            budget.used += len(chunk)
            end = chunk.rfind(b"\n")
            if end < 0:
                held, held_size = (held + chunk)[: LINE * 4], held_size + len(chunk)
                continue
            block = held + chunk[:end]
            held, held_size = chunk[end + 1 :][: LINE * 4], len(chunk) - end - 1
            if in_middle:
                in_middle = False
                first_end = block.find(b"\n")
                block = block[first_end + 1 :] if first_end >= 0 else b""
            reader.feed(block)
        complete = complete or held_size > TAIL
        if held and complete and not in_middle:
            reader.feed(held)
        offset = position if complete else position - held_size
        back = reader.end(complete)
        if back <= TAIL and offset - back >= part.start:
            offset -= back  # a traceback that is being written: all of it at the next run
        head_bytes = min(HEAD, offset)
        return Cursor(status.st_dev, status.st_ino, offset, head_bytes, head_of(stream, head_bytes), status.st_size)


def coverage(item: str, parts: list[Part], budget: Budget, say: Reporter) -> list[Check]:
    """Say how much was read, and whether that was all."""
    facts: dict[str, Any] = {
        "bytes": budget.used,
        "files": budget.files,
        "unread": budget.unread,
        "limit": budget.limit,
    }
    if budget.unread:
        return [say.find("log.read", Status.WARNING, "log.unread", item=item, value=budget.unread, **facts)]
    return [say.find("log.read", Status.OK, "log.all_read", item=item, **facts)] if parts else []
