# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file format of the ledger: its tables, indexes and triggers."""

from __future__ import annotations

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
