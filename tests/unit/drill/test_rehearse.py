# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsal of a restore, with an application that really serves what was restored, shut in."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bad_backups import fill, make_snapshot
from rehearsals import Site, findings, told

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill import kernel, stage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.cell import Cell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.plan import Start
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.run import rehearse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.source import moment_between
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

ROOT = Path(__file__).parents[3]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    fill(made.live)
    return made


@pytest.fixture
def snapshot(site: Site) -> str:
    return str(make_snapshot(site.live, site.directory / "backups"))


def tree(directory: Path) -> dict[str, str]:
    """Return a hash of each file below a directory."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_live_database_is_not_touched_and_nothing_is_left(site: Site, snapshot: str) -> None:
    before = tree(site.directory / "app")
    request = {"url": "http://127.0.0.1:5000/health", "method": "POST", "status": 200, "body": '"words": 301'}
    result = site.rehearse(source="snapshot", snapshot=snapshot, live=str(site.live), requests=[request])
    assert result["verdict"] == "passed", findings(result)
    assert result["served"] and result["rto_s"] >= result["seconds"]["restore"]
    assert told(result, "drill.answered").endswith("ms"), "it wrote a row into the copy"
    assert tree(site.directory / "app") == before and not site.left()


def test_it_reaches_nobody(site: Site, snapshot: str) -> None:
    """Neither a TCP server on this host, nor an abstract socket, nor one below /run, /tmp or a directory that is hidden."""
    hidden = site.directory / "sockets"
    hidden.mkdir()
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        closing(socket.socket(socket.AF_UNIX)) as unix,
        closing(socket.socket(socket.AF_UNIX)) as shown,
        tempfile.TemporaryDirectory() as short,
    ):
        unix.bind(f"{short}/redis.sock")
        unix.listen()
        shown.bind(str(hidden / "s"))
        shown.listen()
        reach = f"127.0.0.1:{tcp.getsockname()[1]} 192.0.2.1:80 unix:{short}/redis.sock unix:{hidden}/s"
        request = {"url": "http://127.0.0.1:5000/reach", "method": "GET", "status": 200, "body": "^(?!.*reached)"}
        result = site.rehearse(
            source="snapshot", snapshot=snapshot, environment={"REACH": reach}, requests=[request], hidden=[str(hidden)]
        )
    print(told(result, "drill.answered"))
    assert result["verdict"] == "passed", findings(result)


def test_it_writes_nowhere_else(site: Site, snapshot: str) -> None:
    place = Path("/etc/ops-drill-was-here") if os.geteuid() == 0 else Path.home() / "ops-drill-was-here"
    request = {"url": "http://127.0.0.1:5000/write", "method": "GET", "status": 200, "body": "Read-only file system"}
    result = site.rehearse(source="snapshot", snapshot=snapshot, environment={"WRITE": str(place)}, requests=[request])
    assert result["verdict"] == "passed", findings(result)
    assert not place.exists()


def test_two_take_the_same_port_as_the_live_one(site: Site, snapshot: str) -> None:
    """The network is its own: the live application keeps its port."""
    with taken(5000):
        assert site.rehearse(source="snapshot", snapshot=snapshot)["verdict"] == "passed"


def taken(port: int) -> Any:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return closing(socket.socket())  # something has it already, which is as good


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("crashes", "drill.served_not"),
        ("elsewhere", "drill.served_other"),
    ],
)
def test_an_application_that_does_not_serve_fails(site: Site, snapshot: str, mode: str, sentence: str) -> None:
    body = "" if mode == "elsewhere" else '"words": [1-9]'
    result = site.rehearse(
        source="snapshot", snapshot=snapshot, environment={"MODE": mode}, start_seconds=4.0, health_body=body
    )
    assert result["verdict"] == "failed" and result["rto_s"] is None and not result["served"]
    assert findings(result)["drill.served"] == (2, sentence)
    if mode == "crashes":
        evidence = next(one["evidence"] for one in result["checks"] if one["id"] == "drill.served")
        assert "configuration is missing" in evidence
    assert not site.left()


def test_rows_that_go_while_it_serves_fail(site: Site, snapshot: str) -> None:
    """A health page that touches nothing answers well of an emptied database."""
    result = site.rehearse(source="snapshot", snapshot=snapshot, environment={"MODE": "forgets"}, health_body="")
    assert result["verdict"] == "failed" and "vocabulary 0 < 300" in json.dumps(result["checks"])
    kept = site.rehearse(
        source="snapshot", snapshot=snapshot, environment={"MODE": "forgets"}, health_body="", shrinking=["vocabulary"]
    )
    assert kept["verdict"] == "passed", "tables that may shrink are left out"


def test_a_wrong_answer_fails(site: Site, snapshot: str) -> None:
    request = {"url": "http://127.0.0.1:5000/nothing", "method": "GET", "status": 200, "body": ""}
    result = site.rehearse(source="snapshot", snapshot=snapshot, requests=[request])
    assert result["verdict"] == "failed" and "expected 200" in told(result, "drill.answered")


def test_without_a_command_nothing_is_served(site: Site, snapshot: str) -> None:
    result = site.rehearse(source="snapshot", snapshot=snapshot, command=[])
    assert result["verdict"] == "passed" and not result["served"] and result["rto_s"] is None


def test_where_it_cannot_be_shut_in_it_is_not_started(
    site: Site, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(kernel, "leave", refuse)
    result = site.rehearse(source="snapshot", snapshot=snapshot)
    assert result["verdict"] == "inconclusive" and not result["served"]
    assert findings(result) == {"drill.isolated": (3, "drill.isolated_no")}
    assert not site.left()


def test_a_network_that_is_ours_is_no_isolation(site: Site, snapshot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = kernel.leave
    monkeypatch.setattr(kernel, "leave", lambda flags: real(flags & ~kernel.NEW_NETWORK))
    monkeypatch.setattr(kernel, "loopback_up", lambda: None)
    result = site.rehearse(source="snapshot", snapshot=snapshot)
    assert result["verdict"] == "failed" and findings(result) == {"drill.isolated": (2, "drill.isolated_leaks")}
    assert not result["served"]


def test_a_live_database_that_cannot_be_read_is_inconclusive(site: Site, snapshot: str) -> None:
    gone = str(site.directory / "gone.db")
    result = site.rehearse(source="snapshot", snapshot=snapshot, live=gone)
    assert result["verdict"] == "inconclusive" and findings(result)["drill.loss"] == (3, "drill.loss_unknown")


def test_a_place_that_others_can_write_to_is_refused(site: Site, snapshot: str) -> None:
    site.scratch.mkdir()
    site.scratch.chmod(0o777)
    with pytest.raises(OpsError, match="nobody else can write"):
        site.rehearse(source="snapshot", snapshot=snapshot)


def test_too_much_beside_the_database_is_not_copied(site: Site, snapshot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "MOST_BYTES", 10)
    result = site.rehearse(source="snapshot", snapshot=snapshot)
    assert result["verdict"] == "inconclusive" and "directory of its own" in told(result, "drill.served")


KILLED = """
import json, os, sys
from rehearsals import Site
from pathlib import Path
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.cell import Cell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.plan import Start
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.run import rehearse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
os.setpgid(0, 0)
print("go", flush=True)
rehearse(json.load(sys.stdin), Deadline(60))
print("done", flush=True)
"""


def descendants(mark: str) -> list[int]:
    """Return the processes that run the application of a place."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("number", range(int(os.environ.get("DRILL_KILLS", "3"))))
