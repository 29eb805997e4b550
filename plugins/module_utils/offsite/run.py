# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the snapshots of a backup directory off the host, prove it and tell it as checks."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.engine import Engine, Verdict
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.restic import Restic
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.rsync import Rsync
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.snapshots import Left, Snapshot, find
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size

# Clocks of two hosts differ by seconds; more is a wrong one, and its snapshot would look fresh until that time has come.
FUTURE_HOURS = 1 / 60


def run(options: Mapping[str, Any], plan: bool, tell: Tell = silent) -> dict[str, Any]:
    """Copy what is not there yet; return the module's result. Raises OpsError when it could not be done."""
    say = AREA.reporter(options["thresholds"] or {}, source="backup_offsite")
    if not options["deadline"] > 0:
        raise OpsError(f"deadline is {options['deadline']}: expected a number of seconds above 0")
    path = options["path"]
    engine = _engine(options)
    try:
        with locked(os.path.realpath(path), f"the copy of {path} off the host", shared=True):
            return _run(say, path, engine, options, plan, tell)
    except OSError as exc:
        raise OpsError(f"{path} cannot be locked: {exc.strerror}; expected the directory of snapshots") from exc


def _engine(options: Mapping[str, Any]) -> Engine:
    needed = {"restic": ("repository", "password_file"), "rsync": ("destination",)}[options["engine"]]
    lacking = [name for name in needed if not options[name]]
    if lacking:
        raise OpsError(f"engine {options['engine']} needs {' and '.join(lacking)}")
    given = {**options, "host": options["host"] or platform.node()}
    deadline = Deadline(options["deadline"])
    return (
        Restic(options["path"], given, deadline)
        if options["engine"] == "restic"
        else Rsync(options["path"], given, deadline)
    )


def _run(
    say: Reporter, path: str, engine: Engine, options: Mapping[str, Any], plan: bool, tell: Tell
) -> dict[str, Any]:
    snapshots, left = find(path)
    made = options["create"] and not engine.exists()
    if made and not plan:
        engine.make()
    missing, unmade = list(snapshots), made and plan
    if snapshots and not unmade:
        missing = engine.missing(snapshots)
    name, verdict, removed = "", None, []
    tell("copy", None)
    if unmade:
        pass  # nothing can be rehearsed where nothing is
    elif missing and plan:
        engine.rehearse(snapshots)
    elif missing:
        name = engine.copy(snapshots)
    if snapshots and not unmade:  # never thin out there on the word of a directory that lost everything
        tell("forget", None)
        removed = engine.forget(snapshots, plan)
    if snapshots and not plan and options["check"] != "none":
        tell("check", None)
        verdict = engine.check(snapshots, options["read_data_subset"] if options["check"] == "read_data" else "")
    checks = list(_judge(say, path, engine.where, snapshots, left, missing, plan))
    checks.append(_sound(say, engine.where, verdict))
    changed = bool(missing or removed or made)
    result: dict[str, Any] = {
        "changed": changed,
        "copied": [one.name for one in missing],
        "present": len(snapshots) - len(missing),
        "bytes": sum(one.bytes for one in missing),
        "left": [{"name": one.name, "reason": one.reason} for one in left],
        "removed": removed,
        "snapshot_id": name,
        "checks": [check.as_dict() for check in checks],
    }
    if changed:
        after = [f"+ {one.name}" for one in missing] + [f"- {one}" for one in removed]
        result["diff"] = {
            "before_header": engine.where,
            "after_header": engine.where,
            "before": "",
            "after": "\n".join([*after, ""]),
        }
    return result


def _judge(
    say: Reporter,
    path: str,
    where: str,
    snapshots: Sequence[Snapshot],
    left: Sequence[Left],
    missing: Sequence[Snapshot],
    plan: bool,
) -> Iterator[Check]:
    if not snapshots:
        yield say.find("offsite.copied", Status.CRITICAL, "offsite.nothing", where, reason="missing", path=path)
        return
    if left:
        lines = [f"{one.name}: {one.reason}" for one in left]
        names = listed([one.name for one in left])
        yield say.find(
            "offsite.copied", Status.WARNING, "offsite.left_out", where, left=len(left), names=names, evidence=lines
        )
    else:
        values: dict[str, Any] = {
            "there": len(snapshots),
            "copied": len(missing),
            "size": size(sum(one.bytes for one in missing)),
        }
        sentence = "offsite.planned" if plan and missing else "offsite.all_there"
        yield say.find("offsite.copied", Status.OK, sentence, where, where=where, **values)
    there = [one for one in snapshots if not plan or one not in missing]
    if there:
        newest = max(there, key=lambda one: one.made)
        hours = (time.time() - newest.made) / 3600
        if hours < -FUTURE_HOURS:
            yield say.find("offsite.age", Status.WARNING, "offsite.future", where, name=newest.name, ahead=-hours)
            return
        hours = max(0.0, hours)
        yield say.measure("offsite.age", hours, "offsite.newest", where, name=newest.name)


def _sound(say: Reporter, where: str, verdict: Verdict | None) -> Check:
    if verdict is None:
        return say.find("offsite.check", Status.SKIPPED, "offsite.check_off", where)
    if not verdict.problems:
        return say.find("offsite.check", Status.OK, "offsite.check_ok", where, how=verdict.how)
    return say.find(
        "offsite.check", Status.CRITICAL, "offsite.check_bad", where,
        how=verdict.how, first=verdict.problems[0], evidence=verdict.problems,
    )  # fmt: skip
