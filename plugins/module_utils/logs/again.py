# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that were read before: an application may write each of its lines into two files."""

from __future__ import annotations

import hashlib
from collections import deque

MAX_SEEN = 20000


class Seen:
    """The last lines, by their digests."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def again(self, line: str) -> bool:
        """Tell whether a line was here before, and remember it."""
        digest = hashlib.sha256(line.encode("utf-8", "replace")).digest()[:12]
        if digest in self._seen:
            return True
        self._seen.add(digest)
        self._order.append(digest)
        if len(self._order) > MAX_SEEN:
            self._seen.discard(self._order.popleft())
        return False
