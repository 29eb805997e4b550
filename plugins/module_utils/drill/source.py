# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a drill restores from: the newest backup, a replica, or a replica as of a moment that a seed chooses."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import CommandMissing, CommandTimeout, run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.case import Case
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import end_with, run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import ltx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.digest import differences, digest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.proof import Moment
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.run import verify
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

# Litestream takes moments in whole seconds.
SHORTEST = 2.0
PAUSE = 0.05


@dataclass(frozen=True)
class Restored:
    """A database in the scratch directory; ``facts`` are those of its proof, ``rpo`` seconds, None for unknown."""

    path: Path
    facts: dict[str, Any]
    rpo: float | None = None
    chosen: dict[str, Any] = field(default_factory=dict)


def stamp(seconds: float) -> str:
    """Write a moment as Litestream reads it."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_snapshot(case: Case, directory: Path) -> Restored | None:
    """Write the database that is in a snapshot, and prove it against its manifest."""
    target = directory / "database"
    begin = time.monotonic()
    verdict = verify({**case.proving, "path": case.spec["snapshot"]}, case.deadline, case.tell, stage=target)
    case.take(verdict.checks, case.spec["snapshot"])
    # What is proved besides runs beside it; writing and proving are both part of what a restore takes.
    case.seconds["restore"] = round(verdict.seconds.get("unpack", 0.0), 3)
    case.seconds["verify"] = round(time.monotonic() - begin - case.seconds["restore"], 3)
    if not verdict.facts or verdict.findings(ages=False):
        return None
    case.found("drill.restored", Status.OK, "drill.restored_in", seconds=case.seconds["restore"])
    age = time.time() - verdict.manifest.made if verdict.manifest else None
    return Restored(target, verdict.facts, age)


def from_replica(case: Case, directory: Path) -> Restored | None:
    """Restore a replica as the user who received it, and prove what came of it; without a moment its newest state."""
    path = case.spec["replica"]
    moment = Moment.of(case.spec["moment"]) if case.spec.get("moment") else None
    waited = _arrived(case, path, moment) if moment else 0.0
    if waited is None:
        return None
    known = _known(case, path)
    if known is None:
        return None
    first, newest = known
    chosen: dict[str, Any] = {}
    words: list[str] = []
    if case.spec["source"] == "moment":
        chosen = _choose(case, path, first, newest)
        if not chosen:
            return None
        words = chosen.pop("words")
    elif moment:
        words = ["-txid", moment.txid]
    fetched = _fetch(case, path, directory, words)
    if fetched is None:
        return None
    facts = _proved(case, fetched, directory / "database", moment)
    if facts is None:
        return None
    behind = moment.stall + waited if moment else max(0.0, time.time() - newest)
    return Restored(directory / "database", facts, round(behind, 3) if not chosen else None, chosen)


def _arrived(case: Case, path: str, moment: Moment) -> float | None:
    """Wait for the moment of the primary; return the seconds it took, None when it did not come."""
    begin, until = time.monotonic(), case.deadline.sooner(case.spec["arrive"])
    while True:
        try:
            reach = max((one.last for one in ltx.names(path)), default=0)
        except OSError as exc:
            case.found("drill.source", Status.UNKNOWN, "drill.source_unread", path=path, error=exc.strerror)
            return None
        if reach >= int(moment.txid, 16):
            return time.monotonic() - begin
        if until.expired:
            case.found(
                "drill.content", Status.CRITICAL, "drill.content_late", reason="timeout",
                txid=moment.txid, reach=f"{reach:016x}", seconds=case.spec["arrive"],
            )  # fmt: skip
            return None
        time.sleep(PAUSE)


def _known(case: Case, path: str) -> tuple[float, float] | None:
    """Return from when to when the replica can be restored, in seconds since 1970; None for one that cannot be."""

    def bad(status: Status, sentence: str, **rest: Any) -> None:
        case.found("drill.source", status, sentence, path=path, **rest)

    try:
        files = ltx.names(path)
    except OSError as exc:
        bad(Status.UNKNOWN, "drill.source_unread", error=exc.strerror)
        return None
    chain = ltx.chain(files)
    if not chain.whole:
        bad(Status.CRITICAL, "drill.source_empty")
        return None
    if not chain.unbroken:
        bad(Status.CRITICAL, "drill.source_broken", reach=f"{chain.reach:016x}", newest=f"{chain.newest:016x}")
        return None
    moments = []
    for one in files:
        try:
            moments.append(ltx.read_header(os.path.join(path, one.path)).at)
        except FileNotFoundError:
            continue  # a compaction of the sender has just replaced it
        except (OSError, OpsError) as exc:
            bad(Status.CRITICAL, "drill.source_damaged", name=one.path, error=str(exc))
            return None
    whole = [one for one in files if one.level == ltx.WHOLE]
    oldest = min(whole, key=lambda one: one.last, default=None)
    try:
        first = ltx.read_header(os.path.join(path, oldest.path)).at if oldest else min(moments)
    except (OSError, OpsError):
        first = min(moments)
    newest = max(moments)
    case.found("drill.source", Status.OK, "drill.source_whole", path=path, first=stamp(first), newest=stamp(newest))
    return first, newest


def _choose(case: Case, path: str, first: float, newest: float) -> dict[str, Any]:
    """Choose a moment between the first and now; empty when there is no choice.

    Litestream knows no moment after its newest file, whose state is the one of all moments since.
    """
    now = time.time()
    if now - first < SHORTEST:
        case.found(
            "drill.moment", Status.UNKNOWN, "drill.source_short", reason="insufficient_data",
            path=path, seconds=max(0.0, now - first),
        )  # fmt: skip
        return {}
    seed = case.spec["seed"]
    moment = moment_between(first, now, seed)
    chosen = {"moment": stamp(moment), "first": stamp(first), "newest": stamp(newest), "seed": seed}
    case.found("drill.moment", Status.OK, "drill.source_moment", **chosen)
    return {**chosen, "words": [] if moment > newest else ["-timestamp", chosen["moment"]]}


def moment_between(first: float, last: float, seed: int) -> int:
    """Choose a whole second; rounded up, since the second before the first file is before the replica."""
    low = int(first) + 1
    return random.Random(seed).randint(low, max(low, int(last)))


def _fetch(case: Case, path: str, directory: Path, words: list[str]) -> Path | None:
    """Let Litestream write the database, as the user who received the replica: another host wrote what it reads."""
    owner = os.stat(path)
    user = (owner.st_uid, owner.st_gid)
    private = directory / "fetched"
    private.mkdir(mode=0o700)
    target = private / "database"
    if os.geteuid() == 0:
        directory.chmod(0o711)
        os.chown(private, *user)
    command = [case.spec["binary"], "restore", "-o", str(target), *words, f"file://{path}"]
    parent = os.getpid()

    def restore() -> list[Any]:
        become(*user)
        end_with(parent)
        try:
            output = run(command, case.deadline.remaining())
        except (CommandMissing, CommandTimeout) as exc:
            return [-1, str(exc)]
        return [output.rc, output.complaint]

    case.tell("fetch", None)
    outcome = run_isolated(restore, case.deadline.remaining())
    case.seconds["restore"] = round(outcome.seconds, 3)
    code, said = outcome.value or [-1, (outcome.error.strip().splitlines() or ["the deadline came first"])[-1]]
    if code == -1:
        case.found("drill.restored", Status.UNKNOWN, "drill.restored_unknown", error=said)
        return None
    if code or not target.is_file():
        case.found("drill.restored", Status.CRITICAL, "drill.restored_not", error=said)
        return None
    case.found("drill.restored", Status.OK, "drill.restored_in", seconds=case.seconds["restore"])
    return target


def _proved(case: Case, fetched: Path, target: Path, moment: Moment | None) -> dict[str, Any] | None:
    """Prove a restored replica by everything but a manifest, and against the moment of the primary."""
    begin = time.monotonic()
    verdict = verify(
        {**case.proving, "path": str(fetched)}, case.deadline, case.tell, stage=target, manifest_needed=False
    )
    fetched.unlink()
    case.take(verdict.checks, str(fetched))
    good = bool(verdict.facts) and not verdict.findings(ages=False)
    if good and moment:
        good = _same(case, target, moment)
    elif not moment and case.spec["source"] == "replica":
        case.found("drill.content", Status.SKIPPED, "drill.content_unseen")
    case.seconds["verify"] = round(time.monotonic() - begin, 3)
    return verdict.facts if good else None


def _same(case: Case, database: Path, moment: Moment) -> bool:
    outcome = run_isolated(lambda: digest(connect(database, "ro", 0.0, "immutable=1")), case.deadline.remaining())
    if outcome.timed_out or outcome.error:
        said = (outcome.error.strip().splitlines() or ["the deadline came first"])[-1]
        case.found("drill.restored", Status.UNKNOWN, "drill.restored_unknown", item="digest", error=said)
        return False
    found = differences(moment.digest, outcome.value)
    if found:
        case.found(
            "drill.content", Status.CRITICAL, "drill.content_differs",
            txid=moment.txid, what=listed(found), evidence=found,
        )  # fmt: skip
        return False
    rows = [one[0] for one in moment.digest["tables"].values()]
    case.found("drill.content", Status.OK, "drill.content_same", txid=moment.txid, rows=sum(rows), count=len(rows))
    return True


RESTORERS: Mapping[str, Any] = {"snapshot": from_snapshot, "replica": from_replica, "moment": from_replica}
