# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules ops_fence and ops_epoch do: look, decide, act, look again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import PATH, Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.fence import (
    Fencing,
    Seen,
    observe,
    taken_over,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name

# Documented by the fragment guarded.
HOST_OPTIONS: dict[str, dict[str, Any]] = {
    "config": {"type": "path", "default": PATH},
    "host": {"type": "str"},
    "units": {"type": "list", "elements": "str"},
    "stop_timeout": {"type": "float"},
    "state_dir": {"type": "path"},
    "run_dir": {"type": "path"},
}
OVERRIDES = ("host", "units", "database", "stop_timeout", "state_dir", "run_dir")


def configured(options: Mapping[str, Any]) -> Config:
    """Return the host's configuration with the options laid over it."""
    path = Path(options["config"])
    told: dict[str, Any] = {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if options["host"] is None:
            raise OpsError(
                f"there is no {path}: expected it (the role fencing writes it), or the option host"
            ) from None
    except (OSError, ValueError) as exc:
        raise OpsError(f"{path} cannot be read: {exc}") from exc
    told.update({name: options[name] for name in OVERRIDES if options[name] is not None})
    return Config.from_dict(told)


def fencing(options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the host into the state asked for; raise OpsError when it may not be, or could not be proved to be."""
    config = configured(options)
    start = [unit_name(name) for name in options["start"]]
    before = observe(config)
    act = Fencing(config)
    changed = _differs(before, options, start)
    try:
        if check_mode:
            _allowed(act, options)
        elif options["state"] == "fenced":
            act.fence(_epoch(options, before, config), options["run_id"], options["reason"])
        elif options["state"] == "unfenced":
            act.unfence(options["epoch"])
        else:
            act.grant(options["epoch"], options["run_id"], start)
    except OSError as exc:
        raise OpsError(f"{exc}; done until then: {'; '.join(act.evidence) or 'nothing'}") from exc
    except OpsError as exc:
        raise OpsError(f"{exc}; done until then: {'; '.join(act.evidence)}" if act.evidence else str(exc)) from exc
    after = _predicted(before, options) if check_mode else observe(config).as_dict()
    return {
        "changed": changed,
        "before": before.as_dict(),
        "after": after,
        "evidence": act.evidence,
        "bound": config.bound,
        "diff": {"before": _text(before.as_dict()), "after": _text(after)},
    }


def _epoch(options: Mapping[str, Any], before: Seen, config: Config) -> int:
    """Return the epoch to fence for: what was asked, else the newest this host knows. Fencing never fails for want of it."""
    if options["epoch"] is not None:
        return epochs.whole_number(options["epoch"])
    try:
        stored = epochs.read(config.state_dir)
    except OpsError:
        stored = None
    return max(stored.epoch if stored else 0, before.epoch or 0)


def _differs(before: Seen, options: Mapping[str, Any], start: list[str]) -> bool:
    if options["state"] == "fenced":
        if before.fenced is None or not before.whole:
            return True
        newer = options["epoch"] is not None and options["epoch"] > before.fenced.epoch
        return newer or taken_over(before.fenced, options["run_id"])
    if options["state"] == "unfenced":
        return before.fenced is not None
    down = set(start) - set(before.running)
    return before.fenced is not None or before.epoch != options["epoch"] or bool(down)


def _allowed(act: Fencing, options: Mapping[str, Any]) -> None:
    if options["state"] == "unfenced":
        act.check_unfence(options["epoch"])
    elif options["state"] == "granted":
        act.check_grant(options["epoch"])


def _predicted(before: Seen, options: Mapping[str, Any]) -> dict[str, Any]:
    now = before.as_dict()
    if options["state"] == "fenced":
        epoch = max(options["epoch"] or 0, now["fenced_epoch"] or 0, before.epoch or 0)
        return {
            **now,
            "state": "fenced",
            "fenced_epoch": epoch,
            "granted_epoch": None,
            "running": [],
            "holders": [],
            "open_paths": [],
        }
    granted = options["epoch"] if options["state"] == "granted" else now["granted_epoch"]
    return {**now, "state": "granted" if granted else "unfenced", "fenced_epoch": None, "granted_epoch": granted}


def _text(seen: Mapping[str, Any]) -> str:
    return json.dumps(seen, indent=2, sort_keys=True) + "\n"


def epoch(options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Read the record of this host, or raise it by compare and set."""
    state_dir = Path(options["state_dir"])
    before = epochs.read(state_dir)
    after, changed = before, False
    if options["state"] == "raise":
        wanted = epochs.Record(
            epochs.whole_number(options["epoch"]),
            options["primary"],
            epochs.now(),
            options["run_id"],
            options["reason"],
        )
        if not wanted.primary:
            raise OpsError("primary is empty: expected the name of the host that is to serve")
        try:
            changed = epochs.allowed(before, wanted.epoch, wanted.primary, options["expected"])
            if not check_mode:
                changed = epochs.raise_to(state_dir, wanted, options["expected"])
        except OSError as exc:
            raise OpsError(f"{state_dir} cannot be written: {exc}") from exc
        after = wanted if changed else before
        if not check_mode:
            after = epochs.read(state_dir)  # what lies there, not what was meant to
    told_before, told_after = (one.as_dict() if one else None for one in (before, after))
    return {
        "changed": changed,
        "record": told_after,
        "epoch": after.epoch if after else 0,
        "host": os.uname().nodename,
        "diff": {"before": f"{json.dumps(told_before)}\n", "after": f"{json.dumps(told_after)}\n"},
    }
