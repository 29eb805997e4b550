# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy a database that a reader keeps pinned: one pass in the kernel, with the log laid over it.

The bytes do not come by here, so it takes as long as ``cp``. What is written is given to the disk on the way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import HEADER_BYTES, parse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.walindex import (
    Index,
    Untrusted,
    frame_offset,
    overlay,
    read_index,
    wal_salts,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.write_back import STRETCH, give

BUFFER = 1 << 20
# Bytes 18 and 19 of a database that is not in WAL mode: a snapshot is one file, and opening it makes no other.
VERSIONS = slice(18, 20)
NO_WAL = b"\x01\x01"


class Swapped(OpsError):
    """What lies at the path is another file than the one that was judged."""


@dataclass(frozen=True)
class Source:
    """The file to copy, as it was judged: a link or another file put in its place is not followed."""

    path: str
    device: int
    inode: int
    uid: int


@dataclass(frozen=True)
class Layout:
    """What the snapshot consists of: pages of the file, and frames of the log in place of some."""

    page_size: int
    pages: int
    frames: array[int] | None = None
    index: Index | None = None

    @property
    def total(self) -> int:
        """The size of the snapshot in bytes."""
        return self.page_size * self.pages


def copy_pinned(source: Source, wal_mode: bool, out: int, tell: Tell) -> dict[str, Any]:
    """Copy the pinned database into an open file; return what it consists of, as plain data.

    To be called in a process that has the database not open in SQLite, while another one holds the transaction.
    """
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(_opened(source, ""))
        wal = stack.enter_context(_opened(source, "-wal")) if wal_mode else -1
        layout = _layout(source, database, wal, stack) if wal_mode else _plain(database)
        _stream(layout, database, wal, out, tell)
        if layout.index and wal_salts(wal) != layout.index.salts:
            raise Untrusted(f"the -wal of {source.path} was started over while it was copied: expected it to stay")
    used = sum(1 for frame in layout.frames if frame) if layout.frames else 0
    return {"bytes": layout.total, "pages": layout.pages, "from_wal": used}


@contextlib.contextmanager
def _opened(source: Source, suffix: str) -> Iterator[int]:
    """Open one of the files, which must be a regular one of the same owner: root copies nothing it is led to by a link."""
    path = source.path + suffix
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise Swapped(f"{path} cannot be opened: {exc.strerror}; expected the file the application has open") from exc
    try:
        seen = os.fstat(descriptor)
        same = suffix or (seen.st_dev, seen.st_ino) == (source.device, source.inode)
        if not same or not stat.S_ISREG(seen.st_mode) or seen.st_uid != source.uid:
            raise Swapped(f"{path} was replaced a moment ago: expected the file that was judged. Try again")
        yield descriptor
    finally:
        os.close(descriptor)


def _layout(source: Source, database: int, wal: int, stack: contextlib.ExitStack) -> Layout:
    index = read_index(stack.enter_context(_opened(source, "-shm")))
    if index.settled:
        plain = _plain(database)
        # An index that was built over an empty log does not know how long the database is.
        pages = index.pages if index.frames else plain.pages
        return Layout(plain.page_size, pages)
    return Layout(index.page_size, index.pages, overlay(wal, index), index)


def _plain(database: int) -> Layout:
    """Lay out a file that nobody writes to while it is pinned."""
    header = parse(os.pread(database, HEADER_BYTES, 0), os.fstat(database).st_size)
    if not header.valid:
        raise OpsError("the database does not begin as a SQLite database: its header was destroyed a moment ago")
    return Layout(header.page_size, header.size // header.page_size)


def _stream(layout: Layout, database: int, wal: int, out: int, tell: Tell) -> None:
    """Write the pages in order: from the file, and from the log what is there."""
    with contextlib.suppress(OSError):
        os.posix_fadvise(database, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    # Giving it to the disk costs a fifth of the copy's time, which another core has to spare.
    disk, given = ThreadPoolExecutor(1), []
    try:
        for start in range(0, layout.total, STRETCH):
            end = min(start + STRETCH, layout.total)
            _stretch(layout, database, wal, out, start, end)
            given.append(disk.submit(give, out, start))
            tell("copy", end / layout.total)
    finally:
        # A disk that is slower must not keep the database pinned: who syncs the file gives it the rest.
        disk.shutdown(cancel_futures=True)
    for one in given:
        if not one.cancelled():
            one.result()


def _stretch(layout: Layout, database: int, wal: int, out: int, start: int, end: int) -> None:
    first, last = start // layout.page_size + 1, end // layout.page_size
    frames = layout.frames[first : last + 1] if layout.frames else array("I")
    done = _copy(database, out, start, end)
    # Pages that no checkpoint has brought into the file yet are all in the log.
    if done < end and not (frames and all(frames[done // layout.page_size + 1 - first :])):
        raise OpsError(
            f"the database is shorter than its {layout.pages} pages: it is truncated. Keep it with its -wal and -shm, "
            "and restore the newest verified snapshot"
        )
    for page, frame in enumerate(frames, first):
        if frame:
            _lay_over(wal, frame, out, page, layout.page_size)
    if start == 0:
        os.pwrite(out, NO_WAL, VERSIONS.start)


def _copy(database: int, out: int, start: int, end: int) -> int:
    """Copy a stretch to the same place; return how far the source goes.

    Not copy_file_range: where the file system can share blocks it would, and the backup lay on the very ones it is for.
    """
    os.lseek(out, start, os.SEEK_SET)
    while start < end:
        try:
            count = os.sendfile(out, database, start, end - start)
        except OSError as exc:
            if exc.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            # Some file systems in user space cannot.
            count = _write(out, os.pread(database, min(BUFFER, end - start), start), start)
            os.lseek(out, start + count, os.SEEK_SET)
        if not count:
            break
        start += count
    return start


def _lay_over(wal: int, frame: int, out: int, page: int, size: int) -> None:
    """Write the page that a frame of the log holds."""
    raw = os.pread(wal, size, frame_offset(frame, size))
    if len(raw) < size:
        raise Untrusted(f"the -wal ends at frame {frame}")
    _write(out, raw, (page - 1) * size)


def _write(descriptor: int, raw: bytes, offset: int) -> int:
    view = memoryview(raw)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count
    return len(raw)
