# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look at a host: what is there, what is not, what cannot be told; and nothing is left behind."""

from __future__ import annotations

import http.server
import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch, fence, grant
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look import application, copies, peers
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.run import look

OWNER = 1234


@pytest.fixture
def host(tmp_path: Path) -> dict[str, Any]:
    """A host without units that serves in epoch 3; returns the options that name its parts."""
    for name in ("storage", "etc", "state", "run", "replica", "app"):
        (tmp_path / name).mkdir()
    database = tmp_path / "storage" / "learning.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA user_version = 7")
        connection.execute("CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT)")
    if os.geteuid() == 0:
        for path in (database.parent, database):
            os.chown(path, OWNER, OWNER)
    told = {
        "host": "tutor1",
        "database": str(database),
        "state_dir": str(tmp_path / "state"),
        "run_dir": str(tmp_path / "run"),
    }
    (tmp_path / "etc" / "fencing.json").write_text(json.dumps(told))
    epoch.raise_to(tmp_path / "state", epoch.Record(3, "tutor1", "now", "run-1"))
    grant.write(tmp_path / "run", 3, "run-1")
    return {
        "config": str(tmp_path / "etc" / "fencing.json"),
        **dict.fromkeys(("host", "database", "units", "stop_timeout", "state_dir", "run_dir", "python", "backup_dir")),
        "service": "",
        "root": str(tmp_path / "app"),
        "secret_files": [],
        "quick_check": 5.0,
        "replication_home": str(tmp_path / "replica"),
        "replication_service": "tutor-ops-replication.service",
        "replication_epoch_file": str(tmp_path / "etc" / "epoch"),
        "backup_patterns": ["*.db"],
        "peers": [],
        "peer_timeout": 0.5,
        "deadline": 12.0,
    }


def tree(top: Path) -> dict[str, tuple[int, int, int, int]]:
    """Return what a look must leave as it was, of each file below a directory."""
    found = {}
    for path in sorted(top.rglob("*")):
        seen = path.lstat()
        found[str(path)] = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_uid)
    return found


def test_a_host_that_serves(host, tmp_path):
    before = tree(tmp_path)
    seen = look(host)
    assert seen["errors"] == {}
    assert seen["host"] == "tutor1" and seen["epoch"] == {
        "epoch": 3, "primary": "tutor1", "since": "now", "run_id": "run-1",
    }  # fmt: skip
    assert seen["fence"]["state"] == "granted" and seen["bound"] == Config("x").bound
    inside = seen["database"]
    assert inside["exists"] and inside["quick"] == "ok" and inside["user_version"] == 7
    assert inside["journal_mode"] == "wal" and len(inside["schema_hash"]) == 64
    assert seen["free_bytes"] > 0 and 0 <= seen["clock"] - seen["at"] < 12 and abs(seen["clock"] - time.time()) < 12
    for nothing in ("lock", "lease", "replication", "replica", "backup", "proxy"):
        assert seen[nothing] is None, nothing
    assert tree(tmp_path) == before, "a look changes nothing"


