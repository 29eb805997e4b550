# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of a database as SQL text that any SQLite reads back as the same value, on one line."""

from __future__ import annotations

import math
import sqlite3
from typing import Any

# What stands for a break inside a quoted text: the first of these that the text does not hold. No two may overlap.
# The sqlite3 command drops a carriage return at the end of a line, and everything behind a NUL.
BREAKS = {
    "\n": ("\\n", "\\012", "\\u000a", "<newline>"),
    "\r": ("\\r", "\\015", "\\u000d", "<return>"),
}


class Literals:
    """Writes values for one database; text comes as ``surrogateescape`` from UTF-8, as this package reads it."""

    def __init__(self, encoding: str = "UTF-8") -> None:
        self._codec = {"UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}.get(encoding, "utf-8")
        self._sqlite = sqlite3.connect(":memory:")

    def of(self, value: Any) -> str:
        """Return the literal of a value as SQLite gave it."""
        if value is None:
            return "NULL"
        if isinstance(value, bytes):
            return f"x'{value.hex()}'"
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, float):
            return self._real(value)
        return str(int(value))

    def row(self, values: tuple[Any, ...]) -> str:
        """Return the literals of a row."""
        return ",".join(map(self.of, values))

    def _real(self, value: float) -> str:
        if math.isinf(value):
            return "9e999" if value > 0 else "-9e999"
        # Older versions do not round the shortest text to the nearest number each time.
        for text in (repr(value), f"{value:.17e}", f"{value:.20e}"):
            if self._sqlite.execute(f"SELECT {text}").fetchone()[0] == value:
                return text
        return repr(value)

    def _text(self, value: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return self._cast(value)
        if "\0" in value:
            return self._cast(value)
        text, wrap = value, ""
        for character, standins in BREAKS.items():
            if character not in text:
                continue
            standin = next((one for one in standins if one not in text), None)
            if standin is None:
                return self._cast(value)
            text = text.replace(character, standin)
            wrap = f"replace({wrap or '?'},'{standin}',char({ord(character)}))"
        quoted = "'" + text.replace("'", "''") + "'"
        return wrap.replace("?", quoted, 1) if wrap else quoted

    def _cast(self, value: str) -> str:
        raw = value.encode("utf-8", "surrogateescape")
        if self._codec != "utf-8":
            raw = raw.decode("utf-8", "replace").encode(self._codec, "surrogatepass")
        return f"CAST(x'{raw.hex()}' AS TEXT)"
