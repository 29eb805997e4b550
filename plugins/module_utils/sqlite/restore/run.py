# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a snapshot: prove it, stop the service, set the present database aside, put the snapshot in its place, start.

What does not end well is undone: the former database serves again, and the restore fails. What is killed is finished by
the next run, from the journal. The snapshot is written beside the database and proved there while the service still runs,
so that the service is down for two renames only.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.accounts import user_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import litestream
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.compare import Comparison, compare
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import (
    inode,
    inodes,
    link,
    put_back,
    remove,
    replace,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.journal import Journal, new_run_id
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.service import (
    Unit,
    count_rows,
    health_endpoint,
    prove_free,
    wait_served,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import usage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import queries
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.run import verify
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.scratch import (
    places,
    private_directory,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.verdict import Verdict
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed

OPTIONS: dict[str, dict[str, Any]] = {
    "snapshot": {"type": "path"},
    "litestream": litestream.OPTIONS,
    "path": {"type": "path", "required": True},
    "service": {"type": "str", "default": ""},
    "stop_also": {"type": "list", "elements": "str", "default": []},
    "pidfile": {"type": "path"},
    "confirm": {"type": "str", "default": ""},
    "host": {"type": "str", "default": ""},
    "floors": {"type": "dict", "default": {}},
    "queries": queries.OPTIONS,
    "shrinking": {"type": "list", "elements": "str", "default": []},
    "health_url": {"type": "str", "default": ""},
    "settle": {"type": "float", "default": 30.0},
    "scratch": {"type": "path"},
}
# What a database gets that replaces none.
MODE = 0o640
# Offsets of the file format versions; 2 is WAL, 1 is a rollback journal (SQLite file format, section 1.3.3).
WAL_VERSIONS = (18, b"\2\2", b"\1\1")
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class RestoreFailed(OpsError):
    """The restore did not take place; ``result`` is what there is to tell besides."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


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


@dataclass
class Run:
    """What one run has come to."""

    changed: bool = False
    run_id: str = ""
    previous_path: str = ""
    failed_path: str = ""
    undone: bool = False
    checks: list[Check] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    rows: Comparison = field(default_factory=Comparison)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        tables = sorted({*self.rows.before, *self.rows.after})
        return {
            "changed": self.changed,
            "run_id": self.run_id,
            "previous_path": self.previous_path,
            "failed_path": self.failed_path,
            "undone": self.undone,
            "checks": [check.as_dict() for check in self.checks],
            "steps": self.steps,
            "manifest": self.verdict.manifest.as_dict() if self.verdict.manifest else {},
            "rows": {
                name: {"before": self.rows.before.get(name), "after": self.rows.after.get(name)} for name in tables
            },
        }

    def diff(self, path: str) -> dict[str, str]:
        """Return the rows of each table before and after."""

        def lines(rows: Mapping[str, int]) -> str:
            return "".join(f"{name} {count}\n" for name, count in sorted(rows.items()))

        after = self.rows.after if self.changed else self.rows.before
        return {"before_header": path, "after_header": path, "before": lines(self.rows.before), "after": lines(after)}


def restore(spec: Mapping[str, Any], deadline: Deadline, tell: Tell = silent, check_mode: bool = False) -> Run:
    """Restore a snapshot, or plan it; raise RestoreFailed or another OpsError when it did not take place."""
    return _Restore(spec, deadline, tell, check_mode).run()


class _Restore:
    def __init__(self, spec: Mapping[str, Any], deadline: Deadline, tell: Tell, check_mode: bool) -> None:
        self._spec, self._deadline, self._tell, self._check_mode = spec, deadline, tell, check_mode
        self._say = AREA.reporter(source="sqlite_restore")
        self._health = health_endpoint(spec.get("health_url") or "")
        self._result = Run()

    def run(self) -> Run:
        if bool(self._spec.get("snapshot")) == bool(self._spec.get("litestream")):
            raise OpsError("expected either a snapshot or litestream, to know what to restore")
        if self._spec.get("litestream"):
            litestream.moment(self._spec["litestream"]["timestamp"])
        place = find_place(self._spec)
        self._confirmed(place)
        try:
            with locked(place.path.parent, f"a restore of {place.path}"):
                self._recover(place)
                self._refuse_pidfile()
                with self._staging(place) as staged:
                    self._restore(place, staged)
        except RestoreFailed:
            raise
        except OpsError as exc:
            raise RestoreFailed(str(exc), self._result.as_dict()) from exc
        except OSError as exc:
            raise RestoreFailed(
                f"{exc.filename or place.path.parent}: {exc.strerror or exc}; {self._standing(place)}",
                self._result.as_dict(),
            ) from exc
        return self._result

    def _standing(self, place: Place) -> str:
        left = Journal(place.path, "").file
        return f"the next run finishes what is left ({left})" if left.exists() else f"{place.path} is as it was"

    def _confirmed(self, place: Place) -> None:
        """A restore replaces data, so its caller names the host that he means."""
        host = self._spec.get("host") or socket.gethostname()
        if (place.seen or place.unit.name) and self._spec.get("confirm") != host:
            raise OpsError(
                f"confirm is {self._spec.get('confirm') or ''!r}: expected {host!r}, the name of the host whose database is "
                f"replaced ({place.path})"
            )

    def _refuse_pidfile(self) -> None:
        """Without a unit nobody here can stop an application, so that it has to be down."""
        pidfile = self._spec.get("pidfile")
        if not pidfile or self._spec.get("service"):
            return
        with suppress(OSError, ValueError, IndexError):
            pid = int(Path(pidfile).read_text(encoding="ascii").split()[0])
            if proc.process(pid):
                raise OpsError(
                    f"{pidfile} names {pid} [{proc.cmdline(pid)[:80]}], which runs: expected it to be stopped"
                )

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Note a step and how long it took; one that raised is not noted."""
        self._tell(name, None)
        begin = time.monotonic()
        yield
        self._result.steps.append({"step": name, "seconds": round(time.monotonic() - begin, 3)})

    # ------------------------------------------------------------ before anything is touched

    def _recover(self, place: Place) -> None:
        """Finish what an interrupted run left; in check mode only tell."""
        journal = Journal.read(place.path)
        if journal is None:
            return
        sentences = {"staging": "clean", "stopping": "clean", "swapping": "old", "proved": "new"}
        sentence = f"restore.recovered_{sentences[journal.state]}"
        self._result.checks.append(
            self._say.find("restore.recovered", Status.WARNING, sentence, item=str(place.path), run=journal.run_id)
        )
        self._result.changed = True
        if self._check_mode:
            return
        if journal.service and journal.service != place.unit.name:
            raise OpsError(
                f"run {journal.run_id} was interrupted and left {journal.service} stopped: expected service "
                f"{journal.service}, to finish what it began"
            )
        with self._step("recover"):
            if journal.state == "swapping":
                for one in (place.unit, *place.others):
                    if one.up:
                        one.stop()
                prove_free(place.path)
                put_back(place.path, journal.aside, journal.failed, journal.old)
            if journal.state in ("stopping", "swapping") and journal.was_active and not place.unit.up:
                place.unit.start()
            for name in journal.others:
                Unit(name).start()
            journal.remove()
            found = find_place(self._spec)
            place.seen, place.was_up, place.others = found.seen, found.was_up, found.others

    @contextmanager
    def _staging(self, place: Place) -> Iterator[Path]:
        """Give the name for the new database: beside the present one, or in check mode in a directory that goes again."""
        if self._check_mode:
            with private_directory(self._room(place)) as directory:
                yield directory / "database"
            return
        others = [one.name for one in place.others]
        journal = Journal(place.path, new_run_id(), place.unit.name, place.was_up, others)
        self._result.run_id = journal.run_id
        self._journal = journal
        journal.write("staging")
        with ExitStack() as cleaning:
            cleaning.callback(lambda: journal.remove() if journal.state == "staging" else None)
            _prove_links(journal)
            yield journal.staged

    def _room(self, place: Place) -> Path:
        candidates = places(self._spec.get("scratch") or "", place.path)
        return next((one for one in candidates if os.access(one, os.W_OK)), candidates[0])

    def _restore(self, place: Place, staged: Path) -> None:
        result = self._result
        with self._step("verify"):
            self._verify(place, staged)
        with self._step("compare"):
            result.rows = self._compare(place, staged)
            result.checks.append(self._loss(place, result))
        if result.rows.same and self._in_service(place):
            return  # what is there is what the snapshot holds
        result.changed = True
        if self._check_mode:
            if place.was_up:
                told = {"item": place.unit.name, "service": place.unit.name}
                result.checks.append(self._say.find("restore.restart", Status.WARNING, "restore.restart_will", **told))
            result.steps += [{"step": name, "seconds": 0.0} for name in self._plan(place)]
            return
        with self._step("stage"):
            self._dress(place, staged)
        self._exchange(place)

    def _plan(self, place: Place) -> list[str]:
        down = ["stop", "prove_free"] if place.unit.name or place.others else ["prove_free"]
        return ["stage", *down, "replace", "serve" if place.unit.name else "prove"]

    def _verify(self, place: Place, staged: Path) -> None:
        """Write the database that is in the snapshot, or the one Litestream has, and prove what was written."""
        options = {name: self._spec.get(name) for name in ("floors", "queries", "scratch")}
        replica = self._spec.get("litestream")
        source = self._spec.get("snapshot")
        if replica:
            source = f"the replica at {replica['timestamp']}"
            with private_directory(self._room(place)) as directory:
                self._tell("fetch", None)
                fetched = directory / "database"
                litestream.fetch(replica, place.path, fetched, self._deadline)
                spec = {**options, "path": str(fetched)}
                verdict = verify(spec, self._deadline, self._tell, stage=staged, manifest_needed=False)
                for check in verdict.checks:
                    check.item = str(place.path) if check.item == str(fetched) else check.item
        else:
            verdict = verify({**options, "path": source}, self._deadline, self._tell, stage=staged)
        self._result.verdict = verdict
        self._result.checks += verdict.checks
        bad = verdict.findings(ages=False)
        if bad or not verdict.facts:
            told = listed([check.summary for check in bad], 3)
            raise OpsError(
                f"{source} is not restored: {told}. Expected a snapshot that passes every check; nothing was changed and "
                "nothing stopped. Choose an older one that sqlite_backup_verify calls ok"
            )

    def _made(self) -> float | None:
        """Return the moment from which what is restored is, in seconds since 1970."""
        if self._spec.get("litestream"):
            return litestream.moment(self._spec["litestream"]["timestamp"])
        manifest = self._result.verdict.manifest
        return manifest.made if manifest else None

    def _compare(self, place: Place, staged: Path) -> Comparison:
        if not place.seen or not place.seen.st_size:
            return Comparison(after=dict(self._result.verdict.facts["rows"]))
        found = compare(place.path, staged, self._deadline)
        found.after = found.after or dict(self._result.verdict.facts["rows"])
        return found

    def _loss(self, place: Place, result: Run) -> Check:
        made, rows = self._made(), result.rows
        known = {"age": duration(time.time() - made if made else None), "item": str(place.path)}
        if not place.seen:
            return self._say.find("restore.loss", Status.OK, "restore.loss_new", **known)
        if rows.error:
            return self._say.find("restore.loss", Status.OK, "restore.loss_unknown", error=rows.error, **known)
        lost = {name: count - rows.after.get(name, 0) for name, count in rows.before.items()}
        names = [f"{name} {count}" for name, count in sorted(lost.items()) if count > 0]
        sentence = "restore.loss_is" if names else "restore.loss_none"
        total = sum(count for count in lost.values() if count > 0)
        return self._say.find("restore.loss", Status.OK, sentence, names=listed(names), value=total, **known)

    def _in_service(self, place: Place) -> bool:
        """Tell whether the service, if there is one, has the present database open."""
        return not place.unit.name or bool(usage(os.stat(place.path), place.unit.pids()).by)

    def _dress(self, place: Place, staged: Path) -> None:
        """Give the new database its owner, its mode and the journal mode it had, and have it on disk."""
        uid, gid, mode = place.owner
        offset, wal, rollback = WAL_VERSIONS
        descriptor = os.open(staged, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode)
            if (uid, gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, uid, gid)
            os.pwrite(descriptor, wal if self._wal(place) else rollback, offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _wal(self, place: Place) -> bool:
        """Tell the journal mode: as the manifest says, else as the present database has it, else WAL as the application."""
        manifest = self._result.verdict.manifest
        said = getattr(manifest, "journal_mode", "") if manifest else ""
        if said:
            return said == "wal"
        with suppress(OSError):
            header = read_header(str(place.path))
            if header.valid:
                return header.wal
        return True

    # ------------------------------------------------------------ the exchange

    def _exchange(self, place: Place) -> None:
        journal, result = self._journal, self._result
        try:
            if place.unit.name or place.others:
                journal.write("stopping")
                with self._step("stop"):
                    self._stop(place)
            with self._step("prove_free"):
                prove_free(place.path)
            journal.old = inodes(place.path)
            journal.write("swapping")
            with self._step("replace"):
                replace(place.path, journal.aside, journal.staged)
            with self._step("serve" if place.unit.name else "prove"):
                result.checks.append(self._serve(place))
            _to_the_end()
            journal.write("proved")
        except BaseException as exc:  # noqa: BLE001 - whatever it was, half a restore must not stay
            _to_the_end()
            self._undo(place, exc)
        result.previous_path = str(journal.aside) if inodes(journal.aside) else ""
        result.checks += self._start_others(place)
        journal.remove()

    def _start_others(self, place: Place) -> Iterator[Check]:
        """Start what was stopped besides the service; that one does not start is no reason to undo what serves."""
        for one in place.others:
            try:
                one.start()
            except OpsError as exc:
                yield self._say.find(
                    "restore.others", Status.CRITICAL, "restore.others_not", item=one.name, error=str(exc)
                )
            else:
                yield self._say.find("restore.others", Status.OK, "restore.others_up", item=one.name)

    def _stop(self, place: Place) -> None:
        triggers = place.unit.triggers()
        if triggers:
            raise OpsError(
                f"{listed(triggers)} would start {place.unit.name} again while it has to be down: expected them to be stopped"
            )
        if place.was_up:
            place.unit.stop()
        for one in place.others:
            one.stop()

    def _serve(self, place: Place) -> Check:
        """Start the service and prove that it serves the new database."""
        rows = {
            name: count
            for name, count in self._result.verdict.facts["rows"].items()
            if name not in self._spec.get("shrinking", ())
        }
        known: dict[str, Any] = {"name": place.path.name, "count": len(rows), "item": str(place.path)}
        if place.unit.name:
            place.unit.start()
            wait_served(place.unit, place.path, self._health, self._spec.get("settle", 30.0))
        count_rows(place.path, rows)
        sentence = "restore.served_yes" if place.unit.name else "restore.served_alone"
        return self._say.find("restore.served", Status.OK, sentence, service=place.unit.name, **known)

    def _undo(self, place: Place, why: BaseException) -> None:
        """Put the former database back and let it serve; always raises RestoreFailed."""
        journal, result = self._journal, self._result
        told = str(why) or type(why).__name__
        if not isinstance(why, (OpsError, OSError)):
            told = f"ended by {told}"
        item = str(place.path)
        moved = journal.state == "swapping"
        if moved:
            result.checks.append(
                self._say.find("restore.served", Status.CRITICAL, "restore.served_not", item=item, error=told)
            )
        try:
            with self._step("undo"):
                if moved:
                    if place.unit.up:
                        place.unit.stop()
                    prove_free(place.path)
                    put_back(place.path, journal.aside, journal.failed, journal.old)
                if place.was_up and not place.unit.up:
                    place.unit.start()
                if place.was_up:
                    wait_served(place.unit, place.path, None, self._spec.get("settle", 30.0))
                result.checks += self._start_others(place)
                journal.remove()
        except (OpsError, OSError) as exc:
            result.changed = True
            result.previous_path = str(journal.aside) if inodes(journal.aside) else ""
            result.checks.append(
                self._say.find("restore.undone", Status.CRITICAL, "restore.undone_badly", item=item, error=str(exc))
            )
            raise RestoreFailed(
                f"the restore of {place.path} failed ({told}) and could not be undone: {exc}. {self._by_hand(place)}",
                result.as_dict(),
            ) from why
        result.undone, result.changed = moved, False
        result.failed_path = str(journal.failed) if inodes(journal.failed) else ""
        if moved:
            result.checks.append(
                self._say.find(
                    "restore.undone", Status.CRITICAL, "restore.undone_well", item=item, name=place.path.name
                )
            )
        after = "The former database is back" if moved else "Nothing was replaced"
        serving = f" and {place.unit.name} serves it" if place.was_up else ""
        raise RestoreFailed(f"the restore of {place.path} failed: {told}. {after}{serving}", result.as_dict()) from why

    def _by_hand(self, place: Place) -> str:
        journal = self._journal
        if inode(journal.aside) is None:
            return f"{place.path} is the former database; start {place.unit.name or 'its application'}"
        return (
            f"By hand: stop {place.unit.name or 'the application'}, move {place.path.name}* away, rename {journal.aside.name} "
            f"(and its -wal) to {place.path.name}, remove {journal.file.name}, start it"
        )


def _to_the_end() -> None:
    """From here on no signal ends this run: neither the undoing that one began, nor what is left of a proved restore."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)


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


def _prove_links(journal: Journal) -> None:
    """Raise OpsError where a file cannot have two names: the former database could not be kept whole at every moment."""
    try:
        link(journal.file, journal.staged)
    except OSError as exc:
        raise OpsError(
            f"{journal.path.parent} is on a file system without hard links ({exc.strerror}): expected one that has them, "
            "such as ext4 or xfs"
        ) from exc
    finally:
        remove(journal.staged)
