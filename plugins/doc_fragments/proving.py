# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What a snapshot can be asked for, wherever one is proved."""

    DOCUMENTATION = r"""
options:
  floors:
    description:
      - Rows that tables of the snapshot must have at least, by the name of the table.
    type: dict
    default: {}
  queries:
    description:
      - Questions that the snapshot must answer rightly. They can only read, and have a minute each.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the question is called in the checks.
        type: str
        required: true
      sql:
        description: One SELECT statement with one row of one column.
        type: str
        required: true
      min:
        description: The answer must be this number at least.
        type: float
      max:
        description: The answer must be this number at most.
        type: float
      equals:
        description: The answer must be this number or text.
        type: raw
"""
