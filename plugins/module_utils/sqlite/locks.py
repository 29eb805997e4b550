# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a lock on a file, read from the kernel without taking one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.mounts import holding, mounted

PROC = Path("/proc")


@dataclass(frozen=True)
class FileLock:
    """One granted lock. ``end`` is inclusive, -1 for end of file; ``pid`` is 0 or -1 outside our pid namespace."""

    kind: str
    write: bool
    pid: int
    start: int
    end: int

    def covers(self, first: int, last: int) -> bool:
        """Tell whether the lock touches the bytes first..last."""
        return self.start <= last and (self.end == -1 or self.end >= first)


def file_locks(path: Path | str) -> Iterator[FileLock]:
    """Yield the POSIX and flock locks granted on a file.

    A line of /proc/locks reads ``1: POSIX  ADVISORY  WRITE 1234 fe:00:5678 1073741825 1073741825``: device numbers in
    hex, the inode in decimal; lines of waiters carry ``->``. The kernel names the device of the mount, which on an
    overlay of two filesystems is not the one that ``stat`` names, so both count.
    """
    try:
        stat = os.stat(path)
        text = (PROC / "locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return
    mount = holding(os.path.realpath(path), mounted())
    devices = {f"{os.major(stat.st_dev)}:{os.minor(stat.st_dev)}", mount.device if mount else ""}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 8 or fields[1] == "->":
            continue
        major, minor, inode = fields[5].split(":")
        if int(inode) != stat.st_ino or f"{int(major, 16)}:{int(minor, 16)}" not in devices:
            continue
        end = -1 if fields[7] == "EOF" else int(fields[7])
        yield FileLock(fields[1], fields[3] == "WRITE", int(fields[4]), int(fields[6]), end)


def process_name(pid: int) -> str:
    """Return ``pid 1234 (gunicorn)``, or only the number of a process that is gone or hidden."""
    try:
        name = (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"pid {pid}"
    return f"pid {pid} ({name})"


def holders(*paths: Path | str) -> str:
    """Name the processes with a lock on one of the files, for an error message; empty when the kernel names none."""
    pids = {lock.pid for path in paths for lock in file_locks(path)}
    return ", ".join(process_name(pid) for pid in sorted(pids))


# Bytes SQLite locks: in the database file (os.h), and in the -shm file of WAL mode (wal.c, "WAL_WRITE_LOCK").
PENDING_BYTE, LAST_SHARED_BYTE = 0x40000000, 0x40000000 + 511
WAL_WRITE_BYTE, WAL_DMS_BYTE = 120, 128


def writers(database: str) -> set[int]:
    """Return the processes that keep every other writer of a database out at this moment."""
    held = {lock.pid for lock in file_locks(database) if lock.write and lock.covers(PENDING_BYTE, LAST_SHARED_BYTE)}
    shared = file_locks(database + "-shm")
    return held | {lock.pid for lock in shared if lock.write and lock.covers(WAL_WRITE_BYTE, WAL_WRITE_BYTE)}


def live_wal(database: str) -> bool:
    """Tell whether some process has the database open in WAL mode: then its ``-shm`` is good, and nobody recovers it."""
    return any(lock.covers(WAL_DMS_BYTE, WAL_DMS_BYTE) for lock in file_locks(database + "-shm"))
