# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run stands, and where it may go: a pure function of its plan and its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.journal import Entry, first, last
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.plan import (
    LOCK,
    POINT_OF_NO_RETURN,
    TURN_EPOCH,
    TURN_FENCE,
    UNDO,
    UNLOCK,
    Plan,
    Step,
)

RESUME, DECIDE = "resume", "decide"
# Once chosen, nothing but taking back goes on.
BACK = ("rollback", "rolled_back", "turn", "turned", "abandoned")
TURN = ("turn", "turned")
# What a new primary that was ended again has to do again.
SERVING = ("grant", "probe", "switch", "reprotect", "protected")
OVER = ("done", "degraded", "refused", "rolled_back", "turned", "abandoned")
# What is tried again by the same run after the point of no return, before a person is called.
FORWARD_TRIES = 1


@dataclass(frozen=True)
class Decision:
    """``path``: where to go (forward, rollback, turn), or where it is (done, degraded, refused, rolled_back, turned, human).

    ``step`` is what failed, with its ``error``.
    """

    path: str
    step: str = ""
    host: str = ""
    error: str = ""
    left: Sequence[str] = ()


def passed(entries: Sequence[Entry]) -> bool:
    """Tell whether the point of no return was begun."""
    return first(entries, POINT_OF_NO_RETURN, "begin") is not None


def current(entries: Sequence[Entry]) -> list[Entry]:
    """Return the lines that still count.

    A controller that comes back before the point of no return proves everything anew, since somebody may have put things
    right by hand meanwhile: each step may be repeated. After it what was done is done.
    """
    if passed(entries):
        ended = max((n for n, e in enumerate(entries) if (e.step, e.phase) == (TURN_FENCE, "begin")), default=-1)
        return [entry for number, entry in enumerate(entries) if number > ended or entry.step not in SERVING]
    return _since_resume(entries)


def good(step: Step, entries: Sequence[Entry]) -> list[str]:
    """Return the hosts on which a step has ended well."""
    newest = {entry.host: entry.phase for entry in entries if entry.step == step.name}
    return [host for host in step.calls if newest.get(host) == "ok"]


def complete(step: Step, entries: Sequence[Entry]) -> bool:
    """Tell whether a step is done."""
    hosts = good(step, entries)
    return set(step.required) <= set(hosts) and len(hosts) >= step.need


def may_begin(plan: Plan, entries: Sequence[Entry], name: str, host: str) -> bool:
    """Tell whether a host may do its part of a step now."""
    step = plan.step(name)
    if step is None or host not in step.calls:
        return False
    counted = current(entries)
    chosen = way_chosen(entries)
    path = chosen.data.get("path") if chosen else ""
    if name == UNDO:
        undone = good(step, _after(entries, _begun_back(entries)))
        return path == "rollback" and host in touched(entries) and host not in undone
    if name == UNLOCK:
        return path in OVER and host not in good(step, _after(entries, chosen))
    if name in [one.name for one in plan.turn]:
        way = plan.turn if path == "turn" else ()
    else:
        way = () if path in BACK else plan.steps
    if not way or host in good(step, counted) or (name == TURN_FENCE and _done(step, entries)):
        return False
    before = way[: [one.name for one in way].index(name)]
    if any(one.name == step.after and host in set(one.calls) - set(good(one, counted)) for one in before):
        return False
    return all(one.soft or _done(one, entries) for one in before)


def _done(step: Step, entries: Sequence[Entry]) -> bool:
    """Tell whether a step is done, or needs not be: who was never granted anything has taken no write."""
    if step.name == TURN_FENCE and first(entries, "grant", "begin") is None:
        return True
    return complete(step, current(entries))


def touched(entries: Sequence[Entry]) -> set[str]:
    """Return the hosts on which more was begun than taking the lock."""
    return {entry.host for entry in entries if entry.phase == "begin" and entry.step not in (LOCK, UNLOCK)}


def way_chosen(entries: Sequence[Entry]) -> Entry | None:
    """Return the decision that holds: the newest of this call, but what is being taken back is never gone on with.

    A way back from beyond the epoch binds once its own epoch was begun; before that the next call begins by going forward.
    """
    return next(reversed(_binding(entries) or _notes(_since_resume(entries))), None)


def _notes(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.step == DECIDE and entry.phase == "note"]


