# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look inside the database found, as checks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import size_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import process_name, writers
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import EVIDENCE, Questions, look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.ownership import account
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.versions import judge_version
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size

# What the look inside takes besides the quick check, at the most.
LOOK_SECONDS = 2.5
# A freelist below this is not worth a VACUUM whatever its share.
FREELIST_BYTES = 16 * 1024 * 1024
SCHEMA_OBJECTS = 60


def look_inside(
    say: Reporter,
    spec: Mapping[str, Any],
    real: str,
    reader: tuple[int, int],
    users: int,
    deadline: Deadline,
    state: dict[str, Any],
) -> list[Check]:
    """Look inside in a child process, as ``reader`` (uid, gid), and judge what it saw."""
    spare = max(0.1, deadline.remaining() - 0.3)
    budget = min(spec["quick_check_seconds"], max(0.1, spare - LOOK_SECONDS)) if spec["quick_check"] else 0.0
    seconds = min(spare, budget + LOOK_SECONDS)
    questions = Questions(real, spec["floors"], budget, spec["python"])
    outcome = run_isolated(lambda: look(questions, reader), seconds)
    user = account(reader[0] if os.geteuid() == 0 else os.geteuid())
    if outcome.timed_out:
        late = say.find("sqlite.opens", Status.CRITICAL, "sqlite.opens_late", reason="timeout", seconds=outcome.seconds)
        return [late]
    if outcome.error:
        raise OpsError(outcome.error.strip().splitlines()[-1])
    return list(judge(say, spec, real, outcome.value, users, user, state))


def judge(
    say: Reporter,
    spec: Mapping[str, Any],
    real: str,
    answers: Mapping[str, Any],
    users: int,
    user: str,
    state: dict[str, Any],
) -> Iterator[Check]:
    """Turn what was seen inside into checks; what an error kept from being seen has none."""
    if spec["python"]:
        yield judge_version(say, spec, answers["version"], users)
    # Damage that the quick check found is one finding; that reading on failed too adds nothing to it.
    damaged = answers["step"] == "quick_check" or answers.get("quick_check", ["ok"]) != ["ok"]
    if answers["error"] and not damaged:
        yield _not_opened(say, real, answers, user)
    else:
        tables = sum(name.startswith("table ") for name in answers["schema"])
        yield say.find(
            "sqlite.opens", Status.OK, "sqlite.opens_well",
            tables=tables, size=size(answers["page_size"] * answers["page_count"]), journal=answers["journal_mode"],
        )  # fmt: skip
    if "page_count" in answers:
        yield _freelist(say, answers)
        yield from _identity(say, spec, answers)
    if "schema" in answers:
        yield _schema(say, answers["schema"], state)
    if answers["step"] in ("quick_check", "rows", "statistics") and "schema" in answers:
        yield _quick_check(say, spec, answers)
    if len(answers.get("rows", ())) == len(spec["floors"]) > 0:
        yield _rows(say, spec["floors"], answers["rows"])
    if "statistics" in answers:
        yield _statistics(say, answers["statistics"])


def _not_opened(say: Reporter, real: str, answers: Mapping[str, Any], user: str) -> Check:
    error = answers["error"]
    if not answers["traceless"]:
        return say.find("sqlite.opens", Status.UNKNOWN, "sqlite.opens_trace", error=error)
    if "readonly" in error and size_of(real + "-journal"):
        return say.find("sqlite.opens", Status.UNKNOWN, "sqlite.opens_hot", path=real)
    if "locked" in error:
        names = ", ".join(process_name(pid) for pid in sorted(writers(real))) or "?"
        return say.find(
            "sqlite.opens", Status.CRITICAL, "sqlite.opens_locked", reason="timeout", user=user, holder=names
        )
    denied = "unable to open" in error or "ermission" in error
    return say.find(
        "sqlite.opens", Status.CRITICAL, "sqlite.opens_not", reason="denied" if denied else "",
        user=user, step=answers["step"], error=error,
    )  # fmt: skip


