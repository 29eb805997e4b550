# pylint: disable=unused-import; it adds the imports of the standard library's http to any file of that name
# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a web server as its users do, and tell which phase took the time or broke."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web import area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.endpoint import ENDPOINT, read_endpoints
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.verdict import watch

AREA = area.AREA
TIMEOUT = 10.0
OPTIONS: dict[str, dict[str, Any]] = {
    **ENDPOINT,
    "urls": {
        "type": "list",
        "elements": "dict",
        "options": {**ENDPOINT, "url": {"type": "str", "required": True}, "name": {"type": "str", "default": ""}},
    },
    "phases": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 4},
}
CONSTRAINTS = {"mutually_exclusive": [("url", "urls")], "required_one_of": [("url", "urls")]}


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Ask every endpoint, several at a time, each with its own deadline within the probe's."""
    endpoints = read_endpoints(spec)
    checks: list[Check] = []
    with ThreadPoolExecutor(max_workers=min(len(endpoints), max(1, spec.get("parallel") or 4))) as pool:
        futures: list[Future[list[Check]]] = [
            pool.submit(watch, endpoint, spec.get("thresholds") or {}, bool(spec.get("phases")), deadline)
            for endpoint in endpoints
        ]
        for future in futures:
            checks += future.result()
    return ProbeResult(checks)


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for options that can never work, before anything is asked."""
    read_endpoints(spec)
