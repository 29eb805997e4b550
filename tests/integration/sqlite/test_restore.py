# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sqlite_restore with a service that really runs: stopped, started, undone, and killed at random moments.

``RESTORE_KILLS=50 pytest tests/integration/sqlite/test_restore.py -k kill -s`` kills it 50 times.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from bad_backups import fill, make_snapshot

ROOT = Path(__file__).parents[3]
SYSTEMCTL = Path(__file__).with_name("systemctl.py")
KILLS = int(os.environ.get("RESTORE_KILLS", "10"))
HOST = "tutor1"
UNIT = "tutor.service"
REPLICATION = "litestream.service"
LITESTREAM = Path(sys.executable).with_name("litestream")
FILL = 3000
SECONDS = 30.0

# The application: has its database open, notes each start, and closes properly when told to end; creates what is missing.
APPLICATION = """
import os, signal, sqlite3, sys
def end(number, frame):
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE IF NOT EXISTS vocabulary (id INTEGER PRIMARY KEY, word TEXT)")
connection.execute("INSERT INTO users (name) VALUES ('started')")
try:
    while True:
        signal.pause()
finally:
    connection.close()
"""


class Service:
    """The application under its service manager, with a database that is a few words ahead of its snapshot."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.replica = directory, ""
        self.path = directory / "storage" / "learning.db"
        self.path.parent.mkdir()
        fill(self.path, FILL)
        self.snapshot = make_snapshot(self.path, directory / "backups", ".gz")
        self.units = directory / "units"
        self.state = self.add_unit(UNIT, [sys.executable, "-c", APPLICATION, str(self.path)])
        programs = directory / "bin"
        programs.mkdir()
        systemctl = programs / "systemctl"
        systemctl.write_text(f"#!{sys.executable}\n{SYSTEMCTL.read_text()}")
        systemctl.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        monkeypatch.setenv("STANDIN_SERVICE", str(self.units))
        self.start()

    def add_unit(self, name: str, command: list[str]) -> Path:
        """Declare a unit; return the directory of its state."""
        state = self.units / name
        state.mkdir(parents=True)
        (state / "command").write_text(json.dumps(command))
        return state

    def systemctl(self, *words: str) -> str:
        done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def start(self) -> None:
        self.systemctl("start", "--", UNIT)
        wait(lambda: self.pid in holders(self.path), "the application opens its database")
        self.learn("later")

    @property
    def pid(self) -> int:
        return self.pid_of(UNIT)

    def pid_of(self, unit: str) -> int:
        return int(self.systemctl("show", "--property=MainPID", "--", unit).partition("=")[2])

    def kill(self) -> None:
        """End the application without a chance to close its database."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        wait(lambda: self.pid != pid, "the application is gone")

    def learn(self, word: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=5)) as connection:
            connection.execute("INSERT INTO vocabulary (word) VALUES (?)", (word,))

    def faults(self, *words: str) -> None:
        (self.state / "faults").write_text("\n".join(words))

    def options(self, **more: Any) -> dict[str, Any]:
        spec = {
            "snapshot": str(self.snapshot),
            "path": str(self.path),
            "service": "tutor",
            "host": HOST,
            "confirm": HOST,
        }
        return {**spec, "settle": 15, **more}

    def end(self) -> None:
        self.faults()
        if self.pid:
            self.kill()


def wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {SECONDS:.0f} s until {what}"
        time.sleep(0.01)


