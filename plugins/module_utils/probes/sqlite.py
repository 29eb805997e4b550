# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's database: the right file, whole, readable, with its rows, not locked for long.

Sources: the file's header and the kernel's lists of locks and open files; then one look inside as the file's owner in
a child process (``sqlite/look.py``), which changes nothing and leaves no file behind. About 10 ms, plus the quick check
(1.3 s per GB in memory, ten times that from disk).

Every check of the wrong file is green, so with ``service`` or ``pidfile`` it is proved first that the application's
processes have exactly this file open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite import area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import judge_file, size_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.held import judge_lock
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.inside import look_inside
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.ownership import judge_owner, reader
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import find_service, judge_in_use
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name

AREA = area.AREA
TIMEOUT = 12.0
OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "service": {"type": "str", "default": ""},
    "pidfile": {"type": "str", "default": ""},
    "pids": {"type": "list", "elements": "int", "default": []},
    "owner": {"type": "str", "default": ""},
    "floors": {"type": "dict", "default": {}},
    "quick_check": {"type": "bool", "default": True},
    "quick_check_seconds": {"type": "float", "default": 3.0},
    "application_id": {"type": "int"},
    "user_version": {"type": "int"},
    "python": {"type": "str", "default": ""},
    "wal_reset_bug": {"type": "str", "choices": ["tell", "warn"], "default": "tell"},
}


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    if not os.path.isabs(spec["path"]):
        raise OpsError(f"path is {spec['path']!r}: expected an absolute path")
    for table, floor in spec["floors"].items():
        if not isinstance(floor, int) or isinstance(floor, bool) or floor < 0:
            raise OpsError(f"floors: {table} is {floor!r}: expected the fewest rows it may have, 0 or more")
    if not spec["quick_check_seconds"] > 0:
        raise OpsError(f"quick_check_seconds is {spec['quick_check_seconds']}: expected a number of seconds above 0")
    asked = [name for name in ("service", "pidfile", "pids") if spec[name]]
    if len(asked) > 1:
        raise OpsError(f"{' and '.join(asked)}: expected only one way to find the processes")
    if spec["service"]:
        unit_name(spec["service"])


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at one database file and, as far as it is there, inside."""
    say = AREA.reporter(spec.get("thresholds"), source="sqlite")
    path = spec["path"]
    state = dict(previous)
    service = find_service(spec, deadline)
    # From here on the name the kernel and SQLite's companions -wal and -shm go by.
    real = os.path.realpath(path)
    checks = [*judge_file(say, path, real)]
    sound = checks[0].status is Status.OK
    users, in_use = judge_in_use(say, service, real)
    checks += in_use
    if checks[0].reason != "missing":
        checks += judge_owner(say, spec, service, real)
    if sound:
        locked = judge_lock(say, real, deadline)
        checks.append(locked)
        checks.append(say.measure("sqlite.wal", size_of(real + "-wal") / 2**20, "sqlite.wal_size"))
        checks += look_inside(say, spec, real, reader(spec, service, real), users, deadline, state)
    for check in checks:
        check.item = path
    return ProbeResult(checks, state)
