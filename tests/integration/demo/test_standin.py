# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in application behaves as the real one does, and misbehaves when told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import wait
from sandbox import Sandbox, fetch


@pytest.fixture
def app(sandbox: Sandbox) -> str:
    """The application's own address, without nginx."""
    return f"http://127.0.0.1:{sandbox.facts()['ports']['gunicorn']}"


@pytest.fixture
def fault(sandbox: Sandbox) -> Iterator[Path]:
    yield sandbox.fault
    sandbox.fault.unlink(missing_ok=True)


@pytest.fixture
def no_redis(sandbox: Sandbox) -> Iterator[None]:
    """Redis hangs, as after SIGSTOP."""
    pid = sandbox.processes()["redis"].pid
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


def raw(app: str, seconds: float, limit: int) -> bytes:
    """Ask for the start page; return what came within the time and limit."""
    host, port = app.removeprefix("http://").split(":")
    got, end = b"", time.monotonic() + seconds
    with closing(socket.create_connection((host, int(port)), timeout=seconds)) as client:
        client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        while len(got) < limit and (left := end - time.monotonic()) > 0:
            client.settimeout(left)
            try:
                piece = client.recv(65536)
            except TimeoutError:
                break
            if not piece:
                break
            got += piece
    return got


def test_start_page(app: str) -> None:
    status, body = fetch(f"{app}/")
    assert status == 200
    assert "双语导师系统" in body


def test_health_looks_at_database_and_cache(app: str) -> None:
    status, body = fetch(f"{app}/health")
    assert status == 200
    answer = json.loads(body)
    assert (answer["status"], answer["database"], answer["cache"]) == ("healthy", "ok", "ok")
    assert answer["vocabulary"] >= 1


def test_api_test_writes_a_row_that_others_see(app: str, sandbox: Sandbox) -> None:
    status, body = fetch(f"{app}/api/test", method="POST")
    assert status == 200
    with closing(sqlite3.connect(sandbox.database)) as connection:
        row = connection.execute("SELECT id FROM sessions WHERE token = ?", (json.loads(body)["token"],)).fetchone()
    assert row == (json.loads(body)["id"],)


def test_a_mark_is_a_row_each_time_and_tells_who_made_it(app: str, sandbox: Sandbox) -> None:
    """Served twice it is there twice: the table must not hide that."""
    for name in ("m1-a", "m1-a", "m2-a"):
        status, body = fetch(f"{app}/api/marks?id={name}", method="POST")
        made = json.loads(body)
        assert (status, made["id"], made["node"], made["epoch"]) == (200, name, os.uname().nodename, 0)
    status, body = fetch(f"{app}/api/marks?prefix=m1-")
    told = f"{os.uname().nodename} 0"
    assert (status, json.loads(body)["marks"]) == (200, [["m1-a", told], ["m1-a", told]])
    assert fetch(f"{app}/api/marks?id=", method="POST")[0] == 400


def test_unknown_paths_and_methods_are_not_found(app: str) -> None:
    assert fetch(f"{app}/nothing")[0] == 404
    assert fetch(f"{app}/api/test")[0] == 404


def test_a_healthy_system_has_no_users_and_runs_in_wal_mode(sandbox: Sandbox) -> None:
    with closing(sqlite3.connect(sandbox.database)) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_each_worker_has_the_database_open_and_nobody_the_decoy(sandbox: Sandbox) -> None:
    master = sandbox.processes()["gunicorn"].pid
    workers = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="utf-8").split()
    assert len(workers) == 2
    for worker in workers:
        targets = {os.path.realpath(link) for link in Path(f"/proc/{worker}/fd").iterdir()}
        assert str(sandbox.database) in targets
        assert str(sandbox.home / "data/learning.db") not in targets
    assert (sandbox.home / "data/learning.db").stat().st_size == 0


