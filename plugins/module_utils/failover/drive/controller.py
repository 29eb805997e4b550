# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as the controller drives it: judged, begun or gone on with, step by step, decided about, ended.

Each function is one task of the role. All that lies between two of them is on the controller's disk.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import command, proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive import decide as deciding
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive import outcome, runs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.journal import Entry, last
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.judge import (
    Hosts,
    Judgement,
    Request,
    answers,
    highest_epoch,
    judge,
    part,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.plan import (
    POINT_OF_NO_RETURN,
    TURN_FENCE,
    Call,
    Plan,
    Settings,
    filled,
    full_name,
    make_plan,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.grant import boottime
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import one_line

LOOKS = "looks.json"
# Keys of a module's result that the journal has no use for.
LEFT_OUT = frozenset({"diff", "invocation", "warnings", "deprecations", "exception", "before", "after", "checks"})
PAUSE = 0.3
STONITH_SECONDS = 60.0
RESULT_CHARS = 2000

# Of the module ops_failover, and of the action of the same name, which needs no process of its own.
SPEC: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["look", "judge", "step", "decide", "close", "ended"], "required": True},
    "dest": {"type": "path"},
    "options": {"type": "dict"},
    "looks": {"type": "dict"},
    "dry": {"type": "bool", "default": False},
    "directory": {"type": "path"},
    "step": {"type": "str"},
    "judged": {"type": "dict"},
}
REQUIRED = [
    ("state", "look", ["options"]),
    ("state", "judge", ["dest", "options", "looks"]),
    ("state", "step", ["directory", "step"]),
    ("state", "decide", ["directory"]),
    ("state", "close", ["judged"]),
    ("state", "ended", ["dest", "looks"]),
]

Execute = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


