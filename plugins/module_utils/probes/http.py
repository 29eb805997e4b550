# pylint: disable=unused-import; it adds the imports of the standard library's http to any file of that name
# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a web server as its users do, and tell which phase took the time or broke.

Built on ``http.client``, since a target host has nothing else, and since no library at hand bounds a whole request:
their time-outs start anew with every byte, so a server that sends one byte a second holds them for ever.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NoReturn
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import HIDDEN, redact, redact_url

TIMEOUT = 10.0

# The third attempt decides: 2 of 3 failed is CRITICAL, 1 of 3 a WARNING, as one lost packet is no outage.
ATTEMPTS = 3
PAUSE = 0.2
MAX_ENDPOINTS = 32
BODY_EXCERPT = 200
DAY = 86400.0

_ENDPOINT: dict[str, dict[str, Any]] = {
    "url": {"type": "str"},
    "method": {
        "type": "str",
        "default": "GET",
        "choices": ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"],
    },
    "send": {"type": "raw"},
    "headers": {"type": "dict", "default": {}},
    "secret_headers": {"type": "dict", "default": {}, "no_log": True},
    "status": {"type": "list", "elements": "str", "default": ["200-299"]},
    "body": {"type": "str", "default": ""},
    "json": {"type": "dict", "default": {}},
    "max_seconds": {"type": "float"},
    "critical_seconds": {"type": "float"},
    "max_time": {"type": "float", "default": 8.0},
    "max_redirects": {"type": "int", "default": 3},
    "max_bytes": {"type": "int", "default": 1048576},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "str", "default": ""},
}

OPTIONS: dict[str, dict[str, Any]] = {
    **_ENDPOINT,
    "urls": {
        "type": "list",
        "elements": "dict",
        "options": {**_ENDPOINT, "url": {"type": "str", "required": True}, "name": {"type": "str", "default": ""}},
    },
    "phases": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 4},
}

CONSTRAINTS = {"mutually_exclusive": [("url", "urls")], "required_one_of": [("url", "urls")]}

PHASES = ("dns", "connect", "tls", "first_byte")

_PHASE_FIXES = {
    "dns": Text(
        "Look at /etc/resolv.conf and the name servers it names; put names that must always work into /etc/hosts.",
        "检查 /etc/resolv.conf 及其中的 DNS 服务器；必须始终可用的名称写入 /etc/hosts。",
    ),
    "connect": Text(
        "The network or a full accept queue: ss -ltn (Recv-Q against Send-Q), ping, the firewall's counters.",
        "网络问题或监听队列已满：查看 ss -ltn（Recv-Q 与 Send-Q）、ping 以及防火墙计数。",
    ),
    "tls": Text(
        "The server is short of CPU or the certificate chain is long: look at cpu.util and the chain.",
        "服务器 CPU 不足或证书链过长：查看 cpu.util 与证书链。",
    ),
    "first_byte": Text(
        "The application itself is slow: its log, slow database queries, busy workers (gunicorn --workers).",
        "应用本身慢：查看应用日志、慢查询，以及 worker 是否占满（gunicorn --workers）。",
    ),
}
_PHASE_TITLES = {
    "dns": Text("Name resolution time", "域名解析耗时"),
    "connect": Text("Connect time", "建立连接耗时"),
    "tls": Text("TLS handshake time", "TLS 握手耗时"),
    "first_byte": Text("Time to the first byte", "首字节耗时"),
}

_COUNT = Text("; {failed} of {tried} requests failed", "；{tried} 次请求中 {failed} 次失败")


def _failure(en: str, zh: str) -> Text:
    return Text(en + _COUNT.en, zh + _COUNT.zh)


