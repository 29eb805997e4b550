# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table at the end of a run: what needs somebody, worst first, and how much is healthy."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timezone
from itertools import zip_longest
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import acts
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.symbols import symbol
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import WORST_FIRST, Host, Run, clean, read
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import named, status_word, word

COLUMNS = 80
HOST_COLUMNS = 14
NAME_COLUMNS = 22
# A screen, not a report: what is beyond is counted.
FINDINGS = 40

# These may not begin a line in Chinese.
_CLOSING = "，。；：！？、）》」』】\u201d\u2019…%"


class Line(NamedTuple):
    """A line of text and the status whose colour it has, None for no colour."""

    text: str
    status: Status | None = None


def render(
    envelopes: Iterable[Mapping[str, Any]],
    locale: str = "en",
    plain: bool = False,
    encoding: str = "utf-8",
    seconds: float | None = None,
    failed: Mapping[str, str] | None = None,
    done: Sequence[Mapping[str, Any]] = (),
) -> list[Line]:
    """Render a run, with the hosts whose tasks ``failed``, the events of what was ``done`` and how long it all took.

    ``plain`` shows the signs of the statuses in ASCII. An ``encoding`` that lacks them does too, and one that lacks
    Chinese gets English.
    """
    plain = plain or not _writable("✔⚠✖–→", encoding)
    locale = locale if _writable("运维检查", encoding) else "en"
    run = read(envelopes)
    table = [*_header(run, locale, plain, seconds), *_findings(run, locale, plain)]
    for host, message in sorted((failed or {}).items()):
        told, command = _command(message)
        row = (clean(host), word("task_failed", locale), clean(told))
        table += [Line(text, Status.CRITICAL) for text in _row(symbol(Status.CRITICAL, plain), *row)]
        table += [Line(clean(command))] * bool(command)
    for act in acts.read(done, locale, timezone.utc):
        text = word("comma", locale).join(act.words)
        if text and not act.error:  # an action that failed is a finding
            status = Status.OK if act.good else Status.CRITICAL
            table += [Line(line, status) for line in _row(symbol(status, plain), act.host, act.title, text)]
    table += _healthy(run, locale, plain)
    return [Line(line.text.encode(encoding, "replace").decode(encoding), line.status) for line in table]


def _command(message: str) -> tuple[str, str]:
    """Take off the command that is the last line of a message: broken into columns, nobody could paste it."""
    told, _end, last = message.rpartition("\n")
    return (told, last) if last.startswith("ansible-playbook ") else (message, "")


def _header(run: Run, locale: str, plain: bool, seconds: float | None) -> Iterator[Line]:
    took = [] if seconds is None else [word("took", locale, seconds=seconds)]
    right = " ".join([word("hosts", locale, n=len(run.hosts)), *took])
    left = word("terminal", locale)
    yield Line(f"{left} {'*' * (COLUMNS - width(left) - width(right) - 2)} {right}")
    tally = [
        f"{symbol(status, plain)} {status_word(status, locale)} {run.counts[status.name.lower()]}"
        for status in WORST_FIRST
    ]
    yield Line("   ".join(tally), run.worst)


def _findings(run: Run, locale: str, plain: bool) -> Iterator[Line]:
    for host, check in run.findings[:FINDINGS]:
        text = catalogue.summary(check, locale)
        sign = symbol(check.status, plain)
        name = check.id if not check.item or check.item in text else f"{check.id} {check.item}"
        for line in _row(sign, host.name, name, text):
            yield Line(line, check.status)
        advice = catalogue.fix(check, locale)
        if advice:
            arrow = "->" if plain else "→"
            for number, line in enumerate(wrap(advice, COLUMNS - HOST_COLUMNS - 6)):
                yield Line(" " * (HOST_COLUMNS + 3) + (f"{arrow} " if not number else " " * (width(arrow) + 1)) + line)
    if len(run.findings) > FINDINGS:
        yield Line(word("more", locale, n=len(run.findings) - FINDINGS))


def _row(sign: str, host: str, name: str, text: str) -> Iterator[str]:
    rest = COLUMNS - HOST_COLUMNS - NAME_COLUMNS - 4
    columns = (wrap(host, HOST_COLUMNS), wrap(name, NAME_COLUMNS), wrap(text, rest))
    for number, (one, two, three) in enumerate(zip_longest(*columns, fillvalue="")):
        lead = " " if number else sign
        yield f"{lead} {pad(one, HOST_COLUMNS)} {pad(two, NAME_COLUMNS)} {three}".rstrip()


def _healthy(run: Run, locale: str, plain: bool) -> Iterator[Line]:
    for host in sorted(run.hosts, key=lambda host: host.name):
        groups = _groups(host, locale)
        if groups:
            text = f"{status_word(Status.OK, locale)} {host.counts['ok']}: " + ", ".join(groups)
            for number, line in enumerate(wrap(text, COLUMNS - HOST_COLUMNS - 4)):
                name = "" if number else _short(host.name)
                sign = " " if number else symbol(Status.OK, plain)
                yield Line(f"{sign} {pad(name, HOST_COLUMNS)} {line}", Status.OK)


def _groups(host: Host, locale: str) -> list[str]:
    healthy = Counter(check.group for check in host.checks if check.status is Status.OK)
    return [f"{named('group', group, locale)} {number}" for group, number in sorted(healthy.items())]


def _short(name: str) -> str:
    return wrap(name, HOST_COLUMNS)[0]


def _writable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, columns: int) -> str:
    """Fill a text with spaces to a number of columns."""
    return text + " " * max(0, columns - width(text))


def wrap(text: str, columns: int) -> list[str]:
    """Break a text into lines of at most so many columns: at spaces, between Chinese characters, else anywhere."""
    lines, line = [], ""
    for piece in _pieces(text):
        if width(line) + width(piece.rstrip()) > columns and line.strip():
            lines.append(line.rstrip())
            line, piece = "", piece.lstrip()
        while width(piece.rstrip()) > columns:
            head = _head(piece, columns)
            lines.append(head)
            piece = piece[len(head) :]
        line += piece
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _pieces(text: str) -> Iterator[str]:
    """Split a text where a line may end."""
    piece = ""
    for char in text:
        wide = _char_width(char) == 2
        if (
            piece
            and char not in _CLOSING
            and not char.isspace()
            and (wide or _char_width(piece[-1]) == 2 or piece[-1] == " ")
        ):
            yield piece
            piece = ""
        piece += char
    if piece:
        yield piece


def _head(text: str, columns: int) -> str:
    """Return the longest beginning that fits, one character at least."""
    taken, used = 0, 0
    for char in text:
        used += _char_width(char)
        if used > columns and taken:
            break
        taken += 1
    return text[:taken]
