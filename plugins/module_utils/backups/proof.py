# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove that the newest backup is the file that was made: its length, and its sha256 once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups.directory import Snapshot
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import sha256
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size


def prove_newest(
    say: Reporter, spec: Mapping[str, Any], newest: Snapshot, deadline: Deadline, state: dict[str, Any]
) -> Check:
    """Prove the newest snapshot by its length and sha256; hash it once, and again only when the file was touched."""
    words = {"name": newest.name, "size": size(newest.seen.st_size)}

    def found(status: Status, sentence: str, reason: str = "", **rest: Any) -> Check:
        return say.find("backup.sha256", status, sentence, reason=reason, **words, **rest)

    if newest.seen.st_size != newest.manifest.bytes:
        return found(Status.CRITICAL, "backup.sha256_bytes", seen=newest.seen.st_size, wanted=newest.manifest.bytes)
    if not spec["hash"]:
        return found(Status.OK, "backup.sha256_off")
    identity = [newest.name, newest.seen.st_ino, newest.seen.st_size, newest.seen.st_mtime_ns, newest.seen.st_ctime_ns]
    known = state.get("hashed", [])
    before = known[:-1] == identity
    if before:
        digest = known[-1]
    else:
        seconds = min(spec["hash_seconds"], max(0.1, deadline.remaining() - 0.5))
        if newest.seen.st_size / (spec["hash_rate"] * 1e6) > seconds:
            return found(Status.SKIPPED, "backup.sha256_big", "insufficient_data", seconds=seconds)
        outcome = run_isolated(lambda: _hash(newest.path), seconds)
        if outcome.timed_out:
            return found(Status.UNKNOWN, "backup.sha256_late", "timeout", seconds=outcome.seconds)
        if outcome.error:
            return found(Status.UNKNOWN, "backup.sha256_error", error=outcome.error.strip().splitlines()[-1])
        digest = outcome.value
        state["hashed"] = [*identity, digest]
    if digest != newest.manifest.sha256:
        return found(Status.CRITICAL, "backup.sha256_wrong", seen=digest[:12], wanted=newest.manifest.sha256[:12])
    return found(Status.OK, "backup.sha256_before" if before else "backup.sha256_right")


def _hash(path: Path) -> str:
    """Hash behind everybody else's work: the application on this host is busy with learners."""
    os.nice(10)
    return sha256(path)
