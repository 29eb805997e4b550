# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run on the controller's disk: killed anywhere it goes on, before the epoch it takes itself back, after it only forward."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from drive_hosts import HOSTS, looks

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.catalogue import summary
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive import controller, lock, runs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive import plan as planning
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.journal import Journal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.plan import Plan

# What the role's tasks are, by the way of the run, and the host that each is delegated to.
SERVE = {"grant": "target", "probe": "target", "switch": "", "reprotect": ""}
STEPS = {
    "planned": {"lock": "", "quiesce": "old", "promote": "target", "epoch": "", **SERVE, "protected": "old"},
    "emergency": {
        **{"lock": "", "trial": "target", "hold": "", "stonith": "target", "epoch": "", "wait": "target"},
        **{"promote": "target", **SERVE},
    },
}
TURN = {"turn_fence": "target", "turn_epoch": "", "turn_grant": "old"}
QUIESCED: dict[str, Any] = {"changed": True, "txid": "00000000000000ff", "digest": {"schema": "aa"}}
REPLICATES = {"look": {"replica": {"epoch": 8, "chain_unbroken": True}}}


class World:
    """Hosts that do what a step says, but for the modules that are broken; it keeps what they were told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.broken: dict[tuple[str, str], int] = {}
        self.killed = ("", "")
        self.digest: dict[str, Any] = QUIESCED["digest"]

    def execute(self, host: str, module: str, options: Mapping[str, Any]) -> dict[str, Any]:
        name = module.rpartition(".")[2]
        if self.killed == (host, name):
            raise KeyboardInterrupt
        self.calls.append((host, name, dict(options)))
        left = self.broken.get((host, name), 0)
        if left:
            self.broken[host, name] = left - 1
            return {"failed": True, "msg": f"{name} is broken"}
        quiesced = {**QUIESCED, "digest": QUIESCED["digest"] if host == "tutor1" else self.digest}
        answers = {"ops_quiesce": quiesced, "failover_look": REPLICATES}
        return {"changed": name not in ("uri", "failover_look"), **answers.get(name, {})}

    def told(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        return [(host, options) for host, called, options in self.calls if called == name]


def options(**request: Any) -> dict[str, Any]:
    asked = {"mode": "switchover", "target": "tutor2", "run_id": "run-1", "confirm": "tutor2", **request}
    settings = {
        "controller": "station",
        "database": "/srv/learning.db",
        "service": "app.service",
        "health_url": "http://x",
    }
    settings.update(health_seconds=0.0, protect_seconds=0.001)
    return {"hosts": vars(HOSTS), "request": asked, "settings": settings}


def results(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return looks as Ansible registers them."""
    return {name: {"msg": "gone"} if "unreachable" in look else {"look": look} for name, look in said.items()}


def begin(base: Path, **request: Any) -> dict[str, Any]:
    said = results(looks())
    return controller.open_run(base, options(**request), said, os.getpid(), dry=False)


def drive(directory: str, world: World) -> dict[str, Any]:
    """Do what the role does."""
    where = Path(directory)

    plan = runs.Run(where).plan

    def through(names: Mapping[str, str]) -> None:
        for name, one in names.items():
            for host in [getattr(plan, one)] if one else HOSTS.all:

                def execute(module: str, told: Mapping[str, Any], host: str = host) -> Mapping[str, Any]:
                    return world.execute(host, module, told)

                controller.do_step(where, name, host, execute)

    steps = STEPS[plan.way]
    through(steps)
    path = controller.decide(where)["path"]
    if path == "forward":
        through(steps)
        path = controller.decide(where)["path"]
    if path in ("rollback", "turn"):
        through({"undo": ""} if path == "rollback" else TURN)
        path = controller.decide(where)["path"]
    if path == "forward":
        through(steps)
        controller.decide(where)
    through({"unlock": ""})
    put_together = {planning.full_name(name).rpartition(".")[2] for name in planning.MODULES}
    assert {name for _host, name, _options in world.calls} <= {*put_together, "failover_look"}
    result = controller.close(where)
    for check in map(Check.from_dict, result["checks"]):
        told = [summary(check, locale) for locale in ("en", "zh")]
        assert not any("{" in text for text in told), told
    return result


