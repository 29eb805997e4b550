# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said when a ledger cannot be used: what was seen, and what to do next."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.anchor import Anchor, anchor_path
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import holders


def explain(path: Path, exc: Exception) -> str:
    """Turn an error of SQLite into what to do."""
    text = str(exc)
    if "locked" in text:
        return locked_by(path, path)
    if "not a database" in text:
        return f"{path} is not a ledger: {text}; nothing was changed. Name another path for the ledger"
    if "full" in text:
        return f"no room for the ledger {path}: {text}{room(path)}; nothing was recorded. Free space and try again"
    if "readonly" in text or "unable to open" in text:
        return (
            f"ledger {path}: {text}. Writing needs write access to the file and its directory; a query needs it only "
            "after a writer was killed, to roll back its journal: run this as the owner or root"
        )
    if "malformed" in text or "disk image" in text or "decode" in text:
        return f"ledger {path} is damaged: {text}. Run ops_query with verify=true, then put back the newest copy"
    return f"ledger {path}: {text}"


def locked_by(path: Path, held: Path) -> str:
    """Say that a ledger stayed locked, and who has the lock on ``held``: the ledger itself or its directory."""
    who = holders(held) or "another process"
    return (
        f"ledger {path} stayed locked until the deadline by {who}; nothing was recorded. "
        "Try again when that process is done, or end it"
    )


def lost(path: Path, anchor: Anchor) -> str:
    """Say that a ledger is gone which its anchor still knows."""
    return (
        f"ledger {path} is gone, but its anchor knows {anchor.seq} events: it was removed or its disk is not mounted. Put back "
        f"the newest copy; to start a new ledger on purpose, move {anchor_path(path)} away too"
    )


def room(path: Path) -> str:
    """Say how much room there is where a ledger lies; empty when that cannot be told."""
    try:
        fs = os.statvfs(path.parent)
    except OSError:
        return ""
    return f" ({fs.f_bavail * fs.f_frsize // 1024} KiB and {fs.f_favail} inodes free)"
