# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other files of a set: configuration, unit, site, media, as one tar.gz.

No link is followed, not even the one an operator names: what it leads to may be anything by the time it is read.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell

EVIDENCE = 10
COMPANIONS = ("", "-wal", "-shm", "-journal")


@dataclass
class Packed:
    """What went into the archive, and what did not and why."""

    entries: int = 0
    skipped: list[str] = field(default_factory=list)
    skipped_count: int = 0

    def skip(self, path: str, why: str) -> None:
        """Note what is not in the archive."""
        self.skipped_count += 1
        if len(self.skipped) < EVIDENCE:
            self.skipped.append(f"{path}: {why}")


def total_bytes(paths: list[str]) -> int:
    """Return the size of all regular files below some paths, for the space they may need."""
    total = 0
    for path in paths:
        if os.path.isfile(path):
            total += os.lstat(path).st_size
        for root, _directories, names in os.walk(path):
            for name in names:
                try:
                    total += os.lstat(os.path.join(root, name)).st_size
                except OSError:
                    continue
    return total


def pack(paths: list[str], leave: list[str], out: int, tell: Tell) -> dict[str, Any]:
    """Write the archive into an open file; return sha256, bytes, entries and what was left out. To be called in a child.

    ``leave`` are files and directories that do not belong in it: the databases, and the directory of the backups.
    """
    os.nice(10)
    tell("files", None)
    sink = _Sink(out)
    packed = Packed()
    without = {_identity(os.stat(path)) for path in _with_companions(leave) if os.path.exists(path)}
    # No time of its own in the header: the same files make the same archive.
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=sink, mtime=0))
        archive = stack.enter_context(tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT))
        for path in paths:
            for parent, name, where in _walk(path, without, packed):
                _add(archive, parent, name, where, packed)
    return {
        "sha256": sink.hash.hexdigest(), "bytes": sink.bytes,
        "entries": packed.entries, "skipped": packed.skipped, "skipped_count": packed.skipped_count,
    }  # fmt: skip


def prove_archive(source: int, entries: int) -> None:
    """Read a whole archive back; raise OpsError when it does not hold what was put in."""
    found = 0
    try:
        with os.fdopen(os.dup(source), "rb") as stream:
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r|gz") as archive:
                for member in archive:
                    found += 1
                    content = archive.extractfile(member) if member.isreg() else None
                    while content and content.read(1 << 20):
                        pass
    except (OSError, EOFError, tarfile.TarError) as exc:
        raise OpsError(f"the archive of files cannot be read back: {exc}") from exc
    if found != entries:
        raise OpsError(f"the archive of files holds {found} entries: expected {entries}")


def _with_companions(paths: list[str]) -> Iterator[str]:
    for path in paths:
        for suffix in COMPANIONS:
            yield path + suffix


def _identity(seen: os.stat_result) -> tuple[int, int]:
    return seen.st_dev, seen.st_ino


def _walk(path: str, without: set[tuple[int, int]], packed: Packed) -> Iterator[tuple[int, str, str]]:
    """Yield (descriptor of its directory, name, path) of all that is to go in, parents first."""
    parent_path, name = os.path.split(path.rstrip("/"))
    try:
        parent = os.open(parent_path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        packed.skip(path, exc.strerror or str(exc))
        return
    try:
        yield from _below(parent, name, path.rstrip("/"), without, packed)
    finally:
        os.close(parent)


def _below(
    parent: int, name: str, where: str, without: set[tuple[int, int]], packed: Packed
) -> Iterator[tuple[int, str, str]]:
    try:
        seen = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as exc:
        packed.skip(where, exc.strerror or str(exc))
        return
    if _identity(seen) in without:
        return
    if not (stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode) or stat.S_ISLNK(seen.st_mode)):
        packed.skip(where, "neither file, directory nor link")
        return
    yield parent, name, where
    if not stat.S_ISDIR(seen.st_mode):
        return
    try:
        directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError as exc:
        packed.skip(where, exc.strerror or str(exc))
        return
    try:
        for below in sorted(os.listdir(directory)):
            yield from _below(directory, below, f"{where}/{below}", without, packed)
    finally:
        os.close(directory)


def _add(archive: tarfile.TarFile, parent: int, name: str, where: str, packed: Packed) -> None:
    seen = os.stat(name, dir_fd=parent, follow_symlinks=False)
    member = tarfile.TarInfo(where.lstrip("/"))
    member.mode, member.uid, member.gid, member.mtime = (
        stat.S_IMODE(seen.st_mode),
        seen.st_uid,
        seen.st_gid,
        seen.st_mtime,
    )
    if stat.S_ISLNK(seen.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=parent)
    elif stat.S_ISDIR(seen.st_mode):
        member.type = tarfile.DIRTYPE
    else:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        except OSError as exc:
            packed.skip(where, exc.strerror or str(exc))
            return
        with os.fdopen(descriptor, "rb") as stream:
            member.size = os.fstat(descriptor).st_size
            content = _Steady(stream, member.size)
            archive.addfile(member, content)
        if content.missing:
            packed.skip(where, f"became {content.missing} bytes shorter while it was read; the rest is zeros")
        packed.entries += 1
        return
    archive.addfile(member)
    packed.entries += 1


class _Steady:
    """A file of the length it had: one that shrinks while it is read would spoil the whole archive."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size
        self.missing = 0

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes, zeros when the file has no more of those it promised."""
        count = self._left if count < 0 else min(count, self._left)
        block = self._stream.read(count)
        self.missing += count - len(block)
        self._left -= count
        return block.ljust(count, b"\0")


class _Sink:
    """Writes to a descriptor and hashes what it writes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.hash = hashlib.sha256()
        self.bytes = 0

    def write(self, data: Any) -> int:
        """Write all of it."""
        view = memoryview(data)
        self.hash.update(view)
        self.bytes += len(view)
        done = 0
        while done < len(view):
            done += os.write(self._descriptor, view[done:])
        return len(view)

    def flush(self) -> None:
        """Nothing is kept back."""
