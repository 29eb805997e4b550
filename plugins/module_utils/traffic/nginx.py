# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx as the role traffic lays it out: what its file says, what its workers answer, which of them are old."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import CommandTimeout, run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable

SERVING, MAINTENANCE = "serving", "maintenance"
FILE = "upstream.conf"
SETTINGS = "site.json"
PORT, PING_PORT = 80, 8766
PING = "/tutor-ops/ping"
TEST_SECONDS = 10.0
ASK_SECONDS = 1.0
ANSWER_BYTES = 8192
WORKER = "nginx: worker process"
LEAVING = f"{WORKER} is shutting down"
_TOLD = re.compile(r"^# state: (serving|maintenance)(?: (\S+))?$", re.MULTILINE)
_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z")

# Maps, since a server block may be asked for its mode before it knows where a request goes. The one that stops requests is
# volatile: nginx comes back to the server's rules with the page of the maintenance, and would find the value it kept.
_TEMPLATE = """\
# Written by ops_traffic; a change by hand is undone by its next run.
# state: {told}
map $host $tutor_ops_mode {{ default "{mode}"; }}
map $host $tutor_ops_upstream {{ default "{upstream}"; }}
map $uri $tutor_ops_stop {{
    volatile;
    default "{stop}";
    /tutor-ops/maintenance.html "";
    /tutor-ops/ping "";
}}
upstream tutor_ops {{
    server {server};
}}
"""


@dataclass(frozen=True)
class Traffic:
    """Where requests go: to an upstream (ADDRESS, or ADDRESS:PORT), or to the page of the maintenance."""

    mode: str
    upstream: str = ""

    def text(self, port: int = PORT) -> str:
        """Return the file that makes nginx do so; ``port`` is that of an upstream without one."""
        serving = self.mode == SERVING
        return _TEMPLATE.format(
            told=f"{self.mode} {self.upstream}".strip(),
            mode=self.mode,
            upstream=self.upstream,
            stop="" if serving else "1",
            # One upstream: when it fails there is no other to go to, and it must be asked again at once.
            server=f"{':'.join(split(self.upstream, port))} max_fails=0" if serving else "127.0.0.1:9 down",
        )


def parse(text: str) -> Traffic | None:
    """Return what a file of ours says; None for any other."""
    found = _TOLD.search(text)
    return Traffic(found[1], found[2] or "") if found else None


def split(text: str, port: int = PORT) -> tuple[str, str]:
    """Return host and port of an address, a name, or either with a port; raise OpsError for what nginx could not use."""
    name, _colon, number = text.rpartition(":")
    if not name or "]" in number or (":" in name and not name.startswith("[")):
        name, number = text, str(port)
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        address = ipaddress.ip_address(bare)
        name = f"[{address}]" if address.version == 6 else str(address)
    except ValueError:
        if not _NAME.match(name):
            raise OpsError(f"upstream is {text!r}: expected an address or a name, with or without :PORT") from None
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise OpsError(f"upstream is {text!r}: its port is {number!r}, expected 1 to 65535")
    return name, str(int(number))


def upstream(text: str, port: int = PORT) -> str:
    """Return an upstream as it is told: with its port only where that is another one than usual."""
    name, number = split(text, port)
    return name if number == str(port) else f"{name}:{number}"


