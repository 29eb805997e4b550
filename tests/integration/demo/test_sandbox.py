# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox comes up, is used again, and is mended, whatever an earlier run left."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from processes import Started, wait
from sandbox import Sandbox, SandboxError, fetch, sound

PORTS = {"nginx": 0, "gunicorn": 0, "redis": 0}


def test_a_second_up_uses_what_runs(sandbox: Sandbox) -> None:
    before = sandbox.processes()
    assert sandbox.up() is False
    assert sandbox.processes() == before


def test_a_dead_process_is_replaced_and_the_data_kept(sandbox: Sandbox) -> None:
    old = sandbox.processes()
    fetch(f"{sandbox.facts()['url']}/api/test", method="POST")
    os.kill(old["gunicorn"].pid, signal.SIGKILL)
    # Its workers live on for a moment and keep the port: the sandbox has to cope with that.
    assert wait(lambda: not old["gunicorn"].alive, 5)
    ports = sandbox.facts()["ports"]
    assert sandbox.up() is True
    assert all(process.alive for process in sandbox.processes().values())
    assert not old["redis"].alive
    assert set(sandbox.processes()) == set(old)
    assert sandbox.facts()["ports"]["redis"] == ports["redis"], "a port that is free again keeps its name in reports"
    assert sound(sandbox.database)


def test_a_switched_on_fault_does_not_survive_up(sandbox: Sandbox) -> None:
    sandbox.fault.write_text("http_500", encoding="utf-8")
    assert fetch(sandbox.facts()["url"])[0] == 500
    assert not sandbox.is_up()
    assert sandbox.up() is True
    assert not sandbox.fault.exists()
    assert "ERROR" not in (sandbox.logs / "gunicorn_error.log").read_text(encoding="utf-8")


def test_a_pid_that_belongs_to_a_stranger_is_left_alone(sandbox: Sandbox) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        facts = json.loads((sandbox.directory / "sandbox.json").read_text(encoding="utf-8"))
        real = sandbox.processes()["gunicorn"]
        facts["processes"]["gunicorn"] = {"pid": stranger.pid, "start": real.start}
        (sandbox.directory / "sandbox.json").write_text(json.dumps(facts), encoding="utf-8")
        assert not sandbox.is_up()
        sandbox.down()
        assert stranger.poll() is None
        stranger.kill()
    os.kill(real.pid, signal.SIGKILL)
    sandbox.up()


def test_down_ends_every_process_and_keeps_the_data(tmp_path: Path) -> None:
    box = Sandbox(tmp_path, PORTS)
    box.up()
    processes = box.processes()
    workers = [
        int(pid)
        for process in processes.values()
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    ]
    assert set(box.down()) == set(processes)
    assert not any(process.alive for process in processes.values())
    assert wait(lambda: not any(Path(f"/proc/{pid}/cwd").exists() for pid in workers), 5)
    assert sound(box.database)
    assert box.down() == []


def test_a_lost_database_is_made_again(tmp_path: Path) -> None:
    box = Sandbox(tmp_path, PORTS)
    box.up()
    box.down()
    box.database.write_bytes(b"")
    assert not sound(box.database)
    try:
        box.up()
        assert sound(box.database)
    finally:
        box.down()


def test_taken_ports_are_avoided(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        box = Sandbox(tmp_path, {"nginx": 0, "gunicorn": 0, "redis": port})
        box.up()
        try:
            assert box.facts()["ports"]["redis"] != port
        finally:
            box.down()


def test_on_a_bare_machine_the_wheel_is_the_cache_and_there_is_no_nginx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    box = Sandbox(tmp_path, PORTS)
    box.up()
    try:
        assert set(box.processes()) == {"redis", "gunicorn"}
        assert Path(f"/proc/{box.processes()['redis'].pid}/exe").resolve().name == "valkey-server"
        assert fetch(f"{box.facts()['url']}/health")[0] == 200
    finally:
        box.down()


def test_a_failed_start_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bin/redis-server"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'no memory for a cache' >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    box = Sandbox(tmp_path / "box", PORTS)
    with pytest.raises(SandboxError, match="redis does not come up"):
        box.up()
    assert box.processes() == {}


def test_what_is_found_on_it_looks_lived_in(sandbox: Sandbox) -> None:
    latest = sandbox.home / "backups/learning_latest.db"
    manifest = json.loads(Path(f"{latest.resolve()}.manifest.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == hashlib.sha256(latest.read_bytes()).hexdigest()
    age = datetime.now(timezone.utc) - datetime.fromisoformat(manifest["created"])
    assert timedelta(0) <= age < timedelta(hours=24)
    assert (sandbox.logs / "bilingual_tutor.log.1").exists()
    assert (sandbox.logs / "bilingual_tutor.log.2.gz").exists()
    errors = [
        line
        for path in sandbox.logs.glob("nginx_error.log")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "[error]" in line
    ]
    assert errors == []


def test_a_process_is_known_by_pid_and_start_time() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        ticks = int(Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        assert Started(process.pid, ticks).alive
        assert not Started(process.pid, ticks + 1).alive
        process.kill()
        assert wait(lambda: not Started(process.pid, ticks).alive, 5), "a zombie is not alive"
