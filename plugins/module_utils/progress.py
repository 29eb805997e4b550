# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long action has come, in a file that somebody else reads while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Callable, Optional

# Called with the stage and how much of it is done (0 to 1, None when that cannot be told).
Tell = Callable[[str, Optional[float]], None]

# Nobody reads faster, and a copy would tell it a thousand times a second.
PAUSE = 0.5


def silent(stage: str, done: float | None = None) -> None:
    """Tell nobody."""


def teller(path: str) -> Tell:
    """Return what writes one line of JSON ``{"stage", "done", "seconds"}`` into an existing file; nothing without a path.

    The file is the reader's: it is never made, a link is not followed, and that it is gone is no reason to stop.
    """
    if not path:
        return silent
    try:
        # Kept open: whoever tells may have become another user by then. It ends with the process.
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return silent
    started = time.monotonic()
    last = ("", 0.0)

    def tell(stage: str, done: float | None = None) -> None:
        nonlocal last
        now = time.monotonic()
        if stage == last[0] and now - last[1] < PAUSE:
            return
        last = (stage, now)
        line = json.dumps({"stage": stage, "done": done, "seconds": round(now - started, 1)}) + "\n"
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, line.encode(), 0)

    return tell
