# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database somebody is about to act on: proved to be the right file before anything is touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import size_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import Header, read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.ownership import account
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import Service, find_service, usage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size

# Options of every module that acts on a live database.
OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "service": {"type": "str", "default": ""},
    "pidfile": {"type": "path"},
}

SERVICE_SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    """A database file: ``path`` as the operator gave it, ``real`` what it is called without links.

    ``seen`` is its state when it was judged, ``service`` the processes that use it (``asked`` false when nobody is to).
    """

    path: str
    real: str
    seen: os.stat_result
    header: Header
    service: Service

    @property
    def user(self) -> tuple[int, int]:
        """Owner and group of the file: who to become before opening it."""
        return self.seen.st_uid, self.seen.st_gid


def find_target(options: Mapping[str, Any]) -> Target:
    """Prove that a path is a database this run may act on; raise OpsError for anything else. Opens and makes nothing.

    Refused are: a path that is missing, empty, truncated or no database; a link that leads to another owner's file; a
    user who is neither root nor the owner (SQLite would leave ``-wal`` and ``-shm`` to the wrong user and lock the
    application out); and, with ``service`` or ``pidfile``, a file that these processes do not have open.
    """
    path = options["path"]
    if not os.path.isabs(path):
        raise OpsError(f"path is {path!r}: expected an absolute path")
    real = os.path.realpath(path)
    seen = _regular(path, real)
    header = _whole(path, real)
    _right_user(path, real, seen)
    return Target(path, real, seen, header, _in_use(options, real, seen))


def _regular(path: str, real: str) -> os.stat_result:
    try:
        seen = os.stat(real)
    except OSError as exc:
        raise OpsError(
            f"{path} cannot be looked at: {exc.strerror}; expected the database the application has open. "
            "Is tutor_database right, and is its file system mounted?"
        ) from exc
    if not stat.S_ISREG(seen.st_mode):
        raise OpsError(f"{path} is {stat.filemode(seen.st_mode)}: expected a regular file")
    if os.path.islink(path) and os.lstat(path).st_uid not in (0, seen.st_uid):
        raise OpsError(
            f"{path} is a link of {account(os.lstat(path).st_uid)} to a file of {account(seen.st_uid)}: expected a link "
            f"of root or of the file's owner. Name the file itself ({real}) if it is the right one"
        )
    return seen


def _whole(path: str, real: str) -> Header:
    try:
        header = read_header(real)
    except OSError as exc:
        raise OpsError(
            f"{path} cannot be read: {exc.strerror}; expected to run as root or as its owner (become: true)"
        ) from exc
    if header.size == 0:
        raise OpsError(
            f"{path} has 0 bytes: expected a database. An application that recreates it calls itself healthy"
        )
    if not header.valid:
        raise OpsError(f"{path} does not begin as a SQLite database: its header is destroyed, or it is another file")
    # Pages that are not yet in the file may be in the log: a checkpoint writes the first page before the last.
    if not header.whole and not size_of(real + "-wal"):
        raise OpsError(
            f"{path} is truncated: it has {size(header.size)}, its header says {size(header.expected)}. Keep it with its "
            "-wal and -shm, and restore the newest verified snapshot"
        )
    return header


def _right_user(path: str, real: str, seen: os.stat_result) -> None:
    me = os.geteuid()
    if me not in (0, seen.st_uid):
        raise OpsError(
            f"{path} belongs to {account(seen.st_uid)}, this runs as {account(me)}: expected root (become: true) or the "
            "owner; a third user's -wal and -shm would lock the application out"
        )
    for suffix in ("-wal", "-shm", "-journal"):
        try:
            owner = os.lstat(real + suffix).st_uid
        except OSError:
            continue
        if owner != seen.st_uid:
            raise OpsError(
                f"{real}{suffix} belongs to {account(owner)}, the database to {account(seen.st_uid)}: expected one owner. "
                f"`chown --reference={real} {real}{suffix}`, then try again"
            )


def _in_use(options: Mapping[str, Any], real: str, seen: os.stat_result) -> Service:
    spec = {"service": options.get("service") or "", "pidfile": options.get("pidfile") or ""}
    asked = spec["service"] or spec["pidfile"]
    service = find_service(spec, Deadline(SERVICE_SECONDS))
    if not asked:
        return service
    if service.error:
        raise OpsError(f"cannot tell which database {asked} has open: {service.error}")
    if not service.processes:
        raise OpsError(
            f"{asked} has no process, so nothing proves that it uses {real}: expected it to run. Start it, or leave service "
            "and pidfile empty if you know the file is the right one (with a playbook: -e tutor_service=)"
        )
    found = usage(seen, [one.pid for one in service.processes])
    if not found.by:
        others = f"it has {listed(found.others)} open" if found.others else "it has no database open"
        raise OpsError(f"{asked} does not use {real}: {others}. Expected the file it has open; correct tutor_database")
    return service
