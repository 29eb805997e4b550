# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the host is going: disks, memory, sizes and rows with their growth, and the day a limit is reached.

The past comes in through ``history``: series of ``[unix time, value]`` by ``check|item``, which the role takes from the
ledger. A forecast needs five days of it and a steady, significant trend (``capacity/forecast.py``); without one there is
no day, and the check says why.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity import area, rows
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.disks import judge_disks
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.look import Past
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.memory import judge_memory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.sizes import judge_sizes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name

AREA = area.AREA
TIMEOUT = 20.0
# What was measured before is not what is looked at.
TUNING = frozenset({"history"})
OPTIONS: dict[str, dict[str, Any]] = {
    "history": {"type": "dict", "default": {}},
    "ignore_mounts": {"type": "list", "elements": "path", "default": []},
    "service": {"type": "str", "default": ""},
    "pidfile": {"type": "str", "default": ""},
    "sizes": {"type": "list", "elements": "path", "default": []},
    "database": {"type": "str", "default": ""},
    "growth": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "table": {"type": "str", "default": ""},
            "created": {"type": "str", "default": ""},
            "query": {"type": "str", "default": ""},
        },
    },
}


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    for name, points in spec["history"].items():
        if not isinstance(points, list) or not all(_is_point(point) for point in points):
            raise OpsError(f"history: {name}: expected a list of [unix time, value]")
    for path in [*spec["sizes"], *([spec["database"]] if spec["database"] else [])]:
        if not os.path.isabs(path):
            raise OpsError(f"{path!r}: expected an absolute path")
    if spec["service"] and spec["pidfile"]:
        raise OpsError("service and pidfile: expected only one way to find the processes")
    if spec["service"]:
        unit_name(spec["service"])
    rows.validate(spec["growth"])


def _is_point(point: Any) -> bool:
    return isinstance(point, (list, tuple)) and len(point) == 2 and all(isinstance(one, (int, float)) for one in point)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Measure now and judge against the past; nothing is kept, the ledger has it all."""
    say = AREA.reporter(spec.get("thresholds"), source="ledger")
    past = Past.of(spec)
    checks = [
        *judge_disks(say, spec, past, deadline),
        *judge_memory(say, spec, past, deadline),
        *judge_sizes(say, spec, past, deadline),
        *rows.judge_rows(say, spec, past, deadline),
    ]
    return ProbeResult(checks)
