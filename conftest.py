# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let plain ``pytest`` import the collection by its full name, through a tree with one symlink."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent
LINK = ROOT / ".tree" / "ansible_collections" / "bilingual_tutor" / "ops"
LINK.parent.mkdir(parents=True, exist_ok=True)
if not LINK.is_symlink():
    LINK.symlink_to(os.path.relpath(ROOT, LINK.parent))
sys.path.insert(0, str(ROOT / ".tree"))
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / ".tree")
