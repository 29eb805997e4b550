# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchange the database, put it back, and clean up behind a run that was killed in between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.copies import epoch_text, read_epoch
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote import record as records
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.place import Place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.record import Record
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.holders import COMPANIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import (
    beside,
    inode,
    put_back,
    remove,
    replace,
)

BEFORE, UNDONE = ".before-", ".undone-"
# A folder is set aside too, beside what it belongs to.
LITESTREAM = "-litestream"


class Exchange:
    """The acts on one host; ``evidence`` tells what was done."""

    def __init__(self, place: Place, epoch_file: Path) -> None:
        self.place, self.epoch_file = place, epoch_file
        self.state_dir = place.config.state_dir
        self.evidence: list[str] = []

    def swap(self, record: Record) -> None:
        """Set the present database aside with all that belongs to it, and put the staged one in its place."""
        record.write(self.state_dir)
        aside = Path(record.aside)
        self._move_litestream(self.place.litestream, beside(aside, LITESTREAM))
        replace(self.place.path, aside, Path(record.staged))
        self.evidence.append(f"{self.place.path} is transaction {record.rpo['txid'] or 'of a snapshot'}")
        if record.old:
            self.evidence.append(f"{aside} is what was there before")

    def complete(self, record: Record) -> bool:
        """Do what comes after the exchange; return whether there was something left to do."""
        changed = self._epoch(epoch_text(record.epoch))
        if record.state != records.PLACED:
            record.state, changed = records.PLACED, True
            record.write(self.state_dir)
        return changed

    def swapped(self, record: Record) -> bool:
        """Tell whether the database of that record lies under its name."""
        return inode(Path(record.path)) == record.new

    def recover(self, record: Record | None) -> Record | None:
        """Complete or undo what a killed run has left; return the record that is in force then."""
        if record is None or record.state == records.PLACED:
            return record
        if record.state == records.SWAPPING and self.swapped(record):
            self.complete(record)
            self.evidence.append(f"run {record.run_id} was interrupted after the exchange: completed")
            return record
        self.back(record)
        self.evidence.append(f"run {record.run_id} was interrupted before the exchange was done: put back")
        return None

    def back(self, record: Record) -> None:
        """Put back what was there before; may be repeated, from wherever it or the exchange was interrupted."""
        if record.state == records.PLACED:
            record.state = records.UNDOING
            record.write(self.state_dir)
        path, aside, failed = Path(record.path), Path(record.aside), Path(record.failed)
        put_back(path, aside, failed, record.old)
        kept = beside(aside, LITESTREAM)
        if record.state == records.UNDOING and (not record.litestream or os.path.lexists(kept)):
            # What Litestream has copied from the promoted database is of that one, and no use beside the former.
            self._move_litestream(self.place.litestream, beside(failed, LITESTREAM))
        self._move_litestream(kept, self.place.litestream)
        remove(Path(record.staged))
        self._epoch(record.epoch_before)
        records.remove(self.state_dir)

    @staticmethod
    def _move_litestream(source: Path, target: Path) -> None:
        if os.path.lexists(source) and not os.path.lexists(target):
            os.rename(source, target)

    def _epoch(self, wanted: str | None) -> bool:
        if read_epoch(self.epoch_file) == wanted:
            return False
        if wanted is None:
            durable.remove(self.epoch_file)
            self.evidence.append(f"{self.epoch_file} removed")
        else:
            self.epoch_file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            durable.write(self.epoch_file, wanted)
            self.evidence.append(f"{self.epoch_file} says {wanted.strip()}")
        return True

    def prune(self, record: Record, keep: int) -> list[str]:
        """Remove the oldest of what promotions have set aside; return the names. Never what this record names."""
        removed = []
        for mark, count in ((BEFORE, keep), (UNDONE, 1)):
            found = sorted(self._asides(mark), key=lambda path: os.lstat(path).st_ctime_ns)
            for path in found[: max(0, len(found) - count)]:
                if str(path) in (record.aside, record.failed):
                    continue
                for suffix in (*COMPANIONS, ""):
                    remove(beside(path, suffix))
                folder = beside(path, LITESTREAM)
                if folder.is_symlink():
                    folder.unlink()
                elif folder.is_dir():
                    shutil.rmtree(folder)
                removed.append(path.name)
        return removed

    def _asides(self, mark: str) -> Iterator[Path]:
        start = self.place.path.name + mark
        for name in os.listdir(self.place.directory):
            if name.startswith(start) and not name.endswith((*COMPANIONS, LITESTREAM)):
                yield self.place.directory / name
