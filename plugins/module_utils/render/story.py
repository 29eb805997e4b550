# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run means next to the runs before it: what changed, since when, how it went, what fills up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Range, Status, by_severity
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import findings
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import Host, Run, read

KINDS = ("new", "worse", "better", "gone")

# These stand for the whole host: a run that could look has neither, and that is the good news.
WHOLE_HOST = ("host.reachable", "host.checked")

# What fills up and can be shown as a share of its limit.
CAPACITY = frozenset(
    {
        "conntrack",
        "disk.used",
        "fd.system",
        "inode.used",
        "mem.used",
        "pid.space",
        "process.fds",
        "redis.clients",
        "redis.mem.maxmemory",
        "redis.mem.system",
        "sqlite.freelist",
        "sqlite.wal",
        "swap.used",
        "unit.memory",
        "unit.tasks",
    }
)


@dataclass(frozen=True)
class Change:
    """A check that is not what it was. ``before`` is None when it was not looked at before."""

    kind: str
    host: str
    check: Check
    before: Status | None


@dataclass(frozen=True)
class Gauge:
    """Something that fills up, in shares of 0 to 1 of its scale."""

    host: str
    check: Check
    share: float
    warn: float | None
    crit: float | None


@dataclass(frozen=True)
class Dated:
    """Checks of one host with the moment they are from, and whether that is this run."""

    host: Host
    checks: list[Check]
    current: bool


def past_runs(envelopes: Iterable[Mapping[str, Any]]) -> list[Run]:
    """Group earlier envelopes, oldest first, into runs in the order in which they began."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for envelope in envelopes:
        groups.setdefault(str(envelope.get("run_id", "")), []).append(envelope)
    return [read(group) for group in groups.values()]


def _past_of(host: Host, past: Sequence[Run]) -> list[Host]:
    return [other for run in past for other in run.hosts if other.name == host.name]


def changes(run: Run, past: Sequence[Run]) -> list[Change] | None:
    """Return what is new, worse, better or gone, in this order and worst first; None when nothing came before.

    The shifts look at different things: a check is compared with how it was in the host's last run of the same phase,
    or in a later run of another phase.
    """
    if not past:
        return None
    found = [change for host in run.hosts for change in _changes_of(host, _past_of(host, past))]
    return sorted(found, key=lambda change: (KINDS.index(change.kind), -change.check.status.severity))


def _looked_at(host: Host) -> bool:
    return not any(check.id in WHOLE_HOST for check in host.checks)


def _changes_of(host: Host, past: list[Host]) -> Iterator[Change]:
    alike = [other.phase == host.phase and other.part == host.part for other in past]
    same_phase = [number for number, other in enumerate(past) if alike[number] and _looked_at(other)]
    begin = same_phase[-1] if same_phase else 0
    before = {check.key: check for other in past[begin:] for check in other.checks if check.id not in WHOLE_HOST}
    whole = [check for check in past[-1].checks if check.id in WHOLE_HOST] if past else []
    before.update({check.key: check for check in whole})
    for check in by_severity(host.checks):
        old = before.get(check.key)
        is_bad = bool(findings([check]))
        if old is None:
            if is_bad:
                yield Change("new", host.name, check, None)
        elif is_bad and check.status.severity > old.status.severity:
            yield Change("worse", host.name, check, old.status)
        elif findings([old]) and check.status.severity < old.status.severity:
            yield Change("better", host.name, check, old.status)
    if _looked_at(host):
        for old in whole:
            yield Change("better", host.name, old, old.status)
        seen = {check.key for check in host.checks}
        for old in findings(past[begin].checks) if same_phase else ():
            if old.key not in seen:
                yield Change("gone", host.name, old, old.status)


def since(host: Host, check: Check, past: Sequence[Run]) -> str:
    """Return since when a check has its status: as recorded, else the first of the unbroken runs that saw it so."""
    if check.since:
        return check.since
    first = host.started
    for other in reversed(_past_of(host, past)):
        if not any(old.key == check.key and old.status is check.status for old in other.checks):
            break
        first = other.started
    return first


def latest(run: Run, past: Sequence[Run], wanted: Callable[[Check], bool]) -> list[Dated]:
    """Return for each host the wanted checks of this run, else those of the last run that had any."""
    found = []
    for host in run.hosts:
        for number, other in enumerate([host, *reversed(_past_of(host, past))]):
            checks = [check for check in by_severity(other.checks) if wanted(check)]
            if checks:
                found.append(Dated(other, checks, not number))
                break
    return found


def fills(check: Check) -> bool:
    """Tell whether a check measures something that fills up."""
    return check.value is not None and check.value >= 0 and check.id in CAPACITY and _scale(check) > 0


def gauges(group: Dated) -> list[Gauge]:
    """Return the checks of a host that fill up as shares of their scales: findings first, then the fullest."""
    found = [_gauge(group.host.name, check) for check in group.checks]
    return sorted(found, key=lambda gauge: (-gauge.check.status.severity, -gauge.share))


def _gauge(host: str, check: Check) -> Gauge:
    scale, value = _scale(check), check.value or 0.0

    def share(bound: float | None) -> float | None:
        return None if bound is None or bound > scale else bound / scale

    return Gauge(host, check, min(1.0, value / scale), share(_upper(check.warn)), share(_upper(check.crit)))


def _scale(check: Check) -> float:
    """Return the value of a full bar: 100 %, the known maximum, or a quarter above the highest threshold."""
    if check.uom == "%":
        return 100.0
    if check.max:
        return check.max
    bounds = [bound for bound in (_upper(check.warn), _upper(check.crit)) if bound is not None]
    return max(bounds) * 1.25 if bounds else 0.0


def _upper(text: str) -> float | None:
    try:
        end = Range.parse(text).end
    except OpsError:
        return None
    return end if math.isfinite(end) and end > 0 else None
