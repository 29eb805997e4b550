# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The export as it lies there: text first, then the manifest that proves it. One without a manifest does not count."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

SCHEMA = "ops.salvage/1"
MODE, DIRECTORY_MODE = 0o640, 0o750
PARTIAL = ".partial"
CHUNK = 1 << 20
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Shelf:
    """The directory of the exports and the names of one run; ``descriptor`` is the directory, locked."""

    def __init__(self, path: Path, run_id: str, descriptor: int) -> None:
        self.path, self.run_id, self.descriptor = path, run_id, descriptor
        self.sql = path / f"salvage-{run_id}.sql"
        self.manifest = path / f"salvage-{run_id}.json"

    @property
    def partial(self) -> Path:
        """Return what the text is called while it is not whole."""
        return self.sql.with_name(self.sql.name + PARTIAL)

    def make(self) -> int:
        """Open the text for writing, in place of one that a killed run left."""
        self.clear()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.partial, flags, MODE)
        os.fchmod(descriptor, MODE)
        return descriptor

    def clear(self) -> None:
        """Remove what is half made."""
        for path in (self.partial, self.manifest.with_name(self.manifest.name + PARTIAL)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def keep(self, data: dict[str, Any]) -> dict[str, Any]:
        """Give the text its name, then write the manifest; return it with what it says of the text."""
        whole = {
            **data,
            "sql": {"path": str(self.sql), "bytes": self.partial.stat().st_size, "sha256": sha256(self.partial)},
        }
        os.rename(self.partial, self.sql)
        os.fsync(self.descriptor)
        partial = self.manifest.with_name(self.manifest.name + PARTIAL)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
        with open(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(descriptor, MODE)
            stream.write(json.dumps(whole, indent=2, ensure_ascii=False, sort_keys=True) + "\n")
            stream.flush()
            os.fsync(descriptor)
        os.rename(partial, self.manifest)
        os.fsync(self.descriptor)
        return whole

    def read(self) -> dict[str, Any] | None:
        """Return the manifest when the export is whole; None when there is none. Raise OpsError for a damaged one."""
        for path in (self.sql, self.manifest):
            if path.is_symlink():
                raise OpsError(f"{path} is a link: expected no such name. See who made it, then remove it")
        try:
            data = json.loads(self.manifest.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise OpsError(f"{self.manifest} cannot be read: {exc}. Move it away, then salvage again") from exc
        told = data.get("sql") if isinstance(data, dict) and data.get("schema") == SCHEMA else None
        try:
            good = isinstance(told, dict) and sha256(self.sql) == told.get("sha256")
        except FileNotFoundError:
            good = False
        if not good:
            raise OpsError(
                f"{self.sql} is not what {self.manifest} says: expected the text of run {self.run_id} as it was written. "
                "Move both away, then salvage again while the database is still there"
            )
        return dict(data)


@contextlib.contextmanager
def shelf(dest: str, run_id: str, create: bool) -> Iterator[Shelf]:
    """Open the directory of the exports, alone; raise OpsError for one that others may write to, or a link."""
    if not _RUN_ID.fullmatch(run_id):
        raise OpsError(f"run_id is {run_id!r}: expected letters, digits, dots, dashes and underscores, 64 at most")
    path = Path(dest)
    if not path.is_absolute():
        raise OpsError(f"dest is {dest!r}: expected an absolute path")
    try:
        if create:
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=DIRECTORY_MODE, parents=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise OpsError(f"dest {dest} cannot be used: {exc.strerror}; expected a directory of its own, no link") from exc
    try:
        seen = os.fstat(descriptor)
        if seen.st_uid != os.geteuid() or seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OpsError(
                f"dest {dest} is {stat.filemode(seen.st_mode)} of user {seen.st_uid}: expected one only we can write to"
            )
        with locked(path, "a salvage into it"):
            yield Shelf(path, run_id, descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the sha256 of a file that is no link; raises OSError."""
    hasher = hashlib.sha256()
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()
