# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed between runs, and since when."""

from __future__ import annotations

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import make_envelope
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import story
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import read

GOOD, WARN, BAD, LOST = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN


def envelope(number, phase="morning", unreachable=False, **statuses):
    """Make the envelope of a host in run ``number``; ``statuses`` maps check ids to their status."""
    checks = [Check(name, "g", "", status, "state", "", "").as_dict() for name, status in statuses.items()]
    result = {"unreachable": True, "msg": "gone"} if unreachable else {"checks": checks, "state": {}}
    return make_envelope(result, "a", f"r{number}", phase, f"2026-11-{number:02}T01:00:00Z", {})


def changes(*envelopes):
    *earlier, last = envelopes
    found = story.changes(read([last]), story.past_runs(earlier))
    return None if found is None else [(change.kind, change.check.id) for change in found]


def test_the_first_run_has_nothing_to_compare_with():
    assert changes(envelope(1, x=BAD)) is None


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (GOOD, BAD, "worse"),
        (WARN, BAD, "worse"),
        (LOST, WARN, "worse"),
        (BAD, WARN, "better"),
        (BAD, LOST, "better"),
        (WARN, GOOD, "better"),
        (WARN, Status.SKIPPED, "better"),
        (BAD, BAD, None),
        (GOOD, Status.SKIPPED, None),
        (Status.SKIPPED, GOOD, None),
    ],
)
def test_a_check_that_was_there_before(before, after, kind):
    assert changes(envelope(1, x=before), envelope(2, x=after)) == ([(kind, "x")] if kind else [])


def test_new_and_gone_worst_first():
    before = envelope(1, old=BAD, fine=GOOD)
    assert changes(before, envelope(2, w=WARN, b=BAD, g=GOOD)) == [("new", "b"), ("new", "w"), ("gone", "old")]


def test_a_shift_is_compared_with_the_same_shift():
    morning, afternoon = envelope(1, x=BAD, m=BAD), envelope(2, "afternoon", x=GOOD, y=GOOD)
    assert changes(morning, afternoon, envelope(3, x=GOOD, m=BAD)) == []
    assert changes(morning, afternoon, envelope(3, x=BAD)) == [("worse", "x"), ("gone", "m")]


def test_a_finding_that_went_and_came_back_is_new():
    assert changes(envelope(1, x=BAD), envelope(2, y=GOOD), envelope(3, x=BAD, y=GOOD)) == [("new", "x")]


def test_a_host_that_is_gone_loses_no_findings_and_comes_back_better():
    good, gone = envelope(1, x=BAD), envelope(2, unreachable=True)
    assert changes(good, gone) == [("new", "host.reachable")]
    assert changes(good, gone, envelope(3, unreachable=True)) == []
    assert changes(good, gone, envelope(3, x=BAD)) == [("better", "host.reachable")]
    assert changes(gone, envelope(3, x=GOOD), envelope(4, unreachable=True)) == [("new", "host.reachable")]


def test_since_is_the_first_of_the_unbroken_runs():
    past = story.past_runs([envelope(1, unreachable=True), envelope(2, x=GOOD), envelope(3, unreachable=True)])
    run = read([envelope(4, unreachable=True)])
    assert story.since(run.hosts[0], run.hosts[0].checks[0], past) == "2026-11-03T01:00:00Z"


def test_what_another_shift_looked_at_is_shown_with_its_date():
    past = story.past_runs(
        [envelope(1, "evening", backup=GOOD), envelope(2, "evening", backup=BAD), envelope(3, x=GOOD)]
    )
    (group,) = story.latest(read([envelope(4, x=GOOD)]), past, lambda check: check.id == "backup")
    assert (group.host.started, group.checks[0].status, group.current) == ("2026-11-02T01:00:00Z", BAD, False)


def test_everything_that_fills_up_is_a_check_somebody_makes():
    assert {check for check in story.CAPACITY if catalogue.title(check, "en") == check} == set()
