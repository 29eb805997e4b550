# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the database of a snapshot: whether it is sound, and whether it is the right one."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import CHECKS, Proof, prove
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import queries
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.age import judge_newest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.case import Case
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.schema import judge_schema
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

EVIDENCE = 10


def judge_contents(case: Case, database: Path) -> None:
    """Prove the database and judge it layer by layer; what was seen becomes the facts of the verdict."""
    verdict, level = case.verdict, case.spec.get("level") or "full"
    try:
        proof = prove(database, case.deadline, case.tell, level)
    except OpsError as exc:
        reason = "timeout" if case.deadline.expired else "error"
        return case.find(
            "snapshot.integrity", Status.UNKNOWN, "snapshot.integrity_unknown", reason=reason, error=str(exc)
        )
    verdict.seconds.update(proof.seconds)
    error = proof.facts.get("error", "")
    verdict.facts = {} if error else proof.facts
    _integrity(case, proof, CHECKS[level], error)
    if error:
        return None
    _foreign_keys(case, proof)
    judge_schema(case, database, proof)
    _rows(case, proof)
    judge_newest(case, proof.facts["newest"])
    verdict.checks += queries.judge_queries(case.say, database, case.spec.get("queries") or (), case.deadline)
    return None


def _integrity(case: Case, proof: Proof, check: str, error: str) -> None:
    if proof.integrity != ["ok"]:
        lines = [line for row in proof.integrity for line in row.splitlines()]
        first = next((line for line in lines if not line.startswith("***")), "?")
        case.find(
            "snapshot.integrity", Status.CRITICAL, "snapshot.integrity_bad",
            level=check, first=first, count=len(lines), evidence=lines[:EVIDENCE],
        )  # fmt: skip
    elif error:
        case.find("snapshot.integrity", Status.CRITICAL, "snapshot.integrity_unread", error=error)
    elif not proof.sound:
        case.find("snapshot.integrity", Status.CRITICAL, "snapshot.integrity_empty", level=check)
    else:
        case.find("snapshot.integrity", Status.OK, "snapshot.integrity_ok", level=check)


def _foreign_keys(case: Case, proof: Proof) -> None:
    evidence = proof.foreign_keys
    if proof.foreign_key_count:
        case.find(
            "snapshot.foreign_keys", Status.CRITICAL, "snapshot.foreign_keys_bad",
            count=proof.foreign_key_count, value=proof.foreign_key_count, evidence=evidence,
        )  # fmt: skip
    elif evidence:
        case.find(
            "snapshot.foreign_keys", Status.CRITICAL, "snapshot.foreign_keys_odd",
            first=evidence[0], evidence=evidence,
        )  # fmt: skip
    else:
        case.find("snapshot.foreign_keys", Status.OK, "snapshot.foreign_keys_ok", value=0)


def _rows(case: Case, proof: Proof) -> None:
    rows, manifest = proof.facts["rows"], case.verdict.manifest
    if manifest:
        names = sorted({*rows, *manifest.rows})
        wrong = [
            f"{name} {rows.get(name, '-')} != {manifest.rows.get(name, '-')}"
            for name in names
            if rows.get(name) != manifest.rows.get(name)
        ]
        if wrong:
            case.find(
                "snapshot.rows", Status.CRITICAL, "snapshot.rows_wrong",
                names=listed(wrong), value=len(wrong), evidence=wrong,
            )  # fmt: skip
        else:
            case.find("snapshot.rows", Status.OK, "snapshot.rows_right", count=len(rows), total=sum(rows.values()))
    floors = {table: int(floor) for table, floor in (case.spec.get("floors") or {}).items()}
    few = [
        f"{table} {rows.get(table, '-')} < {floor}" for table, floor in floors.items() if rows.get(table, -1) < floor
    ]
    if few:
        case.find(
            "snapshot.floors", Status.CRITICAL, "snapshot.floors_few",
            names=listed(few), value=len(few), evidence=few,
        )  # fmt: skip
    elif floors:
        case.find("snapshot.floors", Status.OK, "snapshot.floors_enough", count=len(floors), value=0)
