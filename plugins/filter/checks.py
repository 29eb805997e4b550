# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions on check runs: the record of a run, whether it is bad enough to fail, what to tell the operator."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from functools import wraps
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.json import AnsibleJSONEncoder

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.catalogue import summary
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status, by_severity
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import Step, findings, reached, run_envelope
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import known, word
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.shifts import shift_at

# A terminal shows this many findings of a host at the end of a run; the report has them all.
VERDICT_LINES = 8

# Keys of a registered result that tell nothing about the host, and the checks, which the envelope has.
LEFT_OUT = frozenset({"ansible_loop_var", "checks", "deprecations", "diff", "exception", "invocation", "warnings"})


def _readable(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except OpsError as exc:
            raise AnsibleFilterError(f"{function.__name__}: {exc}") from exc

    return filtered


@_readable
def ops_shift(zone: str, now: str | None = None) -> str:
    """Return the shift it is in a time zone; see ops_shift.yml."""
    moment = datetime.fromisoformat(now.replace("Z", "+00:00")) if now else datetime.now(timezone.utc)
    return shift_at(moment, zone)


def _steps(variables: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> list[Step]:
    return [
        Step(variables.get(one["register"]) or {}, one["what"], one.get("kind", ""), one.get("only_changes", False))
        for one in steps
    ]


@_readable
def ops_envelope(
    variables: Mapping[str, Any], host: str, run: Mapping[str, str], steps: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the record of a run on one host; see ops_envelope.yml."""
    return run_envelope(_steps(variables, steps), host, run, {})


@_readable
def ops_events(
    hosts: Mapping[str, Mapping[str, Any]],
    run: Mapping[str, str],
    steps: Sequence[Mapping[str, Any]],
    previous: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return the ledger's events of a run over all hosts; see ops_events.yml."""

    def event(kind: str, host: str, data: Mapping[str, Any]) -> dict[str, Any]:
        # As JSON text: Ansible walks through every value of a structure at each step it passes, a text is one value.
        return {"kind": kind, "subject": host, "run_id": run["id"], "data": json.dumps(data, cls=AnsibleJSONEncoder)}

    events = []
    for host, variables in hosts.items():
        tried = _steps(variables, steps)
        if all(step.skipped for step in tried):
            continue  # the run was not about this host, and its last record stays the last
        looked = any(not step.kind and not step.failed for step in tried)
        # Only a host that was not looked at needs its last state again: to hand it on.
        state = {} if looked else json.loads((previous or {}).get(host, "{}"))
        events.append(event("check.run", host, run_envelope(tried, host, run, state)))
        done: dict[str, list[Mapping[str, Any]]] = {}
        for part in (part for step in tried for part in step.parts if part.eventful):
            done.setdefault(part.kind, []).append(_data(part))
        # The ledger takes one event of a kind for each host and run.
        events += [event(kind, host, data[0] if len(data) == 1 else {"results": data}) for kind, data in done.items()]
    return events


@_readable
def ops_served(hosts: Mapping[str, Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return where the work of the host that serves was tried, and which hosts serve; see ops_served.yml."""
    tried = {
        host: [part for step in _steps(variables, steps) for part in step.parts if part.result and not part.skipped]
        for host, variables in hosts.items()
    }
    return {
        "by": [host for host, parts in tried.items() if any(not part.standby_of for part in parts)],
        "serves": sorted({part.standby_of for parts in tried.values() for part in parts} - {""}),
    }


def _data(step: Step) -> dict[str, Any]:
    """Return what is worth keeping of the result of an action."""
    # The item of a loop may be all the variables of something; what it is called is in ``what``.
    out = LEFT_OUT | {step.result.get("ansible_loop_var", "item")}
    kept = {key: value for key, value in step.result.items() if key not in out and not key.startswith("_ansible")}
    return {"what": step.what, **kept}


@_readable
def ops_reached(envelope: Mapping[str, Any], fail_on: str = "critical") -> bool:
    """Tell whether a run is bad enough to fail; see ops_reached.yml."""
    return reached(envelope, fail_on)


@_readable
def ops_verdict(envelope: Mapping[str, Any], locale: str = "en") -> str:
    """Return the findings of a run as lines of text, worst first; see ops_verdict.yml."""
    found = by_severity(findings(Check.from_dict(data) for data in envelope["checks"]))
    lines = [f"{Status(check.status).name} {check.id} {check.item}: {summary(check, locale)}" for check in found]
    if len(lines) > VERDICT_LINES:
        lines[VERDICT_LINES:] = [f"+{len(lines) - VERDICT_LINES}"]
    return "\n".join(lines)


@_readable
def ops_steps(steps: Sequence[Mapping[str, Any]], locale: str = "en") -> list[str]:
    """Return the steps of a restore in words; see ops_steps.yml."""
    return [word(f"step.{name}", locale) if known(f"step.{name}") else name for name in (one["step"] for one in steps)]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map names to functions."""
        runs = (ops_envelope, ops_events, ops_served)
        return {f.__name__: f for f in (*runs, ops_shift, ops_reached, ops_verdict, ops_steps)}
