# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure backups of a database beside the usual ways to copy one, alone and while another process commits.

The database has the application's tables and indexes with small rows (tests/integration/sqlite/writer.py): as many index
entries as make PRAGMA integrity_check take long.

All ways run in turn, so that a change of the machine's mood meets all of them. ``copy`` is until the file is there, ``on
disk`` is with the fsync, for ``cp`` with ``sync FILE``; ``cold`` is with the database dropped from the page cache before.
The sha256 belongs to the proof, beside the check. A copy counts when it is the state of one commit and quick_check says
ok. Beside a writer the slowest commit during each way is told; each way has a writer of its own, and ``nothing`` is a
writer alone for as long: what is slower than that is ours.

Then whole backups beside a writer (``--runs``), each of which removes its predecessor, with their memory (the proportional
set size of all their processes), and a writer alone for as long. And backups with their full check against PRAGMA
integrity_check alone, with the same cache and niceness: as the function in a process that is there, and as the module.
Absolute times depend on the machine, ratios less. All samples are in .bench/backup.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/standin"), str(ROOT / "tests/integration/sqlite")]

import collection  # noqa: E402, F401  # pylint: disable=unused-import  # makes the collection importable
import writer  # noqa: E402

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import silent  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import CACHE_MIB, NICE  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.backup import OPTIONS, run  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.engines import copy  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import find_target  # noqa: E402

LATEST = ROOT / ".bench/backup.json"
# The online backup starts over at each commit of another process; nobody needs to wait for that longer.
LIMIT = 20.0
# How long a writer alone is looked at for each table; for whole backups it is as long as those took.
ALONE = 2.0
# Each backup removes the one before it.
ONE = {"keep": {"hours": 0}}
MODULE = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bilingual_tutor.ops.plugins.modules import sqlite_backup
with patch_module_args(json.load(sys.stdin)):
    sqlite_backup.main()
"""


def sync(path: Path) -> None:
    """Bring a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def by_cp(database: Path, out: Path) -> None:
    subprocess.run(["cp", str(database), str(out)], check=True)


def by_shell(*commands: str) -> Callable[[Path, Path], None]:
    def run(database: Path, out: Path) -> None:
        subprocess.run(
            ["sqlite3", str(database), *(one.format(out) for one in commands)],
            check=True,
            timeout=LIMIT,
            capture_output=True,
        )

    return run


def by_engine(engine: str) -> Callable[[Path, Path], None]:
    def run(database: Path, out: Path) -> None:
        descriptor = os.open(out, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            copy(find_target({"path": str(database)}), engine, descriptor, str(out), Deadline(600), silent)
        finally:
            os.close(descriptor)

    return run


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "cp": by_cp,
    "pinned_copy": by_engine("pinned_copy"),
    "pinned_api": by_engine("pinned_api"),
    "vacuum_into": by_engine("vacuum_into"),
    "sqlite3 .backup": by_shell(".timeout 10000", ".backup '{}'"),
    "sqlite3 VACUUM INTO": by_shell("VACUUM INTO '{}'"),
}


