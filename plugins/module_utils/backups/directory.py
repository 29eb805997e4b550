# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a directory of backups: one listing, and the manifests."""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    PARTIAL,
    Manifest,
    read_manifest,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.names import BAD

# A backup that is being made looks like a leftover.
LEFTOVER_SECONDS = 3600.0
LEFTOVERS = ("*" + PARTIAL, "*.tmp", "*-wal", "*-shm", "*-journal")


@dataclass(frozen=True)
class Snapshot:
    """One file with its manifest."""

    path: Path
    seen: os.stat_result
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.path.name


@dataclass
class Found:
    """What lies in the directory; snapshots oldest first."""

    files: int
    snapshots: list[Snapshot]
    bare: list[str]
    broken: dict[str, str]
    leftovers: dict[str, int]
    rejected: dict[str, float] = field(default_factory=dict)


def survey(directory: Path, patterns: list[str], pointer: str, now: float) -> Found:
    """List a directory once and read the manifests; raises OSError. Links count as nothing but the pointer."""
    found = Found(0, [], [], {}, {})
    with os.scandir(directory) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        name = entry.name
        try:
            seen = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # removed by a backup that cleans up right now
        if not stat.S_ISREG(seen.st_mode) or name == pointer:
            continue
        if any(fnmatch.fnmatch(name, pattern) for pattern in LEFTOVERS):
            if now - seen.st_mtime > LEFTOVER_SECONDS:
                found.leftovers[name] = seen.st_size
        elif name.endswith(BAD) and any(fnmatch.fnmatch(name[: -len(BAD)], pattern) for pattern in patterns):
            found.rejected[name] = seen.st_mtime
        elif any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            found.files += 1
            try:
                manifest = read_manifest(directory / name)
            except OpsError as exc:
                found.broken[name] = str(exc)
                continue
            if manifest is None:
                found.bare.append(name)
            else:
                found.snapshots.append(Snapshot(directory / name, seen, manifest))
    found.snapshots.sort(key=lambda snapshot: (snapshot.manifest.made, snapshot.name))
    return found
