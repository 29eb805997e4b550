# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a snapshot: open what was written, not what was meant.

Each layer finds what the others cannot: the sha256 of the manifest proves the file, integrity and foreign keys prove
the database, schema, row counts, floors and queries prove that it is the right one, ages that it is recent enough.
Damage is a finding and never an error; what could not be looked at is UNKNOWN.
"""

from __future__ import annotations

import os
import stat
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite import verify_queries
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import Header, read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import process_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import Questions, look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    PARTIAL,
    Manifest,
    read_manifest,
    schema_objects,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import CHECKS, Proof, prove
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.files import prove_archive
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify_area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify_read import (
    Late,
    NoRoom,
    Reading,
    Unreadable,
    packed,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify_scratch import (
    places,
    private_directory,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed, size

OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "floors": {"type": "dict", "default": {}},
    "queries": verify_queries.OPTIONS,
    "schema_of": {"type": "path"},
    "schema_sha256": {"type": "str"},
    "scratch": {"type": "path"},
    "level": {"type": "str", "choices": ["full", "quick"], "default": "full"},
    "thresholds": {"type": "dict", "default": {}},
}
# Clocks of two hosts differ by seconds; more is a wrong one, and would look fresh for ever.
FUTURE_SECONDS = 60.0
SCHEMA_SECONDS = 10.0
EVIDENCE = 10
# What makes no snapshot worse, only older: a restore is told, not stopped.
AGES = ("snapshot.age", "snapshot.newest")
BESIDE = ("-wal", "-journal", "-shm")


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    if not os.path.isabs(spec["path"]):
        raise OpsError(f"path is {spec['path']!r}: expected the absolute path of a snapshot or of its pointer")
    AREA.validate(spec.get("thresholds"))
    verify_queries.validate(spec.get("queries") or ())
    for table, floor in (spec.get("floors") or {}).items():
        if isinstance(floor, bool) or not str(floor).isdigit():
            raise OpsError(f"floors: {table} is {floor!r}: expected a number of rows")
    if spec.get("scratch"):
        places(spec["scratch"], Path(spec["path"]))


@dataclass
class Verdict:
    """What was found of one snapshot.

    ``path`` is the file behind the pointer, ``facts`` are those of its proof, ``header`` that of its database; empty or
    None for what could not be seen.
    """

    checks: list[Check] = field(default_factory=list)
    path: Path | None = None
    manifest: Manifest | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    header: Header | None = None
    sha256: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether everything was looked at and nothing was found."""
        return bool(self.facts) and not self.findings(ages=True)

    def findings(self, ages: bool) -> list[Check]:
        """Return what is neither OK nor skipped, with or without what is only about age."""
        bad = [check for check in self.checks if check.status not in (Status.OK, Status.SKIPPED)]
        return [check for check in bad if ages or check.id not in AGES]


def verify(
    spec: Mapping[str, Any],
    deadline: Deadline,
    tell: Tell = silent,
    stage: Path | None = None,
    manifest_needed: bool = True,
) -> Verdict:
    """Verify one snapshot.

    With ``stage`` its database is written to that new file, which stays, and that file is what is proved; otherwise a
    snapshot that is not compressed is read where it lies, and another one is unpacked to a directory that goes again.
    Raises OpsError for a wrong ``spec`` and OSError when ``stage`` cannot be written.
    """
    validate(spec)
    return _Verification(spec, deadline, tell, stage, manifest_needed).run()


