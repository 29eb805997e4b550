# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private directory to unpack into, removed whatever happens.

Each run holds the lock of its own directory. One whose lock nobody holds is what a killed run left, and the next run
removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

PREFIX = ".ops-scratch-"
# Where to unpack when the directory of the snapshots cannot be written: on a disk, unlike /tmp on many hosts.
FALLBACK = Path("/var/tmp")


def places(scratch: str, snapshot: Path) -> list[Path]:
    """Return where to unpack, best first; raise OpsError for a directory in which others could replace ours."""
    if not scratch:
        return [snapshot.parent, FALLBACK]
    try:
        seen = os.stat(scratch)
    except OSError as exc:
        raise OpsError(f"scratch {scratch} cannot be used: {exc.strerror}; expected an existing directory") from exc
    if not os.path.isabs(scratch) or not stat.S_ISDIR(seen.st_mode):
        raise OpsError(f"scratch {scratch}: expected the absolute path of a directory")
    if seen.st_mode & stat.S_IWOTH and not seen.st_mode & stat.S_ISVTX:
        raise OpsError(
            f"scratch {scratch} can be written by everybody and has no sticky bit: expected a private directory, or one "
            "like /var/tmp (chmod +t)"
        )
    return [Path(scratch)]


@contextlib.contextmanager
def private_directory(place: Path) -> Iterator[Path]:
    """Make a directory that only we can enter, and remove it with all that is in it; raises OSError."""
    sweep(place)
    directory, lock = _make(place)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def sweep(place: Path) -> list[str]:
    """Remove what killed runs of ours left at a place; return their names."""
    removed = []
    with contextlib.suppress(OSError):
        for path in sorted(place.glob(PREFIX + "*")):
            with contextlib.suppress(OSError):
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if os.fstat(lock).st_uid == os.geteuid():
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(path)
                        removed.append(path.name)
                finally:
                    os.close(lock)
    return removed


def _make(place: Path) -> tuple[Path, int]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        # Between the two another run may have taken it for a leftover.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(directory), os.fstat(lock)):
                return directory, lock
        os.close(lock)
