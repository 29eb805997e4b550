# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a snapshot through and lay its database where it can be proved."""

from __future__ import annotations

import time
import zlib
from contextlib import ExitStack
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.files import prove_archive
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.case import Case
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.file import judge_file, judge_hash
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.read import (
    Late,
    NoRoom,
    Reading,
    Unreadable,
    packed,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.scratch import places, private_directory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size


def lay_out(case: Case, path: Path, stage: Path | None, cleaning: ExitStack) -> Path | None:
    """Read the file through and return where its database can be proved; None when there is none to prove."""
    reading = Reading(path, case.deadline, case.tell, "unpack" if packed(path) else "read")
    started = time.monotonic()
    database: Path | None = path
    try:
        if stage:
            database = stage
            case.verdict.header = reading.write(database)
        elif packed(path):
            database = _unpack(case, reading, path, cleaning)
        else:
            reading.through()
            case.verdict.header = read_header(str(path))
    except Unreadable as exc:
        unseen = packed(path) or reading.bytes
        status, sentence = Status.CRITICAL, "snapshot.file_stream" if unseen else "snapshot.file_denied"
        case.find("snapshot.file", status, sentence, name=path.name, error=str(exc))
        database = None
    except NoRoom as exc:
        case.find(
            "snapshot.scratch", Status.UNKNOWN, "snapshot.scratch_full",
            place=exc.place, free=exc.free, needed=exc.needed,
        )  # fmt: skip
        database = None
    except (Late, OpsError) as exc:
        reason = "timeout" if isinstance(exc, Late) else "error"
        case.find("snapshot.integrity", Status.UNKNOWN, "snapshot.integrity_unknown", reason=reason, error=str(exc))
        return None
    case.verdict.seconds["unpack" if stage or packed(path) else "read"] = round(time.monotonic() - started, 3)
    judge_hash(case, path, reading)
    header = case.verdict.header
    return database if database and header and judge_file(case, path, header) else None


def _unpack(case: Case, reading: Reading, path: Path, cleaning: ExitStack) -> Path | None:
    refused = OSError("no place for it")
    candidates = places(case.spec.get("scratch") or "", path)
    for place in candidates:
        try:
            directory = cleaning.enter_context(private_directory(place))
        except OSError as exc:
            refused = refused if refused.errno else exc
            continue
        try:
            database = directory / "database"
            case.verdict.header = reading.write(database)
            return database
        except OSError as exc:
            refused = exc
            break
    case.find(
        "snapshot.scratch", Status.UNKNOWN, "snapshot.scratch_failed",
        place=str(place), error=refused.strerror or str(refused),
    )  # fmt: skip
    return None


def prove_entries(case: Case, path: Path, entries: int) -> None:
    """Prove the archive of a set's other files: its hash, and that each of its entries can be read back."""
    reading = Reading(path, case.deadline, case.tell, "read")
    try:
        reading.through()
        judge_hash(case, path, reading)
        with path.open("rb") as stream:
            prove_archive(stream.fileno(), entries)
    except Late as exc:
        case.find("snapshot.file", Status.UNKNOWN, "snapshot.file_denied", name=path.name, error=str(exc))
    except (OpsError, zlib.error) as exc:
        case.find("snapshot.file", Status.CRITICAL, "snapshot.file_archive", name=path.name, error=str(exc))
    else:
        case.verdict.facts = {"entries": entries}
        if not any(check.id == "snapshot.file" for check in case.verdict.checks):
            known = {"name": path.name, "size": size(reading.bytes), "count": entries}
            case.find("snapshot.file", Status.OK, "snapshot.file_entries", value=reading.bytes, **known)
