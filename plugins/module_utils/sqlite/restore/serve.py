# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the service down before the exchange, and prove afterwards that it serves the new database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.attempt import Attempt
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.place import Place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.service import count_rows, wait_served
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed


def stop(place: Place) -> None:
    """Stop the service and who else has the database open; refuse where something would start it again."""
    triggers = place.unit.triggers()
    if triggers:
        raise OpsError(
            f"{listed(triggers)} would start {place.unit.name} again while it has to be down: expected them to be stopped"
        )
    if place.was_up:
        place.unit.stop()
    for one in place.others:
        one.stop()


def serve(attempt: Attempt, place: Place) -> Check:
    """Start the service and prove that it serves the new database."""
    rows = {
        name: count
        for name, count in attempt.result.verdict.facts["rows"].items()
        if name not in attempt.spec.get("shrinking", ())
    }
    known: dict[str, Any] = {"name": place.path.name, "count": len(rows), "item": str(place.path)}
    if place.unit.name:
        place.unit.start()
        wait_served(place.unit, place.path, attempt.health, attempt.spec.get("settle", 30.0))
    count_rows(place.path, rows)
    sentence = "restore.served_yes" if place.unit.name else "restore.served_alone"
    return attempt.say.find("restore.served", Status.OK, sentence, service=place.unit.name, **known)


def start_others(attempt: Attempt, place: Place) -> Iterator[Check]:
    """Start what was stopped besides the service; that one does not start is no reason to undo what serves."""
    for one in place.others:
        try:
            one.start()
        except OpsError as exc:
            yield attempt.say.find(
                "restore.others", Status.CRITICAL, "restore.others_not", item=one.name, error=str(exc)
            )
        else:
            yield attempt.say.find("restore.others", Status.OK, "restore.others_up", item=one.name)
