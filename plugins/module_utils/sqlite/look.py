# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look inside a database without leaving a trace: no lock that a writer would notice, no file made or changed.

A plain ``mode=ro`` connection is not that. In WAL mode it makes ``-wal`` and ``-shm`` where there are none, leaves them
behind, and as root they may belong to root, which locks the application out. So everything here happens

* as the user it belongs to, in a child process that gives up root before it opens anything;
* with ``immutable=1`` when there is no WAL and nobody has the file open: then the file alone is the database;
* with ``readonly_shm=1`` when a crashed process left a WAL: SQLite builds its index in memory instead of in ``-shm``;
* as an ordinary reader when somebody has it open: then ``-wal`` and ``-shm`` exist already.
"""

from __future__ import annotations

import os
import pwd
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import live_wal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import quoted, schema_objects
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.statistics import stale

BUSY_SECONDS = 1.0
# Virtual machine steps between two looks at the clock: some 10,000 a millisecond.
PROGRESS_STEPS = 20_000
PYTHON_SECONDS = 3.0
EVIDENCE = 10


class NoTraceless(OpsError):
    """The database cannot be opened without writing beside it."""


@dataclass(frozen=True)
class Questions:
    """What to look for. ``quick_check`` is in seconds, 0 for none; ``python`` the interpreter whose SQLite is asked for."""

    path: str
    floors: Mapping[str, int] = field(default_factory=dict)
    quick_check: float = 0.0
    python: str = ""


def become(uid: int, gid: int) -> None:
    """Give up root for good and become a user, with all the groups it is in. Nothing happens when we are not root."""
    if os.geteuid() != 0 or uid == 0:
        return
    groups, gid = groups_of(uid, gid)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def groups_of(uid: int, gid: int) -> tuple[list[int], int]:
    """Return all groups of a user and its own one; of a user without an account the given one is the best guess."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return [gid], gid
    return os.getgrouplist(entry.pw_name, entry.pw_gid), entry.pw_gid


def look(questions: Questions, user: tuple[int, int]) -> dict[str, Any]:
    """Answer the questions as a user (uid, gid), as plain JSON data.

    To be called in a child process: it cannot become root again. ``step`` is where an ``error`` happened; whatever was
    answered before it is there too.
    """
    answers: dict[str, Any] = {"step": "open", "error": "", "version": ""}
    try:
        # The kernel lets a process read its own counters only through a file opened before it changed its user.
        with open("/proc/self/io", "rb", buffering=0) as counters:
            become(*user)
            answers["version"] = application_sqlite(questions.python) if questions.python else ""
            _answer(questions, answers, counters.fileno())
    except (sqlite3.Error, UnicodeDecodeError, OSError, NoTraceless) as exc:
        answers["error"] = str(exc)
        answers["traceless"] = not isinstance(exc, NoTraceless)
    return answers


def _answer(questions: Questions, answers: dict[str, Any], counters: int) -> None:
    for attempt in range(3):
        before = shape(questions.path)
        extra = how_to_open(questions.path)
        with closing(connect(questions.path, "ro", BUSY_SECONDS, extra)) as connection:
            for step in (_facts, _schema, _quick_check, _rows, _statistics):
                step(connection, questions, answers, counters)
        # Immutable was right only if nobody began to write meanwhile.
        if extra != "immutable=1" or shape(questions.path) == before or attempt == 2:
            return


def how_to_open(path: str) -> str:
    """Return the URI parameter with which opening leaves no trace.

    Without WAL an ordinary reader makes no file, and needs its locks: immutable would read through a running write.
    """
    if not read_header(path).wal or live_wal(path):
        return ""
    wal = _size(path + "-wal")
    if not wal:
        return "immutable=1"
    if _size(path + "-shm") is None:
        raise NoTraceless(f"{wal} bytes in -wal wait to be applied, and there is no -shm")
    return "readonly_shm=1"


def _facts(connection: sqlite3.Connection, questions: Questions, answers: dict[str, Any], counters: int) -> None:
    answers["step"] = "open"
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    for name in ("page_size", "page_count", "freelist_count", "journal_mode", "application_id", "user_version"):
        answers[name] = connection.execute(f"PRAGMA {name}").fetchone()[0]


def _schema(connection: sqlite3.Connection, questions: Questions, answers: dict[str, Any], counters: int) -> None:
    answers["step"] = "schema"
    answers["schema"] = schema_objects(connection)


def _quick_check(connection: sqlite3.Connection, questions: Questions, answers: dict[str, Any], counters: int) -> None:
    answers["step"] = "quick_check"
    if questions.quick_check <= 0:
        return
    end = time.monotonic() + questions.quick_check
    begin, started = _bytes_read(counters), time.monotonic()
    connection.set_progress_handler(lambda: time.monotonic() > end, PROGRESS_STEPS)
    try:
        answers["quick_check"] = [row[0] for row in connection.execute(f"PRAGMA quick_check({EVIDENCE})")]
    except sqlite3.OperationalError as exc:
        if "interrupted" not in str(exc):
            raise
        # It reads each page about once, so what it read is how far it came.
        size = answers["page_size"] * answers["page_count"]
        answers["quick_check_done"] = min(99.0, 100.0 * (_bytes_read(counters) - begin) / max(1, size))
    finally:
        connection.set_progress_handler(None, 0)
    answers["quick_check_seconds"] = time.monotonic() - started


def _rows(connection: sqlite3.Connection, questions: Questions, answers: dict[str, Any], counters: int) -> None:
    """Count rows up to each floor and no further: a table of a million rows is not read to prove that it has one."""
    answers["step"] = "rows"
    answers["rows"] = {}
    for table, floor in questions.floors.items():
        if f"table {table}" not in answers["schema"]:
            answers["rows"][table] = None
            continue
        limited = f"SELECT 1 FROM {quoted(table)} LIMIT {max(1, floor)}"
        answers["rows"][table] = connection.execute(f"SELECT count(*) FROM ({limited})").fetchone()[0]


def _statistics(connection: sqlite3.Connection, questions: Questions, answers: dict[str, Any], counters: int) -> None:
    answers["step"] = "statistics"
    answers["statistics"] = [str(one) for one in stale(connection)]


def application_sqlite(python: str) -> str:
    """Return the SQLite version of another Python, empty when it cannot be asked; runs as the user we are."""
    try:
        output = run([python, "-I", "-S", "-c", "import sqlite3; print(sqlite3.sqlite_version)"], PYTHON_SECONDS)
    except OpsError:
        return ""
    return output.stdout.strip() if output.rc == 0 else ""


def _bytes_read(counters: int) -> int:
    for line in os.pread(counters, 1000, 0).splitlines():
        if line.startswith(b"rchar:"):
            return int(line.split()[1])
    return 0


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def shape(path: str) -> tuple[Any, ...]:
    """Return device and inode, and what changes when somebody writes."""
    seen = os.stat(path)
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, _size(path + "-wal"), _size(path + "-journal"))
