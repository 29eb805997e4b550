# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live system before and after a drill: it must be well before, and no worse after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

Looks = Mapping[str, Mapping[str, Any]]


def judge_steady(say: Reporter, before: Looks, after: Looks) -> Iterator[Check]:
    """Judge the looks at each host, results of service_health by its name."""
    for host in sorted(before):
        yield _judge(say, host, before[host], "before", frozenset())
    for host in sorted(after):
        known = frozenset(check.key for check in _checks(before.get(host, {})) if check.status is Status.CRITICAL)
        yield _judge(say, host, after[host], "after", known)


def is_red(look: Mapping[str, Any]) -> bool:
    """Tell whether a host is not well, or could not be looked at."""
    return not _checks(look) or any(check.status in (Status.CRITICAL, Status.UNKNOWN) for check in _checks(look))


def _judge(say: Reporter, host: str, look: Mapping[str, Any], when: str, known: frozenset[str]) -> Check:
    item = f"{host} {when}"
    checks = _checks(look)
    if not checks:
        error = str(look.get("msg") or "no result")[:300]
        return say.find("drill.steady", Status.UNKNOWN, f"drill.steady_unseen_{when}", item=item, names=error)
    red = list(_names(check for check in checks if check.status is Status.CRITICAL and check.key not in known))
    if red:
        # A system that is not well beforehand is no failure of the drill, which then does not take place.
        status = Status.UNKNOWN if when == "before" else Status.CRITICAL
        return say.find(
            "drill.steady",
            status,
            f"drill.steady_red_{when}",
            reason="state",
            item=item,
            names=listed(red),
            evidence=red,
        )
    unseen = list(_names(check for check in checks if check.status is Status.UNKNOWN))
    if unseen:
        return say.find("drill.steady", Status.UNKNOWN, f"drill.steady_unseen_{when}", item=item, names=listed(unseen))
    return say.find("drill.steady", Status.OK, f"drill.steady_{when}", item=item)


def _names(checks: Iterable[Check]) -> Iterator[str]:
    return (f"{check.id} {check.item}".strip() for check in checks)


def _checks(look: Mapping[str, Any]) -> list[Check]:
    return [Check.from_dict(one) for one in look.get("checks") or ()]