def test_slow_queries_are_logged_twice_in_the_error_log(app: str, sandbox: Sandbox) -> None:
    assert fetch(f"{app}/api/slow?ms=234")[0] == 200

    def lines(name: str) -> list[str]:
        text = (sandbox.logs / name).read_text(encoding="utf-8")
        return [line for line in text.splitlines() if "慢查询检测: get_due_reviews 耗时 0.23" in line]

    assert wait(lambda: bool(lines("bilingual_tutor.log")), 5)
    assert len(lines("bilingual_tutor.log")) == 1
    first, second = lines("gunicorn_error.log")
    assert first == second


def test_without_redis_it_serves_and_says_so(app: str, sandbox: Sandbox, no_redis: None) -> None:
    status, body = fetch(f"{app}/health")
    assert status == 200
    assert json.loads(body)["status"] == "degraded"
    assert fetch(f"{app}/")[0] == 200
    assert "连接Redis失败" in (sandbox.logs / "bilingual_tutor.log").read_text(encoding="utf-8")


def test_redis_is_used_and_limited(sandbox: Sandbox) -> None:
    redis = pytest.importorskip("redis")
    client = redis.Redis(port=sandbox.facts()["ports"]["redis"], decode_responses=True)
    assert wait(
        lambda: fetch(f"{sandbox.facts()['url']}/")[0] == 200 and client.exists("bilingual_tutor:page:home"), 10
    )
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}


def test_a_database_that_is_no_database_fails_deep_health_only(sandbox: Sandbox, tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "box", {"nginx": 0, "gunicorn": 0, "redis": 0})
    box.up()
    try:
        # A running worker lives on its page cache: the damage shows when it starts anew.
        for suffix in ("-wal", "-shm"):
            box.database.with_name(box.database.name + suffix).unlink(missing_ok=True)
        box.database.write_bytes(b"not a database" * 1000)
        os.kill(box.processes()["gunicorn"].pid, signal.SIGHUP)
        app = f"http://127.0.0.1:{box.facts()['ports']['gunicorn']}"
        assert wait(lambda: fetch(f"{app}/health")[0] == 503, 10)
        assert fetch(f"{app}/api/health")[0] == 200
        error = "数据库连接错误: file is not a database"
        assert wait(lambda: error in (box.logs / "gunicorn_error.log").read_text(encoding="utf-8"), 5)
        assert error not in (box.logs / "bilingual_tutor.log").read_text(encoding="utf-8")
    finally:
        box.down()


def test_fault_http_500(app: str, fault: Path) -> None:
    fault.write_text("http_500\n", encoding="utf-8")
    assert fetch(f"{app}/api/health")[0] == 500
    fault.unlink()
    assert fetch(f"{app}/api/health")[0] == 200


def test_fault_redirect_loop(app: str, fault: Path) -> None:
    fault.write_text("redirect_loop", encoding="utf-8")
    with pytest.raises(urllib.error.HTTPError, match="infinite loop"):
        urllib.request.urlopen(f"{app}/", timeout=5)


def test_fault_endless_body_goes_on(app: str, fault: Path) -> None:
    fault.write_text("endless_body", encoding="utf-8")
    assert len(raw(app, seconds=20, limit=20_000_000)) >= 20_000_000


def test_fault_slow_drip_gives_a_little_and_never_ends(app: str, fault: Path) -> None:
    fault.write_text("slow_drip", encoding="utf-8")
    head, _sep, body = raw(app, seconds=4.0, limit=1000).partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert 1 <= body.count(b".") <= 9


def test_fault_slow_answers_late(app: str, fault: Path) -> None:
    fault.write_text("slow 0.7", encoding="utf-8")
    started = time.monotonic()
    assert fetch(f"{app}/api/health")[0] == 200
    assert time.monotonic() - started >= 0.7


def test_a_mistyped_fault_is_told(app: str, fault: Path) -> None:
    fault.write_text("htp_500", encoding="utf-8")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{app}/", timeout=5)
    assert "unknown fault 'htp_500'" in caught.value.read().decode()
