# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let the application serve a restored database where nobody can reach it, and ask it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.case import Case
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.cell import Answer, Cell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.plan import how_to_start
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.source import Restored
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.stage import lay_out_empty, lay_out_storage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

REQUEST_SECONDS = 10.0
COUNT_SECONDS = 300.0
PAUSE = 0.05


def serve(case: Case, restored: Restored, directory: Path) -> None:
    """Start the application on a restored database, ask it, end it; everything found goes into the case."""
    spec = case.spec
    live = Path(spec["path"])
    try:
        start = how_to_start(spec, _owner(live))
        if start is None:
            case.found("drill.served", Status.SKIPPED, "drill.served_unasked")
            return
        user = (start.uid, start.gid)
        database = lay_out_storage(live, restored.path, directory / "storage", user)
        places = {str(live.parent): directory / "storage"}
        for number, path in enumerate(spec["writable"]):
            places[path] = directory / f"writable{number}"
            lay_out_empty(places[path], user)
    except (OpsError, OSError) as exc:
        case.found("drill.served", Status.UNKNOWN, "drill.served_unstarted", error=_said(exc))
        return
    case.tell("serve", None)
    begin = time.monotonic()
    try:
        cell = Cell(start, places, spec["hidden"], directory / "log", case.deadline.remaining())
    except (OpsError, OSError) as exc:
        case.found("drill.isolated", Status.UNKNOWN, "drill.isolated_no", error=_said(exc))
        return
    with closing(cell):
        if not _isolated(case, cell):
            return
        if _healthy(case, cell, database, begin):
            _ask(case, cell)
    _judge_rows(case, database, restored.facts.get("rows") or {}, user)


def _owner(live: Path) -> tuple[int, int]:
    """Return whose the database is; the directory's owner where there is none, as on a standby."""
    for path in (live, live.parent):
        try:
            seen = os.stat(path)
        except OSError:
            continue
        return seen.st_uid, seen.st_gid
    raise OpsError(f"{live.parent} does not exist: expected the application installed on this host as on the primary")


def _isolated(case: Case, cell: Cell) -> bool:
    try:
        shut_in = cell.isolated
    except (OSError, IndexError) as exc:
        case.found(
            "drill.served", Status.CRITICAL, "drill.served_unstarted", error=f"it ended at once ({_said(exc)})",
            evidence=cell.said(),
        )  # fmt: skip
        return False
    status, sentence = (Status.OK, "drill.isolated_yes") if shut_in else (Status.CRITICAL, "drill.isolated_leaks")
    case.found("drill.isolated", status, sentence)
    return shut_in


def _healthy(case: Case, cell: Cell, database: Path, begin: float) -> bool:
    """Wait until the health page answers and the application has the restored database open."""
    spec = case.spec
    until = case.deadline.sooner(spec["start_seconds"])
    inode = os.stat(database)
    while True:
        # Not cut off by the last moment: an answer that came too late would be told as none.
        answer = cell.ask(spec["health_url"], "GET", case.deadline.sooner(REQUEST_SECONDS))
        problem = _problem(answer, {"status": 200, "body": spec["health_body"]})
        used = cell.has_open(inode) if not problem else []
        if used:
            case.seconds["start"] = round(time.monotonic() - begin, 3)
            told: dict[str, Any] = {"code": answer.code, "seconds": case.seconds["start"], "count": len(used)}
            case.found("drill.served", Status.OK, "drill.served_yes", **told)
            return True
        if until.expired or not cell.pids():
            break
        time.sleep(PAUSE)
    said = cell.said()
    if problem:
        error = problem if cell.pids() else f"the application ended ({problem})"
        case.found(
            "drill.served", Status.CRITICAL, "drill.served_not", reason="timeout",
            seconds=spec["start_seconds"], error=error, evidence=said,
        )  # fmt: skip
    else:
        # A health page that touches nothing answers well with no database at all.
        case.found("drill.served", Status.CRITICAL, "drill.served_other", code=answer.code, evidence=said)
    return False


def _problem(answer: Answer, wanted: Mapping[str, Any]) -> str:
    if answer.problem or not answer.code:
        return answer.problem or "no answer"
    if answer.code != wanted["status"]:
        return f"status {answer.code}"
    if wanted.get("body") and not re.search(wanted["body"], answer.body):
        return f"no {wanted['body']!r} in {answer.body[:80]!r}"
    return ""


def _ask(case: Case, cell: Cell) -> None:
    begin = time.monotonic()
    for wanted in case.spec["requests"]:
        answer = cell.ask(wanted["url"], wanted["method"], case.deadline.sooner(REQUEST_SECONDS))
        told = {"method": wanted["method"], "url": wanted["url"], "code": answer.code}
        problem = _problem(answer, wanted)
        if problem:
            expected = f"{wanted['status']} {wanted.get('body') or ''}".strip()
            case.found(
                "drill.answered", Status.CRITICAL, "drill.answered_wrong", item=wanted["url"],
                problem=problem, expected=expected, evidence=cell.said(), **told,
            )  # fmt: skip
        else:
            case.found(
                "drill.answered", Status.OK, "drill.answered_right", item=wanted["url"], ms=answer.milliseconds, **told
            )
    if case.spec["requests"]:
        case.seconds["ask"] = round(time.monotonic() - begin, 3)


def _judge_rows(case: Case, database: Path, rows: Mapping[str, int], user: tuple[int, int]) -> None:
    """Count again what the application served: one that makes its database anew answers well."""
    shrinking = set(case.spec["shrinking"])

    def count() -> Any:
        become(*user)
        with closing(connect(database, "ro", 1.0)) as connection:
            return {
                name: connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]
                for name in rows
                if name not in shrinking
            }

    outcome = run_isolated(count, case.deadline.sooner(COUNT_SECONDS).remaining())
    if outcome.timed_out or outcome.error:
        error = (outcome.error.strip().splitlines() or ["no answer in time"])[-1]
        case.found("drill.served", Status.CRITICAL, "drill.served_uncounted", item="rows", error=error)
        return
    few = [f"{name} {count} < {rows[name]}" for name, count in outcome.value.items() if count < rows[name]]
    if few:
        case.found("drill.served", Status.CRITICAL, "drill.served_lost", item="rows", names=listed(few), evidence=few)


def _said(exc: Exception) -> str:
    return f"{exc.filename or ''} {exc.strerror}".strip() if isinstance(exc, OSError) and exc.strerror else str(exc)
