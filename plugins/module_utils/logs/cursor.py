# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Up to where a file was read, and the stretch of it that is to be read now."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import IO, Any, cast

HEAD = 256


@dataclass
class Cursor:
    """Up to where a file was read. ``head`` is a hash of its first ``head_bytes``; ``size`` what it had at that time."""

    device: int
    inode: int
    offset: int
    head_bytes: int
    head: str
    size: int

    @classmethod
    def load(cls, data: list[Any]) -> Cursor:
        return cls(*data)

    def dump(self) -> list[Any]:
        return [self.device, self.inode, self.offset, self.head_bytes, self.head, self.size]


@dataclass
class Part:
    """One stretch of one file that is to be read, to its end."""

    family: str
    path: str
    start: int
    todo: int
    order: float
    finished: bool
    first: bool
    known: Cursor | None = None


def open_regular(path: str) -> IO[bytes]:
    """Open a regular file, without hanging on a pipe of that name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        raw = os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise
    return raw


def content(path: str) -> IO[bytes]:
    """Open a log for reading, unpacked if it was packed at its rotation."""
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return open_regular(path)


def head_of(stream: IO[bytes], count: int) -> str:
    """Return a hash of the first bytes, by which a file is known again under another name."""
    stream.seek(0)
    return hashlib.sha256(stream.read(count) if count else b"").hexdigest()[:16]
