# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes of a log and of the files it was rotated to are new since the last run."""

from __future__ import annotations

import math
import os
import re

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.cursor import (
    Cursor,
    Part,
    content,
    head_of,
    open_regular,
)

# Times of change are those of the last timer tick, up to 10 ms back.
TICK = 0.05
ROTATED = re.compile(r"[.-](?:\d{1,4}|old|\d{8}(?:[-_]?\d{2,6})?)(?:\.gz)?$")


def plan(
    path: str, cursors: list[Cursor], last: float, first_bytes: int, first: bool
) -> tuple[list[Part], list[tuple[float, Cursor]]]:
    """Decide what of a log and of the files it was rotated to is new; return that, and the cursors that stay.

    ``last`` is the time of the last run: a rotated file that was not written after it holds nothing new.
    """
    try:
        current, own = _plan_live(path, cursors, first_bytes, first)
    except FileNotFoundError:
        if not cursors or not rotated(path):
            raise
        current, own = None, None
    if current and not cursors:
        return [current], []
    unplaced = [one for one in cursors if one is not own]
    parts: list[Part] = []
    idle: list[tuple[float, Cursor]] = []
    for moment, member in rotated(path):
        member_status = os.stat(member)
        known = next((one for one in unplaced if _same_file(one, member_status)), None)
        if known and moment < last - TICK:
            idle.append((moment, known))
            unplaced.remove(known)
            continue
        if moment < last - TICK:
            continue
        with content(member) as stream:
            match = next(
                (one for one in unplaced if one.head_bytes and head_of(stream, one.head_bytes) == one.head), None
            )
        if known and known is not match and known.head_bytes:
            known = None  # the inode now belongs to another file
        known = known or match
        begin = known.offset if known else 0
        if known:
            unplaced.remove(known)
            parts = [part for part in parts if part.known]  # what is older than a file of the last run was read then
        parts.append(Part(path, member, begin, max(0, member_status.st_size - begin), moment, True, False, known))
    if own:
        parts = [part for part in parts if part.known]  # not rotated since
    return [*parts, *([current] if current else [])], idle


def _plan_live(path: str, cursors: list[Cursor], first_bytes: int, first: bool) -> tuple[Part | None, Cursor | None]:
    """Return what of the live file is new, and its cursor if it is still the file that was read before."""
    with open_regular(path) as stream:
        status = os.fstat(stream.fileno())
        own = next((one for one in cursors if _same_file(one, status)), None)
        if own and (own.offset > status.st_size or head_of(stream, own.head_bytes) != own.head):
            own = None
    first = first and not cursors
    fresh = max(0, status.st_size - first_bytes) if first else 0
    start = own.offset if own else fresh
    finished = own is not None and own.size == status.st_size
    return Part(path, path, start, status.st_size - start, math.inf, finished, first, own), own


def _same_file(cursor: Cursor, status: os.stat_result) -> bool:
    return (cursor.device, cursor.inode) == (status.st_dev, status.st_ino)


def rotated(path: str) -> list[tuple[float, str]]:
    """Return the files a log was rotated to with their times of change, oldest first."""
    folder, name = os.path.split(path)
    result = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(name) and ROTATED.fullmatch(entry.name[len(name) :]) and entry.is_file():
                result.append((entry.stat().st_mtime, entry.path))
    return sorted(result)
