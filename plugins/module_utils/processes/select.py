# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the processes that are meant, by pid file, name, command line or user."""

from __future__ import annotations

import pwd
from collections.abc import Mapping

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.processes.wanted import Wanted


class Gone(Exception):
    """The process a pid file names cannot be found; holds the finding."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.summary)
        self.check = check


def select(say: Reporter, wanted: Wanted, processes: Mapping[int, proc.Process]) -> list[proc.Process]:
    """Return the processes meant; raise Gone when a pid file does not lead to one."""
    members = list(processes.values())
    if wanted.pidfile:
        members = proc.family(dict(processes), _from_pidfile(say, wanted, processes))
    uid = _uid(wanted.user) if wanted.user else None
    return [one for one in members if _matches(wanted, one, uid)]


def _matches(wanted: Wanted, one: proc.Process, uid: int | None) -> bool:
    # A pid file has said which process; name and command line then guard against a reused number.
    if not wanted.pidfile:
        # The kernel keeps 15 characters of a name.
        if wanted.comm and one.comm != wanted.comm[:15]:
            return False
        if wanted.cmdline and not wanted.cmdline.search(proc.cmdline(one.pid)):
            return False
    return uid is None or proc.owner(one.pid) == uid


def _from_pidfile(say: Reporter, wanted: Wanted, processes: Mapping[int, proc.Process]) -> int:
    words = {"item": wanted.name, "path": wanted.pidfile}
    try:
        text = proc.read(wanted.pidfile).split()
    except FileNotFoundError:
        raise Gone(
            say.find("process.count", Status.CRITICAL, "process.pidfile_missing", reason="missing", value=0, **words)
        ) from None
    except OSError as exc:
        error = exc.strerror or str(exc)
        raise Gone(
            say.find(
                "process.count", Status.UNKNOWN, "process.pidfile_unreadable", reason="denied", error=error, **words
            )
        ) from None
    pid = int(text[0]) if text and text[0].isdigit() else 0
    one = processes.get(pid)
    if one is None or one.state in "ZX":
        raise Gone(
            say.find(
                "process.count", Status.CRITICAL, "process.pidfile_stale", reason="missing", value=0, pid=pid, **words
            )
        )
    foreign_name = wanted.comm and one.comm != wanted.comm[:15]
    foreign_line = wanted.cmdline and not wanted.cmdline.search(proc.cmdline(pid))
    if foreign_name or foreign_line:
        raise Gone(
            say.find(
                "process.count",
                Status.CRITICAL,
                "process.pidfile_foreign",
                reason="missing",
                value=0,
                pid=pid,
                comm=one.comm,
                **words,
            )
        )
    return pid


def _uid(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise OpsError(f"processes: user {user!r} does not exist on this host: correct the name") from None
