# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict of a drill, as a pure function of what was found and of the drills before it.

failed: something is wrong. inconclusive: nothing was found wrong, and something could not be looked at. passed: everything
that a drill of this level looks at was looked at, and nothing is wrong. A warning becomes a finding with an owner and a
date, and is no reason to fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status, by_severity
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import one_line

SCHEMA = "ops.drill/1"
# As many as a year has halves of: enough for a trend, and a table that fits on a screen.
TREND = 6


@dataclass(frozen=True)
class Drill:
    """What a drill is: ``owner`` of its findings, days until they are due, targets in seconds."""

    run_id: str
    at: str  # UTC ISO
    level: int
    rto: float
    rpo: float
    owner: str
    due_days: int

    @property
    def day(self) -> date:
        """The day of the drill, UTC."""
        return date.fromisoformat(self.at[:10])


def judge(
    drill: Drill,
    rehearsals: Sequence[Mapping[str, Any]],
    switchovers: Sequence[Mapping[str, Any]],
    checks: Sequence[Check],
    history: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Any], list[Check]]:
    """Return the record of a drill, and the checks that are made of it alone.

    ``rehearsals`` are results of drill_scratch, ``switchovers`` ``{"step", "seconds", "rto_s", "rpo_s", "error"}`` of a real
    one, ``checks`` everything else that was found, ``history`` the records of earlier drills, oldest first.
    """
    say = AREA.reporter(source="drill")
    own = [check for one in rehearsals for check in map(Check.from_dict, one.get("checks") or ())]
    own += list(_incomplete(say, drill, rehearsals, switchovers))
    rto, rpo = _reached(drill, rehearsals, switchovers)
    own += [_target(say, "rto", rto, drill.rto), _target(say, "rpo", rpo, drill.rpo)]
    everything = [*own, *checks]
    verdict, reasons = _verdict(everything)
    found = _findings(drill, everything, history)
    late = [one for one in found["open"] if one["overdue"]]
    extra = [
        say.find(
            "drill.overdue",
            Status.WARNING,
            "drill.overdue_is",
            item=one["key"],
            what=one["check"]["summary"],
            since=one["since"],
            due=one["due"],
            owner=one["owner"] or "?",
        )  # fmt: skip
        for one in late
    ]
    names = ", ".join(f"{check.id} {check.item}".strip() for check in reasons[:5])
    status = {"passed": Status.OK, "failed": Status.CRITICAL, "inconclusive": Status.UNKNOWN}[verdict]
    extra.append(say.find("drill.verdict", status, f"drill.verdict_{verdict}", names=names))
    restores = [_restore(one) for one in rehearsals]
    record = {
        "schema": SCHEMA,
        "run_id": drill.run_id,
        "at": drill.at,
        "level": drill.level,
        "verdict": verdict,
        "reasons": [_kept(check) for check in reasons],
        "rto_s": rto,
        "rpo_s": rpo,
        "targets": {"rto_s": drill.rto, "rpo_s": drill.rpo},
        "restores": restores,
        "steps": _steps(rehearsals, switchovers),
        "findings": found["open"],
        "closed": found["closed"],
        "trend": _trend(drill, verdict, rto, rpo, restores, history),
    }
    # What drill_scratch found is in its own result already.
    made = [check for check in own if check.source != "drill_scratch" and check.source != "sqlite_backup_verify"]
    return record, [*made, *extra]


def switch_of(step: str, closed: Mapping[str, Any], error: str) -> dict[str, Any]:
    """Return one real switchover out of what the run of it said at its end, or why there was none."""
    outcome = str(closed.get("outcome") or "")
    steps = [
        {"step": one["step"], "seconds": one["seconds"]}
        for one in closed.get("steps") or []
        if one.get("seconds") is not None
    ]
    said = "" if outcome == "done" else str(error or closed.get("msg") or outcome or "no result")
    return {
        "step": step,
        "seconds": round(sum(one["seconds"] for one in steps), 3),
        "rto_s": closed.get("rto_s"),
        "rpo_s": closed.get("rpo_s"),
        "steps": steps,
        "error": one_line(said, 300),
        # Of a run that never began to act nothing is known but that it did not take place.
        "skipped": outcome in ("", "nothing", "planned", "abandoned") and not steps,
    }


