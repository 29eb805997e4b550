# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exchange of a promotion, ended before each single thing it does to the disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote import record as records
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.exchange import Exchange
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.place import Place
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.record import Record
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.files import inode, inodes

# What changes names and files on a disk, of everything that the exchange calls.
ACTS = ("rename", "replace", "link", "unlink", "write", "rmdir")
OLD, NEW = {"old", "and its log"}, {"new"}


class Killed(BaseException):
    pass


@contextmanager
def ended_after(acts: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let so many acts on the disk happen, and none after them."""
    left = acts

    def act(real: Callable[..., Any], *words: Any, **more: Any) -> Any:
        nonlocal left
        if left <= 0:
            raise Killed
        left -= 1
        return real(*words, **more)

    with monkeypatch.context() as patch:
        for name in ACTS:
            patch.setattr(os, name, partial(act, getattr(os, name)))
        yield


class Standby:
    """A standby at the moment of the exchange: an old database, perhaps with a log, and a staged one."""

    def __init__(self, top: Path, log: bool, litestream: bool, empty: bool) -> None:
        self.storage, self.state = top / "storage", top / "state"
        for folder in (self.storage, self.state):
            folder.mkdir(parents=True)
        self.path = self.storage / "learning.db"
        self.epoch_file = top / "epoch"
        if not empty:
            self.epoch_file.write_text("REPLICATION_EPOCH=0007\n")
            self._make_old(log)
        if litestream:
            (self.storage / ".learning.db-litestream").mkdir()
            (self.storage / ".learning.db-litestream" / "ltx").write_text("of the old")
        staged = self.storage / ".learning.db.promote-run-1"
        with closing(sqlite3.connect(staged)) as connection:
            connection.execute("CREATE TABLE t (x)")
            connection.execute("INSERT INTO t VALUES ('new')")
            connection.commit()
        self.record = Record(
            "run-1", records.SWAPPING, str(self.path), inode(staged) or 0, inodes(self.path),
            f"{self.path}.before-run-1", str(staged), f"{self.path}.undone-run-1", litestream, 8,
            None if empty else "REPLICATION_EPOCH=0007\n", "replica", {"txid": "2a"},
        )  # fmt: skip
        self.before = self.look()

    def _make_old(self, log: bool) -> None:
        """Make a database whose second row is only in the log, as a killed application leaves it."""
        made = self.storage / "made.db"
        with closing(sqlite3.connect(made, isolation_level=None)) as connection:
            if log:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("CREATE TABLE t (x)")
            connection.execute("INSERT INTO t VALUES ('old'), ('and its log')")
            for suffix in ("", "-wal", "-shm"):
                if Path(f"{made}{suffix}").exists():
                    shutil.copy(f"{made}{suffix}", f"{self.path}{suffix}")
        made.unlink()

    def exchange(self) -> Exchange:
        place = Place(self.path, Config("tutor2", database=str(self.path), state_dir=self.state), 0, 0, 0o640)
        return Exchange(place, self.epoch_file)

    def look(self) -> dict[str, str]:
        """Return what there is, but for the index of a log, which whoever opens it makes anew."""
        found = {}
        for path in sorted(self.storage.rglob("*")):
            if path.is_file() and not path.name.endswith("-shm"):
                found[str(path.relative_to(self.storage))] = path.read_bytes().hex()
        return {**found, "epoch": self.epoch_file.read_text() if self.epoch_file.exists() else ""}

    def rows(self, name: str = "learning.db") -> set[str]:
        """Open a copy of a database with what lies beside it, as an application would find it."""
        copy = self.storage.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for suffix in ("", "-wal"):
            if (self.storage / f"{name}{suffix}").exists():
                shutil.copy(self.storage / f"{name}{suffix}", copy / f"x.db{suffix}")
        if not (copy / "x.db").exists():
            return set()
        with closing(sqlite3.connect(copy / "x.db")) as connection:
            return {one for (one,) in connection.execute("SELECT x FROM t")}

    def whole(self) -> None:
        """Assert that the name has the old set or the new database, or for a moment nothing; never a mixture."""
        former = OLD if self.record.old else set()
        seen = self.rows()
        assert seen in (former, NEW, set()), seen
        assert seen != NEW or not (self.storage / "learning.db-wal").exists()
        assert seen == former or self.rows("learning.db.before-run-1") == former, "the old one is nowhere"

    def recovered(self) -> str:
        """Recover as the next call does; assert that it left one of both states, and nothing else; return which."""
        self.whole()
        exchange = self.exchange()
        record = exchange.recover(records.read(self.state))
        if record is None:
            staged = {Path(self.record.staged).name} & {path.name for path in self.storage.iterdir()}
            for name in staged:  # it was killed before it had told of it: the next run sweeps
                (self.storage / name).unlink()
            expected = {name: held for name, held in self.before.items() if name != Path(self.record.staged).name}
            now = self.look()
            assert {n: h for n, h in now.items() if ".undone-" not in n} == expected
            return "old"
        assert self.rows() == NEW and record.state == records.PLACED
        assert self.epoch_file.read_text() == "REPLICATION_EPOCH=0008\n"
        assert not {"learning.db-wal", "learning.db-shm", ".learning.db-litestream"} & {
            path.name for path in self.storage.iterdir()
        }
        return "new"


SHAPES = [
    pytest.param({"log": log, "litestream": litestream, "empty": empty}, id=f"{log=} {litestream=} {empty=}")
    for log, litestream, empty in (
        (False, False, False), (True, False, False), (False, True, False), (True, True, False), (False, False, True),
    )
]  # fmt: skip


def ends(tmp_path: Path, shape: dict[str, bool], work: Callable[[Standby], None], monkeypatch: Any) -> list[str]:
    """Do work on a fresh standby, ended after 0, 1, 2 ... acts, until it is not ended any more; return what was left."""
    left: list[str] = []
    for acts in range(200):
        standby = Standby(tmp_path / str(acts), **shape)
        try:
            with ended_after(acts, monkeypatch):
                work(standby)
        except Killed:
            left.append(standby.recovered())
            continue
        return left
    raise AssertionError("it never ended")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_exchange_ended_anywhere(shape: dict[str, bool], tmp_path: Path, monkeypatch: Any) -> None:
    def work(standby: Standby) -> None:
        exchange = standby.exchange()
        exchange.swap(standby.record)
        exchange.complete(standby.record)

    left = ends(tmp_path, shape, work, monkeypatch)
    assert len(left) >= 6 and set(left) == {"old", "new"}, left
    assert left == sorted(left, reverse=True), "once it is new it stays new"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_way_back_ended_anywhere(shape: dict[str, bool], tmp_path: Path, monkeypatch: Any) -> None:
    def prepare(standby: Standby) -> None:
        exchange = standby.exchange()
        exchange.swap(standby.record)
        exchange.complete(standby.record)
        (standby.storage / ".learning.db-litestream").mkdir()
        (standby.storage / ".learning.db-litestream" / "ltx").write_text("of the new")

    def work(standby: Standby) -> None:
        record = records.read(standby.state)
        assert record
        standby.exchange().back(record)

    placed, left = 0, []
    for acts in range(200):
        standby = Standby(tmp_path / str(acts), **shape)
        prepare(standby)
        try:
            with ended_after(acts, monkeypatch):
                work(standby)
        except Killed:
            record = records.read(standby.state)
            if record and record.state == records.PLACED:
                placed += 1
                continue
            left.append(standby.recovered())
            continue
        left.append(standby.recovered())
        break
    assert 0 < placed <= 4 and len(left) >= 4 and set(left) == {"old"}, (placed, left)


@pytest.mark.parametrize("shape", SHAPES)
def test_recovering_ended_anywhere(shape: dict[str, bool], tmp_path: Path, monkeypatch: Any) -> None:
    """A second kill, while what the first one has left is put right."""
    for first in range(2, 20, 2):
        for second in range(0, 14, 3):
            standby = Standby(tmp_path / f"{first}-{second}", **shape)
            try:
                with ended_after(first, monkeypatch):
                    exchange = standby.exchange()
                    exchange.swap(standby.record)
                    exchange.complete(standby.record)
                break
            except Killed:
                pass
            with suppress(Killed), ended_after(second, monkeypatch):
                standby.exchange().recover(records.read(standby.state))
            standby.recovered()


def test_a_record_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    (tmp_path / records.NAME).write_text('{"run_id": "x"}')
    with pytest.raises(Exception, match="put the right one under the name"):
        records.read(tmp_path)
