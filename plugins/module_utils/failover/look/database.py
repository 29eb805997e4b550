# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of a host, looked at without a trace, also where a fence has shut its directory."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.passing import become_passing
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import Questions, look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.ownership import account


def database(path: str, quick_seconds: float) -> dict[str, Any] | None:
    """Return what there is; ``quick`` is null when it did not end in time, and ``error`` says what could not be told.

    To be called in a child process: it becomes the owner of the database for good.
    """
    if not path:
        return None
    real = os.path.realpath(path)
    found: dict[str, Any] = dict.fromkeys(("bytes", "schema_hash", "user_version", "journal_mode", "quick", "owner"))
    found.update(path=real, exists=False, error="")
    try:
        seen = os.stat(real)
    except FileNotFoundError:
        return found
    if not stat.S_ISREG(seen.st_mode):
        raise OpsError(f"{real} is {stat.filemode(seen.st_mode)}: expected a regular file")
    found.update(exists=True, bytes=seen.st_size, owner=account(seen.st_uid))
    if not seen.st_size:
        return found
    become_passing(seen.st_uid, seen.st_gid)
    answers = look(Questions(real, quick_check=quick_seconds), (seen.st_uid, seen.st_gid))
    found.update({name: answers.get(name) for name in ("user_version", "journal_mode")}, error=answers["error"])
    if found["journal_mode"] and read_header(real).wal:
        found["journal_mode"] = "wal"  # a look without a trace is told another one
    if "schema" in answers:
        # Litestream keeps two small tables of its own in what it replicates: a standby that never sent has none.
        own = [sql for name, sql in answers["schema"].items() if not name.partition(" ")[2].startswith("_litestream_")]
        found["schema_hash"] = hashlib.sha256("\n".join(own).encode()).hexdigest()
    if "quick_check" in answers:
        found["quick"] = "; ".join(answers["quick_check"])
    elif "quick_check_done" in answers:
        found["error"] = f"quick_check was ended after {quick_seconds:g} s, at {answers['quick_check_done']:.0f} %"
    return found


def free_bytes(path: str) -> int | None:
    """Return the bytes that are free on the disk of the database, for everybody but root."""
    if not path:
        return None
    place = os.path.dirname(os.path.realpath(path))
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    seen = os.statvfs(place)
    return seen.f_bavail * seen.f_frsize
