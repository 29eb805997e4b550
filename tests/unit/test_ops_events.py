# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's events of a run: the record, and one for each kind of action."""

from __future__ import annotations

import json

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.filter.checks import ops_events
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status

RUN = {"id": "r1", "phase": "backup", "part": "", "started": "2026-11-23T01:00:00Z"}
GOOD = Check("backup.age", "backup", "learning", Status.OK, "ok", "s", "m").as_dict()
DONE = {"changed": True, "checks": [GOOD], "snapshot": {"bytes": 9}}
FULL = {"failed": True, "msg": "Task failed: Module failed: no space left"}
STEPS = [
    {"register": "looked", "what": "service_health"},
    {"register": "made", "what": "sqlite_backup", "kind": "backup.run"},
    {"register": "cleaned", "what": "temp_clean", "kind": "maintenance.temp_clean", "only_changes": True},
]


def events(variables, previous=None, steps=None):
    found = ops_events({"tutor1": variables}, RUN, steps or STEPS[1:], previous)
    return [(event["kind"], json.loads(event["data"])) for event in found]


def test_the_turns_of_a_loop_are_one_event():
    other = {**DONE, "item": "audio.db", "ansible_loop_var": "item"}
    failed = {**FULL, "item": "vocabulary.db", "ansible_loop_var": "item"}
    [_run, (kind, data)] = events({"made": {"results": [other, failed]}}, steps=STEPS[1:2])
    assert kind == "backup.run"
    assert [part["what"] for part in data["results"]] == ["sqlite_backup audio.db", "sqlite_backup vocabulary.db"]


def test_a_run_that_did_not_look_keeps_the_state_of_the_one_that_did():
    (_kind, record), (kind, data) = events({"made": DONE, "cleaned": {"skipped": True}}, {"tutor1": '{"at": "x"}'})
    assert record["state"] == {"at": "x"}
    assert (kind, data["snapshot"], data["what"]) == ("backup.run", {"bytes": 9}, "sqlite_backup")
    looked = {"checks": [GOOD], "state": {"at": "y"}}
    [(_kind, record), _done] = events(
        {"looked": looked, "made": DONE, "cleaned": {"skipped": True}}, {"tutor1": '{"at": "x"}'}, STEPS
    )
    assert record["state"] == {"at": "y"}


@pytest.mark.parametrize(
    ("cleaned", "recorded"),
    [({"changed": False}, False), ({"changed": True}, True), ({"changed": False, "failed": True, "msg": "x"}, True)],
)
def test_an_action_without_effect_may_leave_no_event(cleaned, recorded):
    kinds = [kind for kind, _data in events({"made": DONE, "cleaned": cleaned})]
    assert ("maintenance.temp_clean" in kinds) is recorded
    assert "backup.run" in kinds


def test_steps_of_one_kind_are_one_event():
    found = {"register": "found", "what": "find", "kind": "backup.run", "only_changes": True}
    variables = {"found": {"changed": False}, "made": DONE}
    [_run, (_kind, data)] = events(variables, steps=[found, STEPS[1]])
    assert data["what"] == "sqlite_backup"
    [_run, (_kind, data)] = events({**variables, "found": FULL}, steps=[found, STEPS[1]])
    assert [part["what"] for part in data["results"]] == ["find", "sqlite_backup"]


def test_what_ansible_adds_is_not_recorded():
    result = {
        **DONE,
        "item": {"password": "x"},
        "ansible_loop_var": "item",
        "invocation": {"module_args": {"path": "/x"}},
        "diff": {"before": "a"},
        "_ansible_no_log": False,
    }
    data = events({"made": result, "cleaned": {"skipped": True}})[1][1]
    assert data.keys() == {*DONE, "what"} - {"checks"}


def test_a_host_that_a_run_was_not_about_has_no_record():
    """A failover is one event, about the host that is to serve; a host at which something was not even tried has one."""
    assert not events({"made": {"skipped": True}}, steps=STEPS[1:2])
    assert [kind for kind, _data in events({}, steps=STEPS[1:2])] == ["check.run"]
