# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn figures into checks. Pure; one function per check, which names what it needs to know.

What a check needs and the server does not tell is never OK: refused by the ACL, not in this version, or not applicable
becomes SKIPPED with that reason. Left out: what needs to read keys (big keys), or more than one server (number of
masters).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import Figures
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.parse import GRANTS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules import (
    availability,
    clients,
    keys,
    memory,
    persistence,
    replication,
    security,
    speed,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Case, Decisions, Wishes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.wire import Target

# In this order they are told.
ALL = Decisions(
    (
        *availability.DECISIONS,
        *memory.DECISIONS,
        *keys.DECISIONS,
        *clients.DECISIONS,
        *speed.DECISIONS,
        *persistence.DECISIONS,
        *replication.DECISIONS,
        *security.DECISIONS,
    )
)


def evaluate(figures: Figures, target: Target, wishes: Wishes, thresholds: Mapping[str, Any]) -> list[Check]:
    """Return every check of a server that answered."""
    say = AREA.reporter({**_contextual(figures), **_laid_over(figures, thresholds)}, source="redis")
    checks = []
    for check_id, needs, decide in ALL:
        case = Case(check_id, figures, target, wishes, say)
        checks.append(_lacking(case, needs) or decide(case))
    denied = sum(check.status is Status.SKIPPED and check.reason == "denied" for check in checks)
    checks.append(_access(Case("redis.access", figures, target, wishes, say), denied))
    return checks


def _contextual(figures: Figures) -> dict[str, dict[str, str]]:
    limits: dict[str, dict[str, str]] = {}
    if figures.reading.info.get("maxmemory_policy") == "noeviction":
        limits["redis.mem.maxmemory"] = {"crit": "@90:"}  # the next step is refused writes, not evictions
    backlog = figures.reading.number("repl_backlog_size")
    if backlog:
        limits["redis.replication.lag_bytes"] = {"crit": f"{backlog:.0f}"}  # beyond it a break costs a full copy
    return limits


def _laid_over(figures: Figures, thresholds: Mapping[str, Any]) -> dict[str, Any]:
    context = _contextual(figures)
    return {check_id: {**context.get(check_id, {}), **limits} for check_id, limits in thresholds.items()}


def _lacking(case: Case, needs: tuple[str, ...]) -> Check | None:
    reading = case.figures.reading
    for need in needs:
        command = " ".join(need[1:].split()[:2]) if need.startswith("@") else "INFO"
        refusal = reading.refused.get(command)
        if refusal and refusal.kind == "denied":
            return case.skip("redis.skip.denied", reason="denied", user=case.target.user, command=command)
        if refusal:
            return case.skip("redis.skip.refused", command=command, answer=refusal.text[:100])
        if need.startswith("@CONFIG GET "):
            missing = need[12:] not in reading.config
        elif need.startswith("#"):
            missing = need[1:] not in reading.sections
        else:
            missing = not need.startswith("@") and need not in reading.info
        if missing:
            field = need.lstrip("#@")
            return case.skip("redis.skip.version", server=reading.server, version=reading.version, field=field)
    return None


def _access(case: Case, skipped: int) -> Check:
    user = case.target.user
    denied = sorted(name for name, refusal in case.figures.reading.refused.items() if refusal.kind == "denied")
    if not denied:
        return case.ok("redis.access.full", user=user)
    grant = f"ACL SETUSER {user} {' '.join(GRANTS[name] for name in denied)}"
    persist = (
        "ACL SAVE" if case.figures.reading.config.get("aclfile") else "ACL SAVE (with an aclfile) or CONFIG REWRITE"
    )
    return case.find(
        Status.WARNING,
        "redis.access.denied",
        reason="denied",
        user=user,
        commands=", ".join(denied),
        number=skipped,
        grant=grant,
        evidence=[grant, persist],
    )
