# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts without systemd, with a real Litestream between them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pair import Pair


@pytest.fixture
def bare() -> Iterator[Pair]:
    """Two hosts, the primary granted and without a database. Not below pytest's own directory: other users have to pass."""
    top = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="ops-pair-"))
    top.chmod(0o711)
    made = Pair(top)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def pair(bare: Pair) -> Pair:
    """Two hosts, the primary replicates to the standby."""
    bare.primary.make()
    bare.replicate()
    return bare
