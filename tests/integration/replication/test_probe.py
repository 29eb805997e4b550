# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe beside a real Litestream: nothing to find, and each thing that can be found."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from replicated import LITESTREAM, Bench, wait

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import lag, ltx


def look(bench: Bench, side: str = "primary", seconds: float = 8.0, **more: Any) -> dict[str, Check]:
    """Run the probe; return its checks by id."""
    spec = {"kind": "replication", "side": side, "replica": str(bench.replica), **more}
    if side == "primary":
        spec.update(path=str(bench.path), pidfile=str(bench.pidfile))
    prepared = registry.prepare(spec)
    result = prepared.module.probe(prepared.spec, {}, Deadline(seconds))
    return {check.id: check for check in result.checks}


def commit(bench: Bench, rows: int = 1) -> None:
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as connection:
        connection.executemany("INSERT INTO answers (user, text) VALUES (1, ?)", [("x" * 200,)] * rows)


def test_nothing_to_find_while_an_application_writes(bench: Bench) -> None:
    bench.write()
    for _number in range(5):
        found = look(bench)
        assert {check.status for check in found.values()} == {Status.OK}, found
        assert 0 <= (found["replication.lag"].value or 0) < 1
    found = look(bench, "standby")
    assert {check.status for check in found.values()} == {Status.OK}, found


def test_lag_is_exact(bench: Bench) -> None:
    """Bytes of the log that are not copied, counted against what was written while Litestream could not copy."""
    commit(bench)
    wait(lambda: lag.position(str(bench.path)).behind == 0, "all is copied")
    assert bench.daemon
    bench.daemon.send_signal(signal.SIGSTOP)
    before = lag.wal_end(str(bench.path))
    commit(bench, 7)
    after = lag.wal_end(str(bench.path))
    assert after.salts == before.salts and after.end - before.end >= 7 * 4120
    assert lag.position(str(bench.path)).behind == after.end - before.end
    found = look(bench, seconds=2.0)["replication.lag"]
    assert found.status is Status.CRITICAL and f"{after.end - before.end} bytes" in found.summary
    bench.daemon.send_signal(signal.SIGCONT)
    wait(lambda: lag.position(str(bench.path)).behind == 0, "all is copied again")


def test_lag_is_known_after_the_log_started_over(bench: Bench) -> None:
    """Litestream checkpoints at 1000 pages: the log keeps its length, and begins again at its begin."""
    first = lag.wal_end(str(bench.path)).salts
    wait(lambda: commit(bench, 200) or lag.wal_end(str(bench.path)).salts != first, "the log starts over")
    wait(lambda: lag.position(str(bench.path)).behind == 0, "all is copied")
    assert lag.wal_end(str(bench.path)).end < Path(f"{bench.path}-wal").stat().st_size
    assert look(bench)["replication.lag"].status is Status.OK


def test_a_daemon_that_is_gone(bench: Bench) -> None:
    assert bench.daemon
    bench.daemon.kill()
    bench.daemon.wait()
    commit(bench)
    found = look(bench, seconds=2.0)
    assert found["replication.daemon"].status is Status.CRITICAL
    assert found["replication.lock"].status is Status.SKIPPED
    assert found["replication.lag"].status is Status.CRITICAL


def test_a_lost_lock(bench: Bench) -> None:
    """What `litestream sync` does to a live database, and why nothing here calls it."""
    bench.write()
    assert look(bench)["replication.lock"].status is Status.OK
    sync = [str(LITESTREAM), "sync", "-wait", "-socket", str(bench.socket), str(bench.path)]

    def lost() -> bool:
        subprocess.run(sync, capture_output=True, check=True)
        return look(bench)["replication.lock"].status is Status.CRITICAL

    wait(lost, "the lock is lost")


def test_a_replica_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    empty = tmp_path / "nothing"
    for side in ("primary", "standby"):
        spec = {"replica": str(empty)}
        assert look(bench, side, 2.0, **spec)["replication.replica"].status is Status.CRITICAL
    (empty / "ltx" / "0").mkdir(parents=True)
    found = look(bench, "standby", **{"replica": str(empty)})["replication.replica"]
    assert found.status is Status.CRITICAL and found.message == "replication.no_replica"


def test_a_gap_and_no_beginning(bench: Bench, tmp_path: Path) -> None:
    bench.write()
    wait(lambda: len(list(bench.replica.glob("ltx/0/*.ltx"))) > 8, "some syncs")
    copy = tmp_path / "copy"
    shutil.copytree(bench.replica, copy)
    names = ltx.copied(str(copy))
    (copy / names[-3].path).unlink()
    found = look(bench, "standby", replica=str(copy))["replication.replica"]
    assert found.message == "replication.gap" and f"{names[-3].last - 1:016x}" in found.summary
    for name in ltx.names(str(copy)):
        if name.first == 1 or name.level == ltx.WHOLE:
            (copy / name.path).unlink()
    assert look(bench, "standby", replica=str(copy))["replication.replica"].message == "replication.no_whole"


def test_an_old_replica(bench: Bench) -> None:
    age = look(bench, "standby", thresholds={"replication.age": {"warn": "0.000001"}})["replication.age"]
    assert age.status is Status.WARNING
