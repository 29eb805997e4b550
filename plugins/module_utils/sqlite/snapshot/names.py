# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a backup directory are called, so that each is recognised by its name alone.

``learning_20261123T020000Z.db`` is a snapshot, ``.db.gz`` and ``.db.zst`` a compressed one, ``.tar.gz`` the files of its
set; ``-2`` behind the time tells apart two of one second. Behind that come ``.manifest.json``, ``.partial`` (being made,
or left by a run that was interrupted) and ``.bad`` (made, and not good). Anything else is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import PARTIAL, SUFFIX

BAD = ".bad"
SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
DATABASE, FILES = ".db", ".tar.gz"

_NAME = re.compile(
    r"(?P<stem>.+)_(?P<stamp>\d{8}T\d{6}Z)(?P<again>-\d+)?(?P<kind>\.db(?:\.gz|\.zst)?|\.tar\.gz)(?P<rest>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Name:
    """One name: ``snapshot`` without what is behind it, ``rest`` what is (empty for a snapshot itself)."""

    stem: str
    snapshot: str
    rest: str


def parse(name: str) -> Name | None:
    """Take a name apart; None for one that no backup gives."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    rest = match["rest"]
    if rest not in ("", SUFFIX, PARTIAL, BAD, SUFFIX + PARTIAL, BAD + SUFFIX):
        return None
    return Name(match["stem"], name[: len(name) - len(rest)], rest)


def stamp(created: datetime) -> str:
    """Return a moment as names have it, in UTC."""
    return created.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def free_stamp(stems: Iterable[str], created: datetime, taken: Iterable[str]) -> str:
    """Return the stamp of a set none of whose names is taken, in whatever form."""
    base, number, names = stamp(created), 1, list(taken)
    stems = list(stems)
    while True:
        one = base if number == 1 else f"{base}-{number}"
        if not any(name.startswith(f"{stem}_{one}.") for name in names for stem in stems):
            return one
        number += 1


def pointer_name(stem: str, compress: str) -> str:
    """Return what the link to the newest snapshot is called."""
    return f"{stem}_latest{DATABASE}{SUFFIXES[compress]}"
