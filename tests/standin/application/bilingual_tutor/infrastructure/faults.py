# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault switch: one line in a file decides, at each request, how the application misbehaves.

``http_500``, ``endless_body``, ``redirect_loop``, ``slow_drip`` and ``slow SECONDS``; no file or an empty one: none.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from bilingual_tutor.infrastructure.logs import logger

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

DRIP_SECONDS = 0.5
KNOWN = ("http_500", "endless_body", "redirect_loop", "slow_drip", "slow")


class FaultSwitch:
    """A WSGI application around another one, harmless while the switch file is not there."""

    def __init__(self, application: Application, switch: Path) -> None:
        self._application = application
        self._switch = switch

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request, with the fault that is switched on."""
        fault, _sep, argument = self._read().partition(" ")
        if fault == "slow":
            time.sleep(float(argument))
        if fault in ("", "slow"):
            return self._application(environ, start_response)
        if fault == "endless_body":
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            return itertools.repeat(b"<!-- endless -->" * 4096)
        if fault == "slow_drip":
            # nginx would hold the drops back until it has a bucketful.
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("X-Accel-Buffering", "no")])
            return drip()
        if fault == "redirect_loop":
            hop = int(environ.get("QUERY_STRING", "").partition("hop=")[2] or 0) + 1
            start_response("302 Found", [("Location", f"{environ['PATH_INFO']}?hop={hop}"), ("Content-Length", "0")])
            return [b""]
        if fault == "http_500":
            logger.error("服务器内部错误: %s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            text = "服务器内部错误\n".encode()
        else:
            text = f"unknown fault {fault!r} in {self._switch}: expected {', '.join(KNOWN)}\n".encode()
        start_response(
            "500 Internal Server Error",
            [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))],
        )
        return [text]

    def _read(self) -> str:
        try:
            return self._switch.read_text(encoding="utf-8").strip()
        except OSError:
            return ""


def drip() -> Iterator[bytes]:
    """Yield a byte now and then, without end: each read succeeds, the whole never does."""
    while True:
        yield b"."
        time.sleep(DRIP_SECONDS)
