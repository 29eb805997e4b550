# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not promoted: each refusal leaves the standby as it was, to the byte."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pair import AS_ROOT, EPOCH, LITESTREAM, Pair, begin, call, end, wait

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import grant
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import ltx


class Ready:
    """A pair at the moment of the promotion: the primary is quiesced, the standby fenced with an old database."""

    def __init__(self, pair: Pair, writer: subprocess.Popen[str] | None = None) -> None:
        self.pair, self.standby = pair, pair.standby
        self.standby.make(3)
        writer = writer or pair.write(60)
        self.handed_on = pair.quiesced()
        pair.last_words(writer)
        self.replica = self.standby.replica()
        self.standby.fence()

    def promote(self, state: str = "placed", **more: Any) -> dict[str, Any]:
        return call("ops_promote", **self.standby.promoting(state, **{**self.handed_on, **more}))

    def tree(self) -> dict[str, Any]:
        """Return all files of the standby but the replica's, with inode, content, owner and mode."""
        found = {}
        for path in sorted(self.standby.top.rglob("*")):
            if self.standby.home not in path.parents and not path.is_dir():
                seen = path.lstat()
                content = os.readlink(path) if path.is_symlink() else path.read_bytes()
                found[str(path)] = (seen.st_ino, content, seen.st_uid, seen.st_mode)
        return found

    def refused(self, why: str, **more: Any) -> dict[str, Any]:
        """Promote; assert that it is refused for that reason and nothing is changed; return the result."""
        before = self.tree()
        result = self.promote(**more)
        assert result.get("failed") and not result.get("changed"), result
        assert why in result["msg"], result["msg"]
        assert self.tree() == before
        return result


@pytest.fixture
def ready(pair: Pair) -> Ready:
    return Ready(pair)


def test_a_replica_with_a_gap(ready: Ready) -> None:
    names = ltx.copied(str(ready.replica))
    for level in range(9):
        for path in (ready.replica / "ltx" / str(level)).glob(f"*-{names[-3].last:016x}.ltx"):
            path.unlink()
    ready.refused("files are missing in between")
    ready.refused("files are missing in between", txid=None, digest=None)


def test_a_replica_without_a_beginning(ready: Ready) -> None:
    for name in ltx.names(str(ready.replica)):
        if name.first == 1 or name.level == ltx.WHOLE:
            (ready.replica / name.path).unlink()
    ready.refused("no whole database to begin with", txid=None, digest=None)


@pytest.mark.parametrize("where", ["the newest file", "the whole database"])
def test_a_damaged_replica(ready: Ready, where: str) -> None:
    """One byte in the middle of one file."""
    names = ltx.names(str(ready.replica))
    if where == "the newest file":
        chosen = max(names, key=lambda one: (one.last, -one.level))
    else:
        chosen = max((one for one in names if one.level == ltx.WHOLE), key=lambda one: one.last)
    path = ready.replica / chosen.path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))
    ready.refused("cannot restore")


def test_rows_lost_in_the_middle(ready: Ready, tmp_path: Path) -> None:
    """Litestream restores such a replica with status 0, and SQLite calls it ok."""
    database = tmp_path / "lossy.db"
    command = [str(LITESTREAM), "restore", "-o", str(database), f"file://{ready.replica}"]
    subprocess.run(command, check=True, capture_output=True)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        assert connection.execute("DELETE FROM answers WHERE id BETWEEN 501 AND 503").rowcount == 3
        shutil.rmtree(ready.replica)
        once = [str(LITESTREAM), "replicate", "-once", str(database), f"file://{ready.replica}"]
        subprocess.run(once, check=True, capture_output=True)
    answers = ready.handed_on["digest"]["tables"]["answers"][0]
    result = ready.refused(f"answers: {answers - 3} rows, expected {answers}", txid=None)
    assert "Nothing was changed" in result["msg"]
    rows_only = {name: ready.handed_on["digest"][name] for name in ("schema", "tables")}
    ready.refused(f"answers: {answers - 3} rows", txid=None, digest=rows_only)
    file_only = {"file": ready.handed_on["digest"]["file"]}
    ready.refused("the file", txid=None, digest=file_only)
    assert ready.promote(txid=None, digest=None)["changed"], "without a digest nobody could tell"


def test_a_transaction_that_has_not_arrived(ready: Ready) -> None:
    ahead = f"{int(ready.handed_on['txid'], 16) + 1:016x}"
    begin_at = time.monotonic()
    assert ready.refused(f"expected {ahead}", txid=ahead, arrive=0.5)["steps"] == []
    assert time.monotonic() - begin_at < 30
    ready.refused("16 hexadecimal digits", txid="seven")