def _quick_check(say: Reporter, spec: Mapping[str, Any], answers: Mapping[str, Any]) -> Check:
    rows = answers.get("quick_check")
    if answers["error"] and rows is None and answers["step"] == "quick_check":
        return say.find("sqlite.quick_check", Status.CRITICAL, "sqlite.quick_bad", first=answers["error"])
    if not spec["quick_check"]:
        return say.find("sqlite.quick_check", Status.SKIPPED, "sqlite.quick_off")
    seconds = answers["quick_check_seconds"]
    if rows is None:
        whole = size(answers["page_size"] * answers["page_count"])
        return say.find(
            "sqlite.quick_check", Status.UNKNOWN, "sqlite.quick_unfinished", reason="timeout",
            seconds=seconds, done=answers["quick_check_done"], size=whole,
        )  # fmt: skip
    if rows == ["ok"]:
        return say.find("sqlite.quick_check", Status.OK, "sqlite.quick_ok", seconds=seconds)
    lines = [line for row in rows for line in row.splitlines()][:EVIDENCE]
    first = next((line for line in lines if not line.startswith("***")), "?")
    return say.find("sqlite.quick_check", Status.CRITICAL, "sqlite.quick_bad", first=first, evidence=lines)


def _rows(say: Reporter, floors: Mapping[str, int], rows: Mapping[str, int | None]) -> Check:
    missing = [table for table, count in rows.items() if count is None]
    if missing:
        return say.find("sqlite.rows", Status.CRITICAL, "sqlite.rows_no_table", reason="missing", names=listed(missing))
    few = [f"{table} {rows[table]} < {floor}" for table, floor in floors.items() if (rows[table] or 0) < floor]
    if few:
        return say.find(
            "sqlite.rows", Status.CRITICAL, "sqlite.rows_few", names=listed(few), evidence=few, value=len(few)
        )
    return say.find("sqlite.rows", Status.OK, "sqlite.rows_enough", count=len(floors), value=0)


def _statistics(say: Reporter, stale: list[str]) -> Check:
    sentence = "sqlite.statistics_stale" if stale else "sqlite.statistics_fresh"
    names = listed([line.partition(":")[0] for line in stale])
    return say.measure("sqlite.statistics", len(stale), sentence, names=names, evidence=stale)


def _schema(say: Reporter, schema: Mapping[str, str], state: dict[str, Any]) -> Check:
    """Compare the schema with the last run's: short hashes by name, so that the finding can name what changed."""
    hashes = {name: hashlib.sha256(sql.encode()).hexdigest()[:8] for name, sql in schema.items()}
    whole = hashlib.sha256("\n".join(f"{name} {text}" for name, text in sorted(hashes.items())).encode()).hexdigest()[
        :16
    ]
    before, known = state.get("schema"), state.get("objects", {})
    state["schema"] = whole
    state["objects"] = hashes if len(hashes) <= SCHEMA_OBJECTS else {}
    if before in (None, whole):
        sentence = "sqlite.schema_same" if before else "sqlite.schema_first"
        return say.find("sqlite.schema", Status.OK, sentence, count=len(schema))
    changes = [
        f"{'-' if name not in hashes else '+' if name not in known else '*'} {name}"
        for name in sorted({*known, *hashes})
        if known.get(name) != hashes.get(name)
    ]
    names = listed(changes) if known and state["objects"] else f"{len(schema)} objects"
    return say.find("sqlite.schema", Status.WARNING, "sqlite.schema_changed", names=names, evidence=changes)


def _freelist(say: Reporter, answers: Mapping[str, Any]) -> Check:
    pages, free = answers["page_count"], answers["freelist_count"]
    unused = free * answers["page_size"]
    if unused < FREELIST_BYTES:
        share = 100.0 * free / max(1, pages)
        return say.find("sqlite.freelist", Status.OK, "sqlite.freelist_small", free=size(unused), value=share)
    whole = size(pages * answers["page_size"])
    return say.measure("sqlite.freelist", 100.0 * free / pages, "sqlite.freelist_share", size=whole, free=size(unused))


def _identity(say: Reporter, spec: Mapping[str, Any], answers: Mapping[str, Any]) -> Iterator[Check]:
    declared = {name: spec[name] for name in ("application_id", "user_version") if spec.get(name) is not None}
    for name, wanted in declared.items():
        if answers[name] != wanted:
            seen = {"name": name, "seen": answers[name], "wanted": wanted}
            yield say.find("sqlite.identity", Status.CRITICAL, "sqlite.identity_wrong", **seen)
            return
    if declared:
        yield say.find("sqlite.identity", Status.OK, "sqlite.identity_right")
