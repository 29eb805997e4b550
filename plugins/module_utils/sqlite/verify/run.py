# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a snapshot: open what was written, not what was meant.

Each layer finds what the others cannot: the sha256 of the manifest proves the file, integrity and foreign keys prove
the database, schema, row counts, floors and queries prove that it is the right one, ages that it is recent enough.
Damage is a finding and never an error; what could not be looked at is UNKNOWN.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.age import judge_age
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.case import Case
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.contents import judge_contents
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.file import (
    judge_manifest,
    judge_unchanged,
    resolve,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.options import validate
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.unpack import lay_out, prove_entries
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.verdict import Verdict


def verify(
    spec: Mapping[str, Any],
    deadline: Deadline,
    tell: Tell = silent,
    stage: Path | None = None,
    manifest_needed: bool = True,
) -> Verdict:
    """Verify one snapshot.

    With ``stage`` its database is written to that new file, which stays, and that file is what is proved; otherwise a
    snapshot that is not compressed is read where it lies, and another one is unpacked to a directory that goes again.
    Raises OpsError for a wrong ``spec`` and OSError when ``stage`` cannot be written.
    """
    validate(spec)
    started = time.monotonic()
    case = Case(spec, deadline, tell)
    verdict = case.verdict
    with ExitStack() as cleaning:
        path = resolve(case)
        if path is not None:
            verdict.path = path
            try:
                _judge(case, path, stage, manifest_needed, cleaning)
            except FileNotFoundError as exc:
                if exc.filename != str(path):
                    raise
                # The retention of a backup removes snapshots, also those that somebody reads.
                case.find("snapshot.file", Status.UNKNOWN, "snapshot.file_changed", name=path.name)
    verdict.seconds["total"] = round(time.monotonic() - started, 3)
    for check in verdict.checks:
        check.item = check.item or spec["path"]
    return verdict


def _judge(case: Case, path: Path, stage: Path | None, manifest_needed: bool, cleaning: ExitStack) -> None:
    verdict = case.verdict
    before = os.stat(path)
    judge_manifest(case, path, manifest_needed)
    if verdict.manifest and verdict.manifest.kind == "files" and not stage:
        prove_entries(case, path, verdict.manifest.entries)
    else:
        database = lay_out(case, path, stage, cleaning)
        if database is not None:
            judge_contents(case, database)
    judge_unchanged(case, path, before)
    if verdict.manifest:
        judge_age(case, verdict.manifest)
