# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content proof against a real Litestream: equal while an application writes, and red when rows are lost.

``REPLICA_PROOFS=100 REPLICA_FAULTS=20 pytest tests/integration/replication -s`` proves 100 times and loses rows 20 times.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from replicated import LITESTREAM, Bench, wait

ROOT = Path(__file__).resolve().parents[3]
PROOFS = int(os.environ.get("REPLICA_PROOFS", "20"))
FAULTS = int(os.environ.get("REPLICA_FAULTS", "5"))
KILLS = int(os.environ.get("REPLICA_KILLS", "5"))
STALL = 0.2


def pin(run_module: Any, bench: Bench, **more: Any) -> dict[str, Any]:
    """Pin a moment; return the result of the module."""
    return dict(run_module("replica_verify", state="pin", path=str(bench.path), **more))


def compare(run_module: Any, moment: dict[str, Any], replica: Path, **more: Any) -> dict[str, Any]:
    """Compare a replica with a moment; return the check."""
    result = run_module(
        "replica_verify", state="compare", moment=moment, replica=str(replica), binary=str(LITESTREAM), **more
    )
    assert not result.get("failed"), result
    assert result["ok"] == (result["checks"][0]["status"] == 0)
    return dict(result["checks"][0])


def left(folder: Path) -> list[str]:
    """Return what a run has left beside a replica."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".ops-scratch")]


def test_equal_while_an_application_writes(bench: Bench, run_module: Any, returns_as_documented: Any) -> None:
    """Each moment is another one, all of them are equal, and writers wait for one sync."""
    bench.write()
    stalls, moments = [], set()
    for number in range(PROOFS):
        pinned = pin(run_module, bench)
        assert not pinned.get("failed"), pinned
        check = compare(run_module, pinned["moment"], bench.replica)
        assert check["status"] == 0, (number, check)
        moments.add((pinned["moment"]["txid"], pinned["moment"]["digest"]["tables"]["answers"][0]))
        stalls.append(pinned["moment"]["stall"])
        if not number:
            returns_as_documented("replica_verify", pinned)
    waited = bench.stop_writing()
    print(
        f"\nequal {PROOFS} of {PROOFS}; write lock held: median {sorted(stalls)[PROOFS // 2]:.3f} s, "
        f"longest {max(stalls):.3f} s; the application waited {waited:.3f} s at most"
    )
    assert len(moments) == PROOFS
    assert sorted(stalls)[PROOFS // 2] <= STALL
    assert not left(bench.replica.parent)


# ---------------------------------------------------------------- rows are lost


def lose_rows(bench: Bench, directory: Path, moment: dict[str, Any], seed: int) -> tuple[dict[str, Any], Path]:
    """Make a replica that is restored without a complaint and lacks some rows of the middle.

    Return the same moment by the number it has in that replica, and the replica.
    """
    directory.mkdir()
    database = directory / "lossy.db"
    source = f"file://{bench.replica}"
    command = [str(LITESTREAM), "restore", "-o", str(database), "-txid", moment["txid"], source]
    subprocess.run(command, check=True, capture_output=True)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        (count,) = connection.execute("SELECT max(id) FROM answers").fetchone()
        begin = random.Random(seed).randrange(1, count - 2)
        lost = connection.execute("DELETE FROM answers WHERE id BETWEEN ? AND ?", (begin, begin + 2)).rowcount
        assert lost == 3, "the fault did not engage"
        replica = directory / "replica"
        once = [str(LITESTREAM), "replicate", "-once", str(database), f"file://{replica}"]
        subprocess.run(once, check=True, capture_output=True)
    newest = max(path.stem.partition("-")[2] for path in replica.glob("ltx/*/*.ltx"))
    copy = directory / "copy.db"
    subprocess.run([str(LITESTREAM), "restore", "-o", str(copy), f"file://{replica}"], check=True, capture_output=True)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the usual check finds nothing"
    return {**moment, "txid": newest}, replica


def test_lost_rows_are_flagged(bench: Bench, run_module: Any, tmp_path: Path) -> None:
    """Litestream restores such a replica with status 0 and SQLite calls it ok; only the content tells."""
    bench.write()
    seed = int(time.time())
    print(f"\nseed {seed}")
    for number in range(FAULTS):
        pinned = pin(run_module, bench)
        good = compare(run_module, pinned["moment"], bench.replica)
        assert good["status"] == 0, "the true replica is equal at the same moment"
        moment, replica = lose_rows(bench, tmp_path / f"lossy{number}", pinned["moment"], seed + number)
        check = compare(run_module, moment, replica, level="full")
        assert check["status"] == 2 and check["message"] == "replication.differs", check
        rows = pinned["moment"]["digest"]["tables"]["answers"][0]
        assert f"answers: {rows - 3} rows, expected {rows}" in check["evidence"]
        assert not left(replica.parent)
    print(f"flagged {FAULTS} of {FAULTS}")


def test_a_file_missing_in_the_middle_is_flagged(bench: Bench, run_module: Any) -> None:
    bench.write()
    wait(lambda: len(list(bench.replica.glob("ltx/0/*.ltx"))) > 12, "some syncs")
    pinned = pin(run_module, bench)
    txid = int(pinned["moment"]["txid"], 16)
    assert compare(run_module, pinned["moment"], bench.replica)["status"] == 0
    assert bench.daemon
    bench.daemon.send_signal(signal.SIGSTOP)
    for path in bench.replica.glob(f"ltx/*/*-{txid - 3:016x}.ltx"):
        path.unlink()
    check = compare(run_module, pinned["moment"], bench.replica)
    assert check["status"] == 2 and check["message"] == "replication.not_restored", check


def test_a_transaction_that_does_not_arrive(bench: Bench, run_module: Any) -> None:
    pinned = pin(run_module, bench)
    pinned["moment"]["txid"] = "00000000000000ff"
    check = compare(run_module, pinned["moment"], bench.replica, arrive=0.3)
    assert check["status"] == 2 and check["message"] == "replication.late"


# ---------------------------------------------------------------- it cannot be had


def test_writers_go_on_when_litestream_hangs(bench: Bench, run_module: Any) -> None:
    """They wait no longer than they may, and the task fails and says why."""
    bench.write()
    assert bench.daemon
    bench.daemon.send_signal(signal.SIGSTOP)
    before = bench.rows()
    wait(lambda: bench.rows() > before, "a commit that is not copied")
    failed = pin(run_module, bench, max_stall=0.3)
    assert failed["failed"] and "had not copied" in failed["msg"]
    rows = bench.rows()
    wait(lambda: bench.rows() > rows, "writers go on")
    assert bench.stop_writing() < 1.0


def test_no_litestream_keeps_nobody_waiting(bench: Bench, run_module: Any, tmp_path: Path) -> None:
    bare = tmp_path / "bare.db"
    with closing(sqlite3.connect(bare)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        failed = run_module("replica_verify", state="pin", path=str(bare))
    assert failed["failed"] and "expected what Litestream has copied" in failed["msg"]


@pytest.mark.parametrize("moment", [{}, {"txid": "x", "digest": {"schema": "", "tables": {}}, "stall": 0}])
def test_a_moment_that_is_none(bench: Bench, run_module: Any, moment: dict[str, Any]) -> None:
    failed = run_module("replica_verify", state="compare", moment=moment, replica=str(bench.replica))
    assert failed["failed"] and "state pin" in failed["msg"]


# ---------------------------------------------------------------- it is killed

RUN = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bilingual_tutor.ops.plugins.modules import replica_verify
with patch_module_args(json.load(sys.stdin)):
    replica_verify.main()
"""


@pytest.mark.parametrize("state", ["pin", "compare"])
def test_killed_it_keeps_no_lock_and_the_next_run_cleans_up(bench: Bench, run_module: Any, state: str) -> None:
    """SIGKILL at random moments: writers go on at once, and what lies about is gone after the next run."""
    bench.write()
    seed = int(time.time())
    chance = random.Random(seed)
    print(f"\nseed {seed}")
    moment = pin(run_module, bench)["moment"]
    options = {"state": state, "path": str(bench.path)}
    if state == "compare":
        options = {"state": state, "moment": moment, "replica": str(bench.replica), "binary": str(LITESTREAM)}
    for _number in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdin
        process.stdin.write(json.dumps(options).encode())
        process.stdin.close()
        time.sleep(chance.uniform(0.1, 0.7))
        process.kill()
        process.wait()
        rows = bench.rows()
        wait(lambda rows=rows: bench.rows() > rows, "writers go on", 2.0)
    assert compare(run_module, pin(run_module, bench)["moment"], bench.replica)["status"] == 0
    wait(lambda: not left(bench.replica.parent), "nothing is left")
