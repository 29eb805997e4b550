# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup run: a set of snapshots, proved before any of them counts, and the old ones thinned out after that.

Nothing that is there is touched before the new set lies on the disk, proved: not the pointer, not the oldest backup. An
end at any moment leaves the old state, or the new set complete, and half-made files which the next run removes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.standby import SERVING_OPTIONS, left_to
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.shifts import zone
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import size_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import SUFFIX, write_manifest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import CHECKS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot import judge, shelf
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.compress import available
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.dest import Destination, destination
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.engines import ENGINES
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.files import total_bytes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.make import (
    Database,
    Made,
    make_archive,
    make_database,
    manifest_of,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.names import (
    DATABASE,
    FILES,
    SUFFIXES,
    free_stamp,
    pointer_name,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.retention import (
    Decision,
    Kept,
    checked,
    decide,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import OPTIONS as TARGET_OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import Target, find_target

# Options of the module, but for its deadline and its progress.
OPTIONS: dict[str, dict[str, Any]] = {
    **TARGET_OPTIONS,
    **SERVING_OPTIONS,
    "dest": {"type": "path", "required": True},
    "create_dest": {"type": "bool", "default": False},
    "databases": {"type": "list", "elements": "path", "default": []},
    "files": {"type": "list", "elements": "path", "default": []},
    "engine": {"type": "str", "choices": list(ENGINES), "default": "auto"},
    "compress": {"type": "str", "choices": list(SUFFIXES), "default": "none"},
    "verify": {"type": "str", "choices": list(CHECKS), "default": "full"},
    "pointer": {"type": "str", "default": ""},
    "keep": {"type": "dict", "default": {}},
    "timezone": {"type": "str", "default": "Asia/Shanghai"},
    "floors": {"type": "dict", "default": {}},
    "thresholds": {"type": "dict", "default": {}},
}


@dataclass
class Job:
    """What a run is about: the databases by stem, the first of them is the one the set belongs to."""

    options: Mapping[str, Any]
    targets: dict[str, Target]
    pointers: dict[str, str]
    keep: dict[str, int]
    now: datetime

    @property
    def first(self) -> Target:
        """The database the set belongs to."""
        return next(iter(self.targets.values()))

    @property
    def sources(self) -> set[str]:
        """What manifests of earlier backups call it."""
        return {self.first.path, self.first.real}

    @property
    def created(self) -> str:
        """When this run began, as manifests have it."""
        moment = self.now.astimezone(timezone.utc)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


@dataclass
class Result:
    """What a run did; ``failed`` says why the set is not complete, empty when it is.

    ``standby_of`` is the host that the backup was left to, since it serves and this one is fenced.
    """

    snapshots: list[dict[str, Any]] = field(default_factory=list)
    archive: dict[str, Any] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    failed: str = ""
    standby_of: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what the module returns, as plain JSON data."""
        return {
            "snapshot": self.snapshots[0] if self.snapshots else {}, "snapshots": self.snapshots, "archive": self.archive,
            "rejected": self.rejected, "removed": self.removed, "cleaned": self.cleaned,
            "standby_of": self.standby_of,
            "checks": [check.as_dict() for check in self.checks],
            "diff": {side: "".join(f"{name}\n" for name in getattr(self, side)) for side in ("before", "after")},
        }  # fmt: skip


def run(options: Mapping[str, Any], deadline: Deadline, tell: Tell, check_mode: bool, now: datetime) -> Result:
    """Make a set of snapshots, or plan it in check mode; raise OpsError when that cannot be begun or ended."""
    primary = left_to(options)
    if primary:
        # Root could read the database that is shut here: it ended with the switch, and its copy would look good.
        left = judge.left_out(judge.reporter(options["thresholds"]), options["path"], primary)
        return Result(checks=[left], standby_of=primary)
    job = prepare(options, now)
    with contextlib.ExitStack() as stack:
        for directory in sorted({os.path.dirname(target.real) for target in job.targets.values()}):
            stack.enter_context(locked(directory, "a backup of it", shared=True))
        create = options["create_dest"]
        if check_mode and create and not os.path.lexists(options["dest"]):
            return _planned_from_nothing(job)
        dest = stack.enter_context(destination(options["dest"], job.first.user, create))
        _not_beside(dest, job)
        try:
            stack.enter_context(locked(f"{dest.place('')}/.", "a backup into it"))
            return _plan(dest, job) if check_mode else _act(dest, job, deadline, tell)
        except OpsError as exc:
            raise OpsError(dest.said(str(exc))) from exc


def prepare(options: Mapping[str, Any], now: datetime) -> Job:
    """Prove what is to be backed up, and refuse what cannot be meant."""
    keep = checked(options["keep"])
    zone(options["timezone"])
    judge.reporter(options["thresholds"])
    available(options["compress"])
    for path in options["files"]:
        if not os.path.isabs(path) or os.path.normpath(path) != path.rstrip("/") or path == "/":
            raise OpsError(f"files: {path!r}: expected an absolute path without .., below /")
    if options["pointer"] and (os.path.basename(options["pointer"]) != options["pointer"]):
        raise OpsError(f"pointer is {options['pointer']!r}: expected a name in dest")
    for table, floor in options["floors"].items():
        if isinstance(floor, bool) or not isinstance(floor, int) or floor < 0:
            raise OpsError(f"floors: {table} is {floor!r}: expected a number of rows")
    targets: dict[str, Target] = {}
    first = find_target(options)
    for target in [first, *(find_target({"path": path}) for path in options["databases"])]:
        if any(os.path.samestat(target.seen, other.seen) for other in targets.values()):
            raise OpsError(f"databases: {target.path} is in the set twice")
        targets[_stem(target, targets)] = target
    pointers = {stem: pointer_name(stem, options["compress"]) for stem in targets}
    if options["pointer"]:
        pointers[next(iter(targets))] = options["pointer"]
    return Job(options, targets, pointers, keep, now)


def _stem(target: Target, taken: Mapping[str, Any]) -> str:
    """Name a database in the set; two of one name in different directories are told apart by those."""
    directory, name = os.path.split(target.real)
    stem = os.path.splitext(name)[0] or name
    while stem in taken:
        directory, parent = os.path.split(directory)
        stem = f"{parent or 'root'}-{stem}"
    return stem


def _not_beside(dest: Destination, job: Job) -> None:
    here = os.fstat(dest.descriptor)
    for target in job.targets.values():
        if os.path.samestat(here, os.stat(os.path.dirname(target.real))):
            raise OpsError(
                f"{dest.path} is the directory of {target.path}: expected another one, on another disk if there is one"
            )


def _needed(job: Job) -> int:
    """Return the bytes a run may need at its height: a compressed copy lies beside the plain one for a while."""
    copies = 1 if job.options["compress"] == "none" else 2
    databases = sum(size_of(one.real) + size_of(one.real + "-wal") for one in job.targets.values())
    return databases * copies + total_bytes(job.options["files"])


def _check_pointers(dest: Destination, job: Job) -> None:
    for pointer in job.pointers.values():
        seen = dest.stat(pointer)
        if seen is not None and not stat.S_ISLNK(seen.st_mode):
            raise OpsError(
                f"{dest.path}/{pointer} is a file of its own: expected a link, which the backup moves to its newest "
                "snapshot. Move it away"
            )


def _names(job: Job, stamp: str) -> list[str]:
    """Return what the snapshots of a run are called."""
    suffix = DATABASE + SUFFIXES[job.options["compress"]]
    names = [f"{stem}_{stamp}{suffix}" for stem in job.targets]
    return names + [f"{next(iter(job.targets))}_{stamp}{FILES}"] * bool(job.options["files"])


def _planned_from_nothing(job: Job) -> Result:
    stamp = free_stamp(job.targets, job.now, [])
    return Result(snapshots=_planned(job, stamp), after=sorted([*_names(job, stamp), *job.pointers.values()]))


def _planned(job: Job, stamp: str) -> list[dict[str, Any]]:
    dest = job.options["dest"].rstrip("/")
    return [
        {"path": f"{dest}/{name}", "database": target.path, "pointer": f"{dest}/{job.pointers[stem]}"}
        for name, (stem, target) in zip(_names(job, stamp), job.targets.items())
    ]


def _plan(dest: Destination, job: Job) -> Result:
    """Say what a run would do."""
    before = dest.names()
    cleaned = shelf.leftovers(dest, job.targets, job.pointers.values())
    dest.room(_needed(job), f"a copy of {job.first.path}")
    _check_pointers(dest, job)
    stamp = free_stamp(job.targets, job.now, before)
    sets = shelf.survey(dest, job.sources)
    decision = _decide([*(one.kept for one in sets.values()), Kept(stamp, job.now.timestamp())], job, stamp)
    decision = _spared(dest, job, sets, decision)
    gone = [name for key in decision.remove for name in sets[key].manifests]
    names = _names(job, stamp)
    after = {*before, *names, *(name + SUFFIX for name in names), *job.pointers.values()}
    after -= {*cleaned, *gone, *(name + SUFFIX for name in gone)}
    return Result(_planned(job, stamp), removed=gone, cleaned=cleaned, before=before, after=sorted(after))


def _decide(sets: list[Kept], job: Job, made: str) -> Decision:
    return decide(sets, job.keep, zone(job.options["timezone"]), job.now.timestamp(), made)


def _spared(dest: Destination, job: Job, sets: Mapping[str, shelf.Set], decision: Decision) -> Decision:
    """Return the decision without the removal of what a link that is none of this run's names."""
    ours = {*job.pointers.values(), *(pointer_name(stem, method) for stem in job.targets for method in SUFFIXES)}
    held = shelf.pointed_at(dest, sets, ours)
    kept = {key: ["pointer"] for key in decision.remove if key in held}
    return replace(decision, keep={**decision.keep, **kept}, remove=[key for key in decision.remove if key not in held])


def _act(dest: Destination, job: Job, deadline: Deadline, tell: Tell) -> Result:
    say = judge.reporter(job.options["thresholds"])
    result = Result(before=dest.names())
    result.cleaned = shelf.leftovers(dest, job.targets, job.pointers.values())
    for name in result.cleaned:
        dest.remove(name)
    result.checks.append(judge.interrupted(say, dest.path, result.cleaned))
    dest.room(_needed(job), f"a copy of {job.first.path}")
    _check_pointers(dest, job)
    stamp = free_stamp(job.targets, job.now, dest.names())
    good: list[Made] = []
    with _half_made_removed(dest, job, stamp):
        for stem, target in job.targets.items():
            made = make_database(dest, target, stem, stamp, job.options, deadline, tell)
            floors = job.options["floors"] if target is job.first else {}
            checks, fault = judge.database(say, made, floors)
            result.checks += checks
            if fault:
                # SQLite opens by path: a copy in a directory that was taken away is found bad, and proves nothing.
                dest.same()
                result.rejected.append(f"{dest.path}/{shelf.reject(dest, stem, made.partial, made.name)}")
                result.failed = (
                    result.failed or f"{target.path}: {fault}. Kept as {result.rejected[-1]}; no backup was touched"
                )
            else:
                good.append(made)
        if job.options["files"]:
            leave = [*(target.real for target in job.targets.values()), job.options["dest"]]
            made_files = make_archive(dest, next(iter(job.targets)), stamp, job.options["files"], leave, deadline, tell)
            good.append(made_files)
            result.checks.append(judge.files(say, made_files, dest.path))
        made_set = f"{stamp}-{os.urandom(3).hex()}"
        _commit(dest, job, made_set, good, result)
    _retain(dest, job, made_set, say, result)
    if good:
        result.checks.append(judge.space(say, dest.path, dest.free(), sum(made.facts["bytes"] for made in good)))
    result.after = dest.names()
    dest.same()
    return result


@contextlib.contextmanager
def _half_made_removed(dest: Destination, job: Job, stamp: str) -> Iterator[None]:
    """Remove what a run that fails has half-made; the next run does it for one that is killed."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for name in shelf.leftovers(dest, job.targets, job.pointers.values()):
                if f"_{stamp}." in name:
                    dest.remove(name)
        raise


def _commit(dest: Destination, job: Job, made_set: str, good: list[Made], result: Result) -> None:
    """Give the members their names: manifests first, so that a snapshot never lies there without one."""
    dest.same()
    together = {
        "set": made_set, "members": [made.name for made in good], "complete": not result.failed,
    }  # fmt: skip
    for made in good:
        source = made.target.path if isinstance(made, Database) else job.first.path
        manifest = manifest_of(made, source, job.created, together)
        write_manifest(dest.place(made.name), manifest, dest.give)
    dest.sync()
    for made in good:
        if dest.stat(made.name) is not None:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), made.name)
        dest.rename(made.partial, made.name)
    dest.sync()
    for made in good:
        if isinstance(made, Database):
            dest.link(job.pointers[made.stem], made.name)
            _drop_other_pointers(dest, job, made.stem)
            result.snapshots.append(_snapshot(dest, job, made))
        else:
            result.archive = _described(dest, made)
    dest.sync()


def _drop_other_pointers(dest: Destination, job: Job, stem: str) -> None:
    """Remove the pointer to the last snapshot that was compressed in another way: it would grow old unnoticed."""
    for method in SUFFIXES:
        other = pointer_name(stem, method)
        seen = dest.stat(other)
        if other not in job.pointers.values() and seen is not None and stat.S_ISLNK(seen.st_mode):
            dest.remove(other)


def _described(dest: Destination, made: Made) -> dict[str, Any]:
    path = f"{dest.path}/{made.name}"
    return {
        "path": path, "manifest": path + SUFFIX, "sha256": made.facts["sha256"], "bytes": made.facts["bytes"],
        "seconds": {**made.seconds, "total": round(sum(made.seconds.values()), 3)},
    }  # fmt: skip


def _snapshot(dest: Destination, job: Job, made: Database) -> dict[str, Any]:
    facts = made.facts
    return {
        **_described(dest, made), "database": made.target.path, "created": job.created,
        "database_bytes": facts["database_bytes"], "engine": facts["engine"], "journal_mode": facts["journal_mode"],
        "compress": facts.get("compress", "none"), "rows": facts["rows"],
        "pointer": f"{dest.path}/{job.pointers[made.stem]}",
    }  # fmt: skip


def _retain(dest: Destination, job: Job, made_set: str, say: Reporter, result: Result) -> None:
    """Thin out the old sets, but only after a complete new one."""
    if result.failed:
        result.checks.append(judge.retention_held(say, dest.path))
        return
    sets = shelf.survey(dest, job.sources)
    decision = _spared(dest, job, sets, _decide([one.kept for one in sets.values()], job, made_set))
    for key in decision.remove:
        names = sorted(sets[key].manifests)
        shelf.remove(dest, names)
        result.removed += names
    result.checks.append(judge.retention(say, dest.path, decision))
