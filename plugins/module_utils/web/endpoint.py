# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a web server, and what is expected of its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.defaults import filled
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import HIDDEN, redact, redact_url

MAX_ENDPOINTS = 32
ENDPOINT: dict[str, dict[str, Any]] = {
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
        opts = filled(ENDPOINT, spec)
        url = str(opts["url"] or "")
        parts = split_url(url)
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


def read_endpoints(spec: Mapping[str, Any]) -> list[Endpoint]:
    """Read the one endpoint or the many of a probe; raise OpsError for what cannot be asked."""
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


def split_url(url: str) -> SplitResult:
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
