# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a snapshot: prove it, stop the service, set the present database aside, put the snapshot in its place, start.

What does not end well is undone: the former database serves again, and the restore fails. What is killed is finished by
the next run, from the journal. The snapshot is written beside the database and proved there while the service still runs,
so that the service is down for two renames only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed, OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import litestream
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.attempt import Attempt
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.exchange import exchange
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.journal import Journal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.loss import compare_rows, judge_loss
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.place import (
    Place,
    find_place,
    refuse_pidfile,
    refuse_standby,
    refuse_unconfirmed,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.recover import recover
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.result import Run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.stage import (
    dress,
    staging,
    write_and_prove,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import usage


def restore(spec: Mapping[str, Any], deadline: Deadline, tell: Tell = silent, check_mode: bool = False) -> Run:
    """Restore a snapshot, or plan it; raise ActionFailed or another OpsError when it did not take place."""
    attempt = Attempt(spec, deadline, tell, check_mode)
    if bool(spec.get("snapshot")) == bool(spec.get("litestream")):
        raise OpsError("expected either a snapshot or litestream, to know what to restore")
    if spec.get("litestream"):
        litestream.moment(spec["litestream"]["timestamp"])
    place = find_place(spec)
    refuse_standby(spec, place)
    refuse_unconfirmed(spec, place)
    try:
        with locked(place.path.parent, f"a restore of {place.path}"):
            recover(attempt, place)
            refuse_pidfile(spec)
            with staging(attempt, place) as staged:
                _restore(attempt, place, staged)
    except ActionFailed:
        raise
    except OpsError as exc:
        raise ActionFailed(str(exc), attempt.result.as_dict()) from exc
    except OSError as exc:
        raise ActionFailed(
            f"{exc.filename or place.path.parent}: {exc.strerror or exc}; {_standing(place)}",
            attempt.result.as_dict(),
        ) from exc
    return attempt.result


def _restore(attempt: Attempt, place: Place, staged: Path) -> None:
    """Go through the steps in their order; until the exchange nothing but ``staged`` is written."""
    result = attempt.result
    with attempt.step("verify"):
        write_and_prove(attempt, place, staged)
    with attempt.step("compare"):
        result.rows = compare_rows(attempt, place, staged)
        result.checks.append(judge_loss(attempt, place, result))
    if result.rows.same and _in_service(place):
        return  # what is there is what the snapshot holds
    result.changed = True
    if attempt.check_mode:
        if place.was_up:
            told = {"item": place.unit.name, "service": place.unit.name}
            result.checks.append(attempt.say.find("restore.restart", Status.WARNING, "restore.restart_will", **told))
        result.steps += [{"step": name, "seconds": 0.0} for name in _plan(place)]
        return
    with attempt.step("stage"):
        dress(attempt, place, staged)
    exchange(attempt, place)


def _plan(place: Place) -> list[str]:
    down = ["stop", "prove_free"] if place.unit.name or place.others else ["prove_free"]
    return ["stage", *down, "replace", "serve" if place.unit.name else "prove"]


def _in_service(place: Place) -> bool:
    """Tell whether the service, if there is one, has the present database open."""
    return not place.unit.name or bool(usage(os.stat(place.path), place.unit.pids()).by)


def _standing(place: Place) -> str:
    left = Journal(place.path, "").file
    return f"the next run finishes what is left ({left})" if left.exists() else f"{place.path} is as it was"
