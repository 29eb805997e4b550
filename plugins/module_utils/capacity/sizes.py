# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast files and directories grow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.look import Past
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.files.usage import Budget, usage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

# Entries of all directories together; 0.5 s where they are in the kernel's cache.
MAX_ENTRIES = 500_000
# A week's growth below this fills no disk.
GROWTH_BYTES = 100 * 2**20


def judge_sizes(say: Reporter, spec: Mapping[str, Any], past: Past, deadline: Deadline) -> Iterator[Check]:
    """Judge the growth of each path; the past knows it from here and from the daily checks."""
    budget = Budget(MAX_ENTRIES, deadline)
    for path in spec["sizes"]:
        try:
            found = usage(path, os.stat(path), budget)
        except OSError as exc:
            error = exc.strerror or str(exc)
            yield say.find("capacity.size", Status.UNKNOWN, "capacity.not_asked", path, "missing", error=error)
            continue
        whole = not (found.stopped or found.denied)
        partial, partial_zh = ("", "") if whole else (", not all could be counted", "，未能全部统计")
        told: dict[str, Any] = {"size": size(found.disk), "partial": partial, "partial_zh": partial_zh}
        # Half a directory must not be taken for one that shrank.
        yield say.find("capacity.size", Status.OK, "capacity.bytes", path, value=found.disk if whole else None, **told)
        if whole:
            yield _growth(say, path, found.disk, past)


def _growth(say: Reporter, path: str, now: int, past: Past) -> Check:
    change, points = past.change(now, f"capacity.size|{path}", f"file.size|{path}")
    if change is None:
        return say.find("capacity.growth", Status.OK, "capacity.grows_new", path, "insufficient_data", points=points)
    # Of what was there a week ago: what has just been made has grown by more than anybody can tell.
    value = 100.0 * change / max(1.0, now - change)
    words: dict[str, Any] = {"change": f"{'+' if change >= 0 else '-'}{size(abs(change))}", "points": points}
    if change < GROWTH_BYTES:
        return say.find("capacity.growth", Status.OK, "capacity.grows", path, value=value, **words)
    return say.measure("capacity.growth", value, "capacity.grows", path, **words)
