# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus text format for the textfile collector of node_exporter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Range, Status, by_severity
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import clock
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import Host, read

# A series that a host invents (an item per file, say) must not fill the monitoring server.
CHECKS_PER_HOST = 200

# Every file must carry the same help for a name, or node_exporter refuses them all: so it is English and fixed.
METRICS = {
    "ops_check_status": "Status of a check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Skipped checks have none.",
    "ops_check_value": "Value that a check measured, in its own unit (label uom).",
    "ops_check_threshold": "Bound beyond which a check alerts, by level and side.",
    "ops_checks": "Number of checks of the last run by status.",
    "ops_checks_dropped": "Number of checks of the last run that are not in this file.",
    "ops_check_run_timestamp_seconds": "When the last run started, in seconds since 1970.",
    "ops_check_run_duration_seconds": "How long the last run took.",
    "ops_check_info": "Version of the collection that made the run.",
}

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Labels = tuple[tuple[str, str], ...]


def render(envelopes: Iterable[Mapping[str, Any]]) -> str:
    """Render a run of one or more hosts; the text ends with a line feed, as the format wants."""
    samples: dict[str, dict[Labels, float]] = {name: {} for name in METRICS}
    for host in read(envelopes).hosts:
        for name, value, labels in _samples(host):
            # One series twice makes Prometheus refuse the file; worst comes first and stays.
            samples[name].setdefault(tuple(labels.items()), value)
    lines: list[str] = []
    for name, help_text in METRICS.items():
        if samples[name]:
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
            lines += [_line(name, labels, value) for labels, value in samples[name].items()]
    return "".join(f"{line}\n" for line in lines)


def _samples(host: Host) -> Iterator[tuple[str, float, dict[str, str]]]:
    # Runs for other occasions have files of their own beside the shifts': no series may be in two files.
    about = {"host": host.name, "run": host.occasion}
    shown: dict[tuple[str, str], Check] = {}
    for check in by_severity(host.checks):
        if len(shown) < CHECKS_PER_HOST:
            shown.setdefault((check.id, check.item), check)
    for check in shown.values():
        labels = {**about, "group": check.group, "check": check.id, "item": check.item}
        if check.status is not Status.SKIPPED:
            yield "ops_check_status", int(check.status), labels
        if check.value is not None:
            yield "ops_check_value", check.value, {**labels, "uom": check.uom}
        for level, text in (("warning", check.warn), ("critical", check.crit)):
            for side, bound in _bounds(text):
                yield "ops_check_threshold", bound, {**labels, "level": level, "side": side}
    for status, number in host.counts.items():
        yield "ops_checks", number, {**about, "status": status}
    yield "ops_checks_dropped", len(host.checks) - len(shown), about
    run = {**about, "phase": host.phase}
    started = clock.parse(host.started)
    if started:
        yield "ops_check_run_timestamp_seconds", started.timestamp(), run
    yield "ops_check_run_duration_seconds", host.duration_ms / 1000, run
    yield "ops_check_info", 1, {**about, "version": host.version}


def _bounds(text: str) -> Iterator[tuple[str, float]]:
    try:
        limits = Range.parse(text)
    except OpsError:
        return
    # The start 0 of "80" is how Nagios writes "no lower bound worth naming".
    if math.isfinite(limits.start) and ":" in text:
        yield "lower", limits.start
    if math.isfinite(limits.end):
        yield "upper", limits.end


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels)
    return f"{name}{{{inside}}} {repr(float(value)).removesuffix('.0')}"
