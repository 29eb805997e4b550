# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compress a finished copy, hash what is written, and read it back.

The copy is compressed beside its proof, not while the database is pinned: gzip takes twenty times as long as the copy,
and a reader that stays that long keeps the write-ahead log from being reset.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import SYSTEM_PATH
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell

CHUNK = 1 << 20
GZIP_LEVEL = 6
# zlib's window, and 16 for the gzip header.
GZIP_WINDOW = 31
WORDS = {"compress": ("-3", "-T1"), "unpack": ("-d",)}


def available(method: str) -> None:
    """Raise OpsError when a method needs a program that is not there."""
    if method == "zstd" and _zstd() is None:
        raise OpsError("compress is zstd and there is no zstd command: install the package zstd, or use compress: gzip")


def _zstd() -> str | None:
    return shutil.which("zstd", path=os.environ.get("PATH", "") + ":" + SYSTEM_PATH)


def compress(source: int, out: int, method: str, tell: Tell) -> dict[str, Any]:
    """Compress one open file into another; return sha256 and bytes of what was written. To be called in a child."""
    os.nice(10)
    total = os.fstat(source).st_size
    hasher, written = hashlib.sha256(), 0
    for block in _packed(source, total, method, tell):
        hasher.update(block)
        written += len(block)
        _write(out, block)
    return {"sha256": hasher.hexdigest(), "bytes": written}


def unpacked_sha256(source: int, method: str) -> str:
    """Return the sha256 of what a compressed open file holds; raise OpsError when it cannot be unpacked."""
    hasher = hashlib.sha256()
    for block in _unpacked(source, method):
        hasher.update(block)
    return hasher.hexdigest()


def _packed(source: int, total: int, method: str, tell: Tell) -> Iterator[bytes]:
    if method == "zstd":
        tell("compress", None)
        yield from _piped(source, "compress")
        return
    packer, done = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW), 0
    while block := os.pread(source, CHUNK, done):
        done += len(block)
        yield packer.compress(block)
        tell("compress", done / max(1, total))
    yield packer.flush()


def _unpacked(source: int, method: str) -> Iterator[bytes]:
    if method == "zstd":
        yield from _piped(source, "unpack")
        return
    unpacker, done = zlib.decompressobj(GZIP_WINDOW), 0
    while block := os.pread(source, CHUNK, done):
        done += len(block)
        with _readable():
            yield unpacker.decompress(block)
    if not unpacker.eof:
        raise OpsError("the compressed file ends too early")


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except zlib.error as exc:
        raise OpsError(f"the compressed file cannot be unpacked: {exc}") from exc


def _piped(source: int, what: str) -> Iterator[bytes]:
    program = _zstd()
    if program is None:
        raise OpsError("there is no zstd command: install the package zstd")
    os.lseek(source, 0, os.SEEK_SET)
    with subprocess.Popen(  # pylint: disable=ansible-bad-function  # domain code has no AnsibleModule
        [program, "-q", "-c", *WORDS[what]], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        read: Callable[[int], bytes] = process.stdout.read  # type: ignore[union-attr]
        while block := read(CHUNK):
            yield block
        complaint = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
    if process.returncode:
        raise OpsError(f"zstd failed: {complaint.splitlines()[-1] if complaint else process.returncode}")


def _write(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]
