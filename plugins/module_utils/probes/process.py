# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes by pid file, name, command line or user: how many, whether they run, what they hold.

For hosts without systemd, and for what one unit's state does not tell. Source: /proc only; psutil would cost its
import (over 20 ms) before it looked at anything. Cost: about 25 microseconds per process of the host, then 0.2 ms for
each matching one; one second more only when a matching process is in uninterruptible sleep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.processes.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.processes.judge import judge
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.processes.select import Gone, select
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.processes.wanted import Wanted

TIMEOUT = 10.0

OPTIONS: dict[str, dict[str, Any]] = {"processes": {"type": "list", "elements": "dict", "required": True}}


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse an entry that cannot be read, before anything runs."""
    for entry in spec["processes"]:
        Wanted.read(entry)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at each group of processes; one pass over /proc serves all."""
    say = AREA.reporter(spec.get("thresholds"), source="/proc")
    processes = proc.table()
    checks: list[Check] = []
    for entry in spec["processes"]:
        wanted = Wanted.read(entry)
        try:
            members = select(say, wanted, processes)
        except Gone as gone:
            checks.append(gone.check)
            continue
        checks += judge(say, wanted, members, deadline)
    return ProbeResult(checks)