def look_of(result: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the look in a registered result, or why there is none."""
    if isinstance(result, Mapping) and isinstance(result.get("look"), Mapping):
        return dict(result["look"])
    said = str((result or {}).get("msg") or "no answer")
    return {"unreachable": one_line(said, 300)}


def open_run(base: Path, options: Mapping[str, Any], looks: Mapping[str, Any], pid: int, dry: bool) -> dict[str, Any]:
    """Judge, and begin a run or go on with one; changes nothing in a dry run or when refused."""
    hosts, request, settings = _read(options, dry)
    seen = {name: look_of(looks.get(name)) for name in hosts.all}
    request = replace(request, ended=ended(base, seen))
    abandon = str(options.get("abandon") or "")
    refusal, old = _unfinished(base, request, abandon, pid)
    if refusal is None and old is not None and abandon != old.run_id:
        refusal = _overtaken(old, seen)
    if refusal is None and old is not None and not dry:
        return _resume(old, pid, abandon == old.run_id)
    judged = judge(hosts, request, seen)
    checks = [*([refusal] if refusal else []), *judged.checks]
    refused = [check for check in checks if check.status is Status.CRITICAL]
    told = _told(judged, request, [*checks, *_held(checks)])
    if refused:
        told.update(_outcome(judged, request, "refused", why="; ".join(c.summary for c in refused)))
        if not dry:
            runs.refused(base, request.run_id, {key: value for key, value in told.items() if key != "verdict"})
        return told
    if judged.way == "nothing":
        return {**told, **_outcome(judged, request, "nothing")}
    alive = [name for name in hosts.all if answers(seen[name])]
    plan = make_plan(hosts, request, judged, alive, settings)
    told["plan"] = [{"step": step.name, "hosts": list(step.calls), "soft": step.soft} for step in plan.steps]
    if dry:
        return {**told, **_outcome(judged, request, "planned")}
    with runs.is_alone(base):
        refusal, old = _unfinished(base, request, "", pid)
        if refusal or old:
            raise OpsError(refusal.summary if refusal else f"run {old.run_id if old else ''} was begun meanwhile")
        run = runs.begin(base, plan)
        run.own(pid, epochs.now())
    durable.write(run.directory / LOOKS, json.dumps(seen, ensure_ascii=False, indent=1, default=str) + "\n")
    run.journal.write(outcome.ACCEPTED, "note", data={"checks": [check.summary for check in checks]})
    return {**told, "act": True, "directory": str(run.directory), "run_id": run.run_id, "resumed": False}


def task(params: Mapping[str, Any], check_mode: bool, pid: int) -> dict[str, Any]:
    """Do what ``state`` says, but for a look and a step, which need a host."""
    if params["state"] == "judge":
        dry = params["dry"] or check_mode
        return open_run(Path(params["dest"]), params["options"], params["looks"], pid, dry)
    if params["state"] == "decide":
        return decide(Path(params["directory"]))
    if params["state"] == "ended":
        looks = {name: look_of(result) for name, result in params["looks"].items()}
        return {"changed": False, "ended": ended(Path(params["dest"]), looks)}
    judged = params["judged"]
    return close(Path(judged["directory"])) if judged.get("act") else refuse(judged)


def ended(base: Path, looks: Mapping[str, Any]) -> list[str]:
    """Return the runs of this controller that are over and still hold a host, which did not answer in their end."""
    held = {part(look, "lock", "run_id") for look in looks.values()}
    return [run.run_id for run in runs.runs(base) if run.run_id in held and not run.is_open]


def _read(options: Mapping[str, Any], dry: bool) -> tuple[Hosts, Request, Settings]:
    try:
        request = Request(**{**options["request"], "now": time.time(), "dry": dry})
        return Hosts(**options["hosts"]), request, Settings(**options["settings"])
    except (TypeError, KeyError) as exc:
        raise OpsError(f"the options of this run cannot be read: {exc}") from exc


def _unfinished(base: Path, request: Request, abandon: str, pid: int) -> tuple[Check | None, runs.Run | None]:
    """Return what forbids to begin, or the run to go on with."""
    say = AREA.reporter(source="controller")
    for run in reversed(runs.runs(base)):
        if not run.is_open:
            continue
        plan, driver = run.plan, run.driver()
        words = {"run_id": run.run_id, "mode": plan.mode, "target": plan.target}
        if driver and driver["pid"] != pid:
            words.update(since=driver["since"], pid=driver["pid"])
            return say.find("failover.run", Status.CRITICAL, "failover.running", **words), None
        if abandon == run.run_id or (plan.mode, plan.target) == (request.mode, request.target):
            return None, run
        return say.find("failover.open_run", Status.CRITICAL, "failover.left_open", **words), None
    return None, None


def _overtaken(run: runs.Run, looks: Mapping[str, Any]) -> Check | None:
    """Return what forbids to go on with a run: another one, from elsewhere, has given the service to somebody since."""
    plan = run.plan
    epoch, owners = highest_epoch(looks)
    own = {plan.epoch: plan.old, plan.new_epoch: plan.target, plan.new_epoch + 1: plan.old}
    if owners == [own.get(epoch)]:
        return None
    return AREA.reporter(source="controller").find(
        "failover.open_run",
        Status.CRITICAL,
        "failover.overtaken",
        run_id=run.run_id,
        target=plan.target,
        wanted=plan.new_epoch,
        epoch=epoch,
        seen=", ".join(owners) or "nobody",
    )


def _resume(run: runs.Run, pid: int, abandoned: bool) -> dict[str, Any]:
    run.own(pid, epochs.now())
    plan = run.plan
    run.journal.write(deciding.RESUME, "note")
    if abandoned:
        run.journal.write(deciding.DECIDE, "note", data={"path": "abandoned"})
    return {
        "act": True,
        "changed": False,
        "resumed": True,
        "directory": str(run.directory),
        "run_id": run.run_id,
        "conditions": [],
        "old": plan.old,
        "target": plan.target,
        "way": plan.way,
        "mode": plan.mode,
        "plan": [{"step": step.name, "hosts": list(step.calls), "soft": step.soft} for step in plan.steps],
    }


def _told(judged: Judgement, request: Request, checks: list[Check]) -> dict[str, Any]:
    return {
        "act": False,
        "changed": False,
        "mode": request.mode,
        "way": judged.way,
        "condition": judged.condition,
        "old": judged.old,
        "target": judged.target,
        "epoch": judged.epoch,
        "expected": dict(judged.expected),
        "conditions": [check.as_dict() for check in checks],
        "run_id": request.run_id,
        "plan": [],
    }


def _held(checks: list[Check]) -> list[Check]:
    """Return a check for each condition that was looked at and found to hold."""
    say, found = AREA.reporter(source="controller"), {check.id for check in checks}
    left_out = found | {"failover.outcome", "failover.refused", "failover.protected", "failover.state"}
    return [say.find(name, Status.OK, "failover.ok") for name in AREA.rules if name not in left_out]


def _outcome(judged: Judgement, request: Request, name: str, why: str = "") -> dict[str, Any]:
    status = Status.CRITICAL if name == "refused" else Status.OK
    check = AREA.reporter(source="controller").find(
        "failover.refused" if name == "refused" else "failover.outcome",
        status,
        f"failover.outcome.{name}",
        target=judged.target,
        old=judged.old,
        epoch=judged.epoch + 1,
        gap=judged.expected["gap_s"],
        rpo=judged.expected["rpo_s"],
        why=why,
        journal="(none)",
    )
    chinese = AREA.sentences[check.message].render("zh", check.words)
    return {"outcome": name, "msg": check.summary, "msg_zh": chinese, "verdict": check.as_dict()}


def do_step(directory: Path, name: str, host: str, execute: Execute) -> dict[str, Any] | None:
    """Do a host's part of a step and journal it; None when it has none now. Raises what ``execute`` raises."""
    run = runs.Run(directory)
    plan, entries = run.plan, run.journal.read()
    step = plan.step(name)
    if step is None or not deciding.may_begin(plan, entries, name, host):
        return None
    call = step.calls[host]
    run.journal.write(name, "begin", host)
    try:
        result = dict(_called(plan, entries, call, execute))
        if name == TURN_FENCE and not result.get("failed"):
            _same_content(entries, result)
    except OpsError as exc:
        result = {"failed": True, "msg": str(exc)}
    except BaseException as exc:
        run.journal.write(name, "fail", host, {"error": one_line(exc, RESULT_CHARS) or type(exc).__name__})
        raise
    kept = {key: value for key, value in result.items() if key not in LEFT_OUT and not key.startswith("_ansible")}
    if result.get("failed") or result.get("unreachable"):
        said = one_line(result.get("msg") or result, RESULT_CHARS)
        run.journal.write(name, "fail", host, {"error": said})
        return {**result, "failed": True, "msg": said}
    run.journal.write(name, "ok", host, {**kept, "changed": bool(result.get("changed"))})
    return result


def _called(plan: Plan, entries: list[Entry], call: Call, execute: Execute) -> Mapping[str, Any]:
    options = filled(call.options, entries)
    if call.module == "wait":
        return _wait(entries, options["seconds"])
    if call.module == "stonith":
        return _stonith(options["argv"])
    end = time.monotonic() + call.wait
    while True:
        result = execute(full_name(call.module), options)
        missing = _missing(plan, call, result)
        if not missing:
            return result
        if time.monotonic() >= end:
            return {**result, "failed": True, "msg": missing}
        time.sleep(PAUSE)


def _same_content(entries: list[Entry], result: Mapping[str, Any]) -> None:
    """Raise OpsError when the new primary holds other rows than the old one was left with: it took writes."""
    before = last(entries, "quiesce", "ok")
    told = [(one or {}).get("digest") or {} for one in (before.data if before else None, result)]
    here, there = ({key: one.get(key) for key in ("schema", "tables")} for one in told)
    if here["schema"] is None or here != there:
        raise OpsError(
            "the new primary holds other rows than the old one was left with: expected the same. It took writes, which would "
            "be lost with a way back: repair it and give the same command again"
        )


def _missing(plan: Plan, call: Call, result: Mapping[str, Any]) -> str:
    """Say what a result that is waited for does not have yet; a call without ``wait`` is not asked."""
    if not call.wait:
        return ""
    if result.get("failed"):
        return str(result.get("msg") or "it failed")
    if call.module != "failover_look":
        return ""
    seen, unbroken = part(result, "look", "replica", "epoch"), part(result, "look", "replica", "chain_unbroken")
    if seen == plan.new_epoch and unbroken:
        return ""
    return f"the replica is of epoch {seen}: expected an unbroken one of epoch {plan.new_epoch} within {call.wait:g} s"


def _wait(entries: list[Entry], seconds: float) -> dict[str, Any]:
    """Wait until the old primary has surely ended by itself: so long after the last witness has the new epoch."""
    if last(entries, "stonith", "ok"):
        return {"changed": False, "waited": 0.0, "evidence": ["the stonith command succeeded: no need to wait"]}
    raised = last(entries, POINT_OF_NO_RETURN, "ok")
    if raised is None:
        raise OpsError("the epoch was not raised: expected it before the wait")
    here = Entry("wait", "note", "", time.time(), boottime(), proc.boot_id())
    left = min(seconds, max(0.0, seconds - max(0.0, here.since(raised))))
    time.sleep(left)
    return {"changed": False, "waited": round(left, 3)}


def _stonith(argv: list[str]) -> dict[str, Any]:
    done = command.run(argv, STONITH_SECONDS)
    if done.rc != 0:
        raise OpsError(
            f"{argv[0]} ended with {done.rc} ({done.complaint}): expected it to power the host off and exit 0"
        )
    return {"changed": True, "evidence": [f"{argv[0]} exited 0"]}


def decide(directory: Path) -> dict[str, Any]:
    """Decide where the run goes, and write it down."""
    run = runs.Run(directory)
    decision = deciding.decide(run.plan, run.journal.read())
    run.journal.write(deciding.DECIDE, "note", data=vars(decision))
    return {"changed": False, **vars(decision), "left": list(decision.left)}


def close(directory: Path) -> dict[str, Any]:
    """End a run: its numbers and its outcome, on the disk and as the result."""
    run = runs.Run(directory)
    plan, entries = run.plan, run.journal.read()
    chosen = last(entries, deciding.DECIDE, "note")
    if chosen is None:
        raise OpsError(f"{run.journal.path} holds no decision: expected one before the end")
    decision = deciding.Decision(**{**chosen.data, "left": tuple(chosen.data.get("left", ()))})
    result = outcome.conclude(plan, entries, decision, str(run.journal.path))
    run.end(result)
    return {**result, "failed": result["outcome"] in outcome.FAILED}


def refuse(judged: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a run that did not begin: refused, nothing to do, or only looked at."""
    name = judged.get("outcome", "refused")
    keys = ("mode", "way", "condition", "old", "target", "epoch", "expected", "run_id", "plan")
    told = {key: judged[key] for key in keys if key in judged}
    verdict = judged.get("verdict")
    checks = [*([verdict] if verdict else []), *judged.get("conditions", ())]
    failed = name in outcome.FAILED
    return {**told, "outcome": name, "changed": False, "failed": failed, "checks": checks, "msg": judged.get("msg", "")}