def names(world: World) -> list[str]:
    return [f"{host}:{name}" for host, name, _options in world.calls]


@pytest.mark.parametrize(
    ("name", "steps"), [*((f"steps_{way}", steps) for way, steps in STEPS.items()), ("turn", TURN)]
)
def test_the_role_goes_through_the_same_steps(name: str, steps: Mapping[str, str]) -> None:
    yaml = pytest.importorskip("yaml")
    tasks = Path(__file__).parents[3] / "roles/failover/tasks"

    def read(name: str) -> Iterator[tuple[str, str]]:
        for task in yaml.safe_load((tasks / name).read_text(encoding="utf-8")):
            if imported := task.get("ansible.builtin.import_tasks"):
                yield from read(imported)
            elif step := task["bilingual_tutor.ops.ops_failover"].get("step"):
                assert task.get("run_once", False) == ("delegate_to" in task)
                yield step, task.get("delegate_to", "").removeprefix("{{ __failover_judged.").removesuffix(" }}")

    assert list(read(f"{name}.yml")) == list(steps.items())


def test_a_planned_run_goes_through_its_steps_once(tmp_path: Path) -> None:
    world, judged = World(), begin(tmp_path)
    result = drive(judged["directory"], world)
    assert (result["outcome"], result["failed"], result["changed"], result["epoch"]) == ("done", False, True, 8)
    # One host of the two is in the hands of every run: nobody else begins, and the others need not be asked.
    assert [host for host, _told in world.told("ops_lock")] == ["tutor1", "tutor2"] * 2
    assert result["rpo_s"] == 0 and result["gap_s"] >= 0 and result["rto_s"] >= result["gap_s"]
    [(host, promote)] = world.told("ops_promote")
    assert host == "tutor2" and (promote["digest"], promote["txid"]) == (QUIESCED["digest"], QUIESCED["txid"])
    assert (promote["epoch_from"], promote["epoch"]) == (7, 8)
    order = [name for _host, name, _options in world.calls]
    firsts = [
        order.index(n) for n in ("ops_lock", "ops_quiesce", "ops_promote", "ops_epoch", "ops_fence", "ops_traffic")
    ]
    assert firsts == sorted(firsts)
    assert [told["start"] for _host, told in world.told("ops_fence")] == [
        ["app.service"],
        ["tutor-ops-replication.service"],
    ]
    assert {told["state"] for _host, told in world.told("ops_lock")} == {"held", "free"}


@pytest.mark.parametrize(("host", "module"), [("tutor1", "ops_quiesce"), ("tutor2", "ops_promote")])
def test_a_failure_before_the_epoch_is_taken_back(tmp_path: Path, host: str, module: str) -> None:
    world, judged = World(), begin(tmp_path)
    world.broken[host, module] = 1
    result = drive(judged["directory"], world)
    assert (result["outcome"], result["failed"], result["epoch"]) == ("rolled_back", True, 7)
    assert f"{module} is broken" in result["msg"] and "tutor1 serves again in epoch 7" in result["msg"]
    [(again, granted)] = world.told("ops_fence")
    assert (again, granted["epoch"], granted["state"]) == ("tutor1", 7, "granted")
    undone = [told["state"] for _host, told in world.told("ops_promote")][-1:]
    assert undone == (["undone"] if module == "ops_promote" else []), "only what was begun"
    assert not world.told("ops_epoch") and not world.told("ops_traffic")
    assert begin(tmp_path, run_id="run-2")["resumed"] is False, "it is over: the next one is another run"


@pytest.mark.parametrize(
    ("host", "module"), [("tutor2", "ops_epoch"), ("tutor2", "ops_fence"), ("tutor3", "ops_traffic")]
)
def test_a_failure_from_the_epoch_on_is_tried_again_and_never_taken_back(
    tmp_path: Path, host: str, module: str
) -> None:
    world, judged = World(), begin(tmp_path)
    world.broken[host, module] = 1
    result = drive(judged["directory"], world)
    assert (result["outcome"], result["epoch"]) == ("done", 8)
    assert all(told["epoch"] == 8 for _host, told in world.told("ops_fence"))


