# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undo an exchange that did not end well: the former database serves again, or how to get there is told."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed, OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.attempt import Attempt
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import inode, inodes, put_back
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.place import Place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.serve import start_others
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.service import prove_free, wait_served


def undo(attempt: Attempt, place: Place, why: BaseException) -> None:
    """Put the former database back and let it serve; always raises ActionFailed."""
    journal, result = attempt.journal, attempt.result
    told = str(why) or type(why).__name__
    if not isinstance(why, (OpsError, OSError)):
        told = f"ended by {told}"
    item = str(place.path)
    moved = journal.state == "swapping"
    if moved:
        result.checks.append(
            attempt.say.find("restore.served", Status.CRITICAL, "restore.served_not", item=item, error=told)
        )
    try:
        with attempt.step("undo"):
            if moved:
                if place.unit.up:
                    place.unit.stop()
                prove_free(place.path)
                put_back(place.path, journal.aside, journal.failed, journal.old)
            if place.was_up and not place.unit.up:
                place.unit.start()
            if place.was_up:
                wait_served(place.unit, place.path, None, attempt.spec.get("settle", 30.0))
            result.checks += start_others(attempt, place)
            journal.remove()
    except (OpsError, OSError) as exc:
        result.changed = True
        result.previous_path = str(journal.aside) if inodes(journal.aside) else ""
        result.checks.append(
            attempt.say.find("restore.undone", Status.CRITICAL, "restore.undone_badly", item=item, error=str(exc))
        )
        raise ActionFailed(
            f"the restore of {place.path} failed ({told}) and could not be undone: {exc}. {_by_hand(attempt, place)}",
            result.as_dict(),
        ) from why
    result.undone, result.changed = moved, False
    result.failed_path = str(journal.failed) if inodes(journal.failed) else ""
    if moved:
        result.checks.append(
            attempt.say.find("restore.undone", Status.CRITICAL, "restore.undone_well", item=item, name=place.path.name)
        )
    after = "The former database is back" if moved else "Nothing was replaced"
    serving = f" and {place.unit.name} serves it" if place.was_up else ""
    raise ActionFailed(f"the restore of {place.path} failed: {told}. {after}{serving}", result.as_dict()) from why


def _by_hand(attempt: Attempt, place: Place) -> str:
    journal = attempt.journal
    if inode(journal.aside) is None:
        return f"{place.path} is the former database; start {place.unit.name or 'its application'}"
    return (
        f"By hand: stop {place.unit.name or 'the application'}, move {place.path.name}* away, rename {journal.aside.name} "
        f"(and its -wal) to {place.path.name}, remove {journal.file.name}, start it"
    )
