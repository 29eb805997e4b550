# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the databases that are compared into a private directory: a copy of the diverged one, and restored ones.

Nothing of the diverged database or of a replica is written, not even a lock: what is opened is a copy.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import end_with, run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import ltx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.run import verify
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size

# A hot journal or a log belongs to the database as much as its pages do. The index of the log is made anew.
DATA = ("", "-wal", "-journal")
CHUNK = 1 << 20
# The copy, the new lineage, the common state, and room to sort whole rows.
ROOM = 3.5
ROOM_LEAST = 16 << 20

SOURCE: dict[str, Any] = {
    "type": "dict",
    "options": {
        "replica": {"type": "path"},
        "config": {"type": "path"},
        "epoch": {"type": "int"},
        "txid": {"type": "str", "default": ""},
        "snapshot": {"type": "path"},
    },
    "mutually_exclusive": [("replica", "config", "snapshot")],
    "required_one_of": [("replica", "config", "snapshot")],
    "required_by": {"config": ["epoch"]},
}


@dataclass(frozen=True)
class Diverged:
    """The former primary's database: its files as they were, by suffix, and whom it belongs to."""

    path: Path
    shapes: dict[str, list[int]]
    user: tuple[int, int]
    mode: int
    bytes: int


def look(path: Path) -> Diverged:
    """Look at the database; raise OpsError when it is not there or is no plain file."""
    shapes = {suffix: _shape(Path(f"{path}{suffix}")) for suffix in DATA}
    found = {suffix: shape for suffix, shape in shapes.items() if shape}
    if "" not in found:
        raise OpsError(f"{path} is not there: expected the former primary's database, as it was left")
    seen = os.lstat(path)
    if not stat.S_ISREG(seen.st_mode):
        raise OpsError(f"{path} is no plain file: expected the former primary's database itself")
    total = sum(shape[1] for shape in found.values())
    return Diverged(path, found, (seen.st_uid, seen.st_gid), stat.S_IMODE(seen.st_mode), total)


def _shape(path: Path) -> list[int]:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return []
    return [seen.st_ino, seen.st_size, seen.st_mtime_ns]


