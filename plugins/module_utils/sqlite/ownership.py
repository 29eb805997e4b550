# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the database belongs to, whether the service's user can write to all of it, and as whom to look inside."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.accounts import user_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import stat_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import Service
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed


def judge_owner(say: Reporter, spec: Mapping[str, Any], service: Service, real: str) -> Iterator[Check]:
    """Judge who owns the database, its companions and whether the service's user can write to all of it."""
    database = stat_of(real)
    directory = stat_of(os.path.dirname(real))
    if database is None or directory is None:
        return
    if spec["owner"] and _uid(spec["owner"]) is None:
        yield say.find("sqlite.owner", Status.CRITICAL, "sqlite.owner_unknown", reason="missing", user=spec["owner"])
        return
    user = _rightful(spec, service, database)
    companions = {suffix: stat_of(real + suffix) for suffix in ("", "-wal", "-shm", "-journal")}
    seen = {os.path.basename(real) + suffix: found for suffix, found in companions.items() if found is not None}
    foreign = {name: found for name, found in seen.items() if found.st_uid != user}
    if foreign:
        names = [f"{name} ({account(found.st_uid)})" for name, found in foreign.items()]
        lines = [f"{name}: {account(found.st_uid)} {stat.filemode(found.st_mode)}" for name, found in seen.items()]
        yield say.find(
            "sqlite.owner", Status.CRITICAL, "sqlite.owner_wrong", reason="denied",
            count=len(foreign), user=account(user), names=listed(names), evidence=lines,
        )  # fmt: skip
        return
    for name, found in seen.items():
        if user != 0 and not _may(found, user, 6):
            yield say.find(
                "sqlite.owner", Status.CRITICAL, "sqlite.owner_denied", reason="denied", user=account(user),
                what=f"read and write {name}", what_zh=f"读写 {name}", evidence=[f"{name}: {stat.filemode(found.st_mode)}"],
            )  # fmt: skip
            return
    if user != 0 and not _may(directory, user, 3):
        line = f"{os.path.dirname(real)}: {account(directory.st_uid)} {stat.filemode(directory.st_mode)}"
        yield say.find(
            "sqlite.owner", Status.CRITICAL, "sqlite.owner_denied", reason="denied", user=account(user),
            what="make -wal and -shm in the directory", what_zh="在目录中创建 -wal 与 -shm", evidence=[line],
        )  # fmt: skip
        return
    yield say.find("sqlite.owner", Status.OK, "sqlite.owner_right", user=account(user))


def _rightful(spec: Mapping[str, Any], service: Service, database: os.stat_result) -> int:
    """Return the user the database should belong to; a service of root can write whatever it is, so the owner decides."""
    wanted = _uid(spec["owner"]) if spec["owner"] else service.user
    return wanted or database.st_uid


def reader(spec: Mapping[str, Any], service: Service, real: str) -> tuple[int, int]:
    """Return user and group to look inside as.

    Root only where everything is root's: SQLite run by root gives ``-shm`` to the owner of the database, so a look at a
    database with the wrong owner would spread the damage to the file the application still has open.
    """
    database = os.stat(real)
    user = _rightful(spec, service, database)
    if user != 0:
        return user, database.st_gid
    companions = [found for found in (stat_of(real + "-shm"), stat_of(real + "-wal")) if found is not None]
    return next(((found.st_uid, found.st_gid) for found in companions if found.st_uid), (0, 0))


def account(uid: int) -> str:
    """Name a user in a sentence that may hold nothing but a number."""
    return user_name(uid, "uid ")


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _may(seen: os.stat_result, uid: int, wanted: int) -> bool:
    """Tell whether the mode lets a user do something: 4 read, 2 write, 1 pass or execute."""
    if seen.st_uid == uid:
        return (seen.st_mode >> 6) & wanted == wanted
    try:
        entry = pwd.getpwuid(uid)
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    except KeyError:
        groups = []
    return (seen.st_mode >> (3 if seen.st_gid in groups else 0)) & wanted == wanted
