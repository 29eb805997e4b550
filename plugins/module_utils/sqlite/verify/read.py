# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a snapshot as it lies there, hash it on the way and write the database that is in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import SYSTEM_PATH
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import (
    HEADER_BYTES,
    Header,
    parse,
    read_header,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.write_back import sync

CHUNK = 1 << 20
GZIP, ZSTD = ".gz", ".zst"
# Left free beside the database: a file system that is full to the last block stops everybody else on it.
SPARE_BYTES = 16 << 20


class Unreadable(OpsError):
    """The snapshot itself is the trouble: it cannot be read, or its stream is damaged."""


class NoRoom(OpsError):
    """Its database does not fit where it should be written; ``place``, ``free`` and ``needed`` say so."""

    def __init__(self, place: Path, free: int, needed: int) -> None:
        super().__init__(f"{place} has {size(free)} free, the database needs {size(needed)}")
        self.place, self.free, self.needed = str(place), size(free), size(needed)


class Late(OpsError):
    """The deadline came first."""


def packed(path: Path) -> bool:
    """Tell whether a snapshot is compressed, by its name."""
    return path.suffix in (GZIP, ZSTD)


class Reading:
    """One reading of a snapshot: ``sha256`` and ``bytes`` are of the file as it lies there, once it was read through."""

    def __init__(self, path: Path, deadline: Deadline, tell: Tell, stage: str) -> None:
        self._path, self._deadline, self._tell, self._stage = path, deadline, tell, stage
        self._hasher = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._hasher.hexdigest()

    def through(self) -> None:
        """Read to the end, for the hash alone."""
        self._drain(self._chunks())

    def write(self, target: Path, mode: int = 0o600) -> Header:
        """Write the database that is in the snapshot to a new file; return its header.

        Raises Unreadable, NoRoom, Late, and OSError when the new file cannot be written. The file is read to its end
        even when its stream turns out damaged, so that the hash is told as well.
        """
        chunks = self._chunks()
        pieces = self._unpacked(chunks)
        header: Header | None = None
        written = 0
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with open(descriptor, "wb", buffering=0) as stream:
            try:
                for piece in pieces:
                    if header is None:
                        header = parse(piece[:HEADER_BYTES], len(piece))
                        if not header.valid:
                            break
                        self._room(target.parent, header)
                    written += len(piece)
                    if header.expected and written > header.expected:
                        raise Unreadable(f"it holds more than the {size(header.expected)} its header says")
                    view = memoryview(piece)
                    while view:
                        view = view[stream.write(view) :]
                sync(descriptor)
            except (Unreadable, NoRoom, OSError):
                pieces.close()
                self._drain(chunks)
                raise
            finally:
                pieces.close()
            self._drain(chunks)
        return read_header(str(target)) if header is None or header.valid else header

    @staticmethod
    def _drain(chunks: Iterator[bytes]) -> None:
        for _chunk in chunks:
            pass

    def _room(self, place: Path, header: Header) -> None:
        needed = (header.expected or self._path.stat().st_size) + SPARE_BYTES
        found = os.statvfs(place)
        free = found.f_bavail * found.f_frsize
        if free < needed:
            raise NoRoom(place, free, needed)

    def _chunks(self) -> Iterator[bytes]:
        """Yield the file as it lies there, hashing it."""
        try:
            with self._path.open("rb", buffering=0) as stream:
                whole = max(1, os.fstat(stream.fileno()).st_size)
                while chunk := stream.read(CHUNK):
                    self._hasher.update(chunk)
                    self.bytes += len(chunk)
                    self._tell(self._stage, min(1.0, self.bytes / whole))
                    if self._deadline.expired:
                        raise Late(f"{self._path} was not read within {self._deadline.seconds:.0f} s")
                    yield chunk
        except OSError as exc:
            raise Unreadable(exc.strerror or str(exc)) from exc

    def _unpacked(self, chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
        """Yield the database, the first piece with the whole header in it."""
        unpack = {GZIP: _gunzip, ZSTD: _unzstd}.get(self._path.suffix, _as_it_is)
        first = b""
        with closing(unpack(chunks)) as pieces:
            for piece in pieces:
                if len(first) < HEADER_BYTES:
                    first += piece
                    if len(first) < HEADER_BYTES:
                        continue
                    piece = first
                yield piece
        if len(first) < HEADER_BYTES:
            raise Unreadable(f"it holds {len(first)} bytes, which is no database")


def _as_it_is(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    yield from chunks


def _gunzip(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Unpack gzip, of one member or several; the length and the CRC at its end are checked by zlib."""
    member = zlib.decompressobj(31)
    started = False
    try:
        for chunk in chunks:
            while chunk:
                if member.eof:
                    member = zlib.decompressobj(31)
                started = True
                piece = member.decompress(chunk, CHUNK)
                chunk = member.unused_data if member.eof else member.unconsumed_tail
                if piece:
                    yield piece
        # Nothing may be kept back: what is left over after the last chunk was asked for above.
        if not started or not member.eof:
            raise Unreadable("its gzip stream is cut off")
    except zlib.error as exc:
        raise Unreadable(f"its gzip stream is damaged ({exc})") from exc


def _unzstd(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Unpack zstd through its program, which checks the checksum at its end."""
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":" + SYSTEM_PATH, "LC_ALL": "C"}
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function  # domain code has no AnsibleModule
            ["zstd", "--decompress", "--stdout", "--quiet"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
    except FileNotFoundError:
        raise OpsError(
            "zstd is not installed on this host, so a .zst snapshot cannot be unpacked: install it"
        ) from None
    if not process.stdin or not process.stdout or not process.stderr:
        raise ValueError("started without pipes")
    trouble: list[BaseException] = []
    feeder = threading.Thread(target=_feed, args=(chunks, process.stdin, trouble), daemon=True)
    feeder.start()
    try:
        while piece := process.stdout.read(CHUNK):
            yield piece
        feeder.join()
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
        if trouble:
            raise trouble[0]
        if process.wait() != 0:
            raise Unreadable(f"its zstd stream is damaged ({said[-1] if said else 'no reason given'})")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        feeder.join()


def _feed(chunks: Iterator[bytes], stdin: BinaryIO, trouble: list[BaseException]) -> None:
    """Give the program all there is; one that has stopped listening is no trouble here, its status tells why."""
    listening = True
    try:
        for chunk in chunks:
            if listening:
                try:
                    stdin.write(chunk)
                except OSError:
                    listening = False
    except OpsError as exc:
        trouble.append(exc)
    finally:
        with suppress(OSError):
            stdin.close()