def _incomplete(
    say: Reporter, drill: Drill, rehearsals: Sequence[Mapping[str, Any]], switchovers: Sequence[Mapping[str, Any]]
) -> list[Check]:
    """Return a check for each part that has no result, and one for the shadow promotion of the standby."""
    found = []
    for one in rehearsals:
        if "verdict" not in one:
            error = str(one.get("msg") or "no result")[:300]
            found.append(
                say.find(
                    "drill.restored",
                    Status.UNKNOWN,
                    "drill.restored_unknown",
                    item=str(one.get("name") or "?"),
                    error=error,
                )
            )
    if not rehearsals:
        found.append(
            say.find(
                "drill.restored", Status.UNKNOWN, "drill.restored_unknown", item="drill", error="nothing was tried"
            )
        )
    if drill.level >= 2:
        for one in switchovers:
            told: dict[str, Any] = {"item": one["step"], "step": one["step"]}
            if one.get("skipped"):
                status, sentence = Status.UNKNOWN, "drill.rehearsal_unseen"
            elif one.get("error"):
                status, sentence = Status.CRITICAL, "drill.rehearsal_failed"
            else:
                status, sentence = Status.OK, "drill.rehearsal_done"
            rest: dict[str, Any] = {"seconds": one.get("seconds") or 0.0, "error": one.get("error") or "no result"}
            found.append(say.find("drill.rehearsal", status, sentence, **told, **rest))
        if not switchovers:
            found.append(
                say.find(
                    "drill.rehearsal",
                    Status.UNKNOWN,
                    "drill.rehearsal_unseen",
                    item="switchover",
                    step="switchover",
                    error="no result",
                )  # fmt: skip
            )
    shadow = next((one for one in rehearsals if one.get("source") == "replica"), None)
    if shadow is not None and "verdict" in shadow:
        if shadow.get("served"):
            found.append(say.find("drill.rehearsal", Status.OK, "drill.rehearsal_shadow", item="shadow"))
        elif shadow["verdict"] != "passed":
            bad = [
                check
                for check in map(Check.from_dict, shadow["checks"])
                if check.status in (Status.CRITICAL, Status.UNKNOWN)
            ]
            status = Status.CRITICAL if shadow["verdict"] == "failed" else Status.UNKNOWN
            error = bad[0].summary if bad else "?"
            found.append(say.find("drill.rehearsal", status, "drill.rehearsal_shadow_not", item="shadow", error=error))
        else:
            # Passed without having served: nobody said how the application is started, so nothing was rehearsed.
            found.append(
                say.find(
                    "drill.rehearsal",
                    Status.UNKNOWN,
                    "drill.rehearsal_shadow_not",
                    item="shadow",
                    error="the application was not started",
                )  # fmt: skip
            )
    return found


def _reached(
    drill: Drill, rehearsals: Sequence[Mapping[str, Any]], switchovers: Sequence[Mapping[str, Any]]
) -> tuple[float | None, float | None]:
    """Return RTO and RPO: of the real switchovers where there were any, else of the standby, else of the backup."""
    if drill.level >= 2:
        rto = [one["rto_s"] for one in switchovers if one.get("rto_s") is not None]
        rpo = [one["rpo_s"] for one in switchovers if one.get("rpo_s") is not None]
        return (max(rto) if rto else None), (max(rpo) if rpo else None)
    # The backup stands in where there is no standby, not where the standby could not be looked at.
    standby = [one for one in rehearsals if "replica" in (one.get("source"), one.get("name"))]
    for one in standby or [one for one in rehearsals if one.get("source") == "snapshot"]:
        if one.get("rto_s") is not None:
            return one["rto_s"], one.get("rpo_s")
    return None, None


def _target(say: Reporter, name: str, value: float | None, target: float) -> Check:
    if value is None:
        return say.find(
            f"drill.{name}", Status.UNKNOWN, f"drill.{name}_unknown", reason="insufficient_data", target=target
        )
    status = Status.OK if value <= target else Status.CRITICAL
    reason = "ok" if status is Status.OK else "threshold"
    return say.find(f"drill.{name}", status, f"drill.{name}_is", reason=reason, value=value, target=target)


