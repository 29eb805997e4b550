# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the modules say about check mode and diff mode."""

    # A module that changes something: it adds its support, and in details what is its own.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and predict RV(ignore:changed) without changing anything.
  diff_mode:
    description: Returns what it changes, or would change, in diff mode.
"""

    # A module that only looks.
    OBSERVES = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing, in check mode and without it.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
"""
