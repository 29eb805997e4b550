# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON: the envelopes as they were recorded, under a summary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import read

SCHEMA = "ops.report/1"


def render(envelopes: Iterable[Mapping[str, Any]], done: Iterable[Mapping[str, Any]] = ()) -> str:
    """Render a run of one or more hosts, with the events of what was ``done``."""
    envelopes = list(envelopes)
    run = read(envelopes)
    report = {
        "schema": SCHEMA,
        "worst": int(run.worst),
        "counts": run.counts,
        "hosts": [
            {"host": host.name, "reachable": host.reachable, "worst": int(host.worst), "counts": host.counts}
            for host in run.hosts
        ],
        "envelopes": envelopes,
        "done": list(done),
    }
    # A lone surrogate from a file name is valid in escapes only, so everything beyond ASCII is escaped.
    return json.dumps(report, indent=1, sort_keys=True) + "\n"