AREA = Area(
    "http",
    rules={
        "http.status": Rule(
            title=Text("HTTP answer", "HTTP 应答"),
            fix=Text(
                "Try it by hand: curl -sv URL. No answer: systemctl status nginx bilingual-tutor and their journal. "
                "Wrong status: the application's gunicorn_error.log. Wrong address: correct the url of the probe.",
                "手工验证：curl -sv URL。无应答：systemctl status nginx bilingual-tutor，并看日志；"
                "状态码不符：查 gunicorn_error.log；地址有误：修改探测的 url。",
            ),
            source="2 of 3 attempts (uptime-kuma#3881)",
        ),
        "http.body": Rule(
            title=Text("HTTP body", "HTTP 响应内容"),
            fix=Text(
                "Compare curl -s URL with the body, json and max_bytes the probe expects; then the application's log.",
                "将 curl -s URL 的结果与探测的 body、json、max_bytes 对照，再查应用日志。",
            ),
        ),
        "http.total": Rule(
            title=Text("Response time", "响应时间"),
            fix=Text(
                "The evidence shows which phase took the time. first_byte: the application (slow queries, busy "
                "workers); dns: /etc/resolv.conf; connect: network or accept queue. Limits: max_seconds, critical_seconds.",
                "证据中列出各阶段耗时：first_byte 慢查应用（慢查询、worker 占满）；dns 慢查 /etc/resolv.conf；"
                "connect 慢查网络或监听队列。阈值见 max_seconds、critical_seconds。",
            ),
            warn="2",
            crit="5",
            uom="s",
            source="runbook: response time < 2 s",
        ),
        "http.cert": Rule(
            title=Text("TLS certificate", "TLS 证书"),
            fix=Text(
                "Renew it (certbot renew, then systemctl reload nginx); a wrong name or chain: correct ssl_certificate "
                "(full chain) and server_name in nginx. A private CA: set ca_path of the probe.",
                "续期（certbot renew 后 systemctl reload nginx）；名称或证书链有误：修正 nginx 的 ssl_certificate"
                "（完整链）与 server_name；私有 CA：设置探测的 ca_path。",
            ),
            warn="14:",
            crit="7:",
            uom="d",
            source="Netdata 14/7 days",
        ),
        **{
            f"http.{phase}": Rule(title=_PHASE_TITLES[phase], fix=_PHASE_FIXES[phase], uom="ms", source="runbook D2.1")
            for phase in PHASES
        },
    },
    sentences={
        "http.answered": Text(
            "{item}: status {code} after {seconds:.3f} s", "{item}：状态码 {code}，耗时 {seconds:.3f} 秒"
        ),
        "http.body_ok": Text("{item}: {bytes} bytes as expected", "{item}：内容符合预期，{bytes} 字节"),
        "http.body_unseen": Text(
            "{item}: body not looked at, there was no good answer", "{item}：没有正常应答，未检查内容"
        ),
        "http.took": Text(
            "{item}: {value:.3f} s in total (DNS {dns_ms:.1f}, connect {connect_ms:.1f}, TLS {tls_ms:.1f}, "
            "first byte {first_byte_ms:.1f} ms)",
            "{item}：总耗时 {value:.3f} 秒（DNS {dns_ms:.1f}、连接 {connect_ms:.1f}、TLS {tls_ms:.1f}、"
            "首字节 {first_byte_ms:.1f} 毫秒）",
        ),
        "http.untimed": Text("{item}: no complete answer to time", "{item}：没有完整应答，无法计时"),
        "http.phase": Text("{item}: {phase} {value:.1f} ms", "{item}：{phase} {value:.1f} 毫秒"),
        "http.not_asked": Text(
            "{item}: not asked, no time was left: raise timeout or parallel of the probe",
            "{item}：时间已用尽，未发出请求：请调大探测的 timeout 或 parallel",
        ),
        "http.untrusted": Text(
            "{item}: nothing was sent, the server's certificate is not trusted (http.cert)",
            "{item}：服务器证书不可信，未发送请求（见 http.cert）",
        ),
        "http.cert_days": Text(
            "{item}: certificate of {host} is valid for {value:.1f} more days, until {until}",
            "{item}：{host} 的证书还有 {value:.1f} 天到期（{until}）",
        ),
        "http.cert_bad": Text(
            "{item}: certificate of {host} is rejected: {error}", "{item}：{host} 的证书校验失败：{error}"
        ),
        "http.cert_unseen": Text("{item}: no certificate was seen", "{item}：未取得证书"),
        "http.dns_timeout": _failure(
            "{item}: name resolution of {host} got no answer in {waited:.1f} s",
            "{item}：解析 {host} 在 {waited:.1f} 秒内无应答",
        ),
        "http.dns_failed": _failure(
            "{item}: name {host} cannot be resolved: {error}", "{item}：无法解析 {host}：{error}"
        ),
        "http.connect_failed": _failure(
            "{item}: no connection to {address}: {error}", "{item}：无法连接 {address}：{error}"
        ),
        "http.connect_timeout": _failure(
            "{item}: {address} did not accept a connection in {waited:.1f} s",
            "{item}：{address} 在 {waited:.1f} 秒内未接受连接",
        ),
        "http.tls_failed": _failure(
            "{item}: TLS handshake with {address} failed: {error}", "{item}：与 {address} 的 TLS 握手失败：{error}"
        ),
        "http.no_first_byte": _failure(
            "{item}: connected to {address}, but no byte of an answer in {waited:.1f} s",
            "{item}：已连接 {address}，但 {waited:.1f} 秒内没有任何应答",
        ),
        "http.slow": _failure(
            "{item}: answer still incomplete after {waited:.1f} s, {bytes} bytes received",
            "{item}：{waited:.1f} 秒后应答仍不完整，已收到 {bytes} 字节",
        ),
        "http.broken": _failure(
            "{item}: answer breaks off or is not HTTP: {error}", "{item}：应答中断或不是 HTTP：{error}"
        ),
        "http.truncated": _failure(
            "{item}: answer breaks off, {missing} bytes short of its Content-Length",
            "{item}：应答中断，比 Content-Length 少 {missing} 字节",
        ),
        "http.wrong_status": _failure(
            "{item}: status {code}, expected {expected}", "{item}：状态码 {code}，期望 {expected}"
        ),
        "http.redirect_loop": _failure(
            "{item}: redirects in a circle, back to {target}", "{item}：循环重定向，回到 {target}"
        ),
        "http.redirects": _failure(
            "{item}: more than {limit} redirects, the last one to {target}",
            "{item}：重定向超过 {limit} 次，最后指向 {target}",
        ),
        "http.downgrade": _failure(
            "{item}: redirect from https down to {target}, not followed",
            "{item}：由 https 降级重定向到 {target}，未跟随",
        ),
        "http.redirect_bad": _failure(
            "{item}: redirect to an address that cannot be followed: {target}", "{item}：重定向地址无法跟随：{target}"
        ),
        "http.body_mismatch": _failure(
            "{item}: the first {bytes} bytes do not match /{pattern}/", "{item}：前 {bytes} 字节内容不匹配 /{pattern}/"
        ),
        "http.not_json": _failure("{item}: the body is not JSON: {error}", "{item}：响应内容不是 JSON：{error}"),
        "http.json_differs": _failure(
            "{item}: {path} is {seen}, expected {expected}", "{item}：{path} 为 {seen}，期望 {expected}"
        ),
        "http.too_large": _failure(
            "{item}: the body does not end within {limit} bytes, reading stopped there",
            "{item}：响应超过 {limit} 字节仍未结束，已停止读取",
        ),
    },
)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Ask every endpoint, several at a time, each with its own deadline within the probe's."""
    endpoints = _endpoints(spec)
    checks: list[Check] = []
    with ThreadPoolExecutor(max_workers=min(len(endpoints), max(1, spec.get("parallel") or 4))) as pool:
        futures: list[Future[list[Check]]] = [
            pool.submit(_watch, endpoint, spec.get("thresholds") or {}, bool(spec.get("phases")), deadline)
            for endpoint in endpoints
        ]
        for future in futures:
            checks += future.result()
    return ProbeResult(checks)


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for options that can never work, before anything is asked."""
    _endpoints(spec)


# ---------------------------------------------------------------- what is asked


@dataclass(frozen=True)
class Endpoint:
    """One thing to ask, validated."""

    item: str
    url: str
    method: str
    payload: bytes | None
    headers: dict[str, str]
    secrets: tuple[str, ...]
    statuses: tuple[tuple[int, int], ...]
    expected: str
    body: re.Pattern[str] | None
    body_text: str
    json: dict[str, Any]
    limits: dict[str, Any]
    max_time: float
    max_redirects: int
    max_bytes: int
    validate_certs: bool
    ca_path: str

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Endpoint:
        """Read one endpoint; raise OpsError for what cannot be asked."""
        opts: dict[str, Any] = {}
        for name, option in _ENDPOINT.items():
            opts[name] = option.get("default") if spec.get(name) is None else spec[name]
        url = str(opts["url"] or "")
        parts = _split(url)
        if parts.username is not None or parts.password is not None:
            raise OpsError(f"url {redact_url(url)} holds credentials: put them into secret_headers (Authorization)")
        item = str(spec.get("name") or "") or redact_url(url)
        headers, payload = _headers_and_payload(opts, item)
        limits = {"warn": opts["max_seconds"], "crit": opts["critical_seconds"]}
        for name in ("max_time", "max_bytes"):
            if not opts[name] > 0:
                raise OpsError(f"{item}: {name} is {opts[name]}: expected a number above 0")
        try:
            body = re.compile(opts["body"]) if opts["body"] else None
        except re.error as exc:
            raise OpsError(f"{item}: body {opts['body']!r} is not a regular expression: {exc}") from exc
        return cls(
            item=item,
            url=urlunsplit(parts),
            method=opts["method"],
            payload=payload,
            headers=headers,
            secrets=tuple(str(v) for v in opts["secret_headers"].values()) + _secret_values(opts["headers"]),
            statuses=tuple(_status_range(text, item) for text in opts["status"]),
            expected=", ".join(str(text) for text in opts["status"]),
            body=body,
            body_text=opts["body"],
            json=dict(opts["json"]),
            limits={level: value for level, value in limits.items() if value is not None},
            max_time=float(opts["max_time"]),
            max_redirects=max(0, int(opts["max_redirects"])),
            max_bytes=int(opts["max_bytes"]),
            validate_certs=bool(opts["validate_certs"]),
            ca_path=opts["ca_path"],
        )

    def accepts(self, code: int) -> bool:
        """Tell whether a status code is one of the expected."""
        return any(low <= code <= high for low, high in self.statuses)

    def clean(self, text: str) -> str:
        """Redact a text, and take out what was sent in headers: a server may echo it."""
        for secret in self.secrets:
            if len(secret) > 3:
                text = text.replace(secret, HIDDEN)
        return redact(text)


def _endpoints(spec: Mapping[str, Any]) -> list[Endpoint]:
    several = spec.get("urls") or []
    if bool(several) == bool(spec.get("url")):
        raise OpsError("http: expected either url or urls")
    if len(several) > MAX_ENDPOINTS:
        raise OpsError(f"http: {len(several)} urls in one probe: expected at most {MAX_ENDPOINTS}")
    return [Endpoint.from_spec(one) for one in (several or [spec])]


def _headers_and_payload(opts: Mapping[str, Any], item: str) -> tuple[dict[str, str], bytes | None]:
    headers = {str(name): str(value) for name, value in {**opts["headers"], **opts["secret_headers"]}.items()}
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[^\t\x20-\x7e\x80-\xff]", value):
            raise OpsError(
                f"{item}: header {name!r} cannot be sent: expected a token and a value of printable characters"
            )
        if name.lower() in ("cookie", "content-length", "transfer-encoding", "connection"):
            raise OpsError(f"{item}: header {name} is not for a probe to set")
    send = opts["send"]
    if send is None:
        return headers, None
    if isinstance(send, str):
        return headers, send.encode()
    if "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = "application/json"
    return headers, json.dumps(send).encode()


def _secret_values(headers: Mapping[str, Any]) -> tuple[str, ...]:
    telling = re.compile(r"(?i)auth|token|key|secret|password|session")
    return tuple(str(value) for name, value in headers.items() if telling.search(str(name)))


def _status_range(text: Any, item: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-5])xx|(\d{3})(?:\s*-\s*(\d{3}))?", str(text).strip().lower())
    if not match:
        raise OpsError(f"{item}: status {text!r}: expected a code, a range or a class, such as 200, 200-399 or 2xx")
    if match[1]:
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    return int(match[2]), int(match[3] or match[2])


def _split(url: str) -> SplitResult:
    """Take a URL apart with path and host in the form they travel; raise OpsError for what is no http(s) URL."""
    try:
        parts = urlsplit(url.strip())
        port, host = (
            parts.port,
            (parts.hostname or "").encode("idna" if not (parts.hostname or "").isascii() else "ascii"),
        )
    except (ValueError, UnicodeError) as exc:
        raise OpsError(f"url {redact_url(url)!r} cannot be read: {exc}") from exc
    if parts.scheme not in ("http", "https") or not host or re.search(rb"[\x00-\x20\x7f]", host):
        raise OpsError(f"url {redact_url(url)!r}: expected http://host[:port]/path or https://...")
    netloc = f"[{host.decode()}]" if b":" in host else host.decode()
    if parts.username is not None:
        netloc = f"{parts.username}@{netloc}"
    safe = "!$%&'()*+,/:;=?@[]~"
    return SplitResult(
        parts.scheme,
        netloc + (f":{port}" if port is not None else ""),
        quote(parts.path or "/", safe),
        quote(parts.query, safe),
        "",
    )


# ---------------------------------------------------------------- one exchange


class _Failed(Exception):
    """One request went wrong in a way that has a sentence."""

    def __init__(self, sentence: str, check_id: str = "http.status", reason: str = "state", **params: Any) -> None:
        super().__init__(sentence)
        self.sentence, self.check_id, self.reason, self.params = sentence, check_id, reason, params


class _Untrusted(Exception):
    """The server's certificate was rejected, so nothing was sent to it."""


