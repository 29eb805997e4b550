# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a backup directory are snapshots: a manifest that fits, and a regular file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    PARTIAL,
    SUFFIX,
    manifest_path,
    read_manifest,
)


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: its name, its bytes and when it was made, in seconds since 1970."""

    name: str
    bytes: int
    made: float

    @property
    def manifest(self) -> str:
        """Return the name of its manifest."""
        return self.name + SUFFIX


@dataclass(frozen=True)
class Left:
    """A file that looks like a snapshot and is none, with the reason."""

    name: str
    reason: str


def find(directory: str) -> tuple[list[Snapshot], list[Left]]:
    """Return the snapshots of a directory, oldest first, and what only looks like one. Links are neither."""
    found = sorted(_judged(directory), key=lambda one: getattr(one, "made", 0.0))
    return [one for one in found if isinstance(one, Snapshot)], [one for one in found if isinstance(one, Left)]


def _judged(directory: str) -> Iterator[Snapshot | Left]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as exc:
        raise OpsError(f"{directory} cannot be read: {exc.strerror}; expected the directory of snapshots") from exc
    names = {entry.name for entry in entries}
    for entry in entries:
        if entry.name.endswith((SUFFIX, PARTIAL)) or not entry.is_file(follow_symlinks=False):
            continue
        if entry.name + SUFFIX not in names:
            if entry.name.endswith((".db", ".db.gz", ".db.zst", ".tar.gz")):
                yield Left(entry.name, "no manifest")
            continue
        yield _with_manifest(Path(entry.path))


def _with_manifest(path: Path) -> Snapshot | Left:
    try:
        if not stat.S_ISREG(os.lstat(manifest_path(path)).st_mode):
            return Left(path.name, "its manifest is no regular file")
        manifest = read_manifest(path)
        size = path.stat().st_size
    except (OpsError, OSError) as exc:
        return Left(path.name, str(exc))
    if manifest is None or size != manifest.bytes:
        return Left(path.name, f"{size} bytes, its manifest says {manifest.bytes if manifest else '?'}")
    return Snapshot(path.name, size, manifest.made)
