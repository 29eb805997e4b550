# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory that snapshots go to, held open: whatever its path leads to meanwhile, nothing is written elsewhere."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import PARTIAL
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

MODE = 0o640
DIRECTORY_MODE = 0o750
# Manifests, the file system's own records, and that the disk is not left without a byte.
MARGIN_BYTES = 16 << 20
# A file system frees a gigabyte in one transaction and tells the disk so (discard): each fsync of the application waited
# for it, up to 165 ms, and in steps of 32 MiB 35 ms.
FREED_AT_ONCE = 16 << 20


class Destination:
    """A directory by its handle; names only, no paths. ``owner`` (uid, gid) gets what root makes in it."""

    def __init__(self, path: str, descriptor: int, owner: tuple[int, int]) -> None:
        self.path = path
        self.descriptor = descriptor
        self.owner = owner

    def place(self, name: str) -> Path:
        """Return a path to a name in this very directory, for functions that want one."""
        return Path(f"/proc/self/fd/{self.descriptor}") / name

    def said(self, text: str) -> str:
        """Return a text with the directory as the operator knows it."""
        base = f"/proc/self/fd/{self.descriptor}"
        return text.replace(f"{base}/. ", f"{self.path} ").replace(base, self.path)

    def names(self) -> list[str]:
        """Return what is in it."""
        return sorted(os.listdir(self.descriptor))

    def stat(self, name: str) -> os.stat_result | None:
        """Return what the kernel knows of a name, without following a link; None when it is not there."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def make(self, name: str) -> int:
        """Make a file that was not there, readable for its owner and group from birth; return its descriptor."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, MODE, dir_fd=self.descriptor)
        self.give(descriptor)
        return descriptor

    def give(self, descriptor: int) -> None:
        """Set owner and mode of an open file of ours, whatever the umask was."""
        os.fchmod(descriptor, MODE)
        if os.geteuid() == 0:
            os.fchown(descriptor, *self.owner)

    def rename(self, old: str, new: str) -> None:
        """Rename, over a link or nothing; names of files are chosen so that they are free."""
        os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def remove(self, name: str, opened: int | None = None) -> None:
        """Remove a name if it is there; the space of a large file is freed in steps, after it has lost its name.

        ``opened`` is our own descriptor of it, if there is one.
        """
        with contextlib.ExitStack() as stack:
            seen = self.stat(name)
            large = seen is not None and stat.S_ISREG(seen.st_mode) and seen.st_size > FREED_AT_ONCE
            if large and opened is None:
                with contextlib.suppress(OSError):
                    opened = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.descriptor)
                    stack.callback(os.close, opened)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.descriptor)
            if large and opened is not None:
                _free_in_steps(opened)

    def link(self, pointer: str, name: str) -> None:
        """Point a symbolic link to a name, in one step: there is no moment without it."""
        partial = f".{pointer}{PARTIAL}"
        self.remove(partial)
        os.symlink(name, partial, dir_fd=self.descriptor)
        if os.geteuid() == 0:
            os.chown(partial, *self.owner, dir_fd=self.descriptor, follow_symlinks=False)
        self.rename(partial, pointer)

    def sync(self) -> None:
        """Bring the names to the disk."""
        os.fsync(self.descriptor)

    def free(self) -> int:
        """Return the bytes that may still be written."""
        seen = os.fstatvfs(self.descriptor)
        return seen.f_bavail * seen.f_frsize

    def same(self) -> None:
        """Raise OpsError when the path does not lead here any more."""
        here = os.fstat(self.descriptor)
        try:
            seen = os.stat(self.path, follow_symlinks=False)
        except OSError as exc:
            raise OpsError(
                f"{self.path} was removed while the backup ran ({exc.strerror}): nothing of it counts. Is its disk still "
                "mounted?"
            ) from exc
        if (seen.st_dev, seen.st_ino) != (here.st_dev, here.st_ino):
            raise OpsError(
                f"{self.path} is another directory than when the backup began: expected the same. See who replaced it"
            )

    def room(self, needed: int, what: str) -> int:
        """Raise OpsError when what is to be written does not fit; return the bytes free."""
        free, wanted = self.free(), needed + max(MARGIN_BYTES, needed // 50)
        if free < wanted:
            raise OpsError(
                f"{self.path} has {size(free)} free: expected {size(wanted)} for {what}. Free some or name another disk; "
                "nothing was written and nothing removed"
            )
        return free


def _free_in_steps(descriptor: int) -> None:
    """Free what a file without a name holds, unless it has another name or somebody is reading it."""
    seen = os.fstat(descriptor)
    if seen.st_nlink:
        return
    # What cannot be done in steps is done by closing it.
    with contextlib.suppress(OSError):
        # The kernel grants it only while nobody else has the file open, and without a name nobody can open it later.
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        for left in range((seen.st_size - 1) // FREED_AT_ONCE * FREED_AT_ONCE, -1, -FREED_AT_ONCE):
            os.ftruncate(descriptor, left)
            os.fsync(descriptor)


@contextlib.contextmanager
def destination(path: str, owner: tuple[int, int], create: bool = False) -> Iterator[Destination]:
    """Open the directory of the snapshots; raise OpsError for anything that is none, or that anybody may write to."""
    if not os.path.isabs(path):
        raise OpsError(f"dest is {path!r}: expected an absolute path")
    path = path.rstrip("/") or "/"
    if create and not os.path.lexists(path):
        _create(path, owner)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise OpsError(_refused(path, exc)) from exc
    try:
        seen = os.fstat(descriptor)
        if seen.st_mode & stat.S_IWOTH:
            raise OpsError(
                f"{path} is {stat.filemode(seen.st_mode)}: everybody could replace a backup in it. `chmod o-w {path}`"
            )
        yield Destination(path, descriptor, owner)
    except OSError as exc:
        raise OpsError(_broken(path, exc)) from exc
    finally:
        os.close(descriptor)


def _create(path: str, owner: tuple[int, int]) -> None:
    try:
        os.mkdir(path, DIRECTORY_MODE)
        if os.geteuid() == 0:
            os.chown(path, *owner, follow_symlinks=False)
    except OSError as exc:
        raise OpsError(f"{path} cannot be made: {exc.strerror}; expected its parent to be there and writable") from exc


def _refused(path: str, exc: OSError) -> str:
    if os.path.islink(path):
        return (
            f"{path} is a link to {os.path.realpath(path)}: expected the directory itself. Name that one as dest if it is "
            "the right one"
        )
    if exc.errno == errno.ENOENT:
        return (
            f"{path} does not exist: expected the directory of the backups. Is its disk mounted? Make it, or set "
            "create_dest: true"
        )
    return f"{path} cannot be opened: {exc.strerror}; expected a directory this user can write to"


def _broken(path: str, exc: OSError) -> str:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path} is full: what was half-made is removed, no backup was touched. Free some space and run it again"
    if exc.errno == errno.EROFS:
        return f"{path} is on a file system that is mounted read-only: see dmesg for why, and mount it writable"
    what = f" ({exc.filename})" if exc.filename else ""
    return f"{path} cannot be written{what}: {exc.strerror}; expected a directory this user can write to"
