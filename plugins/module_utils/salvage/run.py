# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ops_salvage does: write down what was never replicated, then set the diverged database aside.

The two are separate calls, and the second refuses without the first: nothing of the former primary's is ever merged, and
nothing is deleted.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.fence import observe
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage import export, prove, sources
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.shelf import SCHEMA, Shelf, shelf
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.holders import holders
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import prove as prove_database
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import files
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.scratch import (
    FALLBACK,
    places,
    private_directory,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed


def work(options: Mapping[str, Any], deadline: Deadline, tell: Tell, check_mode: bool) -> dict[str, Any]:
    """Do what was asked for; raise OpsError when it may not be done, or was not."""
    config = Config.read(options["config"])
    epoch = _fenced(config)
    path = Path(os.path.realpath(options["path"]))
    act = _export if options["state"] == "exported" else _stand_by
    if check_mode and options["state"] == "exported" and not os.path.lexists(options["dest"]):
        sources.look(path)
        return {"changed": True, "manifest": None, "checks": [], "diff": _diff("", options["dest"])}
    try:
        with shelf(options["dest"], options["run_id"], create=not check_mode) as place:
            return act(options, config, path, place, _Means(deadline, tell, check_mode, epoch))
    except OSError as exc:
        raise OpsError(
            f"{exc.filename or options['dest']}: {exc.strerror}; nothing that was there has been changed"
        ) from exc


class _Means:
    """What a run has at hand."""

    def __init__(self, deadline: Deadline, tell: Tell, check_mode: bool, epoch: epochs.Record) -> None:
        self.deadline, self.tell, self.check_mode, self.epoch = deadline, tell, check_mode, epoch


def _fenced(config: Config) -> epochs.Record:
    """Raise OpsError unless this host is fenced, and another one has the epoch."""
    record = epochs.read(config.state_dir)
    if record is None or record.primary == config.host:
        raise OpsError(
            f"epoch {record.epoch if record else 'unknown'} is of {record.primary if record else 'nobody'} here: expected the one "
            "of another host. Raise the record of this host to the newest of all hosts first (ops_epoch)"
        )
    seen = observe(config)
    if seen.state != "fenced":
        raise OpsError(
            f"this host is {seen.state}: expected it fenced, so that nothing writes to the database. Fence it first (ops_fence)"
        )
    return record


@contextmanager
def _workshop(options: Mapping[str, Any], diverged: sources.Diverged, means: _Means) -> Iterator[sources.Workshop]:
    place = places(options["scratch"] or str(FALLBACK), diverged.path)[0]
    with private_directory(place) as directory:
        shop = sources.Workshop(directory, diverged, means.deadline, means.tell)
        shop.room()
        yield shop


# ---------------------------------------------------------------- exported


def _export(options: Mapping[str, Any], config: Config, path: Path, place: Shelf, means: _Means) -> dict[str, Any]:
    kept = place.read()
    if kept:
        if path.exists() and not _is_source(kept, path) and not _aside(path, place.run_id).exists():
            raise OpsError(
                f"{path} is not the database that run {place.run_id} compared: expected that one. Name a new run_id"
            )
        return _told(False, kept, place)
    diverged = sources.look(path)
    opened = sorted(set(holders(path)) - {os.getpid()})
    if opened:
        raise OpsError(f"{path} is open in process {', '.join(map(str, opened))}: expected nobody. End it first")
    if means.check_mode:
        return {"changed": True, "manifest": None, "checks": [], "diff": _diff("", str(place.sql))}
    begin = time.monotonic()
    with _workshop(options, diverged, means) as shop:
        old = shop.copy()
        new, lineage = shop.restore("new", options["lineage"], options["binary"])
        ref, common, why = _common(options, shop)
        descriptor = place.make()
        try:
            words = {"schema": SCHEMA, "run_id": place.run_id, "host": config.host}
            later = shop.place / "later"
            # Without the common state it is compared with the new lineage alone.
            reference, third = (ref, new) if ref else (new, None)

            def compare() -> Any:
                return export.compare(old, reference, third, descriptor, later, words, means.tell)

            found = shop.asked(compare, "comparison")
            left = list(found["not_compared"])
            proof = shop.asked(lambda: prove.prove(old, reference, descriptor, left, means.tell), "proof of the export")
            if proof["error"] or proof["differs"]:
                told = proof["error"] or f"other rows in {listed(proof['differs'])}"
                raise OpsError(
                    f"the export does not give the former primary's rows when it is applied ({told}): it is not kept. The "
                    "database is as it was: keep this host fenced, and salvage from a copy by hand"
                )
            data = {
                "schema": SCHEMA,
                "run_id": place.run_id,
                "host": config.host,
                "epoch": means.epoch.epoch,
                "primary": means.epoch.primary,
                "created": epochs.now(),
                "source": {"path": str(path), "bytes": diverged.bytes, "files": diverged.shapes},
                "lineage": lineage,
                "common": common,
                "common_missing": why,
                "proved": "common" if ref else "lineage",
                "seconds": round(time.monotonic() - begin, 3),
                **found,
            }
            return _told(True, place.keep(data), place)
        finally:
            os.close(descriptor)
            place.clear()


def _common(options: Mapping[str, Any], shop: sources.Workshop) -> tuple[Any, Any, str]:
    """Restore the state both sides had in common; where it cannot be had, tell why instead."""
    if not options["common"]:
        return None, None, "not given"
    try:
        path, known = shop.restore("ref", options["common"], options["binary"])
        return path, known, ""
    except OpsError as exc:
        return None, None, str(exc)


def _told(changed: bool, kept: dict[str, Any], place: Shelf) -> dict[str, Any]:
    return {
        "changed": changed,
        "manifest": kept,
        "checks": [check.as_dict() for check in judge(kept, place)],
        "diff": _diff("" if changed else str(place.sql), str(place.sql)),
    }


def judge(kept: Mapping[str, Any], place: Shelf) -> Iterator[Any]:
    """Tell what an export means."""
    say = AREA.reporter()
    total, left = kept["total"], kept["not_compared"]
    tables = [f"{name}: {one['rows']} ({one['inserted']} inserted, {one['updated']} updated, {one['deleted']} deleted, "
              f"{one['conflict']} changed on both sides)" for name, one in kept["tables"].items() if one["rows"]]  # fmt: skip
    status = Status.WARNING if total["rows"] else Status.OK
    words = {"path": str(place.sql), "conflicts": total["conflict"], "count": len(tables)}
    if kept["common"]:
        sentence = "salvage.rows_lost" if total["rows"] else "salvage.rows_none"
    else:
        sentence = "salvage.rows_differ" if total["rows"] else "salvage.rows_none"
    yield say.find("salvage.rows", status, sentence, value=total["rows"], evidence=tables, **words)
    if kept["common"]:
        yield say.find("salvage.common", Status.OK, "salvage.common_known", txid=kept["common"]["txid"] or "-")
    else:
        yield say.find("salvage.common", Status.WARNING, "salvage.common_missing", error=kept["common_missing"])
    evidence = [f"{name}: {why}" for name, why in left.items()]
    if left:
        yield say.find("salvage.whole", Status.WARNING, "salvage.left", names=listed(list(left)), evidence=evidence)
    else:
        yield say.find("salvage.whole", Status.OK, "salvage.all", count=len(kept["tables"]))


# ---------------------------------------------------------------- standby


def _aside(path: Path, run_id: str) -> Path:
    return path.with_name(f"{path.name}.salvaged-{run_id}")


def _notes(path: Path) -> Path:
    """Return where Litestream notes what it has copied of a database."""
    return path.with_name(f".{path.name}-litestream")


def _is_source(kept: Mapping[str, Any], path: Path) -> bool:
    return sources.look(path).shapes == kept["source"]["files"]


def _stand_by(options: Mapping[str, Any], config: Config, path: Path, place: Shelf, means: _Means) -> dict[str, Any]:
    """Set the diverged database aside and put the new lineage in its place, as this host has received it."""
    kept = place.read()
    if kept is None:
        raise OpsError(
            f"{place.manifest} is not there: expected the export of run {place.run_id} before its database is set aside. Run "
            "ops_salvage with state exported first"
        )
    aside, incoming = _aside(path, place.run_id), path.with_name(f".{path.name}.incoming")
    ours, was = kept["source"]["files"], os.path.lexists(aside)
    here = files.inode(path)
    if was and files.inode(aside) != ours[""][0]:
        raise OpsError(
            f"{aside} is not the database that run {place.run_id} compared: expected no such file. Move it away"
        )
    notes, notes_aside = _notes(path), _notes(aside)
    if here not in (None, ours[""][0]) and not was or here is None and not was:
        raise OpsError(
            f"{path} is not the database that run {place.run_id} compared: expected that one. Name a new run_id"
        )
    done = was and here not in (None, ours[""][0])
    changed = not done or notes.exists() and not notes_aside.exists()
    result = {
        "changed": changed,
        "manifest": kept,
        "aside": str(aside),
        "checks": [check.as_dict() for check in judge(kept, place)],
        "diff": _diff("" if changed else str(aside), str(aside)),
    }
    if not changed or means.check_mode:
        return result
    with locked(path.parent, "a salvage of its database"):
        if notes.exists() and not notes_aside.exists():
            os.rename(notes, notes_aside)
        if not done:
            _exchange(options, path, aside, incoming, means)
        durable.sync(path.parent)
    return result


def _exchange(options: Mapping[str, Any], path: Path, aside: Path, incoming: Path, means: _Means) -> None:
    former = sources.look(path if path.exists() else aside)
    with _workshop(options, former, means) as shop:
        new, _known = shop.restore("new", options["lineage"], options["binary"])
        proof = prove_database(new, means.deadline, means.tell, level="quick")
        if not proof.sound:
            raise OpsError(
                f"{options['lineage']} is restored to a damaged database: {listed(proof.integrity, 3)}; nothing was moved"
            )
        files.remove(incoming)
        shutil.copyfile(new, incoming, follow_symlinks=False)
    descriptor = os.open(incoming, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, former.mode)
        if os.geteuid() == 0:
            os.fchown(descriptor, *former.user)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if path.exists():
        files.replace(path, aside, incoming)
    else:
        files.move(path, aside)  # a killed run may have left a log behind, and the new database must not have it
        os.rename(incoming, path)


def _diff(before: str, after: str) -> dict[str, str]:
    return {"before": f"{before}\n" if before else "", "after": f"{after}\n"}
