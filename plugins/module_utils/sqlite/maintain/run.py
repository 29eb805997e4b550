# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of maintenance: prove the target, lock its directory, act in a safe order, tell what was done as checks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.standby import left_to
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.child import Task, perform
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.judge import judge, sentence
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.options import CHECKS, WRITES, Wanted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.result import Result
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import Target, find_target

# An interrupt is heard within milliseconds; what does not hear it (a hanging disk) is killed this much later.
KILL_SECONDS = 2.0


def run(options: Mapping[str, Any], plan: bool, tell: Tell = silent) -> dict[str, Any]:
    """Run the actions, or only plan them; return the module's result. Raises OpsError when nothing could be done."""
    wanted = Wanted.from_options(options)
    say = AREA.reporter(options.get("thresholds"), source="sqlite_maintenance")
    primary = left_to(options)
    if primary:
        # What stands still needs no care, and the next replica takes its place.
        left = say.find("maintenance.standby", Status.SKIPPED, "maintenance.left_out", options["path"], primary=primary)
        return {"changed": False, "standby_of": primary, "actions": {}, "checks": [left.as_dict()]}
    deadline = Deadline(wanted.deadline)
    target = find_target(options)
    alone = wanted.writes and not plan
    try:
        with locked(os.path.dirname(target.real), f"maintenance of {target.real}", shared=not alone):
            results = _run(target, wanted, deadline, plan, tell)
    except OSError as exc:
        raise OpsError(
            f"{os.path.dirname(target.real)} cannot be locked: {exc.strerror}; expected to run as root or as the owner"
        ) from exc
    changed = any(one.changed for one in results.values())
    found = {
        "changed": changed,
        "standby_of": "",
        "actions": {name: _told(one) for name, one in results.items()},
        "checks": [check.as_dict() for check in judge(say, target, wanted, results)],
    }
    if changed:
        found["diff"] = _diff(target.real, results, plan)
    return found


def _run(target: Target, wanted: Wanted, deadline: Deadline, plan: bool, tell: Tell) -> dict[str, Result]:
    results: dict[str, Result] = {}
    for action in wanted.actions:
        bad = [name for name, one in results.items() if name in CHECKS and not plan and one.problems != 0]
        if action in WRITES and bad:
            results[action] = Result("refused", "not_sound", {"check": bad[0]})
            continue
        proved = "integrity_check" in results
        results[action] = _one(Task(action, target, wanted, deadline.remaining(), tell, plan, proved))
    return results


def _one(task: Task) -> Result:
    if task.seconds <= 0:
        return Result("failed", "not_begun", {"limit": task.wanted.deadline})
    task.tell(task.action, 0.0)
    outcome = run_isolated(partial(perform, task), task.seconds + KILL_SECONDS)
    if outcome.timed_out:
        return Result("failed", "killed", {"limit": task.wanted.deadline}, seconds=outcome.seconds)
    if outcome.error:
        return Result("failed", "error", {"error": outcome.error.strip().splitlines()[-1]}, seconds=outcome.seconds)
    task.tell(task.action, 1.0)
    return Result(**outcome.value)


def _told(one: Result) -> dict[str, Any]:
    return {
        "result": one.result,
        "reason": one.reason,
        "text": sentence(one, "en"),
        "seconds": round(one.seconds, 3),
        "stall_ms": round(one.stall * 1000, 1),
        "before": one.before,
        "after": one.after,
        "lines": one.lines,
    }


def _diff(path: str, results: Mapping[str, Result], plan: bool) -> dict[str, str]:
    """Show the sizes before the first action and after the last, and what changed them."""
    seen = [one for one in results.values() if one.before]
    acted = ", ".join(name for name, one in results.items() if one.changed)
    before = "".join(f"{name}: {value}\n" for name, value in seen[0].before.items())
    after = "".join(f"{name}: {value}\n" for name, value in seen[-1].after.items())
    header = f"{path} (planned)" if plan else path
    return {"before_header": path, "after_header": header, "before": before, "after": f"{after}actions: {acted}\n"}
