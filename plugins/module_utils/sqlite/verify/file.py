# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a snapshot: which one it is, what its manifest says of it, and whether it is a whole database."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import Header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import process_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import PARTIAL, read_manifest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.case import Case
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.read import Reading
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size

BESIDE = ("-wal", "-journal", "-shm")


def resolve(case: Case) -> Path | None:
    """Return the file itself: a pointer is followed once, and only to a file in its own directory."""
    path = Path(case.spec["path"])

    def bad(sentence: str, reason: str = "", **rest: Any) -> None:
        case.find("snapshot.file", Status.CRITICAL, sentence, reason=reason, path=str(path), **rest)

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
        if case.verdict.standby_of:  # a host that never served has made none
            case.find(
                "snapshot.file",
                Status.SKIPPED,
                "snapshot.file_standby",
                path=str(path),
                primary=case.verdict.standby_of,
            )
            return None
        bad("snapshot.file_missing", "missing")
        return None
    except OSError as exc:
        case.find(
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


def judge_manifest(case: Case, path: Path, needed: bool) -> None:
    """Read the manifest of a snapshot; that there is none is only a finding where one is needed."""
    verdict = case.verdict
    try:
        verdict.manifest = read_manifest(path)
    except OpsError as exc:
        return case.find("snapshot.manifest", Status.CRITICAL, "snapshot.manifest_bad", error=str(exc))
    if verdict.manifest:
        made = {"created": verdict.manifest.created, "source": verdict.manifest.source}
        case.find("snapshot.manifest", Status.OK, "snapshot.manifest_right", **made)
    elif needed:
        case.find("snapshot.manifest", Status.CRITICAL, "snapshot.manifest_missing", reason="missing", name=path.name)
    return None


def judge_hash(case: Case, path: Path, reading: Reading) -> None:
    """Compare the length and the hash of the file as it was read with those of the manifest."""
    verdict, manifest = case.verdict, case.verdict.manifest
    verdict.sha256 = reading.sha256
    if manifest is None or not reading.bytes:
        return
    if reading.bytes != manifest.bytes:
        seen = {"name": path.name, "seen": reading.bytes, "wanted": manifest.bytes}
        case.find("snapshot.file", Status.CRITICAL, "snapshot.file_length", **seen)
    same = reading.sha256 == manifest.sha256
    status, sentence = (Status.OK, "snapshot.sha256_right") if same else (Status.CRITICAL, "snapshot.sha256_wrong")
    case.find("snapshot.sha256", status, sentence, seen=reading.sha256, wanted=manifest.sha256)


def judge_file(case: Case, path: Path, header: Header) -> bool:
    """Judge the database file by its header and by what is around it; tell whether it is worth opening."""
    verdict = case.verdict
    worse = any(check.id == "snapshot.file" for check in verdict.checks)

    def bad(status: Status, sentence: str, **rest: Any) -> None:
        nonlocal worse
        if not worse:
            case.find("snapshot.file", status, sentence, name=path.name, **rest)
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
        case.find("snapshot.file", Status.OK, sentence, value=os.stat(path).st_size, **known)
    return True


def judge_unchanged(case: Case, path: Path, before: os.stat_result) -> None:
    """Tell when the file is not what it was when the verification began."""
    try:
        now = os.stat(path)
        same = (now.st_ino, now.st_size, now.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    except OSError:
        same = False
    if not same:
        case.find("snapshot.file", Status.UNKNOWN, "snapshot.file_changed", name=path.name)


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
