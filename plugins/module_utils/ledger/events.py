# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event: one line of the ledger, its canonical form and its hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# First field of every hashed record: a ledger of another format can never verify by accident.
FORMAT = "ops.ledger/1"

_KIND = re.compile(r"[a-z_]+(\.[a-z_]+)*")
_RUN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_AGO = re.compile(r"(\d{1,6})([smhdw])")
_AGO_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SUBJECT_CHARS = 255


@dataclass(frozen=True)
class NewEvent:
    """What somebody wants recorded. ``run_id`` with ``kind`` and ``subject`` makes it recorded once only."""

    kind: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    at: str = ""

    def checked(self) -> NewEvent:
        """Return the event with a normalised time; raise OpsError for whatever the ledger would not take."""
        if not _KIND.fullmatch(self.kind):
            raise OpsError(f"event kind {self.kind!r}: expected lower-case words joined by dots, such as check.run")
        if not self.subject or len(self.subject) > SUBJECT_CHARS or _CONTROL.search(self.subject):
            raise OpsError(
                f"event subject {self.subject[:60]!r}: expected 1 to {SUBJECT_CHARS} characters on one line, such as a host name"
            )
        if self.run_id and not _RUN_ID.fullmatch(self.run_id):
            raise OpsError(f"event run_id {self.run_id[:60]!r}: expected up to 128 of A-Z a-z 0-9 . _ : -")
        if not isinstance(self.data, Mapping):
            raise OpsError(
                f"event data of {self.kind} {self.subject}: expected a dict, seen {type(self.data).__name__}"
            )
        at = moment(self.at) if self.at else now()
        return NewEvent(self.kind, self.subject, self.data, self.run_id, at)

    @property
    def once_key(self) -> tuple[str, str, str]:
        """What identifies an event with a run_id."""
        return (self.run_id, self.kind, self.subject)


@dataclass(frozen=True)
class Event:
    """A recorded event. ``hash`` covers everything else, and through ``prev`` every event before it."""

    seq: int
    at: str
    kind: str
    subject: str
    run_id: str
    prev: str
    hash: str
    data: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def canonical(data: Mapping[str, Any]) -> str:
    """Return the one JSON text of some data: sorted keys, no spaces, no NaN, readable Chinese."""
    try:
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise OpsError(f"event data cannot be recorded: {exc}; expected plain JSON without NaN or infinity") from exc
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # Half a surrogate pair, from a log line with binary garbage: escaped it survives the round trip.
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text


def digest(*fields: bytes) -> str:
    """Return the sha256 over netstrings (``3:abc,``), so that no two lists of fields have the same encoding."""
    hasher = hashlib.sha256()
    for value in (FORMAT.encode(), *fields):
        hasher.update(b"%d:" % len(value))
        hasher.update(value)
        hasher.update(b",")
    return hasher.hexdigest()


def now() -> str:
    """Return the present in the ledger's form."""
    return _iso(datetime.now(timezone.utc))


def moment(text: str) -> str:
    """Return a moment in the ledger's one form, UTC with milliseconds, whose text order is the order of time.

    Takes ISO 8601 with a zone, a plain date (midnight UTC), or an age such as ``90m``, ``24h`` or ``7d``.
    """
    text = str(text).strip()
    ago = _AGO.fullmatch(text)
    if ago:
        return _iso(datetime.now(timezone.utc) - timedelta(**{_AGO_UNITS[ago[2]]: int(ago[1])}))
    try:
        parsed = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
    except ValueError:
        parsed = None
    if parsed is not None and parsed.tzinfo is None and len(text) == len("2026-11-23"):
        parsed = parsed.replace(tzinfo=timezone.utc)
    if parsed is None or parsed.tzinfo is None:
        raise OpsError(
            f"time {text!r}: expected UTC ISO 8601 such as 2026-11-23T01:02:03Z, a date such as 2026-11-23, "
            "or an age such as 90m, 24h, 7d"
        )
    return _iso(parsed.astimezone(timezone.utc))


def _iso(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
