# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as an operator writes them."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError


def seconds(text: Any) -> float:
    """Read a duration such as ``1d``, ``12h``, ``90m``, ``45s`` or ``3600``; raise OpsError for anything else."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([smhdw]?)", str(text).strip().lower())
    if not match:
        raise OpsError(f"duration {text!r}: expected a number with s, m, h, d or w, such as 1d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]
