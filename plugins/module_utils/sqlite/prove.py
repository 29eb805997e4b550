# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of a private database file: its structure, its references and what is in it.

Two children read it side by side, each killable and each with little memory: the integrity check is bound to one core,
so everything else costs no time beside it. Memory-mapped reading is no faster where it matters and its pages count as
ours, so both read through SQLite's own cache.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, Outcome, bound, gather
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import PAUSE, Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    newest_stamp,
    quoted,
    schema_sha256,
    tables,
)

# The check by level; "none" proves only what the facts prove.
CHECKS = {"full": "integrity_check", "quick": "quick_check", "none": ""}
# Pages the integrity check keeps: it looks each row up in each index, so an index that fits is read once.
CACHE_MIB = 48
# The facts come from scans, which a cache does not help.
FACTS_CACHE_MIB = 8
EVIDENCE = 10
# The application goes first, three to one; with 10 a check of 4 s took 17 s beside three busy processes.
NICE = 5
# The integrity check reads every page for the structure, the tables again for their rows, and parts of the indexes.
PASSES = 3.0


@dataclass(frozen=True)
class Proof:
    """What was found in one database.

    ``integrity`` are the rows of the check, or the error it ended with; only the single row ``ok`` is good. ``facts``
    are ``page_size``, ``page_count``, ``freelist_count``, ``application_id``, ``user_version``, ``journal_mode``,
    ``schema_sha256``, ``rows`` (by table) and ``newest``; or ``error`` alone, when they could not be read.
    """

    integrity: list[str]
    foreign_keys: list[str]
    foreign_key_count: int
    facts: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Tell whether the structure is whole and there is a table: the check calls an empty file ok."""
        return self.integrity == ["ok"] and bool(self.facts.get("rows"))

    @property
    def good(self) -> bool:
        """Tell whether it is sound and no row refers to one that is not there."""
        return self.sound and self.foreign_key_count == 0 and not self.foreign_keys


def prove(database: Path | str, deadline: Deadline, tell: Tell = silent, level: str = "full") -> Proof:
    """Prove a private database file that nobody has open; raise OpsError when that cannot be done before the deadline.

    What lies beside the file (``-wal``) is not looked at: it has to be one file.
    """
    if not os.path.isfile(database):
        raise OpsError(f"{database} is not there or no regular file: expected a database nobody has open")
    seconds = deadline.remaining()
    check = CHECKS[level]
    children = [Child(bound(lambda: _facts(database)), seconds)]
    if check:
        children.append(Child(bound(lambda: _integrity(database, check, tell)), seconds))
    facts, integrity = [*gather(children), Outcome(value={"rows": []})][:2]
    for outcome, what in ((integrity, check), (facts, "foreign_key_check")):
        if outcome.timed_out:
            raise OpsError(
                f"{what} of {database} has not ended within {outcome.seconds:.0f} s: nothing is proved. Raise the deadline, "
                "or see what else keeps this disk busy"
            )
        if outcome.error:
            raise OpsError(f"{what} of {database} broke off: {outcome.error.strip().splitlines()[-1]}")
    tell(check or "verify", 1.0)
    found = facts.value
    return Proof(
        integrity=integrity.value["rows"],
        foreign_keys=found.pop("foreign_keys"),
        foreign_key_count=found.pop("foreign_key_count"),
        facts={"error": found["error"]} if found["error"] else {k: v for k, v in found.items() if k != "error"},
        seconds={check or "verify": round(integrity.seconds, 3), "foreign_key_check": round(facts.seconds, 3)},
    )


def _open(database: Path | str, cache_mib: int) -> sqlite3.Connection:
    connection = connect(database, "ro", 0.0, "immutable=1")
    connection.execute(f"PRAGMA cache_size = -{cache_mib << 10}")
    connection.execute("PRAGMA mmap_size = 0")
    return connection


def _integrity(database: Path | str, check: str, tell: Tell) -> dict[str, Any]:
    """Check the structure, behind everybody else's work on this host."""
    os.nice(NICE)
    # SQLite gives up Python's lock while it works, so a thread can tell how far it has come.
    threading.Thread(target=_watch, args=(check, os.path.getsize(database), tell), daemon=True).start()
    try:
        with closing(_open(database, CACHE_MIB)) as connection:
            return {"rows": [str(row[0]) for row in connection.execute(f"PRAGMA {check}")]}
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        return {"rows": [f"{check}: {exc}"]}


def _watch(check: str, size: int, tell: Tell) -> None:
    with contextlib.suppress(OSError), open("/proc/self/io", "rb", buffering=0) as counters:
        begin = _bytes_read(counters.fileno())
        while True:
            done = (_bytes_read(counters.fileno()) - begin) / (PASSES * max(1, size))
            tell(check, min(0.99, done))
            time.sleep(PAUSE)


def _bytes_read(counters: int) -> int:
    for line in os.pread(counters, 1000, 0).splitlines():
        if line.startswith(b"rchar:"):
            return int(line.split()[1])
    return 0


def _facts(database: Path | str) -> dict[str, Any]:
    """Count and describe; a database too broken for that has an ``error``, which is a finding and no failure."""
    os.nice(NICE)
    found: dict[str, Any] = {"error": "", "foreign_keys": [], "foreign_key_count": 0}
    try:
        with closing(_open(database, FACTS_CACHE_MIB)) as connection:
            for name in ("page_size", "page_count", "freelist_count", "application_id", "user_version", "journal_mode"):
                found[name] = connection.execute(f"PRAGMA {name}").fetchone()[0]
            names = tables(connection)
            found["schema_sha256"] = schema_sha256(connection)
            found["rows"] = {
                name: connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for name in names
            }
            found["newest"] = newest_stamp(connection, names)
            _foreign_keys(connection, found)
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        found["error"] = str(exc)
    return found


def _foreign_keys(connection: sqlite3.Connection, found: dict[str, Any]) -> None:
    """Count rows that refer to one that is not there; a key that can refer to nothing at all is told instead."""
    try:
        for table, rowid, parent, _key in connection.execute("PRAGMA foreign_key_check"):
            found["foreign_key_count"] += 1
            if len(found["foreign_keys"]) < EVIDENCE:
                found["foreign_keys"].append(f"{table} row {rowid} refers to a row of {parent} that is not there")
    except sqlite3.OperationalError as exc:
        if "mismatch" not in str(exc):
            raise
        found["foreign_keys"].append(str(exc))
