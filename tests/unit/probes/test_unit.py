# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit probe, on what systemd 252 of Debian 12 really printed and on real processes."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc, systemctl
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import unit
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.declared import Declared

# Asked for nginx, redis (an alias of redis-server), a service that ends at once with Restart=always, a oneshot that
# ran, one that failed, one that does not exist, and a masked one.
NAMES = [f"{name}.service" for name in "nginx redis loop oneoff bad nosuch e2scrub_reap".split()]
CAPTURED = (Path(__file__).parent / "data" / "systemctl_show.txt").read_text()
NOW = 1_800_000_000.0


def shown(name, **changes):
    properties = systemctl.parse_show(CAPTURED, NAMES)[f"{name}.service"]
    return {**properties, **changes}


def judge(entry, properties, previous=None, processes=None, now=NOW):
    declared = Declared.read(entry)
    checks, state = unit.judge(
        unit.AREA.reporter(), [declared], {declared.name: properties}, previous or {}, processes or {}, now
    )
    assert json.loads(json.dumps(state)) == state
    return {check.id: check for check in checks}, state


def test_paragraphs_are_told_apart_by_their_order_because_an_alias_answers_under_its_own_name():
    assert shown("redis")["Id"] == "redis-server.service"
    with pytest.raises(OpsError, match="asked for 8 units, seen 7"):
        systemctl.parse_show(CAPTURED, [*NAMES, "one.more"])


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("nginx", Status.OK, "unit.up"),
        ("redis", Status.OK, "unit.up"),
        ("loop", Status.CRITICAL, "unit.crash_loop"),
        ("oneoff", Status.OK, "unit.waiting"),
        ("bad", Status.CRITICAL, "unit.down"),
        ("nosuch", Status.CRITICAL, "unit.missing"),
        ("e2scrub_reap", Status.CRITICAL, "unit.is_masked"),
    ],
)
def test_state(name, status, sentence):
    checks, _state = judge(name, shown(name))
    assert (checks["unit.state"].status, checks["unit.state"].message) == (status, sentence)
    normal, _state = judge({"name": name, "tier": "normal"}, shown(name))
    assert normal["unit.state"].status == (Status.WARNING if status is Status.CRITICAL else Status.OK)


def test_a_healthy_unit_gives_nothing_but_ok():
    checks, _state = judge({"name": "nginx", "enabled": True}, shown("nginx"))
    assert {check.status for check in checks.values()} == {Status.OK}


@pytest.mark.parametrize(("seconds", "status"), [(10, Status.OK), (91, Status.WARNING), (301, Status.CRITICAL)])
def test_a_start_may_take_a_while(seconds, status):
    began = str(int((proc.time.clock_gettime(proc.time.CLOCK_MONOTONIC) - seconds) * 1e6))
    properties = shown("nginx", ActiveState="activating", SubState="start", StateChangeTimestampMonotonic=began)
    assert judge("nginx", properties)[0]["unit.state"].status == status


def test_a_start_after_an_automatic_restart_is_a_crash_loop():
    _checks, state = judge("nginx", shown("nginx"))
    again = shown("nginx", ActiveState="activating", SubState="start", NRestarts="1")
    assert judge("nginx", again, state)[0]["unit.state"].message == "unit.crash_loop"


def test_a_crash_loop_in_its_good_moment_shows_without_an_earlier_run():
    just_now = str(int(proc.time.clock_gettime(proc.time.CLOCK_MONOTONIC) * 1e6))
    properties = shown("nginx", NRestarts="17", StateChangeTimestampMonotonic=just_now)
    assert judge("nginx", properties)[0]["unit.state"].message == "unit.crash_loop_fresh"
    assert (
        judge("nginx", shown("nginx", NRestarts="17", StateChangeTimestampMonotonic="1"))[0]["unit.state"].status == 0
    )


def test_a_crash_loop_in_its_good_moment_shows_against_an_earlier_run():
    def up_for(seconds, restarts):
        since = str(int((proc.time.clock_gettime(proc.time.CLOCK_MONOTONIC) - seconds) * 1e6))
        return shown("nginx", NRestarts=restarts, StateChangeTimestampMonotonic=since)

    _checks, state = judge("nginx", shown("nginx"))
    assert judge("nginx", up_for(0.1, "1"), state)[0]["unit.state"].message == "unit.crash_loop_fresh"
    assert judge("nginx", up_for(5, "1"), state)[0]["unit.state"].status == 0
    assert judge("nginx", up_for(0.1, "0"), state)[0]["unit.state"].status == 0


