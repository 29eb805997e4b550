# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait a moment for the lock of a directory: what a killed run has started ends with it, but not in the same instant."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

SECONDS = 2.0
PAUSE = 0.02


@contextlib.contextmanager
def patiently(path: Path, what: str, seconds: float = SECONDS) -> Iterator[None]:
    """Hold the lock of a directory; raise OpsError that names the holder when another run keeps it for longer."""
    end = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(path, what))
                break
            except OpsError:
                if time.monotonic() >= end:
                    raise
                time.sleep(PAUSE)
        yield
