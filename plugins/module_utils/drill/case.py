# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of one rehearsal share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.area import AREA as SNAPSHOT

PROVING = ("floors", "queries", "schema_of", "schema_sha256", "level")


class Case:
    """The options, the clock, the words; ``checks`` and ``seconds`` (by step) are filled on the way."""

    def __init__(self, spec: Mapping[str, Any], deadline: Deadline, tell: Tell) -> None:
        self.spec, self.deadline, self.tell = spec, deadline, tell
        limits: Mapping[str, Any] = spec["thresholds"]
        AREA.validate({name: one for name, one in limits.items() if name not in SNAPSHOT.rules})
        self.say = AREA.reporter(
            {name: one for name, one in limits.items() if name in AREA.rules}, source="drill_scratch"
        )
        own = {name: one for name, one in limits.items() if name in SNAPSHOT.rules}
        self.proving = {**{name: spec[name] for name in PROVING}, "thresholds": own}
        self.checks: list[Check] = []
        self.seconds: dict[str, float] = {}
        self.item = spec["name"] or spec["source"]

    def found(self, check_id: str, status: Status, sentence: str, item: str = "", **rest: Any) -> None:
        """Add a finding; ``item`` is what of this rehearsal it is about."""
        name = f"{self.item} {item}".strip()
        self.checks.append(self.say.find(check_id, status, sentence, item=name, **rest))

    def take(self, checks: list[Check], path: str) -> None:
        """Add what a verification found, said of this rehearsal: several of one run have the same checks."""
        for check in checks:
            check.item = self.item if check.item == path else f"{self.item} {check.item}"
        self.checks += checks
