# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories an application finds instead of its own: its database restored, its logs empty."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

# Beside the database lies at most some code and configuration; more than this belongs into dr_drill_writable.
MOST_BYTES = 256 << 20
# Offsets of the file format versions; 2 is WAL (SQLite file format, section 1.3.3).
_WAL_OFFSET, _WAL = 18, b"\2\2"


def lay_out_storage(live: Path, restored: Path, target: Path, user: tuple[int, int]) -> Path:
    """Make the directory of the database anew: what lies beside it copied, the restored database instead of it.

    Returns the path of the restored database there. Raises OpsError, and OSError when it cannot be written.
    """
    target.mkdir(mode=0o750)
    if live.parent.is_dir():
        _copy(live.parent, target, lambda name: not _of_database(name, live.name))
    database = target / live.name
    restored.rename(database)
    with database.open("r+b") as stream:
        stream.seek(_WAL_OFFSET)
        stream.write(_WAL)
    database.chmod(0o640)
    _give(target, user)
    return database


def lay_out_empty(target: Path, user: tuple[int, int]) -> None:
    """Make an empty directory for the application to write to."""
    target.mkdir(mode=0o750)
    _give(target, user)


def _of_database(name: str, database: str) -> bool:
    """Tell whether a file is the database, one of its companions, or what a backup or Litestream keeps beside it."""
    return name.lstrip(".").startswith(database)


def _copy(source: Path, target: Path, wanted: object) -> None:
    files = list(_files(source, wanted))
    total = sum(os.lstat(one).st_size for one in files)
    if total > MOST_BYTES:
        raise OpsError(
            f"{source} holds {size(total)} beside the database, at most {size(MOST_BYTES)} are copied: expected the database "
            "in a directory of its own"
        )
    for one in files:
        place = target / one.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(one, place, follow_symlinks=False)


def _files(directory: Path, wanted: object) -> Iterator[Path]:
    for name in sorted(os.listdir(directory)):
        path = directory / name
        if not callable(wanted) or not wanted(name):
            continue
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            yield from _files(path, lambda _name: True)
        elif stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            yield path


def _give(path: Path, user: tuple[int, int]) -> None:
    if os.geteuid() != 0:
        return
    for one in _walk(path):
        os.chown(one, *user, follow_symlinks=False)


def _walk(path: Path) -> Iterable[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        yield from path.rglob("*")
