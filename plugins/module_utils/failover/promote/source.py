# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is restored: a replica to its newest transaction or as of a moment, or the newest backup that is good."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.backups.directory import Snapshot, survey
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.copies import received
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import end_with
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import ltx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.litestream import moment
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.run import verify
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size

PAUSE = 0.02
NAME = "restored.db"
# Beside the database itself, for what is written while it is proved.
SPARE = 1.05
PATTERNS = ["*.db", "*.db.gz", "*.db.zst"]
# A database says at these bytes whether it is in WAL mode; a snapshot is in none that makes other files.
WAL_AT, WAL = 18, b"\2\2"


@dataclass(frozen=True)
class Restored:
    """A restored database, nobody else's: ``txid`` is empty for a snapshot; ``at`` is its newest change."""

    path: Path
    at: float
    txid: str = ""


class Replica:
    """A replica on this host."""

    def __init__(self, options: Mapping[str, Any], deadline: Deadline) -> None:
        self.options = options
        self.path = _directory(options)
        self.wanted = _txid(options["txid"])
        self._files = self._arrived(deadline.sooner(options["arrive"]))
        self._header = ltx.read_header(os.path.join(self.path, self._newest().path))

    def _arrived(self, until: Deadline) -> list[ltx.Name]:
        """Return its files; raise OpsError when it could not be restored, or lacks the transaction that is wanted."""
        while True:
            try:
                files = ltx.names(self.path)
            except OSError as exc:
                raise OpsError(
                    f"{self.path} is no replica: {exc.strerror}; expected the directory of one epoch"
                ) from exc
            chain = ltx.chain(files)
            if chain.unbroken and chain.reach >= self.wanted:
                return files
            if until.expired:
                break
            time.sleep(PAUSE)
        if not chain.whole:
            raise OpsError(f"{self.path} has no whole database to begin with: it cannot be restored. Restore a backup")
        if not chain.unbroken:
            raise OpsError(
                f"{self.path} has transaction {chain.newest:016x} and can be restored only to {chain.reach:016x}: files are "
                "missing in between. Expected all of them; restore a backup, or give up what is behind (timestamp)"
            )
        raise OpsError(
            f"{self.path} reaches transaction {chain.reach:016x}: expected {self.wanted:016x}, which the primary has sent. "
            "Is it the replica of the right epoch?"
        )

    def _newest(self) -> ltx.Name:
        return max(self._files, key=lambda one: (one.last, -one.level))

    @property
    def bytes(self) -> int:
        """How long the restored database will be."""
        return self._header.pages * self._header.page_size

    @property
    def words(self) -> str:
        return self.path

    def restore(self, directory: Path, deadline: Deadline, tell: Tell) -> Restored:
        """Restore into an empty directory of ours; raise OpsError when that cannot be done."""
        tell("restore", None)
        # What Litestream reads was written by another host: it is read as the user who received it, never as root. It is
        # started inside the directory, to which a fence may have shut the way.
        seen, parent = os.stat(self.path), os.getpid()
        private = directory / "received"
        private.mkdir(mode=0o700)
        if os.geteuid() == 0:
            directory.chmod(0o711)
            os.chown(private, seen.st_uid, seen.st_gid)

        def before() -> None:
            become(seen.st_uid, seen.st_gid)
            end_with(parent)

        command = [self.options["binary"], "restore", "-json", "-o", NAME, *self._until(), f"file://{self.path}"]
        output = run(command, deadline.remaining(), cwd=str(private), before=before)
        path = private / NAME
        if output.rc != 0 or not path.is_file() or path.is_symlink():
            raise OpsError(
                f"litestream cannot restore {self.path}: {output.complaint}. Nothing was changed. Expected a whole replica, and "
                "room on the disk of the database"
            )
        os.rename(path, directory / NAME)
        try:
            txid = int(json.loads(output.stdout)["txid"], 16)
        except (ValueError, KeyError, TypeError) as exc:
            raise OpsError(f"litestream restored {self.path} and did not say which transaction: {exc}") from exc
        return Restored(directory / NAME, self._at(txid), f"{txid:016x}")

    def _until(self) -> list[str]:
        if not self.options["timestamp"]:
            return ["-txid", f"{self._newest().last:016x}"]
        asked = datetime.fromtimestamp(moment(self.options["timestamp"]), timezone.utc)
        return ["-timestamp", asked.strftime("%Y-%m-%dT%H:%M:%SZ")]

    def _at(self, txid: int) -> float:
        """Return when a transaction was copied; of one that was merged with others, when the last of these was."""
        within = [one for one in self._files if one.level != ltx.WHOLE and one.first <= txid <= one.last]
        found = min(within or self._files, key=lambda one: (one.last < txid, one.last, one.level))
        return ltx.read_header(os.path.join(self.path, found.path)).at