def test_a_digest_that_is_none(ready: Ready) -> None:
    ready.refused("what ops_quiesce returned", digest={"file": {"sha256": "x"}})
    ready.refused("what ops_quiesce returned", digest={"nothing": 1})


def test_no_replica_of_that_epoch(ready: Ready) -> None:
    ready.refused("received from the other host", epoch_from=EPOCH - 1)
    shutil.rmtree(ready.replica)
    ready.refused(f"no replica below epoch {EPOCH + 1}")


def test_a_host_that_may_serve(ready: Ready) -> None:
    grant.write(ready.standby.run_dir, EPOCH, "run-0")
    ready.refused("it is granted epoch 7")
    (ready.standby.run_dir / grant.NAME).unlink()
    with closing(sqlite3.connect(ready.standby.path)) as connection:
        connection.execute("SELECT count(*) FROM answers").fetchone()
        result = ready.promote()
        assert result["failed"] and "is open in" in result["msg"]


def test_a_name_of_a_run_that_is_a_path(ready: Ready) -> None:
    ready.refused("expected letters", run_id="../x")


def test_links_are_not_followed(ready: Ready, tmp_path: Path) -> None:
    """A link in the place of the database, of its log, and of the directory Litestream keeps beside it."""
    target = tmp_path / "passwd"
    target.write_text("root")
    storage, path = ready.standby.storage, ready.standby.path
    link = storage / "link.db"
    link.symlink_to(target)
    if AS_ROOT:
        os.chown(link, 64001, 64001, follow_symlinks=False)
        os.chown(tmp_path, 64003, 64003)
        ready.refused("is a link of", path=str(link))
        os.chown(tmp_path, 0, 0)
    link.unlink()
    (storage / "learning.db-wal").symlink_to(target)
    (storage / ".learning.db-litestream").symlink_to(tmp_path)
    placed = ready.promote()
    assert placed["changed"], placed
    assert not path.is_symlink() and target.read_text() == "root" and target.stat().st_nlink == 1
    assert ready.standby.names() == {
        "learning.db", "learning.db.before-run-1", "learning.db.before-run-1-wal", "learning.db.before-run-1-litestream",
    }  # fmt: skip
    for number in range(2, 5):
        assert ready.promote(run_id=f"run-{number}", epoch=EPOCH + number)["changed"]
    assert "learning.db.before-run-1-litestream" not in ready.standby.names()
    assert target.read_text() == "root" and tmp_path.is_dir(), "the links went, not what they led to"


