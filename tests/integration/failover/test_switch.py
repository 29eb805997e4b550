# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quiesce and promote as a switchover uses them: what was acknowledged is there, and each call may be repeated."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pair import AS_ROOT, EPOCH, Host, Pair, call

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import fence
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import describe, write_manifest

SWITCHES = 3
BEFORE = ".before-"


def tree(host: Host) -> dict[str, Any]:
    """Return what lies beside a database, and what a promotion may change elsewhere."""
    paths = [path for path in host.storage.rglob("*") if path.is_file()]
    found = {str(path): (path.stat().st_ino, path.read_bytes(), path.stat().st_mode) for path in paths}
    return {**found, "epoch": host.epoch_file.read_text(), "state": sorted(path.name for path in host.state.iterdir())}


def test_everything_acknowledged_is_on_the_standby(pair: Pair, returns_as_documented: Any) -> None:
    writer = pair.write()
    quiesced = call("ops_quiesce", **pair.primary.quiescing())
    returns_as_documented("ops_quiesce", quiesced)
    pair.last_words(writer)
    assert quiesced["changed"] and quiesced["synced"] and quiesced["after"]["state"] == "fenced"
    assert pair.primary.names() == {"learning.db", ".learning.db-litestream"}, "one file, and no log"
    assert pair.primary.foreign() == []
    pair.receive()
    pair.standby.fence()
    handed_on = {name: quiesced[name] for name in ("txid", "digest")}
    tried = call("ops_promote", **pair.standby.promoting("trial", epoch=EPOCH, **handed_on))
    returns_as_documented("ops_promote", tried)
    assert not tried["changed"] and tried["rpo"]["rows"] == quiesced["rows"] and pair.standby.names() == set()
    placed = call("ops_promote", **pair.standby.promoting("placed", **handed_on))
    returns_as_documented("ops_promote", placed)
    assert placed["changed"] and placed["rpo"]["txid"] == quiesced["txid"]
    assert placed["rpo"]["rows"] == quiesced["rows"] == pair.standby.rows() + pair.standby.rows("users")
    assert pair.standby.names() == {"learning.db"} and pair.standby.foreign() == []
    assert pair.standby.path.read_bytes() == pair.primary.path.read_bytes()
    lost = pair.acknowledged - pair.standby.ids()
    assert pair.acknowledged and not lost
    assert pair.standby.epoch_file.read_text() == f"REPLICATION_EPOCH={EPOCH + 1:04d}\n"
    again = call("ops_promote", **pair.standby.promoting("placed", **handed_on))
    assert not again["changed"] and again["rpo"] == placed["rpo"]
    once_more = call("ops_quiesce", **pair.primary.quiescing())
    assert not once_more["changed"] and once_more["digest"] == quiesced["digest"]


def test_back_and_forth(pair: Pair) -> None:
    """Each host was a primary before and has what Litestream copied then: nothing of it gets into the next replica."""
    for number in range(SWITCHES):
        writer = pair.write()
        handed_on = pair.quiesced(run_id=f"run-{number}")
        pair.last_words(writer)
        pair.standby.fence()
        options = pair.standby.promoting("placed", run_id=f"run-{number}", epoch=pair.epoch + 1, **handed_on)
        placed = call("ops_promote", **options)
        assert placed["changed"], placed
        assert {name for name in pair.standby.names() if BEFORE not in name} == {"learning.db"}
        assert not pair.acknowledged - pair.standby.ids()
        pair.turn()
        again = call("ops_promote", **options)
        assert not again["changed"], "also on a host that is granted since"
        pair.replicate()
    assert pair.primary.foreign() == [] == pair.standby.foreign()
    assert len(pair.acknowledged) >= SWITCHES * 30


