# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore gives up: the rows of the present database that the snapshot does not have."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import litestream
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.attempt import Attempt
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.compare import Comparison, compare
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.place import Place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.result import Run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed


def compare_rows(attempt: Attempt, place: Place, staged: Path) -> Comparison:
    """Compare the present database with the staged one; without a present one there is nothing before."""
    if not place.seen or not place.seen.st_size:
        return Comparison(after=dict(attempt.result.verdict.facts["rows"]))
    found = compare(place.path, staged, attempt.deadline)
    found.after = found.after or dict(attempt.result.verdict.facts["rows"])
    return found


def judge_loss(attempt: Attempt, place: Place, result: Run) -> Check:
    """Tell how old what is restored is, and which rows are lost with what it replaces."""
    made, rows = _made(attempt), result.rows
    known = {"age": duration(time.time() - made if made else None), "item": str(place.path)}
    if not place.seen:
        return attempt.say.find("restore.loss", Status.OK, "restore.loss_new", **known)
    if rows.error:
        return attempt.say.find("restore.loss", Status.OK, "restore.loss_unknown", error=rows.error, **known)
    lost = {name: count - rows.after.get(name, 0) for name, count in rows.before.items()}
    names = [f"{name} {count}" for name, count in sorted(lost.items()) if count > 0]
    sentence = "restore.loss_is" if names else "restore.loss_none"
    total = sum(count for count in lost.values() if count > 0)
    return attempt.say.find("restore.loss", Status.OK, sentence, names=listed(names), value=total, **known)


def _made(attempt: Attempt) -> float | None:
    """Return the moment from which what is restored is, in seconds since 1970."""
    if attempt.spec.get("litestream"):
        return litestream.moment(attempt.spec["litestream"]["timestamp"])
    manifest = attempt.result.verdict.manifest
    return manifest.made if manifest else None
