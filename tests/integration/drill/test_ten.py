# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten bad backups make a drill fail and ten good ones pass, on real files, with the application serving the good ones."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import bad_backups
import pytest
from bad_backups import FLOORS, agree, agree_in_all, amend, change, fill, make_snapshot, utc
from rehearsals import Site, findings

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import ltx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.digest import digest

LITESTREAM = Path(sys.executable).with_name("litestream")
SECONDS = 30.0


def learn(path: Path, word: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        connection.execute("INSERT INTO vocabulary (word, created_at) VALUES (?, datetime('now'))", (word,))


def wait(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {SECONDS:.0f} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live database and a replica of it that was made by a real Litestream over some seconds."""
    directory = tmp_path_factory.mktemp("origin")
    live, replica = fill(directory / "learning.db"), directory / "epoch-0001"
    config = directory / "litestream.yml"
    config.write_text(
        f"dbs:\n  - path: {live}\n    monitor-interval: 50ms\n"
        f"    replica: {{url: 'file://{replica}', sync-interval: 50ms}}\n"
    )
    with (directory / "log").open("wb") as log:
        daemon = subprocess.Popen([str(LITESTREAM), "replicate", "-config", str(config)], stdout=log, stderr=log)
    try:
        wait(lambda: list(replica.glob("ltx/9/*.ltx")), "the first whole database")
        for number in range(12):
            before = max(one.last for one in ltx.names(str(replica)))
            learn(live, f"later {number}")
            wait(lambda before=before: max(one.last for one in ltx.names(str(replica))) > before, "the next file")
        # So that there is a moment to choose between the first file and now.
        first = min(ltx.read_header(str(path)).at for path in replica.glob("ltx/9/*.ltx"))
        wait(lambda: time.time() - first > 3.0, "three seconds")
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(SECONDS)
    with closing(sqlite3.connect(live)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pinned = {"txid": f"{max(one.last for one in ltx.names(str(replica))):016x}", "digest": digest(connection)}
    (directory / "moment.json").write_text(json.dumps({**pinned, "stall": 0.01}))
    return directory


@pytest.fixture
def site(origin: Path, tmp_path: Path) -> Site:
    """A host of its own with the live database, and a copy of its replica."""
    made = Site(tmp_path)
    shutil.copy(origin / "learning.db", made.live)
    shutil.copytree(origin / "epoch-0001", tmp_path / "epoch-0001")
    return made


def moment(origin: Path) -> dict[str, Any]:
    return dict(json.loads((origin / "moment.json").read_text()))


def snapshot(site: Site, suffix: str = "", hours_ago: float = 1.0) -> dict[str, Any]:
    """Make a snapshot; return the options that rehearse it."""
    path = make_snapshot(site.live, site.directory / "backups", suffix, hours_ago)
    live = {"live": str(site.live), "schema_of": str(site.live)}
    return {"source": "snapshot", "snapshot": str(path), "floors": FLOORS, **live}


def replica(site: Site, **more: Any) -> dict[str, Any]:
    return {"source": "replica", "replica": str(site.directory / "epoch-0001"), "floors": FLOORS, "arrive": 0.5, **more}


def damaged(site: Site, damage: Callable[[Path], Any], suffix: str = "", *, agreed: bool = True) -> dict[str, Any]:
    """Damage a snapshot; ``agreed`` lets the manifest say what is there, as if the backup had been made of that."""
    options = snapshot(site, suffix)
    path = Path(options["snapshot"])
    damage(path)
    if agreed:
        (agree if suffix else agree_in_all)(path)
    return options


def empty(path: Path) -> None:
    change(path, "PRAGMA foreign_keys = OFF; DELETE FROM learning_records; DELETE FROM vocabulary; DELETE FROM users")


def aged(path: Path) -> None:
    change(path, "".join(f"UPDATE {name} SET created_at = datetime(created_at, '-9 days');" for name in FLOORS))
    agree_in_all(path)
    amend(path, created=utc(0.5))


def gapped(site: Site) -> dict[str, Any]:
    """Take a file out of the middle of a replica, in each level that has it, as a lost upload would leave it."""
    place = site.directory / "epoch-0001"
    gone = sorted(ltx.copied(str(place)), key=lambda one: one.last)[-4].last
    for one in ltx.names(str(place)):
        if one.level != ltx.WHOLE and one.first <= gone <= one.last:
            (place / one.path).unlink()
    return replica(site)


def without_last(site: Site) -> None:
    place = site.directory / "epoch-0001"
    newest = max(one.last for one in ltx.names(str(place)))
    for one in ltx.names(str(place)):
        if one.last == newest:
            (place / one.path).unlink()


# Each: what is done to it, and the check that has to tell.
BAD: dict[str, tuple[Callable[[Site], dict[str, Any]], str]] = {
    "truncated": (lambda site: damaged(site, bad_backups.truncated, agreed=False), "snapshot.sha256"),
    "bit flip": (lambda site: damaged(site, bad_backups.flipped_in_an_index, agreed=False), "snapshot.sha256"),
    "wrong schema": (lambda site: damaged(site, bad_backups.other_schema), "snapshot.schema"),
    "stale": (lambda site: snapshot(site, hours_ago=24 * 9), "snapshot.age"),
    "empty": (lambda site: damaged(site, empty), "snapshot.floors"),
    "missing LTX": (gapped, "drill.source"),
    "compressed stream cut": (lambda site: damaged(site, bad_backups.cut_stream, ".zst"), "snapshot.file"),
    "0 bytes": (lambda site: damaged(site, bad_backups.emptied, agreed=False), "snapshot.file"),
    "valid but old": (lambda site: damaged(site, aged, agreed=False), "drill.loss"),
    "missing table": (lambda site: damaged(site, bad_backups.table_missing), "snapshot.schema"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str, site: Site) -> None:
    make, check = BAD[name]
    result = site.rehearse(**make(site))
    print(findings(result))
    assert result["verdict"] == "failed"
    assert findings(result)[check][0] == 2
    assert not site.left()


def test_a_replica_without_its_last_file_fails_against_the_primary(site: Site, origin: Path) -> None:
    """Litestream restores what is left and ends with 0; only the moment of the primary tells."""
    without_last(site)
    assert site.rehearse(**replica(site))["verdict"] == "passed", "alone it cannot be told from a good one"
    result = site.rehearse(**replica(site, moment=moment(origin)))
    assert result["verdict"] == "failed" and findings(result)["drill.content"] == (2, "drill.content_late")


def test_a_replica_with_other_content_fails(site: Site, origin: Path) -> None:
    pinned = moment(origin)
    pinned["digest"]["tables"]["vocabulary"][1] = "0" * 64
    result = site.rehearse(**replica(site, moment=pinned))
    assert result["verdict"] == "failed" and findings(result)["drill.content"] == (2, "drill.content_differs")
    assert not result["served"] and result["rto_s"] is None


def pointed(site: Site) -> dict[str, Any]:
    options = snapshot(site)
    pointer = Path(options["snapshot"]).with_name("learning_latest.db")
    pointer.symlink_to(Path(options["snapshot"]).name)
    return {**options, "snapshot": str(pointer)}


def made_by_the_backup(site: Site) -> dict[str, Any]:
    return {**snapshot(site), "queries": [{"name": "words", "sql": "SELECT count(*) FROM vocabulary", "min": 300}]}


def quiet_learner(site: Site) -> dict[str, Any]:
    """Nobody has learned for months: rows are old here and there, and nothing is lost."""
    change(site.live, "".join(f"UPDATE {name} SET created_at = datetime(created_at, '-90 days');" for name in FLOORS))
    return snapshot(site)


def one_more_row(site: Site) -> dict[str, Any]:
    options = snapshot(site)
    learn(site.live, "after the backup")
    return options


GOOD: dict[str, Callable[[Site, Path], dict[str, Any]]] = {
    "plain": lambda site, origin: snapshot(site),
    "gzip": lambda site, origin: snapshot(site, ".gz"),
    "zstd": lambda site, origin: snapshot(site, ".zst"),
    "by its pointer": lambda site, origin: pointed(site),
    "with a query": lambda site, origin: made_by_the_backup(site),
    "of last night": lambda site, origin: snapshot(site, hours_ago=20),
    "of a quiet learner": lambda site, origin: quiet_learner(site),
    "before the newest row": lambda site, origin: one_more_row(site),
    "replica at the primary's moment": lambda site, origin: replica(site, moment=moment(origin)),
    "replica at a random moment": lambda site, origin: {**replica(site), "source": "moment", "seed": None},
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str, site: Site, origin: Path) -> None:
    result = site.rehearse(**GOOD[name](site, origin))
    print("seed", result["seed"], result["moment"], findings(result))
    assert result["verdict"] == "passed" and not findings(result)
    assert result["served"] and result["rows"]["vocabulary"] >= 300
    assert not site.left()


def test_there_are_ten_of_each() -> None:
    assert len(BAD) == len(GOOD) == 10


def test_without_litestream_it_is_inconclusive(site: Site) -> None:
    result = site.rehearse(**replica(site), binary="/nowhere/litestream")
    assert result["verdict"] == "inconclusive"
    assert findings(result)["drill.restored"] == (3, "drill.restored_unknown")


def test_a_manifest_that_is_none_of_a_backup(site: Site) -> None:
    """A file without a manifest is no backup, however good its database is."""
    options = snapshot(site)
    Path(options["snapshot"] + ".manifest.json").unlink()
    result = site.rehearse(**options)
    assert result["verdict"] == "failed" and findings(result)["snapshot.manifest"][0] == 2