@dataclass
class Certificate:
    """What is told about a certificate. Times are seconds since the epoch."""

    host: str
    begins: float = 0.0
    ends: float = 0.0
    error: str = ""


@dataclass
class Exchange:
    """One request with the redirects it led to. Times are milliseconds, summed over the redirects."""

    times: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    seconds: float = 0.0
    hops: list[str] = field(default_factory=list)
    certificate: Certificate | None = None
    code: int = 0
    body: bytes = b""
    complete: bool = True
    failure: _Failed | None = None
    excerpt: str = ""


class _Bounded(io.RawIOBase):
    """A socket as http.client wants it, on which all reading together ends at one deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline
        self.received = 0
        self.first_byte_at = 0.0

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        count = self._sock.recv_into(buffer)
        if count and not self.received:
            self.first_byte_at = time.monotonic()
        self.received += count
        return count

    def close(self) -> None:
        """Leave the socket to its owner: http.client closes this early, while its reader is still in use."""


def _left(deadline: Deadline) -> float:
    left = deadline.remaining()
    if left <= 0:
        raise socket.timeout("deadline")
    return left


def _exchange(endpoint: Endpoint, deadline: Deadline) -> Exchange:
    """Do one request, following redirects; never raises for what the server does, never outlives the deadline."""
    result = Exchange()
    start = time.monotonic()
    try:
        _follow(endpoint, deadline, result)
        _judge(endpoint, result)
    except _Failed as failure:
        result.failure = failure
    except _Untrusted:
        result.failure = _Failed("http.untrusted")
    result.seconds = time.monotonic() - start
    result.excerpt = endpoint.clean(" ".join(result.body[:2000].decode("utf-8", "replace").split()))[:BODY_EXCERPT]
    return result


def _follow(endpoint: Endpoint, deadline: Deadline, result: Exchange) -> None:
    url, method, payload, headers = endpoint.url, endpoint.method, endpoint.payload, endpoint.headers
    visited = {(method, url)}
    while True:
        target = _hop(endpoint, url, method, payload, headers, deadline, result)
        if target is None:
            return
        old, shown = urlsplit(url), redact_url(target)
        try:
            url = urlunsplit(_split(target))
        except OpsError:
            raise _Failed("http.redirect_bad", target=shown) from None
        new = urlsplit(url)
        away = (old.hostname or "").lower() != (new.hostname or "").lower()
        result.hops.append(f"{result.code} -> {redact_url(url)}" + (f" (another host: {new.hostname})" if away else ""))
        if old.scheme == "https" and new.scheme == "http":
            raise _Failed("http.downgrade", target=shown)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            headers = {}  # another origin must not get what was meant for this one
        if result.code == 303 or (result.code in (301, 302) and method == "POST"):
            method, payload = "GET" if method != "HEAD" else "HEAD", None
        if (method, url) in visited:
            raise _Failed("http.redirect_loop", target=shown)
        visited.add((method, url))
        if len(result.hops) > endpoint.max_redirects:
            raise _Failed("http.redirects", limit=endpoint.max_redirects, target=shown)


def _hop(
    endpoint: Endpoint,
    url: str,
    method: str,
    payload: bytes | None,
    headers: dict[str, str],
    deadline: Deadline,
    result: Exchange,
) -> str | None:
    """Do one request; return where it redirects to, or None when this is the answer."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    addresses = _timed(result, "dns", _resolve, host, port, deadline)
    sock, address = _timed(result, "connect", _connect, addresses, deadline)
    with sock:
        if secure:
            sock = _timed(result, "tls", _handshake, sock, endpoint, host, address, deadline, result)
        with sock:
            stream = _Bounded(sock, deadline)
            started = time.monotonic()
            try:
                return _ask(endpoint, stream, parts, method, payload, headers, result)
            except socket.timeout:
                if stream.received:
                    raise _Failed(
                        "http.slow", reason="timeout", waited=deadline.seconds, bytes=stream.received
                    ) from None
                raise _Failed(
                    "http.no_first_byte", reason="timeout", address=address, waited=time.monotonic() - started
                ) from None
            except (OSError, http.client.HTTPException) as exc:
                raise _Failed("http.broken", error=endpoint.clean(_told(exc))) from None
            finally:
                if stream.first_byte_at:
                    result.times["first_byte"] += (stream.first_byte_at - started) * 1000


