# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run ended, and its numbers: all of them from the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.decide import Decision
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.journal import Entry, first, last
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.judge import seconds_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.plan import (
    POINT_OF_NO_RETURN,
    TURN_EPOCH,
    TURN_GRANT,
    UNDO,
    Plan,
    Step,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import one_line

ACCEPTED = "accepted"
# Of a path that is not an outcome by its own name: what was to be done next was not.
OUTCOMES = {"forward": "needs_human", "rollback": "needs_human", "turn": "needs_human", "human": "needs_human"}
OUTCOMES["turned"] = "rolled_back"
FAILED = ("refused", "rolled_back", "needs_human")
STATUS = {
    "refused": Status.CRITICAL,
    "rolled_back": Status.CRITICAL,
    "needs_human": Status.CRITICAL,
    "degraded": Status.WARNING,
}


def durations(plan: Plan, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return each step that was begun: seconds from its first begin to its last end, and how it ended on which hosts."""
    found = []
    for step in (*plan.steps, plan.undo, *plan.turn):
        begin = first(entries, step.name, "begin")
        if begin is None:
            continue
        ends = [entry for entry in entries if entry.step == step.name and entry.phase in ("ok", "fail")]
        newest = {entry.host: entry.phase for entry in ends}
        found.append(
            {
                "step": step.name,
                "seconds": round(ends[-1].since(begin), 3) if ends else None,
                "hosts": newest,
                "errors": {e.host: str(e.data.get("error", "")) for e in ends if newest[e.host] == "fail"},
            }
        )
    return found


def numbers(plan: Plan, entries: Sequence[Entry]) -> dict[str, float | None]:
    """Return RTO (from the decision until users are served), the gap without service, and RPO, in seconds; None: unknown.

    Where the old primary was asked for its last change, and the new one has it, nothing is lost. Where it could not be,
    what was written after the newest change that arrived and before the run began may be: the RPO is at most that.
    """
    served = last(entries, "switch", "ok") or last(entries, "grant", "ok")
    back = last(entries, TURN_GRANT, "ok") or last(entries, UNDO, "ok", plan.old)
    accepted = first(entries, ACCEPTED, "note")
    ended = first(entries, "quiesce", "begin")
    end = back or served
    gap = end.since(ended) if end and ended else None
    rto = end.since(accepted) if end and accepted else None
    if gap is None:
        gap = rto
    return {"rto_s": _rounded(rto), "gap_s": _rounded(gap), "rpo_s": _rounded(_loss(plan, entries))}


def _loss(plan: Plan, entries: Sequence[Entry]) -> float | None:
    promoted = last(entries, "promote", "ok")
    if promoted is None or first(entries, POINT_OF_NO_RETURN, "begin") is None:
        return 0.0
    step = plan.step("promote")
    if step is not None and any("digest" in call.options for call in step.calls.values()):
        return 0.0
    told = promoted.data.get("rpo")
    newest = seconds_of(told.get("newest_at")) if isinstance(told, Mapping) else None
    return None if newest is None else max(0.0, plan.fault_at - newest)


def _rpo(entries: Sequence[Entry]) -> dict[str, Any]:
    promoted = last(entries, "promote", "ok")
    told = promoted.data.get("rpo") if promoted else None
    return dict(told) if isinstance(told, Mapping) else {}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def conclude(plan: Plan, entries: Sequence[Entry], decision: Decision, journal: str) -> dict[str, Any]:
    """Return the result of a run: what is recorded, and its checks."""
    outcome = OUTCOMES.get(decision.path, decision.path)
    told = numbers(plan, entries)
    changed = any(entry.phase == "ok" and entry.data.get("changed") for entry in entries)
    result: dict[str, Any] = {
        "outcome": outcome,
        "mode": plan.mode,
        "way": plan.way,
        "condition": plan.condition,
        "old": plan.old,
        "target": plan.target,
        "epoch": _epoch(plan, entries),
        "run_id": plan.run_id,
        "steps": durations(plan, entries),
        "expected": dict(plan.expected),
        "left": list(decision.left),
        "journal": journal,
        "changed": changed,
        "rpo": _rpo(entries),
        **told,
    }
    checks = [_outcome(result, decision)]
    if outcome in ("done", "degraded") or decision.path == "turned":
        checks.append(_protected(plan, entries, decision))
    return {**result, "checks": [check.as_dict() for check in checks], "msg": checks[0].summary}


def _epoch(plan: Plan, entries: Sequence[Entry]) -> int:
    if first(entries, TURN_EPOCH, "ok"):
        return plan.new_epoch + 1
    return plan.new_epoch if first(entries, POINT_OF_NO_RETURN, "ok") else plan.epoch


def _outcome(result: Mapping[str, Any], decision: Decision) -> Check:
    sentence = result["outcome"]
    if (sentence, result["way"]) == ("rolled_back", "emergency"):
        sentence = "called_off"
    elif sentence == "needs_human" and _passed(result):
        sentence = "only_forward"
    words = {key: result[key] for key in ("old", "target", "epoch", "run_id", "journal")}
    return AREA.reporter(source="controller").find(
        "failover.refused" if result["outcome"] == "refused" else "failover.outcome",
        STATUS.get(result["outcome"], Status.OK),
        f"failover.outcome.{sentence}",
        step=decision.step,
        error=decision.error[:300],
        gap=result["gap_s"] or 0.0,
        rpo=result["rpo_s"] or 0.0,
        left=", ".join(decision.left),
        why=decision.error[:300],
        **words,
    )


def _passed(result: Mapping[str, Any]) -> bool:
    return any(one["step"] == POINT_OF_NO_RETURN for one in result["steps"])


def _protected(plan: Plan, entries: Sequence[Entry], decision: Decision) -> Check:
    say = AREA.reporter(source="controller")
    step: Step | None = plan.step("protected")
    if step is not None and not ({"protected", "reprotect"} & set(decision.left)):
        return say.find("failover.protected", Status.OK, "failover.ok", item=plan.old)
    fail = last(entries, "protected", "fail") or last(entries, "reprotect", "fail")
    if decision.path == "turned":
        item, error = plan.target, "the replication begins anew with playbook standby"
    else:
        item, error = plan.old, str(fail.data.get("error", "")) if fail else f"{plan.old} does not answer"
    error = one_line(error, 200)
    return say.find("failover.protected", Status.WARNING, "failover.unprotected", item=item, error=error)