class Backup:
    """The newest backup that was verified when it was made, for sites that do not replicate."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        directory = options["snapshots"]
        try:
            found = survey(Path(directory), PATTERNS, "", time.time())
        except OSError as exc:
            raise OpsError(f"{directory}: {exc.strerror}. Expected the backups of the primary (snapshots)") from exc
        good = [one for one in found.snapshots if _usable(one)]
        if not good:
            raise OpsError(
                f"{directory} has no verified backup among {found.files} files: expected one that sqlite_backup has made, with "
                "its manifest"
            )
        self.options, self.snapshot = options, good[-1]

    @property
    def bytes(self) -> int:
        """How long the restored database will be."""
        return self.snapshot.manifest.database_bytes or self.snapshot.manifest.bytes

    @property
    def words(self) -> str:
        return str(self.snapshot.path)

    def restore(self, directory: Path, deadline: Deadline, tell: Tell) -> Restored:
        """Write the database of the backup into a directory of ours, and prove that it is the one of its manifest."""
        path = directory / NAME
        spec = {"path": str(self.snapshot.path), "level": self.options["level"]}
        verdict = verify(spec, deadline, tell, stage=path)
        wrong = verdict.findings(ages=False)
        if wrong or not path.is_file():
            raise OpsError(
                f"{self.snapshot.path} is not good: {listed([one.summary for one in wrong] or ['not proved'])}"
            )
        if self.snapshot.manifest.journal_mode == "wal":
            with open(path, "r+b") as stream:
                stream.seek(WAL_AT)
                stream.write(WAL)
        return Restored(path, self.snapshot.manifest.made)


def find_source(options: Mapping[str, Any], deadline: Deadline) -> Replica | Backup:
    """Return what is to be restored; raise OpsError when it cannot be."""
    if options["source"] == "snapshot":
        if options["txid"] or options["timestamp"]:
            raise OpsError("txid and timestamp are of a replica: expected neither with source snapshot")
        return Backup(options)
    if options["timestamp"] and (options["txid"] or options["digest"]):
        raise OpsError("txid and digest are of the newest transaction: expected neither with timestamp")
    return Replica(options, deadline)


def prove_room(source: Replica | Backup, place: Path) -> None:
    """Raise OpsError when a disk has no room for what is to be restored."""
    seen = os.statvfs(place)
    free, needed = seen.f_bavail * seen.f_frsize, int(source.bytes * SPARE)
    if free < needed:
        raise OpsError(
            f"the disk of {place} has {size(free)} free: expected {size(needed)} for the database of {source.words}. Nothing "
            f"was changed; make room (old NAME.before-* beside the database, logs, backups)"
        )


def _usable(one: Snapshot) -> bool:
    manifest = one.manifest
    return manifest.kind == "database" and manifest.verified in ("full", "quick") and manifest.complete


def _directory(options: Mapping[str, Any]) -> str:
    home, trial = options["replication_home"], options["state"] == "trial"
    wanted = options["epoch_from"] or (options["epoch"] if trial else None)
    if wanted:
        path = os.path.join(home, "data", f"epoch-{wanted:04d}")
        if not stat.S_ISDIR(_mode(path)):
            raise OpsError(f"{path} is not there: expected the replica of epoch {wanted}, received from the other host")
        return path
    found = received(home, options["epoch"] - 1 if options["epoch"] else None)
    if found is None:
        raise OpsError(
            f"{home}/data has no replica below epoch {options['epoch']}: expected what the other host has sent"
        )
    return found[1]


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _txid(text: str) -> int:
    try:
        return int(text or "0", 16)
    except ValueError:
        raise OpsError(f"txid is {text!r}: expected 16 hexadecimal digits, as ops_quiesce returns them") from None
