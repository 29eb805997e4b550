# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The http probe against real sockets that answer well, badly, slowly, endlessly or not at all."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import http
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.area import PHASES
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.certificate import validity

ROOT = Path(__file__).parents[3]
Answer = Callable[[socket.socket, bytes, int], None]


class Server:
    """A socket on a free port; ``answer(connection, request, number)`` does whatever a bad server would do."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._answer, self._context = answer, context
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'https' if self._context else 'http'}://{host}:{self.port}{path}"

    def _serve(self) -> None:
        while True:
            try:
                conn, _peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(conn,), daemon=True).start()

    def _handle(self, conn: socket.socket) -> None:
        with conn:
            try:
                if self._context:
                    conn = self._context.wrap_socket(conn, server_side=True)
                with conn:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        data = conn.recv(65536)
                        if not data:
                            return
                        request += data
                    self.requests.append(request)
                    self._answer(conn, request, len(self.requests))
            except OSError:
                return

    def close(self) -> None:
        self.stopping.set()
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Answer, context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(answer, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def reply(body: bytes = b"fine", status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def always(data: bytes) -> Answer:
    return lambda conn, _request, _number: conn.sendall(data)


def ask(seconds: float = 5, **spec: Any) -> dict[str, Check]:
    result = http.probe({"kind": "http", **spec}, {}, Deadline(seconds))
    json.dumps([check.as_dict() for check in result.checks])
    return {check.id: check for check in result.checks}


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# ---------------------------------------------------------------- answers


def test_a_good_answer_is_ok_and_its_phases_fit_into_the_total(serve: Any) -> None:
    checks = ask(url=serve(always(reply())).url("/health"), phases=True, body="^fine$")
    assert {c.status for c in checks.values()} == {Status.OK}
    assert set(checks) == {
        "http.status",
        "http.body",
        "http.total",
        "http.dns",
        "http.connect",
        "http.tls",
        "http.first_byte",
    }
    total = checks["http.total"]
    assert total.uom == "s" and total.value is not None and 0 < total.value < 1
    phases = sum(checks[f"http.{name}"].value or 0 for name in PHASES)
    assert 0 < phases <= total.value * 1000
    assert checks["http.tls"].value == 0


def test_time_of_first_byte_is_the_servers_thinking(serve: Any) -> None:
    def think(conn: socket.socket, _request: bytes, _number: int) -> None:
        time.sleep(0.15)
        conn.sendall(reply())

    checks = ask(url=serve(think).url(), phases=True, max_seconds=0.1)
    assert 150 <= (checks["http.first_byte"].value or 0) < 1000
    assert checks["http.connect"].value is not None and checks["http.connect"].value < 150
    assert checks["http.total"].status is Status.WARNING
    assert checks["http.total"].warn == "0.1" and checks["http.total"].crit == "5"
    assert ask(url=serve(think).url(), max_seconds=0.05, critical_seconds=0.1)["http.total"].status is Status.CRITICAL


def test_server_error_is_critical_with_a_redacted_excerpt(serve: Any) -> None:
    answer = reply(b"database is locked; password=hunter2 for li@example.org", "500 Internal Server Error")
    checks = ask(url=serve(always(answer)).url())
    found = checks["http.status"]
    assert found.status is Status.CRITICAL and "status 500, expected 200-299; 2 of 2 requests failed" in found.summary
    evidence = "\n".join(found.evidence)
    assert "database is locked" in evidence and "hunter2" not in evidence and "example.org" not in evidence
    assert checks["http.total"].status is Status.OK


def test_expected_status_may_be_any_code(serve: Any) -> None:
    server = serve(always(reply(status="404 Not Found")))
    assert ask(url=server.url(), status=["2xx", "404"])["http.status"].status is Status.OK
    assert ask(url=server.url(), status=["405-499"])["http.status"].status is Status.CRITICAL


@pytest.mark.parametrize(
    ("pattern", "expected", "status"),
    [
        (["bad", "good", "good"], 3, Status.WARNING),
        (["bad", "good", "bad"], 3, Status.CRITICAL),
        (["bad", "bad"], 2, Status.CRITICAL),
    ],
)
def test_two_of_three_decide(serve: Any, pattern: list[str], expected: int, status: Status) -> None:
    def answer(conn: socket.socket, _request: bytes, number: int) -> None:
        conn.sendall(reply() if pattern[number - 1] == "good" else reply(status="502 Bad Gateway"))

    server = serve(answer)
    found = ask(url=server.url())["http.status"]
    assert found.status is status and len(server.requests) == expected
    assert f"of {expected} requests failed" in found.summary


def test_post_with_a_body_and_json_paths(serve: Any) -> None:
    server = serve(always(reply(b'{"status": "ok", "db": {"ok": true, "rows": [1, 2]}}')))
    wanted = {"status": "ok", "db.ok": True, "db.rows.1": 2}
    checks = ask(url=server.url("/api/test"), method="POST", send={"word": "你好"}, json=wanted)
    assert {c.status for c in checks.values()} == {Status.OK}
    assert server.requests[0].startswith(b"POST /api/test HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in server.requests[0]
    differs = ask(url=server.url(), json={"db.ok": False})["http.body"]
    assert differs.status is Status.CRITICAL and "db.ok is true, expected false" in differs.summary
    assert "db.gone is missing" in ask(url=server.url(), json={"db.gone": 1})["http.body"].summary
    assert ask(url=server.url(), json={"db.ok": 1})["http.body"].status is Status.CRITICAL
    assert ask(url=server.url(), json={"db.ok": "true"})["http.body"].status is Status.OK


def test_body_that_does_not_match_or_is_no_json(serve: Any) -> None:
    server = serve(always(reply(b"<html>maintenance</html>")))
    checks = ask(url=server.url(), body="healthy")
    assert checks["http.body"].status is Status.CRITICAL and checks["http.status"].status is Status.OK
    assert "not JSON" in ask(url=server.url(), json={"status": "ok"})["http.body"].summary


def test_several_urls_are_asked_side_by_side(serve: Any) -> None:
    def hang(conn: socket.socket, _request: bytes, _number: int) -> None:
        conn.recv(1)

    good, hung = serve(always(reply())), serve(hang)
    start = time.monotonic()
    urls = [{"name": f"hung{n}", "url": hung.url(), "max_time": 0.4} for n in range(3)] + [
        {"name": "good", "url": good.url()}
    ]
    result = http.probe({"urls": urls}, {}, Deadline(5))
    assert time.monotonic() - start < 1.0
    status = {c.item: c.status for c in result.checks if c.id == "http.status"}
    assert status == {"hung0": Status.CRITICAL, "hung1": Status.CRITICAL, "hung2": Status.CRITICAL, "good": Status.OK}


# ---------------------------------------------------------------- servers that misbehave


def test_silence_is_critical_after_the_first_attempt(serve: Any) -> None:
    server = serve(lambda conn, _request, _number: conn.recv(1))
    start = time.monotonic()
    checks = ask(url=server.url(), max_time=0.4)
    assert time.monotonic() - start < 0.8 and len(server.requests) == 1
    found = checks["http.status"]
    assert found.status is Status.CRITICAL and found.reason == "timeout"
    assert "no byte of an answer in 0.4 s" in found.summary
    assert checks["http.total"].status is Status.SKIPPED


@pytest.mark.parametrize("where", ["headers", "body", "chunks"])
def test_slow_drip_does_not_reset_the_clock(serve: Any, where: str) -> None:
    def drip(conn: socket.socket, _request: bytes, _number: int) -> None:
        head = {
            "headers": b"HTTP/1.1 200 OK\r\nX-Long: ",
            "body": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
            "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        }[where]
        conn.sendall(head)
        while not server.stopping.wait(0.05):
            conn.sendall(b"1\r\nx\r\n" if where == "chunks" else b"x")

    server = serve(drip)
    start = time.monotonic()
    found = ask(url=server.url(), max_time=0.5)["http.status"]
    assert 0.4 < time.monotonic() - start < 0.9
    assert found.status is Status.CRITICAL and found.reason == "timeout" and found.params["bytes"] > 20
    assert "still incomplete after 0.5 s" in found.summary


def test_the_probes_deadline_counts_when_it_is_shorter(serve: Any) -> None:
    server = serve(lambda conn, _request, _number: conn.recv(1))
    start = time.monotonic()
    assert ask(0.3, url=server.url(), max_time=30)["http.status"].reason == "timeout"
    assert time.monotonic() - start < 0.6


def test_endless_body_is_read_up_to_the_limit_only(serve: Any) -> None:
    sent = []

    def flood(conn: socket.socket, _request: bytes, _number: int) -> None:
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        count = 0
        try:
            while not server.stopping.is_set():
                count += conn.send(b"y" * 65536)
        finally:
            sent.append(count)

    server = serve(flood)
    start = time.monotonic()
    checks = ask(url=server.url(), body="^y")
    assert time.monotonic() - start < 3
    assert (
        checks["http.body"].status is Status.WARNING
        and "does not end within 1048576 bytes" in checks["http.body"].summary
    )
    deadline = Deadline(3)
    while len(sent) < 2 and not deadline.expired:
        time.sleep(0.01)
    assert sent and max(sent) < 16 * 1048576
    small = serve(always(reply(b"x" * 2000)))
    assert ask(url=small.url(), max_bytes=1999)["http.body"].status is Status.WARNING
    assert ask(url=small.url(), max_bytes=2000)["http.status"].status is Status.OK


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\xff\xfegarbage\r\n\r\n", "not HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "95 bytes short"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort", "breaks off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "breaks off"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200000 + b"\r\n\r\n", "not HTTP"),
    ],
)
def test_garbage_and_broken_answers(serve: Any, data: bytes, words: str) -> None:
    found = ask(url=serve(always(data)).url())["http.status"]
    assert found.status is Status.CRITICAL and words in found.summary


def test_refused_connection() -> None:
    port = refused_port()
    found = ask(url=f"http://127.0.0.1:{port}/")["http.status"]
    assert found.status is Status.CRITICAL
    assert (
        f"no connection to 127.0.0.1:{port}: Connection refused" in found.summary
        or "Connection refused" in found.summary
    )


# ---------------------------------------------------------------- redirects


def redirector(conn: socket.socket, request: bytes, _number: int) -> None:
    path = request.split()[1].decode()
    if path.startswith("/n/"):
        left = int(path[3:])
        target = f"/n/{left - 1}" if left else "/end"
        conn.sendall(reply(b"", "302 Found", f"Location: {target}\r\n"))
    elif path == "/loop":
        conn.sendall(reply(b"", "301 Moved Permanently", "Location: /loop?\r\n"))
    elif path == "/file":
        conn.sendall(reply(b"", "302 Found", "Location: file:///etc/passwd\r\n"))
    else:
        conn.sendall(reply())


def test_redirects_are_followed_counted_and_shown(serve: Any) -> None:
    server = serve(redirector)
    good = ask(url=server.url("/n/2"))["http.status"]
    assert good.status is Status.OK and len(good.evidence) == 3
    assert good.evidence[0] == f"302 -> {server.url('/n/1')}"
    bad = ask(url=server.url("/n/3"))["http.status"]
    assert bad.status is Status.CRITICAL and "more than 3 redirects" in bad.summary
    assert ask(url=server.url("/n/3"), max_redirects=4)["http.status"].status is Status.OK
    assert ask(url=server.url("/n/3"), max_redirects=0, status=["302"])["http.status"].status is Status.OK


def test_a_redirect_loop_is_named_at_its_first_turn(serve: Any) -> None:
    server = serve(redirector)
    found = ask(url=server.url("/loop"), max_redirects=100)["http.status"]
    assert found.status is Status.CRITICAL and "redirects in a circle" in found.summary
    assert len(server.requests) <= 4
    assert "cannot be followed" in ask(url=server.url("/file"))["http.status"].summary


def test_another_host_is_reported_and_gets_none_of_our_headers(serve: Any) -> None:
    other = serve(always(reply()))
    target = other.url("/landing?token=s3cr3t", host="localhost")
    server = serve(always(reply(b"", "302 Found", f"Location: {target}\r\nSet-Cookie: a=b\r\n")))
    found = ask(url=server.url(), secret_headers={"Authorization": "Bearer abcdef123456"}, headers={"X-Probe": "yes"})[
        "http.status"
    ]
    assert found.status is Status.OK
    assert "another host: localhost" in found.evidence[0] and "s3cr3t" not in found.evidence[0]
    assert b"abcdef123456" in server.requests[0] and b"X-Probe" in server.requests[0]
    for header in (b"abcdef123456", b"X-Probe", b"Cookie"):
        assert header not in other.requests[0]


# ---------------------------------------------------------------- secrets and bad input


def test_header_values_stay_out_of_evidence_even_when_echoed(serve: Any) -> None:
    def echo(conn: socket.socket, request: bytes, _number: int) -> None:
        conn.sendall(reply(request.replace(b"Authorization: ", b""), "403 Forbidden"))

    server = serve(echo)
    found = ask(
        url=server.url("/"), secret_headers={"Authorization": "zQ7-plain-value"}, headers={"X-Auth": "other-value-9"}
    )
    text = json.dumps([check.as_dict() for check in found.values()])
    assert b"zQ7-plain-value" in server.requests[0]
    assert "body: GET / HTTP/1.1" in text and "zQ7-plain-value" not in text and "other-value-9" not in text


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "either url or urls"),
        ({"url": "http://a/", "urls": [{"url": "http://b/"}]}, "either url or urls"),
        ({"url": "ftp://a/"}, "expected http://"),
        ({"url": "http://a:99999/"}, "cannot be read"),
        ({"url": "http:///nohost"}, "expected http://"),
        ({"url": "http://me:pw@a/"}, "holds credentials"),
        ({"url": "http://a/", "status": ["2000"]}, "expected a code"),
        ({"url": "http://a/", "body": "("}, "not a regular expression"),
        ({"url": "http://a/", "headers": {"X": "a\r\nEvil: 1"}}, "cannot be sent"),
        ({"url": "http://a/", "headers": {"Cookie": "a=b"}}, "not for a probe"),
        ({"url": "http://a/", "max_time": 0}, "above 0"),
        ({"url": "http://a/", "thresholds": {"http.totl": {"warn": "1"}}}, "did you mean http.total"),
    ],
)
def test_bad_options_are_refused_in_words(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(OpsError, match=words) as caught:
        ask(**spec)
    assert "pw@" not in str(caught.value)


def test_text_in_urls_is_encoded(serve: Any) -> None:
    server = serve(always(reply()))
    assert ask(url=server.url("/学习 页?词=好"))["http.status"].status is Status.OK
    assert server.requests[0].startswith(b"GET /%E5%AD%A6%E4%B9%A0%20%E9%A1%B5?%E8%AF%8D=%E5%A5%BD HTTP/1.1")


# ---------------------------------------------------------------- names


def test_localhost_and_literals_ask_no_resolver(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("the resolver was asked")

    server = serve(always(reply()))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for host in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert ask(url=server.url(host=host))["http.status"].status is Status.OK


def test_a_name_that_does_not_exist() -> None:
    found = ask(url="http://no-such-host.invalid/", max_time=3)["http.status"]
    assert found.status is Status.CRITICAL
    assert "no-such-host.invalid" in found.summary and "resol" in found.summary


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare for a dead resolver"
)
def test_a_dead_resolver_is_named_in_time(tmp_path: Path) -> None:
    """A name server that swallows every question, as after a firewall change: getaddrinfo hangs 10 s in C."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    code = """if True:
        import json, os, socket, sys, time
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        silent.bind(("127.0.0.1", 53))
        from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import http
        from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
        start = time.monotonic()
        checks = http.probe({"url": "http://tutor.example.net/", "max_time": 0.8}, {}, Deadline(5)).checks
        silent.settimeout(0.1)
        silent.recv(512)  # raises when the resolver was never asked
        print(json.dumps([time.monotonic() - start, [c.as_dict() for c in checks]]), flush=True)
        os._exit(0)
    """
    mounts = 'for f in resolv nsswitch; do mount --bind "$1/$f.conf" /etc/$f.conf; done'
    script = f'ip link set lo up && {mounts}; exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "-m", "-n", "sh", "-c", script, "sh", str(tmp_path), sys.executable, code],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if "unshare failed" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    seconds, checks = json.loads(done.stdout)
    found = next(c for c in checks if c["id"] == "http.status")
    assert seconds < 1.5
    assert found["status"] == Status.CRITICAL and found["reason"] == "timeout"
    assert "name resolution of tutor.example.net got no answer in 0.8 s" in found["summary"]


# ---------------------------------------------------------------- certificates


class Authority:
    """A certificate authority made with the openssl command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        (folder / "index").touch()
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\n"
            f"database={folder}/index\nnew_certs_dir={folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n"
            "unique_subject=no\n[p]\ncommonName=supplied\n"
        )
        self._run(
            "req", "-x509", "-subj", "/CN=Test CA", "-days", "400", "-keyout", "ca.key", "-out", "ca.pem", *self._key()
        )

    def _run(self, *args: str) -> None:
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True, timeout=20)

    @staticmethod
    def _key() -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def issue(self, name: str, begins: float, ends: float, names: str = "IP:127.0.0.1,DNS:localhost") -> Path:
        """Make a certificate valid from ``begins`` to ``ends`` (days from now); return the file with it and its key."""
        stamps = [(datetime.now(timezone.utc) + timedelta(days=d)).strftime("%Y%m%d%H%M%SZ") for d in (begins, ends)]
        self._run(
            *("req", "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"),
            *("-keyout", f"{name}.pem", "-out", f"{name}.csr"),
            *self._key(),
        )
        self._run(
            *("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"),
            *("-startdate", stamps[0], "-enddate", stamps[1], "-in", f"{name}.csr", "-out", f"{name}.crt"),
        )
        path = self.folder / f"{name}.pem"
        path.write_text(path.read_text() + (self.folder / f"{name}.crt").read_text())
        return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def secure(serve: Any, authority: Authority) -> Callable[..., Server]:
    def start(name: str, begins: float, ends: float, answer: Answer | None = None, **rest: Any) -> Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.issue(name, begins, ends, **rest))
        server: Server = serve(answer or always(reply()), context)
        return server

    return start


