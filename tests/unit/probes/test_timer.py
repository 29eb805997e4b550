# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer probe, on what systemd 252 of Debian 12 really printed and on the same an hour, a day and a week later."""

from __future__ import annotations

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import systemctl
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import timer
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

NAMES = ["logrotate.timer", "fstrim.timer", "systemd-tmpfiles-clean.timer", "nosuch.timer"]
# Half an hour after boot, at 2026-11-23 01:01 UTC: no timer has fired yet; fstrim does not run in a container.
CAPTURED = """\
Triggers=logrotate.service
TimersCalendar={ OnCalendar=*-*-* 00:00:00 ; next_elapse=Tue 2026-11-24 00:00:00 UTC }
NextElapseUSecRealtime=Tue 2026-11-24 00:00:00 UTC
NextElapseUSecMonotonic=0
LastTriggerUSec=
LoadState=loaded
ActiveState=active

Triggers=fstrim.service
TimersCalendar={ OnCalendar=Mon *-*-* 00:00:00 ; next_elapse=(null) }
NextElapseUSecRealtime=
NextElapseUSecMonotonic=infinity
LastTriggerUSec=
LoadState=loaded
ActiveState=inactive

Triggers=systemd-tmpfiles-clean.service
TimersMonotonic={ OnUnitActiveUSec=1d ; next_elapse=0 }
TimersMonotonic={ OnBootUSec=15min ; next_elapse=39min 19.626153s }
NextElapseUSecRealtime=
NextElapseUSecMonotonic=39min 19.626153s
LastTriggerUSec=
LoadState=loaded
ActiveState=active

Triggers=
NextElapseUSecRealtime=
NextElapseUSecMonotonic=infinity
LastTriggerUSec=
LoadState=not-found
ActiveState=inactive
"""
DAY = 86400.0
NOW = systemctl.moment("Mon 2026-11-23 01:01:00 UTC")
IDLE = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}


def shown(name, **changes):
    return {**systemctl.parse_show(CAPTURED, NAMES)[f"{name}.timer"], **changes}


def stamp(seconds):
    return timer.time.strftime("%a %Y-%m-%d %H:%M:%S UTC", timer.time.gmtime(seconds))


def judge(entry, properties, triggers=(), job=None, now=NOW, monotonic=1500.0):
    declared = timer.Declared.read(entry)
    jobs = dict.fromkeys(properties["Triggers"].split(), job or IDLE)
    clocks = timer.Clocks(now, monotonic)
    checks, kept = timer.judge(timer.AREA.reporter(), declared, properties, jobs, list(triggers), clocks)
    return {check.id: check for check in checks}, kept


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("logrotate", Status.OK, "timer.armed"),
        ("fstrim", Status.CRITICAL, "timer.inactive"),
        ("systemd-tmpfiles-clean", Status.OK, "timer.armed"),
        ("nosuch", Status.CRITICAL, "timer.missing"),
    ],
)
def test_state(name, status, sentence):
    checks, _kept = judge(name, shown(name))
    assert (checks["timer.state"].status, checks["timer.state"].message) == (status, sentence)
    normal, _kept = judge({"name": name, "tier": "normal"}, shown(name))
    assert normal["timer.state"].status == (Status.WARNING if status else Status.OK)


def test_masked():
    checks, _kept = judge("fstrim", shown("fstrim", LoadState="masked"))
    assert checks["timer.state"].message == "timer.masked"


@pytest.mark.parametrize("name", ["logrotate", "systemd-tmpfiles-clean"])
def test_a_timer_that_has_not_fired_since_boot_is_not_late(name):
    checks, kept = judge(name, shown(name))
    assert (checks["timer.late"].status, checks["timer.late"].message) == (Status.OK, "timer.first")
    assert kept == []
    assert "timer.job" not in checks


def test_a_timer_that_will_never_fire_again_though_active():
    dead = shown("logrotate", NextElapseUSecRealtime="", NextElapseUSecMonotonic="infinity")
    assert judge("logrotate", dead)[0]["timer.late"].status == Status.CRITICAL
    # While its job runs that is how it looks, and it is right.
    running = judge("logrotate", dead, job={**IDLE, "ActiveState": "activating"})[0]
    assert (running["timer.late"].status, running["timer.late"].message) == (Status.OK, "timer.job_runs")


