# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of a snapshot against that of its manifest, the one declared and the live database's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import Questions, look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import schema_objects
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import Proof
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.case import Case

SCHEMA_SECONDS = 10.0


def judge_schema(case: Case, database: Path, proof: Proof) -> None:
    """Compare the schema with that of the manifest, with the one declared and with the live database's."""
    seen, manifest, live = proof.facts["schema_sha256"], case.verdict.manifest, case.spec.get("schema_of")
    wanted = {"manifest": manifest.schema_sha256} if manifest else {}
    if case.spec.get("schema_sha256"):
        wanted["schema_sha256"] = case.spec["schema_sha256"]
    evidence: list[str] = []
    wrong = [place for place, value in wanted.items() if value != seen]
    if live:
        here = run_isolated(lambda: _objects(database), SCHEMA_SECONDS)
        there = run_isolated(lambda: _live_objects(live), SCHEMA_SECONDS)
        answers: dict[str, Any] = (
            there.value if isinstance(there.value, dict) else {"error": there.error.strip() or "no answer"}
        )
        if answers.get("error") or not isinstance(here.value, dict):
            error = answers.get("error") or here.error
            case.find("snapshot.schema", Status.UNKNOWN, "snapshot.schema_unknown", live=live, error=str(error)[-200:])
            return
        wanted[live] = ""
        if here.value != answers["schema"]:
            wrong.append(live)
            evidence = _differences(here.value, dict(answers["schema"]))
    if wrong:
        case.find(
            "snapshot.schema", Status.CRITICAL, "snapshot.schema_wrong",
            seen=seen[:12], places=", ".join(wrong), evidence=evidence,
        )  # fmt: skip
    elif wanted:
        case.find("snapshot.schema", Status.OK, "snapshot.schema_right", places=", ".join(wanted))


def _objects(database: Path) -> dict[str, str]:
    with closing(connect(database, "ro", 0.0, "immutable=1")) as connection:
        return schema_objects(connection)


def _live_objects(live: str) -> dict[str, Any]:
    """Read the schema of a live database as its owner, leaving no trace."""
    seen = os.stat(live)
    return look(Questions(os.path.realpath(live)), (seen.st_uid, seen.st_gid))


def _differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    return [
        f"{'-' if name not in here else '+' if name not in there else '*'} {name}"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]
