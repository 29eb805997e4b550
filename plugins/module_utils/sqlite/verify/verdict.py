# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found of one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import Header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import Manifest

# What makes no snapshot worse, only older: a restore is told, not stopped.
AGES = ("snapshot.age", "snapshot.newest")


@dataclass
class Verdict:
    """What was found of one snapshot.

    ``path`` is the file behind the pointer, ``facts`` are those of its proof, ``header`` that of its database; empty or
    None for what could not be seen. ``standby_of`` is the host that serves when this one is its standby.
    """

    checks: list[Check] = field(default_factory=list)
    path: Path | None = None
    manifest: Manifest | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    header: Header | None = None
    sha256: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    standby_of: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether everything was looked at and nothing was found."""
        return bool(self.facts) and not self.findings(ages=True)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "ok": self.ok,
            "standby_of": self.standby_of,
            "file": str(self.path or ""),
            "manifest": self.manifest.as_dict() if self.manifest else {},
            "rows": self.facts.get("rows", {}),
            "sha256": self.sha256,
            "checks": [check.as_dict() for check in self.checks],
            "seconds": self.seconds,
        }

    def findings(self, ages: bool) -> list[Check]:
        """Return what is neither OK nor skipped, with or without what is only about age."""
        bad = [check for check in self.checks if check.status not in (Status.OK, Status.SKIPPED)]
        return [check for check in bad if ages or check.id not in AGES]
