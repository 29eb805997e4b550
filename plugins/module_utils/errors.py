# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors this collection raises on purpose."""

from __future__ import annotations

from typing import Any


class OpsError(Exception):
    """Something the operator can act on.

    The text says what was seen, what was expected and what to do next. It becomes ``fail_json`` in a
    module's ``main`` and an Ansible error in a plugin, nowhere else.
    """


class ActionFailed(OpsError):
    """An action that did not end well; ``result`` is what there is to tell besides, as plain JSON data."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result
