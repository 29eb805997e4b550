# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch a database as it was at a moment from a replica of Litestream.

Litestream 0.5 ends with status 0 when the last files of a replica are missing, and then restores older data: what it gives
is proved like a snapshot, by everything but a manifest, and its newest row is told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact_url

OPTIONS: dict[str, Any] = {
    "type": "dict",
    "options": {
        "replica": {"type": "str"},
        "config": {"type": "path"},
        "database": {"type": "path"},
        "timestamp": {"type": "str", "required": True},
        "binary": {"type": "str", "default": "litestream"},
    },
    "mutually_exclusive": [("replica", "config")],
    "required_one_of": [("replica", "config")],
}


def moment(text: str) -> float:
    """Return a moment with a time zone in seconds since 1970; raise OpsError for any other, and for one to come."""
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        raise OpsError(
            f"litestream: timestamp is {text!r}: expected a moment with its zone, such as 2026-11-23T02:00:00Z"
        )
    if found.timestamp() > time.time():
        raise OpsError(f"litestream: timestamp {text} is to come: expected a moment in the past")
    return found.timestamp()


def fetch(options: Mapping[str, Any], path: Path, target: Path, deadline: Deadline) -> None:
    """Write the database of that moment to a new file; raise OpsError when Litestream does not."""
    asked = datetime.fromtimestamp(moment(options["timestamp"]), timezone.utc)
    stamp = asked.strftime("%Y-%m-%dT%H:%M:%SZ")
    command = [options["binary"], "restore", "-o", str(target), "-timestamp", stamp]
    if options.get("config"):
        name = str(options.get("database") or path)
        command += ["-config", options["config"], name]
    else:
        name = redact_url(options["replica"])
        command.append(options["replica"])
    output = run(command, deadline.remaining())
    if output.rc != 0 or not os.path.isfile(target):
        said = output.complaint.replace(options.get("replica") or "\0", name)
        raise OpsError(
            f"litestream did not restore {name} as of {stamp}: {said}. Expected a replica that goes back to that moment; "
            "`litestream ltx` lists what it has"
        )
