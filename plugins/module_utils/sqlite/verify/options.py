# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification can be asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.standby import SERVING_OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import queries
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.scratch import places

OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    **SERVING_OPTIONS,
    "floors": {"type": "dict", "default": {}},
    "queries": queries.OPTIONS,
    "schema_of": {"type": "path"},
    "schema_sha256": {"type": "str"},
    "scratch": {"type": "path"},
    "level": {"type": "str", "choices": ["full", "quick"], "default": "full"},
    "thresholds": {"type": "dict", "default": {}},
}


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    if not os.path.isabs(spec["path"]):
        raise OpsError(f"path is {spec['path']!r}: expected the absolute path of a snapshot or of its pointer")
    AREA.validate(spec.get("thresholds"))
    queries.validate(spec.get("queries") or ())
    for table, floor in (spec.get("floors") or {}).items():
        if isinstance(floor, bool) or not str(floor).isdigit():
            raise OpsError(f"floors: {table} is {floor!r}: expected a number of rows")
    if spec.get("scratch"):
        places(spec["scratch"], Path(spec["path"]))