def test_what_stays_broken_after_the_epoch_needs_a_person_and_the_same_command_goes_on(tmp_path: Path) -> None:
    world, judged = World(), begin(tmp_path)
    world.broken["tutor3", "ops_traffic"] = 2
    result = drive(judged["directory"], world)
    assert (result["outcome"], result["failed"]) == ("needs_human", True)
    assert "tutor1" not in [host for host, _told in world.told("ops_fence")], "the old primary is never granted again"
    other = begin(tmp_path, mode="failback", target="tutor1", confirm="tutor1")
    assert other["outcome"] == "refused" and "stopped in its middle" in other["msg"]
    again = begin(tmp_path, run_id="run-2")
    assert again["resumed"] and again["run_id"] == "run-1"
    assert drive(again["directory"], world)["outcome"] == "done"
    assert not begin(tmp_path, run_id="run-3")["resumed"]


@pytest.mark.parametrize(("module", "times"), [("ops_fence", 2), ("uri", 99)])
def test_a_new_primary_that_cannot_serve_and_took_no_write_gives_the_service_back(
    tmp_path: Path, module: str, times: int
) -> None:
    """In an epoch of its own: the one of the new primary is never used again."""
    world, judged = World(), begin(tmp_path)
    world.broken["tutor2", module] = times
    result = drive(judged["directory"], world)
    assert (result["outcome"], result["failed"], result["epoch"], result["rpo_s"]) == ("rolled_back", True, 9, 0)
    raised = [(host, told["primary"]) for host, told in world.told("ops_epoch") if told["epoch"] == 9]
    assert sorted(raised) == [(host, "tutor1") for host in ("tutor1", "tutor3", "tutor4", "tutor5")]
    assert [(host, told["epoch"]) for host, told in world.told("ops_fence")][-1] == ("tutor1", 9)
    assert [host for host, _told in world.told("ops_quiesce")] == ["tutor1", "tutor2"]
    assert not world.told("ops_traffic"), "users were never led away"
    assert result["checks"][1]["id"] == "failover.protected" and result["checks"][1]["status"] == 1


def test_a_new_primary_that_took_writes_is_never_given_up(tmp_path: Path) -> None:
    """Its health fails, it is ended, and holds rows that the old one has not: it is granted again and keeps the service."""
    world, judged = World(), begin(tmp_path)
    world.broken["tutor2", "uri"] = 1
    world.digest = {"schema": "aa", "tables": {"marks": [1, "x"]}}
    result = drive(judged["directory"], world)
    assert (result["outcome"], result["epoch"]) == ("done", 8)
    assert not [told for _host, told in world.told("ops_epoch") if told["epoch"] == 9]
    granted = [host for host, told in world.told("ops_fence") if told["start"] == ["app.service"]]
    assert granted == ["tutor2", "tutor2"], "after it was ended it is granted again"
    assert world.told("ops_traffic")


def test_a_new_primary_that_comes_back_with_writes_is_gone_on_with(tmp_path: Path) -> None:
    """Power was cut after the grant had taken effect: whatever was decided without it is decided anew."""
    world, judged = World(), begin(tmp_path)
    world.digest = {"schema": "aa", "tables": {"marks": [1, "x"]}}
    world.broken.update({("tutor2", "ops_fence"): 3, ("tutor2", "ops_quiesce"): 1})
    first = drive(judged["directory"], world)
    assert first["outcome"] == "needs_human"
    assert drive(begin(tmp_path)["directory"], world)["outcome"] == "done"
    assert "tutor1" not in [host for host, _told in world.told("ops_fence")]


def test_a_new_primary_that_is_lost_before_the_grant_gives_the_service_back_unasked(tmp_path: Path) -> None:
    """It never was granted anything, so there is nothing to prove; it cannot even be asked."""
    world, judged = World(), begin(tmp_path)
    world.broken.update({("tutor2", name): 99 for name in ("ops_epoch", "ops_fence", "ops_quiesce")})
    result = drive(judged["directory"], world)
    assert (result["outcome"], result["epoch"]) == ("rolled_back", 9)
    assert [host for host, _told in world.told("ops_quiesce")] == ["tutor1"]
    assert [(host, told["epoch"]) for host, told in world.told("ops_fence")] == [("tutor1", 9)]


