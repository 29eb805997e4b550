# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: an append-only, hash-chained SQLite database of events.

Journal mode is DELETE, not WAL. The ledger is written a few times an hour and read by other users and by reports. In
WAL mode each reader needs to write ``-shm``, a query as root could leave files the owner cannot open, and a plain copy
misses what is still in ``-wal``. With a rollback journal the ledger at rest is one file that ``cp`` copies.
``synchronous=EXTRA`` is FULL plus a sync of the directory after the journal is gone: what was reported as recorded
stays recorded after a power loss.

One writer at a time holds a lock on the directory from reading the head to publishing the anchor; the lock of SQLite
alone would let two writers publish their anchors in the wrong order.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.anchor import (
    Anchor,
    PendingAnchor,
    anchor_path,
    own_like,
    read_anchor,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import (
    Event,
    NewEvent,
    canonical,
    digest,
    moment,
    now,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect, set_busy_timeout
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import holders

APPLICATION_ID = 0x6F70734C  # "opsL"; file(1) and SQLite's header carry it at byte 68
SCHEMA_VERSION = 1

# data comes last: the head, the times and the keys of an event are read without its 20 to 60 KB of overflow pages.
# INSERT OR REPLACE deletes without firing delete triggers, so an insert may only be the next event of the chain.
SCHEMA = (
    "CREATE TABLE ledger (id TEXT NOT NULL, created TEXT NOT NULL)",
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, "
    "run_id TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL, data TEXT NOT NULL)",
    "CREATE INDEX events_subject ON events (kind, subject, at)",
    "CREATE INDEX events_at ON events (kind, at)",
    "CREATE UNIQUE INDEX events_once ON events (run_id, kind, subject) WHERE run_id <> ''",
    "CREATE TRIGGER events_append BEFORE INSERT ON events WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 "
    "FROM events) OR (NEW.seq > 1 AND NEW.prev IS NOT (SELECT hash FROM events WHERE seq = NEW.seq - 1)) "
    "BEGIN SELECT RAISE(ABORT, 'the ledger only takes the next event of its chain'); END",
    "CREATE TRIGGER events_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "CREATE TRIGGER events_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "CREATE TRIGGER ledger_insert BEFORE INSERT ON ledger WHEN (SELECT count(*) FROM ledger) > 0 "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "CREATE TRIGGER ledger_update BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "CREATE TRIGGER ledger_delete BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
)

COLUMNS = "seq, at, kind, subject, run_id, prev, hash, data"

# A reader never waits longer than this for a writer's commit; one append takes milliseconds.
READ_TIMEOUT = 10.0


class LedgerMissing(OpsError):
    """There is no ledger, and no trace of one."""


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
        self._make_directory()
        with self._writing(until):
            self._clear_leftovers()
            if not os.path.lexists(self.path):
                self._create()
            with self._opened("rw", until - time.monotonic()) as connection:
                return self._append(connection, wanted, until)

    def preview(self, events: Sequence[NewEvent]) -> list[Recorded]:
        """Return what an append would return now, writing nothing; events to come have seq 0 and no hash."""
        wanted = _checked(events)
        try:
            with self._opened("ro", READ_TIMEOUT) as connection:
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
            ledger_id, genesis = _identity(connection)
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
        return _event(row) if row else None

    def _make_directory(self) -> None:
        missing = [parent for parent in (self.path.parent, *self.path.parent.parents) if not parent.exists()]
        try:
            for directory in reversed(missing):
                directory.mkdir(0o750, exist_ok=True)
                directory.chmod(0o750)
        except OSError as exc:
            raise OpsError(
                f"directory {self.path.parent} of the ledger cannot be made: {exc.strerror}; make it, owned by the user that "
                "records, or name another place for the ledger"
            ) from exc

    @contextmanager
    def _writing(self, until: float) -> Iterator[None]:
        """Hold the writers' lock: flock on the directory, which needs no file of its own and dies with its holder."""
        directory = self.path.parent
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as exc:
            raise OpsError(f"directory {directory} of the ledger cannot be opened: {exc.strerror}") from exc
        try:
            pause = 0.001
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise OpsError(self._locked_by(holders(directory))) from None
                    time.sleep(pause)
                    pause = min(pause * 2, 0.02)
            yield
        finally:
            os.close(descriptor)

    def _locked_by(self, who: str) -> str:
        return (
            f"ledger {self.path} stayed locked until the deadline by {who or 'another process'}; nothing was recorded. "
            "Try again when that process is done, or end it"
        )

    def _create(self) -> None:
        """Make an empty ledger that appears whole or not at all, with its anchor before it."""
        anchor = read_anchor(self.path)
        if anchor is not None and anchor.seq > 0:
            raise OpsError(_lost(self.path, anchor))
        directory = os.stat(self.path.parent)
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.new")
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
            try:
                own_like(descriptor, directory)
            finally:
                os.close(descriptor)
            with closing(connect(temporary, "rw", 1.0)) as connection:
                connection.execute("PRAGMA synchronous = EXTRA")
                connection.execute("BEGIN")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                for statement in SCHEMA:
                    connection.execute(statement)
                connection.execute("INSERT INTO ledger VALUES (?, ?)", (secrets.token_hex(16), now()))
                connection.execute("COMMIT")
                ledger_id, genesis = _identity(connection)
            PendingAnchor(self.path, Anchor(ledger_id, 0, genesis), directory).publish()
            os.link(temporary, self.path)
        except (OSError, sqlite3.Error) as exc:
            raise OpsError(f"ledger {self.path} cannot be made: {exc}{_room(self.path)}; nothing was recorded") from exc
        finally:
            temporary.unlink(missing_ok=True)

    def _clear_leftovers(self) -> None:
        """Remove half-made ledgers of killed writers; under the writers' lock nobody is making one."""
        for leftover in self.path.parent.glob(f".{self.path.name}.*.new*"):
            leftover.unlink(missing_ok=True)

    # Reading

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the ledger read-only; it is never created. Raises LedgerMissing, or OpsError for what is no ledger."""
        with self._opened("ro", READ_TIMEOUT) as connection:
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
                terms.append(f"{column} IN ({', '.join('?' * len(wanted))})")
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
        return Selection([_event(row) for row in rows], len(found))

    @contextmanager
    def _opened(self, mode: str, busy_timeout: float) -> Iterator[sqlite3.Connection]:
        """Open the file that is there, refuse what is no ledger, and turn SQLite's errors into what to do."""
        self._refuse_by_look()
        try:
            with closing(self._connect(mode, max(0.0, busy_timeout))) as connection:
                self._refuse_foreign(connection)
                connection.execute("PRAGMA synchronous = EXTRA")
                yield connection
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            # A damaged schema makes an error text that is no UTF-8, and Python raises that instead.
            raise OpsError(self._explain(exc)) from exc
        except OSError as exc:
            raise OpsError(f"ledger {self.path}: {exc}{_room(self.path)}; nothing was recorded") from exc

    def _connect(self, mode: str, busy_timeout: float) -> sqlite3.Connection:
        connection = connect(self.path, mode, busy_timeout)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            connection.close()
            # A writer was killed in mid-commit: its journal must be rolled back, which a read-only connection cannot do.
            if mode != "ro" or "readonly" not in str(exc) or not os.access(self.path, os.W_OK):
                raise
            connection = connect(self.path, "rw", busy_timeout)
        return connection

    def _refuse_by_look(self) -> None:
        try:
            seen = os.lstat(self.path)
        except FileNotFoundError:
            anchor = read_anchor(self.path)
            if anchor is not None and anchor.seq > 0:
                raise OpsError(_lost(self.path, anchor)) from None
            raise LedgerMissing(
                f"there is no ledger {self.path}: expected one made by the first record. Check the path and the host "
                "(ops_ledger_host), or record something first"
            ) from None
        except OSError as exc:
            raise OpsError(
                f"ledger {self.path} cannot be seen: {exc.strerror}; give this user access to its directory"
            ) from exc
        if not stat.S_ISREG(seen.st_mode):
            what = "a symbolic link" if stat.S_ISLNK(seen.st_mode) else "not a regular file"
            raise OpsError(
                f"ledger {self.path} is {what}: expected the file itself. Name the real file, or move this one away"
            )
        if seen.st_size == 0:
            raise OpsError(
                f"ledger {self.path} is empty (0 bytes): a ledger is never empty, so this is another file or its remains. "
                "Put back the newest copy, or move it away: the next record starts a new ledger"
            )
        if not os.access(self.path, os.R_OK):
            raise OpsError(f"ledger {self.path} cannot be read by this user: expected its owner, its group or root")

    def _refuse_foreign(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application_id != APPLICATION_ID:
            raise OpsError(
                f"{self.path} is a SQLite database, but not a ledger (application_id {application_id:#x}, expected "
                f"{APPLICATION_ID:#x}); nothing was changed. Name another path for the ledger"
            )
        if version != SCHEMA_VERSION:
            raise OpsError(
                f"ledger {self.path} has format {version}, this release knows {SCHEMA_VERSION}: use the release that wrote it"
            )

    def _explain(self, exc: Exception) -> str:
        text = str(exc)
        if "locked" in text:
            return self._locked_by(holders(self.path))
        if "not a database" in text:
            return f"{self.path} is not a ledger: {text}; nothing was changed. Name another path for the ledger"
        if "full" in text:
            return f"no room for the ledger {self.path}: {text}{_room(self.path)}; nothing was recorded. Free space and try again"
        if "readonly" in text or "unable to open" in text:
            return (
                f"ledger {self.path}: {text}. Writing needs write access to the file and its directory; a query needs it only "
                "after a writer was killed, to roll back its journal: run this as the owner or root"
            )
        if "malformed" in text or "disk image" in text or "decode" in text:
            return (
                f"ledger {self.path} is damaged: {text}. Run ops_query with verify=true, then put back the newest copy"
            )
        return f"ledger {self.path}: {text}"


def hash_event(seq: int, at: str, kind: str, subject: str, run_id: str, prev: str, data: str) -> str:
    """Return the hash of an event: over all its columns, and through prev over all before it."""
    return digest(*(text.encode() for text in (str(seq), at, kind, subject, run_id, prev, data)))


def hash_at(connection: sqlite3.Connection, seq: int, genesis: str) -> str | None:
    """Return the stored hash of an event, of event 0 the genesis hash, None when there is no such event."""
    if seq == 0:
        return genesis
    row = connection.execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchone()
    return row[0] if row else None


def genesis_hash(ledger_id: str, created: str) -> str:
    """Return what the first event names as prev: no two ledgers have it in common."""
    return digest(b"genesis", ledger_id.encode(), created.encode())


def _identity(connection: sqlite3.Connection) -> tuple[str, str]:
    rows = connection.execute("SELECT id, created FROM ledger").fetchall()
    if len(rows) != 1:
        raise OpsError(f"the ledger has {len(rows)} identities, expected 1: run ops_query with verify=true")
    return rows[0][0], genesis_hash(*rows[0])


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


def _event(row: Sequence[Any]) -> Event:
    seq, at, kind, subject, run_id, prev, event_hash, data = row
    try:
        return Event(seq, at, kind, subject, run_id, prev, event_hash, json.loads(data))
    except ValueError as exc:
        raise OpsError(f"event {seq} of the ledger is damaged: {exc}; run ops_query with verify=true") from exc


def _lost(path: Path, anchor: Anchor) -> str:
    return (
        f"ledger {path} is gone, but its anchor knows {anchor.seq} events: it was removed or its disk is not mounted. Put back "
        f"the newest copy; to start a new ledger on purpose, move {anchor_path(path)} away too"
    )


def _room(path: Path) -> str:
    try:
        fs = os.statvfs(path.parent)
    except OSError:
        return ""
    return f" ({fs.f_bavail * fs.f_frsize // 1024} KiB and {fs.f_favail} inodes free)"
