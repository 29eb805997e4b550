# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures as words that read the same in both languages."""

from __future__ import annotations

_STEPS = ((172800.0, 86400.0, "d"), (7200.0, 3600.0, "h"), (120.0, 60.0, "min"))


def duration(seconds: float | None) -> str:
    """Write a duration in its largest fitting unit: 12s, 5min, 3h, 12d; a question mark for None."""
    if seconds is None:
        return "?"
    for least, size, letter in _STEPS:
        if seconds >= least:
            return f"{seconds / size:.0f}{letter}"
    return f"{seconds:.0f}s"


def size(count: float) -> str:
    """Write a number of bytes in binary units: 512 B, 1.5 MiB, 2.0 GiB."""
    for letter in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if letter == "B" else f"{count:.1f} {letter}"
        count /= 1024
    return f"{count:.1f} TiB"


def one_line(text: object, most: int) -> str:
    """Return a text without its line breaks, the first so many characters of it."""
    return " ".join(str(text).split())[:most]


def listed(names: list[str], most: int = 5) -> str:
    """Join names for a sentence, the first few of them."""
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
