# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a walk found: the files that are stale, and those that match and stay."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Found:
    """One file or empty directory that matches a pattern."""

    path: str
    directory: bool
    device: int
    inode: int
    size: int


@dataclass
class Kept:
    """One that matches and stays, and why: young, owner, open, symlink, special, mount, changed, limit, failed, unseen."""

    path: str
    reason: str


@dataclass
class Selection:
    """What a walk found."""

    stale: list[Found] = field(default_factory=list)  # in a run that removes: what was removed
    kept: list[Kept] = field(default_factory=list)
    entries: int = 0
    partial: bool = False

    @property
    def bytes(self) -> int:
        return sum(one.size for one in self.stale)
