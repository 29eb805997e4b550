# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask systemd about units: one ``systemctl show`` for all of them (about 10 ms, where one call per unit adds up)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# What systemd.unit(5) allows in a name, without the globs that systemctl would expand to other units.
_NAME = re.compile(r"^[A-Za-z0-9:_.\\@-]+$")
_SUFFIXES = ".service .socket .device .mount .automount .swap .target .path .timer .slice .scope".split()
_SPAN = re.compile(r"([\d.]+)(y|month|w|d|h|min|ms|us|s)\b")
# Units of systemd.time(7) in seconds.
_SPAN_SECONDS = {
    "y": 31557600.0,
    "month": 2629800.0,
    "w": 604800.0,
    "d": 86400.0,
    "h": 3600.0,
    "min": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
}


def unit_name(name: str, suffix: str = ".service") -> str:
    """Return the full name of a unit; raise OpsError for what cannot be one."""
    if not _NAME.match(name) or name.startswith("-"):
        raise OpsError(f"{name!r} is not the name of a unit: expected for example nginx or nginx.service, no patterns")
    return name if name.endswith(tuple(_SUFFIXES)) else name + suffix


def show(units: Sequence[str], properties: Sequence[str], timeout: float) -> dict[str, dict[str, str]]:
    """Return the properties of the units by the name asked for; raise OpsError when systemd does not answer.

    A unit that does not exist is there too, with ``LoadState=not-found``.
    """
    if not units:
        return {}
    # LoadState is always asked: it alone is never empty, so that no unit's paragraph goes missing.
    wanted = ["LoadState", *(name for name in properties if name != "LoadState")]
    output = run(["systemctl", "show", "--no-pager", f"--property={','.join(wanted)}", "--", *units], timeout)
    if output.rc != 0:
        raise OpsError(f"systemctl show: {output.complaint}")
    return parse_show(output.stdout, units)


def parse_show(text: str, units: Sequence[str]) -> dict[str, dict[str, str]]:
    """Split the output of ``systemctl show``: one paragraph for each unit, in the order asked.

    The order is what names them: an alias such as redis.service answers under another ``Id``.
    """
    paragraphs = [paragraph for paragraph in text.strip().split("\n\n") if paragraph]
    if len(paragraphs) != len(units):
        raise OpsError(f"systemctl show: asked for {len(units)} units, seen {len(paragraphs)}: {', '.join(units)}")
    return {unit: _properties(paragraph) for unit, paragraph in zip(units, paragraphs)}


def _properties(paragraph: str) -> dict[str, str]:
    """Read ``name=value`` lines; a property of several lines, such as TimersMonotonic, keeps them all."""
    found: dict[str, str] = {}
    for line in paragraph.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def failed_units(timeout: float) -> list[str]:
    """Return the names of all units in state failed; raise OpsError when systemd does not answer."""
    output = run(
        ["systemctl", "list-units", "--state=failed", "--all", "--full", "--plain", "--no-legend", "--no-pager"],
        timeout,
    )
    if output.rc != 0:
        raise OpsError(f"systemctl list-units: {output.complaint}")
    return parse_names(output.stdout)


def parse_names(text: str) -> list[str]:
    """Return the first word of each line, without the dot systemctl paints before a failed unit."""
    return [line.lstrip("\u25cf* ").split()[0] for line in text.splitlines() if line.strip("\u25cf* ")]


def number(properties: Mapping[str, str], name: str) -> int | None:
    """Return a figure; None for ``[not set]``, ``infinity`` and the 2^64-1 that older versions print for them."""
    text = properties.get(name, "")
    if not text.isdigit() or int(text) >= 2**64 - 1:
        return None
    return int(text)


def seconds_since(properties: Mapping[str, str], name: str) -> float | None:
    """Return the age of a moment from its ``...Monotonic`` twin in microseconds: no wall clock, no time zone.

    None when it never happened.
    """
    stamp = number(properties, name)
    if not stamp:
        return None
    return max(0.0, time.clock_gettime(time.CLOCK_MONOTONIC) - stamp / 1e6)


def moment(text: str) -> float | None:
    """Return a time such as ``Mon 2026-11-23 02:00:00 UTC`` as seconds since 1970; None for ``n/a`` and empty.

    Commands run with TZ=UTC, so that no other zone is seen.
    """
    parts = text.split()
    if len(parts) != 4 or parts[3] != "UTC":
        return None
    try:
        when = datetime.strptime(f"{parts[1]} {parts[2].partition('.')[0]}", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
    return when.replace(tzinfo=timezone.utc).timestamp()


def span(text: str) -> float | None:
    """Return a duration such as ``1h 2min 3.5s`` in seconds; None for ``infinity`` and what is none."""
    found = _SPAN.findall(text)
    if not found:
        return 0.0 if text == "0" else None
    return sum(float(value) * _SPAN_SECONDS[unit] for value, unit in found)
