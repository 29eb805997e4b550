# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finish what an interrupted restore left, from its journal."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.attempt import Attempt
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import put_back
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.journal import Journal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.place import Place, find_place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.service import Unit, prove_free


def recover(attempt: Attempt, place: Place) -> None:
    """Finish what an interrupted run left; in check mode only tell."""
    journal = Journal.read(place.path)
    if journal is None:
        return
    sentences = {"staging": "clean", "stopping": "clean", "swapping": "old", "proved": "new"}
    sentence = f"restore.recovered_{sentences[journal.state]}"
    attempt.result.checks.append(
        attempt.say.find("restore.recovered", Status.WARNING, sentence, item=str(place.path), run=journal.run_id)
    )
    attempt.result.changed = True
    if attempt.check_mode:
        return
    if journal.service and journal.service != place.unit.name:
        raise OpsError(
            f"run {journal.run_id} was interrupted and left {journal.service} stopped: expected service "
            f"{journal.service}, to finish what it began"
        )
    with attempt.step("recover"):
        if journal.state == "swapping":
            for one in (place.unit, *place.others):
                if one.up:
                    one.stop()
            prove_free(place.path)
            put_back(place.path, journal.aside, journal.failed, journal.old)
        if journal.state in ("stopping", "swapping") and journal.was_active and not place.unit.up:
            place.unit.start()
        for name in journal.others:
            Unit(name).start()
        journal.remove()
        found = find_place(attempt.spec)
        place.seen, place.was_up, place.others = found.seen, found.was_up, found.others
