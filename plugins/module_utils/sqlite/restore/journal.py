# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore has done so far, written down before each step, so that the next run can finish what a killed one began.

The file lies beside the database. All names follow from the run's id, so that nobody who may write to the directory can
make a later run of root move anything else.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import (
    Inodes,
    beside,
    remove,
    sync,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name

SCHEMA = "ops.restore/1"
# In the order in which a restore goes through them.
STATES = ("staging", "stopping", "swapping", "proved")
MAX_BYTES = 1 << 16
_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


def new_run_id() -> str:
    """Return the id of a run: when, and which of those in the same second."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


@dataclass
class Journal:
    """One restore of the database ``path``; ``old`` is the set that was there before it was replaced.

    ``others`` are units that were stopped besides the service.
    """

    path: Path
    run_id: str
    service: str = ""
    was_active: bool = False
    others: list[str] = field(default_factory=list)
    state: str = "staging"
    old: Inodes = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.path.with_name(f".{self.path.name}.restore.json")

    @property
    def staged(self) -> Path:
        """Where the snapshot is written before anything is replaced."""
        return beside(self.path, f".restore-{self.run_id}.partial")

    @property
    def aside(self) -> Path:
        """Where the former database goes."""
        return beside(self.path, f".before-restore-{self.run_id}")

    @property
    def failed(self) -> Path:
        """Where a restored database goes that did not serve."""
        return beside(self.path, f".failed-restore-{self.run_id}")

    def write(self, state: str) -> None:
        """Write down what comes next; on disk when it returns. Raises OpsError, and the state is what it was."""
        data = {"schema": SCHEMA, **asdict(self), "path": str(self.path), "state": state}
        partial = beside(self.file, ".partial")
        try:
            remove(partial)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as stream:
                json.dump(data, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(partial, self.file)
            sync(self.file.parent)
        except OSError as exc:
            with suppress(OSError):
                remove(partial)
            raise OpsError(
                f"{self.file} cannot be written: {exc.strerror}; expected a directory that can be written and has room, "
                "since a restore keeps its journal beside the database"
            ) from exc
        self.state = state

    def remove(self) -> None:
        """End the restore: nothing is left for a later run to do."""
        for path in (self.staged, beside(self.file, ".partial"), self.file):
            remove(path)
        sync(self.file.parent)

    @classmethod
    def read(cls, path: Path) -> Journal | None:
        """Return the journal of an interrupted restore, None when there is none; raise OpsError for what is none."""
        file = cls(path, "").file
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise OpsError(f"{file}, the journal of a restore, cannot be read: {exc.strerror}") from exc
        with open(descriptor, "rb") as stream:
            seen = os.fstat(descriptor)
            data = stream.read(MAX_BYTES) if stat.S_ISREG(seen.st_mode) else b""
        try:
            if seen.st_uid not in (0, os.geteuid()):
                raise ValueError(f"it belongs to uid {seen.st_uid}")
            return cls._from(path, json.loads(data))
        except (ValueError, KeyError, TypeError, OpsError) as exc:
            raise OpsError(
                f"{file} is there and is not the journal of a restore of {path} ({exc}): nothing was changed. If "
                f"{path.name}.before-restore-* is the database that is wanted, stop the service and rename it, with its "
                f"-wal, to {path.name}; then remove {file.name}"
            ) from exc

    @classmethod
    def _from(cls, path: Path, data: dict[str, Any]) -> Journal:
        if data["schema"] != SCHEMA or not _RUN_ID.fullmatch(data["run_id"]) or data["state"] not in STATES:
            raise ValueError("unknown content")
        old = {str(suffix): int(number) for suffix, number in data["old"].items()}
        others = [unit_name(name) for name in data["others"]]
        return cls(path, data["run_id"], str(data["service"]), bool(data["was_active"]), others, data["state"], old)
