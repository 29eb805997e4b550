# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the snapshots that are sent to a standby instead of a replica: how old the newest one is that is proved there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups.directory import survey
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.ship import SENT
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import sha256
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

NAME = "snapshots"
UNIT = "tutor-ops-snapshot.service"
PLACE = "/var/lib/tutor-ops-snapshot"
HASH_SECONDS = 8.0
HOUR = 3600.0


def judge_sent(say: Reporter, spec: Mapping[str, Any]) -> Iterator[Check]:
    """Tell on the primary when the last snapshot was made that has been sent."""
    path = os.path.join(spec["place"], SENT)
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        age = max(0.0, time.time() - float(told["created"]))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        yield say.find(
            "replication.rpo", Status.CRITICAL, "replication.sent_never", "sent", "missing", error=str(exc), unit=UNIT
        )
        return
    yield say.measure("replication.rpo", age / HOUR, "replication.sent", "sent", age=duration(age), unit=UNIT)


def judge_arrived(say: Reporter, spec: Mapping[str, Any], state: dict[str, Any], deadline: Deadline) -> Iterator[Check]:
    """Tell on the standby how old the newest snapshot is whose content is what its manifest says; each is hashed once."""
    path = spec["replica"]
    words = {"path": path, "unit": UNIT}
    try:
        found = survey(Path(path), ["*.db"], "", time.time()).snapshots
    except OSError:
        found = []
    known: dict[str, Any] = {}
    before = state.pop("hashed", {})
    state["hashed"] = known
    until = deadline.sooner(HASH_SECONDS)
    for one in reversed(found):
        identity = [one.seen.st_ino, one.seen.st_size, one.seen.st_mtime_ns]
        told = before.get(one.name) or []
        if told[:-1] == identity:
            digest = told[-1]
        else:
            target = one.path
            outcome = run_isolated(lambda: sha256(target), max(0.1, until.remaining()))  # noqa: B023 - it ends before the next
            if outcome.timed_out or outcome.error:
                yield say.find(
                    "replication.rpo", Status.WARNING, "replication.rpo_unproved", one.name, "timeout",
                    name=one.name, seconds=outcome.seconds, **words,
                )  # fmt: skip
                continue
            digest = outcome.value
        known[one.name] = [*identity, digest]
        if digest != one.manifest.sha256 or one.seen.st_size != one.manifest.bytes:
            yield say.find(
                "replication.rpo", Status.CRITICAL, "replication.rpo_bad", one.name, "state", name=one.name, **words
            )
            continue
        hours = max(0.0, time.time() - one.manifest.made) / HOUR
        yield say.measure("replication.rpo", hours, "replication.rpo_is", name=one.name, **words)
        return
    yield say.find("replication.rpo", Status.CRITICAL, "replication.rpo_none", reason="missing", **words)
