# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to copy a live database into one file that is the state of one commit.

``pinned_copy`` is the fastest by far. ``pinned_api`` asks SQLite for each page, inside one read transaction: without it
every commit of another process restarts SQLite's own backup, which then never ends. ``vacuum_into`` also compacts.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import bound, end_with, run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.pin import (
    Pin,
    let_go,
    opened,
    patience,
    pin,
    why_not,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.pinned_copy import (
    NO_WAL,
    VERSIONS,
    Source,
    copy_pinned,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import Target

ENGINES = ("auto", "pinned_copy", "pinned_api", "vacuum_into")
# Pages of one step: 8 MiB with the usual page size, so the deadline is looked at many times a second.
STEP_PAGES = 2048
API_CACHE_MIB = 16


@dataclass(frozen=True)
class Copied:
    """How a copy was made."""

    engine: str
    journal_mode: str


def copy(target: Target, engine: str, out: int, place: str, deadline: Deadline, tell: Tell) -> Copied:
    """Copy the database into the empty file ``place``, which is open as ``out``; raise OpsError when that cannot be."""
    if engine in ("auto", "pinned_copy"):
        try:
            return _pinned_copy(target, out, deadline, tell)
        except _NotTrusted as exc:
            if engine != "auto":
                raise OpsError(f"{target.path}: {exc}. Use engine: pinned_api") from exc
            os.ftruncate(out, 0)
            engine = "pinned_api"
    work = {"pinned_api": _api, "vacuum_into": _vacuum}[engine]
    mode = _as_owner(target, lambda source: work(source, place, deadline, tell), deadline)
    _leave_wal_mode(out)
    return Copied(engine, mode)


class _NotTrusted(OpsError):
    """The WAL index cannot be relied on, or the log was not where it says."""


def _pinned_copy(target: Target, out: int, deadline: Deadline, tell: Tell) -> Copied:
    source = Source(target.real, target.seen.st_dev, target.seen.st_ino, target.seen.st_uid)
    with Pin(target.real, target.user, deadline) as pinned:
        wal = pinned.journal_mode == "wal"
        outcome = run_isolated(bound(lambda: copy_pinned(source, wal, out, tell)), deadline.remaining())
        if outcome.timed_out:
            raise OpsError(late(target.path, outcome.seconds))
        if outcome.error:
            line = outcome.error.strip().splitlines()[-1]
            kind, _colon, text = line.partition(": ")
            raise (_NotTrusted if kind.endswith("Untrusted") else OpsError)(_said(kind, text, target.path))
    return Copied("pinned_copy", pinned.journal_mode)


def late(path: str, seconds: float) -> str:
    """Say that a copy did not end."""
    return (
        f"{path} could not be copied within {seconds:.0f} s; nothing was made. Raise the deadline, or see what keeps the "
        "disks busy"
    )


def _said(kind: str, text: str, path: str) -> str:
    """Return what an error of the copying process tells an operator."""
    if kind.startswith("ansible_collections"):
        return text
    return (
        f"{path} could not be copied ({text or kind}): see whether the disk of the backups is full or failing (dmesg)"
    )


def _as_owner(target: Target, work: Callable[[sqlite3.Connection], None], deadline: Deadline) -> str:
    """Run a function on a connection that was opened as the owner, in a child that then writes as ourselves."""

    parent, seconds = os.getpid(), patience(deadline)

    def child() -> str:
        uid, gid = os.geteuid(), os.getegid()
        if uid == 0:
            os.setegid(target.seen.st_gid)
            os.seteuid(target.seen.st_uid)
        source = opened(target.real, seconds)
        # The first read opens -wal and -shm: as the owner, whoever we are afterwards.
        source.execute("PRAGMA schema_version").fetchone()
        mode: str = source.execute("PRAGMA journal_mode").fetchone()[0]
        if uid == 0:
            os.seteuid(uid)
            os.setegid(gid)
        end_with(parent)
        work(source)
        if source.in_transaction:
            source.execute("ROLLBACK")
        let_go(source, target.real)
        return mode

    outcome = run_isolated(child, deadline.remaining())
    if outcome.timed_out:
        raise OpsError(late(target.path, outcome.seconds))
    if outcome.error:
        last = outcome.error.strip().splitlines()[-1]
        if "OpsError" in last:
            raise OpsError(last.partition(": ")[2])
        ours = "sqlite3" not in last or "disk" in last
        raise OpsError(_said("", last, target.path) if ours else why_not(target.real, outcome.error))
    return str(outcome.value)


def _api(source: sqlite3.Connection, place: str, deadline: Deadline, tell: Tell) -> None:
    """Copy page by page inside one read transaction."""

    def progress(_status: int, remaining: int, total: int) -> None:
        tell("copy", (total - remaining) / max(1, total))
        # Connection.backup() of a locked source tries for ever: raising is the only way out of it.
        if deadline.expired:
            raise OpsError(late(place, deadline.seconds))

    pin(source)
    with closing(connect(place, "rw", 0.0)) as copied:
        # The file is thrown away if anything happens before it is proved.
        copied.execute("PRAGMA journal_mode = OFF")
        copied.execute("PRAGMA synchronous = OFF")
        for connection in (source, copied):
            connection.execute(f"PRAGMA cache_size = -{API_CACHE_MIB << 10}")
        source.backup(copied, pages=STEP_PAGES, progress=progress, sleep=0.05)


def _vacuum(source: sqlite3.Connection, place: str, _deadline: Deadline, tell: Tell) -> None:
    """Write the database anew; the deadline is the child's own."""
    tell("copy", None)
    source.execute(f"PRAGMA cache_size = -{API_CACHE_MIB << 10}")
    source.execute("VACUUM INTO ?", (place,))


def _leave_wal_mode(out: int) -> None:
    """Say in the header that the file is one of its own: SQLite copies the mode of the live one with it."""
    if os.pread(out, 2, VERSIONS.start) != NO_WAL:
        os.pwrite(out, NO_WAL, VERSIONS.start)
