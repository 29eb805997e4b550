# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of systemd: running, not restarting again and again, not frozen, enabled, within their limits.

Sources: one ``systemctl show`` for all declared units, one ``systemctl list-units --state=failed``, /proc/PID/stat of
the units' processes; the journal only of units that are down. Cost: about 25 ms, nearly all of it the two commands.

The state alone does not tell: a unit that crashes for ever is ``activating (auto-restart)`` and never ``failed``, and
one whose processes are stopped by a signal is ``active (running)``.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import failed_units, show
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units import area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.declared import Declared
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.journal import add_journal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.loaded import judge_loaded
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.restarts import count_restarts
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.units.state import judge_state
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

AREA = area.AREA
TIMEOUT = 10.0
# systemd answers in milliseconds; a manager that takes this long hangs.
SYSTEMCTL_SECONDS = 4.0
PROPERTIES = (
    "ActiveState SubState Type Result NRestarts InvocationID ActiveEnterTimestampMonotonic "
    "StateChangeTimestampMonotonic UnitFileState NeedDaemonReload MemoryCurrent MemoryHigh MemoryMax TasksCurrent "
    "TasksMax MainPID FreezerState ExecMainCode ExecMainStatus"
).split()
OPTIONS: dict[str, dict[str, Any]] = {
    "units": {"type": "list", "elements": "raw", "default": []},
    "failed_ignore": {"type": "list", "elements": "str", "default": []},
}


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse an entry that cannot be read, before anything runs."""
    for entry in spec["units"]:
        Declared.read(entry)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at all declared units and at every failed one."""
    say = AREA.reporter(spec.get("thresholds"), source="systemctl")
    declared = [Declared.read(entry) for entry in spec.get("units", [])]
    start = time.monotonic()
    try:
        properties = show([one.name for one in declared], PROPERTIES, deadline.sooner(SYSTEMCTL_SECONDS).remaining())
        failed = failed_units(deadline.sooner(SYSTEMCTL_SECONDS).remaining())
    except OpsError as exc:
        away = say.find("unit.manager", Status.UNKNOWN, "unit.manager_away", error=str(exc))
        return ProbeResult([away], dict(previous))
    took = (time.monotonic() - start) * 1000
    checks = [say.find("unit.manager", Status.OK, "unit.manager_ok", value=took)]
    found, state = judge(say, declared, properties, previous, proc.table(), time.time())
    checks += found
    checks.append(judge_failed(say, failed, declared, spec.get("failed_ignore", [])))
    add_journal(checks, deadline)
    return ProbeResult(checks, state)


def judge(
    say: Reporter,
    declared: list[Declared],
    properties: Mapping[str, Mapping[str, str]],
    previous: Mapping[str, Any],
    processes: dict[int, proc.Process],
    now: float,
) -> tuple[list[Check], dict[str, Any]]:
    """Judge what systemd said about the declared units; return the checks and the state for the next run."""
    checks: list[Check] = []
    state: dict[str, Any] = {}
    for unit in declared:
        shown = properties[unit.name]
        restarts, state[unit.name] = count_restarts(shown, previous.get(unit.name, {}), now)
        checks.append(judge_state(say, unit, shown, restarts))
        if shown.get("LoadState") == "loaded":
            checks += judge_loaded(say, unit, shown, restarts, processes)
    return checks, state


def judge_failed(say: Reporter, failed: list[str], declared: list[Declared], ignore: list[str]) -> Check:
    """Name the failed units of the host, except declared ones, which have their own check, and ignored patterns."""
    own = {unit.name for unit in declared}
    others = [name for name in failed if name not in own and not any(fnmatch.fnmatch(name, one) for one in ignore)]
    if not others:
        return say.find("unit.failed", Status.OK, "unit.none_failed", value=0)
    return say.find(
        "unit.failed",
        Status.WARNING,
        "unit.some_failed",
        value=len(others),
        count=len(others),
        names=listed(others),
        evidence=others,
    )
