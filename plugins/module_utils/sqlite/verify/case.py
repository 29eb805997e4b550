# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One snapshot under inspection: what is asked about it, and what was found so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.standby import left_to
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.verdict import Verdict


class Case:
    """What all steps of a verification share: the options, the clock, the words and the verdict they fill."""

    def __init__(self, spec: Mapping[str, Any], deadline: Deadline, tell: Tell) -> None:
        self.spec, self.deadline, self.tell = spec, deadline, tell
        self.say = AREA.reporter(spec.get("thresholds"), source="sqlite_backup_verify")
        self.verdict = Verdict(standby_of=left_to(spec))
        if self.verdict.standby_of:
            self.spec = {**spec, "schema_of": None}  # what is live is elsewhere, and the database here is shut

    def find(self, check_id: str, status: Status, sentence: str, **rest: Any) -> None:
        """Add a finding to the verdict."""
        self.verdict.checks.append(self.say.find(check_id, status, sentence, **rest))
