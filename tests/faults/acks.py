# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients asked for and were told: one record for each write, on one monotonic clock.

``ok`` was promised, ``fail`` surely did not happen, ``unknown`` may or may not have: the connection broke, or a proxy
answered for a server that had perhaps committed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

OK, FAIL, UNKNOWN = "ok", "fail", "unknown"
# The detail of a write that was answered by a proxy's maintenance page.
MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class Ack:
    """One write. ``via`` is ``proxy``, or the name of the host in whose network it was asked for directly.

    ``node`` and ``epoch`` are what the answer says of who committed it; empty and 0 without such an answer.
    """

    id: str
    client: str
    via: str
    invoked: float
    ended: float
    outcome: str
    node: str = ""
    epoch: int = 0
    detail: str = ""

    @property
    def run(self) -> str:
        """The run it belongs to: the first part of its id."""
        return self.id.partition("-")[0]


class History:
    """All writes of a campaign by run; the writers add to it side by side."""

    def __init__(self) -> None:
        self._runs: dict[str, list[Ack]] = {}
        self._lock = threading.Lock()

    def add(self, ack: Ack) -> None:
        """Note how a write ended."""
        with self._lock:
            self._runs.setdefault(ack.run, []).append(ack)

    def of(self, run: str) -> list[Ack]:
        """Return the writes of a run in the order in which they ended."""
        with self._lock:
            return list(self._runs.get(run, ()))

    def all(self) -> list[Ack]:
        """Return the writes of all runs."""
        with self._lock:
            return [ack for acks in self._runs.values() for ack in acks]


def save(path: Path, acks: Iterable[Ack]) -> None:
    """Write a history, one line for each write."""
    path.write_text("".join(json.dumps(asdict(ack)) + "\n" for ack in acks), encoding="utf-8")


def load(path: Path) -> list[Ack]:
    """Read a history that was saved."""
    return [Ack(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
