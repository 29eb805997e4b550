# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pressure (PSI): whether anybody waits for processors, memory or disks, averaged by the kernel."""

from __future__ import annotations

import re

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Look


def judge_pressure(look: Look) -> tuple[list[Check], dict[str, float | None]]:
    """Judge pressure; return the figures too, since other checks are silent while nobody waits.

    A container's own pressure is that of its control group; /proc/pressure is the machine's.
    """
    checks: list[Check] = []
    figures: dict[str, float | None] = {}
    for name, file, level in (("cpu", "cpu", "some"), ("mem", "memory", "full"), ("io", "io", "full")):
        check_id = f"{name}.psi"
        own = parse_psi(look.files.read(f"/sys/fs/cgroup/{file}.pressure") or "", level) if look.container else None
        machine = parse_psi(look.files.read(f"/proc/pressure/{file}") or "", level)
        value = own if look.container else machine
        figures[name] = value
        if value is not None:
            checks.append(look.say.measure(check_id, value, "host.psi", min=0, max=100))
        elif machine is not None:
            checks.append(look.say.find(check_id, Status.SKIPPED, "host.of_machine", value=machine))
        else:
            checks.append(look.say.find(check_id, Status.SKIPPED, "host.psi_absent"))
    return checks, figures


def parse_psi(text: str, level: str) -> float | None:
    """Return avg60 of the line ``some`` or ``full`` of a pressure file."""
    match = re.search(rf"^{level} .*?\bavg60=([\d.]+)", text, re.MULTILINE)
    return float(match[1]) if match else None


def alerts(say: Reporter, check_id: str, value: float | None) -> bool | None:
    """Tell whether a pressure alerts, None when it is not measured."""
    return None if value is None else say.grade(check_id, value) is not Status.OK
