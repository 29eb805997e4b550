# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that still run code which was replaced on the disk: an update that is installed and not in force.

Source: /proc/PID/maps, as needrestart reads them. Cost: about 0.1 ms per process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

DELETED = " (deleted)"
# Code that packages bring. Not /tmp, /dev/zero, SYSV or memfd: those are deleted by design.
_CODE = re.compile(r"^/(?:usr/|opt/|srv/|lib|bin/|sbin/).*")
_UNIT = re.compile(r"([^/]+\.(?:service|scope|socket))(?:/|$)", re.MULTILINE)


@dataclass
class Stale:
    """What was found: by unit, the replaced files its processes map."""

    units: dict[str, set[str]] = field(default_factory=dict)
    processes: int = 0
    hidden: int = 0


def stale_units(deadline: Deadline, root: str = proc.PROC) -> Stale:
    """Look at all processes that are ours to look at."""
    result = Stale()
    for pid in proc.pids(root):
        if deadline.expired:
            break
        try:
            files = set(replaced(f"{root}/{pid}/maps"))
        except PermissionError:
            result.hidden += 1
            continue
        except OSError:
            continue
        result.processes += 1
        if files:
            result.units.setdefault(unit_of(pid, root), set()).update(files)
    return result


def replaced(path: str) -> Iterator[str]:
    """Yield the executable mappings whose file is gone."""
    with open(path, encoding="utf-8", errors="replace") as handle:
        for line in handle:
            if not line.endswith(DELETED + "\n"):
                continue
            fields = line.split(None, 5)
            name = fields[5][: -len(DELETED) - 1] if len(fields) == 6 else ""
            if "x" in fields[1] and _CODE.match(name):
                yield name


def unit_of(pid: int, root: str = proc.PROC) -> str:
    """Return the systemd unit of a process; of a login session all processes are one."""
    names: list[str] = _UNIT.findall(proc.cgroup(pid, root))
    if names:
        return "login sessions" if names[0].startswith("session-") else names[0]
    one = proc.process(pid, root)
    return one.comm if one else "?"
