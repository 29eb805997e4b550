# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer of a ledger at a time.

It holds a lock on the directory from reading the head to publishing the anchor; the lock of SQLite alone would let two
writers publish their anchors in the wrong order.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.complaints import locked_by


@contextmanager
def writing(path: Path, until: float) -> Iterator[None]:
    """Hold the writers' lock: flock on the directory, which needs no file of its own and dies with its holder."""
    directory = path.parent
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise OpsError(f"directory {directory} of the ledger cannot be opened: {exc.strerror}") from exc
    try:
        pause = 0.001
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise OpsError(locked_by(path, directory)) from None
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
        yield
    finally:
        os.close(descriptor)
