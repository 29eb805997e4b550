# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quiesce a host: it serves no more, all it has committed is in the replica, and what that is can be told for good."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed, OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.act import configured, fencing
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.copies import sent_epoch
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.patience import patiently
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.quiesce.settle import settle
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.quiesce.sync import send
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import size_of

NAME = "quiesced.json"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NOTHING: dict[str, Any] = {"synced": False, "txid": None, "digest": None, "rows": None, "newest_at": None}


def quiesce(options: Mapping[str, Any], check_mode: bool, tell: Tell) -> dict[str, Any]:
    """Do it, or tell what would be done; raise OpsError when the host could not be fenced, ActionFailed when only that."""
    deadline = Deadline(options["deadline"])
    checked_run_id(options["run_id"])
    config = configured(options)
    fence = {**options, "state": "fenced", "start": []}
    database = os.path.realpath(config.database) if config.database else ""
    if options["sync"] and not database:
        raise OpsError("there is no database to sync: expected database, here or in what the role fencing has written")
    if check_mode:
        told = fencing(fence, True)
        known = _recall(config, options, database) if options["sync"] else NOTHING
        return {**told, **(known or NOTHING), "changed": told["changed"] or known is None}
    config.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with patiently(config.run_dir, "another ops_quiesce"):
        tell("fence", None)
        told = fencing(fence, False)
        if not options["sync"]:
            return {**told, **NOTHING}
        known = _recall(config, options, database)
        if known:
            return {**told, **known}
        try:
            known = _sync(config, options, database, told["evidence"], deadline, tell)
        except (OpsError, OSError) as exc:
            raise ActionFailed(
                f"{exc}. The host is stopped and fenced, and it is not proved that all it has committed is in the replica. "
                "Grant it again (ops_fence, state granted, with its epoch) to go back",
                {**told, **NOTHING},
            ) from exc
    return {**told, **known, "changed": True}


def checked_run_id(text: str) -> str:
    """Return the name of a run; raise OpsError for what could not be part of a file's name."""
    if not RUN_ID.fullmatch(text):
        raise OpsError(f"run_id is {text!r}: expected letters, digits, dots, hyphens and underscores, 64 at most")
    return text


def _sync(
    config: Config, options: Mapping[str, Any], database: str, evidence: list[str], deadline: Deadline, tell: Tell
) -> dict[str, Any]:
    with patiently(Path(database).parent, "ops_quiesce"):
        tell("sync", None)
        newest = send(database, options, deadline)
        evidence.append(f"the replica has transaction {newest.last:016x}")
        tell("digest", None)
        digest, rows = settle(database, deadline)
        evidence.append(
            f"{database} is one file of {digest['file']['bytes']} bytes, {rows} rows, and nobody has it open"
        )
        known = {"synced": True, "txid": f"{newest.last:016x}", "digest": digest, "rows": rows, "newest_at": newest.at}
        key = _key(options, database)
        durable.write(config.state_dir / NAME, json.dumps({"key": key, "result": known}) + "\n", mode=0o600)
    return known


def _recall(config: Config, options: Mapping[str, Any], database: str) -> dict[str, Any] | None:
    """Return what this run has found before, if nothing can have changed since.

    Once more would be another transaction: Litestream writes into the database whenever it opens it.
    """
    try:
        told = json.loads((config.state_dir / NAME).read_text(encoding="utf-8"))
        return dict(told["result"]) if told["key"] == _key(options, database) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _key(options: Mapping[str, Any], database: str) -> list[Any]:
    """Return what is another one as soon as the database was opened for writing, or the run or the replica is another."""
    seen = os.stat(database)
    file = [seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns]
    logs = [size_of(database + suffix) for suffix in ("-wal", "-journal")]
    return [options["run_id"], sent_epoch(options["replication_epoch_file"]), database, file, logs]
