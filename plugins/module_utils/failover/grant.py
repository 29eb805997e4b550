# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grant: without it nothing that is guarded starts. It lies in /run, so that a power cycle takes it away."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.epoch import whole_number

NAME = "grant"


@dataclass(frozen=True)
class Grant:
    """The epoch this host serves in; ``boottime`` is when it was given, on the clock that also counts suspended time."""

    epoch: int
    boottime: float
    run_id: str = ""


def boottime() -> float:
    """Return the seconds since boot, suspended ones too: a wall clock that is set does not matter."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read(run_dir: Path) -> Grant | None:
    """Return the grant, None without one; raise OpsError when there is one that cannot be read."""
    path = run_dir / NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Grant(whole_number(data["epoch"]), float(data["boottime"]), str(data.get("run_id", "")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, OpsError) as exc:
        raise OpsError(
            f"{path} is damaged ({exc}): expected a grant. Fence the host and grant it anew (ops_fence)"
        ) from exc


def write(run_dir: Path, epoch: int, run_id: str, at: float | None = None) -> None:
    """Give the grant, now, or as of an earlier moment of the same clock."""
    run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    given = Grant(epoch, boottime() if at is None else at, run_id)
    durable.write(run_dir / NAME, json.dumps(asdict(given)) + "\n", durable=False)


def remove(run_dir: Path) -> None:
    """Take it back."""
    if run_dir.is_dir():
        durable.remove(run_dir / NAME)
