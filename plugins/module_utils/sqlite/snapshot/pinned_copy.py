# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy a database that a reader keeps pinned: one pass, with the log laid over it, hashed on the way.

Bytes are read and written by one thread and hashed by another, both without Python's lock, so the whole takes about as
long as the slower of the two. What is written is given to the disk at once, so that the last fsync finds little to do
and the application's own fsyncs do not wait behind a gigabyte of ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import queue
import stat
import threading
from array import array
from collections.abc import Iterator
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

CHUNK = 1 << 20
BUFFERS = 6
# So much is written before the disk is told to take it.
WRITEBACK = 8 << 20
SYNC_FILE_RANGE_WRITE = 2
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
    """Copy the pinned database into an open file; return its sha256 and what it consists of, as plain data.

    To be called in a process that has the database not open in SQLite, while another one holds the transaction.
    """
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(_opened(source, ""))
        wal = stack.enter_context(_opened(source, "-wal")) if wal_mode else -1
        layout = _layout(source, database, wal, stack) if wal_mode else _plain(database)
        digest = _stream(layout, database, wal, out, tell)
        if layout.index and wal_salts(wal) != layout.index.salts:
            raise Untrusted(f"the -wal of {source.path} was started over while it was copied: expected it to stay")
    used = sum(1 for frame in layout.frames if frame) if layout.frames else 0
    return {"sha256": digest, "bytes": layout.total, "pages": layout.pages, "from_wal": used}


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


def _stream(layout: Layout, database: int, wal: int, out: int, tell: Tell) -> str:
    """Write the pages in order, hash them on the way; return the sha256."""
    hasher = _Hasher()
    with contextlib.suppress(OSError):
        os.posix_fadvise(database, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    behind = 0
    for start in range(0, layout.total, CHUNK):
        view = hasher.buffer()[: min(CHUNK, layout.total - start)]
        _fill(layout, database, wal, start, view)
        if start == 0:
            view[VERSIONS] = NO_WAL
        hasher.update(view)
        _write(out, view, start)
        if start + CHUNK - behind >= WRITEBACK:
            _write_back(out, behind, start + CHUNK - behind)
            behind = start + CHUNK
        tell("copy", (start + len(view)) / layout.total)
    return hasher.digest()


def _write_back(out: int, offset: int, length: int) -> None:
    """Have the disk take a stretch, without waiting for it. Not posix_fadvise: it would wait for all CPUs, one by one."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).sync_file_range(out, ctypes.c_int64(offset), ctypes.c_int64(length), SYNC_FILE_RANGE_WRITE)


def _fill(layout: Layout, database: int, wal: int, start: int, view: memoryview) -> None:
    """Read a stretch of the database as of the commit: from the file, and from the log what is there."""
    size = layout.page_size
    done = _read(database, view, start)
    first = start // size + 1
    frames = layout.frames[first : first + len(view) // size] if layout.frames else None
    if done < len(view):
        # Pages that no checkpoint has brought into the file yet are all in the log.
        missing = range(done // size, len(view) // size)
        if frames is None or not all(frames[number] for number in missing):
            raise OpsError(
                f"the database is shorter than its {layout.pages} pages: it is truncated. Keep it with its -wal and -shm, "
                "and restore the newest verified snapshot"
            )
    if frames is not None and any(frames):
        for number, frame in enumerate(frames):
            if frame and _read(wal, view[number * size : (number + 1) * size], frame_offset(frame, size)) < size:
                raise Untrusted(f"the -wal ends at frame {frame}")


def _read(descriptor: int, view: memoryview, offset: int) -> int:
    """Fill a buffer; return how much of it there was."""
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if not count:
            break
        done += count
    return done


def _write(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


class _Hasher:
    """Hashes buffers in order in a thread of its own, and gives them back."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        for _number in range(BUFFERS):
            self._free.put(bytearray(CHUNK))
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def buffer(self) -> memoryview:
        """Return a buffer to fill; its bytes must stay until they are hashed."""
        return memoryview(self._free.get())

    def update(self, view: memoryview) -> None:
        """Hash what is in a buffer some time soon."""
        self._full.put(view)

    def digest(self) -> str:
        """Wait for all that was given, and return the hash."""
        self._full.put(None)
        self._thread.join()
        return self._hash.hexdigest()

    def _work(self) -> None:
        while (view := self._full.get()) is not None:
            self._hash.update(view)
            self._free.put(view.obj)  # type: ignore[arg-type]