def _timed(result: Exchange, phase: str, work: Any, *args: Any) -> Any:
    start = time.monotonic()
    try:
        return work(*args)
    finally:
        result.times[phase] += (time.monotonic() - start) * 1000


def _resolve(host: str, port: int, deadline: Deadline) -> list[tuple[Any, ...]]:
    """Return the addresses of a host.

    getaddrinfo cannot be interrupted and takes 10 s and more where the resolver is dead: it gets a thread of its own,
    which is left behind when it does not answer (the probe is a process of its own that ends right after).
    """
    plain = "127.0.0.1" if host.lower() == "localhost" else host
    try:
        literal = ipaddress.ip_address(plain)
    except ValueError:
        pass
    else:
        family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
        found: list[tuple[Any, ...]] = [(family, (plain, port))]
        if host.lower() == "localhost":
            found.append((socket.AF_INET6, ("::1", port)))
        return found
    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            answer.append(exc)

    waited = deadline.remaining()
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(waited)
    if not answer:
        raise _Failed("http.dns_timeout", reason="timeout", host=host, waited=waited)
    if isinstance(answer[0], Exception):
        raise _Failed("http.dns_failed", reason="error", host=host, error=_told(answer[0]))
    return [(family, sockaddr) for family, _type, _proto, _name, sockaddr in answer[0]]


