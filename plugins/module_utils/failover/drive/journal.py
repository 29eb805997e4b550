# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a run: what was begun, what came of it, in a file that is whole after any crash.

One line of JSON for each moment, on the disk before the step goes on. A line that a crash cut short is no line: it is
dropped at the next write, and its step counts as begun.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.grant import boottime

NAME = "journal.ndjson"
PHASES = ("begin", "ok", "fail", "note")


@dataclass(frozen=True)
class Entry:
    """One line. ``at`` is the wall clock, ``mono`` the controller's seconds since ``boot``, which nobody can set."""

    step: str
    phase: str
    host: str
    at: float
    mono: float
    boot: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def since(self, earlier: Entry) -> float:
        """Return the seconds from another entry to this one, by the clock that cannot be set where it still counts."""
        same = self.boot and self.boot == earlier.boot
        return self.mono - earlier.mono if same else self.at - earlier.at


class Journal:
    """The journal in a run's directory; several processes may write, each line whole."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME

    def write(self, step: str, phase: str, host: str = "", data: Mapping[str, Any] | None = None) -> Entry:
        """Append a line and bring it to the disk."""
        if phase not in PHASES:
            raise OpsError(f"journal: phase is {phase!r}: expected one of {', '.join(PHASES)}")
        entry = Entry(step, phase, host, round(time.time(), 3), round(boottime(), 3), proc.boot_id(), dict(data or {}))
        line = json.dumps(vars(entry), ensure_ascii=False, default=str) + "\n"
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._drop_torn(descriptor)
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            durable.sync(self.path.parent)
        return entry

    @staticmethod
    def _drop_torn(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        if not size or os.pread(descriptor, 1, size - 1) == b"\n":
            return
        whole = os.pread(descriptor, size, 0).rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)

    def read(self) -> list[Entry]:
        """Return the lines, oldest first; raise OpsError for one that is damaged, but for a last one cut short."""
        return list(self._lines())

    def _lines(self) -> Iterator[Entry]:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return
        for number, line in enumerate(raw.split(b"\n")[:-1], 1):
            try:
                data = json.loads(line)
                yield Entry(**{name: data[name] for name in Entry.__dataclass_fields__})
            except (ValueError, TypeError, KeyError) as exc:
                raise OpsError(
                    f"{self.path} line {number} is damaged ({exc}): expected a line of a journal. Nothing was done. Find out "
                    "who serves (playbook report), then set the run's directory aside"
                ) from exc


def last(entries: Sequence[Entry], step: str, phase: str, host: str | None = None) -> Entry | None:
    """Return the newest line of a step in a phase, of one host or of any."""
    found = (e for e in reversed(entries) if e.step == step and e.phase == phase and host in (None, e.host))
    return next(found, None)


def first(entries: Sequence[Entry], step: str, phase: str) -> Entry | None:
    """Return the oldest line of a step in a phase."""
    return next((e for e in entries if e.step == step and e.phase == phase), None)
