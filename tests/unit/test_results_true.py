# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules return what their RETURN says: one run of each, in the order in which a shift uses them.

redis_stats needs a server and does the same in tests/integration/redis.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from contextlib import closing

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import envelope
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import describe, write_manifest


@pytest.fixture
def health(run_module):
    """Look at a port that is listened on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = [{"port": server.getsockname()[1], "scope": "loopback"}]
        return run_module("service_health", probes=[{"kind": "port", "ports": ports}])


@pytest.fixture
def recorded(health, run_module, tmp_path):
    """Record what was found, as a shift does; return the options that name the ledger and the result."""
    record = envelope.make_envelope(health, "tutor1", "run-1", "morning", health["started"], {})
    where = {"ledger": str(tmp_path / "ledger.db")}
    return where, run_module("ops_record", **where, kind="check.run", subject="tutor1", run_id="run-1", data=record)


def test_service_health(health, returns_as_documented):
    assert health["checks"]
    returns_as_documented("service_health", health)


def test_ops_record(recorded, returns_as_documented):
    returns_as_documented("ops_record", recorded[1])


@pytest.mark.parametrize("options", [{"verify": True}, {"kind": ["check.run"], "select": "[].subject"}])
def test_ops_query(recorded, options, run_module, returns_as_documented):
    result = run_module("ops_query", **recorded[0], **options)
    assert result["selected" if "select" in options else "events"]
    returns_as_documented("ops_query", result)


def test_ops_report(recorded, run_module, tmp_path, returns_as_documented):
    result = run_module("ops_report", **recorded[0], dest=str(tmp_path / "report"))
    assert result.get("paths"), result
    returns_as_documented("ops_report", result)


def test_temp_clean(run_module, tmp_path, returns_as_documented):
    litter = tmp_path / "upload-bilingual-1"
    litter.write_text("litter", encoding="utf-8")
    result = run_module("temp_clean", paths=[str(tmp_path)], owners=[str(os.getuid())])
    assert result["kept"], "a young file stays, and is told"
    returns_as_documented("temp_clean", result)


def test_sqlite_maintenance(run_module, tmp_path, returns_as_documented):
    path = tmp_path / "learning.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE vocabulary (word TEXT)")
    result = run_module("sqlite_maintenance", path=str(path), actions=["integrity_check", "analyze"])
    assert result["actions"]["analyze"]["result"] == "done"
    returns_as_documented("sqlite_maintenance", result)


@pytest.mark.parametrize("more", [{}, {"_ansible_check_mode": True}, {"files": ["/etc/hostname"], "compress": "gzip"}])
def test_sqlite_backup(more, run_module, tmp_path, returns_as_documented):
    database = tmp_path / "learning.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE vocabulary (word TEXT)")
    result = run_module("sqlite_backup", path=str(database), dest=str(tmp_path / "backups"), create_dest=True, **more)
    assert result["snapshot"], result
    returns_as_documented("sqlite_backup", result)


def test_sqlite_backup_verify(run_module, tmp_path, returns_as_documented):
    result = run_module("sqlite_backup_verify", path=str(tmp_path / "none.db"))
    assert result["checks"] and not result["ok"], "a snapshot that is not there is a finding"
    returns_as_documented("sqlite_backup_verify", result)


@pytest.mark.skipif(not shutil.which("rsync"), reason="no rsync on this machine")
def test_backup_offsite(run_module, tmp_path, returns_as_documented):
    far = tmp_path / "far"
    far.mkdir()
    snapshot = tmp_path / "snapshot.db"
    with closing(sqlite3.connect(snapshot)) as connection:
        connection.execute("CREATE TABLE vocabulary (word TEXT)")
    write_manifest(snapshot, describe(snapshot, snapshot, "/live.db", "2026-11-23T02:00:00Z"))
    (tmp_path / "other.db").write_bytes(b"no backup")
    result = run_module("backup_offsite", path=str(tmp_path), engine="rsync", destination=str(far))
    assert result["copied"] == ["snapshot.db"] and result["left"]
    returns_as_documented("backup_offsite", result)


def test_sqlite_restore(run_module, tmp_path, returns_as_documented):
    with closing(sqlite3.connect(tmp_path / "snapshot.db")) as connection:
        connection.execute("CREATE TABLE vocabulary (word TEXT)")
    snapshot = tmp_path / "snapshot.db"
    write_manifest(snapshot, describe(snapshot, snapshot, "/live.db", "2026-11-23T02:00:00Z"))
    result = run_module("sqlite_restore", snapshot=str(snapshot), path=str(tmp_path / "learning.db"))
    assert result["steps"] and result["checks"]
    returns_as_documented("sqlite_restore", result)


def test_ops_epoch(run_module, tmp_path, returns_as_documented):
    for options in (
        {},
        {"state": "raise", "epoch": 3, "primary": "tutor1", "_ansible_check_mode": True},
        {"state": "raise", "epoch": 3, "primary": "tutor1"},
    ):
        result = run_module("ops_epoch", state_dir=str(tmp_path), **options)
        returns_as_documented("ops_epoch", result)
        assert result["epoch"] == (3 if options else 0) and result["changed"] == bool(options)
    refused = run_module("ops_epoch", state_dir=str(tmp_path), state="raise", epoch=3, primary="tutor2")
    assert refused["failed"] and "above 3" in refused["msg"]


def test_ops_fence(run_module, tmp_path, returns_as_documented):
    where = {
        "host": "tutor1",
        "config": str(tmp_path / "none"),
        "state_dir": str(tmp_path / "state"),
        "run_dir": str(tmp_path / "run"),
    }
    run_module("ops_epoch", state_dir=where["state_dir"], state="raise", epoch=3, primary="tutor1")
    for state, epoch in (("granted", 3), ("fenced", None), ("granted", 3), ("fenced", 3), ("unfenced", 3)):
        for check in (True, False):
            result = run_module("ops_fence", state=state, epoch=epoch, _ansible_check_mode=check, **where)
            returns_as_documented("ops_fence", result)
            assert result["changed"] and result["after"]["state"] == state
        for check in (True, False):
            again = run_module("ops_fence", state=state, epoch=epoch, _ansible_check_mode=check, **where)
            assert not again["changed"] and again["after"] == result["after"]


def test_failover_look(run_module, tmp_path, returns_as_documented):
    where = {"root": str(tmp_path), "config": str(tmp_path / "none"), "state_dir": str(tmp_path)}
    result = run_module(
        "failover_look", host="tutor1", peers=[{"name": "a", "address": "127.0.0.1", "port": 1}], **where
    )
    assert not result["changed"] and result["look"]["errors"] == {}
    returns_as_documented("failover_look", result)


@pytest.mark.skipif(not shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin"), reason="no nginx here")
def test_ops_traffic(run_module, tmp_path, returns_as_documented):
    """Without a running nginx, which tests/unit/traffic has: what is written is for its start."""
    (tmp_path / "tutor-ops").mkdir()
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log; events {{ }}\n"
        f"http {{ access_log off; include {tmp_path}/tutor-ops/upstream.conf; }}\n"
    )
    where = {"directory": str(tmp_path / "tutor-ops"), "config": str(tmp_path / "nginx.conf")}
    where["pidfile"] = str(tmp_path / "nginx.pid")
    for check, changed in ((True, True), (False, True), (False, False), (True, False)):
        result = run_module("ops_traffic", state="maintenance", _ansible_check_mode=check, **where)
        returns_as_documented("ops_traffic", result)
        assert result["changed"] == changed and result["after"]["file_mode"] == "maintenance"
    refused = run_module("ops_traffic", state="serving", upstream="10.0.0.1", **where)
    assert refused["failed"] and "nginx does not run" in refused["msg"]


def test_ops_lock(run_module, tmp_path, returns_as_documented):
    where = {"state_dir": str(tmp_path), "controller": "station1"}
    for run_id, state, check, changed in (
        ("run-1", "held", True, True),
        ("run-1", "held", False, True),
        ("run-1", "held", False, False),
        ("run-1", "free", True, True),
        ("run-1", "free", False, True),
        ("run-1", "free", False, False),
    ):
        result = run_module("ops_lock", state=state, run_id=run_id, _ansible_check_mode=check, **where)
        returns_as_documented("ops_lock", result)
        assert result["changed"] == changed, (state, check)
        if (check, state) == (False, "held"):
            refused = run_module("ops_lock", state="held", run_id="run-2", **where)
            assert refused["failed"] and "run run-1 of station1" in refused["msg"]
            assert run_module("ops_lock", state="free", run_id="run-2", **where)["failed"]
    run_module("ops_lock", state="held", run_id="run-1", expires_s=0, **where)
    assert run_module("ops_lock", state="held", run_id="run-2", **where)["before"]["run_id"] == "run-1", (
        "its time is over"
    )


def test_ops_failover(run_module, tmp_path, returns_as_documented):
    hosts = {"application": ["tutor1", "tutor2"], "proxies": [], "witnesses": []}
    asked = {"mode": "switchover", "target": "tutor2", "run_id": "run-1"}
    options = {"hosts": hosts, "request": asked, "settings": {"controller": "x", "database": "/x", "service": "x"}}
    judged = run_module("ops_failover", state="judge", dest=str(tmp_path), options=options, looks={})
    returns_as_documented("ops_failover", judged)
    returns_as_documented("ops_failover", run_module("ops_failover", state="ended", dest=str(tmp_path), looks={}))
    assert (judged["act"], judged["outcome"]) == (False, "refused")
    closed = run_module("ops_failover", state="close", judged=judged)
    assert closed.pop("failed") and closed["checks"], "a run that is refused fails, and says as much as another"
    returns_as_documented("ops_failover", closed)
