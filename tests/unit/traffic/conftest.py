# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real nginx on loopback, laid out by the templates of the role, and two upstreams behind it."""

from __future__ import annotations

import http.client
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.traffic import nginx

jinja2 = pytest.importorskip("jinja2")
yaml = pytest.importorskip("yaml")

ROLE = Path(__file__).resolve().parents[3] / "roles" / "traffic"
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
MAIN = """\
daemon off;
worker_processes 2;
pid {top}/nginx.pid;
error_log {top}/error.log;
{user}
include {top}/modules-enabled/*.conf;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {top}/body;
    proxy_temp_path {top}/proxy;
    fastcgi_temp_path {top}/fastcgi;
    uwsgi_temp_path {top}/uwsgi;
    scgi_temp_path {top}/scgi;
    include {top}/conf.d/*.conf;
}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(what: str, condition: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


class Upstream(http.server.ThreadingHTTPServer):
    """Says which one it is, and counts; a request of /slow is answered when it is let go."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        self.name, self.hits, self.let_go = name, 0, threading.Event()
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        self.server.hits += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/slow":
            self.server.let_go.wait(30)
        body = self.server.name.encode()
        self.send_response(503 if self.path == "/busy" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *words: object) -> None:
        """Say nothing."""


class Proxy:
    """nginx with its files in a directory of the test."""

    def __init__(self, top: Path) -> None:
        self.top, self.port, self.ping = top, free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        top.chmod(0o755)
        for name in ("conf.d", "modules-enabled", "tutor-ops"):
            (top / name).mkdir()
        user = "user root;" if os.geteuid() == 0 else ""
        (top / "nginx.conf").write_text(MAIN.format(top=top, user=user))
        for source, name in (
            ("main.conf", "modules-enabled/60-tutor-ops.conf"),
            ("tutor-ops.conf", "conf.d/tutor-ops.conf"),
            ("pages.conf", "tutor-ops/pages.conf"),
            ("maintenance.html", "tutor-ops/maintenance.html"),
            ("site.json", "tutor-ops/site.json"),
        ):
            (top / name).write_text(self.rendered(source + ".j2"))

    def rendered(self, name: str) -> str:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True, undefined=jinja2.StrictUndefined
        )
        told = {
            **yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8")),
            "ansible_managed": "test",
            "traffic_proxy": True,
            "traffic_listen": [f"127.0.0.1:{self.port}"],
            "traffic_ping_port": self.ping,
            "__traffic_dir": str(self.top / "tutor-ops"),
            "__traffic_include": f"include {self.top}/tutor-ops/pages.conf;",
        }
        return environment.get_template(name).render(told)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "directory": str(self.top / "tutor-ops"),
            "config": str(self.top / "nginx.conf"),
            "pidfile": str(self.top / "nginx.pid"),
            "upstream": None,
            "run_id": "",
            "deadline": 5.0,
            "drain": 3.0,
        }

    @property
    def site(self) -> nginx.Site:
        return nginx.Site(self.top / "tutor-ops", self.top / "nginx.conf", self.top / "nginx.pid")

    @property
    def file(self) -> Path:
        return self.top / "tutor-ops" / "upstream.conf"

    def accepts(self) -> bool:
        return (
            subprocess.run([NGINX or "", "-t", "-q", "-c", str(self.top / "nginx.conf")], check=False).returncode == 0
        )

    def start(self) -> None:
        self.process = subprocess.Popen([NGINX or "", "-c", str(self.top / "nginx.conf")], stderr=subprocess.DEVNULL)
        # A worker calls itself one a moment after it was started.
        wait("nginx has a worker", lambda: (master := self.site.master()) and self.site.workers(master))

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def get(self, path: str = "/", method: str = "GET", body: bytes | None = None) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()

    def told(self) -> str:
        log = self.top / "error.log"
        return log.read_text() if log.exists() else ""


@pytest.fixture
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    made = (Upstream("old"), Upstream("new"))
    yield made
    for one in made:
        one.let_go.set()
        one.shutdown()
        one.server_close()


@pytest.fixture
def proxy(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> Iterator[Proxy]:
    """nginx that sends requests to the old upstream."""
    if not NGINX:
        pytest.skip("no nginx on this machine")
    made = Proxy(tmp_path)
    made.file.write_text(nginx.Traffic("serving", upstreams[0].address).text())
    made.start()
    yield made
    made.stop()
    print(made.told())
