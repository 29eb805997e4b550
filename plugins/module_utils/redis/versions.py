# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server versions nobody repairs any more, and which have a hole that must not wait.

Only what is certain is listed: a branch that is not here is not judged.
"""

from __future__ import annotations

import re

# Branch -> last day of upstream support. Source: endoflife.date/redis and the release notes of each branch.
ENDED = {
    "Redis": {"4.0": "2020-04-30", "5.0": "2022-04-27", "6.0": "2023-08-15", "7.0": "2024-07-29"},
    "Valkey": {},
}

# First fixed release per branch of CVE-2025-49844 ("RediShell", use after free in Lua: code execution for anybody who
# may run EVAL; CVSS 9.9). Source: release notes of 2025-10-03. Branches between without a fixed release stay open.
HOLE = "CVE-2025-49844"
FIXED = {
    "Redis": {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    "Valkey": {(7, 2): 11, (8, 0): 6, (8, 1): 4},
}

# A package of the distribution gets fixes without a new upstream number; only packages install into these directories.
DISTRIBUTION = re.compile(r"^/usr/s?bin/[^/]+$")


def ended(server: str, version: str) -> str:
    """Return the day upstream stopped supporting this version's branch, empty when it did not or is not known."""
    return ENDED.get(server, {}).get(".".join(version.split(".")[:2]), "")


def open_hole(server: str, version: str) -> str:
    """Return the identifier of a known hole of this version, empty when there is none or the version is unreadable."""
    match = re.match(r"^(\d+)\.(\d+)\.(\d+)", version)
    if not match or server not in FIXED:
        return ""
    major, minor, patch = (int(part) for part in match.groups())
    fixed = FIXED[server]
    if (major, minor) in fixed:
        return HOLE if patch < fixed[major, minor] else ""
    return HOLE if (major, minor) < max(fixed) else ""


def from_distribution(executable: str) -> bool:
    """Tell whether the server's program file belongs to a package of the distribution."""
    return bool(DISTRIBUTION.match(executable))