def test_a_log_never_survives_beside_another_database(ready: Ready) -> None:
    """The old database was killed with a log that waits; it goes aside with it, whole, and comes back with it."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA wal_autocheckpoint = 0'); c.execute('DELETE FROM users'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(ready.standby.path)], check=False)
    log = ready.standby.storage / "learning.db-wal"
    assert log.stat().st_size > 0
    content = log.read_bytes()
    placed = ready.promote()
    aside = Path(placed["set_aside"])
    assert {name for name in ready.standby.names() if not name.startswith(aside.name)} == {"learning.db"}
    assert ready.standby.path.read_bytes() == ready.pair.primary.path.read_bytes()
    assert aside.with_name(aside.name + "-wal").read_bytes() == content
    assert ready.promote("undone")["changed"]
    assert log.read_bytes() == content
    with closing(sqlite3.connect(ready.standby.path)) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_only_so_many_are_kept(ready: Ready) -> None:
    removed = []
    for number in range(1, 6):
        placed = ready.promote(run_id=f"run-{number}", epoch=EPOCH + number)
        assert placed["changed"], placed
        removed += placed["removed"]
    kept = {name for name in ready.standby.names() if ".before-" in name}
    assert kept == {"learning.db.before-run-4", "learning.db.before-run-5"}
    assert removed == [f"learning.db.before-run-{number}" for number in (1, 2, 3)]


def test_owner_and_mode_are_kept(ready: Ready) -> None:
    ready.standby.path.chmod(0o660)
    assert ready.promote()["changed"]
    seen = ready.standby.path.stat()
    assert seen.st_mode & 0o777 == 0o660 and ready.standby.foreign() == []


def test_check_mode_and_diff(ready: Ready) -> None:
    before = ready.tree()
    told = ready.promote(_ansible_check_mode=True, _ansible_diff=True)
    assert told["changed"] and "0008" not in told["diff"]["before"] and "8" in told["diff"]["after"]
    tried = ready.promote("trial", _ansible_check_mode=True, epoch=EPOCH)
    assert not tried["changed"] and tried["rpo"]["rows"] is None
    assert ready.tree() == before
    placed = ready.promote()
    assert "REPLICATION_EPOCH=0008" in placed["diff"]["after"]
    assert not ready.promote(_ansible_check_mode=True)["changed"]
    undoing = ready.promote("undone", _ansible_check_mode=True)
    assert undoing["changed"] and ready.standby.rows() > 3
    assert ready.promote("undone")["changed"] and ready.standby.rows() == 3
    assert not ready.promote("undone", _ansible_check_mode=True)["changed"]


def test_what_was_placed_is_not_undone_when_it_is_another(ready: Ready) -> None:
    assert ready.promote()["changed"]
    other = ready.standby.storage / "other.db"
    shutil.copy(ready.standby.path, other)
    other.rename(ready.standby.path)
    ready.refused("Somebody has replaced it", state="undone")


def test_two_at_once(ready: Ready) -> None:
    """One of them does it; the other one is refused and names it, or finds it done."""
    options = ready.standby.promoting("placed", **ready.handed_on)
    calls = [begin("ops_promote", options) for _number in range(2)]
    said = [end(process) for process in calls]
    assert sorted(one["changed"] for one in said) in ([False, True],), said
    for one in said:
        assert not one.get("failed") or "is in use by" in one["msg"], one
    assert ready.standby.path.read_bytes() == ready.pair.primary.path.read_bytes()


def test_as_of_a_moment(pair: Pair) -> None:
    """Point in time: what came after is not there, and it says how far it reaches."""

    def copied_at(number: int) -> float:
        name = ltx.copied(str(pair.standby.replica()))[number]
        return ltx.read_header(str(pair.standby.replica() / name.path)).at

    first = copied_at(0)
    writer = pair.write()
    # Litestream takes whole seconds, none before its first file and none after its newest.
    wait(lambda: copied_at(-1) > int(first) + 2, "two seconds of commits")
    ready = Ready(pair, writer)
    asked = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(first) + 1)),
        "txid": None,
        "digest": None,
    }
    ready.refused("expected neither with timestamp", timestamp=asked["timestamp"])
    ready.refused("with its zone", **{**asked, "timestamp": asked["timestamp"].rstrip("Z")})
    ready.refused("cannot restore", **{**asked, "timestamp": "2020-01-01T00:00:00Z"})
    placed = ready.promote(**asked)
    assert placed["changed"], placed["msg"]
    assert placed["rpo"]["newest_at"] <= int(first) + 1 and int(placed["rpo"]["txid"], 16) < int(
        ready.handed_on["txid"], 16
    )
    assert placed["rpo"]["rows"] < sum(rows for rows, _hash in ready.handed_on["digest"]["tables"].values())


# ---------------------------------------------------------------- disks


@pytest.fixture
def small_disk(pair: Pair) -> Iterator[Ready]:
    """The standby's database lies on a disk of 4 MB."""
    storage = pair.standby.storage
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", str(storage)], check=True)
    try:
        pair.standby.give(storage)
        yield Ready(pair)
    finally:
        pair.end()
        subprocess.run(["umount", "-l", str(storage)], check=True)


def ballast(where: Path, room: int) -> None:
    """Leave that many bytes of a disk."""
    seen = os.statvfs(where)
    (where / "ballast").write_bytes(bytes(max(0, seen.f_bavail * seen.f_frsize - room)))


@pytest.mark.skipif(not AS_ROOT, reason="needs root to mount")
def test_a_disk_that_is_too_small(small_disk: Ready) -> None:
    """Seen before, and when it fills up in between."""
    ballast(small_disk.standby.storage, 100 << 10)
    small_disk.refused("free: expected")
    (small_disk.standby.storage / "ballast").unlink()
    assert small_disk.promote()["changed"]


@pytest.mark.skipif(not AS_ROOT, reason="needs root to mount")
def test_a_disk_that_fills_up_meanwhile(small_disk: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was looked at before, Litestream finds no room: nothing is left of it, and with room it is done."""
    from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed
    from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote import run

    monkeypatch.setattr(run, "prove_room", lambda *_nothing: ballast(small_disk.standby.storage, 100 << 10))
    options = {
        "path": None, "epoch_from": None, "source": "replica", "snapshots": None, "timestamp": None, "level": "full",
        "keep": 2, "arrive": 1.0, "host": None, "units": None, "stop_timeout": None, "state_dir": None, "run_dir": None,
        "deadline": 60.0, "database": None, **small_disk.standby.promoting("placed", **small_disk.handed_on),
    }  # fmt: skip
    before = small_disk.tree()
    with pytest.raises(ActionFailed, match="cannot restore"):
        run.promote(options, False, lambda *_nothing: None)
    (small_disk.standby.storage / "ballast").unlink()
    assert small_disk.tree() == before
    assert small_disk.promote()["changed"]
