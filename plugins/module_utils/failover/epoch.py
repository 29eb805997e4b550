# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The epoch: a number that only grows, and whose host may serve while it is the newest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable

NAME = "epoch.json"
LOCK_SECONDS = 10.0
# Far beyond what switching over each minute for a century makes, and exact in every reader of JSON.
HIGHEST = 2**53 - 1


@dataclass(frozen=True)
class Record:
    """Who may serve in which epoch, since when, and by which run."""

    epoch: int
    primary: str
    since: str
    run_id: str = ""
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return asdict(self)


def whole_number(value: Any) -> int:
    """Return an epoch; raise OpsError for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= HIGHEST:
        raise OpsError(f"epoch is {value!r}: expected a whole number from 1")
    return value


def parse(text: str, where: str) -> Record:
    """Read a record; raise OpsError when it is damaged, which is never the same as there being none."""
    try:
        data = json.loads(text)
    except ValueError as exc:
        raise OpsError(_damaged(where, str(exc))) from exc
    if not isinstance(data, Mapping):
        raise OpsError(_damaged(where, f"seen {type(data).__name__}"))
    names = ("primary", "since", "run_id", "reason")
    if any(not isinstance(data.get(name, ""), str) for name in names) or not data.get("primary"):
        raise OpsError(_damaged(where, f"primary is {data.get('primary')!r}"))
    try:
        return Record(whole_number(data.get("epoch")), **{name: data.get(name, "") for name in names})
    except OpsError as exc:
        raise OpsError(_damaged(where, str(exc))) from exc


def _damaged(where: str, why: str) -> str:
    return (
        f"{where} is damaged ({why}): expected a record with epoch and primary. Compare it with the other hosts "
        "(ops_epoch, state read), then put the newest record of them in its place; without it nobody may be promoted"
    )


def read(state_dir: Path) -> Record | None:
    """Return the record of this host, None when it has none; raise OpsError when there is one that cannot be read."""
    path = state_dir / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise OpsError(_damaged(str(path), str(exc))) from exc
    return parse(text, str(path))


def allowed(stored: Record | None, epoch: int, primary: str, expected: int | None = None) -> bool:
    """Tell whether the stored record has to give way to a wanted one; False when it says the same already.

    Raise OpsError when the wanted one may not be: lower, or the same number for another host. ``expected`` is what the
    caller has seen stored (0: nothing); anything else means that somebody was faster.
    """
    whole_number(epoch)
    seen = stored.epoch if stored else 0
    if stored and (stored.epoch, stored.primary) == (epoch, primary):
        return False
    if expected is not None and seen != expected:
        raise OpsError(
            f"epoch {seen} is stored here: expected {expected}, so another run was faster. Look who serves before going on"
        )
    if stored and epoch <= stored.epoch:
        raise OpsError(
            f"epoch {epoch} for {primary} is refused: {stored.primary} has epoch {stored.epoch} since {stored.since} "
            f"(run {stored.run_id or 'unknown'}). A new one must be above {stored.epoch}"
        )
    return True


def raise_to(state_dir: Path, wanted: Record, expected: int | None = None) -> bool:
    """Compare and set, durably; return whether the record changed. Raises OpsError as ``allowed`` does."""
    with durable.alone(state_dir, LOCK_SECONDS):
        if not allowed(read(state_dir), wanted.epoch, wanted.primary, expected):
            return False
        durable.write(state_dir / NAME, json.dumps(wanted.as_dict(), ensure_ascii=False) + "\n")
        return True


def now() -> str:
    """Return the time as it stands in records."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
