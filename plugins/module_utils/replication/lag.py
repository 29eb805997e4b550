# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a live database Litestream has copied: the end of the WAL beside the newest LTX file.

``litestream status`` reads local files only, and ``litestream sync -wait`` on a live database may drop Litestream's own
read lock, after which rows vanish from the middle of the replica. So nothing here asks the daemon.

Closing any descriptor of a database or of its ``-shm`` drops all POSIX locks a process has on it: none of this may run
in a process that has the database open with SQLite.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import ltx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import WAL_INDEX_HEADER
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import file_locks

WAL_HEADER, FRAME_HEADER = 32, 24
# The five read marks of the WAL index (wal.c, "WAL_READ_LOCK"): whoever holds one keeps the WAL from starting over.
READ_MARKS = (123, 127)
# Litestream lets its lock go for the moment of a checkpoint, and the copy of the index header may be half written.
ATTEMPTS = 50


@dataclass(frozen=True)
class WalEnd:
    """Where the WAL of a live database ends: bytes, and the salts that tell one life of the WAL from the next."""

    end: int
    salts: bytes


def wal_end(database: str) -> WalEnd:
    """Return the end of the committed WAL, from its index; raise OpsError when there is none.

    The size of the file does not tell: a WAL that started over keeps its length.
    """
    path = database + "-shm"
    for _attempt in range(ATTEMPTS):
        try:
            with open(path, "rb", buffering=0) as stream:
                raw = stream.read(2 * WAL_INDEX_HEADER)
        except OSError as exc:
            raise OpsError(
                f"{path} cannot be read ({exc.strerror}): expected a database in WAL mode that somebody has open"
            ) from exc
        # Writers change one copy of the header after the other, so two equal ones are whole.
        if len(raw) == 2 * WAL_INDEX_HEADER and raw[:WAL_INDEX_HEADER] == raw[WAL_INDEX_HEADER:] and raw[12] == 1:
            native = "<" if sys.byteorder == "little" else ">"
            page_size, frames = struct.unpack_from(native + "HI", raw, 14)
            page_size = (page_size & 0xFE00) + ((page_size & 1) << 16)
            return WalEnd(WAL_HEADER + frames * (FRAME_HEADER + page_size), raw[32:40])
    raise OpsError(f"{path} is not a whole WAL index after {ATTEMPTS} looks: expected a live database in WAL mode")


def local_files(database: str) -> str:
    """Return where Litestream keeps what it has copied from a database."""
    folder, name = os.path.split(database)
    return os.path.join(folder, f".{name}-litestream")


@dataclass(frozen=True)
class Position:
    """The newest file Litestream has copied from a database; ``behind`` are the bytes of the WAL that are not in it."""

    txid: int
    at: float
    behind: int


def newest(database: str) -> ltx.Header:
    """Return the header of the newest file copied from a database; raise OpsError when there is none."""
    folder = local_files(database)
    try:
        for one in reversed(ltx.copied(folder)):
            return ltx.read_header(os.path.join(folder, one.path))
    except OSError as exc:
        raise OpsError(f"{exc.filename}: {exc.strerror}; expected what Litestream has copied from {database}") from exc
    raise OpsError(f"Litestream has copied nothing from {database}: expected files in {folder}/ltx/0")


def has_copied(database: str) -> bool:
    """Tell whether Litestream has copied something from a database already."""
    try:
        return bool(ltx.copied(local_files(database)))
    except OSError:
        return False


def goes_on(database: str) -> bool:
    """Tell whether a Litestream that starts now misses nothing. Raises OpsError when nothing was copied yet.

    The log must be the one it knows, or shorter than what it knows of it: then it copies the whole database. A log that
    started over while it did not run it takes (0.5.17) for one that it had copied to the end, as long as the last page it
    copied still lies where it was. What was written after that page is then in no file: at 200 commits a second half of
    the replicas were damaged by a restart within a second, none where this was kept.
    """
    known = newest(database)
    try:
        with open(database + "-wal", "rb") as stream:
            salts = stream.read(WAL_HEADER)[16:24]
            size = os.fstat(stream.fileno()).st_size
    except FileNotFoundError:
        return True
    return size < known.wal_end or salts == known.salts


def position(database: str) -> Position:
    """Compare the live WAL with the newest file.

    In a WAL that started over since, all of it counts as missing: what was in the former one cannot be told.
    """
    header = newest(database)
    live = wal_end(database)
    same = header.salts == live.salts
    return Position(header.last, header.at, max(0, live.end - header.wal_end) if same else live.end)


class Wanted:
    """All that is committed at one moment: in which transaction of Litestream it is, as soon as it is copied."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.txid = 0
        self._live = wal_end(database)
        self._first = newest(database)
        same = self._first.salts == self._live.salts
        self.behind = max(0, self._live.end - self._first.wal_end) if same else self._live.end

    def copied(self) -> bool:
        """Tell whether all of it is copied; ``txid`` is known then."""
        header = newest(self.database)
        if header.salts == self._live.salts:
            done = header.wal_end >= self._live.end
        else:
            # Litestream starts the log over when it has copied all of it. Of a log that was new when we looked, files of
            # the former one tell nothing.
            done = header.salts != self._first.salts
        if done:
            self.txid = header.last
        return done


def lock_holders(database: str, marks: tuple[int, int] = READ_MARKS) -> set[int]:
    """Return the processes that hold one of some read marks of a database, Litestream's own among them."""
    locks = file_locks(database + "-shm")
    return {one.pid for one in locks if one.covers(*marks)}


def keeps_lock(database: str, pids: Iterable[int]) -> bool:
    """Tell whether one of some processes holds a read mark of a database at this moment."""
    return bool(lock_holders(database) & set(pids))