def test_a_way_back_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    world, judged = World(), begin(tmp_path)
    world.broken["tutor2", "ops_fence"] = 2
    world.killed = ("tutor1", "ops_epoch")
    with pytest.raises(KeyboardInterrupt):
        drive(judged["directory"], world)
    world.killed = ("", "")
    result = drive(begin(tmp_path)["directory"], world)
    assert (result["outcome"], result["epoch"]) == ("rolled_back", 9)


def test_a_run_that_another_one_has_overtaken_is_not_gone_on_with(tmp_path: Path) -> None:
    """A controller that was gone for long: its next step would end a host that serves by right."""
    world, judged = World(), begin(tmp_path)
    world.killed = ("tutor2", "ops_promote")
    with pytest.raises(KeyboardInterrupt):
        drive(judged["directory"], world)
    for epoch, primary, resumed in (
        (9, "tutor2", False),
        (8, "tutor1", False),
        (8, "tutor2", True),
        (7, "tutor1", True),
    ):
        said = looks()
        for look in said.values():
            look["epoch"].update(epoch=epoch, primary=primary)
        again = controller.open_run(tmp_path, options(run_id="run-2"), results(said), os.getpid(), dry=False)
        assert again.get("resumed", False) == resumed, (epoch, primary)
        if not resumed:
            assert again["outcome"] == "refused" and f"epoch {epoch} belongs to {primary} by now" in again["msg"]


def test_whoever_is_called_dead_while_others_reach_him_is_waited_for(tmp_path: Path) -> None:
    said = looks()
    said["tutor1"] = {"unreachable": "gone"}
    asked = options(mode="emergency", max_rpo=10**9, primary_dead="tutor1")
    judged = controller.open_run(tmp_path / "seen", asked, results(said), os.getpid(), dry=True)
    assert "wait" in [one["step"] for one in judged["plan"]]
    for look in said.values():
        for peer in look.get("peers", ()):
            peer.update(ssh="timed out", http="timed out")
    judged = controller.open_run(tmp_path / "gone", asked, results(said), os.getpid(), dry=True)
    assert "wait" not in [one["step"] for one in judged["plan"]]


def test_a_failed_taking_back_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "UNDO_SECONDS", 0.0)
    world, judged = World(), begin(tmp_path)
    world.broken.update({("tutor2", "ops_promote"): 1, ("tutor1", "ops_fence"): 1})
    assert drive(judged["directory"], world)["outcome"] == "needs_human"
    again = begin(tmp_path)
    assert again["resumed"]
    result = drive(again["directory"], world)
    assert result["outcome"] == "rolled_back" and not world.told("ops_epoch")


def test_killed_at_any_call_the_same_command_ends_it(tmp_path: Path) -> None:
    """In a step and between two: what was killed counts as begun, and is done again."""
    whole = World()
    drive(begin(tmp_path / "whole")["directory"], whole)
    calls = list(dict.fromkeys((host, name) for host, name, _options in whole.calls))
    assert len(calls) > 12
    for number, (host, name) in enumerate(calls):
        base, world = tmp_path / str(number), World()
        world.killed = (host, name)
        judged = begin(base)
        with pytest.raises(KeyboardInterrupt):
            drive(judged["directory"], world)
        world.killed = ("", "")
        again = begin(base, run_id="run-2")
        assert again["resumed"] and again["run_id"] == "run-1"
        result = drive(again["directory"], world)
        assert result["outcome"] == "done", (host, name, result["msg"])
        assert [h for h, _told in world.told("ops_fence")][0] == "tutor2", "nothing was taken back"


