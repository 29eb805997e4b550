# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An area: the checks that belong together, with their default thresholds and every sentence in both languages.

Whoever makes checks declares one area next to the code that makes them::

    AREA = Area("unit", rules={...}, sentences={...})

    def probe(spec, previous, deadline):
        say = AREA.reporter(spec.get("thresholds"))
        yield say.find("unit.state", Status.CRITICAL, "unit.down", item="nginx.service", unit="nginx", sub="dead")
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Range, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError


class Text(NamedTuple):
    """One text in both languages; with ``{name}`` or ``{name:.1f}`` where values go."""

    en: str
    zh: str

    def render(self, locale: str, params: Mapping[str, Any]) -> str:
        """Return the text in one locale; a value that is missing shows as its name rather than raising at 3 a.m."""
        template = self.zh if locale == "zh" else self.en
        try:
            return template.format_map(params)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError):
            return f"{template} {dict(params)}"


@dataclass(frozen=True)
class Rule:
    """One check id: what it is called, when it alerts, what to do then and where the numbers come from.

    ``warn`` and ``crit`` are Nagios ranges, empty for a check that is not a threshold.
    """

    title: Text
    fix: Text
    warn: str = ""
    crit: str = ""
    uom: str = ""
    source: str = ""


class Area:
    """The rules and sentences of one group of checks."""

    def __init__(self, group: str, rules: Mapping[str, Rule], sentences: Mapping[str, Text]) -> None:
        self.group = group
        self.rules = dict(rules)
        self.sentences = dict(sentences)

    def validate(self, thresholds: Mapping[str, Any] | None) -> None:
        """Raise OpsError for an override of an unknown check or with an invalid range."""
        for check_id, limits in (thresholds or {}).items():
            if check_id not in self.rules:
                close = difflib.get_close_matches(check_id, self.rules, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(self.rules))}"
                raise OpsError(f"thresholds: {self.group} has no check {check_id!r}; {hint}")
            if not isinstance(limits, Mapping) or set(limits) - {"warn", "crit"}:
                raise OpsError(f"thresholds: {check_id}: expected a dict with warn and/or crit, seen {limits!r}")
            for level in ("warn", "crit"):
                if limits.get(level) not in (None, ""):
                    try:
                        Range.parse(limits[level])
                    except OpsError as exc:
                        raise OpsError(f"thresholds: {check_id}: {level}: {exc}") from exc

    def reporter(self, thresholds: Mapping[str, Any] | None = None, source: str = "") -> Reporter:
        """Return the maker of this area's checks, with an operator's thresholds laid over the defaults."""
        self.validate(thresholds)
        return Reporter(self, thresholds or {}, source)


class Reporter:
    """Makes the checks of an area: resolves thresholds, writes the summary."""

    def __init__(self, area: Area, thresholds: Mapping[str, Any], source: str) -> None:
        self.area = area
        self.source = source
        self._thresholds = thresholds

    def limits(self, check_id: str) -> tuple[str, str]:
        """Return the resolved warning and critical range of a check; an override of ``""`` switches a level off."""
        rule = self.area.rules[check_id]
        override = self._thresholds.get(check_id, {})
        return str(override.get("warn", rule.warn)), str(override.get("crit", rule.crit))

    def grade(self, check_id: str, value: float) -> Status:
        """Return the status a value earns under the resolved thresholds."""
        warn, crit = self.limits(check_id)
        if crit and Range.parse(crit).alerts(value):
            return Status.CRITICAL
        if warn and Range.parse(warn).alerts(value):
            return Status.WARNING
        return Status.OK

    def measure(self, check_id: str, value: float, sentence: str, item: str = "", **rest: Any) -> Check:
        """Make a check whose status follows from a value and the thresholds.

        ``rest`` may hold ``evidence``, ``min``, ``max``, ``labels``; everything else are values of the sentence,
        which always has ``{value}``, ``{uom}``, ``{warn}``, ``{crit}`` and ``{item}``.
        """
        status = self.grade(check_id, value)
        reason = "ok" if status is Status.OK else "threshold"
        return self._make(check_id, status, sentence, item, reason, value, rest)

    def find(
        self, check_id: str, status: Status, sentence: str, item: str = "", reason: str = "", **rest: Any
    ) -> Check:
        """Make a check whose status the caller knows; ``rest`` as for ``measure``, plus ``value``."""
        value = rest.pop("value", None)
        if not reason:
            reason = {Status.OK: "ok", Status.UNKNOWN: "error", Status.SKIPPED: "not_applicable"}.get(status, "state")
        return self._make(check_id, status, sentence, item, reason, value, rest)

    def _make(
        self,
        check_id: str,
        status: Status,
        sentence: str,
        item: str,
        reason: str,
        value: float | None,
        rest: dict[str, Any],
    ) -> Check:
        rule = self.area.rules[check_id]
        warn, crit = self.limits(check_id)
        fixed: dict[str, Any] = {name: rest.pop(name) for name in ("evidence", "min", "max", "labels") if name in rest}
        fixed["evidence"] = list(fixed.get("evidence", ()))
        check = Check(
            id=check_id,
            group=self.area.group,
            item=item,
            status=status,
            reason=reason,
            summary="",
            message=sentence,
            params=rest,
            value=None if value is None else float(value),
            uom=rule.uom,
            warn=warn,
            crit=crit,
            fix=check_id if status not in (Status.OK, Status.SKIPPED) else "",
            source=self.source,
            **fixed,
        )
        check.summary = self.area.sentences[sentence].render("en", check.words)
        return check


def merge(areas: Iterable[Area]) -> tuple[dict[str, Rule], dict[str, Text]]:
    """Return all rules and all sentences of several areas; raise OpsError when two areas use one key."""
    rules: dict[str, Rule] = {}
    sentences: dict[str, Text] = {}
    for area in areas:
        twice = (rules.keys() & area.rules.keys()) | (sentences.keys() & area.sentences.keys())
        if twice:
            raise OpsError(f"area {area.group} declares keys that another area has: {', '.join(sorted(twice))}")
        rules.update(area.rules)
        sentences.update(area.sentences)
    return rules, sentences
