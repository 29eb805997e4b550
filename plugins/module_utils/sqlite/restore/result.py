# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore has come to, also when it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.compare import Comparison
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.verdict import Verdict


@dataclass
class Run:
    """What one run has come to."""

    changed: bool = False
    run_id: str = ""
    previous_path: str = ""
    failed_path: str = ""
    undone: bool = False
    checks: list[Check] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    rows: Comparison = field(default_factory=Comparison)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        tables = sorted({*self.rows.before, *self.rows.after})
        return {
            "changed": self.changed,
            "run_id": self.run_id,
            "previous_path": self.previous_path,
            "failed_path": self.failed_path,
            "undone": self.undone,
            "checks": [check.as_dict() for check in self.checks],
            "steps": self.steps,
            "manifest": self.verdict.manifest.as_dict() if self.verdict.manifest else {},
            "rows": {
                name: {"before": self.rows.before.get(name), "after": self.rows.after.get(name)} for name in tables
            },
        }

    def diff(self, path: str) -> dict[str, str]:
        """Return the rows of each table before and after."""

        def lines(rows: Mapping[str, int]) -> str:
            return "".join(f"{name} {count}\n" for name, count in sorted(rows.items()))

        after = self.rows.after if self.changed else self.rows.before
        return {"before_header": path, "after_header": path, "before": lines(self.rows.before), "after": lines(after)}
