# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: findings an operator knows and accepts until a day.

A waived finding is SKIPPED with reason ``waived``: it raises nothing, and its sentence still tells what was found, until
when that is accepted and why. No waiver is for ever, and one that has expired is named in the finding it no longer hides.
UNKNOWN cannot be waived: nobody can accept what was not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import EVIDENCE_LINES, Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

_KEYS = frozenset(("check", "item", "until", "reason"))
_EXPECTED = "expected check and reason, until as YYYY-MM-DD, and optionally item"

AREA = Area(
    "waiver",
    rules={},
    sentences={
        "waiver.accepted": Text(
            "{found} (accepted until {until}: {why})",
            "{found_zh}（已接受至 {until}：{why}）",
        ),
    },
)


@dataclass(frozen=True)
class Waiver:
    """One accepted finding. ``check`` and ``item`` are shell patterns; ``until`` is the last day it holds, in UTC."""

    check: str
    item: str
    until: date
    reason: str

    @classmethod
    def read(cls, entry: Any) -> Waiver:
        """Read a dict with check, until, reason, and optionally item."""
        if not isinstance(entry, Mapping) or set(entry) - _KEYS:
            raise OpsError(f"waivers: {_EXPECTED}; seen {entry!r}")
        for key in ("check", "until", "reason"):
            if not str(entry.get(key) or "").strip():
                raise OpsError(f"waivers: {key} is missing: {_EXPECTED}; seen {dict(entry)!r}")
        try:
            until = datetime.strptime(str(entry["until"]), "%Y-%m-%d").date()
        except ValueError:
            raise OpsError(f"waivers: until {str(entry['until'])!r}: expected a day as YYYY-MM-DD") from None
        return cls(str(entry["check"]), str(entry.get("item") or "*"), until, " ".join(str(entry["reason"]).split()))

    def covers(self, check: Check) -> bool:
        """Tell whether this is the finding that was accepted."""
        return fnmatchcase(check.id, self.check) and fnmatchcase(check.item, self.item)


def read_all(entries: Iterable[Any]) -> list[Waiver]:
    """Read all waivers of a probe; raise OpsError for one that cannot be read."""
    return [Waiver.read(entry) for entry in entries]


def waive(check: Check, areas: Iterable[Area], waivers: Iterable[Waiver], today: date) -> None:
    """Turn a finding that is accepted today into a SKIPPED one; tell of the waiver that has expired in its evidence.

    ``areas`` are those that the check's sentence may be from.
    """
    if check.status not in (Status.WARNING, Status.CRITICAL):
        return
    for waiver in sorted((one for one in waivers if one.covers(check)), key=lambda one: one.until, reverse=True):
        if waiver.until < today:
            check.evidence = [f"waiver expired on {waiver.until}: {waiver.reason}", *check.evidence][:EVIDENCE_LINES]
            return
        sentence = next((area.sentences[check.message] for area in areas if check.message in area.sentences), None)
        told = {"found": check.summary, "found_zh": sentence.render("zh", check.words) if sentence else check.summary}
        check.params = {**told, "until": str(waiver.until), "why": waiver.reason}
        check.message, check.status, check.reason, check.fix = "waiver.accepted", Status.SKIPPED, "waived", ""
        check.summary = AREA.sentences[check.message].render("en", check.words)
        return
