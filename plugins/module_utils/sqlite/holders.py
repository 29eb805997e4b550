# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes have a database open."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc

COMPANIONS = ("-wal", "-journal", "-shm")


def holders(path: Path) -> Iterator[int]:
    """Yield the processes that have the database or one of its companions open, of those we may look at (root: all)."""
    keys = set()
    for suffix in ("", *COMPANIONS):
        try:
            seen = os.stat(f"{path}{suffix}")
        except OSError:
            continue
        if stat.S_ISREG(seen.st_mode):
            keys.add((seen.st_dev, seen.st_ino))
    for pid in proc.pids() if keys else ():
        try:
            for opened in proc.open_files(pid):
                if not opened.target.startswith("/"):
                    continue
                seen = os.stat(f"{proc.PROC}/{pid}/fd/{opened.fd}")
                if (seen.st_dev, seen.st_ino) in keys:
                    yield pid
                    break
        except OSError:
            continue  # gone in the meantime, or another user's