def holders(path: Path) -> list[int]:
    """Return who has a file open, by the fuser of these tests."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.path.samestat(os.stat(link), os.stat(path)):
                found.append(int(link.parts[2]))
        except OSError:
            continue
    return found


def words(path: Path) -> list[str]:
    """Return the words learned after the snapshot, read from a copy of the whole set by the sqlite3 command."""
    with tempfile.TemporaryDirectory() as directory:
        for suffix in ("", "-wal"):
            one = path.with_name(path.name + suffix)
            if one.exists():
                shutil.copy(one, Path(directory) / f"copy{suffix}")
        query = f"SELECT word FROM vocabulary WHERE id > {FILL} ORDER BY id; PRAGMA integrity_check"
        done = subprocess.run(["sqlite3", f"{directory}/copy", query], capture_output=True, text=True, check=True)
    *found, verdict = done.stdout.split()
    assert verdict == "ok", done.stdout
    return found


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = Service(tmp_path, monkeypatch)
    yield made
    made.end()


def names(service: Service) -> list[str]:
    return sorted(path.name for path in service.path.parent.iterdir())


# ---------------------------------------------------------------- it works


def test_four_runs_with_a_service(service: Service, run_module: Any, returns_as_documented: Any) -> None:
    pid = service.pid
    planned = run_module("sqlite_restore", **service.options(), _ansible_check_mode=True)
    assert planned["changed"] and service.pid == pid and words(service.path) == ["later"]
    assert [check["id"] for check in planned["checks"] if check["status"]] == ["restore.restart"]
    done = run_module("sqlite_restore", **service.options())
    returns_as_documented("sqlite_restore", done)
    assert done["changed"] and service.pid not in (0, pid) and service.pid in holders(service.path)
    steps = [step["step"] for step in done["steps"]]
    assert steps == [step["step"] for step in planned["steps"]]
    assert steps == ["verify", "compare", "stage", "stop", "prove_free", "replace", "serve"]
    assert words(service.path) == [] and words(Path(done["previous_path"])) == ["later"]
    assert done["rows"]["vocabulary"] == {"before": FILL + 1, "after": FILL}
    # The application notes each start in its database, so that it is never the same again; without that it is.
    with closing(sqlite3.connect(service.path, isolation_level=None, timeout=5)) as connection:
        connection.execute("DELETE FROM users")
    for check in (False, True):
        again = run_module("sqlite_restore", **service.options(), _ansible_check_mode=check)
        assert not again["changed"] and again["previous_path"] == ""


def test_a_killed_application_and_its_wal(service: Service, run_module: Any) -> None:
    service.kill()
    assert service.path.with_name("learning.db-wal").stat().st_size > 0
    done = run_module("sqlite_restore", **service.options())
    assert done["changed"] and words(service.path) == [] and words(Path(done["previous_path"])) == ["later"]
    assert service.pid in holders(service.path)


def test_a_database_that_is_gone_under_a_running_service(service: Service, run_module: Any) -> None:
    for path in service.path.parent.iterdir():
        path.unlink()
    done = run_module("sqlite_restore", **service.options())
    assert done["changed"] and done["previous_path"] == "" and words(service.path) == []
    assert service.pid in holders(service.path)


# ---------------------------------------------------------------- it is undone


def serves_the_old(service: Service, failed: dict[str, Any], undone: bool) -> None:
    assert failed["failed"] and failed["undone"] is undone and not failed["changed"]
    assert service.pid in holders(service.path) and words(service.path) == ["later"]
    assert not [name for name in names(service) if "partial" in name or "before-restore" in name or ".json" in name]


def test_a_service_that_does_not_start_with_the_restored_database(service: Service, run_module: Any) -> None:
    service.faults(*(f"crash-on {inode}" for inode in free_inodes(service)))
    failed = run_module("sqlite_restore", **service.options())
    assert "systemctl start tutor.service" in failed["msg"] and "serves it" in failed["msg"]
    serves_the_old(service, failed, True)
    assert words(Path(failed["failed_path"])) == []
    bad = {check["id"]: check["message"] for check in failed["checks"] if check["status"] == 2}
    assert bad == {"restore.served": "restore.served_not", "restore.undone": "restore.undone_well"}


def free_inodes(service: Service) -> list[int]:
    """Name every inode but that of the present database: the one of the restored file is among them."""
    present = service.path.stat().st_ino
    return [number for number in range(present - 20_000, present + 20_000) if number != present]


@pytest.fixture
def health() -> Iterator[Any]:
    """A health page that answers with the status it is told."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked()  # type: ignore[attr-defined]
            self.send_response(server.status)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    server.status = 200  # type: ignore[attr-defined]
    server.asked = lambda: None  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_health_page_that_does_not_answer(service: Service, run_module: Any, health: Any) -> None:
    url = f"http://127.0.0.1:{health.server_address[1]}/health"
    health.status = 503
    failed = run_module("sqlite_restore", **service.options(health_url=url, settle=1))
    assert "is not healthy (status 503" in failed["msg"]
    serves_the_old(service, failed, True)
    health.status = 200
    assert run_module("sqlite_restore", **service.options(health_url=url))["changed"]


def test_a_service_that_cannot_be_stopped_to_undo(service: Service, run_module: Any, health: Any) -> None:
    """The restored database stays in use, the former one is named, and the next run puts it back before it begins."""
    url = f"http://127.0.0.1:{health.server_address[1]}/health"
    health.status, health.asked = 503, lambda: service.faults("deaf")
    failed = run_module("sqlite_restore", **service.options(health_url=url, settle=1))
    assert "could not be undone" in failed["msg"] and "By hand: stop tutor.service" in failed["msg"]
    assert failed["changed"] and words(Path(failed["previous_path"])) == ["later"] and words(service.path) == []
    service.faults()
    service.learn("meanwhile")
    done = run_module("sqlite_restore", **service.options())
    assert not done.get("failed"), done.get("msg")
    assert words(service.path) == [] and words(Path(done["previous_path"])) == ["later"]
    (kept,) = [path for path in service.path.parent.iterdir() if ".failed-restore-" in path.name]
    assert words(kept) == ["meanwhile"], "what was written to the restored one is not thrown away"


