# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a tree takes, as ``du -x`` counts it, within a budget."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline


class Budget:
    """How many directory entries all walks together may read, and until when."""

    def __init__(self, entries: int, deadline: Deadline) -> None:
        self.left, self._deadline = entries, deadline
        self._reserve = min(0.5, deadline.seconds / 5)

    def spent(self) -> bool:
        return self.left <= 0 or self._deadline.remaining() <= self._reserve


@dataclass
class Usage:
    """What ``du -x`` would tell: disk space and length, every inode once."""

    disk: int = 0
    length: int = 0
    entries: int = 0
    denied: int = 0
    stopped: bool = False


def usage(path: str, status: os.stat_result, budget: Budget) -> Usage:
    """Measure a tree on its own filesystem without following links; stops when the budget is spent."""
    result = Usage(status.st_blocks * 512, status.st_size, 1)
    if not stat.S_ISDIR(status.st_mode):
        return result
    result.length = 0
    linked: set[int] = set()
    pending = [path]
    while pending:
        if budget.spent():
            result.stopped = True
            break
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    budget.left -= 1
                    if budget.left % 256 == 0 and budget.spent():
                        result.stopped = True
                        break
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # gone in the meantime
                    if found.st_dev != status.st_dev:
                        continue
                    result.entries += 1
                    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                        if found.st_ino in linked:
                            continue
                        linked.add(found.st_ino)
                    result.disk += found.st_blocks * 512
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(entry.path)
                    else:
                        result.length += found.st_size
        except PermissionError:
            result.denied += 1
        except OSError:
            continue
    return result
