# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Updates of the system: those that wait, security first, how old the package lists are, and what must be restarted.

Sources: a simulated upgrade (apt's own lists, no network, no lock, no root), dpkg's status file, apt's periodic jobs and
their stamps, /proc/PID/maps. Cost: 0.3 s, and 1 to 3 s where
apt's cache is older than its lists: it is built in memory then, nothing is written.

Lists that are missing are UNKNOWN, never "no updates". Since when an update waits is remembered from run to run.
reboot.required is the check of the probe host, with its default thresholds.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import SYSTEM_PATH
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host import area as host_area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.boots import judge_reboot
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Files, Look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.updates import apt, area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.updates.restart import stale_units
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.updates.unattended import judge_unattended
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed

AREA = area.AREA
AREAS = (AREA, host_area.AREA)
TIMEOUT = 30.0
DAY = 86400.0
# What is remembered of each run; a host with more waiting than this has other worries.
REMEMBERED = 100

OPTIONS: dict[str, dict[str, Any]] = {
    "unattended": {"type": "bool", "default": False},
    "units": {"type": "list", "elements": "str", "default": []},
}
TUNING = frozenset(OPTIONS)


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse what cannot be the name of a unit."""
    for name in spec["units"]:
        unit_name(name)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Ask apt and dpkg, then look at what runs."""
    say = AREA.reporter(spec.get("thresholds"), source="apt")
    now = time.time()
    state: dict[str, Any] = {"security": {}, "restart": {}}
    if not shutil.which("apt-get", path=SYSTEM_PATH):
        checks = [say.find("updates.security", Status.SKIPPED, "updates.no_apt")]
    else:
        try:
            checks = _judge_apt(say, spec, previous.get("security", {}), state, deadline, now)
        except (OpsError, OSError) as exc:
            state["security"] = dict(previous.get("security", {}))
            checks = [say.find("updates.security", Status.UNKNOWN, "updates.cannot_tell", error=str(exc))]
    checks.append(_judge_restart(say, spec, previous.get("restart", {}), state, deadline, now))
    checks.append(_judge_reboot(deadline, now))
    return ProbeResult(checks, state)


def _judge_reboot(deadline: Deadline, now: float) -> Check:
    """Judge whether the host itself waits for a restart, as the probe host does."""
    files = Files()
    say = host_area.AREA.reporter(source="/run")
    return judge_reboot(Look(say, files, {}, deadline, {}, files.container, False, now))


def _judge_apt(
    say: Reporter,
    spec: Mapping[str, Any],
    before: Mapping[str, float],
    state: dict[str, Any],
    deadline: Deadline,
    now: float,
) -> list[Check]:
    of = apt.settings(deadline.remaining())
    found = apt.packages(of.status)
    lists = apt.package_lists(of, deadline.remaining())
    checks = [
        _judge_lists(say, lists, now),
        *_judge_waiting(say, of, lists, before, state, deadline, now),
        judge_unattended(say, of, found, spec["unattended"], now),
    ]
    held = "updates.held_some" if found.held else "updates.held_none"
    checks.append(say.measure("updates.held", len(found.held), held, names=listed(found.held), evidence=found.held))
    if found.broken:
        words: dict[str, Any] = {"count": len(found.broken), "names": listed(found.broken), "evidence": found.broken}
        checks.append(say.find("updates.broken", Status.CRITICAL, "updates.broken_some", **words))
    else:
        checks.append(say.find("updates.broken", Status.OK, "updates.broken_none", count=found.count))
    return checks


def _judge_lists(say: Reporter, lists: apt.Lists, now: float) -> Check:
    if not lists.sources:
        return say.find("updates.lists", Status.UNKNOWN, "updates.no_sources", reason="missing")
    if lists.missing:
        missing = [f"missing: {one}" for one in lists.missing]
        words: dict[str, Any] = {"reason": "missing", "count": len(missing), "evidence": [*missing, *lists.warnings]}
        return say.find("updates.lists", Status.UNKNOWN, "updates.lists_missing", **words)
    age = max(0.0, now - lists.fresh)
    return say.measure("updates.lists", age / DAY, "updates.lists_age", age=duration(age), evidence=lists.warnings)


def _judge_waiting(
    say: Reporter,
    of: apt.Settings,
    lists: apt.Lists,
    before: Mapping[str, float],
    state: dict[str, Any],
    deadline: Deadline,
    now: float,
) -> list[Check]:
    try:
        updates = apt.waiting(of, deadline.remaining())
    except OpsError as exc:
        # A package that is half installed stops apt, and is a finding of its own beside this one.
        state["security"] = dict(before)
        return [say.find("updates.security", Status.UNKNOWN, "updates.cannot_tell", error=str(exc))]
    security = sorted({one.name: one for one in updates if one.security}.values(), key=lambda one: one.name)
    seen = {one.name: float(before.get(one.name, now)) for one in security[:REMEMBERED]}
    state["security"] = seen
    checks = []
    if security:
        age = now - min(seen.values())
        checks.append(
            say.measure(
                "updates.security",
                # The day it is first seen counts as well.
                max(0.1, age / DAY),
                "updates.some_security",
                count=len(security),
                age=duration(age),
                names=listed([one.name for one in security]),
                evidence=[f"{one.name} {one.old} -> {one.new}" for one in security],
            )
        )
    elif lists.missing or not lists.sources:
        what = "lists of packages are missing" if lists.missing else "no package source is configured"
        checks.append(say.find("updates.security", Status.UNKNOWN, "updates.cannot_tell", reason="missing", error=what))
    else:
        age = max(0.0, now - lists.fresh)
        checks.append(say.find("updates.security", Status.OK, "updates.none_security", value=0, lists=duration(age)))
    others = sorted({one.name for one in updates} - {one.name for one in security})
    checks.append(say.measure("updates.pending", len(others), "updates.waiting", evidence=[listed(others, 20)]))
    return checks


def _judge_restart(
    say: Reporter,
    spec: Mapping[str, Any],
    before: Mapping[str, float],
    state: dict[str, Any],
    deadline: Deadline,
    now: float,
) -> Check:
    """Judge the services with replaced code. Critical are only those that were named, after a week."""
    found = stale_units(deadline)
    since = {unit: float(before.get(unit, now)) for unit in sorted(found.units)[:REMEMBERED]}
    state["restart"] = since
    if not since:
        if found.hidden and os.geteuid() != 0:
            return say.find("updates.restart", Status.UNKNOWN, "updates.restart_hidden", reason="denied")
        return say.find("updates.restart", Status.OK, "updates.restart_none", value=0, count=found.processes)
    important = {unit_name(name) for name in spec["units"]} & set(since)
    age = now - min(since[unit] for unit in (important or since))
    check = say.measure(
        "updates.restart",
        max(0.1, age / DAY),
        "updates.restart_some",
        count=len(since),
        age=duration(age),
        names=listed(sorted(since, key=lambda unit: (unit not in important, unit))),
        evidence=[f"{unit}: {listed(sorted(found.units[unit]), 3)}" for unit in since],
    )
    if check.status is Status.CRITICAL and not important:
        check.status = Status.WARNING
    return check
