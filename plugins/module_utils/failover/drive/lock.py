# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a host: one run at a time, whichever controller it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.epoch import LOCK_SECONDS

NAME = "run.json"
FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Lock:
    """Which run holds a host, from where, and until when; times UTC by the host's own clock."""

    run_id: str
    controller: str
    since: str
    expires: str
    reason: str = ""

    @classmethod
    def read(cls, state_dir: Path) -> Lock | None:
        """Return the lock, None without one; raise OpsError for one that cannot be read."""
        path = state_dir / NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{name: str(data[name]) for name in cls.__dataclass_fields__})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise OpsError(
                f"{path} is damaged ({exc}): expected the lock of a run. If no run is under way, remove it by hand"
            ) from exc

    def over(self, now: datetime) -> bool:
        """Tell whether its time is over; one without a time that can be read never is."""
        try:
            return datetime.strptime(self.expires, FORMAT).replace(tzinfo=timezone.utc) <= now
        except ValueError:
            return False


def hold(
    state_dir: Path,
    run_id: str,
    controller: str,
    seconds: float,
    reason: str,
    check_mode: bool = False,
    supersedes: Sequence[str] = (),
) -> dict[str, Any]:
    """Take the lock for a run or keep it; raise OpsError while another run has it, but for those of ``supersedes``."""
    if not run_id:
        raise OpsError("run_id is empty: expected the run that takes the lock")
    if not check_mode:
        state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif not state_dir.is_dir():
        return _told(None, None, True)
    with durable.alone(state_dir, LOCK_SECONDS):
        before, now = Lock.read(state_dir), datetime.now(timezone.utc)
        if before and before.run_id not in (run_id, *supersedes) and not before.over(now):
            raise OpsError(
                f"run {before.run_id} of {before.controller} ({before.reason}) holds this host since {before.since}, until "
                f"{before.expires}: expected no other run. Let it end; if it never will: module ops_lock, state free, run_id "
                f"{before.run_id}"
            )
        ends = (now + timedelta(seconds=seconds)).strftime(FORMAT)
        mine = before is not None and before.run_id == run_id
        since = before.since if before is not None and mine else now.strftime(FORMAT)
        after = Lock(run_id, controller, since, ends, reason)
        # A run that goes on keeps its lock for as long again; it is the same lock.
        if not check_mode:
            durable.write(state_dir / NAME, json.dumps(asdict(after), ensure_ascii=False) + "\n")
        return _told(before, after, not mine)


def free(state_dir: Path, run_id: str, check_mode: bool = False) -> dict[str, Any]:
    """Give the lock back; raise OpsError when another run has it."""
    if not (state_dir / NAME).exists():
        return _told(None, None, False)
    with durable.alone(state_dir, LOCK_SECONDS):
        before = Lock.read(state_dir)
        if before and before.run_id != run_id:
            raise OpsError(
                f"run {before.run_id} of {before.controller} holds this host since {before.since}: expected run "
                f"{run_id or '(empty)'}. A lock is freed by the run_id it has"
            )
        if before and not check_mode:
            durable.remove(state_dir / NAME)
        return _told(before, None, before is not None)


def _told(before: Lock | None, after: Lock | None, changed: bool) -> dict[str, Any]:
    told: list[Mapping[str, Any] | None] = [asdict(one) if one else None for one in (before, after)]
    text = [json.dumps(one, sort_keys=True) + "\n" for one in told]
    return {"changed": changed, "before": told[0], "lock": told[1], "diff": {"before": text[0], "after": text[1]}}
