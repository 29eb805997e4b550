# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where to restore to, and what is refused there."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.accounts import user_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.standby import left_to
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.service import Unit
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import usage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

# What a database gets that replaces none.
MODE = 0o640


@dataclass
class Place:
    """Where to restore to: ``path`` is the file itself, ``seen`` what is there now, if anything.

    ``others`` are the units that have the database open besides the service, as far as they were up.
    """

    path: Path
    seen: os.stat_result | None
    unit: Unit
    was_up: bool
    others: list[Unit] = field(default_factory=list)

    @property
    def owner(self) -> tuple[int, int, int]:
        """Owner, group and mode for the database: those of the present one, else of who will use it."""
        if self.seen:
            return self.seen.st_uid, self.seen.st_gid, stat.S_IMODE(self.seen.st_mode)
        directory = os.stat(self.path.parent)
        return directory.st_uid, directory.st_gid, MODE


def find_place(spec: Mapping[str, Any]) -> Place:
    """Find where to restore to; raise OpsError for what must not be replaced.

    The present database may be damaged or missing, which is why it is restored; what is refused is anything that is not
    a database of this path: a directory, another kind of file, another user's link, or the wrong file of a running service.
    """
    path = spec["path"]
    if not os.path.isabs(path):
        raise OpsError(f"path is {path!r}: expected an absolute path")
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise OpsError(f"{real.parent} is no directory: expected the one the database belongs in. Is its disk mounted?")
    try:
        seen: os.stat_result | None = os.stat(real)
    except FileNotFoundError:
        seen = None
    except OSError as exc:
        raise OpsError(f"{path} cannot be looked at: {exc.strerror}") from exc
    if seen:
        _replaceable(path, real, seen)
    unit = Unit(spec.get("service") or "")
    others = [one for one in map(Unit, spec.get("stop_also") or ()) if one.up]
    place = Place(real, seen, unit, unit.up, others)
    if place.was_up:
        _right_file(place)
    return place


def _replaceable(path: str, real: Path, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise OpsError(f"{path} is {stat.filemode(seen.st_mode)}: expected a regular file")
    if os.path.islink(path) and os.lstat(path).st_uid not in (0, seen.st_uid):
        raise OpsError(
            f"{path} is a link of {user_name(os.lstat(path).st_uid)} to another user's file: name the file itself"
        )
    if os.geteuid() not in (0, seen.st_uid):
        raise OpsError(
            f"{path} belongs to {user_name(seen.st_uid)}, this runs as {user_name(os.geteuid())}: expected root (become: "
            "true) or the owner"
        )


def _right_file(place: Place) -> None:
    """Raise OpsError when the running service uses other databases and not this one: then this is the wrong path."""
    found = usage(place.seen, place.unit.pids())
    ours = [other for other in found.others if other.startswith(str(place.path)) and other.endswith(" (deleted)")]
    if found.others and not found.by and not ours:
        raise OpsError(
            f"{place.unit.name} does not use {place.path}, it has {listed(found.others)} open: expected the database it has "
            "open; correct tutor_database"
        )


def refuse_standby(spec: Mapping[str, Any], place: Place) -> None:
    """On a standby nobody would be served what is restored, and the next replica would replace it.

    A scratch place is as good there as anywhere.
    """
    primary = left_to(spec)
    if primary and (place.seen or place.unit.name):
        raise OpsError(
            f"{primary} serves, and this host is fenced as its standby: expected a restore of {place.path} where the users "
            f"are. Restore on {primary} (playbook restore: -e ops_confirm={primary}, first with --check, which only shows "
            "the plan), or to a path where nothing is yet, without service. To replace the standby's database all the same: "
            "serving: false (-e ops_serving=false)"
        )


def refuse_unconfirmed(spec: Mapping[str, Any], place: Place) -> None:
    """A restore replaces data, so its caller names the host that he means."""
    host = spec.get("host") or socket.gethostname()
    if (place.seen or place.unit.name) and spec.get("confirm") != host:
        raise OpsError(
            f"confirm is {spec.get('confirm') or ''!r}: expected {host!r}, the name of the host whose database is "
            f"replaced ({place.path})"
        )


def refuse_pidfile(spec: Mapping[str, Any]) -> None:
    """Without a unit nobody here can stop an application, so that it has to be down."""
    pidfile = spec.get("pidfile")
    if not pidfile or spec.get("service"):
        return
    with suppress(OSError, ValueError, IndexError):
        pid = int(Path(pidfile).read_text(encoding="ascii").split()[0])
        if proc.process(pid):
            raise OpsError(f"{pidfile} names {pid} [{proc.cmdline(pid)[:80]}], which runs: expected it to be stopped")
