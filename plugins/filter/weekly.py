# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of the weekly maintenance: which day it is, and what of the ledger a capacity report looks back on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.history import Series, series_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.shifts import day_at


def ops_day(zone: str, now: str | None = None) -> str:
    """Return the day of the week in a time zone; see ops_day.yml."""
    moment = datetime.fromisoformat(now.replace("Z", "+00:00")) if now else datetime.now(timezone.utc)
    try:
        return day_at(moment, zone)
    except OpsError as exc:
        raise AnsibleFilterError(f"ops_day: {exc}") from exc


def ops_history(records: Iterable[Mapping[str, Any]], host: str) -> Series:
    """Return the series of a host's figures; see ops_history.yml."""
    try:
        return series_of(records, host)
    except OpsError as exc:
        raise AnsibleFilterError(f"ops_history: {exc}") from exc


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map names to functions."""
        return {f.__name__: f for f in (ops_day, ops_history)}
