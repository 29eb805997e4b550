# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule has to judge, and the list it stands in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import Figures
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.wire import Target

# Below these a share says nothing.
ENOUGH_LOOKUPS = 1000
ENOUGH_KEYS = 1000


class Wishes(NamedTuple):
    """What an operator declares about the server."""

    role: str = "cache"
    expected_role: str = ""
    strict_os: bool = False


class Case(NamedTuple):
    """Everything a rule may look at, and the voice it speaks with."""

    check_id: str
    figures: Figures
    target: Target
    wishes: Wishes
    say: Reporter

    def number(self, name: str) -> float:
        """Return a field of INFO the rule declared as needed."""
        return self.figures.reading.number(name) or 0.0

    def grade(self, value: float) -> Status:
        return self.say.grade(self.check_id, value)

    def measure(self, value: float, sentence: str, **rest: Any) -> Check:
        return self.say.measure(self.check_id, value, sentence, item=self.target.item, **rest)

    def find(self, status: Status, sentence: str, **rest: Any) -> Check:
        return self.say.find(self.check_id, status, sentence, item=self.target.item, **rest)

    def ok(self, sentence: str, **rest: Any) -> Check:
        return self.find(Status.OK, sentence, **rest)

    def skip(self, sentence: str, reason: str = "not_applicable", **rest: Any) -> Check:
        return self.find(Status.SKIPPED, sentence, reason=reason, **rest)

    def thin(self, sentence: str, **rest: Any) -> Check:
        return self.find(Status.OK, sentence, reason="insufficient_data", **rest)


Decide = Callable[[Case], Check]


class Decisions(list[tuple[str, tuple[str, ...], Decide]]):
    """The rules of one topic in the order they are told: the check's id, what it needs, the function."""

    def about(self, check_id: str, *needs: str) -> Callable[[Decide], Decide]:
        """Add a rule. ``needs``: fields of INFO, ``#section`` of INFO, ``@COMMAND`` or ``@CONFIG GET name``."""

        def register(function: Decide) -> Decide:
            self.append((check_id, needs, function))
            return function

        return register
