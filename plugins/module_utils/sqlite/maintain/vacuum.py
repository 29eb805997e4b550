# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions that give unused pages back: incremental_vacuum and vacuum."""

from __future__ import annotations

from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.checkpoint import empty_log
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.estimate import (
    SLICE_SECONDS,
    VACUUM_SECONDS_PER_BYTE,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Result, Stopped
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.sizes import room
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.work import Work
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

INCREMENTAL = 2
# Pages of the first slice, and of any; a slice that took less than half of what it may is followed by a larger one.
FIRST_PAGES, MOST_PAGES = 100, 20_000


def incremental(work: Work) -> Result:
    """Give all unused pages back, in slices that grow and shrink with the time they take."""
    if work.pragma("auto_vacuum") != INCREMENTAL:
        return Result("skipped", "not_incremental")
    free = left = work.pragma("freelist_count")
    unit = work.pragma("page_size")
    if not free:
        return Result("skipped", "no_free_pages")
    if work.plan:
        return Result("planned", "freed_planned", {"free": size(free * unit)}, changed=True)
    pages, slices = FIRST_PAGES, 0
    while left:
        try:
            held = work.lock.hold(f"PRAGMA incremental_vacuum({pages})")
        except Stopped as exc:
            if exc.reason == "stall_reached" and pages > 1:
                pages = max(1, pages // 4)
                continue
            params = {"free": size((free - left) * unit), "held": exc.held, "budget": work.wanted.max_stall}
            return Result("failed", f"freed_{exc.reason}", params, changed=left < free)
        slices += 1
        before, left = left, work.pragma("freelist_count")
        if left >= before:
            break  # the application frees as fast, or the file has other ideas
        work.tell("incremental_vacuum", 1 - left / free)
        if work.lock.cap is not None and held > work.lock.cap / 2:
            pages = max(1, pages // 2)
        elif work.lock.cap is None or held < work.lock.cap / 4:
            pages = min(MOST_PAGES, pages * 2)
        work.lock.breathe(held)
    freed = size((free - left) * unit)
    return Result("done", "freed", {"free": freed, "slices": slices}, changed=left < free)


def vacuum(work: Work) -> Result:
    """Write the database anew if that is worth it, allowed now, proved to be sound, and there is room and time for it."""
    pages, free, unit = work.pragma("page_count"), work.pragma("freelist_count"), work.pragma("page_size")
    wanted, used = work.wanted, (pages - free) * unit
    share = 100.0 * free / max(1, pages)
    cost = SLICE_SECONDS + VACUUM_SECONDS_PER_BYTE * used
    params = {"share": share, "free": size(free * unit), "estimate": cost, "budget": wanted.max_stall}
    if share < wanted.min_reclaim and not (wanted.force and free):
        return Result("skipped", "not_worth", {**params, "least": wanted.min_reclaim})
    if not (work.proved or work.plan):
        return Result("refused", "unproved", params)
    if not (wanted.open_now or wanted.force):
        return Result("refused", "window", {**params, "window": wanted.window_text})
    if work.lock.cap is not None and cost > work.lock.cap and not wanted.force:
        return Result("refused", "stall", params, stall=cost)
    there = room(work.path, used)
    if there.short:
        return Result(
            "refused", "room", {**params, "place": there.short, "needed": size(there.needed), "left": size(there.free)}
        )
    if work.plan:
        return Result("planned", "vacuum_planned", params, changed=True, stall=cost)
    # The variable SQLITE_TMPDIR is read once, when a process first uses SQLite; this holds for our child alone.
    quoted = there.temp.replace("'", "''")
    work.connection.execute(f"PRAGMA temp_store_directory = '{quoted}'")
    return _vacuum(work, params)


def _vacuum(work: Work, params: dict[str, Any]) -> Result:
    work.tell("vacuum", None)
    # Writing back what it made cannot be interrupted and takes as long as making it: half of the budget is for each.
    half = None if work.lock.cap is None or work.wanted.force else work.lock.cap / 2
    try:
        held = work.lock.alone("VACUUM", half)
    except Stopped as exc:
        if work.pragma("freelist_count"):
            return Result("failed", f"vacuum_{exc.reason}", {**params, "held": exc.held})
        held = exc.held  # interrupted after its commit
    busy = empty_log(work) if work.wal else ""
    reason = "vacuumed_busy" if busy else "vacuumed"
    return Result("done", reason, {**params, "held": held, "holder": busy}, changed=True)
