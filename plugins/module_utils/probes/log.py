# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what was written to log files since the last look, and report the errors that were not there before.

The cursor of a file is kept by device, inode and a hash of its first bytes, so that renaming, copying and truncating,
and an inode that was given to another file are told apart; the rest of a rotated file is read before the new one.
Memory and time are bounded whatever stands in the files: a budget of bytes, lines cut to a length, groups counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.defaults import filled
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs import area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.access import AccessReader
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.app import AppReader
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.cursor import Cursor, Part
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.find import find, unreadable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.limits import DAY
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.read import Budget, coverage, read_part
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.rotation import plan
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult

AREA = area.AREA
TIMEOUT = 12.0
OPTIONS: dict[str, dict[str, Any]] = {
    "paths": {"type": "list", "elements": "str", "required": True},
    "format": {"type": "str", "default": "app", "choices": ["app", "access"]},
    "patterns": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "regex": {"type": "str", "required": True},
            "status": {"type": "str", "default": "warning", "choices": ["warning", "critical"]},
        },
    },
    "default_patterns": {"type": "bool", "default": True},
    "ignore": {"type": "list", "elements": "str", "default": []},
    "optional": {"type": "bool", "default": False},
    "first_bytes": {"type": "int", "default": 262144},
    "max_bytes": {"type": "int", "default": 67108864},
    "min_requests": {"type": "int", "default": 100},
}
# Of one log: the live file and the two it was rotated to last, which a writer may still have open.
MAX_CURSORS = 3


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Read all files from their cursors; the state holds the cursors and the fingerprints that are known."""
    opts, reader = _options(spec)
    say = AREA.reporter(spec.get("thresholds"))
    item = str(spec.get("name") or "") or ", ".join(opts["paths"])
    now = time.time()
    live, checks = find(opts, say)
    last = float(previous.get("at") or 0)
    cursors = {path: [Cursor.load(one) for one in many] for path, many in (previous.get("files") or {}).items()}
    budget = Budget(opts["max_bytes"], deadline)
    parts: list[Part] = []
    kept: dict[str, list[tuple[float, Cursor]]] = {}
    for path in [*live, *(path for path in cursors if path not in live)]:
        try:
            found, kept[path] = plan(path, cursors.get(path, []), last, opts["first_bytes"], first=not previous)
        except FileNotFoundError:
            continue  # rotated away and deleted, or gone since the glob was read
        except OSError as exc:
            checks.append(unreadable(path, exc, say))
            kept[path] = [(0.0, one) for one in cursors.get(path, [])]
            continue
        parts += found
    # Small ones first: one file that went mad must not keep the others from being read.
    for part in sorted(parts, key=lambda one: (one.todo, one.order)):
        reader.begin(part.path, fresh_after=now - DAY if part.first else None)
        try:
            kept[part.family].append((part.order, read_part(part, reader, budget)))
        except (OSError, EOFError) as exc:
            checks.append(unreadable(part.path, exc, say))
            kept[part.family] += [(part.order, part.known)] if part.known else []
    checks += coverage(item, parts, budget, say)
    told, known = reader.checks(item, list(previous.get("known") or []), last, now, opts, say)
    files = {}
    for path, many in kept.items():
        newest = sorted(many, key=lambda one: one[0])[-MAX_CURSORS:]
        files[path] = [cursor.dump() for _order, cursor in newest]
    return ProbeResult(checks + told, {"at": now, "files": files, "known": known})


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for options that can never work, before anything is read."""
    _options(spec)


def _options(spec: Mapping[str, Any]) -> tuple[dict[str, Any], AppReader | AccessReader]:
    opts = filled(OPTIONS, spec)
    if not opts["paths"] or not all(str(path).startswith("/") for path in opts["paths"]):
        raise OpsError(f"log: paths {opts['paths']!r}: expected absolute paths or globs")
    for name in ("first_bytes", "max_bytes"):
        if opts[name] <= 0:
            raise OpsError(f"log: {name} is {opts[name]}: expected a number of bytes above 0")
    return opts, AccessReader() if opts["format"] == "access" else AppReader(opts)
