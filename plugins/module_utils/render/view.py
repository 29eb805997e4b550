# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every renderer draws: the envelopes of a run, read, made harmless and put in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status, by_severity, counts, worst
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import findings
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import AREA, named, title
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.shifts import SHIFTS

# Order in which statuses are counted wherever a person reads: worst first.
WORST_FIRST = tuple(sorted(Status, key=lambda status: -status.severity))

# A log line or an item may be of any length; what a person reads is not.
TEXT_CHARS = 600
NAME_CHARS = 160

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]")
_SPACES = re.compile(r" +")


def clean(text: Any, limit: int = TEXT_CHARS) -> str:
    """Make one harmless line of a text from a host.

    Terminal sequences go; control characters, line ends, lone surrogates and the invisible characters that turn the
    direction of writing become a space. None of them may reach a terminal, an XML file or a messenger.
    """
    # Cut before the work: a runaway line of megabytes must not cost seconds.
    line = str(text)[: limit * 4]
    if "\x1b" in line or "\x9b" in line:
        line = _ANSI.sub(" ", line)
    if not line.isprintable():
        line = "".join(char if char.isprintable() else " " for char in line)
    line = _SPACES.sub(" ", line).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _clean_value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(key, NAME_CHARS): _clean_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean_value(item) for item in value]
    return value


@dataclass(frozen=True)
class Host:
    """One host of a run. ``started`` is ISO 8601 in UTC."""

    name: str
    checks: tuple[Check, ...]
    run_id: str = ""
    phase: str = ""
    part: str = ""
    started: str = ""
    duration_ms: float = 0.0
    version: str = ""
    errors: tuple[str, ...] = ()

    @cached_property
    def worst(self) -> Status:
        """The worst status of the host."""
        return worst(self.checks)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of checks by status name."""
        return counts(self.checks)

    @property
    def occasion(self) -> str:
        """What the run was for: the shifts are one occasion, each part of another phase is one of its own."""
        if self.phase in ("", "adhoc", *SHIFTS):
            return "daily"
        return f"{self.phase}_{self.part}" if self.part else self.phase

    @cached_property
    def reachable(self) -> bool:
        """False when the run could not even connect."""
        return not any(check.id == "host.reachable" and check.status is Status.CRITICAL for check in self.checks)

    @cached_property
    def by_group(self) -> dict[str, list[Check]]:
        """The checks of each group, groups in the order of their names, worst check first."""
        groups: dict[str, list[Check]] = {}
        for check in sorted(by_severity(self.checks), key=lambda check: check.group):
            groups.setdefault(check.group, []).append(check)
        return groups


@dataclass(frozen=True)
class Run:
    """All hosts of a run: those that could not be reached first, then worst first."""

    hosts: tuple[Host, ...]

    @cached_property
    def checks(self) -> list[Check]:
        """The checks of all hosts."""
        return [check for host in self.hosts for check in host.checks]

    @cached_property
    def worst(self) -> Status:
        """The worst status of all."""
        return worst(self.checks)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of checks by status name."""
        return counts(self.checks)

    @cached_property
    def findings(self) -> list[tuple[Host, Check]]:
        """What needs somebody: hosts that could not be reached first, then the worst."""
        found = [(host, check) for host in self.hosts for check in by_severity(findings(host.checks))]
        return sorted(found, key=lambda pair: (pair[0].reachable, -pair[1].status.severity))

    @cached_property
    def groups(self) -> list[str]:
        """Every group that occurs."""
        return sorted({check.group for check in self.checks})


def heading(run: Run, locale: str) -> str:
    """Return what the report of a run is called."""
    return title(run.hosts[0].phase, run.hosts[0].part, locale) if run.hosts else title("", "", locale)


def occasion(host: Host, locale: str) -> str:
    """Return the phase of a run, and its part, in words."""
    part = named("part", host.part, locale)
    return " ".join(filter(None, [named("phase", host.phase, locale), part]))


def read(envelopes: Iterable[Mapping[str, Any]]) -> Run:
    """Read envelopes; several of one host become one host.

    A check that cannot be read is a finding of its own (UNKNOWN), never dropped.
    """
    hosts: dict[str, Host] = {}
    for envelope in envelopes:
        host = _host(envelope)
        earlier = hosts.get(host.name)
        hosts[host.name] = _join(earlier, host) if earlier else host
    return Run(tuple(sorted(hosts.values(), key=lambda host: (host.reachable, -host.worst.severity, host.name))))


def _host(envelope: Mapping[str, Any]) -> Host:
    return Host(
        name=clean(envelope.get("host", ""), NAME_CHARS) or "?",
        checks=tuple(_check(data) for data in envelope.get("checks") or ()),
        run_id=clean(envelope.get("run_id", ""), NAME_CHARS),
        phase=clean(envelope.get("phase", ""), NAME_CHARS),
        part=clean(envelope.get("part", ""), NAME_CHARS),
        started=clean(envelope.get("started", ""), NAME_CHARS),
        duration_ms=_number(envelope.get("duration_ms")),
        version=clean(envelope.get("tool_version", ""), NAME_CHARS),
        errors=tuple(clean(error) for error in envelope.get("errors") or ()),
    )


def _join(one: Host, two: Host) -> Host:
    first = min((one, two), key=lambda host: host.started)
    return Host(
        one.name,
        one.checks + two.checks,
        first.run_id,
        first.phase,
        first.part,
        first.started,
        one.duration_ms + two.duration_ms,
        first.version,
        one.errors + two.errors,
    )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _check(data: Any) -> Check:
    try:
        check = Check.from_dict(data)
    except (OpsError, TypeError, AttributeError, ValueError) as exc:
        error = clean(exc, 200)
        return AREA.reporter(source="report").find(
            "report.unreadable", Status.UNKNOWN, "report.unreadable", error=error
        )
    check.id, check.group = clean(check.id, NAME_CHARS), clean(check.group, NAME_CHARS)
    check.item, check.summary = clean(check.item, NAME_CHARS), clean(check.summary)
    check.uom, check.since = clean(check.uom, 16), clean(check.since, 40)
    check.params, check.labels = _clean_value(check.params), _clean_value(check.labels)
    check.evidence = [clean(line) for line in check.evidence]
    return check
