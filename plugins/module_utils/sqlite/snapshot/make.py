# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make one member of a set: copy, prove, compress; half-made until the whole set is named."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, Outcome, bound, gather
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell, silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import PARTIAL, Manifest, sha256
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import NICE, Proof, prove
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.compress import (
    compress,
    unpacked_sha256,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.dest import Destination
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.engines import Copied, copy
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.files import pack, prove_archive
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.names import DATABASE, SUFFIXES
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import Target
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.write_back import sync


@dataclass
class Made:
    """One finished member: its bytes lie in ``partial`` until it gets ``name``."""

    name: str
    partial: str
    facts: dict[str, Any]
    seconds: dict[str, float]


@dataclass
class Database(Made):
    """A copy of a database with its proof."""

    target: Target
    stem: str
    proof: Proof = field(default_factory=lambda: Proof([], [], 0, {}))


def make_database(
    dest: Destination, target: Target, stem: str, stamp: str, options: Mapping[str, Any], deadline: Deadline, tell: Tell
) -> Database:
    """Copy one live database and prove the copy; raise OpsError or OSError when that cannot be done.

    The fsync, the hash and the compression run beside the proof: the integrity check is bound to one core. So the hash is
    that of the very file that is proved, and the copy need not wait for it.
    """
    method, level = options["compress"], options["verify"]
    plain = f"{stem}_{stamp}{DATABASE}"
    name = plain + SUFFIXES[method]
    made = Database(name, name + PARTIAL, {}, {}, target, stem)
    with ExitStack() as stack:
        out = dest.make(plain + PARTIAL)
        stack.callback(os.close, out)
        begin = time.monotonic()
        copied = copy(target, options["engine"], out, str(dest.place(plain + PARTIAL)), deadline, tell)
        made.seconds["copy"] = round(time.monotonic() - begin, 3)
        work: list[Callable[[], Any]] = [lambda: _synced(out), lambda: _hashed(dest.place(plain + PARTIAL))]
        if method != "none":
            packed = dest.make(made.partial)
            stack.callback(os.close, packed)
            told = tell if level == "none" else silent
            work[0] = lambda: {**compress(out, packed, method, told), "synced": _synced(packed)}
        made.proof, answers = _beside(work, lambda: prove(dest.place(plain + PARTIAL), deadline, tell, level), deadline)
        known = answers[1]
        made.facts = _facts(made.proof, copied, known, os.fstat(out).st_size, level)
        if method != "none":
            made.facts.update(compress=method, sha256=answers[0]["sha256"], bytes=answers[0]["bytes"])
            if level != "none":
                _read_back(packed, method, known, deadline)
        made.seconds["verify"] = round(time.monotonic() - begin - made.seconds["copy"], 3)
        if method != "none" and made.proof.integrity in (["ok"], []):
            dest.remove(plain + PARTIAL, out)
        elif method != "none":
            # What is not good is looked at as it is.
            dest.remove(made.partial, packed)
            made.partial, made.name = plain + PARTIAL, plain
    return made


def make_archive(
    dest: Destination, stem: str, stamp: str, paths: list[str], leave: list[str], deadline: Deadline, tell: Tell
) -> Made:
    """Pack the other files of the set and read the archive back."""
    name = f"{stem}_{stamp}.tar.gz"
    made = Made(name, name + PARTIAL, {}, {})
    begin = time.monotonic()
    out = dest.make(made.partial)
    try:
        outcome = gather(
            [Child(bound(lambda: {**pack(paths, leave, out, tell), "synced": _synced(out)}), deadline.remaining())]
        )
        made.facts = _answer(outcome[0], "packing the files")
        entries = made.facts["entries"]
        outcome = gather([Child(bound(lambda: prove_archive(out, entries)), deadline.remaining())])
        _answer(outcome[0], "reading the archive back")
    finally:
        os.close(out)
    made.seconds["copy"] = round(time.monotonic() - begin, 3)
    return made


def manifest_of(made: Made, source: str, created: str, together: Mapping[str, Any]) -> Manifest:
    """Return the manifest of a member; ``together`` is what it shares with its set."""
    shared = {"source": source, "created": created, "tools": _tools(), **together}
    facts = made.facts
    if not isinstance(made, Database):
        return Manifest(
            sha256=facts["sha256"], bytes=facts["bytes"], page_size=0, user_version=0, schema_sha256="", rows={},
            kind="files", compress="gzip", entries=facts["entries"], verified="full", **shared,
        )  # fmt: skip
    return Manifest(**facts, **shared)


def _facts(proof: Proof, copied: Copied, digest: str, size: int, level: str) -> dict[str, Any]:
    """Return what the manifest of an uncompressed database says."""
    inside = {
        key: proof.facts.get(key, 0)
        for key in ("page_size", "user_version", "application_id", "schema_sha256", "rows", "newest")
    }
    return {
        **inside, "sha256": digest, "bytes": size, "database_sha256": digest, "database_bytes": size,
        "engine": copied.engine, "journal_mode": copied.journal_mode, "verified": level,
        "foreign_keys": proof.foreign_key_count,
    }  # fmt: skip


def _tools() -> dict[str, str]:
    return {"sqlite": sqlite3.sqlite_version, "python": platform.python_version()}


def _synced(descriptor: int) -> bool:
    sync(descriptor)
    return True


def _hashed(path: Path) -> str:
    """Hash behind the application, as all of the proof."""
    os.nice(NICE)
    return sha256(path)


def _beside(work: list[Callable[[], Any]], proof: Callable[[], Proof], deadline: Deadline) -> tuple[Proof, list[Any]]:
    """Run functions in children while the proof runs here."""
    children = [Child(bound(one), deadline.remaining()) for one in work]
    try:
        proved = proof()
    except BaseException:
        for child in children:
            child.finish(True)
        raise
    return proved, [_answer(outcome, "bringing the copy to the disk") for outcome in gather(children)]


def _read_back(packed: int, method: str, digest: str, deadline: Deadline) -> None:
    outcome = gather([Child(bound(lambda: unpacked_sha256(packed, method)), deadline.remaining())])[0]
    seen = _answer(outcome, "reading the compressed copy back")
    if seen != digest:
        raise OpsError(
            f"the compressed copy unpacks to sha256 {seen[:12]}: expected {digest[:12]}. Memory or disk is failing; see dmesg"
        )


def _answer(outcome: Outcome, what: str) -> Any:
    if outcome.timed_out:
        raise OpsError(f"{what} has not ended within {outcome.seconds:.0f} s; nothing was made. Raise the deadline")
    if outcome.error:
        last = outcome.error.strip().splitlines()[-1]
        text = last.partition(": ")[2] or last
        if "No space left" in text or "quota" in text.lower():
            raise OSError(28, "No space left on device")
        raise OpsError(f"{what} failed: {text}")
    return outcome.value
