# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which incidents people are busy with, as the ledger tells: nothing that can wait gets in their way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Their kinds begin so; the subject is the incident, and its data have ``priority`` (P0 to P3) and ``state``.
KINDS = "incident*"
URGENT = ("P0", "P1")
OVER = ("resolved", "reviewed", "closed", "cancelled")


@dataclass(frozen=True)
class Incident:
    """An urgent incident that is not over."""

    subject: str
    priority: str
    state: str


def urgent(events: Iterable[Mapping[str, Any]]) -> list[Incident]:
    """Return the urgent ones that are not over; ``events`` are the last one of each incident: ``{"subject", "data"}``."""
    found = []
    for event in events:
        data = event["data"]
        priority, state = str(data.get("priority", "")), str(data.get("state", "")) or "open"
        if priority in URGENT and state not in OVER:
            found.append(Incident(str(event["subject"]), priority, state))
    return found
