# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine below the services: processor, memory, file systems, kernel tables, clock, reboots.

Sources: /proc, /sys, statvfs, adjtimex; a command (journalctl) only after the kernel killed something for memory. Cost:
about 10 ms; 50 ms more at a first run, which has no earlier figure to compare the processor time with; 1 s more while a
process is in uninterruptible sleep, and at most 2 s for remote file systems.

Pressure (PSI) says whether anybody waits, averaged by the kernel; utilisation and load only say that somebody works.
So those two alert only together with pressure, and utilisation only at two runs in a row. In a container they belong to
the machine below: there the container's own control group is asked where it can be.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host import area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.boots import judge_reboot, judge_uptime
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.clock import judge_clock
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.cpu import cpu_times, judge_cpu
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.disks import judge_file_systems
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Files, Look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.memory import judge_memory, judge_oom
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.pressure import judge_pressure
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.processes import judge_processes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.tables import judge_tables
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult

AREA = area.AREA
TIMEOUT = 15.0
OPTIONS: dict[str, dict[str, Any]] = {
    "mounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "warn": {"type": "str"},
            "crit": {"type": "str"},
        },
    },
    "ignore_mounts": {"type": "list", "elements": "path", "default": []},
    "units": {"type": "list", "elements": "str", "default": []},
    "skip": {"type": "list", "elements": "str", "default": []},
}


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse to skip a check that does not exist."""
    unknown = set(spec["skip"]) - set(AREA.rules)
    if unknown:
        raise OpsError(f"skip: no check {', '.join(sorted(unknown))}; known: {', '.join(sorted(AREA.rules))}")


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at the host we run on."""
    return examine(spec, previous, deadline, Files())


def examine(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline, files: Files) -> ProbeResult:
    """Look at the host whose files these are."""
    skip = set(spec.get("skip", []))
    boot = files.read("/proc/sys/kernel/random/boot_id") or ""
    look = Look(
        say=AREA.reporter(spec.get("thresholds"), source="/proc"),
        files=files,
        previous=previous,
        deadline=deadline,
        processes=proc.table(files.root + proc.PROC),
        container=files.container,
        same_boot=bool(previous) and previous.get("boot") == boot,
        now=time.time(),
    )
    first = cpu_times(look)
    state: dict[str, Any] = {"boot": boot, "at": look.now}
    checks, pressures = judge_pressure(look)
    checks += judge_memory(look, pressures, state)
    checks += judge_oom(look, spec.get("units", []), state)
    checks += judge_file_systems(look, spec)
    checks += judge_tables(look, state)
    checks += judge_processes(look)
    checks += [judge_clock(look), judge_reboot(look), judge_uptime(look)]
    checks += judge_cpu(look, first, pressures, state)
    return ProbeResult([check for check in checks if check.id not in skip], state)
