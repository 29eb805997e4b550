# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the index of a live write-ahead log says: how far it is committed, and how far the database file has it already.

The index is the ``-shm`` file (SQLite, "WAL-mode file format", section 2): two copies of a header of 48 bytes in the
host's byte order, then how many frames are backfilled. Whoever holds a read transaction may rely on this:

* Nobody backfills a frame beyond the reader's mark, and the reader's mark is at or before every later commit. So each
  page of the database file that may change meanwhile, even half-written, has a frame among those committed now.
* The log is started over only when all of it is backfilled and no reader has a mark in it. With frames not backfilled
  neither can happen while the transaction lasts; with all of them backfilled the file alone is the database, and stays.

Hence the file with the frames 1 to ``frames`` laid over it is the state of the last commit seen here, whatever is
committed or backfilled while it is copied.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from array import array
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

HEADER = struct.Struct(
    "=IIIBBHII8s4s4sII"
)  # iVersion, unused, iChange, isInit, bigEndCksum, szPage, mxFrame, nPage ...
VERSION = 3007000
READS = 200
PAUSE = 0.001

WAL_HEADER_BYTES = 32
FRAME_HEADER = struct.Struct(">II8s8s")
WAL_MAGIC = (0x377F0682, 0x377F0683)


class Untrusted(OpsError):
    """The index or the log is not as the format says: nothing may be concluded from it."""


@dataclass(frozen=True)
class Index:
    """One reading of the index: ``frames`` are committed, ``backfilled`` of them are in the database file."""

    frames: int
    pages: int
    page_size: int
    salts: bytes
    backfilled: int

    @property
    def settled(self) -> bool:
        """Tell whether the database file alone is the database."""
        return self.backfilled >= self.frames


def read_index(shm: int) -> Index:
    """Read the index through a descriptor of ``-shm``; raise Untrusted when it does not come to rest.

    The header is read before and after the count of backfilled frames: a log that is started over changes its salts
    first, so the same header twice means that the count is of the same log.
    """
    for _attempt in range(READS):
        before = os.pread(shm, 2 * HEADER.size + 4, 0)
        after = os.pread(shm, 2 * HEADER.size, 0)
        first, second = before[: HEADER.size], before[HEADER.size : 2 * HEADER.size]
        if len(before) == 2 * HEADER.size + 4 and first == second and after == first + second:
            return _parse(first, before[2 * HEADER.size :])
        time.sleep(PAUSE)
    raise Untrusted("its WAL index does not come to rest: expected two equal headers in -shm")


def _parse(header: bytes, backfilled: bytes) -> Index:
    version, _unused, _change, ready, _big, size, frames, pages, _sums, salt1, salt2, sum1, sum2 = HEADER.unpack(header)
    if version != VERSION or not ready or (sum1, sum2) != _checksum(header[:40]):
        raise Untrusted(f"its WAL index is not valid: version {version}, expected {VERSION} and the right checksum")
    page_size = (size & 0xFE00) | (size & 1) << 16
    return Index(frames, pages, page_size, salt1 + salt2, int.from_bytes(backfilled, sys.byteorder))


def _checksum(data: bytes) -> tuple[int, int]:
    """Return SQLite's checksum of the WAL in the host's byte order."""
    words = struct.unpack(f"={len(data) // 4}I", data)
    one = two = 0
    for first, second in zip(words[::2], words[1::2]):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def wal_salts(wal: int) -> bytes:
    """Return the salts of the log; raise Untrusted when this is none."""
    raw = os.pread(wal, WAL_HEADER_BYTES, 0)
    if len(raw) < WAL_HEADER_BYTES or int.from_bytes(raw[:4], "big") not in WAL_MAGIC:
        raise Untrusted("its -wal does not begin as a write-ahead log")
    return raw[16:24]


def frame_offset(frame: int, page_size: int) -> int:
    """Return where the page of a frame (from 1) begins in the log."""
    return WAL_HEADER_BYTES + (frame - 1) * (FRAME_HEADER.size + page_size) + FRAME_HEADER.size


def overlay(wal: int, index: Index) -> array[int]:
    """Return the last committed frame of each page, 0 for a page that is not in the log; four bytes a page.

    Their checksums are not computed: as for every reader of a live database, the index says what is committed.
    """
    if wal_salts(wal) != index.salts:
        raise Untrusted("its -wal is not the log that its index describes: expected the same salts")
    last = array("I", bytes(4 * (index.pages + 1)))
    committed = 0
    for frame in range(1, index.frames + 1):
        raw = os.pread(wal, FRAME_HEADER.size, frame_offset(frame, index.page_size) - FRAME_HEADER.size)
        if len(raw) < FRAME_HEADER.size:
            raise Untrusted(f"its -wal ends at frame {frame}: expected {index.frames}")
        page, committed, salts, _checksum_ = FRAME_HEADER.unpack(raw)
        if salts != index.salts or not page:
            raise Untrusted(f"frame {frame} of its -wal is of another log: expected {index.frames} of this one")
        if page <= index.pages:
            last[page] = frame
    if committed != index.pages:
        raise Untrusted(f"frame {index.frames} of its -wal commits {committed} pages: expected {index.pages}")
    return last
