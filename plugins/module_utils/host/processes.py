# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that have ended and were forgotten, and processes that hang in the kernel."""

from __future__ import annotations

from collections import Counter

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

STUCK_SECONDS = 1.0


def judge_processes(look: Look) -> list[Check]:
    """Judge zombies, with the parent that forgot them, and processes that hang in the kernel."""
    processes = look.processes
    zombies = [one for one in processes.values() if one.state == "Z"]
    parents = Counter(one.ppid for one in zombies).most_common()
    evidence = [
        f"{count} of pid {pid} {processes[pid].comm if pid in processes else '?'}: "
        + listed(sorted({one.comm for one in zombies if one.ppid == pid}))
        for pid, count in parents
    ]
    checks = [look.say.measure("zombies", len(zombies), "host.zombie_count", evidence=evidence, min=0)]
    # Threads of the kernel (children of number 2) sleep like this as a habit.
    own = [one for one in processes.values() if one.ppid != 2]
    hang = proc.stuck(own, look.deadline.sooner(STUCK_SECONDS).remaining(), look.files.root + proc.PROC)
    evidence = [f"pid {one.pid} {one.comm}" for one in hang]
    checks.append(look.say.measure("procs.d_state", len(hang), "host.stuck_count", evidence=evidence, min=0))
    return checks
