# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions of the operator's own that a snapshot must answer rightly."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect

OPTIONS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "name": {"type": "str", "required": True},
        "sql": {"type": "str", "required": True},
        "min": {"type": "float"},
        "max": {"type": "float"},
        "equals": {"type": "raw"},
    },
}
# A question of a report takes seconds; one that takes longer has lost its index.
QUERY_SECONDS = 60.0
# Nothing but reading: no ATTACH (it would make files), no PRAGMA, no writing.
ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE))
SHOWN = 100
SIGNS = {"min": ">=", "max": "<=", "equals": "="}


def validate(queries: Sequence[Mapping[str, Any]]) -> None:
    """Raise OpsError for a query without a name of its own, or without anything to compare its answer with."""
    names = [query["name"] for query in queries]
    for query in queries:
        name = query["name"]
        if not name.strip() or names.count(name) > 1:
            raise OpsError(f"queries: name {name!r}: expected one name for each query")
        if all(query.get(limit) is None for limit in ("min", "max", "equals")):
            raise OpsError(f"queries: {name}: expected min, max or equals, otherwise any answer would do")


def judge_queries(
    say: Reporter, database: Path, queries: Sequence[Mapping[str, Any]], deadline: Deadline
) -> Iterator[Check]:
    """Ask each query of a private database file, in a child that is killed at the deadline."""
    for query in queries:
        yield _judge(say, database, query, deadline.sooner(QUERY_SECONDS))


def _judge(say: Reporter, database: Path, query: Mapping[str, Any], deadline: Deadline) -> Check:
    name = query["name"]

    def found(status: Status, sentence: str, reason: str = "", **rest: Any) -> Check:
        return say.find("snapshot.query", status, sentence, item=name, reason=reason, query=name, **rest)

    outcome = run_isolated(lambda: ask(database, query["sql"]), deadline.remaining())
    if outcome.timed_out:
        return found(Status.UNKNOWN, "snapshot.query_late", "timeout", seconds=outcome.seconds)
    answered = outcome.value if isinstance(outcome.value, dict) else {"error": outcome.error.strip()[-SHOWN:]}
    if "error" in answered:
        return found(Status.CRITICAL, "snapshot.query_failed", error=answered["error"])
    answer = answered["answer"]
    expected = [f"{sign} {_plain(query[limit])}" for limit, sign in SIGNS.items() if query.get(limit) is not None]
    status = Status.OK if right(answer, query) else Status.CRITICAL
    sentence = "snapshot.query_right" if status is Status.OK else "snapshot.query_wrong"
    value = answer if isinstance(answer, (int, float)) else None
    return found(status, sentence, answer=str(answer)[:SHOWN], expected=", ".join(expected), value=value)


def _plain(limit: Any) -> str:
    """Write a limit as an operator does: 1000, not 1000.0."""
    return f"{limit:g}" if isinstance(limit, float) and abs(limit) < 1e6 else str(limit)


def right(answer: Any, query: Mapping[str, Any]) -> bool:
    """Tell whether an answer keeps all the limits of its query; text and NULL keep no min and no max."""
    for limit, sign in (("min", 1), ("max", -1)):
        if query.get(limit) is not None and not (
            isinstance(answer, (int, float)) and sign * answer >= sign * query[limit]
        ):
            return False
    wanted = query.get("equals")
    # Variables of an inventory come as text or as numbers, as they are quoted.
    return wanted is None or answer == wanted or str(answer) == str(wanted)


def ask(database: Path, sql: str) -> dict[str, Any]:
    """Return the one value a query gives as ``answer``, or an ``error``."""
    try:
        with closing(connect(database, "ro", 0.0, "immutable=1")) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.set_authorizer(_authorize)
            # Not only the limit of the child's life: the child of a killed run has nobody left to end it.
            parent = os.getppid()
            connection.set_progress_handler(lambda: os.getppid() != parent, 100_000)
            rows = connection.execute(sql).fetchmany(2)
    except (sqlite3.Error, sqlite3.Warning, UnicodeDecodeError) as exc:
        return {"error": str(exc)}
    if len(rows) != 1 or len(rows[0]) != 1:
        seen = (
            "no row" if not rows else f"{'more than one row' if len(rows) > 1 else '1 row'} of {len(rows[0])} columns"
        )
        return {"error": f"expected one row with one value, seen {seen}"}
    answer = rows[0][0]
    return {"answer": answer.hex()[:SHOWN] if isinstance(answer, bytes) else answer}


def _authorize(action: int, *_names: str | None) -> int:
    return sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY
