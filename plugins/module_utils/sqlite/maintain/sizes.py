# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sizes of a database are, and whether there is room to rewrite it."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import size_of

# A rewritten database is never exactly as large as its used pages, and the application writes on.
ROOM_FACTOR = 1.1
ROOM_BYTES = 8 * 1024 * 1024
# Frames in the WAL, and how many of them are in the database: fields of the WAL index (SQLite file format, section 4).
MX_FRAME, BACKFILLED = 16, 96


def sizes(connection: sqlite3.Connection, path: str) -> dict[str, int]:
    """Return the database's bytes on disk, pages, free pages and the bytes of its write-ahead log."""
    pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return {"bytes": size_of(path), "pages": pages, "freelist": free, "wal_bytes": size_of(path + "-wal")}


def unmoved(path: str) -> bool:
    """Tell whether the write-ahead log holds what is not in the database yet.

    Reads the index of the log by itself: call it in a process that does not have the database open, since closing the
    descriptor would drop that process's locks.
    """
    if not size_of(path + "-wal"):
        return False
    try:
        with open(path + "-shm", "rb") as stream:
            index = os.pread(stream.fileno(), BACKFILLED + 4, 0)
    except OSError:
        return True
    return len(index) < BACKFILLED + 4 or index[MX_FRAME : MX_FRAME + 4] != index[BACKFILLED : BACKFILLED + 4]


@dataclass(frozen=True)
class Room:
    """Where VACUUM puts its temporary file, and what is missing: bytes needed and free at ``short``, empty if none is."""

    temp: str
    short: str = ""
    needed: int = 0
    free: int = 0


def room(path: str, used: int) -> Room:
    """Tell whether VACUUM of a database with that many used bytes has room.

    It writes them twice: into a temporary file, and then into the log beside the database (or, without one, what it
    overwrites into the journal). The temporary file goes where SQLite puts it, or beside the database if that is fuller.
    """
    needed = int(used * ROOM_FACTOR) + ROOM_BYTES
    beside = os.path.dirname(path)
    usual = temp_place()
    for temp in dict.fromkeys((usual, beside)):
        if os.stat(temp).st_dev == os.stat(beside).st_dev:
            places = [(beside, 2 * needed)]
        else:
            places = [(beside, needed), (temp, needed)]
        lacking = [(place, most) for place, most in places if _free(place) < most]
        if not lacking:
            return Room(temp)
        if lacking[0][0] == beside and lacking[0][1] == needed:
            break  # another place for the temporary file would not help
    place, most = lacking[0]
    return Room(usual, place, most, _free(place))


def temp_place() -> str:
    """Return where SQLite puts temporary files (os_unix.c, unixTempFileDir)."""
    places = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp", ".")
    for place in places:
        if place and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return place
    return "."


def _free(place: str) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize
