# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a promotion has done to a host, written before it is done: what a killed one has left is completed or undone by it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable

NAME = "promoted.json"
# What comes next when a run is found in this state: it is looked whether the rename was done; nothing; all is put back.
SWAPPING, PLACED, UNDOING = "swapping", "placed", "undoing"


@dataclass
class Record:
    """The last promotion: inode numbers tell which database lies under the name, whatever has been killed.

    ``old`` is the set that was there before, by suffix; ``litestream`` tells whether Litestream had a folder beside it;
    ``epoch_before`` is the epoch file then, None when there was none.
    """

    run_id: str
    state: str
    path: str
    new: int
    old: dict[str, int]
    aside: str
    staged: str
    failed: str
    litestream: bool
    epoch: int
    epoch_before: str | None
    source: str
    rpo: dict[str, Any] = field(default_factory=dict)
    digest: dict[str, Any] = field(default_factory=dict)

    def write(self, state_dir: Path) -> None:
        """Write it durably."""
        durable.write(state_dir / NAME, json.dumps(asdict(self)) + "\n", mode=0o600)


def read(state_dir: Path) -> Record | None:
    """Return the last promotion, None when there was none; raise OpsError when it cannot be told."""
    path = state_dir / NAME
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as exc:
        raise OpsError(
            f"{path} cannot be read: {exc}. Expected what the last promotion has done. Look which databases lie beside the "
            "application's own (NAME.before-RUN), put the right one under the name, then remove this file"
        ) from exc


def remove(state_dir: Path) -> None:
    """Forget it."""
    durable.remove(state_dir / NAME)
