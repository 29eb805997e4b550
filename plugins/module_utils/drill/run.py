# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rehearsal on one host: restore into a private directory, prove it, let the application serve it, take it all away.

Nothing of the live system is touched. The directory goes whatever happens, and what a killed run left goes with the next
one; the application cannot outlive its run, since the kernel ends its namespace with us.
"""

from __future__ import annotations

import contextlib
import os
import random
import stat
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.case import Case
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.serve import serve
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.source import RESTORERS, Restored
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import BUSY_SECONDS, become, how_to_open
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import newest_stamp, tables
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import options, queries
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.scratch import (
    PREFIX,
    private_directory,
    sweep,
)

LIVE_SECONDS = 60.0
SEEDS = 1 << 32


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    for name in ("snapshot", "replica", "path", "scratch"):
        if spec.get(name) and not os.path.isabs(spec[name]):
            raise OpsError(f"{name} is {spec[name]!r}: expected an absolute path")
    queries.validate(spec["queries"])
    options.validate({"path": spec["path"], "floors": spec["floors"]})


def rehearse(
    spec: Mapping[str, Any], deadline: Deadline, tell: Tell = silent, check_mode: bool = False
) -> dict[str, Any]:
    """Do one rehearsal; return its result. Raises OpsError for what the operator has to change before it can be done."""
    validate(spec)
    seed = spec["seed"] if spec.get("seed") is not None else random.SystemRandom().randrange(SEEDS)
    case = Case({**spec, "seed": seed}, deadline, tell)
    place = Path(spec["scratch"])
    result: dict[str, Any] = {"changed": True, "source": spec["source"], "name": case.item, "seed": seed}
    if check_mode:
        return {**result, **_outcome(case, None), "cleaned": []}
    _make(place)
    begin = time.monotonic()
    with locked(place, "another drill"):
        cleaned = sweep(place)
        restored = None
        with private_directory(place) as directory:
            directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
            with contextlib.suppress(_NoRoom):
                restored = _restored(case, directory)
                if restored:
                    _judge_loss(case, restored)
                    serve(case, restored, directory)
        left = [one.name for one in place.glob(PREFIX + "*")]
        if left:
            case.found("drill.cleaned", Status.CRITICAL, "drill.cleaned_not", names=str(place / left[0]))
        else:
            case.found("drill.cleaned", Status.OK, "drill.cleaned_yes")
    case.seconds["total"] = round(time.monotonic() - begin, 3)
    return {**result, **_outcome(case, restored), "cleaned": cleaned}


class _NoRoom(Exception):
    """The scratch directory cannot be written."""


def _make(place: Path) -> None:
    """Make the directory of the drills, for root alone to write: others could replace what lies there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        seen = os.lstat(place)
    except OSError as exc:
        raise OpsError(
            f"scratch {place} cannot be made: {exc.strerror}; expected a directory with room for the database"
        ) from exc
    if not stat.S_ISDIR(seen.st_mode) or seen.st_mode & 0o022 or seen.st_uid not in (0, os.geteuid()):
        raise OpsError(f"scratch {place}: expected a directory of our own that nobody else can write to (chmod 755)")


def _restored(case: Case, directory: Path) -> Restored | None:
    try:
        return RESTORERS[case.spec["source"]](case, directory)
    except OSError as exc:
        said = exc.strerror or str(exc)
        case.found(
            "drill.restored", Status.UNKNOWN, "drill.restored_unknown", error=f"{exc.filename or directory}: {said}"
        )
        raise _NoRoom from exc


def _judge_loss(case: Case, restored: Restored) -> None:
    """Compare the newest row with the live database's: a snapshot may be whole, made today, and of an old copy."""
    live = case.spec.get("live")
    if not live:
        return
    mine = restored.facts.get("newest")

    def newest() -> Any:
        owner = os.stat(live)
        become(owner.st_uid, owner.st_gid)
        with contextlib.closing(connect(live, "ro", BUSY_SECONDS, how_to_open(live))) as connection:
            return newest_stamp(connection, tables(connection))

    outcome = run_isolated(newest, case.deadline.sooner(LIVE_SECONDS).remaining())
    if outcome.timed_out or outcome.error:
        said = (outcome.error.strip().splitlines() or ["no answer in time"])[-1]
        case.found("drill.loss", Status.UNKNOWN, "drill.loss_unknown", path=live, error=said)
        return
    theirs = outcome.value
    if not mine or not theirs or _moment(mine) is None or _moment(theirs) is None:
        case.found("drill.loss", Status.SKIPPED, "drill.loss_none")
        return
    hours = max(0.0, (_moment(theirs) or 0.0) - (_moment(mine) or 0.0)) / 3600
    case.checks.append(case.say.measure("drill.loss", hours, "drill.loss_is", item=case.item, newest=mine, live=theirs))


def _moment(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def verdict_of(checks: list[Check]) -> str:
    """Return what some checks amount to: failed, inconclusive when something could not be looked at, or passed."""
    states = {check.status for check in checks}
    if Status.CRITICAL in states:
        return "failed"
    return "inconclusive" if Status.UNKNOWN in states or not checks else "passed"


def _outcome(case: Case, restored: Restored | None) -> dict[str, Any]:
    served = any(check.id == "drill.served" and check.status is Status.OK for check in case.checks)
    return {
        "verdict": verdict_of(case.checks),
        "checks": [check.as_dict() for check in case.checks],
        "seconds": case.seconds,
        "rows": (restored.facts.get("rows") or {}) if restored else {},
        "newest": (restored.facts.get("newest") or "") if restored else "",
        "rpo_s": round(restored.rpo, 3) if restored and restored.rpo is not None else None,
        "rto_s": _rto(case.seconds) if served else None,
        "moment": restored.chosen if restored else {},
        "served": served,
    }


def _rto(seconds: Mapping[str, float]) -> float:
    """Return the seconds from the begin of the restore to the first right answer, the proofs included."""
    return round(sum(seconds.get(step, 0.0) for step in ("restore", "verify", "start")), 3)
