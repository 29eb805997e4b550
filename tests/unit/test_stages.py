# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every stage that a module tells of has a name in Chinese."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("ansible.plugins.action", reason="a target has no action plugins")
ROOT = Path(__file__).resolve().parents[2]
TOLD = re.compile(r'\btell\(\s*"([a-z_0-9]+)"')


def test_stages_have_names():
    from ansible_collections.bilingual_tutor.ops.plugins.plugin_utils.progress import STAGES

    sources = (ROOT / "plugins/module_utils").rglob("*.py")
    told = {stage for path in sources for stage in TOLD.findall(path.read_text(encoding="utf-8"))}
    assert {"copy", "vacuum"} <= told, "no module tells of its stages: the pattern is wrong"
    assert told - STAGES.keys() == set()
