# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run, and the bar that fails it."""

from __future__ import annotations

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status, counts, worst
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import (
    Step,
    make_envelope,
    reached,
    run_envelope,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError


def envelope(result, previous=None):
    return make_envelope(result, "tutor1", "r1", "morning", "2026-11-23T01:00:00Z", previous or {})


def of_status(*statuses):
    checks = [Check("a.b", "a", str(n), status, "ok", "s", "m") for n, status in enumerate(statuses)]
    data = [check.as_dict() for check in checks]
    return envelope({"checks": data, "state": {"x": 1}, "worst": int(worst(checks)), "counts": counts(checks)})


def test_healthy_result_is_taken_over():
    record = of_status(Status.OK, Status.SKIPPED)
    assert (record["worst"], record["counts"]["ok"], record["state"], record["errors"]) == (0, 1, {"x": 1}, [])


@pytest.mark.parametrize(
    ("result", "check_id", "said"),
    [
        (
            {"unreachable": True, "msg": "Task failed: Connection timed out"},
            "host.reachable",
            "n: Connection timed out",
        ),
        ({"failed": True, "timedout": {"period": 19}, "msg": "Timed out after 19 second(s)"}, "host.reachable", "19"),
        ({"failed": True, "msg": "probes[0]: unknown kind 'x'"}, "host.checked", "unknown kind"),
        ({}, "host.checked", "no result"),
    ],
)
def test_host_that_was_not_checked_is_one_critical_finding_and_keeps_its_state(result, check_id, said):
    record = envelope(result, previous={"probes": {"p": 1}})
    [check] = record["checks"]
    assert (check["id"], check["status"], record["worst"]) == (check_id, 2, 2)
    assert said in check["summary"]
    assert record["state"] == {"probes": {"p": 1}}
    assert record["errors"]


@pytest.mark.parametrize(
    ("status", "levels"),
    [
        (Status.SKIPPED, []),
        (Status.OK, []),
        (Status.UNKNOWN, ["unknown"]),
        (Status.WARNING, ["unknown", "warning"]),
        (Status.CRITICAL, ["unknown", "warning", "critical"]),
    ],
)
def test_what_reaches_which_level(status, levels):
    record = of_status(status)
    assert [level for level in ("never", "unknown", "warning", "critical") if reached(record, level)] == levels


def test_run_that_checked_nothing_is_not_healthy():
    assert reached(envelope({"checks": [], "state": {}}), "unknown")


def test_unknown_bar_is_refused():
    with pytest.raises(OpsError, match="expected one of never, critical, warning, unknown"):
        reached(of_status(Status.OK), "often")


RUN = {"id": "r1", "phase": "backup", "part": "", "started": "2026-11-23T01:00:00Z"}
GOOD = Check("backup.age", "backup", "learning", Status.OK, "ok", "s", "m").as_dict()
BAD = {**GOOD, "status": 2, "reason": "threshold"}
DONE = {
    "changed": True,
    "checks": [GOOD],
    "started": "2026-11-23T01:00:02Z",
    "duration_ms": 12.0,
    "snapshot": {"bytes": 9},
}
FULL = {"failed": True, "msg": "Task failed: Module failed: no space left"}


def acted(*results, previous=None):
    return run_envelope(
        [Step(result, "sqlite_backup", "backup.run") for result in results], "tutor1", RUN, previous or {}
    )


def seen(record):
    return [(check["id"], check["item"], check["status"]) for check in record["checks"]]


def test_an_action_gives_its_checks_and_hands_the_state_on():
    record = acted(DONE, previous={"probes": {"p": 1}})
    assert seen(record) == [("backup.age", "learning", 0)]
    assert (record["phase"], record["started"], record["duration_ms"]) == ("backup", DONE["started"], 12.0)
    assert record["state"] == {"probes": {"p": 1}}
    assert record["errors"] == []


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (FULL, [("action.completed", "sqlite_backup", 2)]),
        ({**FULL, "checks": [BAD]}, [("backup.age", "learning", 2), ("action.completed", "sqlite_backup", 2)]),
        ({"failed": True, "timedout": {"period": 9}, "msg": "Timed out"}, [("action.completed", "sqlite_backup", 2)]),
        (
            {"unreachable": True, "msg": "refused"},
            [("host.reachable", "", 2), ("action.completed", "sqlite_backup", 2)],
        ),
        ({}, [("action.completed", "sqlite_backup", 2)]),
        ({"skipped": True}, []),
        ({"skipped": True, "results": []}, []),
    ],
)
def test_what_did_not_complete_is_a_finding_and_what_was_skipped_is_none(result, found):
    record = acted(result)
    assert seen(record) == found
    assert bool(record["errors"]) is bool(found)
    # Whatever the bar: an action that did not complete is no success.
    assert reached(record, "never") is bool(found)


def test_what_came_after_a_failure_is_not_told_again():
    assert seen(acted(FULL, {})) == [("action.completed", "sqlite_backup", 2)]
    assert seen(acted({}, {})) == [("action.completed", "sqlite_backup", 2)]


def test_the_later_of_two_steps_that_saw_the_same_counts():
    assert seen(acted({**DONE, "checks": [BAD]}, DONE)) == [("backup.age", "learning", 0)]


def test_each_turn_of_a_loop_counts():
    other = {**DONE, "checks": [{**GOOD, "item": "audio"}], "item": "audio.db", "ansible_loop_var": "item"}
    failed = {**FULL, "item": "vocabulary.db", "ansible_loop_var": "item"}
    record = acted({"results": [other, failed], "changed": True, "failed": True})
    assert seen(record) == [("backup.age", "audio", 0), ("action.completed", "sqlite_backup vocabulary.db", 2)]
    assert record["duration_ms"] == 12.0
