# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Importing this lets programs outside of pytest import the collection of this checkout by its full name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# One symbolic link, the same that the tests and ansible.cfg use.
TREE = REPOSITORY / ".tree"

_link = TREE / "ansible_collections/bilingual_tutor/ops"
_link.parent.mkdir(parents=True, exist_ok=True)
if not _link.is_symlink():
    _link.symlink_to(os.path.relpath(REPOSITORY, _link.parent))
sys.path.insert(0, str(TREE))
