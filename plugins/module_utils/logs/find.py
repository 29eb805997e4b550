# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which log files the globs of an operator mean, and what to say when they mean none or may not be read."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.accounts import user_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.rotation import ROTATED

MAX_FILES = 200


def find(opts: Mapping[str, Any], say: Reporter) -> tuple[list[str], list[Check]]:
    """Return the live files the globs match, and what is to be said about globs that match nothing."""
    live: dict[str, float] = {}
    checks = []
    for pattern in opts["paths"]:
        found = {}
        for path in glob.glob(pattern, recursive=True):
            try:
                status = os.stat(path)
            except OSError:
                found[path] = 0.0  # opening it will tell why
                continue
            if stat.S_ISREG(status.st_mode):
                found[path] = status.st_mtime
        names = set(found)
        for path in names:
            base = ROTATED.sub("", path)
            if path.endswith((".gz", ".xz", ".bz2", ".zst")) or (base != path and base in names):
                del found[path]  # reached through the file it was rotated from
        live.update(found)
        if not found:
            checks.append(_no_match(pattern, bool(opts["optional"]), say))
    ordered = sorted(live, key=lambda path: (-live[path], path))
    if len(ordered) > MAX_FILES:
        checks.append(
            say.find(
                "log.files",
                Status.WARNING,
                "log.too_many",
                item=", ".join(opts["paths"]),
                files=len(ordered),
                limit=MAX_FILES,
            )
        )
    return sorted(ordered[:MAX_FILES]), checks


def _no_match(pattern: str, optional: bool, say: Reporter) -> Check:
    """A glob in a directory that may not be listed matches nothing, too: that is another finding."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    while folder != "/" and not os.path.lexists(folder) and not _blocked(os.path.dirname(folder)):
        folder = os.path.dirname(folder)
    while folder != "/" and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if _blocked(folder):
        return unreadable(folder, PermissionError(13, "Permission denied"), say)
    if optional:
        return say.find("log.missing", Status.SKIPPED, "log.none_optional", item=pattern)
    return say.find("log.missing", Status.WARNING, "log.none", item=pattern, reason="missing")


def _blocked(folder: str) -> bool:
    return os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK)


def unreadable(path: str, exc: Exception, say: Reporter) -> Check:
    """Say why a log could not be read, and who may read it."""
    if not isinstance(exc, PermissionError):
        error = getattr(exc, "strerror", None) or str(exc)
        return say.find("log.readable", Status.UNKNOWN, "log.failed", item=path, error=error)
    owner, mode = "?", "?"
    try:
        status = os.stat(path)
        owner, mode = user_name(status.st_uid), f"{stat.S_IMODE(status.st_mode):04o}"
    except OSError:
        pass
    return say.find(
        "log.readable",
        Status.UNKNOWN,
        "log.denied",
        item=path,
        reason="denied",
        user=user_name(os.geteuid()),
        owner=owner,
        mode=mode,
    )