def _verdict(checks: Sequence[Check]) -> tuple[str, list[Check]]:
    """Return the verdict, and the checks that are the reasons for it."""
    failed = [check for check in by_severity(checks) if check.status is Status.CRITICAL]
    unseen = [check for check in by_severity(checks) if check.status is Status.UNKNOWN]
    if failed:
        return "failed", [*failed, *unseen]
    return ("inconclusive", unseen) if unseen or not checks else ("passed", [])


def _findings(
    drill: Drill, checks: Sequence[Check], history: Sequence[Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Fold the findings of the last drill with what was found now: those still open first, the oldest first.

    One is closed by a drill that looked at the same thing and found it well; one that was not looked at stays open.
    """
    before = list(history[-1].get("findings") or []) if history else []
    now = {check.key: check for check in checks}
    bad = {key: check for key, check in now.items() if check.status not in (Status.OK, Status.SKIPPED)}
    kept, closed = [], []
    for one in before:
        check = now.get(one["key"])
        if check is not None and check.status is Status.OK:
            closed.append({**one, "closed": drill.at[:10]})
        else:
            seen = _kept(check) if check is not None and one["key"] in bad else one["check"]
            owner = one.get("owner") or drill.owner
            kept.append({**one, "check": seen, "owner": owner, "overdue": one["due"] < drill.at[:10], "new": False})
    known = {one["key"] for one in kept}
    due = (drill.day + timedelta(days=drill.due_days)).isoformat()
    fresh = [
        {
            "key": check.key,
            "check": _kept(check),
            "owner": drill.owner,
            "since": drill.at[:10],
            "due": due,
            "overdue": False,
            "new": True,
        }
        for check in by_severity(bad.values())
        if check.key not in known
    ]
    return {"open": [*sorted(kept, key=lambda one: one["since"]), *fresh], "closed": closed}


def _kept(check: Check) -> dict[str, Any]:
    """Return what of a check its sentence needs in either language."""
    whole = check.as_dict()
    names = "id group item status reason summary message params value uom warn crit".split()
    return {name: whole[name] for name in names}


def _restore(one: Mapping[str, Any]) -> dict[str, Any]:
    seconds = one.get("seconds") or {}
    return {
        "name": one.get("name") or "?",
        "host": one.get("host") or "",
        "source": one.get("source") or "",
        "verdict": one.get("verdict") or "inconclusive",
        "restore_s": seconds.get("restore"),
        "rto_s": one.get("rto_s"),
        "rpo_s": one.get("rpo_s"),
        "rows": sum((one.get("rows") or {}).values()),
        "newest": one.get("newest") or "",
        "seed": one.get("seed") if one.get("source") == "moment" else None,
        "moment": (one.get("moment") or {}).get("moment", ""),
    }


def _steps(rehearsals: Sequence[Mapping[str, Any]], switchovers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = [
        {"part": one.get("name") or "?", "step": step, "seconds": seconds}
        for one in rehearsals
        for step, seconds in (one.get("seconds") or {}).items()
        if step != "total"
    ]
    for one in switchovers:
        inner = one.get("steps") or []
        found += [{"part": one["step"], "step": each["step"], "seconds": each["seconds"]} for each in inner]
        if not inner and one.get("seconds") is not None:
            found.append({"part": one["step"], "step": "total", "seconds": one["seconds"]})
    return found


def _trend(
    drill: Drill,
    verdict: str,
    rto: float | None,
    rpo: float | None,
    restores: Sequence[Mapping[str, Any]],
    history: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the last drills and this one, oldest first, with what each took."""
    now = {
        "at": drill.at, "level": drill.level, "verdict": verdict, "rto_s": rto, "rpo_s": rpo,
        "restore_s": _slowest(restores),
    }  # fmt: skip
    past = [
        {
            "at": one.get("at", ""), "level": one.get("level", 1), "verdict": one.get("verdict", ""),
            "rto_s": one.get("rto_s"), "rpo_s": one.get("rpo_s"), "restore_s": _slowest(one.get("restores") or ()),
        }
        for one in history[-TREND:]
    ]  # fmt: skip
    return [*past, now]


def _slowest(restores: Sequence[Mapping[str, Any]]) -> float | None:
    took = [one["restore_s"] for one in restores if one.get("restore_s") is not None]
    return max(took) if took else None
