# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator declares about a unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name


@dataclass(frozen=True)
class Declared:
    """What an operator says about one unit."""

    name: str
    critical: bool = True
    active: bool = True
    enabled: bool | None = None

    @property
    def severity(self) -> Status:
        return Status.CRITICAL if self.critical else Status.WARNING

    @classmethod
    def read(cls, entry: Any) -> Declared:
        """Read a name, or a dict with name, tier (critical, normal), state (active, inactive) and enabled."""
        if isinstance(entry, str):
            return cls(unit_name(entry))
        if not isinstance(entry, Mapping) or not entry.get("name"):
            raise OpsError(f"units: expected a name or a dict with a name, seen {entry!r}")
        unknown = set(entry) - {"name", "tier", "state", "enabled"}
        tier, state, enabled = entry.get("tier", "critical"), entry.get("state", "active"), entry.get("enabled")
        if unknown or tier not in ("critical", "normal") or state not in ("active", "inactive"):
            raise OpsError(
                f"units: {entry['name']}: expected name, tier (critical or normal), state (active or inactive) and "
                f"enabled (true or false), seen {dict(entry)!r}"
            )
        if enabled is not None and not isinstance(enabled, bool):
            raise OpsError(f"units: {entry['name']}: enabled is {enabled!r}: expected true or false")
        return cls(unit_name(str(entry["name"])), tier == "critical", state == "active", enabled)
