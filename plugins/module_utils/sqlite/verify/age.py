# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a snapshot is, and how long before it the last row was written."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import Manifest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.case import Case
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

# Clocks of two hosts differ by seconds; more is a wrong one, and would look fresh for ever.
FUTURE_SECONDS = 60.0


def judge_age(case: Case, manifest: Manifest) -> None:
    """Judge how long ago the snapshot was made."""
    age = time.time() - manifest.made
    if age < -FUTURE_SECONDS:
        case.find("snapshot.age", Status.WARNING, "snapshot.age_future", created=manifest.created)
        return
    age = max(0.0, age)
    primary = case.verdict.standby_of
    if primary:  # nothing newer is made here, and what is lost with this one is not the service
        case.find("snapshot.age", Status.SKIPPED, "snapshot.age_standby", age=duration(age), primary=primary)
        return
    case.verdict.checks.append(case.say.measure("snapshot.age", age / 3600, "snapshot.age_is", age=duration(age)))


def judge_newest(case: Case, newest: str | None) -> None:
    """Judge how long before the snapshot its newest row was written; stamps may be of the application's own zone."""
    manifest = case.verdict.manifest
    if manifest and newest != manifest.newest:
        case.find("snapshot.rows", Status.CRITICAL, "snapshot.newest_wrong", newest=newest, wanted=manifest.newest)
    if newest is None:
        case.find("snapshot.newest", Status.SKIPPED, "snapshot.newest_none")
        return
    try:
        written = datetime.fromisoformat(newest.replace("Z", "+00:00"))
    except ValueError:
        case.find("snapshot.newest", Status.SKIPPED, "snapshot.newest_odd", newest=newest)
        return
    written = written if written.tzinfo else written.replace(tzinfo=timezone.utc)
    age = max(0.0, (manifest.made if manifest else time.time()) - written.timestamp())
    case.verdict.checks.append(
        case.say.measure("snapshot.newest", age / 3600, "snapshot.newest_is", newest=newest, age=duration(age))
    )
