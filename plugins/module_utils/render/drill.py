# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a drill as facts, tables and lists of words in a language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import NAME_CHARS, clean
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import known, word
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

Data = Mapping[str, Any]
Rows = tuple[list[str], list[list[str]]]
# A snapshot is hours old, a replica fractions of a second behind: from here on in larger units.
LONG_SECONDS = 600.0
# Fractions of a second differ a thousandfold for no reason.
MOST_PERCENT = 500
STEPS = ("restore", "verify", "start", "ask")
SWITCHES = ("switchover", "failback")


class DrillWords:
    """Writes the parts of a drill; ``moment`` writes a time in the reader's zone."""

    def __init__(self, data: Data, locale: str, moment: Callable[[Any], str]) -> None:
        self.data, self.locale, self.moment = data, locale, moment

    def __call__(self, key: str, **values: Any) -> str:
        return word(f"drill.{key}", self.locale, **values)

    @property
    def passed(self) -> bool:
        """Whether the drill passed."""
        return bool(self.data.get("verdict") == "passed")

    def facts(self) -> list[tuple[str, str]]:
        """The verdict, the level, what was reached of what was allowed."""
        data, targets = self.data, self.data.get("targets") or {}
        found = [(self("verdict"), self.verdict(data.get("verdict"))), (self("level"), self.level(data.get("level")))]
        for name in ("rto", "rpo"):
            reached, target = data.get(f"{name}_s"), targets.get(f"{name}_s")
            found.append((self(name), self("of", reached=self.seconds(reached), target=self.seconds(target))))
        seeds = [f"{one['seed']} ({one['moment']})" for one in data.get("restores") or [] if one.get("moment")]
        return [*found, *((self("seed"), clean(seed, NAME_CHARS)) for seed in seeds)]

    def tables(self) -> list[Rows]:
        """What is open, what was restored, the drills before, and where the time went; those that have rows."""
        tables = (self._findings(), self._restores(), self._steps(), self._switches(), self._trend())
        return [table for table in tables if table[1]]

    def lists(self) -> list[tuple[str, list[str]]]:
        """What made the verdict, and what is closed by it."""
        reasons = [self.sentence(one) for one in self.data.get("reasons") or []]
        closed = [self.sentence(one["check"]) for one in self.data.get("closed") or []]
        named = ((f"{self('reasons')} ({len(reasons)})", reasons), (f"{self('closed')} ({len(closed)})", closed))
        return [(name, lines) for name, lines in named if lines]

    def brief(self) -> list[str]:
        """The few words a terminal has room for."""
        return [text for _name, text in self.facts()[:1]] + [f"{name} {text}" for name, text in self.facts()[2:4]]

    def verdict(self, name: Any) -> str:
        """Name a verdict."""
        return self(f"verdict.{name}") if known(f"drill.verdict.{name}") else clean(name or "–", NAME_CHARS)

    def level(self, number: Any) -> str:
        """Name a level."""
        return self(f"level.{number}") if known(f"drill.level.{number}") else clean(number or "–", NAME_CHARS)

    def seconds(self, value: Any) -> str:
        """Write seconds, long ones in larger units."""
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return "–"
        if value >= LONG_SECONDS:
            return duration(value)
        return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"

    def sentence(self, data: Data) -> str:
        """Write a check that a record kept: what it is called, about what, and what was found."""
        try:
            check = Check.from_dict(dict(data))
        except (OpsError, TypeError):
            return clean(data.get("summary") or "?")
        about = self("about", what=check.item) if check.item else ""
        colon = word("colon", self.locale)
        return clean(f"{catalogue.title(check.id, self.locale)}{about}{colon}{catalogue.summary(check, self.locale)}")

    def _findings(self) -> Rows:
        rows = []
        for one in self.data.get("findings") or []:
            due = clean(one.get("due") or "", 40)
            rows.append(
                [
                    self.sentence(one["check"]),
                    clean(one.get("owner") or self("nobody"), NAME_CHARS),
                    self("new") if one.get("new") else clean(one.get("since") or "", 40),
                    f"{due} {self('overdue')}" if one.get("overdue") else due,
                ]
            )
        return [self(name) for name in ("finding", "owner", "since", "due")], rows

    def _restores(self) -> Rows:
        names = ("restore", "result", "restored_in", "serves_after", "would_lose", "rows")
        rows = [
            [
                self._part(str(one.get("source") or one.get("name")))
                + self("about", what=clean(one.get("host") or "–")),
                self.verdict(one.get("verdict")),
                self.seconds(one.get("restore_s")),
                self.seconds(one.get("rto_s")),
                self.seconds(one.get("rpo_s")),
                f"{one.get('rows') or 0:,}",
            ]
            for one in self.data.get("restores") or []
        ]
        return [self(name) for name in names], rows

    def _trend(self) -> Rows:
        found: Sequence[Data] = self.data.get("trend") or []
        rows = []
        for number, one in enumerate(found):
            # A real switchover and one in scratch take what they take: only the same is compared.
            alike = [other for other in found[:number] if other.get("level") == one.get("level")]
            before = alike[-1] if alike else {}
            rows.append(
                [
                    self.moment(one.get("at")),
                    clean(one.get("level") or "", NAME_CHARS),
                    self.verdict(one.get("verdict")),
                    *(self._change(one.get(name), before.get(name)) for name in ("rto_s", "rpo_s", "restore_s")),
                ]
            )
        # The newest first: it is the one people look for.
        return [self(name) for name in ("drill", "level_short", "verdict", "rto", "rpo", "restored_in")], rows[::-1]

    def _change(self, now: Any, before: Any) -> str:
        text = self.seconds(now)
        if not isinstance(now, (int, float)) or not isinstance(before, (int, float)) or not before:
            return text
        percent = round(100 * (now - before) / before)
        return f"{text} ({percent:+d} %)" if 0 < abs(percent) <= MOST_PERCENT else text

    def _steps(self) -> Rows:
        """Where the time of the restores went: a row for each, since all have the same steps."""
        took: dict[str, dict[str, Any]] = {}
        for one in self.data.get("steps") or []:
            took.setdefault(str(one.get("part") or ""), {})[str(one.get("step") or "")] = one.get("seconds")
        rows = [
            [self._part(part), *(self.seconds(steps.get(name)) for name in STEPS)]
            for part, steps in took.items()
            if STEPS[0] in steps
        ]
        return [self("part"), *(self(f"step.{name}") for name in STEPS)], rows

    def _switches(self) -> Rows:
        """Where the time of real switchovers went: over and back beside each other."""
        took: dict[str, dict[str, Any]] = {}
        for one in self.data.get("steps") or []:
            if one.get("part") in SWITCHES:
                took.setdefault(str(one.get("step") or ""), {})[str(one["part"])] = one.get("seconds")
        rows = [
            [
                self(f"step.{step}") if known(f"drill.step.{step}") else clean(step, NAME_CHARS),
                *(self.seconds(seconds.get(part)) for part in SWITCHES),
            ]
            for step, seconds in took.items()
        ]
        return [self("step"), *(self(part) for part in SWITCHES)], rows

    def _part(self, part: str) -> str:
        return self(part) if known(f"drill.{part}") else clean(part, NAME_CHARS)
