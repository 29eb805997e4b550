# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests of drills and of snapshots have, for tests with a real Litestream."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
for place in (TESTS / "unit" / "drill", TESTS / "unit" / "sqlite"):
    sys.path.insert(0, str(place))