@contextlib.contextmanager
def writing(database: Path, rate: float) -> Iterator[dict[str, Any]]:
    """Run a writer; what is yielded holds what it measured afterwards. No writer at a rate of 0."""
    measured: dict[str, Any] = {}
    if not rate:
        yield measured
        return
    command = [sys.executable, str(ROOT / "tests/integration/sqlite/writer.py"), str(database), str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "writing\n"
        yield measured
        measured.update(json.loads(process.communicate("end\n")[0]))


def good(out: Path) -> bool:
    """Tell whether a copy is the state of one commit and well made."""
    try:
        writer.state(out)
        with closing(sqlite3.connect(f"file:{out}?mode=ro&immutable=1", uri=True)) as connection:
            return connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    except (AssertionError, sqlite3.Error):
        return False


def drop(path: Path) -> None:
    """Drop a file from the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def compare(
    database: Path, directory: Path, rate: float, runs: int, ways: list[str], cold: bool = False
) -> dict[str, dict[str, Any]]:
    """Copy in some ways, in turn."""
    table: dict[str, dict[str, Any]] = {
        name: {"copy": [], "on_disk": [], "good": 0, "runs": 0, "worst": [], "p99": []} for name in ways
    }
    if rate:
        table["nothing"] = {"worst": [], "p99": []}
    for _run in range(runs):
        for name, row in table.items():
            if name == "nothing":
                with writing(database, rate) as measured:
                    time.sleep(ALONE)
            elif not row["runs"] or row["copy"]:
                measured = _once(database, directory, rate, row, WAYS[name], cold)
            else:
                continue  # it never ended: once is enough
            if measured:
                row["worst"].append(measured["worst"])
                row["p99"].append(measured["p99"])
    return table


def _once(
    database: Path, directory: Path, rate: float, row: dict[str, Any], way: Callable[[Path, Path], None], cold: bool
) -> dict[str, Any]:
    out = directory / "copy.db"
    os.sync()
    if cold:
        drop(database)
    row["runs"] += 1
    with writing(database, rate) as measured:
        begin = time.monotonic()
        try:
            way(database, out)
        except subprocess.TimeoutExpired:
            pass
        else:
            row["copy"].append(time.monotonic() - begin)
            sync(out)
            row["on_disk"].append(time.monotonic() - begin)
    row["good"] += bool(row["copy"]) and good(out)
    for one in directory.glob("copy.db*"):
        one.unlink()
    return measured


def show(table: dict[str, dict[str, Any]], title: str) -> None:
    """Print one table."""
    print(
        f"\n{title}\n{'way':<22}{'copy':>9}{'x cp':>7}{'on disk':>10}{'x':>6}{'good':>8}{'slowest commit':>17}{'p99':>8}"
    )
    base = {key: statistics.median(table["cp"][key]) for key in ("copy", "on_disk")}
    for name, row in table.items():
        stall = f"{max(row['worst']):.0f} ms" if row["worst"] else ""
        p99 = f"{max(row['p99']):.1f} ms" if row["p99"] else ""
        if not row.get("copy"):
            never = f"never within {LIMIT:.0f} s" if name != "nothing" else ""
            print(f"{name:<22}{never:>32}{'':>8}{stall:>17}{p99:>8}")
            continue
        seen = {key: statistics.median(row[key]) for key in base}
        print(
            f"{name:<22}{seen['copy']:>7.2f} s{seen['copy'] / base['copy']:>7.2f}{seen['on_disk']:>8.2f} s"
            f"{seen['on_disk'] / base['on_disk']:>6.2f}{row['good']:>4} of {row['runs']}{stall:>14}{p99:>9}"
        )


class Memory:
    """The largest proportional set size of a process and its descendants, in MiB."""

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._pid = pid
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while os.path.exists(f"/proc/{self._pid}/stat"):
            family = [one.pid for one in proc.family(proc.table(), self._pid)]
            self.most = max(self.most, sum(_pss(pid) for pid in family) / 1024)
            time.sleep(0.05)


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("Pss:"))
    return 0


def module(options: dict[str, Any]) -> tuple[dict[str, Any], float, float]:
    """Run the module; return its result, its seconds and its memory in MiB."""
    begin = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
    ) as process:  # fmt: skip
        memory = Memory(process.pid)
        output = process.communicate(json.dumps(options))[0]
    seconds = time.monotonic() - begin
    result = json.loads(output)
    if result.get("failed"):
        raise SystemExit(f"bench: {result['msg']}")
    return result, seconds, memory.most


def many(database: Path, dest: Path, rate: float, runs: int, limit: float) -> dict[str, Any]:
    """Make whole backups beside a writer, then leave a writer alone for as long, at most ``limit``."""
    record: dict[str, Any] = {"copy": [], "total": [], "memory": [], "good": 0, "runs": runs}
    begin = time.monotonic()
    with writing(database, rate) as measured:
        for number in range(runs):
            before = writer.acked(database)
            result, seconds, memory = module({"path": str(database), "dest": str(dest), "verify": "quick", **ONE})
            commit = writer.state(Path(result["snapshot"]["path"]))
            record["good"] += before <= commit <= writer.acked(database) + 1
            record["copy"].append(result["snapshot"]["seconds"]["copy"])
            record["total"].append(seconds)
            record["memory"].append(memory)
            print(f"\r{number + 1} of {runs}, {record['good']} good", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    seconds = time.monotonic() - begin
    with writing(database, rate) as alone:
        time.sleep(min(seconds, limit))
    print(
        f"\nwhole backups beside {rate:.0f} commits a second: {record['good']} of {runs} good (quick_check, ledger), copy "
        f"{statistics.median(record['copy']):.2f} s (at most {max(record['copy']):.2f}), whole "
        f"{statistics.median(record['total']):.2f} s, memory at most {max(record['memory']):.0f} MiB"
    )
    for what, seen in (
        (f"beside them for {seconds:.0f} s", measured),
        (f"alone for {min(seconds, limit):.0f} s", alone),
    ):
        print(
            f"writer {what}: {seen['commits']} commits, slowest {', '.join(f'{one:.0f}' for one in seen['slowest'])} ms, p99 "
            f"{seen['p99']:.1f} ms"
        )
    return {**record, "beside": measured, "alone": alone, "seconds": seconds}


def backup_here(database: str, dest: str) -> str:
    """Back up by the function that the module calls, in a process that has all of it loaded."""
    options = {name: option.get("default") for name, option in OPTIONS.items()}
    options.update(path=database, dest=dest, service="", pidfile="", **ONE)
    result = run(options, Deadline(3600), silent, False, datetime.now(timezone.utc))
    assert not result.failed, result.failed
    return str(result.snapshots[0]["path"])


def check_alone(path: str) -> list[Any]:
    """Check as the backup does, with its cache and behind as much else."""
    os.nice(NICE)
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        connection.execute(f"PRAGMA cache_size = -{CACHE_MIB << 10}")
        return connection.execute("PRAGMA integrity_check").fetchall()


def against_the_check(database: Path, dest: Path, runs: int) -> dict[str, Any]:
    """Compare a whole backup with its full check against the check alone."""
    record: dict[str, Any] = {"function": [], "module": [], "check": [], "memory": []}
    for _run in range(runs):
        made = run_isolated(partial(backup_here, str(database), str(dest)), 3600)
        assert not made.error, made.error
        record["function"].append(made.seconds)
        result, seconds, memory = module({"path": str(database), "dest": str(dest), **ONE})
        record["module"].append(seconds)
        record["memory"].append(memory)
        checked = run_isolated(partial(check_alone, result["snapshot"]["path"]), 3600)
        assert checked.value == [["ok"]], checked.error
        record["check"].append(checked.seconds)
    seen = {key: statistics.median(record[key]) for key in ("function", "module", "check")}
    print(
        f"\nbackup with full check: function {seen['function']:.2f} s, module {seen['module']:.2f} s; PRAGMA integrity_check "
        f"alone {seen['check']:.2f} s: {seen['function'] / seen['check']:.2f} x, {seen['module'] / seen['check']:.2f} x; "
        f"memory at most {max(record['memory']):.0f} MiB"
    )
    return record


def main() -> int:
    """Measure, print the tables and write all samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=1000, help="size of the database")
    parser.add_argument("--rate", type=float, default=200, help="commits a second")
    parser.add_argument("--rounds", type=int, default=3, help="copies of each way")
    parser.add_argument("--checks", type=int, default=2, help="backups with a full check")
    parser.add_argument("--runs", type=int, default=20, help="whole backups beside the writer")
    parser.add_argument(
        "--alone", type=float, default=3600, help="at most so many seconds of a writer alone after them"
    )
    parser.add_argument("--place", default="/var/tmp", help="directory on the disk to measure")
    options = parser.parse_args()
    record: dict[str, Any] = {"options": vars(options), "cpus": os.cpu_count(), "load": os.getloadavg()}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.place) as name:
        directory = Path(name)
        database, dest = directory / "storage" / "learning.db", directory / "backups"
        database.parent.mkdir()
        dest.mkdir()
        # Not in here: a process that has held a gigabyte is slow to fork.
        subprocess.run([sys.executable, writer.__file__, "make", str(database), str(options.megabytes)], check=True)
        print(f"database of {database.stat().st_size / 1e6:.0f} MB in WAL mode, {os.cpu_count()} CPUs")
        rate, rounds, ways = options.rate, options.rounds, list(WAYS)
        record["alone"] = compare(database, directory, 0, rounds, ways)
        show(record["alone"], "nobody writes")
        record["cold"] = compare(database, directory, 0, rounds, ways[:2], cold=True)
        show(record["cold"], "nobody writes, the database is not in memory")
        record["writing"] = compare(database, directory, rate, rounds, ways)
        show(record["writing"], f"another process commits {rate:.0f} times a second")
        record["check"] = against_the_check(database, dest, options.checks)
        record["many"] = many(database, dest, rate, options.runs, options.alone)
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"all samples: {LATEST.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
