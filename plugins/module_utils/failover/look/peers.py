# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a host can reach: the view of each host tells a dead one from one that is only cut off from the controller."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
    "url": {"type": "str", "default": ""},
}
BANNER = b"SSH-"


def ssh(peer: Mapping[str, Any], seconds: float) -> str:
    """Return ok when an ssh server says hello there, else what happened: one that is stopped takes calls and says nothing."""
    try:
        with socket.create_connection((peer["address"], peer["port"]), seconds) as connection:
            connection.settimeout(seconds)
            said = connection.recv(len(BANNER), socket.MSG_WAITALL)
    except OSError as exc:
        return _why(exc, seconds)
    return "ok" if said == BANNER else f"said {said!r}: expected {BANNER!r}"


def answer(peer: Mapping[str, Any], seconds: float) -> int | str | None:
    """Return the HTTP status of the peer's URL, else what happened; None without a URL."""
    if not peer["url"]:
        return None
    parts = urlsplit(peer["url"])
    if parts.scheme != "http" or not parts.hostname:
        raise OpsError(f"peer {peer['name']}: url is {peer['url']!r}: expected http://ADDRESS[:PORT]/PATH")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=seconds)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as exc:
        return _why(exc, seconds)
    finally:
        connection.close()


def _why(exc: Exception, seconds: float) -> str:
    if isinstance(exc, socket.timeout):  # not yet a TimeoutError in Python 3.9
        return f"no answer within {seconds:g} s"
    return str(getattr(exc, "strerror", "") or exc or type(exc).__name__)
