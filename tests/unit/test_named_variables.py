# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An advice may tell an operator to set a variable only when there is one of that name."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"\b(?:ops|tutor|daily_checks)_[a-z_]+\b")
# Names of plugins have the same shape.
PLUGINS = {path.stem for folder in ("modules", "filter", "callback") for path in (ROOT / "plugins" / folder).iterdir()}


def test_variables_in_advice_exist():
    roles = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("roles/*/defaults/main.yml"))
    known = set(re.findall(r"^([a-z_]+):", roles, re.MULTILINE)) | PLUGINS
    named = {
        (check_id, name)
        for area in catalogue.areas()
        for check_id, rule in area.rules.items()
        for text in rule.fix
        for name in NAMED.findall(text)
    }
    assert named, "no advice names a variable: the pattern is wrong"
    assert {(check_id, name) for check_id, name in named if name not in known} == set()
