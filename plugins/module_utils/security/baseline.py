# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a first run saw, and what came since: drift stays a finding until somebody accepts it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

# Things remembered of one kind. Of each 12 characters are kept, so that a state stays small and tells nothing.
REMEMBERED = 1000
DIGITS = 12


@dataclass(frozen=True)
class Drift:
    """What is new since the baseline, and the baseline that the next run compares with. ``first``: there was none."""

    new: list[str]
    baseline: list[str]
    first: bool


def compare(seen: Iterable[str], known: Iterable[str] | None, accept: bool) -> Drift:
    """Compare what is there with what is known. What is gone is forgotten: should it come back, it is new again."""
    marks = {_mark(thing): thing for thing in seen}
    if known is None or accept:
        return Drift([], sorted(marks)[:REMEMBERED], True)
    before = set(known)
    new = sorted(thing for mark, thing in marks.items() if mark not in before)
    return Drift(new, sorted(before & marks.keys()), False)


def _mark(thing: str) -> str:
    return hashlib.sha256(thing.encode(errors="surrogatepass")).hexdigest()[:DIGITS]
