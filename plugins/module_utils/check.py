# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check: one finding about one thing on one host, and the arithmetic on lists of them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

SCHEMA = "ops.check/1"

REASONS = (
    "ok",
    "threshold",
    "state",
    "missing",
    "timeout",
    "denied",
    "error",
    "insufficient_data",
    "not_applicable",
    "waived",
)

# A finding is read at a terminal and sent by messengers: ten lines of proof are enough.
EVIDENCE_LINES = 10
EVIDENCE_CHARS = 300


class Status(IntEnum):
    """Exit codes of the Nagios plugin guidelines, and SKIPPED: not applicable here, with the reason."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3
    SKIPPED = 4

    @property
    def severity(self) -> int:
        """Rank for sorting and for the worst of many: CRITICAL > WARNING > UNKNOWN > OK > SKIPPED.

        Not the numeric order, and not the order of monitoring-plugins' ``max_state``, where one OK hides an UNKNOWN.
        """
        return _SEVERITY[self]


_SEVERITY = {Status.SKIPPED: 0, Status.OK: 1, Status.UNKNOWN: 2, Status.WARNING: 3, Status.CRITICAL: 4}

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
_RANGE = re.compile(rf"^(?P<inside>@)?(?:(?P<start>~|{_NUMBER})?:)?(?P<end>{_NUMBER})?$")


@dataclass(frozen=True)
class Range:
    """A Nagios threshold range ``[@]start:end``; ``alerts`` is true outside it, with ``@`` inside it.

    Source: Monitoring Plugins Development Guidelines, "Threshold and Ranges".
    """

    text: str
    start: float
    end: float
    inside: bool

    @classmethod
    def parse(cls, text: Any) -> Range:
        """Read a range such as ``80``, ``80:``, ``~:10``, ``10:20`` or ``@10:20``; raise OpsError for anything else."""
        text = str(text).strip()
        match = _RANGE.match(text)
        if not match or text in ("", "@", ":", "@:"):
            raise OpsError(
                f"threshold {text!r} is not a Nagios range: expected [@]start:end, such as 80 (alert above 80), "
                "80: (alert below 80), 10:20 (alert outside) or @10:20 (alert inside)"
            )
        start_text, end_text = match["start"], match["end"]
        start = -math.inf if start_text == "~" else float(start_text or 0)
        end = float(end_text) if end_text else math.inf
        if start > end:
            raise OpsError(f"threshold {text!r} starts above its end: expected start <= end")
        return cls(text=text, start=start, end=end, inside=bool(match["inside"]))

    def alerts(self, value: float) -> bool:
        """Tell whether a value raises the alert. NaN always does: it is never a good measurement."""
        if math.isnan(value):
            return True
        return (self.start <= value <= self.end) == self.inside


@dataclass
class Check:
    """One finding, schema ``ops.check/1``.

    ``message`` is a key of the message catalogue and ``params`` its values; ``summary`` is the English text, so that
    a reader without the catalogue is served too. ``warn`` and ``crit`` are the resolved Nagios ranges, empty for none.
    """

    id: str
    group: str
    item: str
    status: Status
    reason: str
    summary: str
    message: str
    params: dict[str, Any] = field(default_factory=dict)
    value: float | None = None
    uom: str = ""
    warn: str = ""
    crit: str = ""
    min: float | None = None
    max: float | None = None
    evidence: list[str] = field(default_factory=list)
    fix: str = ""
    since: str = ""
    prev_status: int | None = None
    flaps_24h: int = 0
    duration_ms: float = 0.0
    source: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise OpsError(f"check {self.id}: reason {self.reason!r} is not one of {', '.join(REASONS)}")
        self.status = Status(self.status)
        lines = [str(line)[:EVIDENCE_CHARS] for line in self.evidence if str(line).strip()]
        self.evidence = lines[:EVIDENCE_LINES]
        if self.value is not None and not math.isfinite(self.value):
            self.value = None  # JSON, perfdata and the textfile have no honest word for NaN

    @property
    def key(self) -> str:
        """Identity of what is checked, the same in every run: id and item."""
        return f"{self.id}|{self.item}"

    @property
    def words(self) -> dict[str, Any]:
        """Values for the sentence: the params, and the fields every sentence may name."""
        own = {"item": self.item, "value": self.value, "uom": self.uom, "warn": self.warn, "crit": self.crit}
        return {**own, **self.params}

    @property
    def fingerprint(self) -> str:
        """Identity of the finding: changes when the reason does, so that a new cause is a new finding."""
        return hashlib.sha1(
            f"{self.id}|{self.item}|{self.reason}".encode(errors="surrogatepass"), usedforsecurity=False
        ).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON data."""
        data = dict(vars(self))  # not asdict(): its deep copy cannot take the lazy containers of Ansible's templates
        data["status"] = int(self.status)
        data["fingerprint"] = self.fingerprint
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Check:
        """Read a record back; keys this version does not know are dropped, missing ones raise OpsError."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        try:
            return cls(**known)
        except (TypeError, ValueError) as exc:
            raise OpsError(f"not a check of schema {SCHEMA}: {exc}") from exc


def worst(checks: Iterable[Check]) -> Status:
    """Return the worst status; of no checks at all UNKNOWN, since nothing was looked at."""
    return max((check.status for check in checks), key=lambda status: status.severity, default=Status.UNKNOWN)


def counts(checks: Iterable[Check]) -> dict[str, int]:
    """Count the checks by status name, every name present: ``{"ok": 12, "warning": 0, ...}``."""
    result = {status.name.lower(): 0 for status in Status}
    for check in checks:
        result[check.status.name.lower()] += 1
    return result


def by_severity(checks: Iterable[Check]) -> list[Check]:
    """Sort worst first, then by group, id and item."""
    return sorted(checks, key=lambda check: (-check.status.severity, check.group, check.id, check.item))
