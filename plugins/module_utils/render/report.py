# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as files: what to render from a ledger, and under which names."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import (
    acts,
    html,
    jsonout,
    junit,
    markdown,
    nagios,
    textfile,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.story import past_runs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import Run, read

FORMATS = ("html", "markdown", "json", "nagios", "textfile", "junit")
KIND = "check.run"

# The monitoring agent reads the textfile as a user of its own; everything else holds paths and log lines.
MODE = 0o640
MODE_TEXTFILE = 0o644

_RENDERED = re.compile(r'<time datetime="([^"]+)" data-rendered>')
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")

Envelope = Mapping[str, Any]


@dataclass(frozen=True)
class Material:
    """What a report is made of: the envelopes of one run, the runs before it, oldest first, and what the run did.

    ``done`` are events ``{"kind", "subject", "data"}``.
    """

    current: list[Envelope]
    past: list[Run]
    done: list[Mapping[str, Any]]


@dataclass(frozen=True)
class Look:
    """How a report is written."""

    formats: list[str]
    locale: str
    zone: tzinfo
    title: str
    now: datetime


@dataclass(frozen=True)
class File:
    """One file of a report. ``content`` takes the moment of rendering, which is no difference worth telling."""

    name: str
    content: Callable[[datetime], str]
    mode: int = MODE


def load(ledger: Ledger, run_id: str, history: int) -> Material:
    """Read a run (the newest without ``run_id``) and up to ``history`` runs of each host before it."""
    subjects = len(ledger.query([KIND], latest_per="subject").events)
    # One run more than the history: the run itself.
    events = ledger.query([KIND], limit=0 if run_id else (history + 1) * subjects).events
    if not events:
        raise OpsError(f"ledger {ledger.path} has no event of kind {KIND}: run playbook daily_checks first")
    wanted = run_id or events[-1].run_id
    numbers = [number for number, event in enumerate(events) if event.run_id == wanted]
    if not numbers:
        raise OpsError(
            f"ledger {ledger.path} has no {KIND} with run_id {run_id!r}: leave run_id out for the newest run"
        )
    runs = list(dict.fromkeys(event.run_id for event in events[: numbers[0]] if event.run_id != wanted))
    kept = set(runs[-history:]) if history else set()
    return Material(
        [events[number].data for number in numbers],
        past_runs(event.data for event in events[: numbers[0]] if event.run_id in kept),
        [
            {"kind": event.kind, "subject": event.subject, "data": event.data}
            for event in ledger.query(sorted(acts.KINDS.values()), since=events[numbers[0]].at).events
            if event.run_id == wanted
        ],
    )


def files(material: Material, look: Look, chain: Check | None) -> Iterator[File]:
    """Return every file of a report; ``chain`` is the state of the ledger."""
    # The pages last: what is cheap to render has told by then that the report differs.
    current = material.current
    if "json" in look.formats:
        yield _fixed("latest.json", jsonout.render(current, material.done))
    if "markdown" in look.formats:
        yield _fixed("latest.md", markdown.render(current, look.locale, look.zone, material.done))
    if "junit" in look.formats:
        yield _fixed("junit.xml", junit.render(current, look.locale))
    for envelope in current:
        # A backup at night must not hide from the monitoring what the last shift found: it has files of its own.
        [host] = read([envelope]).hosts
        name = file_name(str(envelope["host"]) if host.occasion == "daily" else f"{envelope['host']}.{host.occasion}")
        if "nagios" in look.formats:
            yield _fixed(f"nagios/{name}.txt", nagios.render([envelope], locale=look.locale).text + "\n")
        if "textfile" in look.formats:
            yield _fixed(f"textfile/{name}.prom", textfile.render([envelope]), MODE_TEXTFILE)
    if "html" in look.formats:
        pages = {locale: _page(material, look, locale, chain) for locale in ("en", "zh")}
        yield File("latest.html", pages[look.locale])
        for locale, page in pages.items():
            yield File(f"latest.{locale}.html", page)


def _fixed(name: str, text: str, mode: int = MODE) -> File:
    return File(name, lambda _now: text, mode)


def _page(material: Material, look: Look, locale: str, chain: Check | None) -> Callable[[datetime], str]:
    @lru_cache(maxsize=2)  # as of now, and of the moment of the present file
    def content(now: datetime) -> str:
        return html.render(
            material.current,
            locale=locale,
            zone=look.zone,
            now=now,
            past=material.past,
            chain=chain,
            title=look.title,
            done=material.done,
            other=f"latest.{'en' if locale == 'zh' else 'zh'}.html",
        )

    return content


def file_name(host: str) -> str:
    """Return a host's name as a file name that stays in its directory."""
    return _UNSAFE.sub("_", host).lstrip(".") or "_"


def differs(path: Path, file: File, now: datetime) -> bool:
    """Tell whether a file is missing or says something else, besides the time it was rendered at."""
    try:
        present = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return True
    rendered = _RENDERED.search(present)
    try:
        # Rendered again for the moment at which the present file was, so that not even "6 min ago" differs.
        moment = datetime.fromisoformat(rendered[1]) if rendered else now
    except ValueError:
        return True
    return file.content(moment) != present


def publish(found: Iterator[File], directory: Path, now: datetime, dry: bool) -> tuple[list[str], bool]:
    """Write the files of a report; return their paths and whether one says something new. ``dry`` writes nothing.

    A file that says nothing new is written too: it tells its age as of the moment of rendering.
    """
    paths, changed = [], False
    for file in found:
        path = directory / file.name
        changed = changed or differs(path, file, now)
        if not dry:
            write(path, file.content(now), file.mode)
        paths.append(str(path))
    return paths, changed


def _make_directory(directory: Path) -> None:
    """Make what is missing of a path; open to everybody, as the monitoring agent must get to its textfile."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        one.chmod(0o755)


def write(path: Path, text: str, mode: int) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _make_directory(path.parent)
        with open(temporary, "x", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
        os.replace(temporary, path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise OpsError(
            f"{path} cannot be written: {exc.strerror}; make its directory writable, or choose another dest"
        ) from exc
