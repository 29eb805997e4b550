# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one request came to: its phases, its answer, or what went wrong."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.area import PHASES
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.certificate import Certificate


class Failed(Exception):
    """One request went wrong in a way that has a sentence."""

    def __init__(self, sentence: str, check_id: str = "http.status", reason: str = "state", **params: Any) -> None:
        super().__init__(sentence)
        self.sentence, self.check_id, self.reason, self.params = sentence, check_id, reason, params


class Untrusted(Exception):
    """The server's certificate was rejected, so nothing was sent to it."""


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
    failure: Failed | None = None
    excerpt: str = ""


def told(exc: BaseException) -> str:
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
