# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes have a database open, by device and inode, and which databases a process has open."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import MAGIC


@dataclass
class Usage:
    """Who of some processes has a database open: ``others`` are the databases they have open instead."""

    by: list[int] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    denied: list[int] = field(default_factory=list)


def usage(database: os.stat_result | None, pids: Iterable[int], root: str = proc.PROC) -> Usage:
    """Look through the open files of some processes.

    A file that was deleted or replaced since it was opened is another inode, whatever its name: it is among the others,
    with ``(deleted)`` behind its name, as the kernel writes it.
    """
    result = Usage()
    for pid in pids:
        try:
            opened = list(proc.open_files(pid, root))
        except PermissionError:
            result.denied.append(pid)
            continue
        for one in opened:
            if not one.target.startswith("/") or one.target.startswith(("/dev/", "/proc/", "/sys/")):
                continue
            path = f"{root}/{pid}/fd/{one.fd}"
            try:
                seen = os.stat(path)
                if not stat.S_ISREG(seen.st_mode):
                    continue
                if database is not None and (seen.st_dev, seen.st_ino) == (database.st_dev, database.st_ino):
                    result.by.append(pid)
                elif one.target not in result.others and _is_database(path):
                    result.others.append(one.target)
            except OSError:
                continue  # closed, or ended, in between
    result.by = sorted(set(result.by))
    return result


def _is_database(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC
