# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a proved snapshot of the database to the standby: what replaces replication where Litestream is not wanted.

Run by a timer as the owner of the database, from a copy of this package without Ansible. A snapshot is copied in one step
of SQLite's own backup (in several it never ends while somebody writes), checked as a whole, described by a manifest and
sent by SFTP as the user that may do nothing else; it gets its name there before its manifest does, and without one it is
none. Only the newest few stay there, none here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import sftp
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.connect import connect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    PARTIAL,
    SUFFIX,
    describe,
    manifest_path,
    write_manifest,
)

# What was sent last, for the probe; beside the snapshot that is being made.
SENT = "sent.json"
FAR = "/data/snapshots"  # as the user sees it who is shut in there
STAMP = "%Y%m%dT%H%M%SZ"
BUSY_SECONDS = 5.0
_NAME = re.compile(r"^(?P<stem>.+)_\d{8}T\d{6}Z\.db$")


def snapshot(database: Path, place: Path, now: datetime) -> Path:
    """Copy the database, check the copy and describe it; raise OpsError when it is not good."""
    for left in place.glob(f"{database.stem}_*"):
        left.unlink()  # of a run that was killed
    made = place / f"{database.stem}_{now.strftime(STAMP)}.db"
    partial = made.with_name(made.name + PARTIAL)
    try:
        with closing(connect(database, "ro", BUSY_SECONDS)) as live, closing(sqlite3.connect(partial)) as copy:
            live.backup(copy, pages=-1)
            # As a file of its own; without this the one who opens it would need to write beside it.
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()
            found = [str(row[0]) for row in copy.execute("PRAGMA integrity_check")]
    except sqlite3.Error as exc:
        raise OpsError(f"{database} cannot be copied: {exc}") from exc
    if found != ["ok"]:
        raise OpsError(f"the copy of {database} is damaged: {found[0]}; expected ok. Nothing was sent")
    os.chmod(partial, 0o600)
    partial.rename(made)
    told = describe(made, made, str(database), now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if not told.rows:
        raise OpsError(f"{database} has no table: expected the application's database. Nothing was sent")
    whole = replace(
        told,
        engine="backup",
        journal_mode="wal",
        database_sha256=told.sha256,
        database_bytes=told.bytes,
        verified="full",
    )
    write_manifest(made, whole)
    return made


class Far:
    """The standby, asked by sftp."""

    def __init__(self, host: str, port: int, user: str, etc: Path, seconds: float, directory: str = FAR) -> None:
        self._command = sftp.command(host, user, port, str(etc / "key"), str(etc / "known_hosts"))
        self._end = time.monotonic() + seconds
        self._directory = directory

    def do(self, *lines: str) -> str:
        """Do a few things; raise OpsError when one of them fails, unless it begins with a dash."""
        done = run(self._command, max(1.0, self._end - time.monotonic()), stdin="".join(f"{line}\n" for line in lines))
        if done.rc != 0:
            raise OpsError(f"{self._command[-1]}: {done.complaint}. Expected the standby of the role replication")
        return done.stdout

    def send(self, made: Path, keep: int) -> list[str]:
        """Send a snapshot, then its manifest, then remove the oldest; return what is there."""
        there, manifest = f"{self._directory}/{made.name}", manifest_path(made)
        self.do(
            f"-mkdir {_quoted(self._directory)}",
            f"put -f {_quoted(str(made))} {_quoted(there + PARTIAL)}",
            f"rename {_quoted(there + PARTIAL)} {_quoted(there)}",
            f"put -f {_quoted(str(manifest))} {_quoted(there + SUFFIX + PARTIAL)}",
            f"rename {_quoted(there + SUFFIX + PARTIAL)} {_quoted(there + SUFFIX)}",
        )
        listed = [line.strip().rpartition("/")[2] for line in self.do(f"ls -1 {_quoted(self._directory)}").splitlines()]
        stem = made.name.rpartition("_")[0]
        whole = sorted(one for one in listed if _stem(one) == stem and one + SUFFIX in listed)
        gone = [one for one in listed if one.startswith(f"{stem}_") and one.endswith(PARTIAL)]
        for name in whole[: max(0, len(whole) - keep)]:
            gone += [name + SUFFIX, name]  # the manifest first: what has none is none
        if gone:
            self.do(*(f"-rm {_quoted(f'{self._directory}/{name}')}" for name in gone))
        return whole[-keep:]


def _stem(name: str) -> str:
    found = _NAME.match(name)
    return found["stem"] if found else ""


def _quoted(path: str) -> str:
    """Return a path as sftp reads it."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ship(database: Path, place: Path, far: Far, keep: int) -> str:
    """Make a snapshot and send it; return its name."""
    now = datetime.now(timezone.utc)
    made = snapshot(Path(os.path.realpath(database)), place, now)
    far.send(made, keep)
    new = place / f".{SENT}.new"
    new.write_text(
        json.dumps({"name": made.name, "created": now.timestamp(), "sent": time.time()}) + "\n", encoding="utf-8"
    )
    new.chmod(0o644)
    new.rename(place / SENT)
    for path in (manifest_path(made), made):
        path.unlink()
    return made.name


def main(words: Sequence[str]) -> int:
    """Run it once; return the exit status."""
    parser = argparse.ArgumentParser(prog="ship", description=__doc__.splitlines()[0])
    for name in ("database", "place", "host", "user", "etc"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, default=22)
    parser.add_argument("--keep", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1500.0)
    told = parser.parse_args(words)
    far = Far(told.host, told.port, told.user, Path(told.etc), told.seconds)
    try:
        name = ship(Path(told.database), Path(told.place), far, max(1, told.keep))
    except (OpsError, OSError) as exc:
        sys.stderr.write(f"no snapshot was sent: {exc}\n")
        return 1
    sys.stdout.write(f"sent {name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
