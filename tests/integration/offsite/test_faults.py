# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies off the host when the far end is full, read-only, gone or silent, when a run is killed, and when two run at once.

Each engine has to fail plainly, leave the snapshots here alone, take no half copy for a whole one, and go on afterwards.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.run import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    SUFFIX,
    describe,
    manifest_path,
    read_manifest,
    sha256,
    write_manifest,
)

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("OPS_OFFSITE_KILLS", "4"))
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
DEFAULTS: dict[str, Any] = {
    "repository": None, "password_file": None, "environment": {}, "create": False, "host": "tutor1", "keep": {},
    "destination": None, "delete": False, "ssh_key": None, "known_hosts": None, "ssh_port": None, "check": "metadata",
    "read_data_subset": "100%", "deadline": 60.0, "thresholds": {},
}  # fmt: skip
NAMES = [f"learning_2026112{number}T180000Z.db" for number in range(3)]


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Three snapshots of 4 MB that restic cannot compress."""
    directory = tmp_path / "backups"
    directory.mkdir()
    for age, name in enumerate(reversed(NAMES)):
        make(directory / name, age)
    return directory


def make(path: Path, days: float) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE vocabulary (word BLOB)")
        connection.execute("INSERT INTO vocabulary VALUES (randomblob(4000000))")
        connection.commit()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600 - 86400 * days))
    write_manifest(path, describe(path, path, "/live.db", created))


class Far:
    """One engine with a far end in a directory."""

    def __init__(self, engine: str, place: Path) -> None:
        self.engine, self.there = engine, place / "far"
        self.there.mkdir()
        if engine == "rsync":
            self.options = {"engine": "rsync", "destination": str(self.there)}
            return
        password = place / "password"
        password.write_text("only for this test")
        password.chmod(0o600)
        self.options = {
            "engine": "restic",
            "repository": str(self.there / "repository"),
            "password_file": str(password),
        }
        self.options["create"] = True

    def whole(self, scratch: Path) -> set[str]:
        """Return the snapshots somebody could take from there, by the tool itself; each has to be what its manifest says."""
        place = self.there
        if self.engine == "restic":
            if not Path(str(self.options["repository"]), "config").exists():
                return set()
            environment = {
                **os.environ,
                "RESTIC_REPOSITORY": str(self.options["repository"]),
                "RESTIC_PASSWORD_FILE": str(self.options["password_file"]),
            }
            words = ["restic", "--no-lock", "snapshots", "--json"]
            told = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
            if not json.loads(told):
                return set()
            shutil.rmtree(scratch, ignore_errors=True)
            words = ["restic", "--no-lock", "restore", "latest", "--target", str(scratch)]
            subprocess.run(words, env=environment, capture_output=True, check=True)
            place = scratch
        found = set()
        for manifest in place.rglob(f"*{SUFFIX}"):
            path = manifest.with_name(manifest.name[: -len(SUFFIX)])
            assert path.exists(), f"{manifest.name} has no snapshot there"
            said = read_manifest(path)
            assert said and sha256(path) == said.sha256, f"{path.name} is half a copy with a manifest"
            found.add(path.name)
        return found


@pytest.fixture(params=["restic", "rsync"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Far:
    if not shutil.which(request.param):
        pytest.skip(f"no {request.param} on this machine")
    return Far(request.param, tmp_path)


def copy(path: Path, far: Far, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    result = run({**DEFAULTS, "path": str(path), **far.options, **options}, check_mode)
    for data in result["checks"]:
        found = Check.from_dict(data)
        for locale in ("en", "zh"):
            assert "{" not in AREA.sentences[found.message].render(locale, found.words)
    return result


def status(result: dict[str, Any], check_id: str) -> Status:
    (found,) = [Status(check["status"]) for check in result["checks"] if check["id"] == check_id]
    return found


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def mounted() -> Iterator[Callable[[Path, str], None]]:
    places: list[Path] = []

    def mount(where: Path, options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=755", "tmpfs", str(where)], check=True)
        places.append(where)

    yield mount
    for where in reversed(places):
        subprocess.run(["umount", "-l", str(where)], check=True)


@root_only
def test_full(backups: Path, far: Far, tmp_path: Path, mounted: Any) -> None:
    mounted(far.there, "size=7m")
    before = contents(backups)
    with pytest.raises(OpsError, match="(?i)no space left"):
        copy(backups, far)
    assert contents(backups) == before
    assert far.whole(tmp_path / "scratch") <= set(NAMES)
    subprocess.run(["mount", "-o", "remount,size=60m", str(far.there)], check=True)
    copy(backups, far)
    assert far.whole(tmp_path / "scratch") == set(NAMES)
    assert status(copy(backups, far, check="read_data"), "offsite.check") is Status.OK


@root_only
def test_read_only(backups: Path, far: Far, mounted: Any) -> None:
    mounted(far.there, "ro,size=60m")
    before = contents(backups)
    with pytest.raises(OpsError, match="(?i)read-only file system"):
        copy(backups, far)
    assert contents(backups) == before
    assert not list(far.there.iterdir())


def test_the_far_directory_is_gone(backups: Path, far: Far, tmp_path: Path) -> None:
    """A directory that is not there is never made: it would be on the disk below the one that was not mounted."""
    copy(backups, far)
    far.there.rename(tmp_path / "unplugged")
    for check_mode in (True, False):
        with pytest.raises(OpsError, match="repository there|the directory"):
            copy(backups, far, check_mode, create=False)
    assert not far.there.exists()
    (tmp_path / "unplugged").rename(far.there)
    assert not copy(backups, far, create=False)["changed"]


def test_a_far_directory_that_is_a_link(backups: Path, far: Far, tmp_path: Path) -> None:
    """An operator's link is followed, by both engines; what is elsewhere there stays."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs").write_text("theirs")
    far.there.rmdir()
    far.there.symlink_to(elsewhere)
    copy(backups, far, delete=True)
    assert far.there.is_symlink() and (elsewhere / "theirs").read_text() == "theirs"
    assert far.whole(tmp_path / "scratch") == set(NAMES)


