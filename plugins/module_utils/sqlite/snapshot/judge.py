# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup run found, as checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import CHECKS, Proof
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.make import Database, Made
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.names import BAD
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.retention import Decision
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size


def reporter(thresholds: Mapping[str, Any] | None) -> Reporter:
    """Return the maker of this area's checks."""
    return AREA.reporter(thresholds, source="backup")


def left_out(say: Reporter, path: str, primary: str) -> Check:
    """Tell that there is no backup to be made of a standby's database."""
    return say.find("backup.standby", Status.SKIPPED, "backup.left_out", path, primary=primary)


def database(say: Reporter, made: Database, floors: Mapping[str, int]) -> tuple[list[Check], str]:
    """Judge one copy; return its checks and, when it must not count, the fault as one sentence."""
    item, proof = made.target.path, made.proof
    checks, fault = _proof(say, made, proof)
    if not fault and floors:
        few = [
            f"{table} {proof.facts['rows'].get(table, 0)} < {floor}"
            for table, floor in floors.items()
            if proof.facts["rows"].get(table, 0) < floor
        ]
        if few:
            fault = f"too few rows: {listed(few)}"
            words: dict[str, Any] = {"names": listed(few), "kept": made.name + BAD, "evidence": few, "value": len(few)}
            checks.append(say.find("backup.rows", Status.CRITICAL, "backup.rows_few", **words))
        else:
            checks.append(say.find("backup.rows", Status.OK, "backup.rows_enough", count=len(floors), value=0))
    if fault:
        checks.insert(0, say.find("backup.made", Status.CRITICAL, "backup.made_not", name=made.name + BAD))
    else:
        seconds = sum(made.seconds.values())
        words = {
            "name": made.name,
            "size": size(made.facts["bytes"]),
            "seconds": seconds,
            "value": made.facts["bytes"],
        }
        checks.insert(0, say.find("backup.made", Status.OK, "backup.made_is", engine=made.facts["engine"], **words))
    for check in checks:
        check.item = item
    return checks, fault


def _proof(say: Reporter, made: Database, proof: Proof) -> tuple[list[Check], str]:
    level = made.facts["verified"]
    check = CHECKS[level]
    rows = proof.facts.get("rows", {})
    words: dict[str, Any] = {
        "check": check, "tables": len(rows), "rows": sum(rows.values()), "seconds": made.seconds["verify"],
    }  # fmt: skip

    def found(status: Status, sentence: str, fault: str = "", **rest: Any) -> tuple[list[Check], str]:
        return [say.find("backup.proof", status, sentence, **words, **rest)], fault

    kept: dict[str, Any] = {"name": made.name + BAD}
    lines = [line for text in proof.integrity for line in text.splitlines() if not line.startswith("***")]
    broken = lines if lines not in (["ok"], []) else [proof.facts["error"]] if "error" in proof.facts else []
    if broken:
        return found(
            Status.CRITICAL, "backup.proof_bad", f"damaged: {broken[0]}", first=broken[0], evidence=broken[:10], **kept
        )
    if not rows:
        return found(Status.CRITICAL, "backup.proof_empty", "there is no table in it", **kept)
    if proof.foreign_key_count:
        more: dict[str, Any] = {
            "count": proof.foreign_key_count,
            "evidence": proof.foreign_keys,
            "value": proof.foreign_key_count,
        }
        return found(Status.WARNING, "backup.proof_references", **more)
    if proof.foreign_keys:
        return found(Status.WARNING, "backup.proof_mismatch", first=proof.foreign_keys[0])
    return found(Status.OK, "backup.proof_good") if check else found(Status.SKIPPED, "backup.proof_off")


def files(say: Reporter, made: Made, path: str) -> Check:
    """Judge the archive of the other files."""
    facts = made.facts
    words: dict[str, Any] = {
        "count": facts["entries"],
        "size": size(facts["bytes"]),
        "value": facts["skipped_count"],
        "item": path,
    }
    if not facts["skipped_count"]:
        return say.find("backup.files", Status.OK, "backup.files_all", **words)
    names, missing = listed([line.partition(": ")[0] for line in facts["skipped"]]), facts["skipped_count"]
    return say.find(
        "backup.files", Status.WARNING, "backup.files_some",
        reason="missing", names=names, missing=missing, evidence=facts["skipped"], **words,
    )  # fmt: skip


def interrupted(say: Reporter, path: str, cleaned: list[str]) -> Check:
    """Tell what an earlier run had left behind."""
    if not cleaned:
        return say.find("backup.interrupted", Status.OK, "backup.interrupted_no", item=path, value=0)
    words: dict[str, Any] = {
        "count": len(cleaned),
        "names": listed(cleaned),
        "evidence": cleaned,
        "value": len(cleaned),
    }
    return say.find("backup.interrupted", Status.WARNING, "backup.interrupted_yes", item=path, **words)


def space(say: Reporter, path: str, free: int, taken: int) -> Check:
    """Judge how many more backups of this size fit."""
    fits = min(9999, free // max(1, taken)) if taken else 9999
    return say.measure("backup.space", fits, "backup.space_is", item=path, free=size(free), size=size(taken))


def retention(say: Reporter, path: str, decision: Decision) -> Check:
    """Tell what was thinned out."""
    words: dict[str, Any] = {
        "kept": len(decision.keep),
        "removed": len(decision.remove),
        "item": path,
        "value": len(decision.remove),
    }
    if decision.future:
        names: dict[str, Any] = {
            "names": listed(decision.future),
            "count": len(decision.future),
            "evidence": decision.future,
        }
        return say.find("backup.retention", Status.WARNING, "backup.retention_future", **names, **words)
    return say.find("backup.retention", Status.OK, "backup.retention_is", **words)


def retention_held(say: Reporter, path: str) -> Check:
    """Tell that nothing was thinned out since nothing new counts."""
    return say.find("backup.retention", Status.SKIPPED, "backup.retention_held", item=path)
