# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups: a new one every night, of the usual size, proved by its manifest, and nothing half-made beside them.

Sources: one directory listing, the manifests, and the sha256 of the newest snapshot, once per snapshot. Cost: a few
milliseconds; hashing a new snapshot about 1.5 s per GB.

Only a file with a manifest counts: a copy without one was proved by nobody, and a plain copy of a live database is
malformed more often than not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups import area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups.directory import survey
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups.judge import judge, no_directory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups.proof import prove_newest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult

AREA = area.AREA
TIMEOUT = 10.0
OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "patterns": {"type": "list", "elements": "str", "default": ["*.db", "*.db.gz", "*.db.xz", "*.db.zst"]},
    "pointer": {"type": "str", "default": ""},
    "hash": {"type": "bool", "default": True},
    "hash_seconds": {"type": "float", "default": 5.0},
    "hash_rate": {"type": "float", "default": 200.0},
}


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    if not os.path.isabs(spec["path"]):
        raise OpsError(f"path is {spec['path']!r}: expected an absolute path")
    if not spec["patterns"]:
        raise OpsError("patterns is empty: expected at least one, such as *.db")
    if "/" in spec["pointer"]:
        raise OpsError(f"pointer is {spec['pointer']!r}: expected a name in the directory")
    for name in ("hash_seconds", "hash_rate"):
        if not spec[name] > 0:
            raise OpsError(f"{name} is {spec[name]}: expected a number above 0")


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at one directory of backups."""
    say = AREA.reporter(spec.get("thresholds"), source="backup")
    directory = Path(spec["path"])
    state = dict(previous)
    now = time.time()
    try:
        found = survey(directory, spec["patterns"], spec["pointer"], now)
    except OSError as exc:
        checks = [no_directory(say, directory, exc)]
    else:
        checks = list(judge(say, spec, found, now))
        if found.snapshots:
            checks.append(prove_newest(say, spec, found.snapshots[-1], deadline, state))
    for check in checks:
        check.item = str(directory)
    return ProbeResult(checks, state)
