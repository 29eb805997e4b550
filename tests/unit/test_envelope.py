# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run, and the bar that fails it."""

from __future__ import annotations

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status, counts, worst
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import make_envelope, reached
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