def test_called_off_the_old_primary_serves_on(pair: Pair) -> None:
    """The way back: undone on the standby, granted in the same epoch on the primary, whose replica goes on."""
    pair.standby.make(3)
    before = tree(pair.standby)
    writer = pair.write()
    handed_on = pair.quiesced()
    pair.last_words(writer)
    pair.standby.fence()
    placed = call("ops_promote", **pair.standby.promoting("placed", **handed_on))
    assert Path(placed["set_aside"]).name == "learning.db.before-run-1" and pair.standby.rows() > 500
    undone = call("ops_promote", **pair.standby.promoting("undone"))
    assert undone["changed"], undone
    after = tree(pair.standby)
    assert {name: after[name] for name in before if name != "state"} == {
        name: before[name] for name in before if name != "state"
    }
    assert pair.standby.names() == {"learning.db", "learning.db.undone-run-1"}
    assert not call("ops_promote", **pair.standby.promoting("undone"))["changed"]
    pair.grant()
    pair.replicate()
    writer = pair.write()
    handed_on = pair.quiesced(run_id="run-2")
    pair.last_words(writer)
    assert call("ops_promote", **pair.standby.promoting("placed", run_id="run-2", **handed_on))["changed"]
    assert not pair.acknowledged - pair.standby.ids()


# ---------------------------------------------------------------- quiesce


def test_check_mode_does_nothing(pair: Pair) -> None:
    writer = pair.write()
    told = call("ops_quiesce", _ansible_check_mode=True, _ansible_diff=True, **pair.primary.quiescing())
    assert told["changed"] and told["after"]["state"] == "fenced" and told["txid"] is None
    assert '"granted"' in told["diff"]["before"] and '"fenced"' in told["diff"]["after"]
    assert writer.poll() is None and fence.observe(pair.primary.config).state == "granted"
    handed_on = pair.quiesced()
    told = call("ops_quiesce", _ansible_check_mode=True, **pair.primary.quiescing())
    assert not told["changed"] and told["digest"] == handed_on["digest"]
    other = call("ops_quiesce", _ansible_check_mode=True, **pair.primary.quiescing(run_id="run-2"))
    assert other["changed"] and other["txid"] is None, "another run has to send and hash by itself"


def test_without_sync_it_is_only_fenced(pair: Pair) -> None:
    """For a database that cannot be read: nothing opens it."""
    pair.write()
    pair.end()
    for suffix in ("-wal", "-shm"):
        (pair.primary.storage / f"learning.db{suffix}").unlink()
    pair.primary.path.write_bytes(b"\xff" * 8192)
    told = call("ops_quiesce", **pair.primary.quiescing(sync=False))
    assert told["changed"] and told["after"]["state"] == "fenced"
    assert not told["synced"] and told["txid"] is told["digest"] is told["rows"] is None
    assert pair.primary.path.read_bytes() == b"\xff" * 8192
    failed = call("ops_quiesce", **pair.primary.quiescing())
    assert failed["failed"] and "stopped and fenced" in failed["msg"] and failed["after"]["state"] == "fenced"
    assert pair.primary.path.read_bytes() == b"\xff" * 8192
    assert not call("ops_quiesce", **pair.primary.quiescing(sync=False))["changed"]


def test_a_standby_that_cannot_be_reached(pair: Pair, tmp_path: Path) -> None:
    """It fails, says so, and leaves a host that is fenced and can be granted again."""
    writer = pair.write()
    pair.aim(pair.primary, tmp_path / "none")
    (tmp_path / "none").write_text("no directory")
    failed = call("ops_quiesce", **pair.primary.quiescing())
    pair.last_words(writer)
    assert failed["failed"] and not failed["synced"] and "is the standby reachable" in failed["msg"]
    assert failed["after"]["state"] == "fenced" and pair.primary.foreign() == []
    pair.aim(pair.primary, pair.standby.home / "data")
    handed_on = pair.quiesced()
    assert call("ops_promote", **pair.standby.promoting("placed", **handed_on))["changed"]
    assert not pair.acknowledged - pair.standby.ids()


def test_without_replication_laid_out_nothing_is_sent(pair: Pair) -> None:
    pair.primary.epoch_file.unlink()
    failed = call("ops_quiesce", **pair.primary.quiescing())
    assert failed["failed"] and "role replication" in failed["msg"] and failed["after"]["state"] == "fenced"


