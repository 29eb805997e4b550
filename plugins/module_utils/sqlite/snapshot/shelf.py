# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a directory of backups: sets that are known, what an interrupted run left, what is somebody else's."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    PARTIAL,
    SUFFIX,
    Manifest,
    read_manifest,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.dest import Destination
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.names import BAD, parse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.retention import Kept

# Of what was made and is not good, the first shows how it began and the last how it is.
BAD_KEPT = 2


@dataclass
class Set:
    """The snapshots that were made together, by name."""

    id: str
    manifests: dict[str, Manifest] = field(default_factory=dict)
    whole: bool = True

    @property
    def kept(self) -> Kept:
        """What retention has to know of it."""
        wanted = {name for manifest in self.manifests.values() for name in manifest.members}
        complete = all(manifest.complete for manifest in self.manifests.values())
        there = wanted <= self.manifests.keys()
        return Kept(self.id, max(one.made for one in self.manifests.values()), complete and there and self.whole)


def survey(dest: Destination, sources: Collection[str]) -> dict[str, Set]:
    """Return the sets that hold a snapshot of one of these databases, by id; reads manifests only."""
    sets: dict[str, Set] = {}
    for name in dest.names():
        known = parse(name)
        seen = dest.stat(name) if known and not known.rest else None
        if seen is None or not stat.S_ISREG(seen.st_mode):
            continue
        try:
            manifest = read_manifest(dest.place(name))
        except OpsError:
            continue
        if manifest is None:
            continue
        one = sets.setdefault(manifest.set or name, Set(manifest.set or name))
        one.manifests[name] = manifest
        one.whole = one.whole and seen.st_size == manifest.bytes
    return {
        key: one for key, one in sets.items() if any(manifest.source in sources for manifest in one.manifests.values())
    }


def pointed_at(dest: Destination, sets: Mapping[str, Set], ours: Collection[str]) -> set[str]:
    """Return the ids of the sets that a link beside ``ours`` names.

    It is the pointer to the last copy of a database that is in the set no more, or a link an operator made to keep one.
    """
    seen = {name: dest.stat(name) for name in dest.names() if name not in ours}
    links = [name for name, known in seen.items() if known is not None and stat.S_ISLNK(known.st_mode)]
    named = {os.readlink(dest.place(name)) for name in links}
    return {key for key, one in sets.items() if named & one.manifests.keys()}


def leftovers(dest: Destination, stems: Collection[str], pointers: Iterable[str]) -> list[str]:
    """Return what an interrupted run left: half-made files, and manifests whose snapshot never got its name."""
    names = set(dest.names())
    found = [name for name in (f".{pointer}{PARTIAL}" for pointer in pointers) if name in names]
    for name in sorted(names):
        known = parse(name)
        if known is None or known.stem not in stems:
            continue
        orphan = known.rest == SUFFIX and known.snapshot not in names
        if known.rest.endswith(PARTIAL) or orphan:
            found.append(name)
    return found


def remove(dest: Destination, names: Iterable[str]) -> None:
    """Remove snapshots with their manifests, so that an end in the middle leaves nothing that looks like a backup."""
    names = list(names)
    for name in names:
        dest.rename(name, name + PARTIAL)
    dest.sync()
    for name in names:
        dest.remove(name + PARTIAL)
        dest.remove(name + SUFFIX)
    dest.sync()


def reject(dest: Destination, stem: str, partial: str, name: str) -> str:
    """Keep what is not good under a name that is never taken for a backup; return that name."""
    dest.rename(partial, name + BAD)
    before = [one for one in dest.names() if (known := parse(one)) and known.stem == stem and known.rest == BAD]
    for one in before[BAD_KEPT - 1 : -1]:
        dest.remove(one)
    dest.sync()
    return name + BAD
