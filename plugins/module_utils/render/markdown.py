# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Markdown, for a ticket, a wiki or a message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timezone, tzinfo
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import acts, clock
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.symbols import symbol
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import (
    WORST_FIRST,
    Run,
    heading,
    occasion,
    read,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import status_word, word

_SPECIAL = re.compile(r"([\\`*_{}\[\]()!|~<>&$])")
# At the beginning of a line these start a list, a heading or a rule.
_LEADING = re.compile(r"^([-+=#]|\d+[.)])")
_LINK = re.compile(r"(?i)\b(https?|ftp)(:)(//)|(www)(\.)|(@)")


def escape(text: str) -> str:
    """Write a text so that Markdown shows it as it is: no markup, no HTML, no table cell, no link."""
    escaped = _SPECIAL.sub(lambda m: f"&#{ord(m[1])};" if m[1] in "<>&" else f"\\{m[1]}", text)
    escaped = _LEADING.sub(lambda m: f"{m[1][:-1]}\\{m[1][-1]}", escaped)
    # Links are found without any markup; an entity in the middle keeps a host's text from becoming one.
    return _LINK.sub(lambda m: "".join(f"&#{ord(p)};" if p in (":", ".", "@") else p for p in m.groups() if p), escaped)


def render(
    envelopes: Iterable[Mapping[str, Any]],
    locale: str = "en",
    zone: tzinfo = timezone.utc,
    done: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Render a run of one or more hosts, with the events of what was ``done``."""
    run = read(envelopes)
    lines = [*_header(run, locale, zone), *_findings(run, locale, zone), *_done(done, locale, zone)]
    return "\n".join([*lines, *_hosts(run, locale)]).rstrip() + "\n"


def _header(run: Run, locale: str, zone: tzinfo) -> list[str]:
    state = word("verdict.empty", locale) if not run.checks else word(f"verdict.{run.worst.name.lower()}", locale)
    tally = " · ".join(f"{status_word(status, locale)} {run.counts[status.name.lower()]}" for status in WORST_FIRST)
    lines = [
        f"# {heading(run, locale)} {symbol(run.worst)} {status_word(run.worst, locale)}",
        "",
        f"{state}. {tally}" if locale == "en" else f"{state}。{tally}",
        "",
    ]
    for host in run.hosts[:1]:
        when = f"{occasion(host, locale)} {clock.local(host.started, zone)} ({zone}) {host.run_id}"
        lines += [escape(when.strip()), ""]
    return lines


def _findings(run: Run, locale: str, zone: tzinfo) -> list[str]:
    if not run.findings:
        return []
    lines = [f"## {word('now', locale)}", ""]
    for host, check in run.findings:
        since = f" ({word('since', locale)} {escape(clock.local(check.since, zone))})" if check.since else ""
        name = " ".join(
            part for part in (escape(host.name), catalogue.title(check.id, locale), escape(check.item)) if part
        )
        lines.append(f"- {symbol(check.status)} **{status_word(check.status, locale)}** {name}{since}")
        lines.append(f"  {escape(catalogue.summary(check, locale))}")
        lines += [f"  - {escape(line)}" for line in check.evidence]
        advice = catalogue.fix(check, locale)
        if advice:
            lines.append(f"  - **{word('next', locale)}**: {escape(advice)}")
    return [*lines, ""]


def _done(done: Sequence[Mapping[str, Any]], locale: str, zone: tzinfo) -> list[str]:
    found = acts.read(done, locale, zone)
    if not found:
        return []
    lines = [f"## {word('done', locale)}", ""]
    for act in found:
        lines += [f"### {escape(act.host)} {escape(act.title)}", ""]
        if act.error:
            lines += [f"{symbol(Status.CRITICAL)} {escape(act.error)}", ""]
        lines += [f"- {escape(name)}{word('colon', locale)}{escape(value)}" for name, value in act.facts]
        lines += [""] * bool(act.facts)
        for table in act.tables:
            lines += [_table_row(table.head), "|" + "---|" * len(table.head), *map(_table_row, table.rows), ""]
        for name, names in act.lists:
            lines += [f"{escape(name)}{word('colon', locale)}", "", *(f"- {escape(one)}" for one in names), ""]
    return lines


def _table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escape(cell) for cell in cells)} |"


def _hosts(run: Run, locale: str) -> list[str]:
    if not run.hosts:
        return []
    names = [status_word(status, locale) for status in WORST_FIRST]
    lines = [f"## {word('by_host', locale)}", ""]
    lines.append(f"| {word('host', locale)} | {word('worst', locale)} | {' | '.join(names)} |")
    lines.append("|---|---|" + "---:|" * len(names))
    for host in run.hosts:
        numbers = " | ".join(str(host.counts[status.name.lower()]) for status in WORST_FIRST)
        lines.append(f"| {escape(host.name)} | {symbol(host.worst)} {status_word(host.worst, locale)} | {numbers} |")
    return [*lines, ""]
