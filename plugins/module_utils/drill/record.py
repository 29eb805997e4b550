# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill as a run on the ledger's host: what earlier drills left, whether this one may begin, what came of it."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill import emergency
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.admit import refusals
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.steady import judge_steady
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.verdict import TREND, Drill, judge, switch_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.incidents import KINDS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import now
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.opening import LedgerMissing
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger

KIND = "drill.run"
# What decides whether a drill may begin: of each subject the last one.
DECIDING = ("failover.run", "backup.run", "backup.verify")
HOOK_SECONDS = 120.0


def history(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the records of the last drills, oldest first; none without a ledger."""
    try:
        events = ledger.query([KIND], limit=TREND).events
    except LedgerMissing:
        return []
    return [dict(event.data) for event in events if event.data.get("schema")]


def deciding(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the last event of each deciding kind and subject."""
    try:
        found = [event for kind in (*DECIDING, KINDS) for event in ledger.query([kind], latest_per="subject").events]
    except LedgerMissing:
        return []
    return [{"kind": event.kind, "subject": event.subject, "at": event.at, "data": event.data} for event in found]


def admit(options: Mapping[str, Any]) -> dict[str, Any]:
    """Tell whether a drill may begin, with which seed, and what the last one left open."""
    ledger = Ledger(options["ledger"])
    past = history(ledger)
    found = refusals(options["looks"], options["change_freeze"].strip(), deciding(ledger))
    seed = options["seed"] if options.get("seed") is not None else random.SystemRandom().randrange(1 << 32)
    return {
        "changed": False,
        "refusals": [one.as_dict() for one in found],
        "seed": seed,
        "open": (past[-1].get("findings") or []) if past else [],
        "last": past[-1].get("at", "") if past else "",
    }


def conclude(options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Judge a drill by everything that was found; page the on-call and ask for the maintenance page."""
    begin = time.monotonic()
    say = AREA.reporter(source="drill")
    past = history(Ledger(options["ledger"]))
    drill = Drill(
        run_id=options["run_id"],
        at=now(),
        level=options["level"],
        rto=options["rto"],
        rpo=options["rpo"],
        owner=options["owner"],
        due_days=options["due_days"],
    )
    checks = list(judge_steady(say, options["before"], options["after"]))
    checks += emergency.judge_maintenance(say, options["maintenance"])
    checks.append(emergency.judge_contacts(say, options["contacts"], options["contact_roles"]))
    last = next((one["runbook_sha256"] for one in reversed(past) if one.get("runbook_sha256")), "")
    runbook, seen = emergency.judge_runbook(say, options["runbook"], options["runbook_sha256"], last)
    checks.append(runbook)
    command = [] if check_mode else options["notify_command"]
    text = f"[DRILL / 演练] {drill.run_id}: {options['notify_text']}"
    checks.append(emergency.page(say, command, text, HOOK_SECONDS))
    process = round(time.monotonic() - begin, 3)
    switched = [
        switch_of(one["step"], one.get("closed") or {}, one.get("error") or "") for one in options["switchovers"]
    ]
    record, made = judge(drill, options["rehearsals"], switched, checks, past)
    record["steps"].append({"part": "process", "step": "process", "seconds": process})
    record["runbook_sha256"] = seen
    return {"changed": True, **record, "checks": [check.as_dict() for check in [*checks, *made]]}
