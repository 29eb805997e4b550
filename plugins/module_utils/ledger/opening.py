# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the ledger that is there, and refuse what is none."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.anchor import read_anchor
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.complaints import explain, lost, room
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.schema import APPLICATION_ID, SCHEMA_VERSION
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect

# A reader never waits longer than this for a writer's commit; one append takes milliseconds.
READ_TIMEOUT = 10.0


class LedgerMissing(OpsError):
    """There is no ledger, and no trace of one."""


@contextmanager
def opened(path: Path, mode: str, busy_timeout: float) -> Iterator[sqlite3.Connection]:
    """Open the file that is there, refuse what is no ledger, and turn SQLite's errors into what to do."""
    _refuse_by_look(path)
    try:
        with closing(_connect(path, mode, max(0.0, busy_timeout))) as connection:
            _refuse_foreign(path, connection)
            connection.execute("PRAGMA synchronous = EXTRA")
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        # A damaged schema makes an error text that is no UTF-8, and Python raises that instead.
        raise OpsError(explain(path, exc)) from exc
    except OSError as exc:
        raise OpsError(f"ledger {path}: {exc}{room(path)}; nothing was recorded") from exc


def _connect(path: Path, mode: str, busy_timeout: float) -> sqlite3.Connection:
    connection = connect(path, mode, busy_timeout)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        connection.close()
        # A writer was killed in mid-commit: its journal must be rolled back, which a read-only connection cannot do.
        if mode != "ro" or "readonly" not in str(exc) or not os.access(path, os.W_OK):
            raise
        connection = connect(path, "rw", busy_timeout)
    return connection


def _refuse_by_look(path: Path) -> None:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        anchor = read_anchor(path)
        if anchor is not None and anchor.seq > 0:
            raise OpsError(lost(path, anchor)) from None
        raise LedgerMissing(
            f"there is no ledger {path}: expected one made by the first record. Check the path and the host "
            "(ops_ledger_host), or record something first"
        ) from None
    except OSError as exc:
        raise OpsError(f"ledger {path} cannot be seen: {exc.strerror}; give this user access to its directory") from exc
    if not stat.S_ISREG(seen.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(seen.st_mode) else "not a regular file"
        raise OpsError(f"ledger {path} is {what}: expected the file itself. Name the real file, or move this one away")
    if seen.st_size == 0:
        raise OpsError(
            f"ledger {path} is empty (0 bytes): a ledger is never empty, so this is another file or its remains. "
            "Put back the newest copy, or move it away: the next record starts a new ledger"
        )
    if not os.access(path, os.R_OK):
        raise OpsError(f"ledger {path} cannot be read by this user: expected its owner, its group or root")


def _refuse_foreign(path: Path, connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise OpsError(
            f"{path} is a SQLite database, but not a ledger (application_id {application_id:#x}, expected "
            f"{APPLICATION_ID:#x}); nothing was changed. Name another path for the ledger"
        )
    if version != SCHEMA_VERSION:
        raise OpsError(
            f"ledger {path} has format {version}, this release knows {SCHEMA_VERSION}: use the release that wrote it"
        )
