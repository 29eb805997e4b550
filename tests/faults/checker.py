# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a history: was anything that was promised lost, did two hosts ever serve at once.

Pure functions over what clients were told and what is there in the end. Nothing is taken from the playbook's own word
but how much it says it lost, and that is compared with what was lost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acks import FAIL, MAINTENANCE, OK, UNKNOWN, Ack

# A row is acknowledged before its change is copied, and the copy bears the time at which it was made.
RPO_TOLERANCE = 0.25
SHOWN = 5


@dataclass(frozen=True)
class Account:
    """What may be missing after a failover from a host that could not be asked: writes it acknowledged alone.

    ``node`` and ``epoch`` are of that host; ``fault`` is when it was cut off. ``replicated`` is the moment up to which the
    run says that everything is there, None when it does not say. ``kept`` are the ids that are still to be had: on the old
    host's disk, or in the salvage that was taken from there. Without any of them nothing may be missing.
    """

    node: str
    epoch: int
    fault: float
    replicated: float | None
    kept: Collection[str]

    def excuses(self, ack: Ack) -> bool:
        """Tell whether a write that is missing is one of those that were not copied any more, and is kept."""
        late = self.replicated is None or ack.ended >= self.replicated - RPO_TOLERANCE
        return (ack.node, ack.epoch) == (self.node, self.epoch) and late and ack.id in self.kept


@dataclass(frozen=True)
class Term:
    """The time in which a host surely served: its first commit was before ``first_ended``, its last after ``last_invoked``."""

    epoch: int
    node: str
    first_ended: float
    last_invoked: float
    acks: int


