# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that a replica has the same rows as the primary: one moment of the primary, compared with what is restored.

On the primary the write lock is held until Litestream has copied the log to its end, a reader is pinned at that moment
and the lock let go: writers wait for one sync at most, and what the reader sees is exactly one transaction of the replica.
Where the replica lies that transaction is restored into a private directory and compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import (
    Child,
    Outcome,
    end_with,
    gather,
    run_isolated,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import lag, ltx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.digest import differences, digest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import prove
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.pin import opened, pin, why_not
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import Target
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.scratch import places, private_directory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

POLL_SECONDS = 0.002
ARRIVE_PAUSE = 0.05
# Beyond its own limits a holder may take this long to answer.
GRACE_SECONDS = 5.0
# A moment that could not be had is tried for again: the log may have started over just then.
ATTEMPTS = 3


@dataclass(frozen=True)
class Moment:
    """One moment of the primary: the transaction of the replica that has it, and what was in the database then."""

    txid: str
    digest: dict[str, Any]
    stall: float

    @classmethod
    def of(cls, data: Any) -> Moment:
        """Read what a pin returned; raise OpsError for anything else."""
        try:
            tables = {str(name): [int(rows), str(text)] for name, (rows, text) in data["digest"]["tables"].items()}
            found = {"schema": str(data["digest"]["schema"]), "tables": tables}
            return cls(f"{int(str(data['txid']), 16):016x}", found, float(data["stall"]))
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise OpsError("moment: expected what state pin returned as moment on the primary") from exc


# ---------------------------------------------------------------- on the primary


class _Holder:
    """The process that holds the write lock, then the reader. It ends with us, and its locks with it.

    It is not the process that reads the log: closing a descriptor of ``-shm`` drops SQLite's own locks on it.
    """

    def __init__(self, target: Target, busy: float, max_stall: float, deadline: Deadline) -> None:
        self._parent = os.getpid()
        self._heard, told = os.pipe()
        order, self._order = os.pipe()

        def hold() -> Any:
            os.close(self._heard)
            os.close(self._order)
            become(*target.user)
            end_with(self._parent)
            return _hold(target.real, busy, max_stall, order, told)

        self._child: Child | None = Child(hold, deadline.remaining())
        os.close(told)
        os.close(order)
        self.database = target.real

    def hear(self, seconds: float) -> Any:
        """Return what it tells next; raise OpsError when it ended or says nothing."""
        readable = select.select([self._heard], [], [], seconds)[0]
        line = os.read(self._heard, 4096) if readable else b""
        if line:
            return json.loads(line)
        if readable:
            raise OpsError(why_not(self.database, self.result().error))
        raise OpsError(f"{self.database} could not be opened and locked within {seconds:.0f} s: does its disk answer?")

    def go_on(self) -> None:
        """Let it pin the moment and let the writers go."""
        os.write(self._order, b".")

    def result(self) -> Outcome:
        """Wait for how it ends."""
        child, self._child = self._child, None
        if not child:
            raise OpsError(f"the moment of {self.database} has ended already")
        return gather([child])[0]

    def close(self) -> None:
        """End it, whatever it is doing; its locks go with it."""
        for fd in (self._heard, self._order):
            os.close(fd)
        if self._child:
            self._child.finish(timed_out=True)


def _hold(database: str, busy: float, max_stall: float, order: int, told: int) -> Any:
    writer, reader = opened(database, busy), opened(database, busy)
    reader.execute("SELECT count(*) FROM sqlite_master").fetchone()  # so that the pin below takes no time
    writer.execute("BEGIN IMMEDIATE")
    begin = time.monotonic()
    os.write(told, b'"held"\n')
    # Nobody may keep the writers out for longer than was allowed, also when the one who asked for it hangs.
    ready = select.select([order], [], [], max_stall)[0]
    go_on = bool(ready and os.read(order, 1))
    if go_on:
        pin(reader)
    writer.execute("ROLLBACK")
    os.write(told, json.dumps(time.monotonic() - begin).encode() + b"\n")
    return digest(reader) if go_on else None


def take(target: Target, busy: float, max_stall: float, deadline: Deadline) -> Moment:
    """Pin a moment of the primary that Litestream has copied, and read what is in it; raise OpsError when it cannot."""
    lag.newest(target.real)  # without a file nobody need wait for one
    behind = 0
    for _attempt in range(ATTEMPTS):
        holder = _Holder(target, busy, max_stall, deadline)
        try:
            holder.hear(busy + GRACE_SECONDS)
            until = deadline.sooner(max_stall)
            at = lag.position(target.real)
            while at.behind and not until.expired:
                time.sleep(POLL_SECONDS)
                at = lag.position(target.real)
            behind = at.behind
            if behind:
                continue
            holder.go_on()
            stall = holder.hear(max_stall + GRACE_SECONDS)
            outcome = holder.result()
        finally:
            holder.close()
        if outcome.timed_out:
            raise OpsError(f"the rows of {target.path} were not read within the deadline: raise it")
        if outcome.error:
            raise OpsError(why_not(target.path, outcome.error))
        if outcome.value is not None:
            return Moment(f"{at.txid:016x}", outcome.value, round(stall, 4))
    raise OpsError(
        f"Litestream had not copied {target.path} to its end within {max_stall:g} s, {behind} bytes were missing; writers "
        f"were kept waiting {ATTEMPTS} times. Expected it to sync more often than that: is it running (probe replication)?"
    )


# ---------------------------------------------------------------- where the replica is


def compare(say: Reporter, options: Mapping[str, Any], deadline: Deadline) -> Check:
    """Restore a moment from a replica on this host, and compare."""
    moment = Moment.of(options["moment"])
    path = options["replica"]
    words = {"path": path, "txid": moment.txid}
    reach = _arrived(path, int(moment.txid, 16), deadline.sooner(options["arrive"]))
    if reach < int(moment.txid, 16):
        return say.find(
            "replication.content", Status.CRITICAL, "replication.late", reason="timeout",
            seconds=options["arrive"], reach=f"{reach:016x}" if reach else "nothing", **words,
        )  # fmt: skip
    owner = os.stat(path)
    for place in places(options["scratch"] or "", Path(path)):
        with contextlib.suppress(PermissionError), private_directory(place) as directory:
            return _compared(say, options, moment, directory, (owner.st_uid, owner.st_gid), deadline, words)
    raise OpsError(f"there is no place to restore {path} to: name a directory as scratch")


def _arrived(path: str, txid: int, until: Deadline) -> int:
    while True:
        try:
            reach = max((one.last for one in ltx.names(path)), default=0)
        except OSError as exc:
            raise OpsError(f"{path} is no replica: {exc.strerror}; expected the directory of one epoch") from exc
        if reach >= txid or until.expired:
            return reach
        time.sleep(ARRIVE_PAUSE)


def _compared(
    say: Reporter,
    options: Mapping[str, Any],
    moment: Moment,
    directory: Path,
    user: tuple[int, int],
    deadline: Deadline,
    words: dict[str, Any],
) -> Check:
    # What Litestream reads was written by another host: it is read as the user who received it, never as root.
    private = directory / "restored"
    private.mkdir(mode=0o700)
    restored = private / "restored.db"
    if os.geteuid() == 0:
        directory.chmod(0o711)
        os.chown(private, *user)
    command = [options["binary"], "restore", "-o", str(restored), "-txid", moment.txid, f"file://{words['path']}"]
    parent = os.getpid()

    def restore() -> list[Any]:
        become(*user)
        end_with(parent)
        output = run(command, deadline.remaining())
        return [output.rc, output.complaint]

    outcome = run_isolated(restore, deadline.remaining())
    if outcome.timed_out:
        raise OpsError(f"litestream did not restore {words['path']} within the deadline: raise it")
    if outcome.error:
        raise OpsError(outcome.error.strip().splitlines()[-1].partition(": ")[2])
    code, said = outcome.value
    if code != 0 or not restored.is_file():
        return say.find(
            "replication.content", Status.CRITICAL, "replication.not_restored", reason="missing", error=said, **words
        )
    found = _differences(restored, moment, options["level"], user, deadline)
    if found:
        return say.find(
            "replication.content", Status.CRITICAL, "replication.differs", what=listed(found), evidence=found, **words
        )
    tables = moment.digest["tables"].values()
    return say.find(
        "replication.content",
        Status.OK,
        "replication.same",
        rows=sum(one[0] for one in tables),
        count=len(tables),
        **words,
    )


def _differences(restored: Path, moment: Moment, level: str, user: tuple[int, int], deadline: Deadline) -> list[str]:
    def read() -> Any:
        become(*user)
        return digest(connect(restored, "ro", 0.0, "immutable=1"))

    outcome = run_isolated(read, deadline.remaining())
    if outcome.timed_out:
        raise OpsError("the restored database was not read within the deadline: raise it")
    if outcome.error:
        return [outcome.error.strip().splitlines()[-1]]
    found = differences(moment.digest, outcome.value)
    if not found and level != "none":
        proof = prove(restored, deadline, level=level)
        found = [] if proof.sound else proof.integrity
    return found