class _Verification:
    def __init__(
        self, spec: Mapping[str, Any], deadline: Deadline, tell: Tell, stage: Path | None, manifest_needed: bool
    ) -> None:
        self._spec, self._deadline, self._tell, self._stage = spec, deadline, tell, stage
        self._manifest_needed = manifest_needed
        self._say = AREA.reporter(spec.get("thresholds"), source="sqlite_backup_verify")
        self._verdict = Verdict()

    def run(self) -> Verdict:
        verdict, started = self._verdict, time.monotonic()
        with ExitStack() as cleaning:
            path = self._resolve()
            if path is not None:
                verdict.path = path
                before = os.stat(path)
                self._read_manifest(path)
                if verdict.manifest and verdict.manifest.kind == "files" and not self._stage:
                    self._archive(path, verdict.manifest.entries)
                else:
                    database = self._open(path, cleaning)
                    if database is not None:
                        self._prove(database)
                self._unchanged(path, before)
                if verdict.manifest:
                    self._age(verdict.manifest)
        verdict.seconds["total"] = round(time.monotonic() - started, 3)
        for check in verdict.checks:
            check.item = check.item or self._spec["path"]
        return verdict

    def _find(self, check_id: str, status: Status, sentence: str, **rest: Any) -> None:
        self._verdict.checks.append(self._say.find(check_id, status, sentence, **rest))

    # ------------------------------------------------------------ the file

    def _resolve(self) -> Path | None:
        """Return the file itself: a pointer is followed once, and only to a file in its own directory."""
        path = Path(self._spec["path"])

        def bad(sentence: str, reason: str = "", **rest: Any) -> None:
            self._find("snapshot.file", Status.CRITICAL, sentence, reason=reason, path=str(path), **rest)

        target = path
        try:
            if path.is_symlink():
                target = path.parent / os.readlink(path)
                if target.is_symlink() or target.parent.resolve() != path.parent.resolve():
                    bad("snapshot.file_outside", target=str(target))
                    return None
                target = path.with_name(target.name)
            seen = os.lstat(target)
        except FileNotFoundError:
            if target != path:
                bad("snapshot.file_dangling", "missing", target=target.name)
                return None
            bad("snapshot.file_missing", "missing")
            return None
        except OSError as exc:
            self._find(
                "snapshot.file", Status.UNKNOWN, "snapshot.file_denied", reason="denied",
                name=path.name, error=exc.strerror,
            )  # fmt: skip
            return None
        if not stat.S_ISREG(seen.st_mode):
            bad("snapshot.file_kind")
            return None
        if target.name.endswith(PARTIAL):
            bad("snapshot.file_half", name=target.name)
            return None
        return target

    def _read_manifest(self, path: Path) -> None:
        verdict = self._verdict
        try:
            verdict.manifest = read_manifest(path)
        except OpsError as exc:
            return self._find("snapshot.manifest", Status.CRITICAL, "snapshot.manifest_bad", error=str(exc))
        if verdict.manifest:
            made = {"created": verdict.manifest.created, "source": verdict.manifest.source}
            self._find("snapshot.manifest", Status.OK, "snapshot.manifest_right", **made)
        elif self._manifest_needed:
            self._find(
                "snapshot.manifest", Status.CRITICAL, "snapshot.manifest_missing", reason="missing", name=path.name
            )
        return None

    def _archive(self, path: Path, entries: int) -> None:
        """Prove the archive of a set's other files: its hash, and that each of its entries can be read back."""
        reading = Reading(path, self._deadline, self._tell, "read")
        try:
            reading.through()
            self._hash(path, reading)
            with path.open("rb") as stream:
                prove_archive(stream.fileno(), entries)
        except Late as exc:
            self._find("snapshot.file", Status.UNKNOWN, "snapshot.file_denied", name=path.name, error=str(exc))
        except (OpsError, zlib.error) as exc:
            self._find("snapshot.file", Status.CRITICAL, "snapshot.file_archive", name=path.name, error=str(exc))
        else:
            self._verdict.facts = {"entries": entries}
            if not any(check.id == "snapshot.file" for check in self._verdict.checks):
                known = {"name": path.name, "size": size(reading.bytes), "count": entries}
                self._find("snapshot.file", Status.OK, "snapshot.file_entries", value=reading.bytes, **known)

    def _open(self, path: Path, cleaning: ExitStack) -> Path | None:
        """Read the file through and return where its database can be proved; None when there is none to prove."""
        reading = Reading(path, self._deadline, self._tell, "unpack" if packed(path) else "read")
        started = time.monotonic()
        database: Path | None = path
        try:
            if self._stage:
                database = self._stage
                self._verdict.header = reading.write(database)
            elif packed(path):
                database = self._unpack(reading, path, cleaning)
            else:
                reading.through()
                self._verdict.header = read_header(str(path))
        except Unreadable as exc:
            unseen = packed(path) or reading.bytes
            status, sentence = Status.CRITICAL, "snapshot.file_stream" if unseen else "snapshot.file_denied"
            self._find("snapshot.file", status, sentence, name=path.name, error=str(exc))
            database = None
        except NoRoom as exc:
            self._find(
                "snapshot.scratch", Status.UNKNOWN, "snapshot.scratch_full",
                place=exc.place, free=exc.free, needed=exc.needed,
            )  # fmt: skip
            database = None
        except (Late, OpsError) as exc:
            reason = "timeout" if isinstance(exc, Late) else "error"
            self._find(
                "snapshot.integrity", Status.UNKNOWN, "snapshot.integrity_unknown", reason=reason, error=str(exc)
            )
            return None
        self._verdict.seconds["unpack" if self._stage or packed(path) else "read"] = round(
            time.monotonic() - started, 3
        )
        self._hash(path, reading)
        return database if database is not None and self._file(path) else None

    def _unpack(self, reading: Reading, path: Path, cleaning: ExitStack) -> Path | None:
        refused: OSError | None = None
        candidates = places(self._spec.get("scratch") or "", path)
        for place in candidates:
            try:
                directory = cleaning.enter_context(private_directory(place))
            except OSError as exc:
                refused = refused or exc
                continue
            try:
                database = directory / "database"
                self._verdict.header = reading.write(database)
                return database
            except OSError as exc:
                refused = exc
                break
        assert refused
        self._find(
            "snapshot.scratch", Status.UNKNOWN, "snapshot.scratch_failed",
            place=str(place), error=refused.strerror or str(refused),
        )  # fmt: skip
        return None

    def _hash(self, path: Path, reading: Reading) -> None:
        verdict, manifest = self._verdict, self._verdict.manifest
        verdict.sha256 = reading.sha256
        if manifest is None or not reading.bytes:
            return
        if reading.bytes != manifest.bytes:
            seen = {"name": path.name, "seen": reading.bytes, "wanted": manifest.bytes}
            self._find("snapshot.file", Status.CRITICAL, "snapshot.file_length", **seen)
        same = reading.sha256 == manifest.sha256
        status, sentence = (Status.OK, "snapshot.sha256_right") if same else (Status.CRITICAL, "snapshot.sha256_wrong")
        self._find("snapshot.sha256", status, sentence, seen=reading.sha256, wanted=manifest.sha256)

    def _file(self, path: Path) -> bool:
        """Judge the database file by its header and by what is around it; tell whether it is worth opening."""
        verdict, header = self._verdict, self._verdict.header
        assert header is not None
        worse = any(check.id == "snapshot.file" for check in verdict.checks)

        def bad(status: Status, sentence: str, **rest: Any) -> None:
            nonlocal worse
            if not worse:
                self._find("snapshot.file", status, sentence, name=path.name, **rest)
            worse = True

        if header.size == 0:
            bad(Status.CRITICAL, "snapshot.file_empty")
            return False
        if not header.valid:
            bad(Status.CRITICAL, "snapshot.file_header")
            return False
        if not header.whole:
            bad(Status.CRITICAL, "snapshot.file_cut", seen=size(header.size), wanted=size(header.expected))
        beside = [path.name + suffix for suffix in BESIDE if os.path.lexists(str(path) + suffix)]
        if beside:
            bad(Status.WARNING, "snapshot.file_beside", names=listed(beside))
        holders = [process_name(pid) for pid in writing(path)]
        if holders:
            bad(Status.CRITICAL, "snapshot.file_used", holders=listed(holders))
        if not worse:
            made = verdict.manifest
            known = {"name": path.name, "size": size(os.stat(path).st_size), "source": made.source if made else ""}
            sentence = "snapshot.file_whole" if made else "snapshot.file_plain"
            self._find("snapshot.file", Status.OK, sentence, value=os.stat(path).st_size, **known)
        return True

    def _unchanged(self, path: Path, before: os.stat_result) -> None:
        try:
            now = os.stat(path)
            same = (now.st_ino, now.st_size, now.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
        except OSError:
            same = False
        if not same:
            self._find("snapshot.file", Status.UNKNOWN, "snapshot.file_changed", name=path.name)

    # ------------------------------------------------------------ what is in it

    def _prove(self, database: Path) -> None:
        verdict, level = self._verdict, self._spec.get("level") or "full"
        try:
            proof = prove(database, self._deadline, self._tell, level)
        except OpsError as exc:
            reason = "timeout" if self._deadline.expired else "error"
            return self._find(
                "snapshot.integrity", Status.UNKNOWN, "snapshot.integrity_unknown", reason=reason, error=str(exc)
            )
        verdict.seconds.update(proof.seconds)
        error = proof.facts.get("error", "")
        verdict.facts = {} if error else proof.facts
        self._integrity(proof, CHECKS[level], error)
        if error:
            return None
        self._foreign_keys(proof)
        self._schema(database, proof)
        self._rows(proof)
        self._newest(proof.facts["newest"])
        verdict.checks += verify_queries.judge_queries(
            self._say, database, self._spec.get("queries") or (), self._deadline
        )
        return None

    def _integrity(self, proof: Proof, check: str, error: str) -> None:
        if proof.integrity != ["ok"]:
            lines = [line for row in proof.integrity for line in row.splitlines()]
            first = next((line for line in lines if not line.startswith("***")), "?")
            self._find(
                "snapshot.integrity", Status.CRITICAL, "snapshot.integrity_bad",
                level=check, first=first, count=len(lines), evidence=lines[:EVIDENCE],
            )  # fmt: skip
        elif error:
            self._find("snapshot.integrity", Status.CRITICAL, "snapshot.integrity_unread", error=error)
        elif not proof.sound:
            self._find("snapshot.integrity", Status.CRITICAL, "snapshot.integrity_empty", level=check)
        else:
            self._find("snapshot.integrity", Status.OK, "snapshot.integrity_ok", level=check)

    def _foreign_keys(self, proof: Proof) -> None:
        evidence = proof.foreign_keys
        if proof.foreign_key_count:
            self._find(
                "snapshot.foreign_keys", Status.CRITICAL, "snapshot.foreign_keys_bad",
                count=proof.foreign_key_count, value=proof.foreign_key_count, evidence=evidence,
            )  # fmt: skip
        elif evidence:
            self._find(
                "snapshot.foreign_keys", Status.CRITICAL, "snapshot.foreign_keys_odd",
                first=evidence[0], evidence=evidence,
            )  # fmt: skip
        else:
            self._find("snapshot.foreign_keys", Status.OK, "snapshot.foreign_keys_ok", value=0)

    def _schema(self, database: Path, proof: Proof) -> None:
        """Compare the schema with that of the manifest, with the one declared and with the live database's."""
        seen, manifest, live = proof.facts["schema_sha256"], self._verdict.manifest, self._spec.get("schema_of")
        wanted = {"manifest": manifest.schema_sha256} if manifest else {}
        if self._spec.get("schema_sha256"):
            wanted["schema_sha256"] = self._spec["schema_sha256"]
        evidence: list[str] = []
        wrong = [place for place, value in wanted.items() if value != seen]
        if live:
            here = run_isolated(lambda: _objects(database), SCHEMA_SECONDS)
            there = run_isolated(lambda: _live_objects(live), SCHEMA_SECONDS)
            answers: dict[str, Any] = (
                there.value if isinstance(there.value, dict) else {"error": there.error.strip() or "no answer"}
            )
            if answers.get("error") or not isinstance(here.value, dict):
                error = answers.get("error") or here.error
                self._find(
                    "snapshot.schema", Status.UNKNOWN, "snapshot.schema_unknown", live=live, error=str(error)[-200:]
                )
                return
            wanted[live] = ""
            if here.value != answers["schema"]:
                wrong.append(live)
                evidence = _differences(here.value, dict(answers["schema"]))
        if wrong:
            self._find(
                "snapshot.schema", Status.CRITICAL, "snapshot.schema_wrong",
                seen=seen[:12], places=", ".join(wrong), evidence=evidence,
            )  # fmt: skip
        elif wanted:
            self._find("snapshot.schema", Status.OK, "snapshot.schema_right", places=", ".join(wanted))

    def _rows(self, proof: Proof) -> None:
        rows, manifest = proof.facts["rows"], self._verdict.manifest
        if manifest:
            names = sorted({*rows, *manifest.rows})
            wrong = [
                f"{name} {rows.get(name, '-')} != {manifest.rows.get(name, '-')}"
                for name in names
                if rows.get(name) != manifest.rows.get(name)
            ]
            if wrong:
                self._find(
                    "snapshot.rows", Status.CRITICAL, "snapshot.rows_wrong",
                    names=listed(wrong), value=len(wrong), evidence=wrong,
                )  # fmt: skip
            else:
                self._find("snapshot.rows", Status.OK, "snapshot.rows_right", count=len(rows), total=sum(rows.values()))
        floors = {table: int(floor) for table, floor in (self._spec.get("floors") or {}).items()}
        few = [
            f"{table} {rows.get(table, '-')} < {floor}"
            for table, floor in floors.items()
            if rows.get(table, -1) < floor
        ]
        if few:
            self._find(
                "snapshot.floors", Status.CRITICAL, "snapshot.floors_few",
                names=listed(few), value=len(few), evidence=few,
            )  # fmt: skip
        elif floors:
            self._find("snapshot.floors", Status.OK, "snapshot.floors_enough", count=len(floors), value=0)

    # ------------------------------------------------------------ how old it is

    def _age(self, manifest: Manifest) -> None:
        age = time.time() - manifest.made
        if age < -FUTURE_SECONDS:
            self._find("snapshot.age", Status.WARNING, "snapshot.age_future", created=manifest.created)
            return
        age = max(0.0, age)
        self._verdict.checks.append(self._say.measure("snapshot.age", age / 3600, "snapshot.age_is", age=duration(age)))

    def _newest(self, newest: str | None) -> None:
        """Judge how long before the snapshot its newest row was written; stamps may be of the application's own zone."""
        manifest = self._verdict.manifest
        if manifest and newest != manifest.newest:
            self._find("snapshot.rows", Status.CRITICAL, "snapshot.newest_wrong", newest=newest, wanted=manifest.newest)
        if newest is None:
            self._find("snapshot.newest", Status.SKIPPED, "snapshot.newest_none")
            return
        try:
            written = datetime.fromisoformat(newest.replace("Z", "+00:00"))
        except ValueError:
            self._find("snapshot.newest", Status.SKIPPED, "snapshot.newest_odd", newest=newest)
            return
        written = written if written.tzinfo else written.replace(tzinfo=timezone.utc)
        age = max(0.0, (manifest.made if manifest else time.time()) - written.timestamp())
        self._verdict.checks.append(
            self._say.measure("snapshot.newest", age / 3600, "snapshot.newest_is", newest=newest, age=duration(age))
        )


def writing(path: Path) -> Iterator[int]:
    """Yield the processes that have a file open for writing, of those we may look at."""
    seen = os.stat(path)
    for pid in proc.pids():
        try:
            for opened in proc.open_files(pid):
                found = os.stat(f"{proc.PROC}/{pid}/fd/{opened.fd}") if opened.target.startswith("/") else None
                if found and os.path.samestat(found, seen):
                    flags = proc.read(f"{proc.PROC}/{pid}/fdinfo/{opened.fd}").split("flags:")[1].split()[0]
                    if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
                        yield pid
                        break
        except (OSError, IndexError, ValueError):
            continue  # another user's, or gone in the meantime


def _objects(database: Path) -> dict[str, str]:
    with closing(connect(database, "ro", 0.0, "immutable=1")) as connection:
        return schema_objects(connection)


def _live_objects(live: str) -> dict[str, Any]:
    """Read the schema of a live database as its owner, leaving no trace."""
    seen = os.stat(live)
    return look(Questions(os.path.realpath(live)), (seen.st_uid, seen.st_gid))


def _differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    return [
        f"{'-' if name not in here else '+' if name not in there else '*'} {name}"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]
