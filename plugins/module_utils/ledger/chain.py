# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash chain through the events, and the ledger's identity it begins with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import Event, digest


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


def identity(connection: sqlite3.Connection) -> tuple[str, str]:
    """Return the random id of a ledger and its genesis hash."""
    rows = connection.execute("SELECT id, created FROM ledger").fetchall()
    if len(rows) != 1:
        raise OpsError(f"the ledger has {len(rows)} identities, expected 1: run ops_query with verify=true")
    return rows[0][0], genesis_hash(*rows[0])


def event_of(row: Sequence[Any]) -> Event:
    """Read a row of COLUMNS."""
    seq, at, kind, subject, run_id, prev, event_hash, data = row
    try:
        return Event(seq, at, kind, subject, run_id, prev, event_hash, json.loads(data))
    except ValueError as exc:
        raise OpsError(f"event {seq} of the ledger is damaged: {exc}; run ops_query with verify=true") from exc