def test_a_database_that_is_used_is_looked_at_with_its_log(host, tmp_path):
    with closing(sqlite3.connect(host["database"] or tmp_path / "storage" / "learning.db")) as connection:
        connection.execute("CREATE TABLE more (x)")
        connection.commit()
        seen = look(host)["database"]
        (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        assert count == 2 and seen["quick"] == "ok"
    assert look(host)["database"]["schema_hash"] == seen["schema_hash"], "the log was seen"


def test_a_fenced_host_is_looked_at_through_the_shut_directory(host, tmp_path):
    """Also with a log that waits: the application was killed, and nobody may open its database."""
    storage = tmp_path / "storage"
    config = Config.read(host["config"])
    fence.Fencing(config).fence(4, "run-2", "test")
    assert storage.stat().st_mode & 0o777 == 0
    before = tree(tmp_path)
    seen = look(host)
    assert seen["errors"] == {} and seen["fence"]["state"] == "fenced" and seen["fence"]["fenced_epoch"] == 4
    assert seen["database"]["quick"] == "ok"
    assert tree(tmp_path) == before


def test_no_host_of_a_fence(host, tmp_path):
    """A witness has an epoch and no configuration of a fence, an application's host may have neither."""
    host.update(config=str(tmp_path / "none"), state_dir=str(tmp_path / "state"), host="witness")
    seen = look(host)
    assert seen["errors"] == {} and seen["epoch"]["epoch"] == 3
    assert [seen[name] for name in ("fence", "lease", "bound", "database", "free_bytes")] == [None] * 5


def test_what_cannot_be_told_says_why_and_fails_nothing(host, tmp_path):
    (tmp_path / "state" / "epoch.json").write_text("{")
    (tmp_path / "state" / "run.json").write_text("[]")
    (tmp_path / "storage" / "learning.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8176)
    (tmp_path / "etc" / "epoch").write_text("nonsense")
    seen = look(host)
    assert set(seen["errors"]) == {"epoch", "lock", "database", "replication", "replica"}, seen["errors"]
    assert "damaged" in seen["errors"]["epoch"] and seen["epoch"] is None
    assert seen["database"]["exists"] and seen["database"]["quick"] is None
    assert seen["fence"]["state"] == "granted"


def test_a_configuration_that_is_wrong(host):
    Path(host["config"]).write_text('{"host": "tutor1", "ttl": "soon"}')
    seen = look(host)
    assert "seconds" in seen["errors"]["fence"] and seen["fence"] is None and seen["bound"] is None


def test_the_lock_and_the_lease(host, tmp_path):
    told = {"run_id": "run-9", "controller": "ops1", "since": "2026-11-23T02:00:00Z", "expires": 1.5, "more": 1}
    (tmp_path / "state" / "run.json").write_text(json.dumps(told))
    (tmp_path / "run" / "lease.json").write_text(json.dumps({"state": "renew", "renewed": grant.boottime() - 2}))
    seen = look(host)
    del told["more"]
    assert seen["lock"] == told
    assert seen["lease"]["state"] == "renew" and 2 <= seen["lease"]["age"] < 12


def test_a_database_that_is_not_there_or_empty(host, tmp_path):
    database = tmp_path / "storage" / "learning.db"
    database.write_bytes(b"")
    assert look(host)["database"]["bytes"] == 0
    database.unlink()
    seen = look(host)
    assert seen["database"] == {**dict.fromkeys(seen["database"]), "path": str(database), "exists": False}
    assert not database.exists()


# ---------------------------------------------------------------- the application


def test_secrets_are_compared_and_never_told(host, tmp_path):
    app = tmp_path / "app"
    (app / "web").mkdir()
    (app / "web" / "app.py").write_text("print(1)\n")
    assert look(host)["application"]["secret_sha256"] is None
    (app / ".env").write_text("DEBUG=0\nSECRET_KEY='horse staple'\n")
    seen = look(host)
    first = seen["application"]["secret_sha256"]
    assert len(first) == 64 and "staple" not in json.dumps(seen)
    (tmp_path / "etc" / "environment").write_text("SECRET_KEY=horse staple\n")
    assert look({**host, "secret_files": [str(tmp_path / "etc" / "environment")]})["application"][
        "secret_sha256"
    ] == first  # fmt: skip
    (app / ".env").write_text("SECRET_KEY=other\n")
    assert look(host)["application"]["secret_sha256"] != first


def test_the_version_is_that_of_the_code(tmp_path):
    seen = []
    for content in ("one", "one", "two"):
        (tmp_path / "app.py").write_text(content)
        for other in ("storage", "venv", "logs", ".git"):
            (tmp_path / other).mkdir(exist_ok=True)
            (tmp_path / other / "x.py").write_text(str(len(seen)))
        told = application.application(str(tmp_path), "", "", [])
        seen.append(told["version"] if told else None)
    assert seen[0] == seen[1] != seen[2] and len(str(seen[0])) == 12
    (tmp_path / "VERSION").write_text("1.4.0\n")
    told = application.application(str(tmp_path), "", "", [])
    assert told and told["version"] == f"1.4.0+{seen[2]}"
    assert application.application(str(tmp_path / "none"), "", "", []) is None


# ---------------------------------------------------------------- copies


def test_the_replica_is_of_the_epoch_in_force_or_older(host, tmp_path):
    for number in (2, 3, 4):
        (tmp_path / "replica" / "data" / f"epoch-{number:04d}" / "ltx").mkdir(parents=True)
    (tmp_path / "replica" / "data" / "epoch-9x").mkdir()
    seen = look(host)["replica"]
    assert seen["epoch"] == 3 and seen["path"].endswith("epoch-0003") and not seen["chain_unbroken"]
    assert seen["newest_txid"] is None
    (tmp_path / "replica" / "data" / "epoch-0003" / "ltx").rmdir()
    (tmp_path / "replica" / "data" / "epoch-0003").rmdir()
    assert look(host)["replica"]["epoch"] == 2


def test_the_epoch_to_send_for(tmp_path):
    path = tmp_path / "epoch"
    assert copies.sent_epoch(str(path)) is None
    path.write_text(copies.epoch_text(12))
    assert path.read_text() == "REPLICATION_EPOCH=0012\n" and copies.sent_epoch(str(path)) == 12


# ---------------------------------------------------------------- peers


@pytest.fixture
def web() -> Iterator[str]:
    """A web server that is healthy under /health."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 503)
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_peers_are_asked_side_by_side(host, web):
    """One says hello, one takes the call and is silent, one refuses: together no longer than one of them alone."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as hello:

        def greet() -> None:
            connection, _address = hello.accept()
            with connection:
                connection.sendall(b"SSH-2.0-test\r\n")

        threading.Thread(target=greet, daemon=True).start()
        local = {"address": "127.0.0.1", "url": ""}
        host["peers"] = [
            {"name": "good", "port": hello.getsockname()[1], **local, "url": f"{web}/health"},
            {"name": "sick", "port": silent.getsockname()[1], **local, "url": f"{web}/"},
            {"name": "mute", "port": silent.getsockname()[1], **local, "url": f"http://127.0.0.1:{silent.getsockname()[1]}/"},
            {"name": "gone", "port": 1, **local, "url": "http://127.0.0.1:1/"},
        ]  # fmt: skip
        begin = time.monotonic()
        seen = {one["name"]: (one["ssh"], one["http"]) for one in look(host)["peers"]}
        took = time.monotonic() - begin
    silence = "no answer within 0.5 s"
    assert seen == {
        "good": ("ok", 200),
        "sick": (silence, 503),
        "mute": (silence, silence),
        "gone": ("Connection refused", "Connection refused"),
    }
    assert took < 4 * 0.5, "one after the other would take longer"


def test_a_peer_with_a_url_that_is_none(host):
    host["peers"] = [{"name": "x", "address": "127.0.0.1", "port": 1, "url": "https://127.0.0.1/"}]
    seen = look(host)
    assert "expected http://" in seen["peers"][0]["http"] and seen["errors"] == {}
    assert peers.answer({"name": "x", "url": ""}, 1.0) is None
