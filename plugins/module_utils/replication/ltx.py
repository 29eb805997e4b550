# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a Litestream replica: what their names and headers tell, and whether they are without a gap.

A replica is ``ltx/LEVEL/MIN-MAX.ltx`` with transaction ids in hex: level 0 what was copied at each sync, levels 1 to 3
what compactions made of that, level 9 whole databases as of MAX (their MIN tells nothing). Litestream keeps the newest
file of level 0 for ever, and only that level tells which bytes of the WAL it was copied from.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

MAGIC = b"LTX1"
# magic, flags, page size, pages after it, min and max txid, milliseconds since 1970, checksum before it,
# offset and size in the WAL, and the two salts of that WAL.
_HEADER = struct.Struct(">4sIIIQQQQQQ8s")
_NAME = re.compile(r"^([0-9a-f]{16})-([0-9a-f]{16})\.ltx$")
COPIED, WHOLE = 0, 9


@dataclass(frozen=True)
class Name:
    """What the name of one file tells."""

    level: int
    first: int
    last: int

    @property
    def path(self) -> str:
        """Where it lies in the replica."""
        return f"ltx/{self.level}/{self.first:016x}-{self.last:016x}.ltx"


@dataclass(frozen=True)
class Header:
    """What the header of one file tells; ``salts`` are raw bytes, empty WAL position (0, 0) above level 0."""

    page_size: int
    pages: int
    first: int
    last: int
    at: float
    wal_start: int
    wal_bytes: int
    salts: bytes

    @property
    def wal_end(self) -> int:
        """The byte of the WAL at which the next copy begins."""
        return self.wal_start + self.wal_bytes


def parse_name(level: int, name: str) -> Name | None:
    """Read a file name; None for anything else, such as a file that is still being written (``.tmp``)."""
    found = _NAME.match(name)
    return Name(level, int(found[1], 16), int(found[2], 16)) if found else None


def read_header(path: str) -> Header:
    """Read the header of a file; raise OSError, or OpsError for a file that is none."""
    with open(path, "rb") as stream:
        raw = stream.read(_HEADER.size)
    if len(raw) < _HEADER.size or not raw.startswith(MAGIC):
        raise OpsError(f"{path} does not begin as an LTX file: expected what Litestream 0.5 writes")
    _magic, _flags, page_size, pages, first, last, at, _checksum, start, size, salts = _HEADER.unpack(raw)
    return Header(page_size, pages, first, last, at / 1000.0, start, size, salts)


def names(replica: str) -> list[Name]:
    """List the files of a replica; raises OSError when it cannot be read."""
    top = os.path.join(replica, "ltx")
    found = []
    for level in os.listdir(top):
        if not level.isdigit():
            continue
        with contextlib.suppress(NotADirectoryError):
            listed = (parse_name(int(level), name) for name in os.listdir(os.path.join(top, level)))
            found += [one for one in listed if one is not None]
    return found


def copied(replica: str) -> list[Name]:
    """List the files of level 0, oldest first; raises OSError when there is no replica."""
    listed = (parse_name(COPIED, name) for name in os.listdir(os.path.join(replica, "ltx", str(COPIED))))
    return sorted((one for one in listed if one is not None), key=lambda one: one.last)


@dataclass(frozen=True)
class Chain:
    """How far a replica can be restored: from the newest whole database at ``whole`` without a gap to ``reach``.

    ``newest`` is the highest transaction there is; behind ``reach`` lies a gap when the two differ. 0 is none.
    """

    whole: int
    reach: int
    newest: int

    @property
    def unbroken(self) -> bool:
        """Tell whether everything that is there can be restored."""
        return self.whole > 0 and self.reach == self.newest


def chain(files: Iterable[Name]) -> Chain:
    """Follow the files from the newest whole database on."""
    files = list(files)
    whole = max((one.last for one in files if one.level == WHOLE), default=0)
    rest = sorted((one for one in files if one.level != WHOLE), key=lambda one: (one.first, one.last))
    newest = max((one.last for one in files), default=0)
    # Without a whole database the first transaction is one: it was copied from an empty replica.
    reach = whole
    if not whole and rest and rest[0].first == 1:
        whole = 1
    for one in rest:
        if one.first <= reach + 1:
            reach = max(reach, one.last)
    return Chain(whole, reach, newest)
