# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the modules that act for long have in common; their deadlines mean something else in each."""

    DOCUMENTATION = r"""
options:
  progress:
    description:
      - File, made by the caller, in which the module keeps one line of JSON about how far it has come. For the callers
        of this collection.
    type: path
"""
