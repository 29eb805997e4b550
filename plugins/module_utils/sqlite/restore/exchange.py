# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exchange: what is down for it, the two renames, the proof, and the undoing when anything goes wrong."""

from __future__ import annotations

import signal

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.attempt import Attempt
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import inodes, replace
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.place import Place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.serve import serve, start_others, stop
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.service import prove_free
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.undo import undo

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def exchange(attempt: Attempt, place: Place) -> None:
    """Put the staged database in the place of the present one; raise ActionFailed when it was undone."""
    journal, result = attempt.journal, attempt.result
    try:
        if place.unit.name or place.others:
            journal.write("stopping")
            with attempt.step("stop"):
                stop(place)
        with attempt.step("prove_free"):
            prove_free(place.path)
        journal.old = inodes(place.path)
        journal.write("swapping")
        with attempt.step("replace"):
            replace(place.path, journal.aside, journal.staged)
        with attempt.step("serve" if place.unit.name else "prove"):
            result.checks.append(serve(attempt, place))
        to_the_end()
        journal.write("proved")
    except BaseException as exc:  # noqa: BLE001 - whatever it was, half a restore must not stay
        to_the_end()
        undo(attempt, place, exc)
    result.previous_path = str(journal.aside) if inodes(journal.aside) else ""
    result.checks += start_others(attempt, place)
    journal.remove()


def to_the_end() -> None:
    """From here on no signal ends this run: neither the undoing that one began, nor what is left of a proved restore."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
