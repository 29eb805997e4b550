# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The past of a host's figures, as the ledger has it: what a forecast is made from. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.forecast import DAY
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# Eight weeks, with one point a day: what is older says little about next week.
MOST_DAYS = 60

Series = dict[str, list[list[float]]]


def series_of(records: Iterable[Mapping[str, Any]], host: str) -> Series:
    """Return the series of a host by ``check|item`` from records of its runs; the last value of each day.

    A record is ``{host, at, points}`` with the points ``[check, item, value]``, as a list or as JSON text of one.
    """
    days: dict[str, dict[int, list[float]]] = {}
    for record in records:
        if record.get("host") != host:
            continue
        try:
            at = datetime.fromisoformat(str(record["at"]).replace("Z", "+00:00")).astimezone(timezone.utc).timestamp()
            points = record["points"]
            for check, item, value in json.loads(points) if isinstance(points, str) else points:
                days.setdefault(f"{check}|{item}", {})[int(at // DAY)] = [round(at), float(value)]
        except (KeyError, TypeError, ValueError) as exc:
            raise OpsError(f"history: not a record of a run: {exc}; expected host, at and points") from exc
    return {name: [found[day] for day in sorted(found)[-MOST_DAYS:]] for name, found in sorted(days.items())}
