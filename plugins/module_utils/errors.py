# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error this collection raises on purpose."""

from __future__ import annotations


class OpsError(Exception):
    """Something the operator can act on.

    The text says what was seen, what was expected and what to do next. It becomes ``fail_json`` in a
    module's ``main`` and an Ansible error in a plugin, nowhere else.
    """
