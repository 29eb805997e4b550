# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request and the redirects it leads to, within one deadline.

Built on ``http.client``, since a target host has nothing else, and since no library at hand bounds a whole request:
their time-outs start anew with every byte, so a server that sends one byte a second holds them for ever.
"""

from __future__ import annotations

import http.client
import socket
import time
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact_url
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.connection import Bounded, connect, resolve
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.endpoint import Endpoint, split_url
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.exchange import Exchange, Failed, Untrusted, told
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.judge import judge
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.tls import handshake

BODY_EXCERPT = 200


def request(endpoint: Endpoint, deadline: Deadline) -> Exchange:
    """Do one request, following redirects; never raises for what the server does, never outlives the deadline."""
    result = Exchange()
    start = time.monotonic()
    try:
        _follow(endpoint, deadline, result)
        judge(endpoint, result)
    except Failed as failure:
        result.failure = failure
    except Untrusted:
        result.failure = Failed("http.untrusted")
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
            url = urlunsplit(split_url(target))
        except OpsError:
            raise Failed("http.redirect_bad", target=shown) from None
        new = urlsplit(url)
        away = (old.hostname or "").lower() != (new.hostname or "").lower()
        result.hops.append(f"{result.code} -> {redact_url(url)}" + (f" (another host: {new.hostname})" if away else ""))
        if old.scheme == "https" and new.scheme == "http":
            raise Failed("http.downgrade", target=shown)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            headers = {}  # another origin must not get what was meant for this one
        if result.code == 303 or (result.code in (301, 302) and method == "POST"):
            method, payload = "GET" if method != "HEAD" else "HEAD", None
        if (method, url) in visited:
            raise Failed("http.redirect_loop", target=shown)
        visited.add((method, url))
        if len(result.hops) > endpoint.max_redirects:
            raise Failed("http.redirects", limit=endpoint.max_redirects, target=shown)


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
    addresses = _timed(result, "dns", resolve, host, port, deadline)
    sock, address = _timed(result, "connect", connect, addresses, deadline)
    with sock:
        if secure:
            sock = _timed(result, "tls", handshake, sock, endpoint, host, address, deadline, result)
        with sock:
            stream = Bounded(sock, deadline)
            started = time.monotonic()
            try:
                return _ask(endpoint, stream, parts, method, payload, headers, result)
            except socket.timeout:
                if stream.received:
                    raise Failed(
                        "http.slow", reason="timeout", waited=deadline.seconds, bytes=stream.received
                    ) from None
                raise Failed(
                    "http.no_first_byte", reason="timeout", address=address, waited=time.monotonic() - started
                ) from None
            except (OSError, http.client.HTTPException) as exc:
                raise Failed("http.broken", error=endpoint.clean(told(exc))) from None
            finally:
                if stream.first_byte_at:
                    result.times["first_byte"] += (stream.first_byte_at - started) * 1000


def _timed(result: Exchange, phase: str, work: Any, *args: Any) -> Any:
    start = time.monotonic()
    try:
        return work(*args)
    finally:
        result.times[phase] += (time.monotonic() - start) * 1000


def _ask(
    endpoint: Endpoint,
    stream: Bounded,
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
        raise Failed("http.truncated", missing=response.length)
    return None