@pytest.mark.parametrize(
    ("begins", "ends", "status"),
    [
        (-100, 100.1, Status.OK),
        (-80, 10.1, Status.WARNING),
        (-80, 3.1, Status.CRITICAL),
        (-2, 4, Status.OK),
        (-5, 1.9, Status.WARNING),
        (-6, 1, Status.CRITICAL),
    ],
)
def test_days_left(secure: Any, authority: Authority, begins: float, ends: float, status: Status) -> None:
    checks = ask(url=secure("days", begins, ends).url(), ca_path=str(authority.ca), phases=True)
    assert checks["http.status"].status is Status.OK
    assert checks["http.cert"].status is status
    assert checks["http.cert"].value == pytest.approx(ends, abs=0.01)
    assert (checks["http.tls"].value or 0) > 0


def test_own_limits_hold_for_short_lived_certificates_too(secure: Any, authority: Authority) -> None:
    server = secure("own", -2, 4)
    limits = {"http.cert": {"warn": "5:"}}
    assert ask(url=server.url(), ca_path=str(authority.ca), thresholds=limits)["http.cert"].warn == "5:"


@pytest.mark.parametrize(
    ("host", "ends", "names", "trusted", "words"),
    [
        ("127.0.0.1", -1, "IP:127.0.0.1", True, "expired"),
        ("localhost", 90, "DNS:other.example", True, "ostname mismatch"),
        ("127.0.0.1", 90, "IP:127.0.0.1", False, "certificate"),
    ],
)
def test_certificates_that_must_not_be_trusted(
    secure: Any, authority: Authority, host: str, ends: float, names: str, trusted: bool, words: str
) -> None:
    server = secure("bad", -90, ends, names=names)
    ca = {"ca_path": str(authority.ca)} if trusted else {}
    checks = ask(url=server.url(host=host), secret_headers={"Authorization": "Bearer abcdef123456"}, **ca)
    found = checks["http.cert"]
    assert found.status is Status.CRITICAL and words in found.summary
    assert found.value == pytest.approx(ends, abs=0.01)
    assert checks["http.status"].status is Status.SKIPPED
    assert server.requests == []
    unchecked = ask(url=server.url(host=host), validate_certs=False)
    assert unchecked["http.status"].status is Status.OK
    assert unchecked["http.cert"].status is (Status.CRITICAL if ends < 0 else Status.OK)