def test_a_service_that_does_not_stop(service: Service, run_module: Any) -> None:
    pid = service.pid
    service.faults("deaf")
    failed = run_module("sqlite_restore", **service.options())
    assert "systemctl stop" in failed["msg"] and "Nothing was replaced" in failed["msg"]
    serves_the_old(service, failed, False)
    assert service.pid == pid


def test_somebody_else_has_it_open(service: Service, run_module: Any) -> None:
    """A forgotten shell: the service, which was stopped to find out, is started again."""
    with subprocess.Popen(
        ["sqlite3", str(service.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdin and shell.stdout
        print("SELECT count(*) FROM users;", file=shell.stdin, flush=True)
        shell.stdout.readline()
        failed = run_module("sqlite_restore", **service.options())
        assert f"still open in pid {shell.pid} (sqlite3)" in failed["msg"]
        serves_the_old(service, failed, False)
        shell.stdin.close()
    assert run_module("sqlite_restore", **service.options())["changed"]


def test_an_undoing_that_fails_is_finished_by_the_next_run(service: Service, run_module: Any) -> None:
    """The service does not start at all: the former database is back, and what is left to do is told and kept."""
    service.faults("start")
    failed = run_module("sqlite_restore", **service.options())
    assert failed["failed"] and failed["changed"] and not failed["undone"]
    assert "could not be undone" in failed["msg"] and "is the former database; start tutor.service" in failed["msg"]
    assert words(service.path) == ["later"] and service.pid == 0
    bad = {check["id"]: check["message"] for check in failed["checks"] if check["status"] == 2}
    assert bad == {"restore.served": "restore.served_not", "restore.undone": "restore.undone_badly"}
    service.faults()
    done = run_module("sqlite_restore", **service.options())
    assert not done.get("failed"), done.get("msg")
    assert [step["step"] for step in done["steps"]][0] == "recover" and words(service.path) == []
    assert words(Path(done["previous_path"])) == ["later"] and service.pid in holders(service.path)


def test_the_wrong_path_is_refused(service: Service, run_module: Any, tmp_path: Path) -> None:
    decoy = fill(tmp_path / "decoy.db", 5)
    pid = service.pid
    failed = run_module("sqlite_restore", **service.options(path=str(decoy)))
    assert f"it has {service.path} open" in failed["msg"] and service.pid == pid


# ---------------------------------------------------------------- point in time, with Litestream


@pytest.fixture
def replicated(service: Service) -> Iterator[Service]:
    """Let Litestream replicate the database beside the application, to a directory."""
    service.replica = f"file://{service.directory}/replica"
    service.add_unit(REPLICATION, [str(LITESTREAM), "replicate", str(service.path), service.replica])
    service.systemctl("start", "--", REPLICATION)
    yield service
    service.systemctl("stop", "--", REPLICATION)


def replica_holds(service: Service, word: str) -> bool:
    """Ask the replica itself, by its own program and the sqlite3 command."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "copy"
        command = [str(LITESTREAM), "restore", "-o", str(copy), service.replica]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0 and word in words(copy)


def a_second_later() -> str:
    """Wait until the clock shows another second; moments are told apart by no less."""
    stamp = time.time()
    wait(lambda: int(time.time()) > int(stamp) + 1, "the next second")
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())


def test_back_to_a_moment(replicated: Service, run_module: Any) -> None:
    """What was written after it is gone, Litestream is stopped for it, and goes on with the restored database."""
    service = replicated
    wait(lambda: replica_holds(service, "later"), "the replica has what was there")
    moment = a_second_later()
    a_second_later()
    service.learn("mistake")
    wait(lambda: replica_holds(service, "mistake"), "the replica has the mistake")
    point = {"timestamp": moment, "replica": service.replica, "binary": str(LITESTREAM)}
    options = service.options(litestream=point, floors={"vocabulary": FILL})
    del options["snapshot"]
    failed = run_module("sqlite_restore", **options)
    assert "still open in" in failed["msg"] and "(litestream)" in failed["msg"] and words(service.path)[-1] == "mistake"
    options["stop_also"] = ["litestream"]
    before, files = service.pid_of(REPLICATION), names(service)
    planned = run_module("sqlite_restore", **options, _ansible_check_mode=True)
    assert planned["changed"] and names(service) == files and service.pid_of(REPLICATION) == before
    done = run_module("sqlite_restore", **options)
    assert done["changed"] and not done.get("failed"), done.get("msg")
    assert words(service.path) == ["later"] and words(Path(done["previous_path"]))[-1] == "mistake"
    assert service.pid in holders(service.path) and service.pid_of(REPLICATION) not in (0, before)
    service.learn("after")
    wait(lambda: replica_holds(service, "after"), "the replica goes on")
    assert not replica_holds(service, "mistake")
    assert not [name for name in names(service) if "scratch" in name or "partial" in name or ".json" in name]


@pytest.mark.parametrize(
    ("point", "match"),
    [
        ({"timestamp": "2020-01-01T00:00:00Z"}, "goes back to that moment"),
        ({"timestamp": "2999-01-01T00:00:00Z"}, "is to come"),
        ({"timestamp": "2026-11-23 02:00:00"}, "with its zone"),
        ({"timestamp": "2020-01-01T00:00:00Z", "binary": "/no/litestream"}, "not installed"),
        ({"timestamp": "2020-01-01T00:00:00Z", "replica": "sftp://user:secret@127.0.0.1:1/x"}, "did not restore"),
    ],
)
def test_a_moment_that_cannot_be_had(replicated: Service, run_module: Any, point: dict[str, str], match: str) -> None:
    service = replicated
    point = {"replica": service.replica, "binary": str(LITESTREAM), **point}
    options = service.options(litestream=point, stop_also=["litestream"])
    del options["snapshot"]
    pid = service.pid
    failed = run_module("sqlite_restore", **options)
    assert match in failed["msg"] and "secret" not in json.dumps(failed) and service.pid == pid
    assert not [name for name in names(service) if "scratch" in name or "partial" in name or ".json" in name]


# ---------------------------------------------------------------- it is killed


RUN = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bilingual_tutor.ops.plugins.modules import sqlite_restore
with patch_module_args(json.load(sys.stdin)):
    sqlite_restore.main()
"""


def start_restore(service: Service) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
        start_new_session=True,
    )
    assert process.stdin
    json.dump(service.options(), process.stdin)
    process.stdin.close()
    return process


def test_killed_at_random_moments(service: Service, run_module: Any) -> None:
    """After each kill the old set or the new one is whole, and the next run finishes what was left.

    The next run is told what was left; the one after it restores once more, so that each round begins alike.
    """
    begun = time.monotonic()
    assert run_module("sqlite_restore", **service.options())["changed"]
    longest = time.monotonic() - begun
    seed = int(os.environ.get("RESTORE_SEED", "0")) or random.SystemRandom().randrange(10**6)
    dice = random.Random(seed)
    print(f"seed {seed}, a restore takes {longest:.2f} s")
    seen: dict[str, int] = {}
    for number in range(KILLS):
        for path in service.path.parent.iterdir():
            if "before-restore" in path.name:
                path.unlink()
        service.learn(f"word-{number}")
        with_wal = number % 3 == 0
        if with_wal:
            service.kill()
        known = words(service.path)
        assert known[-1] == f"word-{number}"
        process = start_restore(service)
        time.sleep(dice.uniform(0.1, longest))  # the moment is what this is about
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()
        left = service.path.parent / f".{service.path.name}.restore.json"
        state = json.loads(left.read_text())["state"] if left.exists() else "none"
        seen[state] = seen.get(state, 0) + 1
        asides = [path for path in service.path.parent.iterdir() if path.name.rpartition("-")[2] not in ("wal", "shm")]
        sets = [words(path) for path in asides if path.suffix != ".partial" and path.suffix != ".json"]
        assert known in sets, f"round {number}, state {state}: {names(service)}: {sets}"
        # A child of the killed run may hold the lock until it sees that its parent is gone.
        end = time.monotonic() + SECONDS
        while True:
            again = run_module("sqlite_restore", **service.options())
            if "in use by" not in again.get("msg", "") or time.monotonic() > end:
                break
        assert not again.get("failed"), f"round {number}, state {state}: {again.get('msg')}"
        recovered = [check["message"] for check in again["checks"] if check["id"] == "restore.recovered"]
        assert bool(recovered) == (state != "none")
        wait(lambda: service.pid in holders(service.path), "the application serves")
        assert words(service.path) == []
        kept = [path for path in service.path.parent.iterdir() if "before-restore" in path.name]
        sets = [words(path) for path in kept if not path.name.endswith(("-wal", "-shm"))]
        assert known in sets, f"round {number}, state {state}: {names(service)}: {sets}"
        assert not [name for name in names(service) if "partial" in name or ".json" in name]
    print(f"killed {KILLS} times, in the states {dict(sorted(seen.items()))}: nothing lost")
