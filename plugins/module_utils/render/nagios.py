# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nagios plugin output: one line of verdict, performance data, the findings as long text, and the exit code.

Source: Monitoring Plugins Development Guidelines, "Plugin Output for Nagios" and "Performance data".
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Range, Status, by_severity
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import WORST_FIRST, Run, read
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import status_word, word

# Nagios core reads 8 KB of plugin output; performance data must leave room for the text.
OUTPUT_BYTES = 8192
PERF_BYTES = 6144
VERDICT_BYTES = 512

# RRD keeps 19 characters of a data source's name.
LABEL_CHARS = 19
UNITS = frozenset({"s", "us", "ms", "%", "B", "KB", "MB", "c"})

# Beyond this a double has no unit digit left, and the guidelines know no exponent.
_LARGEST = 1e15
_UNSAFE_IN_LABEL = re.compile(r"[\s'=|;]+")


class Output(NamedTuple):
    """What the plugin prints and how it exits."""

    text: str
    code: int


def render(envelopes: Iterable[Mapping[str, Any]], service: str = "OPS", locale: str = "en") -> Output:
    """Render a run of one or more hosts.

    SKIPPED ends 0, since nothing applied here; no checks at all end 3, since nothing was looked at.
    """
    run = read(envelopes)
    state = Status.OK if run.worst is Status.SKIPPED else run.worst
    tally = ", ".join(f"{run.counts[status.name.lower()]} {status_word(status, locale)}" for status in WORST_FIRST)
    lines = _findings(run, locale)
    verdict = _plain(f"{service} {state.name} - {tally}" + (f"; {lines[0]}" if lines else ""))
    verdict = _cut(verdict, VERDICT_BYTES)
    perf, dropped = _perfdata(run)
    if dropped:
        lines.append(word("perf_dropped", locale, n=dropped))
    first = f"{verdict} | {perf}" if perf else verdict
    return Output("\n".join([first, *_fitting(lines, OUTPUT_BYTES - len(first.encode()), locale)]), int(state))


def _plain(text: str) -> str:
    """Replace the pipe: it begins performance data and nothing can escape it."""
    return text.replace("|", "¦")


def _cut(text: str, limit: int) -> str:
    """Cut a text to a number of bytes without splitting a character."""
    if len(text.encode()) <= limit:
        return text
    return text.encode()[: limit - 3].decode(errors="ignore") + "…"


def _findings(run: Run, locale: str) -> list[str]:
    several = len(run.hosts) > 1
    lines = []
    for host, check in run.findings:
        where = f"{host.name} " if several else ""
        text = catalogue.summary(check, locale)
        name = check.id if not check.item or check.item in text else f"{check.id} {check.item}"
        lines.append(_plain(f"[{check.status.name}] {where}{name}: {text}"))
    return lines


def _fitting(lines: list[str], room: int, locale: str) -> list[str]:
    """Return the lines that fit into a number of bytes, the last one saying how many did not."""
    if sum(len(line.encode()) + 1 for line in lines) <= room:
        return lines
    room -= len(word("more", locale, n=len(lines)).encode()) + 1
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return [*kept, word("more", locale, n=len(lines) - len(kept))]


def _perfdata(run: Run) -> tuple[str, int]:
    """Return the performance data, worst checks first, and how many values had no room."""
    several = len(run.hosts) > 1
    parts: list[str] = []
    room, dropped = PERF_BYTES, 0
    labels: set[str] = set()
    for host in run.hosts:
        for check in by_severity(host.checks):
            if check.value is None or abs(check.value) > _LARGEST:
                continue
            name = label(check.id, check.item, host.name if several else "")
            part = f"'{name}'={_measure(check)}"
            room -= len(part.encode()) + 1
            if name in labels or room < 0:
                dropped += 1
                continue
            labels.add(name)
            parts.append(part)
    return " ".join(parts), dropped


def label(check_id: str, item: str, host: str = "") -> str:
    """Return the name of a series: the same in every run, and told apart by its first 19 characters.

    A long name begins with the id's first characters and a digest of the whole, whatever else is in the run: a label
    that depended on its neighbours would start a new graph whenever one of them came or went.
    """
    full = " ".join(_UNSAFE_IN_LABEL.sub("_", part) for part in (host, check_id, item) if part)
    if len(full) <= LABEL_CHARS:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:5]
    head = _UNSAFE_IN_LABEL.sub("_", check_id)[: LABEL_CHARS - 6]
    return f"{head}#{digest} {full}"


def _measure(check: Check) -> str:
    unit = check.uom if check.uom in UNITS else ""
    bounds = [_range(check.warn), _range(check.crit), _number(check.min), _number(check.max)]
    return ";".join([f"{_number(check.value)}{unit}", *bounds]).rstrip(";")


def _number(value: Any) -> str:
    """Write a number with digits, sign and point only; empty for none."""
    if not isinstance(value, (int, float)) or not abs(value) <= _LARGEST:
        return ""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _range(text: str) -> str:
    """Write a threshold in its shortest form; what is no range is left out."""
    try:
        limits = Range.parse(text)
    except OpsError:
        return ""
    end = "" if math.isinf(limits.end) else _number(limits.end)
    start = "~" if math.isinf(limits.start) else _number(limits.start)
    if (not end and not math.isinf(limits.end)) or not start:
        return ""
    at = "@" if limits.inside else ""
    return f"{at}{end}" if start == "0" and end else f"{at}{start}:{end}"
