# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking probes, and what a run remembers, with small probes made for the purpose."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.runner import run_probes

AREA = Area(
    "lamp",
    rules={"lamp.lux": Rule(Text("Light", "光"), Text("Switch it on", "打开"), warn="10:", crit="5:", uom="c")},
    sentences={"lamp.is": Text("{item} has {value:.0f} lux", "{item} 为 {value:.0f} 勒克斯")},
)


def _lamp(spec, previous, deadline):
    if spec["how"] == "hang":
        time.sleep(60)
    if spec["how"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if spec["how"] == "raise":
        raise RuntimeError("bulb exploded")
    say = AREA.reporter(spec["thresholds"])
    runs = previous.get("runs", 0) + 1
    return ProbeResult([say.measure("lamp.lux", spec["lux"], "lamp.is", item=spec["name"])], {"runs": runs})


LAMP = SimpleNamespace(
    AREA=AREA,
    TIMEOUT=5.0,
    OPTIONS={
        "lux": {"type": "float", "default": 100.0},
        "how": {"type": "str", "choices": ["work", "hang", "die", "raise"], "default": "work"},
        "key": {"type": "str", "no_log": True},
    },
    probe=_lamp,
)


@pytest.fixture(autouse=True)
def lamp(monkeypatch):
    monkeypatch.setitem(registry.KINDS, "lamp", LAMP)


def run(*specs, previous=None, seconds=10.0):
    return run_probes(registry.prepare_all([{"kind": "lamp", **spec} for spec in specs]), previous or {}, seconds)


def by_id(result, check_id):
    return [check for check in result.checks if check.id == check_id]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("lamp", "expected a dict"),
        ({}, "unknown kind None"),
        ({"kind": "lmap"}, "did you mean lamp?"),
        ({"kind": "lamp", "lucks": 1}, "lucks"),
        ({"kind": "lamp", "lux": "much"}, "lux"),
        ({"kind": "lamp", "timeout": -1}, "expected a number of seconds above 0"),
        ({"kind": "lamp", "timeout": 0}, "expected a number of seconds above 0"),
        ({"kind": "lamp", "timeout": "nan"}, "expected a number of seconds above 0"),
        ({"kind": "lamp", "thresholds": {"lamp.lux": {"warn": "80:x"}}}, "lamp.lux: warn: threshold '80:x'"),
        ({"kind": "lamp", "thresholds": {"lamp.luxx": {"warn": "80"}}}, "did you mean lamp.lux?"),
        ({"kind": "lamp", "thresholds": {"lamp.lux": "80"}}, "expected a dict with warn and/or crit"),
    ],
)
def test_bad_input_is_named_with_its_position(spec, said):
    with pytest.raises(OpsError) as error:
        registry.prepare_all([{"kind": "lamp"}, spec])
    assert str(error.value).startswith("probes[1]: ")
    assert said in str(error.value)


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(OpsError) as error:
        registry.prepare_all([{"kind": "x"}, {"kind": "lamp"}, {"kind": "y"}])
    assert [line[:9] for line in str(error.value).splitlines()] == ["probes[0]", "probes[2]"]


def test_secret_of_a_probe_is_known_and_not_in_its_key():
    one, other = (registry.prepare({"kind": "lamp", "key": key}) for key in ("s3cret-one", "s3cret-two"))
    assert one.secrets == {"s3cret-one"}
    assert one.key == other.key


def test_key_ignores_tuning_and_follows_what_is_looked_at():
    plain = registry.prepare({"kind": "lamp"})
    tuned = registry.prepare({"kind": "lamp", "timeout": 1, "thresholds": {"lamp.lux": {"warn": "1"}}})
    other = registry.prepare({"kind": "lamp", "lux": 3})
    assert plain.key == tuned.key != other.key


def test_status_follows_thresholds_and_overrides():
    assert by_id(run({"lux": 7}), "lamp.lux")[0].status is Status.WARNING
    assert by_id(run({"lux": 4}), "lamp.lux")[0].status is Status.CRITICAL
    eased = {"lux": 4, "thresholds": {"lamp.lux": {"crit": "", "warn": "4:"}}}
    assert by_id(run(eased), "lamp.lux")[0].status is Status.OK


@pytest.mark.parametrize(
    ("how", "check_id", "said"),
    [
        ("hang", "check.deadline", "no result within"),
        ("die", "check.error", "signal 9"),
        ("raise", "check.error", "bulb"),
    ],
)
def test_probe_that_fails_is_a_finding_and_hides_no_other(how, check_id, said):
    begin = time.monotonic()
    result = run({"name": "bad", "how": how, "timeout": 0.5}, {"name": "good"})
    [bad] = by_id(result, check_id)
    assert bad.status is Status.UNKNOWN
    assert said in bad.summary
    assert bad.item == "lamp:bad"
    assert [check.item for check in by_id(result, "lamp.lux")] == ["good"]
    assert time.monotonic() - begin < 4


def test_total_deadline_ends_every_probe():
    begin = time.monotonic()
    result = run({"name": "a", "how": "hang"}, {"name": "b", "how": "hang"}, seconds=0.5)
    assert len(by_id(result, "check.deadline")) == 2
    assert time.monotonic() - begin < 3


def test_state_comes_back_to_its_probe_and_survives_shifts_and_faults():
    first = run({"name": "a"}, {"name": "b"})
    second = run({"name": "a"}, previous=first.state)
    third = run({"name": "a", "how": "raise"}, {"name": "b"}, previous=second.state)
    runs = {key: kept["state"].get("runs") for key, kept in third.state["probes"].items()}
    assert runs == {"lamp:a": 2, "lamp:b": 2}


def test_state_nobody_asked_for_is_dropped_after_its_time():
    first = run({"name": "a"}, {"name": "b"})
    first.state["probes"]["lamp:b"]["at"] = "2020-01-01T00:00:00Z"
    first.state["seen"]["lamp.lux|b"][3] = "2020-01-01T00:00:00Z"
    second = run({"name": "a"}, previous=first.state)
    assert set(second.state["probes"]) == {"lamp:a"}
    assert "lamp.lux|b" not in second.state["seen"]


def test_since_previous_status_and_flaps():
    first = run({"name": "a"})
    [check] = by_id(first, "lamp.lux")
    assert (check.prev_status, check.flaps_24h) == (None, 0)
    first.state["seen"]["lamp.lux|a"][1] = "2026-01-01T00:00:00Z"
    [same] = by_id(second := run({"name": "a"}, previous=first.state), "lamp.lux")
    assert (same.prev_status, same.since, same.flaps_24h) == (0, "2026-01-01T00:00:00Z", 0)
    [worse] = by_id(run({"name": "a", "lux": 1}, previous=second.state), "lamp.lux")
    assert (worse.prev_status, worse.flaps_24h) == (0, 1)
    assert worse.since > "2026-01-01T00:00:00Z"


def test_run_times_itself():
    [took] = by_id(run({}), "check.duration")
    assert took.status is Status.OK
    assert 0 < took.value < 5


@pytest.mark.parametrize(("seconds", "warn", "crit"), [(15, "5", "20"), (120, "60", "120")])
def test_a_run_that_was_given_minutes_may_take_them(seconds, warn, crit):
    [check] = by_id(run({}, seconds=seconds), "check.duration")
    assert (check.warn, check.crit) == (warn, crit)
