# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The defaults of options that are read without Ansible's own reading of an argument spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def filled(options: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every option, as it was given or with its default; one that is None was not given."""
    return {name: option.get("default") if given.get(name) is None else given[name] for name, option in options.items()}