def test_after_the_epoch_the_data_is_not_touched_again(tmp_path: Path) -> None:
    world, judged = World(), begin(tmp_path)
    world.killed = ("tutor2", "ops_fence")
    with pytest.raises(KeyboardInterrupt):
        drive(judged["directory"], world)
    world.killed = ("", "")
    drive(begin(tmp_path)["directory"], world)
    assert len(world.told("ops_promote")) == len(world.told("ops_quiesce")) == 1


def test_before_the_epoch_a_run_that_goes_on_proves_everything_anew(tmp_path: Path) -> None:
    world, judged = World(), begin(tmp_path)
    world.killed = ("tutor2", "ops_promote")
    with pytest.raises(KeyboardInterrupt):
        drive(judged["directory"], world)
    world.killed = ("", "")
    drive(begin(tmp_path)["directory"], world)
    assert len(world.told("ops_quiesce")) == 2


def test_a_standby_that_is_not_protected_in_time_is_degraded(tmp_path: Path) -> None:
    world, judged = World(), begin(tmp_path)
    world.broken["tutor1", "failover_look"] = 99
    result = drive(judged["directory"], world)
    assert (result["outcome"], result["failed"], result["left"]) == ("degraded", False, ["protected"])
    assert [check["id"] for check in result["checks"]] == ["failover.outcome", "failover.protected"]


def test_an_emergency_waits_for_the_lease_and_tells_what_may_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(controller.time, "sleep", slept.append)
    said = looks()
    said["tutor1"] = {"unreachable": "gone"}
    for look in said.values():
        for peer in look.get("peers", ()):
            peer.update(ssh="timed out", http="timed out")
    asked = options(mode="emergency", max_rpo=10**9)
    judged = controller.open_run(tmp_path, asked, results(said), os.getpid(), dry=False)
    world = World()
    result = drive(judged["directory"], world)
    assert result["outcome"] == "degraded" and result["way"] == "emergency"
    assert [host for host, _told in world.told("ops_lock")] == ["tutor2", "tutor4", "tutor5", "tutor3"] * 2
    order = [name for _host, name, _options in world.calls]
    assert order.index("ops_traffic") < order.index("ops_epoch"), "the users are held before the epoch"
    assert "ops_quiesce" not in order and "tutor1" not in [host for host, _n, _o in world.calls]
    [trial, placed] = [told["state"] for _host, told in world.told("ops_promote")]
    assert (trial, placed) == ("trial", "placed") and order.index("ops_promote") < order.index("ops_epoch")
    assert len(slept) == 1 and 9.5 < slept[0] <= 7 + 3


def test_a_replica_that_cannot_be_restored_ends_an_emergency_before_the_epoch(tmp_path: Path) -> None:
    said = looks()
    said["tutor1"] = {"unreachable": "gone"}
    asked = options(mode="emergency", max_rpo=10**9, primary_dead="tutor1")
    judged = controller.open_run(tmp_path, asked, results(said), os.getpid(), dry=False)
    world = World()
    world.broken["tutor2", "ops_promote"] = 1
    result = drive(judged["directory"], world)
    assert result["outcome"] == "rolled_back" and "the traffic is as it was" in result["msg"]
    assert not world.told("ops_epoch") and not world.told("ops_traffic")


def test_an_emergency_that_fails_before_the_epoch_gives_the_users_back(tmp_path: Path) -> None:
    said = looks()
    said["tutor1"] = {"unreachable": "gone"}
    asked = options(mode="emergency", max_rpo=10**9, primary_dead="tutor1")
    judged = controller.open_run(tmp_path, asked, results(said), os.getpid(), dry=False)
    world = World()
    world.broken["tutor3", "ops_traffic"] = 1
    assert drive(judged["directory"], world)["outcome"] == "rolled_back"
    assert [told for _host, told in world.told("ops_traffic")][-1] == {"state": "serving", "upstream": "10.0.0.1:80"}


