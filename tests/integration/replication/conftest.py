# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with a real Litestream beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from replicated import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A database that is replicated, with nobody writing yet."""
    made = Bench(tmp_path)
    try:
        made.replicate()
        yield made
    finally:
        made.close()