def _binding(entries: Sequence[Entry]) -> list[Entry]:
    """Return the decisions to take back that hold."""
    return [entry for entry in _notes(entries) if entry.data.get("path") in BACK and not _void(entry, entries)]


def _void(note: Entry, entries: Sequence[Entry]) -> bool:
    return note.data.get("path") in TURN and first(entries, TURN_EPOCH, "begin") is None


def _after(entries: Sequence[Entry], entry: Entry | None) -> list[Entry]:
    return list(entries[list(entries).index(entry) + 1 :]) if entry else []


def decide(plan: Plan, entries: Sequence[Entry]) -> Decision:
    """Say where the run goes from here."""
    counted = current(entries)
    chosen = way_chosen(entries)
    if chosen and chosen.data.get("path") == "abandoned":
        return Decision("abandoned")
    if chosen and chosen.data.get("path") in TURN:
        return _turned(plan, entries, chosen)
    if chosen and chosen.data.get("path") in BACK:
        return _rolled_back(plan, entries, chosen)
    hard = next((step for step in plan.steps if not step.soft and not complete(step, counted)), None)
    if hard is None:
        left = [step.name for step in plan.steps if len(good(step, counted)) < len(step.calls)]
        # A witness or proxy that was not reached is put right later; nobody is left unserved.
        soft = [step for step in plan.steps if step.name in left]
        if not soft and plan.way == "planned":
            return Decision("done")
        host, error = _why(soft, counted)
        return Decision("degraded", soft[0].name if soft else "protected", host, error, left or ["protected"])
    host, error = _why([hard], counted)
    if not passed(entries):
        return Decision("rollback" if touched(entries) else "refused", hard.name, host, error)
    tried = [entry.data.get("path") for entry in _notes(_since_resume(entries))]
    # The application's health was asked for again and again already.
    if tried.count("forward") < FORWARD_TRIES and hard.name != "probe":
        return Decision("forward", hard.name, host, error)
    # Nobody was led to the new primary yet: if it can be proved that it took no write, the old one may have the service back.
    unserved = first(entries, "switch", "begin") is None
    return Decision("turn" if plan.turn and unserved and "turn" not in tried else "human", hard.name, host, error)


def _turned(plan: Plan, entries: Sequence[Entry], chosen: Entry) -> Decision:
    told = {name: str(chosen.data.get(name, "")) for name in ("step", "host", "error")}
    hard = next((step for step in plan.turn if not _done(step, entries)), None)
    if hard is None:
        return Decision("turned", left=("protected",), **told)
    begun = [entry for entry in _since_resume(_after(entries, chosen)) if entry.phase == "begin"]
    if not any(entry.step in [step.name for step in plan.turn] for entry in begun):
        return Decision("turn", **told)
    # The new primary took writes, or cannot be asked: it keeps the service, if it can be brought to serve.
    path = "forward" if hard.name == TURN_FENCE else "human"
    return Decision(path, hard.name, *_why([hard], entries))


def _since_resume(entries: Sequence[Entry]) -> list[Entry]:
    begin = max((number for number, entry in enumerate(entries) if entry.step == RESUME), default=-1)
    return list(entries[begin + 1 :])


def _rolled_back(plan: Plan, entries: Sequence[Entry], chosen: Entry) -> Decision:
    after = _after(entries, _begun_back(entries))
    told = {name: str(chosen.data.get(name, "")) for name in ("step", "host", "error")}
    begun = touched(entries)
    undone = good(plan.undo, after)
    if all(host in undone for host in plan.undo.required if host in begun):
        return Decision("rolled_back", **told)
    host, error = _why([plan.undo], after)
    if first(_since_resume(after), UNDO, "begin") is None:
        return Decision("rollback", **told)
    return Decision("human", UNDO, host, error)


def _begun_back(entries: Sequence[Entry]) -> Entry | None:
    """Return the first decision that holds to take back."""
    return next(iter(_binding(entries)), None)


def _why(steps: Sequence[Step], entries: Sequence[Entry]) -> tuple[str, str]:
    """Return the host that kept a step from being done, and what it said."""
    for step in steps:
        done = good(step, entries)
        for host in (*step.required, *step.calls):
            if host in done:
                continue
            entry = last(entries, step.name, "fail", host)
            if entry:
                return host, str(entry.data.get("error", ""))
        for host in step.calls:
            if host not in done:
                return host, "it was not begun or did not end"
    return "", ""
