# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller's disk: one directory each, with the plan, the journal, who drives it and how it ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.journal import Journal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.plan import Plan

PLAN, RESULT, OWNER = "plan.json", "result.json", "owner.json"
# A run that needs a person is not over: its command goes on with it.
OPEN_OUTCOMES = ("needs_human",)


@dataclass(frozen=True)
class Run:
    """One run by its directory."""

    directory: Path

    @property
    def run_id(self) -> str:
        return self.directory.name

    @property
    def journal(self) -> Journal:
        return Journal(self.directory)

    @property
    def plan(self) -> Plan:
        """The plan; raise OpsError for one that cannot be read."""
        path = self.directory / PLAN
        try:
            return Plan.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise OpsError(f"{path} cannot be read ({exc}): expected the plan of a run") from exc

    def result(self) -> dict[str, Any] | None:
        """Return how it ended, None while it has not."""
        try:
            return dict(json.loads((self.directory / RESULT).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise OpsError(f"{self.directory / RESULT} cannot be read ({exc}): expected the end of a run") from exc

    @property
    def is_open(self) -> bool:
        """Whether it was begun and has no end."""
        if not (self.directory / PLAN).is_file():
            return False  # its first line was never written: nothing was touched
        ended = self.result()
        return ended is None or ended.get("outcome") in OPEN_OUTCOMES

    def driver(self) -> Mapping[str, Any] | None:
        """Return the process that drives it if it lives, None when nobody does."""
        try:
            data = json.loads((self.directory / OWNER).read_text(encoding="utf-8"))
            alive = data["boot"] == proc.boot_id() and started(int(data["pid"])) == data["start"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return data if alive else None

    def own(self, pid: int, now: str) -> None:
        """Make a process the driver; raise OpsError when another one lives."""
        with durable.alone(self.directory, 5.0):
            found = self.driver()
            if found and found["pid"] != pid:
                raise OpsError(
                    f"run {self.run_id} is driven by process {found['pid']} since {found['since']}: expected nobody"
                )
            data = {"pid": pid, "start": started(pid), "boot": proc.boot_id(), "since": now}
            durable.write(self.directory / OWNER, json.dumps(data) + "\n")

    def end(self, result: Mapping[str, Any]) -> None:
        """Write how it ended."""
        durable.write(self.directory / RESULT, json.dumps(result, ensure_ascii=False, indent=1) + "\n")


def started(pid: int) -> str:
    """Return when a process began, in the kernel's ticks; with the pid it names one process of this boot."""
    one = proc.process(pid)
    return "" if one is None or one.state in "ZX" else str(one.start_ticks)


def runs(base: Path) -> list[Run]:
    """Return the runs there are, oldest first."""
    if not base.is_dir():
        return []
    return [Run(path) for path in sorted(base.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def begin(base: Path, plan: Plan) -> Run:
    """Make a run: its plan is on the disk before anything is done."""
    run = Run(base / plan.run_id)
    if (run.directory / PLAN).exists():
        raise OpsError(f"run {plan.run_id} is over ({run.directory}): expected another failover_run_id, or none")
    run.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    durable.remove(run.directory / RESULT)  # of the same run, refused at first
    durable.sync(base)
    durable.write(run.directory / PLAN, json.dumps(plan.as_dict(), ensure_ascii=False, indent=1) + "\n")
    return run


def is_alone(base: Path) -> Any:
    """Hold the directory of the runs: two that begin at once see each other."""
    base.mkdir(mode=0o750, parents=True, exist_ok=True)
    return durable.alone(base, 10.0)


def parent_process() -> int:
    """Return the process of the playbook: the one that started this worker."""
    return os.getppid()


def refused(base: Path, run_id: str, result: Mapping[str, Any]) -> None:
    """Keep why a run did not begin; it has no plan, so that nothing goes on with it."""
    run = Run(base / run_id)
    if not (run.directory / PLAN).exists():
        run.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        run.end(result)
