# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from html import escape
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import acts, clock, story
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.html_template import CSS, DARK, LIGHT, TEMPLATE
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.symbols import symbol
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import (
    WORST_FIRST,
    Run,
    heading,
    occasion,
    read,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import named, status_word, word

# Height of a bar of the history: the shape that tells the statuses apart without colour.
_HEIGHTS = {Status.CRITICAL: 26, Status.WARNING: 15, Status.UNKNOWN: 20, Status.OK: 7, Status.SKIPPED: 3}

# A page, not a dump: beyond this many findings only the table of all checks has them. Keeps 10 hosts under 300 KB.
FINDINGS = 60


def render(
    envelopes: Iterable[Mapping[str, Any]],
    *,
    locale: str,
    zone: tzinfo,
    now: datetime,
    past: Sequence[Run] = (),
    chain: Check | None = None,
    title: str = "",
    other: str = "",
    done: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Render a run next to the runs before it (oldest first).

    ``now`` is the moment of rendering, ``chain`` the state of the ledger, ``other`` the address of the same report in the
    other language, ``done`` the events of what was done. Raises ImportError without Jinja2.
    """
    run = read(envelopes)
    first = min(run.hosts, key=lambda host: host.started) if run.hosts else None
    ago = clock.age(first.started, now) if first else None
    return _template().render(
        run=run,
        locale=locale,
        zone=zone,
        now=now,
        title=title or heading(run, locale),
        other=other,
        chain=chain,
        say=lambda key, **values: word(key, locale, **values),
        verdict=word(f"verdict.{run.worst.name.lower()}" if run.checks else "verdict.empty", locale),
        phase=occasion(first, locale) if first else "",
        acts=acts.read(done, locale, zone),
        started=first.started if first else "",
        ago=word(f"age.{ago[0]}", locale, n=ago[1]) if ago else "",
        statuses=WORST_FIRST,
        colon=word("colon", locale),
        comma=word("comma", locale),
        ok=Status.OK,
        critical=Status.CRITICAL,
        whole_host=story.WHOLE_HOST,
        since=lambda host, check: story.since(host, check, past),
        changes=story.changes(run, past),
        absent=sorted({host.name for one in past for host in one.hosts} - {host.name for host in run.hosts}),
        cell=_cell,
        past=past,
        strips=_strips(run, past, locale, zone),
        capacity=[{**vars(group), "gauges": story.gauges(group)} for group in story.latest(run, past, story.fills)],
        backups=story.latest(run, past, lambda check: check.group == "backup"),
        logs=story.latest(run, past, lambda check: check.group == "log"),
        shown=FINDINGS,
    )


@lru_cache(maxsize=1)
def _template() -> Any:
    """Return the compiled page: one for every language and zone, since compiling takes longer than rendering."""
    from jinja2 import Environment, pass_context  # the other formats must not need it
    from markupsafe import Markup

    def advice(context: Mapping[str, Any], check: Check) -> Markup:
        # Escaped first; only then do our own backticks become code.
        return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(catalogue.fix(check, context["locale"]))))

    env = Environment(autoescape=True, trim_blocks=True)
    env.filters.update(
        symbol=symbol,
        word=pass_context(lambda context, status: status_word(status, context["locale"])),
        title=pass_context(lambda context, check: catalogue.title(check.id, context["locale"])),
        summary=pass_context(lambda context, check: catalogue.summary(check, context["locale"])),
        fix=pass_context(advice),
        group=pass_context(lambda context, name: named("group", name, context["locale"])),
        local=pass_context(lambda context, stamp: clock.local(stamp, context["zone"])),
        amount=amount,
    )
    env.globals.update(css=Markup(CSS.strip()), light=Markup(_variables(LIGHT)), dark=Markup(_variables(DARK)))
    return env.from_string(TEMPLATE)


def amount(check: Check) -> str:
    """Write a measured value with its unit, bytes in powers of 1024."""
    value = check.value or 0.0
    if check.uom == "%":
        return f"{value:.1f} %"
    if check.uom != "B":
        return f"{value:.4g} {check.uom}".strip()
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.3g} {units[0]}" if value < 1000 else f"{value:.0f} {units[0]}"


def _variables(palette: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in palette.items())


def _cell(checks: list[Check]) -> str:
    """How many checks of a group have its worst status, of how many that applied."""
    same = sum(check.status is checks[0].status for check in checks)
    applied = sum(check.status is not Status.SKIPPED for check in checks) or len(checks)
    return str(applied) if same == applied else f"{same}/{applied}"


def _strips(run: Run, past: Sequence[Run], locale: str, zone: tzinfo) -> list[dict[str, Any]]:
    strips = []
    for host in run.hosts:
        bars, seen = [], []
        for one in [*past, run]:
            there = next((other for other in one.hosts if other.name == host.name), None)
            if there is None:
                bars.append({"name": "none", "height": 1, "title": "–"})
                continue
            seen.append(there.worst)
            words = f"{clock.local(there.started, zone)} {occasion(there, locale)}: {status_word(there.worst, locale)}"
            bars.append({"name": there.worst.name.lower(), "height": _HEIGHTS[there.worst], "title": words})
        tally = Counter(seen)
        text = ", ".join(f"{status_word(status, locale)} {tally[status]}" for status in WORST_FIRST if tally[status])
        label = word("history.label", locale, host=host.name, n=len(seen), tally=text)
        strips.append({"host": host.name, "bars": bars, "label": label})
    return strips
