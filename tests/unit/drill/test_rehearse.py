# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsal of a restore, with an application that really serves what was restored."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_backups import fill, make_snapshot
from rehearsals import Site, findings, told


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    fill(made.live)
    return made


def test_good(site: Site) -> None:
    snapshot = make_snapshot(site.live, site.directory / "backups")
    result = site.rehearse(source="snapshot", snapshot=str(snapshot), live=str(site.live), schema_of=str(site.live))
    print(result)
    assert result["verdict"] == "passed", findings(result)
    assert result["served"] and result["rto_s"] > 0
    assert not site.left()
    assert "restored" in told(result, "drill.restored")
