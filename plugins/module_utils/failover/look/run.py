# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything a failover has to know of one host, looked at side by side; what cannot be told is said, and fails nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.act import configured
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look import (
    application,
    authority,
    copies,
    database,
    peers,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.passing import last_words
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, Outcome, bound, gather
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.traffic.nginx import Site, observe

Part = Callable[[], Any]


def look(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the look at this host; parts that could not be told are null, and ``errors`` says why."""
    errors: dict[str, str] = {}
    # A witness has no configuration of a fence, and nothing to be fenced.
    guarded = os.path.exists(options["config"])
    name = options["host"] or os.uname().nodename
    try:
        config = configured(options if guarded else {**options, "host": name})
    except OpsError as exc:
        errors["fence"], guarded = str(exc), False
        config = Config(name, database=options["database"] or "")
    told: dict[str, Any] = {
        "host": config.host,
        "at": round(time.time(), 3),
        "boot_id": proc.boot_id(),
        "bound": config.bound if guarded else None,
    }
    parts = {**_here(options, config, guarded), **_around(options)}
    deadline = Deadline(options["deadline"])
    children = [Child(bound(part), deadline.remaining()) for part in parts.values()]
    for name, outcome in zip(parts, gather(children)):
        told[name] = outcome.value
        if outcome.error or outcome.timed_out:
            errors[name] = _why(outcome)
    told["peers"] = [
        {"name": peer["name"], "address": peer["address"], **_reached(number, told, errors)}
        for number, peer in enumerate(options["peers"])
    ]
    trouble = (told["database"] or {}).pop("error", "")
    if trouble:
        errors["database"] = trouble
    return {**told, "errors": errors, "clock": round(time.time(), 3)}


def _here(options: Mapping[str, Any], config: Config, guarded: bool) -> dict[str, Part]:
    """Return what is to be told of this host itself, by the name of the part."""
    path, home = config.database, options["replication_home"]
    sender, epoch_file = unit_name(options["replication_service"]), options["replication_epoch_file"]
    service = unit_name(options["service"]) if options["service"] else ""
    root = options["root"]
    python = options["python"] or os.path.join(root, "venv/bin/python3")
    site = Site()
    return {
        "epoch": lambda: authority.epoch(config),
        "fence": lambda: authority.fence(config) if guarded else None,
        "lease": lambda: authority.lease(config) if guarded else None,
        "lock": lambda: authority.lock(config),
        "database": lambda: database.database(path, options["quick_check"]),
        "free_bytes": lambda: database.free_bytes(path),
        "application": lambda: application.application(root, python, service, options["secret_files"]),
        "replication": lambda: copies.replication(path, sender, epoch_file),
        "replica": lambda: copies.replica(home, _epoch_in_force(config, epoch_file)),
        "backup": lambda: copies.backup(options["backup_dir"], options["backup_patterns"]),
        "proxy": lambda: observe(site).as_dict() if site.laid_out else None,
    }


def _epoch_in_force(config: Config, epoch_file: str) -> int | None:
    record = epochs.read(config.state_dir)
    return record.epoch if record else copies.sent_epoch(epoch_file)


def _around(options: Mapping[str, Any]) -> dict[str, Part]:
    """Return what is to be told of other hosts; each question is asked by itself, so that none waits for another."""
    seconds = options["peer_timeout"]
    asked: dict[str, Part] = {}
    for number, peer in enumerate(options["peers"]):
        asked[f"ssh {number}"] = partial(peers.ssh, peer, seconds)
        asked[f"http {number}"] = partial(peers.answer, peer, seconds)
    return asked


def _reached(number: int, told: dict[str, Any], errors: dict[str, str]) -> dict[str, Any]:
    names = {"ssh": f"ssh {number}", "http": f"http {number}"}
    seen = {what: (told.pop(name), errors.pop(name, None)) for what, name in names.items()}
    return {what: value if error is None else error for what, (value, error) in seen.items()}


def _why(outcome: Outcome) -> str:
    """Return the words of an error without its traceback."""
    if outcome.timed_out:
        return f"not told within {outcome.seconds:.1f} s"
    return last_words(outcome.error)