def test_a_dry_run_and_a_refused_one_begin_nothing(tmp_path: Path) -> None:
    base = tmp_path / "failover"
    judged = controller.open_run(base, options(confirm=""), results(looks()), os.getpid(), dry=True)
    assert (judged["act"], judged["outcome"]) == (False, "planned") and not base.exists()
    assert [one["step"] for one in judged["plan"]][:3] == ["lock", "quiesce", "promote"]
    refused = controller.open_run(base, options(confirm=""), results(looks()), os.getpid(), dry=False)
    assert (refused["act"], refused["outcome"]) == (False, "refused")
    assert controller.refuse(refused)["failed"] and not controller.refuse(judged)["failed"]
    assert not runs.runs(base)[0].is_open


def test_a_run_keeps_its_name_from_a_refusal_to_its_end_and_no_longer(tmp_path: Path) -> None:
    assert begin(tmp_path, confirm="")["outcome"] == "refused"
    judged = begin(tmp_path)
    assert judged["act"] and runs.Run(Path(judged["directory"])).is_open
    assert drive(judged["directory"], World())["outcome"] == "done"
    with pytest.raises(OpsError, match="run run-1 is over"):
        begin(tmp_path)


def test_a_lock_that_could_not_be_given_back_is_taken_by_the_next_run(tmp_path: Path) -> None:
    world = World()
    drive(begin(tmp_path)["directory"], world)
    assert all("supersedes" not in told for _host, told in world.told("ops_lock"))
    said = looks()
    said["tutor2"]["lock"] = {
        "run_id": "run-1",
        "controller": "station",
        "since": "x",
        "expires": "2100-01-01T00:00:00Z",
    }
    begin(tmp_path, run_id="run-0", confirm="")  # refused: it is over too, and holds nobody
    assert controller.ended(tmp_path, said) == ["run-1"]
    asked = options(run_id="run-2")
    judged = controller.open_run(tmp_path, asked, results(said), os.getpid(), dry=False)
    drive(judged["directory"], world)
    assert ("tutor2", ["run-1"]) in [(host, told.get("supersedes")) for host, told in world.told("ops_lock")]


def test_a_run_that_is_not_over_keeps_its_locks(tmp_path: Path) -> None:
    begin(tmp_path)
    said = looks()
    for run_id in ("run-1", "../run-1", "of another controller"):
        said["tutor2"]["lock"] = {"run_id": run_id}
        assert controller.ended(tmp_path, said) == []


def test_the_lock_of_a_host_is_kept_but_from_a_run_that_is_over(tmp_path: Path) -> None:
    hold = partial(lock.hold, tmp_path / "state", seconds=60, controller="station", reason="test")
    assert hold(run_id="run-1")["changed"] and not hold(run_id="run-1")["changed"]
    for others in ((), ("run-0",)):
        with pytest.raises(OpsError, match="run run-1 of station"):
            hold(run_id="run-2", supersedes=others)
    assert hold(run_id="run-2", supersedes=("run-0", "run-1"))["lock"]["run_id"] == "run-2"
    with pytest.raises(OpsError, match="run run-2"):
        lock.free(tmp_path / "state", "run-1")


def test_an_emergency_does_not_wait_for_an_application_that_answers_nobody_and_switches_before_it_asks(
    tmp_path: Path,
) -> None:
    """The unit runs, and nothing comes of it: no user is served meanwhile, neither there nor by the proxies."""
    said = looks()
    for look in said.values():
        look["peers"] = [{**peer, "http": 502} for peer in look["peers"]]
    names = {}
    for mode in ("emergency", "switchover"):
        judged = controller.open_run(tmp_path / mode, options(mode=mode), results(said), os.getpid(), dry=False)
        plan = Plan.from_dict(json.loads((Path(judged["directory"]) / runs.PLAN).read_text()))
        names[mode] = [step.name for step in plan.steps]
        quiesce = plan.step("quiesce")
        assert quiesce is not None
        told = quiesce.calls["tutor1"].options.get("stop_timeout")
        assert (judged["condition"], told) == ("frozen", planning.HASTE_SECONDS if mode == "emergency" else None)
    assert names["emergency"] == [name for name in names["switchover"] if name != "probe"]


