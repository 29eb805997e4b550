# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore can be asked for."""

from __future__ import annotations

from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.standby import SERVING_OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import litestream
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import queries

OPTIONS: dict[str, dict[str, Any]] = {
    **SERVING_OPTIONS,
    "snapshot": {"type": "path"},
    "litestream": litestream.OPTIONS,
    "path": {"type": "path", "required": True},
    "service": {"type": "str", "default": ""},
    "stop_also": {"type": "list", "elements": "str", "default": []},
    "pidfile": {"type": "path"},
    "confirm": {"type": "str", "default": ""},
    "host": {"type": "str", "default": ""},
    "floors": {"type": "dict", "default": {}},
    "queries": queries.OPTIONS,
    "shrinking": {"type": "list", "elements": "str", "default": []},
    "health_url": {"type": "str", "default": ""},
    "settle": {"type": "float", "default": 30.0},
    "scratch": {"type": "path"},
}
