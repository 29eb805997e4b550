# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host knows of who may serve: epoch, fence, lease, the lock of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import fence as fences
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import lease as leases
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.grant import boottime

RUN = "run.json"
RUN_FIELDS = ("run_id", "controller", "since", "expires")


def epoch(config: Config) -> dict[str, Any] | None:
    """Return the record of the epoch, without its reason."""
    record = epochs.read(config.state_dir)
    return {name: getattr(record, name) for name in ("epoch", "primary", "since", "run_id")} if record else None


def fence(config: Config) -> dict[str, Any]:
    """Return what the fence looks like, as ops_fence tells it."""
    return fences.observe(config).as_dict()


def lease(config: Config) -> dict[str, Any] | None:
    """Return what the lease last said, and the seconds since its last renewal."""
    said = _json(config.run_dir / leases.STATUS)
    if said is None:
        return None
    try:
        return {"state": str(said["state"]), "age": round(boottime() - float(said["renewed"]), 3)}
    except (KeyError, TypeError, ValueError) as exc:
        raise OpsError(f"{config.run_dir / leases.STATUS} is no status of the lease: {exc}") from exc


def lock(config: Config) -> dict[str, Any] | None:
    """Return which run holds this host, whether or not its time is over."""
    said = _json(config.state_dir / RUN)
    return {name: said.get(name) for name in RUN_FIELDS} if said is not None else None


def _json(path: Path) -> Mapping[str, Any] | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise OpsError(f"{path} cannot be read: {exc}") from exc
    if not isinstance(data, Mapping):
        raise OpsError(f"{path} holds {type(data).__name__}: expected an object")
    return data
