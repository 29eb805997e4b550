# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A salvage from replicas that a real Litestream made: one of each epoch, as after an emergency."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "salvage"))

import seeded

LITESTREAM = Path(sys.executable).with_name("litestream")
Run = Callable[..., dict[str, Any]]


class Site:
    """The database of the former primary, and the replicas of the epochs 1 (sent by it) and 2 (received by it)."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.path = directory, directory / "data" / "learning.db"
        self.path.parent.mkdir()
        self.config = directory / "litestream.yml"
        self.replicas = directory / "replicas"
        self.config.write_text(
            f"dbs:\n  - path: {self.path}\n"
            f"    replica: {{type: file, path: '{self.replicas}/epoch-${{REPLICATION_EPOCH}}'}}\n"
        )
        made = seeded.diverged(directory, 11)
        shutil.copy(made.base, self.path)
        with closing(seeded.connect(self.path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        self.replicate(1)
        self.kept = directory / "kept.db"
        shutil.copy(self.path, self.kept)
        self.notes = self.path.with_name(f".{self.path.name}-litestream")
        shutil.rmtree(self.notes)
        shutil.copy(made.new, self.path)
        self.replicate(2)
        shutil.rmtree(self.notes)
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        shutil.copy(self.kept, self.path)
        self.replicate(1)
        with closing(seeded.connect(self.path)) as connection:
            connection.executemany("INSERT INTO words (word) VALUES (?)", [("lost 1",), ("lost 2",)])
        state = directory / "state"
        state.mkdir()
        (state / "epoch.json").write_text(
            json.dumps({"epoch": 2, "primary": "tutor2", "since": "2026-11-23T02:00:00Z"})
        )
        (state / "FENCED").write_text(json.dumps({"epoch": 2, "closed": []}))
        where = {"state_dir": str(state), "run_dir": str(directory / "run")}
        (directory / "fencing.json").write_text(json.dumps({"host": "tutor1", **where}))

    def replicate(self, epoch: int) -> None:
        command = [str(LITESTREAM), "replicate", "-once", "-config", str(self.config)]
        subprocess.run(command, check=True, capture_output=True, env={"REPLICATION_EPOCH": f"{epoch:04d}"})

    def options(self, **more: Any) -> dict[str, Any]:
        given = {
            "path": str(self.path),
            "run_id": "run1",
            "lineage": {"replica": str(self.replicas / "epoch-0002")},
            "common": {"config": str(self.config), "epoch": 1},
            "dest": str(self.directory / "salvage"),
            "config": str(self.directory / "fencing.json"),
            "scratch": str(self.directory),
            "binary": str(LITESTREAM),
        }
        return {**given, **more}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_two_rows_were_never_replicated(site: Site, run_module: Run) -> None:
    """Litestream's own notes in the database are no rows, and the trigger's two rows are."""
    done = run_module("ops_salvage", **site.options())
    assert not done.get("failed"), done
    manifest = done["manifest"]
    assert manifest["tables"]["words"]["inserted"] == manifest["tables"]["words"]["rows"] == 2
    assert {name: manifest["total"][name] for name in ("inserted", "updated", "deleted")} == {
        "inserted": 4,
        "updated": 0,
        "deleted": 0,
    }
    assert manifest["proved"] == "common" and int(manifest["common"]["txid"], 16) > 0
    assert run_module("ops_salvage", **site.options(state="standby"))["changed"]
    with closing(seeded.connect(site.path)) as connection:
        assert connection.execute("SELECT count(*) FROM words WHERE word LIKE 'lost %'").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not site.notes.exists()


def test_an_older_transaction_as_the_common_state(site: Site, run_module: Run) -> None:
    """What arrived after the promotion is lost too, and only the transaction tells."""
    site.replicate(1)
    newest = run_module("ops_salvage", **site.options(run_id="newest"))["manifest"]
    assert newest["total"]["rows"] == 0
    common = {"config": str(site.config), "epoch": 1, "txid": "0000000000000001"}
    told = run_module("ops_salvage", **site.options(common=common))["manifest"]
    assert told["total"]["inserted"] == 4 and told["common"]["txid"] == "0000000000000001"


def test_a_replica_with_a_gap_is_refused(site: Site, run_module: Run) -> None:
    (whole,) = (site.replicas / "epoch-0002" / "ltx").rglob("*.ltx")
    whole.rename(whole.with_name("0000000000000002-0000000000000002.ltx"))
    done = run_module("ops_salvage", **site.options())
    assert done["failed"] and "without a gap" in done["msg"]
    shutil.rmtree(site.replicas / "epoch-0002")
    assert "is no replica" in run_module("ops_salvage", **site.options())["msg"]


def test_a_common_state_that_is_not_there_any_more(site: Site, run_module: Run) -> None:
    shutil.rmtree(site.replicas / "epoch-0001")
    done = run_module("ops_salvage", **site.options())
    assert (
        done["manifest"]["proved"] == "lineage" and "litestream did not restore" in done["manifest"]["common_missing"]
    )