@dataclass
class Verdict:
    """What a history came to. Lists hold the writes themselves, so that a failing one can be read."""

    acked: int = 0
    unknown: int = 0
    failed: int = 0
    proxied: int = 0
    client_errors: int = 0
    told_to_wait: int = 0
    lost: list[Ack] = field(default_factory=list)
    accounted: list[Ack] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    dual: list[Ack] = field(default_factory=list)
    dual_seconds: float = 0.0
    disorder: list[str] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    gap: float | None = None
    gap_from: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)

    @property
    def bad(self) -> bool:
        """Tell whether anything is wrong that must never be."""
        return bool(self.lost or self.phantom or self.duplicates or self.dual or self.disorder)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data: counts, and the first examples of what is wrong."""
        counted = {
            name: len(getattr(self, name))
            for name in ("lost", "accounted", "phantom", "duplicates", "dual", "disorder")
        }
        shown = {
            name: [str(one) for one in getattr(self, name)[:SHOWN]]
            for name in ("lost", "phantom", "duplicates", "dual", "disorder")
            if getattr(self, name)
        }
        return {
            "acked": self.acked,
            "unknown": self.unknown,
            "failed": self.failed,
            "proxied": self.proxied,
            "client_errors": self.client_errors,
            "told_to_wait": self.told_to_wait,
            **counted,
            "dual_seconds": round(self.dual_seconds, 3),
            "gap": None if self.gap is None else round(self.gap, 3),
            "answers": self.answers,
            "terms": [vars(term) for term in self.terms],
            "examples": shown,
        }


def check(acks: Sequence[Ack], there: Sequence[str], account: Account | None = None) -> Verdict:
    """Judge the writes of one run against the ids that the serving host has in the end."""
    found = Verdict()
    counts = Counter(there)
    outcomes: dict[str, str] = {ack.id: ack.outcome for ack in acks}
    for ack in acks:
        if ack.outcome == OK and ack.id not in counts:
            (found.accounted if account and account.excuses(ack) else found.lost).append(ack)
    found.phantom = sorted(name for name in counts if outcomes.get(name, FAIL) == FAIL)
    found.duplicates = sorted(name for name, count in counts.items() if count > 1)
    found.acked = sum(ack.outcome == OK for ack in acks)
    found.unknown = sum(ack.outcome == UNKNOWN for ack in acks)
    found.failed = sum(ack.outcome == FAIL for ack in acks)
    proxied = [ack for ack in acks if ack.via == "proxy"]
    found.proxied = len(proxied)
    found.told_to_wait = sum(ack.outcome != OK and ack.detail == MAINTENANCE for ack in proxied)
    found.client_errors = sum(ack.outcome != OK for ack in proxied) - found.told_to_wait
    found.answers = dict(Counter(ack.detail or ack.outcome for ack in proxied).most_common(SHOWN))
    found.terms = terms(acks)
    found.dual, found.dual_seconds = dual(acks)
    found.disorder = disorder(acks)
    found.gap, found.gap_from = write_gap(proxied)
    return found


def served(acks: Iterable[Ack]) -> list[Ack]:
    """Return those that a host answered for."""
    return [ack for ack in acks if ack.outcome == OK and ack.node]


def terms(acks: Iterable[Ack]) -> list[Term]:
    """Return when each host surely served in each epoch, in their order."""
    groups: dict[tuple[int, str], list[Ack]] = {}
    for ack in served(acks):
        groups.setdefault((ack.epoch, ack.node), []).append(ack)
    return [
        Term(epoch, node, min(ack.ended for ack in group), max(ack.invoked for ack in group), len(group))
        for (epoch, node), group in sorted(groups.items())
    ]


def dual(acks: Iterable[Ack]) -> tuple[list[Ack], float]:
    """Return the writes that were taken while another host served already, and for how long that went on.

    Rigorous whatever the clients' delays: a write was asked for by the one host after the other had answered in a newer
    epoch. Two hosts that answer in one epoch are both wrong: of those, whatever the later one to begin overlaps.
    """
    known = served(acks)
    all_terms = terms(known)
    wrong: dict[str, Ack] = {}
    seconds = 0.0
    for old in all_terms:
        for new in all_terms:
            later = new.epoch > old.epoch or (
                new.epoch == old.epoch
                and new.node != old.node
                and (new.first_ended, new.node) > (old.first_ended, old.node)
            )
            if not later or old.last_invoked <= new.first_ended:
                continue
            seconds = max(seconds, min(old.last_invoked, max(new.last_invoked, new.first_ended)) - new.first_ended)
            for ack in known:
                if (ack.epoch, ack.node) == (old.epoch, old.node) and ack.invoked > new.first_ended:
                    wrong[ack.id] = ack
    return sorted(wrong.values(), key=lambda ack: ack.invoked), seconds


def disorder(acks: Iterable[Ack]) -> list[str]:
    """Return what a client saw go backwards: an answer of an older epoch after one of a newer one."""
    newest: dict[str, Ack] = {}
    found = []
    for ack in sorted(served(acks), key=lambda ack: ack.invoked):
        before = newest.get(ack.client)
        if before and ack.epoch < before.epoch:
            found.append(f"{ack.client}: {ack.id} in epoch {ack.epoch} after {before.id} in {before.epoch}")
        else:
            newest[ack.client] = ack
    return found


def write_gap(acks: Iterable[Ack]) -> tuple[float | None, float]:
    """Return the longest time in which nobody was told ok, and when it began; None with fewer than two."""
    moments = sorted(ack.ended for ack in acks if ack.outcome == OK)
    gaps = [(after - before, before) for before, after in zip(moments, moments[1:])]
    return max(gaps) if gaps else (None, 0.0)


def first_ok(acks: Iterable[Ack], above: int) -> float | None:
    """Return when the first write was answered in an epoch above a given one."""
    return min((ack.ended for ack in served(acks) if ack.epoch > above), default=None)


def true_rpo(verdict: Verdict, account: Account) -> tuple[float, int, int]:
    """Return what a failover really lost: seconds before the fault, rows until then, and rows taken alone after it."""
    missing = [*verdict.accounted, *verdict.lost]
    before = [ack for ack in missing if ack.ended <= account.fault]
    oldest = min((ack.ended for ack in before), default=account.fault)
    return account.fault - oldest, len(before), len(missing) - len(before)


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the value that so large a share does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered) - 1e-9)) - 1] if ordered else None


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the results of runs."""
    judged = [result for result in results if result["outcome"] != "inconclusive"]
    gaps = [float(result["gap"]) for result in judged if result.get("gap") is not None]
    told: dict[str, Any] = {
        name: sum(int(result.get(name) or 0) for result in results)
        for name in (
            "acked",
            "lost",
            "accounted",
            "phantom",
            "duplicates",
            "dual",
            "disorder",
            "client_errors",
            "told_to_wait",
            "proxied",
        )
    }
    told.update(
        runs=len(results),
        inconclusive=len(results) - len(judged),
        outcomes=dict(Counter(result["outcome"] for result in results)),
        gap_p50=percentile(gaps, 0.5),
        gap_p95=percentile(gaps, 0.95),
        gap_max=max(gaps, default=None),
    )
    for name in ("rto", "rto_told", "rpo"):
        values = [float(result[name]) for result in judged if result.get(name) is not None]
        told[f"{name}_p50"], told[f"{name}_p95"] = percentile(values, 0.5), percentile(values, 0.95)
        told[f"{name}_max"] = max(values, default=None)
    pairs = [(r["rpo"], r["rpo_told"]) for r in judged if None not in (r.get("rpo"), r.get("rpo_told"))]
    told["rpo_off"] = max((abs(true - said) for true, said in pairs), default=None)
    # The true one is known to the time between two writes and the length of one: a share of less than a second says nothing.
    told["rpo_off_share"] = max((abs(true - said) / true for true, said in pairs if true >= 1.0), default=None)
    return told