class Workshop:
    """A private directory in which databases are laid out for one user, who reads them."""

    def __init__(self, directory: Path, diverged: Diverged, deadline: Deadline, tell: Tell) -> None:
        self.directory, self.diverged, self.deadline, self.tell = directory, diverged, deadline, tell
        self.user = diverged.user
        if os.geteuid() == 0:
            directory.chmod(0o711)
        self.place = self._private("compared", self.user)

    def room(self) -> None:
        """Raise OpsError when the databases do not fit."""
        seen = os.statvfs(self.directory)
        free, needed = seen.f_bavail * seen.f_frsize, int(self.diverged.bytes * ROOM) + ROOM_LEAST
        if free < needed:
            raise OpsError(
                f"{self.directory.parent} has {size(free)} free: expected {size(needed)} to compare with. Name another place "
                "(scratch); nothing was written"
            )

    def _private(self, name: str, user: tuple[int, int]) -> Path:
        path = self.directory / name
        path.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(path, *user)
        return path

    def copy(self) -> Path:
        """Copy the diverged database with its log, and write the log into the copy."""
        target = self.place / "old.db"
        done = 0
        for suffix in self.diverged.shapes:
            source = f"{self.diverged.path}{suffix}"
            reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            writer = os.open(f"{target}{suffix}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(reader).st_uid not in (self.user[0], 0):
                    raise OpsError(
                        f"{source} belongs to another user than the database: expected the same. See who made it"
                    )
                while chunk := os.read(reader, CHUNK):
                    os.write(writer, chunk)
                    done += len(chunk)
                    self.tell("copy", done / max(1, self.diverged.bytes))
                self._give(Path(f"{target}{suffix}"))
            finally:
                os.close(reader)
                os.close(writer)
        self.asked(lambda: _settle(target), "the copy of the database")
        if look(self.diverged.path) != self.diverged:
            raise OpsError(
                f"{self.diverged.path} changed while it was copied: expected a fenced host. See who writes to it"
            )
        return target

    def _give(self, path: Path) -> None:
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, *self.user)

    def restore(self, name: str, source: Mapping[str, Any], binary: str) -> tuple[Path, dict[str, Any]]:
        """Restore a database from where it comes; return it and what is known of it."""
        target = self.place / f"{name}.db"
        if source.get("snapshot"):
            verdict = verify({"path": source["snapshot"]}, self.deadline, self.tell, stage=target)
            # Rows that refer to nothing are how the application left them, and no damage of the snapshot.
            bad = [one for one in verdict.findings(ages=False) if one.id != "snapshot.foreign_keys"]
            if bad:
                raise OpsError(f"{source['snapshot']} is no good snapshot: {listed([one.summary for one in bad], 3)}")
            known = {"from": source["snapshot"], "txid": "", "at": verdict.manifest.created if verdict.manifest else ""}
        else:
            known = self._litestream(name, source, binary, target)
        self._give(target)
        return target, known

    def _litestream(self, name: str, source: Mapping[str, Any], binary: str, target: Path) -> dict[str, Any]:
        self.tell("fetch", None)
        replica, environment = source.get("replica"), {}
        user = self.user
        if replica:
            try:
                chain, seen = ltx.chain(ltx.names(replica)), os.stat(replica)
            except OSError as exc:
                raise OpsError(f"{replica} is no replica: {exc.strerror}; expected the directory of one epoch") from exc
            if not chain.unbroken:
                raise OpsError(
                    f"{replica} cannot be restored to its end: expected a replica without a gap (probe replication)"
                )
            user, words = (seen.st_uid, seen.st_gid), [f"file://{replica}"]
        else:
            environment = {"REPLICATION_EPOCH": f"{source['epoch']:04d}"}
            words = ["-config", source["config"], str(self.diverged.path)]
        # What Litestream reads was written by another host: never as root.
        restored = self._private(f"{name}-restored", user) / "restored.db"
        options = ["-txid", source["txid"]] if source.get("txid") else []
        command = [binary, "restore", "-json", "-o", str(restored), *options, *words]
        parent = os.getpid()

        def fetch() -> list[Any]:
            become(*user)
            end_with(parent)
            output = run(command, self.deadline.remaining(), env=environment)
            return [output.rc, output.stdout if output.rc == 0 else output.complaint]

        code, said = self._child(fetch, "litestream")
        if code != 0 or not restored.is_file():
            raise OpsError(f"litestream did not restore {replica or source['config']}: {said}")
        restored.rename(target)
        where = replica or f"epoch {source['epoch']} of the other host"
        return {"from": where, "txid": str(json.loads(said).get("txid", "")), "at": ""}

    def asked(self, function: Callable[[], Any], what: str) -> Any:
        """Run a function as the user of the database, in a child that ends with us; return its answer."""
        parent = os.getpid()

        def child() -> Any:
            become(*self.user)
            end_with(parent)
            return function()

        return self._child(child, what)

    def _child(self, function: Callable[[], Any], what: str) -> Any:
        outcome = run_isolated(function, self.deadline.remaining())
        if outcome.timed_out:
            raise OpsError(f"{what}: not done within the deadline: raise it")
        if outcome.error:
            last = outcome.error.strip().splitlines()[-1]
            if os.strerror(errno.ENOSPC) in last or "disk is full" in last:
                raise OpsError(f"{what}: the disk is full. Free some, or name another scratch; nothing was kept")
            advice = (
                f"; {self.diverged.path} is as it was, `sqlite3 COPY .recover` gets out what can be had"
                if "Database" in last
                else ""
            )
            raise OpsError(f"{what}: {last}{advice}")
        return outcome.value


def _settle(path: Path) -> None:
    """Write the log of a private copy into it, so that it is one file."""
    with closing(connect(path, "rw", 0.0)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