@pytest.mark.parametrize("result", ["oom-kill", "watchdog"])
def test_killed_by_the_kernel_or_the_watchdog_is_said(result):
    assert result in judge("bad", shown("bad", Result=result))[0]["unit.state"].summary


def test_declared_inactive():
    entry = {"name": "nginx", "state": "inactive"}
    assert judge(entry, shown("nginx"))[0]["unit.state"].message == "unit.up_unwanted"
    for name in ("bad", "nosuch", "e2scrub_reap"):
        assert judge(entry, shown(name))[0]["unit.state"].status == Status.OK


def run_of(counts, step, first="a"):
    """Judge a unit at several runs, ``step`` seconds apart; return the last checks."""
    state, checks = {}, {}
    for number, count in enumerate(counts):
        properties = shown("nginx", NRestarts=str(count), InvocationID=first + str(count))
        checks, state = judge("nginx", properties, state, now=NOW + number * step)
    return checks["unit.restarts"]


@pytest.mark.parametrize(
    ("counts", "step", "status", "value"),
    [
        ([40], 60, Status.OK, 0),
        ([40, 40], 60, Status.OK, 0),
        ([40, 41], 60, Status.WARNING, 1),
        ([40, 43], 60, Status.CRITICAL, 3),
        ([40, 41, 42, 43], 120, Status.CRITICAL, 3),
        ([40, 41, 42, 43], 900, Status.WARNING, 3),
        ([40, 43], 8 * 3600, Status.WARNING, 3),
        ([40, 46], 8 * 3600, Status.CRITICAL, 6),
        ([40, 41, 41, 41], 1900, Status.OK, 0),
        ([40, 2], 60, Status.WARNING, 2),
        ([40, 0], 60, Status.OK, 0),
    ],
)
def test_restarts(counts, step, status, value):
    check = run_of(counts, step)
    assert (check.status, check.value) == (status, value)


def test_a_restart_on_purpose_is_said_and_no_finding():
    _checks, state = judge("nginx", shown("nginx"))
    check = judge("nginx", shown("nginx", InvocationID="other"), state)[0]["unit.restarts"]
    assert (check.status, check.message) == (Status.OK, "unit.restarted_by_hand")
    assert run_of([40, 0], 60).message == "unit.restarted_by_hand"


def test_enabled():
    for entry, properties, status in (
        ({"enabled": True}, {}, Status.OK),
        ({"enabled": False}, {}, Status.WARNING),
        ({"enabled": True}, {"UnitFileState": "disabled"}, Status.WARNING),
        ({"enabled": True}, {"UnitFileState": "static"}, Status.WARNING),
        ({"enabled": False}, {"UnitFileState": "static"}, Status.OK),
    ):
        checks, _state = judge({"name": "nginx", **entry}, shown("nginx", **properties))
        assert checks["unit.enabled"].status == status
    assert "unit.enabled" not in judge("nginx", shown("nginx"))[0]


def test_a_changed_unit_file_is_a_warning():
    assert judge("nginx", shown("nginx", NeedDaemonReload="yes"))[0]["unit.reload_needed"].status == Status.WARNING


def test_limits():
    assert "unit.memory" not in judge("nginx", shown("nginx"))[0]
    limited = {"MemoryHigh": "1000000", "MemoryMax": "2000000"}
    not_counted = judge("nginx", shown("nginx", **limited))[0]["unit.memory"]
    assert not_counted.status == Status.SKIPPED
    for used, status in ((700000, Status.OK), (900000, Status.WARNING), (960000, Status.CRITICAL)):
        check = judge("nginx", shown("nginx", MemoryCurrent=str(used), **limited))[0]["unit.memory"]
        assert (check.status, check.value) == (status, used / 10000)
    full = judge("nginx", shown("nginx", TasksCurrent="95", TasksMax="100"))[0]["unit.tasks"]
    assert full.status == Status.CRITICAL
    unlimited = shown("nginx", TasksCurrent="95", TasksMax=str(2**64 - 1))
    assert "unit.tasks" not in judge("nginx", unlimited)[0]


CHILD = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0); print(1, flush=True); input()"


