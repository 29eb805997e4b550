# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the statuses: colour is never the only sign."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status

_SHAPES = {
    Status.OK: ("✔", "+"),
    Status.WARNING: ("⚠", "!"),
    Status.CRITICAL: ("✖", "X"),
    Status.UNKNOWN: ("?", "?"),
    Status.SKIPPED: ("–", "-"),
}


def symbol(status: Status, plain: bool = False) -> str:
    """Return the one-column sign of a status; ``plain`` for outputs that know ASCII only."""
    return _SHAPES[status][plain]