def test_a_database_that_was_opened_since_is_told_anew(pair: Pair) -> None:
    """What was told of it before would be refused on the standby."""
    writer = pair.write()
    first = pair.quiesced()
    pair.last_words(writer)
    pair.grant()
    writer = pair.write(5)
    second = pair.quiesced()
    pair.last_words(writer)
    assert second["txid"] > first["txid"] and second["digest"] != first["digest"]
    pair.standby.fence()
    refused = call("ops_promote", **pair.standby.promoting("placed", txid=first["txid"], digest=first["digest"]))
    assert refused["failed"] and "not what the primary had" in refused["msg"] and not refused["changed"]
    assert call("ops_promote", **pair.standby.promoting("placed", **second))["changed"]
    assert not pair.acknowledged - pair.standby.ids()


@pytest.mark.skipif(not AS_ROOT, reason="a fence shuts out other users than root")
def test_what_a_run_of_root_makes_is_the_owners(pair: Pair) -> None:
    """Also what Litestream makes that never ran there before, in a directory that is shut to the owner."""
    pair.write()
    pair.end()
    assert call("ops_quiesce", **pair.primary.quiescing(sync=False))["after"]["state"] == "fenced"
    folder = pair.primary.storage / ".learning.db-litestream"
    folder.rename(pair.top / "moved")
    assert pair.quiesced()
    assert folder.is_dir() and pair.primary.foreign() == []


def test_damage_that_was_replicated_is_not_promoted(bare: Pair) -> None:
    """An index that has lost its rows, on the primary already: the content is the same, and it is refused all the same."""
    bare.primary.make()
    with closing(sqlite3.connect(bare.primary.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX by_user ON answers (text)' WHERE name = 'by_user'"
        )
    bare.replicate()
    handed_on = bare.quiesced()
    bare.standby.fence()
    refused = call("ops_promote", **bare.standby.promoting("placed", **handed_on))
    assert refused["failed"] and not refused["changed"] and bare.standby.names() == set()
    assert "is damaged" in refused["msg"] and "(timestamp)" in refused["msg"]


# ---------------------------------------------------------------- backups instead of a replica


def backed_up(host: Host, folder: Path, name: str, verified: str = "full") -> Path:
    """Make a backup as sqlite_backup does, of a host that nobody writes to."""
    snapshot = folder / name
    with closing(sqlite3.connect(host.path)) as source, closing(sqlite3.connect(snapshot)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    told = describe(snapshot, snapshot, str(host.path), "2026-11-23T02:00:00Z")
    write_manifest(snapshot, replace(told, verified=verified, journal_mode="wal"))
    return snapshot


def test_the_newest_verified_backup(bare: Pair, tmp_path: Path) -> None:
    """Where nothing is replicated: what it has is told by its manifest; one that is not good is refused."""
    bare.primary.make()
    good = backed_up(bare.primary, tmp_path, "learning_20261123T020000Z.db")
    backed_up(bare.primary, tmp_path, "learning_20261123T030000Z.db", verified="none")
    bare.standby.fence()
    options = {"source": "snapshot", "snapshots": str(tmp_path)}
    refused = call("ops_promote", **bare.standby.promoting("placed", txid="2a", **options))
    assert refused["failed"] and "of a replica" in refused["msg"]
    placed = call("ops_promote", **bare.standby.promoting("placed", **options))
    assert placed["changed"], placed
    assert placed["source"] == str(good) and placed["rpo"]["txid"] is None
    assert placed["rpo"]["newest_at"] == 1795399200.0 and placed["rpo"]["rows"] == 550
    assert bare.standby.names() == {"learning.db"} and bare.standby.foreign() == []
    with closing(sqlite3.connect(bare.standby.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    content = bytearray(good.read_bytes())
    content[len(content) // 2] ^= 1
    good.write_bytes(bytes(content))
    refused = call("ops_promote", **bare.standby.promoting("placed", run_id="run-2", **options))
    assert refused["failed"] and not refused["changed"] and "is not good" in refused["msg"]
    refused = call(
        "ops_promote", **bare.standby.promoting("placed", run_id="run-2", source="snapshot", snapshots=str(bare.top))
    )
    assert refused["failed"] and "no verified backup" in refused["msg"]
