# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that must be whole and there after a power cut, one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

PAUSE = 0.02


def write(path: Path, text: str, durable: bool = True, mode: int = 0o644) -> None:
    """Write a file as a whole: beside it, then renamed; durable also against a power cut."""
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)  # whatever the umask of this session is
        os.write(descriptor, text.encode())
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(new, path)
    if durable:
        sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file durably; one that is not there is fine."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync(path.parent)


def sync(directory: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(directory: Path, seconds: float, insist: bool = False) -> Iterator[None]:
    """Hold the lock of a directory; wait for it. Raise OpsError when another has it for so long, or go on with ``insist``.

    To fence is right whoever holds the lock: a holder that hangs must not keep a host serving.
    """
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        if not insist:
            raise
        yield
        return
    end = time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(PAUSE)
                elif insist:
                    break
                else:
                    raise OpsError(
                        f"{directory} is in use by another run for more than {seconds:g} s: expected to change epoch or fence "
                        f"alone. `fuser -v {directory}` shows who it is; the lock goes with its process"
                    ) from None
        yield
    finally:
        os.close(descriptor)


def say(text: str) -> None:
    """Tell the journal, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
