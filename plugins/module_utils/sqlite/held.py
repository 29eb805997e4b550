# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether one process keeps the write lock of a database."""

from __future__ import annotations

import time

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import last_commit
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.inside import LOOK_SECONDS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import process_name, writers

# A lock seen once is looked at until it is let go, at most this long: just beyond the application's busy timeout.
LOCK_SECONDS = 5.2
LOCK_PAUSE = 0.02


def judge_lock(say: Reporter, real: str, deadline: Deadline) -> Check:
    """See whether one process keeps the write lock: with it at every look, and nothing committed in between.

    A process that commits all the time has the lock at nearly every look too; it lets others in after each commit.
    """
    start = time.monotonic()
    progress = last_commit(real)
    holders = writers(real)
    if not holders:
        return say.measure("sqlite.lock", 0.0, "sqlite.lock_free")
    end = start + min(LOCK_SECONDS, max(0.0, deadline.remaining() - LOOK_SECONDS))
    kept = holders
    while kept and time.monotonic() < end:
        time.sleep(LOCK_PAUSE)
        holders, kept = kept, kept & writers(real) if last_commit(real) == progress else set()
    names = ", ".join(process_name(pid) for pid in sorted(kept or holders))
    sentence = "sqlite.lock_held" if kept else "sqlite.lock_short"
    evidence = [f"{pid}: {proc.cmdline(pid)[:200]}" for pid in sorted(kept)]
    return say.measure("sqlite.lock", time.monotonic() - start, sentence, holder=names, evidence=evidence)