@dataclass(frozen=True)
class Site:
    """Where nginx has its things."""

    directory: Path = Path("/etc/nginx/tutor-ops")
    config: Path = Path("/etc/nginx/nginx.conf")
    pidfile: Path = Path("/run/nginx.pid")

    def _setting(self, name: str, default: int) -> int:
        """Return a port that the role wrote down, so that whoever calls the module need not know it."""
        path = self.directory / SETTINGS
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))[name])
        except FileNotFoundError:
            return default
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise OpsError(f"{path} cannot be read: {exc!r}. The role traffic writes it") from exc

    @property
    def port(self) -> int:
        """The port of an upstream that is told without one."""
        return self._setting("upstream_port", PORT)

    @property
    def ping_port(self) -> int:
        """The port on loopback at which nginx tells what it does."""
        return self._setting("ping_port", PING_PORT)

    @property
    def file(self) -> Path:
        return self.directory / FILE

    @property
    def laid_out(self) -> bool:
        """Tell whether the role traffic has been here."""
        return self.file.exists()

    def put(self, text: str) -> None:
        """Write the file as a whole; empty is none."""
        if text:
            durable.write(self.file, text)
        else:
            durable.remove(self.file)

    def read(self) -> str:
        """Return the file, empty before there is one; raise OpsError where the role has not been."""
        try:
            if not self.directory.is_dir():
                raise OpsError(f"there is no {self.directory}: expected it to be laid out by the role traffic")
            return self.file.read_text(encoding="utf-8") if self.laid_out else ""
        except OSError as exc:
            raise OpsError(f"{self.file}: {exc.strerror}") from exc

    def test(self) -> str:
        """Return what `nginx -t` complains about, empty when it accepts the configuration."""
        try:
            output = run(["nginx", "-t", "-q", "-c", str(self.config)], TEST_SECONDS)
        except CommandTimeout as exc:
            return str(exc)  # it looks up the names in its files, and a resolver may hang
        if output.rc == 0:
            return ""
        # The last line only says that it failed; the one with [emerg] says why.
        lines = [line.strip() for line in output.stderr.splitlines() if line.strip()]
        told = [line for line in lines if "[emerg]" in line] or lines or [f"exit status {output.rc}"]
        return told[0]

    def master(self) -> int | None:
        """Return the number of the master process; None when nginx does not run."""
        try:
            pid = int(self.pidfile.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            return None
        return pid if proc.cmdline(pid).startswith("nginx: master process") else None

    def workers(self, master: int) -> list[proc.Process]:
        """Return the worker processes, old and new."""
        return [one for one in proc.table().values() if one.ppid == master and proc.cmdline(one.pid).startswith(WORKER)]

    def ask(self, seconds: float = ASK_SECONDS) -> Traffic | None:
        """Return what a worker says of itself; None when none answers as the role's would."""
        try:
            with socket.create_connection(("127.0.0.1", self.ping_port), timeout=seconds) as connection:
                connection.sendall(f"GET {PING} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                seen, end = b"", time.monotonic() + seconds
                while len(seen) < ANSWER_BYTES and time.monotonic() < end:
                    chunk = connection.recv(ANSWER_BYTES)
                    if not chunk:
                        break
                    seen += chunk
        except OSError:
            return None
        head = seen.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        fields = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in head)}
        mode = fields.get("x-tutor-mode", "")
        return Traffic(mode, fields.get("x-tutor-upstream", "")) if mode in (SERVING, MAINTENANCE) else None


def leaving(worker: proc.Process) -> bool:
    """Tell whether a worker takes no new requests and only ends those it has."""
    return proc.cmdline(worker.pid).startswith(LEAVING)


def alive(worker: proc.Process) -> bool:
    """Tell whether exactly this process is still there; one that only waits to be collected is not."""
    now = proc.process(worker.pid)
    return now is not None and now.identity == worker.identity and now.state not in "ZX"


@dataclass(frozen=True)
class Seen:
    """What there is to see: what runs, what the file says, whether nginx would start with it."""

    running: bool
    now: Traffic | None
    file: Traffic | None
    complaint: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data; ``mode`` and ``upstream`` are of the workers, of the file where none runs."""
        told = self.now if self.running else self.file
        return {
            "mode": told.mode if told else None,
            "upstream": told.upstream if told else None,
            "file_mode": self.file.mode if self.file else None,
            "file_upstream": self.file.upstream if self.file else None,
            "running": self.running,
            "config_ok": not self.complaint,
            "config_error": self.complaint,
        }


def observe(site: Site) -> Seen:
    """Look at everything that belongs to the traffic; raise OpsError where the role traffic has not been."""
    file = parse(site.read())
    running = site.master() is not None
    return Seen(running, site.ask() if running else None, file, site.test())
