# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host sends to the other one, what it has received from it, and its newest backup."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups.directory import survey
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import lag, ltx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import show

EPOCH_FILE = "/etc/tutor-ops/replication/epoch"
ASK_SECONDS = 5.0
_DIRECTORY = re.compile(r"^epoch-(\d{4,})$")


def read_epoch(path: str | Path) -> str | None:
    """Return the file that names the epoch to send for as it is, None without one."""
    try:
        return Path(path).read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def sent_epoch(path: str) -> int | None:
    """Return the epoch this host would send for, None when replication is not laid out here."""
    text = read_epoch(path)
    if text is None:
        return None
    found = re.fullmatch(r"REPLICATION_EPOCH=(\d+)\s*", text)
    if not found:
        raise OpsError(f"{path} says {text[:40]!r}: expected REPLICATION_EPOCH=0001")
    return int(found[1])


def epoch_text(epoch: int) -> str:
    """Return the file that names the epoch to send for, as the unit reads it."""
    return f"REPLICATION_EPOCH={epoch:04d}\n"


def replication(database: str, service: str, epoch_file: str) -> dict[str, Any] | None:
    """Return whether this host sends, for which epoch, and how far that is behind. Needs no answer of the other host."""
    epoch = sent_epoch(epoch_file)
    if epoch is None:
        return None
    running = show([service], ["ActiveState"], ASK_SECONDS)[service]["ActiveState"] == "active"
    found: dict[str, Any] = {"epoch": epoch, "running": running, "lag": None}
    if running and database:
        at = lag.position(os.path.realpath(database))
        # Nothing missing is no lag, however long ago the last change was.
        seconds = max(0.0, time.time() - at.at) if at.behind else 0.0
        found["lag"] = {"behind": at.behind, "seconds": round(seconds, 3)}
    return found


def received(home: str, epoch: int | None) -> tuple[int, str] | None:
    """Return epoch and directory of the newest replica this host has received, none above an epoch."""
    try:
        names = os.listdir(os.path.join(home, "data"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    numbers = [(int(found[1]), found[0]) for found in map(_DIRECTORY.match, names) if found]
    known = [one for one in numbers if epoch is None or one[0] <= epoch]
    if not known:
        return None
    number, name = max(known)
    return number, os.path.join(home, "data", name)


def replica(home: str, epoch: int | None) -> dict[str, Any] | None:
    """Return how far the replica on this host reaches; ``newest_at`` and ``age`` are of its newest change."""
    found = received(home, epoch)
    if found is None:
        return None
    number, path = found
    told: dict[str, Any] = {"path": path, "epoch": number, "newest_txid": None, "newest_at": None, "age": None}
    try:
        files = ltx.names(path)
    except FileNotFoundError:
        files = []
    newest = max(files, key=lambda one: (one.last, -one.level), default=None)
    if newest is not None:
        at = ltx.read_header(os.path.join(path, newest.path)).at
        told.update(newest_txid=f"{newest.last:016x}", newest_at=at, age=round(time.time() - at, 3))
    return {**told, "chain_unbroken": ltx.chain(files).unbroken}


def backup(directory: str, patterns: list[str]) -> dict[str, Any] | None:
    """Return when the newest backup was made, and whether it has the length its manifest says and none failed since."""
    if not directory:
        return None
    try:
        found = survey(Path(directory), patterns, "", time.time())
    except FileNotFoundError:
        return None
    snapshots = [one for one in found.snapshots if one.manifest.kind == "database"]
    if not snapshots:
        return {"newest_at": None, "ok": False}
    newest = snapshots[-1]
    failed_since = any(at > newest.manifest.made for at in found.rejected.values())
    whole = newest.seen.st_size == newest.manifest.bytes and newest.manifest.complete
    return {"newest_at": newest.manifest.made, "ok": whole and not failed_since}
