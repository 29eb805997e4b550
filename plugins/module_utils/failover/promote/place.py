# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a promotion happens: the database's place, who it is for, and the proof that nobody serves there."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import fence
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.act import configured
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.ownership import account

# Of a database that is not there yet; the application's group may read it, as backups need.
MODE = 0o640


@dataclass(frozen=True)
class Place:
    """The database's path without links, and owner and mode that a file there has to have."""

    path: Path
    config: Config
    uid: int
    gid: int
    mode: int

    @property
    def directory(self) -> Path:
        return self.path.parent

    @property
    def litestream(self) -> Path:
        """Where Litestream keeps what it has copied from the database that lies there now."""
        return self.directory / f".{self.path.name}-litestream"


def find_place(options: Mapping[str, Any]) -> Place:
    """Return the place; raise OpsError for one that nothing may be put to."""
    config = configured({**options, "database": options["path"]})
    if not config.database:
        raise OpsError("path is empty: expected the database, here or in what the role fencing has written")
    named, path = config.database, Path(os.path.realpath(config.database))
    config = replace(config, database=str(path))
    try:
        around = os.stat(path.parent)
    except OSError as exc:
        raise OpsError(
            f"{path.parent}: {exc.strerror}. Expected the directory of the database: is the application installed here?"
        ) from exc
    if os.path.islink(named) and os.lstat(named).st_uid not in (0, around.st_uid):
        raise OpsError(f"{named} is a link of {account(os.lstat(named).st_uid)}: expected one of root or of the owner")
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return Place(path, config, around.st_uid, around.st_gid, MODE)
    if not stat.S_ISREG(seen.st_mode):
        raise OpsError(f"{path} is {stat.filemode(seen.st_mode)}: expected a regular file, or none")
    # A fence around the file itself goes on around the next one: mode 0, until the fence is lifted.
    return Place(path, config, seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode))


def prove_idle(place: Place) -> None:
    """Raise OpsError when this host may serve, or somebody has the database open."""
    seen = fence.observe(place.config)
    what = []
    if seen.granted:
        what.append(f"it is granted epoch {seen.epoch}")
    if seen.running:
        what.append(f"{', '.join(seen.running)} runs")
    told = seen.as_dict()["holders"]
    if told:
        what.append(f"{place.path} is open in {', '.join(told)}")
    if what:
        raise OpsError(
            f"this host may serve: {'; '.join(what)}. Expected a standby. Fence it first (ops_fence, state fenced) if it is "
            "the right one"
        )