def _connect(addresses: Sequence[tuple[Any, ...]], deadline: Deadline) -> tuple[socket.socket, str]:
    """Return a connected socket and its address as text; each address gets its share of the time left."""
    shown, error = "", ""
    start = time.monotonic()
    timed_out = False
    for number, (family, sockaddr) in enumerate(addresses):
        shown = f"[{sockaddr[0]}]:{sockaddr[1]}" if family == socket.AF_INET6 else f"{sockaddr[0]}:{sockaddr[1]}"
        share = deadline.remaining() / (len(addresses) - number)
        if share <= 0:
            timed_out = True
            break
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as exc:
            error = error or _told(exc)
            continue
        try:
            sock.settimeout(share)
            sock.connect(sockaddr)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except socket.timeout:
            timed_out = True
            sock.close()
        except OSError as exc:
            error = error or f"{_told(exc)} ({shown})"
            sock.close()
        else:
            return sock, shown
    if timed_out:
        raise _Failed("http.connect_timeout", reason="timeout", address=shown, waited=time.monotonic() - start)
    raise _Failed("http.connect_failed", address=shown, error=error)


def _handshake(
    sock: socket.socket, endpoint: Endpoint, host: str, address: str, deadline: Deadline, result: Exchange
) -> ssl.SSLSocket:
    start = time.monotonic()
    peer, family = sock.getpeername(), sock.family
    try:
        secure = _wrap(sock, _context(endpoint), host, deadline)
    except ssl.SSLCertVerificationError as exc:
        certificate = _look_at(peer, family, host, deadline)
        certificate.error = exc.verify_message or _told(exc)
        result.certificate = certificate
        raise _Untrusted from None
    except socket.timeout:
        raise _Failed(
            "http.no_first_byte", reason="timeout", address=address, waited=time.monotonic() - start
        ) from None
    except OSError as exc:
        raise _Failed("http.tls_failed", address=address, error=_told(exc)) from None
    result.certificate = _read_certificate(secure, host)
    return secure


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        if endpoint.validate_certs:
            context = ssl.create_default_context(cafile=endpoint.ca_path or None)
            # Python 3.13 alone refuses authorities without a key usage, which many own ones lack and curl accepts:
            # a finding must not depend on the Python of the host that looks.
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
            return context
    except OSError as exc:
        raise OpsError(
            f"{endpoint.item}: ca_path {endpoint.ca_path} cannot be read as certificates: {_told(exc)}"
        ) from exc
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _wrap(sock: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> ssl.SSLSocket:
    sock.settimeout(_left(deadline))
    secure = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        secure.settimeout(_left(deadline))
        secure.do_handshake()
    except BaseException:
        secure.close()
        raise
    return secure


def _look_at(sockaddr: Any, family: int, host: str, deadline: Deadline) -> Certificate:
    """Fetch a certificate that was rejected, to tell its dates. Nothing is sent on this connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(_left(deadline))
            sock.connect(sockaddr)
            with _wrap(sock, context, host, deadline) as secure:
                return _read_certificate(secure, host)
    except OSError:
        return Certificate(host)


def _read_certificate(secure: ssl.SSLSocket, host: str) -> Certificate:
    der = secure.getpeercert(binary_form=True) or b""
    try:
        begins, ends = validity(der)
    except (ValueError, IndexError):
        return Certificate(host)
    return Certificate(host, begins, ends)


def validity(der: bytes) -> tuple[float, float]:
    """Return notBefore and notAfter of a certificate; raise ValueError or IndexError when it is none.

    ``getpeercert()`` gives no dates of a certificate that was not verified, and those are the ones of interest.
    """
    certificate = _tlv(der, 0)
    tbs = _tlv(der, certificate[1])
    at = tbs[1]
    if der[at] == 0xA0:  # the optional version
        at = _tlv(der, at)[2]
    for _field in ("serial", "signature algorithm", "issuer"):
        at = _tlv(der, at)[2]
    not_before = _tlv(der, _tlv(der, at)[1])
    not_after = _tlv(der, not_before[2])
    return _asn1_time(der, not_before), _asn1_time(der, not_after)


def _tlv(der: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start of the value and end of the DER element that starts at ``at``."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    if start + length > len(der):
        raise ValueError("DER element ends beyond the data")
    return tag, start, start + length


def _asn1_time(der: bytes, element: tuple[int, int, int]) -> float:
    tag, start, end = element
    text = der[start:end].decode("ascii")
    if tag == 0x17:  # UTCTime: RFC 5280 reads 50 to 99 as the 20th century
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != 0x18:
        raise ValueError(f"tag {tag} is not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()


def _ask(
    endpoint: Endpoint,
    stream: _Bounded,
    parts: SplitResult,
    method: str,
    payload: bytes | None,
    headers: dict[str, str],
    result: Exchange,
) -> str | None:
    conn = http.client.HTTPConnection(parts.hostname or "", parts.port)
    conn.default_port = 443 if parts.scheme == "https" else 80
    conn.sock = stream
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    fixed = {"User-Agent": "bilingual-tutor-ops", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    own = {name.lower() for name in headers}
    conn.request(method, target, payload, {**{k: v for k, v in fixed.items() if k.lower() not in own}, **headers})
    response = conn.getresponse()
    result.code, result.body, result.complete = response.status, b"", True
    location = response.getheader("Location")
    if response.status in (301, 302, 303, 307, 308) and location and endpoint.max_redirects:
        return urljoin(urlunsplit(parts), location)
    chunks, size = [], 0
    while size <= endpoint.max_bytes:
        chunk = response.read(min(65536, endpoint.max_bytes + 1 - size))
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
        result.body = b"".join(chunks) if size <= BODY_EXCERPT * 4 else chunks[0]
    result.complete = size <= endpoint.max_bytes
    result.body = b"".join(chunks)[: endpoint.max_bytes]
    if result.complete and response.length:
        raise _Failed("http.truncated", missing=response.length)
    return None


def _told(exc: BaseException) -> str:
    """Return what an exception says, without Python's decoration."""
    if isinstance(exc, OSError) and exc.strerror:
        return str(exc.strerror)
    if isinstance(exc, http.client.IncompleteRead):
        return f"body ends after {len(exc.partial)} bytes of a chunk"
    text = str(exc).strip()
    return (
        f"{type(exc).__name__}: {text[:120]!r}"
        if isinstance(exc, http.client.HTTPException)
        else text[:160] or type(exc).__name__
    )


def _judge(endpoint: Endpoint, result: Exchange) -> None:
    """Compare the answer with what is expected; raise _Failed for the first difference."""
    if not endpoint.accepts(result.code):
        raise _Failed("http.wrong_status", code=result.code, expected=endpoint.expected)
    text = result.body.decode("utf-8", "replace")
    if endpoint.body and not endpoint.body.search(text):
        _mismatch("http.body_mismatch", bytes=len(result.body), pattern=endpoint.body_text)
    if not result.complete:
        _mismatch("http.too_large", limit=endpoint.max_bytes)
    if endpoint.json:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as exc:
            _mismatch("http.not_json", error=endpoint.clean(str(exc))[:120])
        for path, expected in endpoint.json.items():
            seen = _at(data, str(path))
            if not _same(seen, expected):
                shown = "missing" if seen is _MISSING else endpoint.clean(json.dumps(seen, ensure_ascii=False))[:80]
                _mismatch("http.json_differs", path=path, seen=shown, expected=json.dumps(expected, ensure_ascii=False))


def _mismatch(sentence: str, **params: Any) -> NoReturn:
    raise _Failed(sentence, check_id="http.body", **params)


_MISSING = object()


def _at(data: Any, path: str) -> Any:
    """Return what stands at a dotted path such as ``database.tables.0.name``, or _MISSING."""
    for step in path.split("."):
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return _MISSING
    return data


def _same(seen: Any, expected: Any) -> bool:
    """Compare strictly, so that true is not 1; but inventory values arrive as text, so text is compared as text too."""
    if isinstance(expected, str) and isinstance(seen, (bool, int, float)):
        return json.dumps(seen) == expected.strip().lower()
    return (
        type(seen) is type(expected)
        and bool(seen == expected)
        or (
            not isinstance(seen, bool)
            and not isinstance(expected, bool)
            and isinstance(seen, (int, float))
            and isinstance(expected, (int, float))
            and seen == expected
        )
    )


# ---------------------------------------------------------------- the verdict


def _watch(endpoint: Endpoint, thresholds: Mapping[str, Any], phases: bool, deadline: Deadline) -> list[Check]:
    """Ask one endpoint up to three times and make its checks."""
    if endpoint.limits:
        thresholds = {**thresholds, "http.total": {**thresholds.get("http.total", {}), **endpoint.limits}}
    say = AREA.reporter(thresholds)
    tries: list[Exchange] = []
    budget = deadline.sooner(endpoint.max_time)
    if deadline.expired:
        return [say.find("http.status", Status.UNKNOWN, "http.not_asked", item=endpoint.item, reason="timeout")]
    while True:
        tries.append(_exchange(endpoint, budget.sooner(endpoint.max_time)))
        failed = sum(1 for one in tries if one.failure)
        last = tries[-1].failure
        settled = not failed or failed > 1 or len(tries) == ATTEMPTS or (last and last.sentence == "http.untrusted")
        if settled or budget.remaining() <= PAUSE:
            break
        time.sleep(PAUSE)
    checks = [_answer_check(endpoint, tries, say), *_body_checks(endpoint, tries, say)]
    checks += _time_checks(endpoint, tries, phases, say)
    if endpoint.url.startswith("https:") or any(one.certificate for one in tries):
        checks.append(_certificate_check(endpoint, tries, thresholds))
    return checks


def _failure_of(tries: list[Exchange], check_id: str) -> Exchange | None:
    return next((one for one in reversed(tries) if one.failure and one.failure.check_id == check_id), None)


def _report(endpoint: Endpoint, tries: list[Exchange], bad: Exchange, failure: _Failed, say: Reporter) -> Check:
    failed = sum(1 for one in tries if one.failure)
    # One failure is a WARNING only if another attempt succeeded; out of time after the first is an outage.
    status = Status.WARNING if failed < len(tries) and failed == 1 else Status.CRITICAL
    if failure.sentence == "http.too_large" and status is Status.CRITICAL:
        status = Status.WARNING  # it answers, with more than anybody asked for
    evidence = [f"{endpoint.method} {redact_url(endpoint.url)}", *bad.hops, _phases_line(bad)]
    if bad.excerpt:
        evidence.append(f"body: {bad.excerpt}")
    return say.find(
        failure.check_id,
        status,
        failure.sentence,
        item=endpoint.item,
        reason=failure.reason,
        evidence=evidence,
        failed=failed,
        tried=len(tries),
        **failure.params,
    )


def _phases_line(one: Exchange) -> str:
    times = ", ".join(f"{phase} {one.times[phase]:.1f} ms" for phase in PHASES)
    return f"{times}, total {one.seconds:.3f} s"


def _answer_check(endpoint: Endpoint, tries: list[Exchange], say: Reporter) -> Check:
    bad = _failure_of(tries, "http.status")
    if bad and bad.failure and bad.failure.sentence == "http.untrusted":
        return say.find("http.status", Status.SKIPPED, "http.untrusted", item=endpoint.item, evidence=bad.hops)
    if bad and bad.failure:
        return _report(endpoint, tries, bad, bad.failure, say)
    good = tries[-1]
    return say.find(
        "http.status",
        Status.OK,
        "http.answered",
        item=endpoint.item,
        code=good.code,
        seconds=good.seconds,
        evidence=good.hops,
    )


def _body_checks(endpoint: Endpoint, tries: list[Exchange], say: Reporter) -> list[Check]:
    bad = _failure_of(tries, "http.body")
    if bad and bad.failure:
        return [_report(endpoint, tries, bad, bad.failure, say)]
    if not endpoint.body and not endpoint.json:
        return []
    good = next((one for one in tries if not one.failure), None)
    if good is None:
        return [say.find("http.body", Status.SKIPPED, "http.body_unseen", item=endpoint.item)]
    return [say.find("http.body", Status.OK, "http.body_ok", item=endpoint.item, bytes=len(good.body))]


def _time_checks(endpoint: Endpoint, tries: list[Exchange], phases: bool, say: Reporter) -> list[Check]:
    """Time the first attempt that brought an answer, right or wrong: a later one finds warm caches."""
    answered = next((one for one in tries if _was_answered(one)), None)
    if answered is None:
        return [say.find("http.total", Status.SKIPPED, "http.untimed", item=endpoint.item)]
    checks = [
        say.measure(
            "http.total",
            answered.seconds,
            "http.took",
            item=endpoint.item,
            min=0,
            evidence=[*answered.hops, _phases_line(answered)],
            **{f"{phase}_ms": answered.times[phase] for phase in PHASES},
        )
    ]
    if phases:
        checks += [
            say.measure(f"http.{phase}", answered.times[phase], "http.phase", item=endpoint.item, min=0, phase=phase)
            for phase in PHASES
        ]
    return checks


def _was_answered(one: Exchange) -> bool:
    return one.failure is None or one.failure.check_id == "http.body" or one.failure.sentence == "http.wrong_status"


def _certificate_check(endpoint: Endpoint, tries: list[Exchange], thresholds: Mapping[str, Any]) -> Check:
    seen = next((one.certificate for one in tries if one.certificate), None)
    say = AREA.reporter(thresholds)
    if seen is None or not (seen.ends or seen.error):
        return say.find("http.cert", Status.SKIPPED, "http.cert_unseen", item=endpoint.item)
    until = datetime.fromtimestamp(seen.ends, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if seen.ends else ""
    days = (seen.ends - time.time()) / DAY
    if seen.error:
        value: dict[str, Any] = {"value": days} if until else {}
        return say.find(
            "http.cert",
            Status.CRITICAL,
            "http.cert_bad",
            item=endpoint.item,
            host=seen.host,
            error=seen.error,
            evidence=[f"valid until {until} ({days:.1f} days)"] if until else [],
            **value,
        )
    lifetime = (seen.ends - seen.begins) / DAY
    if "http.cert" not in thresholds and lifetime < 42:
        # Certificates of a few days or weeks (ACME) are nearly always within 14 days of their end: a third and a sixth.
        say = AREA.reporter(
            {**thresholds, "http.cert": {"warn": f"{lifetime / 3:.2f}:", "crit": f"{lifetime / 6:.2f}:"}}
        )
    return say.measure("http.cert", days, "http.cert_days", item=endpoint.item, host=seen.host, until=until)