def test_a_backup_directory_that_is_a_link(backups: Path, far: Far, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(backups)
    copy(link, far)
    assert far.whole(tmp_path / "scratch") == set(NAMES)
    assert not copy(backups, far)["changed"], "they are the same snapshots by either name"


def test_snapshots_removed_meanwhile(backups: Path, far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removes one by hand between the look and the copy."""
    from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite import run as offsite

    find = offsite.find

    def found(directory: str) -> Any:
        result = find(directory)
        (backups / NAMES[0]).unlink()
        manifest_path(backups / NAMES[0]).unlink()
        return result

    monkeypatch.setattr(offsite, "find", found)
    with pytest.raises(OpsError, match=f"(?s){far.engine}"):
        copy(backups, far)
    monkeypatch.undo()
    assert far.whole(tmp_path / "scratch") <= set(NAMES)
    copy(backups, far)
    assert far.whole(tmp_path / "scratch") >= set(NAMES[1:])


def test_the_clock_was_stepped_back(backups: Path, far: Far) -> None:
    """A snapshot from the future would look fresh until the clock has come there."""
    make(backups / "learning_20261201T180000Z.db", -5)
    result = copy(backups, far)
    assert status(result, "offsite.age") is Status.WARNING
    assert status(copy(backups, far, check_mode=True), "offsite.age") is Status.WARNING


COPY = """
import json, sys
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.run import run
options = json.load(sys.stdin)
print("begun", flush=True)
run(options, False)
"""


def start(backups: Path, far: Far) -> subprocess.Popen[str]:
    """Begin a copy in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", COPY],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
    )  # fmt: skip
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps({**DEFAULTS, "path": str(backups), **far.options}))
    process.stdin.close()
    process.stdin = None
    assert process.stdout.readline() == "begun\n"
    return process