def test_downgrade_from_https_is_not_followed(secure: Any, serve: Any, authority: Authority) -> None:
    plain = serve(always(reply()))
    answer = always(reply(b"", "301 Moved Permanently", f"Location: {plain.url()}\r\n"))
    checks = ask(url=secure("down", -10, 90, answer).url(), ca_path=str(authority.ca))
    assert checks["http.status"].status is Status.CRITICAL and "down to http://" in checks["http.status"].summary
    assert plain.requests == []
    assert checks["http.cert"].status is Status.OK


def test_tls_to_a_server_that_speaks_none_or_says_nothing(serve: Any) -> None:
    plain = serve(always(reply()))
    checks = ask(url=f"https://127.0.0.1:{plain.port}/", max_time=1.0)
    assert checks["http.status"].status is Status.CRITICAL
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        start = time.monotonic()
        checks = ask(url=f"https://127.0.0.1:{deaf.getsockname()[1]}/", max_time=0.4)
        assert time.monotonic() - start < 0.8
    assert checks["http.status"].reason == "timeout" and checks["http.cert"].status is Status.SKIPPED


def test_dates_agree_with_openssl(authority: Authority) -> None:
    path = authority.issue("dates", -3, 20000)  # beyond 2050: another ASN.1 type
    told = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-dates"], capture_output=True, text=True, check=True
    )
    begins, ends = (ssl.cert_time_to_seconds(line.split("=")[1]) for line in told.stdout.splitlines())
    der = ssl.PEM_cert_to_DER_cert((authority.folder / "dates.crt").read_text())
    assert validity(der) == (begins, ends)
    for cut in range(0, 200, 7):
        with pytest.raises((ValueError, IndexError)):
            validity(der[:cut])


def test_what_can_never_work_is_refused_before_the_run() -> None:
    with pytest.raises(OpsError, match="body '\\(' is not a regular"):
        prepare({"kind": "http", "url": "http://a/", "body": "("})