def test_a_unit_whose_processes_are_stopped_is_critical_though_systemd_calls_it_running(spawn, wait_for):
    master = spawn(CHILD)
    master.stdout.readline()
    wait_for(lambda: len(proc.family(proc.table(), master.pid)) == 2)
    properties = shown("nginx", MainPID=str(master.pid))

    def look():
        return judge("nginx", properties, processes=proc.table())[0]["unit.frozen"]

    family = [one.pid for one in proc.family(proc.table(), master.pid)]
    try:
        assert look().status == Status.OK
        os.kill(family[1], signal.SIGSTOP)
        wait_for(lambda: proc.process(family[1]).state == "T")
        assert (look().status, look().message) == (Status.WARNING, "unit.some_stopped")
        os.kill(family[0], signal.SIGSTOP)
        wait_for(lambda: proc.process(family[0]).state == "T")
        assert (look().status, look().message) == (Status.CRITICAL, "unit.all_stopped")
        assert f"pid {master.pid}" in look().evidence[0]
    finally:
        os.kill(family[1], signal.SIGKILL)


def test_a_frozen_unit_is_critical():
    assert judge("nginx", shown("nginx", FreezerState="frozen"))[0]["unit.frozen"].status == Status.CRITICAL


def test_failed_units_of_the_host():
    # With the dot that systemctl paints unless told --plain, and a name with an escape.
    names = systemctl.parse_names(
        "\u25cf bad.service loaded failed failed bad\nmnt-a\\x2db.mount loaded failed failed x\n\n"
    )
    assert names == ["bad.service", "mnt-a\\x2db.mount"]
    say, declared = unit.AREA.reporter(), [Declared.read("bad")]
    assert unit.judge_failed(say, names, declared, []).evidence == ["mnt-a\\x2db.mount"]
    assert unit.judge_failed(say, names, declared, []).status == Status.WARNING
    assert unit.judge_failed(say, names, declared, ["mnt-*"]).status == Status.OK


@pytest.mark.parametrize(
    "entry",
    [
        "a b",
        "ngin*",
        "--help",
        "",
        3,
        {},
        {"name": "a", "teir": "normal"},
        {"name": "a", "tier": "x"},
        {"name": "a", "enabled": "y"},
    ],
)
def test_what_cannot_be_a_unit_is_refused(entry):
    with pytest.raises(OpsError):
        Declared.read(entry)


def fake_systemctl(tmp_path, monkeypatch, script):
    program = tmp_path / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Failed to connect to bus: Host is down' >&2; exit 1", "Host is down"),
        ("exec sleep 60", "did not answer within"),
    ],
)
def test_a_systemd_that_does_not_answer_is_unknown_and_keeps_the_state(tmp_path, monkeypatch, script, words):
    fake_systemctl(tmp_path, monkeypatch, script)
    before = {"nginx.service": {"restarts": 3}}
    result = unit.probe({"units": ["nginx"]}, before, Deadline(0.3))
    assert [(check.id, check.status) for check in result.checks] == [("unit.manager", Status.UNKNOWN)]
    assert words in result.checks[0].summary
    assert result.state == before


def test_the_whole_probe_asks_once_for_all_units(tmp_path, monkeypatch):
    (tmp_path / "shown").write_text(CAPTURED)
    log = tmp_path / "log"
    fake_systemctl(
        tmp_path, monkeypatch, f'echo "$1 $LC_ALL" >> {log}; [ "$1" = show ] && cat {tmp_path}/shown; exit 0'
    )
    result = unit.probe({"units": NAMES}, {}, Deadline(5))
    assert log.read_text().split("\n")[:2] == ["show C", "list-units C"]
    states = {check.item: check.status for check in result.checks if check.id == "unit.state"}
    assert list(states) == NAMES
    assert set(result.state) == set(NAMES)


def test_times_of_systemd():
    assert systemctl.moment("Mon 2026-11-23 02:00:00 UTC") == 1795399200.0
    assert systemctl.moment("n/a") is systemctl.moment("") is None
    assert systemctl.span("39min 19.626153s") == pytest.approx(2359.626153)
    assert systemctl.span("1w 2d 3h 4ms") == 604800 + 2 * 86400 + 3 * 3600 + 0.004
    assert systemctl.span("infinity") is None
    assert systemctl.span("0") == 0
