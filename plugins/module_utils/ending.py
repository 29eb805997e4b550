# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signals that end a process, as an exception: what has to be undone or removed is."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Ended(BaseException):
    """A signal told this run to end; not an Exception, so that nothing takes it for a finding."""


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """Turn the signals that end a process into an exception, so that what has to be undone is undone."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Ended(signal.Signals(number).name)

    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