def test_killed_at_any_moment_nothing_runs_on_and_the_next_run_cleans_up(
    site: Site, snapshot: str, number: int
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    paths = [str(ROOT / ".tree"), str(Path(__file__).parent), str(Path(__file__).parent.parent / "sqlite")]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "go\n"
    process.stdin.write(json.dumps(site.spec(source="snapshot", snapshot=snapshot)))
    process.stdin.close()
    # A whole run takes a second; the moment is the point of this test.
    timer = threading.Timer(random.Random(seed).uniform(0.01, 1.2), lambda: os.kill(process.pid, signal.SIGKILL))
    timer.start()
    process.wait(30)
    timer.cancel()
    end = time.monotonic() + 10
    while descendants(str(site.live.parent / "code.py")):
        assert time.monotonic() < end, "the application outlived its run"
        time.sleep(0.02)
    left = site.left()
    result = site.rehearse(source="snapshot", snapshot=snapshot)
    assert result["verdict"] == "passed", findings(result)
    assert sorted(result["cleaned"]) == left and not site.left()


def test_two_at_once_are_refused(site: Site, snapshot: str) -> None:
    site.scratch.mkdir()
    with locked(site.scratch, "a drill"), pytest.raises(OpsError, match="another drill has to wait"):
        site.rehearse(source="snapshot", snapshot=snapshot)


def test_check_mode_restores_nothing(site: Site, snapshot: str) -> None:
    result = rehearse(site.spec(source="snapshot", snapshot=snapshot), Deadline(10), check_mode=True)
    assert result["changed"] and not site.scratch.exists()


@pytest.mark.parametrize("seed", range(20))
def test_a_moment_is_within_the_replica(seed: int) -> None:
    first, last = 1_000.7, 1_009.2
    moment = moment_between(first, last, seed)
    assert 1_001 <= moment <= 1_009 and moment == moment_between(first, last, seed)
    assert moment_between(first, first + 0.1, seed) == 1_001


def test_not_all_seeds_choose_the_same() -> None:
    assert len({moment_between(0.0, 1e6, seed) for seed in range(20)}) > 10


def test_the_application_is_there_at_once_and_is_ended(tmp_path: Path) -> None:
    """Its processes are asked for right after the start: none would mean that it has ended."""
    for _attempt in range(5):
        start = Start(["sleep", "600"], os.geteuid(), os.getegid(), "/", {"PATH": os.environ["PATH"]})
        cell = Cell(start, {}, [], tmp_path / "log", 30.0)
        with closing(cell):
            pids = cell.pids()
            assert len(pids) == 1 and cell.isolated
        assert not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)
