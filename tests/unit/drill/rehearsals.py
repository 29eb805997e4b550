# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rehearsals with a small application that serves a database over HTTP."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.run import rehearse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

# For the application, which finds /tmp empty: one whose files are nowhere below it, wherever the tests are run from.
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else os.path.realpath(sys.executable)
# Serves the database at DB_PATH, which it makes anew when it is missing, as the real application does. It writes a log and
# tells what it can reach: the addresses given as REACH.
APPLICATION = """
import http.server, json, os, socket, sqlite3, sys
path = os.environ["DB_PATH"]
connection = sqlite3.connect(path, isolation_level=None)
connection.execute("CREATE TABLE IF NOT EXISTS vocabulary (word TEXT)")
mode = os.environ.get("MODE", "")
if mode == "forgets":
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("DELETE FROM vocabulary")
if mode == "elsewhere":
    connection.close()
if mode == "crashes":
    sys.exit("configuration is missing")
with open(os.environ["LOG"], "w") as log:
    log.write("started")

def reach(where):
    host, port = where.rsplit(":", 1)
    try:
        if host == "unix":
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(port)
        else:
            socket.create_connection((host, int(port)), 1).close()
        return "reached"
    except OSError as exc:
        return type(exc).__name__

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            words = 0 if mode == "elsewhere" else connection.execute("SELECT count(*) FROM vocabulary").fetchone()[0]
            found = {"status": "healthy", "words": words}
        elif self.path == "/reach":
            found = [reach(one) for one in os.environ.get("REACH", "").split()]
        elif self.path == "/write":
            try:
                open(os.environ["WRITE"], "w").close()
                found = "written"
            except OSError as exc:
                found = exc.strerror
        else:
            self.send_error(500)
            return
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        connection.execute("INSERT INTO vocabulary (word) VALUES ('canary')")
        self.do_GET()
    def log_message(self, *words):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "5000"))), Handler).serve_forever()
"""
DEFAULTS: dict[str, Any] = {
    "name": "", "moment": None, "arrive": 5.0, "seed": None, "live": None, "floors": {}, "queries": [],
    "schema_of": None, "schema_sha256": None, "level": "full", "thresholds": {}, "service": "", "directory": "/",
    "user": "", "environment": {}, "writable": [], "hidden": [], "health_url": "http://127.0.0.1:5000/health",
    "health_body": '"words": [1-9]', "start_seconds": 10.0, "requests": [], "shrinking": [], "command": [],
    "binary": str(Path(sys.executable).with_name("litestream")),
}  # fmt: skip


class Site:
    """A host with a live database, the application's code beside it, and a place for drills."""

    port = 0

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.live = directory / "app" / "storage" / "learning.db"
        self.live.parent.mkdir(parents=True)
        (self.live.parent / "code.py").write_text(APPLICATION)
        self.logs, self.scratch = directory / "app" / "logs", directory / "drill"
        self.logs.mkdir()

    def spec(self, **more: Any) -> dict[str, Any]:
        """Return the options of a rehearsal that starts the application."""
        environment = {"DB_PATH": str(self.live), "LOG": str(self.logs / "app.log"), **more.pop("environment", {})}
        return {
            **DEFAULTS,
            "path": str(self.live),
            "scratch": str(self.scratch),
            "command": [PYTHON, str(self.live.parent / "code.py")],
            "environment": environment,
            "writable": [str(self.logs)],
            **more,
        }

    def rehearse(self, **more: Any) -> dict[str, Any]:
        """Do one rehearsal here."""
        return rehearse(self.spec(**more), Deadline(60))

    def left(self) -> list[str]:
        """Return what lies in the place for drills."""
        return sorted(os.listdir(self.scratch)) if self.scratch.exists() else []


def findings(result: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Return status and sentence of what is neither OK nor skipped, by id."""
    return {one["id"]: (one["status"], one["message"]) for one in result["checks"] if one["status"] not in (0, 4)}


def told(result: dict[str, Any], check_id: str) -> str:
    """Return what a check said."""
    return next(one["summary"] for one in result["checks"] if one["id"] == check_id)


def copy(source: Path, target: Path) -> Path:
    """Copy a tree."""
    shutil.copytree(source, target)
    return target
