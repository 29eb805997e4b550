# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: an append-only, hash-chained SQLite database of events.

Journal mode is DELETE, not WAL. The ledger is written a few times an hour and read by other users and by reports. In
WAL mode each reader needs to write ``-shm``, a query as root could leave files the owner cannot open, and a plain copy
misses what is still in ``-wal``. With a rollback journal the ledger at rest is one file that ``cp`` copies.
``synchronous=EXTRA`` is FULL plus a sync of the directory after the journal is gone: what was reported as recorded
stays recorded after a power loss.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.anchor import (
    Anchor,
    PendingAnchor,
    anchor_path,
    read_anchor,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.chain import (
    event_of,
    hash_at,
    hash_event,
    identity,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.create import (
    clear_leftovers,
    create,
    make_directory,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import (
    Event,
    NewEvent,
    canonical,
    moment,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.opening import (
    READ_TIMEOUT,
    LedgerMissing,
    opened,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.schema import COLUMNS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.writers import writing
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import set_busy_timeout


@dataclass(frozen=True)
class Recorded:
    """One event after an append, and whether this append wrote it or found it recorded before under its run_id."""

    event: Event
    added: bool


@dataclass(frozen=True)
class Selection:
    """What a query found: the events in the order of recording, and how many matched before the limit."""

    events: list[Event]
    matched: int


class Ledger:
    """A ledger by its path. Nothing is opened or made before a method needs it."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(os.path.abspath(path))

    # Writing

    def append(self, events: Sequence[NewEvent], deadline: float = 30.0) -> list[Recorded]:
        """Record events in one transaction and return them in the order given; make the ledger when there is none.

        An event whose run_id, kind and subject are recorded already is not recorded again. ``deadline`` is in seconds,
        over all waiting. Raises OpsError when nothing was recorded.
        """
        wanted = _checked(events)
        until = time.monotonic() + deadline
        make_directory(self.path)
        with writing(self.path, until):
            clear_leftovers(self.path)
            if not os.path.lexists(self.path):
                create(self.path)
            with opened(self.path, "rw", until - time.monotonic()) as connection:
                return self._append(connection, wanted, until)

    def preview(self, events: Sequence[NewEvent]) -> list[Recorded]:
        """Return what an append would return now, writing nothing; events to come have seq 0 and no hash."""
        wanted = _checked(events)
        try:
            with opened(self.path, "ro", READ_TIMEOUT) as connection:
                known = [self._find_once(connection, event) for event in wanted]
        except LedgerMissing:
            known = [None for event in wanted]
        seen: dict[tuple[str, str, str], Event] = {}
        result = []
        for new, old in zip(wanted, known):
            event = old or (seen.get(new.once_key) if new.run_id else None)
            if event is None:
                event = Event(0, new.at, new.kind, new.subject, new.run_id, "", "", json.loads(canonical(new.data)))
                seen[new.once_key] = event
                result.append(Recorded(event, True))
            else:
                result.append(Recorded(event, False))
        return result

    def _append(self, connection: sqlite3.Connection, wanted: list[NewEvent], until: float) -> list[Recorded]:
        set_busy_timeout(connection, until - time.monotonic())
        connection.execute("BEGIN IMMEDIATE")
        pending = None
        try:
            ledger_id, genesis = identity(connection)
            seq, head = connection.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone() or (
                0,
                genesis,
            )
            self._refuse_lost_events(connection, Anchor(ledger_id, seq, head), genesis)
            result = []
            for new in wanted:
                known = self._find_once(connection, new)
                if known is not None:
                    result.append(Recorded(known, False))
                    continue
                seq += 1
                data = canonical(new.data)
                values = (new.at, new.kind, new.subject, new.run_id)
                event_hash = hash_event(seq, *values, head, data)
                connection.execute(
                    f"INSERT INTO events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (seq, *values, head, event_hash, data),
                )
                result.append(Recorded(Event(seq, *values, head, event_hash, json.loads(data)), True))
                head = event_hash
            if not any(recorded.added for recorded in result):
                connection.execute("ROLLBACK")
                return result
            pending = PendingAnchor(self.path, Anchor(ledger_id, seq, head), os.stat(self.path))
            set_busy_timeout(connection, until - time.monotonic())
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if pending is not None:
                pending.discard()
            raise
        pending.publish()
        return result

    def _refuse_lost_events(self, connection: sqlite3.Connection, head: Anchor, genesis: str) -> None:
        """Raise OpsError when the anchor knows events the ledger no longer has; going on would bury the proof."""
        anchor = read_anchor(self.path)
        if anchor is None:
            raise OpsError(
                f"ledger {self.path} has {head.seq} events but its anchor {anchor_path(self.path)} is missing, so it cannot be "
                "told whether its end was cut off. Put the anchor back from a backup, or move the ledger aside: the next "
                "record starts a new one"
            )
        known = hash_at(connection, anchor.seq, genesis)
        if anchor.ledger != head.ledger or known != anchor.hash:
            raise OpsError(
                f"ledger {self.path} ends at event {head.seq}, but its anchor knows event {anchor.seq} with hash "
                f"{anchor.hash[:12]}: events were removed or the file was replaced. Put back the newest copy of the ledger, or "
                "keep both files as proof under other names: the next record starts a new ledger"
            )

    @staticmethod
    def _find_once(connection: sqlite3.Connection, new: NewEvent) -> Event | None:
        if not new.run_id:
            return None
        row = connection.execute(
            f"SELECT {COLUMNS} FROM events WHERE run_id = ? AND run_id <> '' AND kind = ? AND subject = ?", new.once_key
        ).fetchone()
        return event_of(row) if row else None

    # Reading

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the ledger read-only; it is never created. Raises LedgerMissing, or OpsError for what is no ledger."""
        with opened(self.path, "ro", READ_TIMEOUT) as connection:
            yield connection

    def query(
        self,
        kinds: Sequence[str] = (),
        subjects: Sequence[str] = (),
        since: str = "",
        until: str = "",
        limit: int = 0,
        latest_per: str = "",
    ) -> Selection:
        """Return events in the order of recording; ``limit`` keeps the newest ones, 0 keeps all.

        A kind or subject may be a pattern, with ``*`` for any text, as GLOB of SQLite has it.
        ``since`` is inclusive, ``until`` exclusive, both as ``moment`` takes them. ``latest_per`` = ``subject`` keeps
        the last recorded event of each subject.
        """
        if latest_per not in ("", "subject"):
            raise OpsError(f"latest_per {latest_per!r}: expected subject, or nothing")
        if limit < 0:
            raise OpsError(f"limit {limit}: expected 0 for all events, or a number of events")
        terms: list[str] = ["1"]
        values: list[Any] = []
        for column, wanted in (("kind", kinds), ("subject", subjects)):
            if wanted:
                terms.append(
                    f"({' OR '.join(f'{column} GLOB ?' if '*' in one else f'{column} = ?' for one in wanted)})"
                )
                values.extend(wanted)
        for operator, text in ((">=", since), ("<", until)):
            if text:
                terms.append(f"at {operator} ?")
                values.append(moment(text))
        where = " AND ".join(terms)
        seqs = f"SELECT seq FROM events WHERE {where}"
        if latest_per:
            seqs = f"SELECT max(seq) AS seq FROM events WHERE {where} GROUP BY subject"
        with self.reading() as connection:
            connection.execute("BEGIN")
            # One walk through an index for count and choice; then only the events that are wanted are read.
            found = sorted(row[0] for row in connection.execute(seqs, values))
            one = f"SELECT {COLUMNS} FROM events WHERE seq = ?"
            rows = [connection.execute(one, (seq,)).fetchone() for seq in (found[-limit:] if limit else found)]
        return Selection([event_of(row) for row in rows], len(found))


def _checked(events: Sequence[NewEvent]) -> list[NewEvent]:
    """Check the events of one append, and that none contradicts another under one run_id."""
    if not events:
        raise OpsError("no event to record: expected kind and subject, or a list of events")
    checked = [event.checked() for event in events]
    seen: dict[tuple[str, str, str], str] = {}
    for event in checked:
        text = canonical(event.data)
        if event.run_id and seen.setdefault(event.once_key, text) != text:
            raise OpsError(
                f"two different events {event.kind} {event.subject} with one run_id {event.run_id}: only the first would be "
                "recorded. Give them different subjects, or leave run_id out"
            )
    return checked