def test_killed_at_random_moments(backups: Path, far: Far, tmp_path: Path) -> None:
    """With all it had started, as an out-of-memory kill or a power loss does; the next run needs no help."""
    seed = int(os.environ.get("OPS_SEED", str(time.time_ns() % 1_000_000)))
    print(f"OPS_SEED={seed}")
    chance = random.Random(seed)
    begin = time.monotonic()
    copy(backups, far)
    usual = time.monotonic() - begin
    before = contents(backups)
    for _kill in range(KILLS):
        shutil.rmtree(far.there)
        far.there.mkdir()
        process = start(backups, far)
        deadline = time.monotonic() + chance.uniform(0, usual)
        with_end = max(0.0, deadline - time.monotonic())
        try:
            process.wait(with_end)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream
            stream.close()
        assert contents(backups) == before
        far.whole(tmp_path / "scratch")
        try:
            result = copy(backups, far)
        except OpsError as exc:
            said = str(exc)
        else:
            said = ""
            assert status(result, "offsite.check") is Status.OK
            assert far.whole(tmp_path / "scratch") == set(NAMES)
        if said:
            # Half a repository, killed while it was made, holds nothing; it is told and not repaired.
            assert far.engine == "restic" and "repository" in said, said
            shutil.rmtree(far.there)
            far.there.mkdir()
            copy(backups, far)
    assert status(copy(backups, far, check="read_data"), "offsite.check") is Status.OK


def test_two_at_once(backups: Path, far: Far, tmp_path: Path) -> None:
    make(backups / "learning_20261126T180000Z.db", 0)
    copy(backups, far)
    for name in ("learning_20261127T180000Z.db", "learning_20261128T180000Z.db"):
        make(backups / name, 0)
    running = [start(backups, far) for _number in range(2)]
    for process in running:
        _output, said = process.communicate(timeout=60)
        assert process.returncode == 0 or "OpsError" in said, said
    assert any(process.returncode == 0 for process in running)
    assert far.whole(tmp_path / "scratch") == {path.name for path in backups.glob("*.db")}
    assert status(copy(backups, far, check="read_data"), "offsite.check") is Status.OK


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word, as behind a firewall that lost its state."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def over_ssh(far: Far, port: int, tmp_path: Path) -> dict[str, Any]:
    known = tmp_path / "known_hosts"
    known.touch()
    options: dict[str, Any] = {"known_hosts": str(known), "ssh_port": port}
    if far.engine == "rsync":
        return {**options, "destination": "ops@127.0.0.1:/srv/far"}
    return {**options, "repository": f"sftp://ops@127.0.0.1:{port}//srv/far", "create": False}


def test_nobody_listens(backups: Path, far: Far, tmp_path: Path) -> None:
    before = contents(backups)
    begin = time.monotonic()
    with pytest.raises(OpsError, match="Connection refused.*be reached"):
        copy(backups, far, **over_ssh(far, closed_port(), tmp_path))
    assert time.monotonic() - begin < 20
    assert contents(backups) == before


def test_a_far_end_that_is_silent(backups: Path, far: Far, tmp_path: Path, silent: int) -> None:
    """The deadline ends it, and nothing that was started stays."""
    begin = time.monotonic()
    with pytest.raises(OpsError):
        copy(backups, far, **over_ssh(far, silent, tmp_path), deadline=3.0)
    assert time.monotonic() - begin < 15
    marks = [f"{tmp_path}/known_hosts".encode()]
    end = time.monotonic() + 10
    while any(mark in line for line in commands() for mark in marks):
        assert time.monotonic() < end, "an ssh of an ended run is left"
        time.sleep(0.05)


def commands() -> list[bytes]:
    """Return the command lines of all other processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.parent.name != str(os.getpid()):
            try:
                found.append(path.read_bytes())
            except OSError:
                continue
    return found