def test_a_timer_that_fires_once_after_boot_is_done():
    once = {"TimersMonotonic": "{ OnBootUSec=15min ; next_elapse=0 }", "NextElapseUSecMonotonic": "infinity"}
    done = shown("systemd-tmpfiles-clean", **once, LastTriggerUSec=stamp(NOW - 60))
    assert judge("systemd-tmpfiles-clean", done)[0]["timer.late"].message == "timer.fired_once"
    # The captured one repeats: both lines of TimersMonotonic are read.
    repeats = shown("systemd-tmpfiles-clean", NextElapseUSecMonotonic="infinity", LastTriggerUSec=stamp(NOW - 60))
    assert judge("systemd-tmpfiles-clean", repeats)[0]["timer.late"].status == Status.CRITICAL


def test_a_timer_whose_moment_has_passed_is_late():
    past = shown("logrotate", NextElapseUSecRealtime=stamp(NOW - 600), LastTriggerUSec=stamp(NOW - DAY))
    assert judge("logrotate", past)[0]["timer.late"].message == "timer.overdue"
    soon = shown("logrotate", NextElapseUSecRealtime=stamp(NOW - 30), LastTriggerUSec=stamp(NOW - DAY))
    assert judge("logrotate", soon)[0]["timer.late"].status == Status.OK
    monotonic = judge("systemd-tmpfiles-clean", shown("systemd-tmpfiles-clean"), monotonic=2359.6 + 300)[0]
    assert monotonic["timer.late"].message == "timer.overdue"


@pytest.mark.parametrize(("days", "status"), [(0.5, Status.OK), (2, Status.WARNING), (4, Status.CRITICAL)])
def test_late_by_the_period_it_had(days, status):
    # Eight daily triggers, then it was stopped, and armed again today: systemd alone would see nothing.
    last = NOW - days * DAY
    daily = [last - number * DAY for number in range(7, -1, -1)]
    properties = shown("logrotate", LastTriggerUSec=stamp(last))
    checks, kept = judge("logrotate", properties, daily)
    assert checks["timer.late"].status == status
    assert kept == daily


def test_a_period_can_be_declared():
    last = NOW - 2 * DAY
    checks, _kept = judge({"name": "logrotate", "period": DAY}, shown("logrotate", LastTriggerUSec=stamp(last)))
    assert checks["timer.late"].status == Status.WARNING
    assert judge("logrotate", shown("logrotate", LastTriggerUSec=stamp(last)))[0]["timer.late"].status == Status.OK


def test_a_weekday_timer_is_not_late_on_sunday():
    friday = systemctl.moment("Fri 2026-11-20 02:00:00 UTC")
    earlier = [friday - number * DAY for number in (7, 4, 3, 2, 1)]
    properties = shown("logrotate", LastTriggerUSec=stamp(friday), NextElapseUSecRealtime=stamp(friday + 3 * DAY))
    checks, kept = judge("logrotate", properties, earlier, now=friday + 2.5 * DAY)
    assert checks["timer.late"].status == Status.OK
    assert kept == [*earlier, friday]


def test_the_job_that_fails_is_a_finding():
    fired = shown("logrotate", LastTriggerUSec=stamp(NOW - 3600))
    assert judge("logrotate", fired)[0]["timer.job"].status == Status.OK
    bad = judge("logrotate", fired, job={"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "3"})[0]
    assert bad["timer.job"].status == Status.CRITICAL
    assert "exit status 3" in bad["timer.job"].summary


def test_kept_triggers_are_few_and_each_once():
    triggers = [NOW - number * 3600 for number in range(20, 1, -1)][-8:]
    _checks, kept = judge("logrotate", shown("logrotate", LastTriggerUSec=stamp(NOW - 3600)), triggers)
    assert kept == [*triggers[1:], NOW - 3600]
    assert judge("logrotate", shown("logrotate", LastTriggerUSec=stamp(NOW - 3600)), kept)[1] == kept


def test_without_systemd_every_timer_is_unknown(tmp_path, monkeypatch):
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\necho 'Host is down' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = timer.probe({"units": ["a", "b"]}, {"a.timer": [1.0]}, Deadline(5))
    assert [(check.item, check.status) for check in result.checks] == [("a.timer", 3), ("b.timer", 3)]
    assert result.state == {"a.timer": [1.0]}


@pytest.mark.parametrize(
    "entry", [{}, 3, "a*", {"name": "a", "tier": "x"}, {"name": "a", "period": "daily"}, {"name": "a", "x": 1}]
)
def test_what_cannot_be_a_timer_is_refused(entry):
    with pytest.raises(OpsError):
        timer.Declared.read(entry)
