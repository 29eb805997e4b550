# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge what lies in a directory of backups, but for the contents of the newest."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups.directory import Found, Snapshot
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import SUFFIX
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed, size

# What the newest snapshot is compared with: two weeks of nights.
HISTORY = 14
# One earlier snapshot is no measure of what is usual.
HISTORY_LEAST = 2


def judge(say: Reporter, spec: Mapping[str, Any], found: Found, now: float) -> Iterator[Check]:
    """Judge what was found, but for the hash of the newest."""
    path, patterns = spec["path"], listed(spec["patterns"])
    if not found.files:
        yield say.find(
            "backup.directory",
            Status.CRITICAL,
            "backup.directory_empty",
            reason="missing",
            path=path,
            patterns=patterns,
        )
        yield _leftovers(say, found)
        yield _rejected(say, found)
        return
    yield say.find(
        "backup.directory", Status.OK, "backup.directory_full", path=path, count=found.files, value=found.files
    )
    yield _manifests(say, found)
    yield _leftovers(say, found)
    yield _rejected(say, found)
    if not found.snapshots:
        yield say.find("backup.age", Status.CRITICAL, "backup.age_none", reason="missing", count=found.files)
        return
    newest = found.snapshots[-1]
    yield _age(say, newest, now)
    yield say.measure(
        "backup.count", len(found.snapshots), "backup.count_is", oldest=found.snapshots[0].manifest.created
    )
    yield _usual_size(say, found.snapshots)
    if spec["pointer"]:
        yield _pointer(say, Path(path) / spec["pointer"], newest)


def no_directory(say: Reporter, directory: Path, exc: OSError) -> Check:
    """Tell why a directory could not be listed."""
    status, sentence, reason = Status.UNKNOWN, "backup.directory_denied", "denied"
    if isinstance(exc, FileNotFoundError):
        status, sentence, reason = Status.CRITICAL, "backup.directory_missing", "missing"
    elif isinstance(exc, NotADirectoryError):
        status, sentence, reason = Status.CRITICAL, "backup.directory_kind", "state"
    return say.find("backup.directory", status, sentence, reason=reason, path=str(directory), error=exc.strerror or "")


def _age(say: Reporter, newest: Snapshot, now: float) -> Check:
    age = now - newest.manifest.made
    # A minute ahead is two clocks; more is a wrong one, and would look fresh for ever.
    if age < -60:
        return say.find(
            "backup.age", Status.WARNING, "backup.age_future", name=newest.name, created=newest.manifest.created
        )
    return say.measure(
        "backup.age", max(0.0, age) / 3600, "backup.age_is", name=newest.name, age=duration(max(0.0, age))
    )


def _manifests(say: Reporter, found: Found) -> Check:
    if found.broken:
        lines = list(found.broken.values())
        return say.find(
            "backup.manifest", Status.CRITICAL, "backup.manifest_bad", names=listed(list(found.broken)), evidence=lines
        )
    if found.bare:
        return say.find(
            "backup.manifest", Status.WARNING, "backup.manifest_missing", reason="missing",
            count=len(found.bare), names=listed(found.bare[::-1]), evidence=[f"expected NAME{SUFFIX}", *found.bare[::-1]],
        )  # fmt: skip
    return say.find("backup.manifest", Status.OK, "backup.manifest_all", count=len(found.snapshots))


def _leftovers(say: Reporter, found: Found) -> Check:
    if not found.leftovers:
        return say.find("backup.leftovers", Status.OK, "backup.leftovers_none", value=0)
    names = list(found.leftovers)
    total = size(sum(found.leftovers.values()))
    return say.find(
        "backup.leftovers", Status.WARNING, "backup.leftovers_some",
        count=len(names), names=listed(names), size=total, evidence=names, value=len(names),
    )  # fmt: skip


def _rejected(say: Reporter, found: Found) -> Check:
    if not found.rejected:
        return say.find("backup.rejected", Status.OK, "backup.rejected_none", value=0)
    name = max(found.rejected, key=lambda one: found.rejected[one])
    words: dict[str, Any] = {
        "count": len(found.rejected),
        "value": len(found.rejected),
        "evidence": list(found.rejected),
    }
    if found.snapshots and found.snapshots[-1].manifest.made > found.rejected[name]:
        return say.find("backup.rejected", Status.OK, "backup.rejected_older", **words)
    return say.find("backup.rejected", Status.CRITICAL, "backup.rejected_newer", name=name, **words)


def _usual_size(say: Reporter, snapshots: list[Snapshot]) -> Check:
    newest, before = snapshots[-1], snapshots[-1 - HISTORY : -1]
    words = {"name": newest.name, "size": size(newest.manifest.bytes)}
    if len(before) < HISTORY_LEAST:
        return say.find("backup.size", Status.OK, "backup.size_first", **words)
    usual = statistics.median(snapshot.manifest.bytes for snapshot in before)
    change = 100.0 * (newest.manifest.bytes - usual) / usual
    return say.measure("backup.size", change, "backup.size_is", usual=size(usual), **words)


def _pointer(say: Reporter, pointer: Path, newest: Snapshot) -> Check:
    def found(status: Status, sentence: str, **rest: Any) -> Check:
        return say.find("backup.pointer", status, sentence, pointer=pointer.name, name=newest.name, **rest)

    target = os.path.realpath(pointer)
    try:
        seen = os.stat(pointer)
    except FileNotFoundError:
        if pointer.is_symlink():
            return found(Status.CRITICAL, "backup.pointer_dangling", reason="missing", target=target)
        return found(Status.CRITICAL, "backup.pointer_missing", reason="missing")
    if (seen.st_dev, seen.st_ino) == (newest.seen.st_dev, newest.seen.st_ino):
        return found(Status.OK, "backup.pointer_right")
    if pointer.is_symlink():
        return found(Status.WARNING, "backup.pointer_other", target=os.path.basename(target))
    return found(Status.WARNING, "backup.pointer_copy")
