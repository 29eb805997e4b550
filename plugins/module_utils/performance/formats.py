# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of an access log: when, what, which status and how long, in the formats that have a time and some that do not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.access import COMBINED, SECONDS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.fingerprint import moment_of

# What may stand in the option ``format`` instead of a regular expression.
NAMED = ("auto", "milliseconds", "microseconds")
UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6}
# gunicorn's %(M)s and %(D)s are whole numbers at the end of the line.
_WHOLE = re.compile(r"(?:^|[\s=\"])(\d{1,12})\"?\s*$")
# Names that nginx's log_format escape=json and others give to how long a request took.
_JSON_TIMES = (
    ("request_time", 1.0),
    ("duration", 1.0),
    ("response_time", 1.0),
    ("duration_ms", 1e-3),
    ("request_time_ms", 1e-3),
    ("duration_us", 1e-6),
    ("request_time_us", 1e-6),
)
_JSON_MOMENTS = ("time", "time_local", "time_iso8601", "timestamp", "msec")


class Request(NamedTuple):
    """One line: the target as it was asked for, and ``seconds`` None where the log does not tell."""

    moment: float | None
    target: str
    status: str
    seconds: float | None


Parse = Callable[[str], "Request | None"]


def parser(name: str) -> Parse:
    """Return the reader of one line; raise OpsError for what is neither a known name nor a usable expression."""
    if name == "auto":
        return lambda line: _json(line) if line.startswith("{") else _combined(line, _fraction)
    if name in NAMED:
        scale = UNITS[name]
        return lambda line: _combined(line, lambda rest: _whole(rest, scale))
    return _expression(name)


def _combined(line: str, time_of: Callable[[str], float | None]) -> Request | None:
    match = COMBINED.match(line)
    if not match:
        return None
    words = match["request"].split(" ")
    return Request(clf_moment(match["at"]), words[1] if len(words) > 1 else "", match["status"], time_of(match["rest"]))


def _fraction(rest: str) -> float | None:
    told = SECONDS.search(rest) if rest else None
    return float(told[1]) if told else None


def _whole(rest: str, scale: float) -> float | None:
    told = _WHOLE.search(rest)
    return int(told[1]) * scale if told else None


def _json(line: str) -> Request | None:
    try:
        data = json.loads(line)
        status = str(int(data["status"]))
    except (ValueError, KeyError, TypeError):
        return None
    words = str(data.get("request", "")).split(" ")
    target = data.get("request_uri") or data.get("uri") or data.get("path") or (words[1] if len(words) > 1 else "")
    seconds = next((_number(data[key], scale) for key, scale in _JSON_TIMES if key in data), None)
    moment = next((_json_moment(data[key]) for key in _JSON_MOMENTS if key in data), None)
    return Request(moment, str(target), status, seconds)


def _json_moment(value: Any) -> float | None:
    number = _number(value, 1.0)
    return number if number is not None else moment_of(str(value))


def _number(value: Any, scale: float) -> float | None:
    try:
        number = float(value) * scale
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < 1e12 else None  # nginx writes "-" where there was no request


def _expression(text: str) -> Parse:
    try:
        expression = re.compile(text)
    except re.error as exc:
        raise OpsError(f"format {text!r} is neither {', '.join(NAMED)} nor a regular expression: {exc}") from exc
    groups: Mapping[str, int] = expression.groupindex
    unit = [name for name in UNITS if name in groups]
    if "status" not in groups or "path" not in groups or len(unit) != 1:
        raise OpsError(
            f"format {text!r}: expected {', '.join(NAMED)}, or a regular expression with the named groups status, path, "
            f"one of {', '.join(UNITS)}, and if there is one, at"
        )
    scale = UNITS[unit[0]]

    def parse(line: str) -> Request | None:
        match = expression.search(line)
        if not match:
            return None
        at = match["at"] if "at" in groups else line
        return Request(moment_of(at or ""), match["path"] or "", match["status"] or "", _number(match[unit[0]], scale))

    return parse


_HOURS: dict[str, float | None] = {}


def clf_moment(stamp: str) -> float | None:
    """Return the time of ``23/Nov/2026:01:02:03 +0000``; a log has few hours, so each is worked out once."""
    hour = stamp[:14] + stamp[20:]
    if hour not in _HOURS:
        if len(_HOURS) > 10000:
            _HOURS.clear()
        _HOURS[hour] = moment_of(stamp[:15] + "00:00" + stamp[20:])
    begin = _HOURS[hour]
    if begin is None or not (stamp[15:17].isdigit() and stamp[18:20].isdigit()):
        return None
    return begin + int(stamp[15:17]) * 60 + int(stamp[18:20])
