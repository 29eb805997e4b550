# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the new database beside the present one, prove it there and dress it as the one it replaces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import litestream
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.attempt import Attempt
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import link, remove
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.journal import Journal, new_run_id
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.place import Place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.run import verify
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.scratch import places, private_directory
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.write_back import sync

# Offsets of the file format versions; 2 is WAL, 1 is a rollback journal (SQLite file format, section 1.3.3).
WAL_VERSIONS = (18, b"\2\2", b"\1\1")


@contextmanager
def staging(attempt: Attempt, place: Place) -> Iterator[Path]:
    """Give the name for the new database: beside the present one, or in check mode in a directory that goes again."""
    if attempt.check_mode:
        with private_directory(_room(attempt, place)) as directory:
            yield directory / "database"
        return
    others = [one.name for one in place.others]
    journal = Journal(place.path, new_run_id(), place.unit.name, place.was_up, others)
    attempt.result.run_id = journal.run_id
    attempt.journal = journal
    journal.write("staging")
    with ExitStack() as cleaning:
        cleaning.callback(lambda: journal.remove() if journal.state == "staging" else None)
        _prove_links(journal)
        yield journal.staged


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


def _room(attempt: Attempt, place: Place) -> Path:
    candidates = places(attempt.spec.get("scratch") or "", place.path)
    return next((one for one in candidates if os.access(one, os.W_OK)), candidates[0])


def write_and_prove(attempt: Attempt, place: Place, staged: Path) -> None:
    """Write the database that is in the snapshot, or the one Litestream has, and prove what was written."""
    options = {name: attempt.spec.get(name) for name in ("floors", "queries", "scratch")}
    replica = attempt.spec.get("litestream")
    source = attempt.spec.get("snapshot")
    if replica:
        source = f"the replica at {replica['timestamp']}"
        with private_directory(_room(attempt, place)) as directory:
            attempt.tell("fetch", None)
            fetched = directory / "database"
            litestream.fetch(replica, place.path, fetched, attempt.deadline)
            spec = {**options, "path": str(fetched)}
            verdict = verify(spec, attempt.deadline, attempt.tell, stage=staged, manifest_needed=False)
            for check in verdict.checks:
                check.item = str(place.path) if check.item == str(fetched) else check.item
    else:
        verdict = verify({**options, "path": source}, attempt.deadline, attempt.tell, stage=staged)
    attempt.result.verdict = verdict
    attempt.result.checks += verdict.checks
    bad = verdict.findings(ages=False)
    if bad or not verdict.facts:
        told = listed([check.summary for check in bad], 3)
        raise OpsError(
            f"{source} is not restored: {told}. Expected a snapshot that passes every check; nothing was changed and "
            "nothing stopped. Choose an older one that sqlite_backup_verify calls ok"
        )


def dress(attempt: Attempt, place: Place, staged: Path) -> None:
    """Give the new database its owner, its mode and the journal mode it had, and have it on disk."""
    uid, gid, mode = place.owner
    offset, wal, rollback = WAL_VERSIONS
    descriptor = os.open(staged, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
        if (uid, gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, uid, gid)
        os.pwrite(descriptor, wal if _wal(attempt, place) else rollback, offset)
        sync(descriptor)
    finally:
        os.close(descriptor)


def _wal(attempt: Attempt, place: Place) -> bool:
    """Tell the journal mode: as the manifest says, else as the present database has it, else WAL as the application."""
    manifest = attempt.result.verdict.manifest
    said = getattr(manifest, "journal_mode", "") if manifest else ""
    if said:
        return said == "wal"
    with suppress(OSError):
        header = read_header(str(place.path))
        if header.valid:
            return header.wal
    return True
