# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an empty ledger where there is none."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.anchor import (
    Anchor,
    PendingAnchor,
    own_like,
    read_anchor,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.chain import identity
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.complaints import lost, room
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import now
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.schema import (
    APPLICATION_ID,
    SCHEMA,
    SCHEMA_VERSION,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect


def make_directory(path: Path) -> None:
    """Make the directory a ledger is to lie in, and those above it that are missing."""
    missing = [parent for parent in (path.parent, *path.parent.parents) if not parent.exists()]
    try:
        for directory in reversed(missing):
            directory.mkdir(0o750, exist_ok=True)
            directory.chmod(0o750)
    except OSError as exc:
        raise OpsError(
            f"directory {path.parent} of the ledger cannot be made: {exc.strerror}; make it, owned by the user that "
            "records, or name another place for the ledger"
        ) from exc


def create(path: Path) -> None:
    """Make an empty ledger that appears whole or not at all, with its anchor before it."""
    anchor = read_anchor(path)
    if anchor is not None and anchor.seq > 0:
        raise OpsError(lost(path, anchor))
    directory = os.stat(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
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
            ledger_id, genesis = identity(connection)
        PendingAnchor(path, Anchor(ledger_id, 0, genesis), directory).publish()
        os.link(temporary, path)
    except (OSError, sqlite3.Error) as exc:
        raise OpsError(f"ledger {path} cannot be made: {exc}{room(path)}; nothing was recorded") from exc
    finally:
        temporary.unlink(missing_ok=True)


def clear_leftovers(path: Path) -> None:
    """Remove half-made ledgers of killed writers; under the writers' lock nobody is making one."""
    for leftover in path.parent.glob(f".{path.name}.*.new*"):
        leftover.unlink(missing_ok=True)
