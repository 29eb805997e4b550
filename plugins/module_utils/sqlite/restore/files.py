# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database and the files beside it are one set, which is moved so that one name always has all of it.

``-wal`` and ``-journal`` hold data the database needs; they get a second name (a hard link) before the database is
renamed, and lose their first one afterwards. A kill at any point leaves a whole set under the old or the new name.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.holders import COMPANIONS

DATA = ("-wal", "-journal")
# Inode numbers by suffix, "" for the database itself.
Inodes = dict[str, int]


def beside(path: Path, suffix: str) -> Path:
    """Return the name of a companion."""
    return path.with_name(path.name + suffix)


def inode(path: Path) -> int | None:
    """Return the inode number of a name, None when there is no such name."""
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def inodes(path: Path) -> Inodes:
    """Return what is there of a set."""
    found = {suffix: inode(beside(path, suffix)) for suffix in ("", *COMPANIONS)}
    return {suffix: number for suffix, number in found.items() if number is not None}


def sync(directory: Path) -> None:
    """Make the names of a directory last through a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a name, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def link(source: Path, target: Path) -> None:
    """Give a file a second name; no error when it has it already."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if inode(source) != inode(target):
            raise OpsError(
                f"{target} is there and is not {source}: expected no such file. Move it away, then run the restore again"
            ) from None


def move(source: Path, target: Path) -> None:
    """Move a whole set to another name in the same directory; what is not there is not missed."""
    _move(source, target, inodes(source))
    sync(source.parent)


def _move(source: Path, target: Path, present: Inodes) -> None:
    """Move those files of a set that are named in ``present``."""
    for suffix in DATA:
        if suffix in present:
            link(beside(source, suffix), beside(target, suffix))
    if "" in present:
        os.rename(source, target)
    for suffix in DATA:
        if suffix in present:
            os.unlink(beside(source, suffix))
    if "-shm" in present:
        os.rename(beside(source, "-shm"), beside(target, "-shm"))


def replace(path: Path, aside: Path, incoming: Path) -> None:
    """Set a database aside and put another one, which is a single file, in its place.

    Without companions the name is never missing. With them there is a moment without a database, since a database must
    never be seen with the companions of another one.
    """
    present = inodes(path)
    if set(present) == {""}:
        link(path, aside)
    elif present:
        move(path, aside)
    os.rename(incoming, path)
    sync(path.parent)


def put_back(path: Path, aside: Path, failed: Path, old: Inodes) -> None:
    """Let a name be the old set again, from wherever ``replace`` or this was interrupted.

    ``old`` is the set as it was. What else is found under the name goes to ``failed``.
    """
    if "" not in old or inode(path) != old[""]:
        if "" in old and inode(aside) != old[""]:
            raise OpsError(
                f"neither {path} nor {aside} is the former database (inode {old['']}): expected one of them. Look for it "
                f"with `find {path.parent} -inum {old['']}`"
            )
        _clear(path, failed, old)
        for suffix in COMPANIONS:
            # A -shm is rebuilt by whoever opens the database next, so it only matters to one who may not write.
            if suffix in old and inode(beside(aside, suffix)) == old[suffix]:
                link(beside(aside, suffix), beside(path, suffix))
        if "" in old:
            os.rename(aside, path)
    # From here on the set is whole under its name, and what is left at the other one is only second names of it.
    for suffix in ("", *COMPANIONS):
        if suffix in old and inode(beside(aside, suffix)) == old[suffix]:
            os.unlink(beside(aside, suffix))
    sync(path.parent)


def _clear(path: Path, failed: Path, old: Inodes) -> None:
    """Move everything but the old set's own files away from a name."""
    _move(path, failed, {suffix: number for suffix, number in inodes(path).items() if old.get(suffix) != number})
