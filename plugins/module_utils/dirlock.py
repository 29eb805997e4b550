# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One acting run per directory: its BSD lock, as systemd-tmpfiles takes it.

No file is left behind, the end of the process frees it, and SQLite's own locks (POSIX, on the files) are not touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.proc import cmdline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import file_locks, process_name


@contextlib.contextmanager
def locked(path: Path | str, what: str, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a directory; raise OpsError that names the holder when another run has it, OSError otherwise.

    ``what`` says what is about to happen there (``a backup into it``). A shared lock lets other shared ones in.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OpsError(
                f"{path} is in use by {_holder(path)}, so {what} has to wait: expected no other run there. Wait until it "
                "ends, or end it; the lock is on the directory itself and goes with its process"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _holder(path: Path | str) -> str:
    """Name the process that holds the lock of a directory, with its command line."""
    for lock in file_locks(path):
        if lock.kind == "FLOCK" and lock.pid > 0:
            return f"{process_name(lock.pid)} [{cmdline(lock.pid)[:120].strip()}]"
    return "another process"
