# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promote a host: the database that was received takes the place of its own, or goes back."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed, OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import contents
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.copies import read_epoch
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.passing import as_owner
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.patience import patiently
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote import record as records
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.exchange import (
    BEFORE,
    UNDONE,
    Exchange,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.place import (
    Place,
    find_place,
    prove_idle,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.record import Record
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.source import (
    Backup,
    Replica,
    Restored,
    find_source,
    prove_room,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.quiesce.run import checked_run_id
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import prove
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import inode, inodes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.scratch import private_directory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

# What was proved and not yet put in its place, of a run that was killed just there.
STAGED = ".promote-"


@dataclass
class Result:
    """What one call has come to."""

    changed: bool = False
    rpo: dict[str, Any] = field(default_factory=lambda: {"newest_at": None, "rows": None, "txid": None})
    source: str = ""
    set_aside: str = ""
    removed: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    diff: dict[str, str] = field(default_factory=dict)
    begin: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note a step and how long it took; one that raised is not noted."""
        begin = time.monotonic()
        yield
        self.steps.append({"step": name, "seconds": round(time.monotonic() - begin, 3)})

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("begin", "diff")}
        told.update({"diff": self.diff} if self.diff else {})
        return {**told, "seconds": round(time.monotonic() - self.begin, 3)}


def promote(options: Mapping[str, Any], check_mode: bool, tell: Tell) -> dict[str, Any]:
    """Do what ``state`` says; raise OpsError when nothing was changed, ActionFailed with the evidence otherwise."""
    call = _Call(options, check_mode, tell)
    try:
        with patiently(call.place.directory, "a promotion"):
            getattr(call, options["state"])()
    except (OpsError, OSError) as exc:
        call.result.evidence = call.exchange.evidence
        raise ActionFailed(str(exc), call.result.as_dict()) from exc
    call.result.evidence = call.exchange.evidence
    return call.result.as_dict()


class _Call:
    """One call of the module."""

    def __init__(self, options: Mapping[str, Any], check_mode: bool, tell: Tell) -> None:
        self.options, self.check_mode, self.tell = options, check_mode, tell
        self.run_id = checked_run_id(options["run_id"])
        self.deadline = Deadline(options["deadline"])
        self.digest = contents.checked(options["digest"])
        if options["epoch"] is not None:
            epochs.whole_number(options["epoch"])
        self.place: Place = find_place(options)
        self.exchange = Exchange(self.place, Path(options["replication_epoch_file"]))
        self.result = Result()

    # ------------------------------------------------------------ the states

    def trial(self) -> None:
        """Restore, prove, and throw away; in check mode it is only looked whether that could be done."""
        source = self._source()
        if self.check_mode:
            return
        with self._restored(source) as restored:
            self.exchange.evidence.append(f"transaction {restored.txid or 'of a backup'} can be restored and is sound")

    def placed(self) -> None:
        """Put what was received in the place of the database."""
        before = self._seen()
        record = self._recovered()
        if record and record.run_id == self.run_id and self.exchange.swapped(record):
            # Proved when it was done; since then the application may have written to it.
            self._tell(record)
            if not self.check_mode:
                self.result.changed = self.exchange.complete(record)
            return
        prove_idle(self.place)
        source = self._source()
        if self.check_mode:
            self.result.changed = True
            self._differ(
                before, {"database": "restored", "replication_epoch": self.options["epoch"], "run_id": self.run_id}
            )
            return
        self._sweep()
        with self._restored(source) as restored:
            record = self._staged(restored)
            self.result.changed = True
        self.tell("replace", None)
        with self.result.step("replace"):
            self.exchange.swap(record)
            self.exchange.complete(record)
        self._tell(record)
        self.result.removed = self.exchange.prune(record, self.options["keep"])
        self._differ(before, self._seen())

    def undone(self) -> None:
        """Put back what was there before this run."""
        before = self._seen()
        record = self._recovered()
        if record is None or record.run_id != self.run_id:
            self.exchange.evidence.append(f"run {self.run_id} has put nothing in place of {self.place.path}")
            self.result.changed = bool(self._seen() != before)
            return
        prove_idle(self.place)
        if not self.exchange.swapped(record):
            raise OpsError(
                f"{self.place.path} is not what run {self.run_id} has put there: expected its database. Somebody has replaced "
                f"it since; what was there before is {record.aside if record.old else 'nothing'}"
            )
        self.result.changed = True
        if self.check_mode:
            self._differ(before, {"database": record.aside, "replication_epoch": record.epoch_before, "run_id": None})
            return
        with self.result.step("undo"):
            self.exchange.back(record)
        self.exchange.evidence.append(f"{self.place.path} is what it was before run {self.run_id}")
        self._differ(before, self._seen())

    # ------------------------------------------------------------ their parts

    def _recovered(self) -> Record | None:
        record = records.read(self.place.config.state_dir)
        if record and record.path != str(self.place.path):
            raise OpsError(
                f"the last promotion here (run {record.run_id}) was of {record.path}: expected {self.place.path}. Is path right?"
            )
        if self.check_mode or record is None or record.state == records.PLACED:
            return record
        prove_idle(self.place)
        return self.exchange.recover(record)

    def _source(self) -> Replica | Backup:
        source = find_source(self.options, self.deadline)
        prove_room(source, self.place.directory)
        self.result.source = source.words
        return source

    @contextmanager
    def _restored(self, source: Replica | Backup) -> Iterator[Restored]:
        """Restore beside the database, and prove it there; it goes again with its directory unless it is moved away."""
        with private_directory(self.place.directory) as directory:
            with self.result.step("restore"):
                restored = source.restore(directory, self.deadline, self.tell)
            with self.result.step("prove"):
                rows = self._prove(restored)
            self.result.rpo = {"newest_at": restored.at, "rows": rows, "txid": restored.txid or None}
            yield restored

    def _prove(self, restored: Restored) -> int:
        """Prove a restored database as its owner; return its rows. Raises OpsError for one that is not to be promoted."""
        path = str(restored.path)
        if os.geteuid() == 0:
            os.chown(path, self.place.uid, self.place.gid)
        os.chmod(path, 0o600)

        def look() -> list[Any]:
            other = contents.differing(self.digest, path) if self.digest else []
            proof = prove(path, self.deadline, self.tell, self.options["level"])
            rows = {name: n for name, n in proof.facts.get("rows", {}).items() if not name.startswith(contents.OWN)}
            return [other, [] if proof.sound else proof.integrity or ["no table"], sum(rows.values())]

        other, damage, rows = as_owner(path, look, self.deadline, "the proof")
        if damage:
            raise OpsError(
                f"what was restored from {self.result.source} is damaged: {listed(damage)}. Nothing was changed. Expected a sound "
                "database; if the primary's was damaged before, restore as of a moment before that (timestamp)"
            )
        if other:
            raise OpsError(
                f"what was restored from {self.result.source} is not what the primary had: {listed(other)}. Nothing was changed. "
                "Expected the same rows; let the primary serve on, and begin a new replica"
            )
        if self.digest:
            self.exchange.evidence.append(f"the content is the primary's, {rows} rows")
        return int(rows)

    def _sweep(self) -> None:
        """Remove what a run has left that was killed just before its exchange."""
        for name in os.listdir(self.place.directory):
            if name.startswith(f".{self.place.path.name}{STAGED}"):
                os.unlink(self.place.directory / name)

    def _staged(self, restored: Restored) -> Record:
        """Give a proved database its owner and mode and a name that stays; return the record of its exchange."""
        place = self.place
        os.chmod(restored.path, place.mode)
        descriptor = os.open(restored.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
            new = os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)
        staged = place.directory / f".{place.path.name}{STAGED}{self.run_id}"
        os.rename(restored.path, staged)
        old = inodes(place.path)
        return Record(
            run_id=self.run_id,
            state=records.SWAPPING,
            path=str(place.path),
            new=new,
            old=old,
            aside=f"{place.path}{BEFORE}{self.run_id}",
            staged=str(staged),
            failed=f"{place.path}{UNDONE}{self.run_id}",
            litestream=os.path.lexists(place.litestream),
            epoch=self.options["epoch"],
            epoch_before=read_epoch(self.exchange.epoch_file),
            rpo=self.result.rpo,
            digest=self.digest or {},
            source=self.result.source,
        )

    def _tell(self, record: Record) -> None:
        self.result.rpo = record.rpo
        self.result.source = record.source
        self.result.set_aside = record.aside if inode(Path(record.aside)) is not None else ""

    def _seen(self) -> dict[str, Any]:
        record = records.read(self.place.config.state_dir)
        try:
            seen = os.lstat(self.place.path)
            database = {"inode": seen.st_ino, "bytes": seen.st_size, "mode": stat.filemode(seen.st_mode)}
        except FileNotFoundError:
            database = {}
        return {
            "database": database,
            "replication_epoch": read_epoch(self.exchange.epoch_file),
            "run_id": record.run_id if record else None,
        }

    def _differ(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self.result.diff = {"before": _text(before), "after": _text(after)}


def _text(seen: Mapping[str, Any]) -> str:
    return json.dumps(seen, indent=2, sort_keys=True) + "\n"
