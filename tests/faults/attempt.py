# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a failover playbook: start it, wait for a step of its journal, kill it, read what it recorded."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from failover_site import FailoverSite

JOURNAL, RESULT = "journal.ndjson", "result.json"
CALL_SECONDS = 240.0
POLL = 0.02


@dataclass
class Call:
    """How one call of a playbook ended: its exit status, -9 when it was killed, and the seconds it took."""

    words: list[str]
    status: int
    began: float
    ended: float
    changed: int

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Attempt:
    """A failover, in as many calls as it takes."""

    site: FailoverSite
    playbook: str
    run_id: str
    output: Path
    variables: Mapping[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        """Where the run keeps its journal."""
        return self.site.state / "failover" / self.run_id

    def call(self, at: Callable[[subprocess.Popen[bytes]], None] | None = None, **more: Any) -> Call:
        """Call the playbook once; ``at`` is told of the process and may do something to it or to the hosts meanwhile."""
        told = {"failover_run_id": self.run_id, **self.variables, **more}
        began = time.monotonic()
        size = self.output.stat().st_size if self.output.exists() else 0
        process = self.site.start(self.output, f"bilingual_tutor.ops.{self.playbook}", **told)
        try:
            if at:
                at(process)
            status = process.wait(CALL_SECONDS)
        except subprocess.TimeoutExpired:
            status = 124
        finally:
            kill(process)
        with self.output.open("rb") as said:
            said.seek(size)
            text = said.read().decode(errors="replace")
        changed = sum(int(number) for number in re.findall(r"^\w+\s+: ok=\d+\s+changed=(\d+)", text, re.MULTILINE))
        made = Call([self.playbook, json.dumps(told)], status, began, time.monotonic(), changed)
        self.calls.append(made)
        return made

    def lines(self) -> list[dict[str, Any]]:
        """Return the whole lines of the journal."""
        try:
            raw = (self.directory / JOURNAL).read_bytes()
        except OSError:
            return []
        return [json.loads(line) for line in raw.split(b"\n")[:-1]]

    def reached(self, step: str, phase: str) -> bool:
        """Tell whether the journal has come to a phase of a step."""
        return any((line["step"], line["phase"]) == (step, phase) for line in self.lines())

    def wait_for(self, process: subprocess.Popen[bytes], step: str, phase: str) -> bool:
        """Wait until the journal has come there; False when the playbook ended before."""
        while not self.reached(step, phase):
            if process.poll() is not None:
                return self.reached(step, phase)
            time.sleep(POLL)
        return True

    def result(self) -> dict[str, Any]:
        """Return what the run says of itself in the end; empty without."""
        try:
            return dict(json.loads((self.directory / RESULT).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def steps(self) -> dict[str, float]:
        """Return the seconds of each step, from its first begin to its last end on any host."""
        begun: dict[str, float] = {}
        ended: dict[str, float] = {}
        for line in self.lines():
            if line["phase"] == "begin":
                begun.setdefault(line["step"], line["mono"])
            elif line["phase"] in ("ok", "fail"):
                ended[line["step"]] = line["mono"]
        return {step: round(ended[step] - begun[step], 3) for step in begun if step in ended}


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a playbook and all it has started on this machine, as the death of the controller does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
