# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and directories: that they exist, how big, how old, whose, and how many stale temporary files there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.files.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.files.judge import judge
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.files.usage import Budget
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.files.wish import Wish
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean import clean, rules

TIMEOUT = 10.0

OPTIONS: dict[str, dict[str, Any]] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "type": {"type": "str", "default": "any", "choices": ["any", "file", "directory"]},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
            "optional": {"type": "bool", "default": False},
            "warn_size": {"type": "str", "default": ""},
            "critical_size": {"type": "str", "default": ""},
            "min_size": {"type": "str", "default": ""},
            "max_age": {"type": "str", "default": ""},
            "critical_age": {"type": "str", "default": ""},
            "min_age": {"type": "str", "default": ""},
            "mode": {"type": "str", "default": ""},
            "max_mode": {"type": "str", "default": ""},
            "owner": {"type": "str", "default": ""},
            "group": {"type": "str", "default": ""},
        },
    },
    "temp": {"type": "dict", "options": rules.OPTIONS},
    "max_entries": {"type": "int", "default": 500000},
}


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at every file; the state holds the sizes, for the growth until the next run."""
    wishes = [Wish.from_spec(one) for one in spec.get("files") or []]
    temp = spec.get("temp")
    if not wishes and not temp:
        raise OpsError("file: expected files, temp or both")
    stale = rules.Rules.from_options(temp) if temp else None
    thresholds = spec.get("thresholds") or {}
    budget = Budget(int(spec.get("max_entries") or OPTIONS["max_entries"]["default"]), deadline)
    checks: list[Check] = []
    sizes: dict[str, list[float]] = {}
    old = previous.get("sizes") or {}
    for wish in wishes:
        for path in wish.paths():
            checks += judge(path, wish, thresholds, budget, old, sizes)
    if stale:
        checks += clean.checks(stale, clean.select(stale, deadline), AREA.reporter(thresholds))
    return ProbeResult(checks, {"sizes": sizes})


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for options that can never work; whether a user exists is left to the probe, as a finding."""
    for one in spec.get("files") or []:
        Wish.from_spec(one)
    if spec.get("temp"):
        rules.Rules.from_options({**spec["temp"], "owners": [str(os.geteuid())]})
