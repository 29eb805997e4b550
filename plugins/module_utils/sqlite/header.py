# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first 100 bytes of a database file and its size tell, without opening it as a database."""

from __future__ import annotations

import os
from dataclasses import dataclass

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
WAL_INDEX_HEADER = 48


@dataclass(frozen=True)
class Header:
    """The fields of the database header (SQLite file format, section 1.3) and the size of the file."""

    size: int
    magic: bool
    page_size: int
    wal: bool
    pages: int | None

    @property
    def expected(self) -> int:
        """The size the header promises, 0 when it promises none."""
        return (self.pages or 0) * self.page_size

    @property
    def valid(self) -> bool:
        """Tell whether this can be a database at all."""
        return self.magic and self.page_size != 0

    @property
    def whole(self) -> bool:
        """Tell whether the file is as long as its header says. A page that is not yet there may be in the WAL."""
        return self.size >= self.expected and self.size % self.page_size == 0


def read_header(path: str) -> Header:
    """Read the header of a file; raises OSError. Never waits: a FIFO in its place is not opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        raw = os.pread(descriptor, HEADER_BYTES, 0)
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    return parse(raw, size)


def last_commit(path: str) -> bytes:
    """Return bytes that change with every commit: the change counter, and in WAL mode the header of the WAL index."""
    found = b""
    for name, offset, length in ((path, 24, 4), (path + "-shm", 0, WAL_INDEX_HEADER)):
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            found += os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
    return found


def parse(raw: bytes, size: int) -> Header:
    """Read the fields of a header; a short one is padded and not valid."""
    short = len(raw) < HEADER_BYTES
    raw = raw.ljust(HEADER_BYTES, b"\0")
    page_size = int.from_bytes(raw[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    if page_size < 512 or page_size & (page_size - 1):
        page_size = 0
    # The page count only counts if the last writer kept it: version-valid-for equals the change counter.
    kept = raw[24:28] == raw[92:96]
    pages = int.from_bytes(raw[28:32], "big") if kept else None
    return Header(size, not short and raw.startswith(MAGIC), page_size, raw[18] == 2, pages)