@pytest.mark.parametrize("silent", [True, False])
def test_nobody_waits_for_the_replica_on_a_host_that_did_not_answer_a_moment_ago(tmp_path: Path, silent: bool) -> None:
    world = World()
    execute = world.execute

    def lost(host: str, module: str, told: Mapping[str, Any]) -> dict[str, Any]:
        if silent and host == "tutor1" and module.endswith("ops_epoch"):
            return {"failed": True, "msg": "does not answer"}
        return execute(host, module, told)

    world.execute = lost  # type: ignore[method-assign]
    result = drive(begin(tmp_path)["directory"], world)
    asked = [host for host, _told in world.told("failover_look")]
    assert (result["outcome"], asked) == (("degraded", []) if silent else ("done", ["tutor1"]))
    assert not silent or result["left"] == ["reprotect", "protected"]
    check = next(check for check in result["checks"] if check["id"] == "failover.protected")
    assert ("does not answer" in check["summary"]) == silent


def test_a_second_run_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    begin(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        second = controller.open_run(tmp_path, options(run_id="run-2"), results(looks()), other.pid, dry=False)
        assert second["outcome"] == "refused" and "under way" in second["msg"]
    finally:
        other.communicate()
    [run] = [one for one in runs.runs(tmp_path) if one.is_open]
    data = json.loads((run.directory / runs.OWNER).read_text())
    (run.directory / runs.OWNER).write_text(json.dumps({**data, "start": "1"}))
    assert begin(tmp_path)["resumed"], "the pid of a process that is gone may be another's by now"


def test_an_abandoned_run_gives_its_locks_back_and_does_nothing_else(tmp_path: Path) -> None:
    world, judged = World(), begin(tmp_path)
    world.broken["tutor3", "ops_traffic"] = 2
    drive(judged["directory"], world)
    world.calls.clear()
    told = {**options(mode="failback"), "abandon": "run-1"}
    judged = controller.open_run(tmp_path, told, results(looks()), os.getpid(), dry=False)
    assert drive(judged["directory"], world)["outcome"] == "abandoned"
    assert {name for _host, name, _options in world.calls} == {"ops_lock"}
    assert not begin(tmp_path, run_id="run-2")["resumed"]


def test_without_proxies_the_old_primary_shows_the_page(tmp_path: Path) -> None:
    told = options()
    told["hosts"] = {**told["hosts"], "proxies": [], "witnesses": ["tutor3", "tutor4", "tutor5"]}
    judged = controller.open_run(tmp_path, told, results(looks()), os.getpid(), dry=False)
    world = World()
    assert drive(judged["directory"], world)["outcome"] == "done"
    assert {host: told["state"] for host, told in world.told("ops_traffic")} == {
        "tutor2": "serving",
        "tutor1": "maintenance",
    }


def test_a_plan_is_the_same_read_back(tmp_path: Path) -> None:
    run = runs.Run(Path(begin(tmp_path)["directory"]))
    assert Plan.from_dict(json.loads(json.dumps(run.plan.as_dict()))) == run.plan


def test_a_line_that_a_crash_cut_short_is_no_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("lock", "begin", "tutor1")
    whole = journal.path.read_bytes()
    for length in (1, len(whole) // 2, len(whole) - 1):
        journal.path.write_bytes(whole + whole[:length])
        assert len(journal.read()) == 1
        journal.write("lock", "ok", "tutor1")
        assert [entry.phase for entry in journal.read()] == ["begin", "ok"]
    journal.path.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(OpsError, match="line 1 is damaged"):
        journal.read()


WRITER = """
import sys
from pathlib import Path
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(100000):
    journal.write("lock", "ok", sys.argv[2], {"number": number})
    print(number, flush=True)
"""


def test_writers_that_are_killed_leave_only_whole_lines(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _round in range(3):
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path), name], stdout=subprocess.PIPE, text=True, env=environ
            )
            for name in ("tutor1", "tutor2")
        ]
        told = {}
        for writer, name in zip(writers, ("tutor1", "tutor2")):
            assert writer.stdout
            for _line in range(rng.randrange(1, 30)):
                told[name] = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        entries = Journal(tmp_path).read()
        for name, number in told.items():
            numbers = [entry.data["number"] for entry in entries if entry.host == name]
            assert number in numbers, "what was told to be written is there"
