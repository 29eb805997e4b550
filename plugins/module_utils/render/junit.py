# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML, so that a build server shows a run as tests."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.view import Host, heading, read

# A finding fails a test; a check that could not look is an error of the test itself.
ELEMENTS = {
    Status.CRITICAL: "failure",
    Status.WARNING: "failure",
    Status.UNKNOWN: "error",
    Status.SKIPPED: "skipped",
}


def render(envelopes: Iterable[Mapping[str, Any]], locale: str = "en") -> str:
    """Render a run: one suite per host, one case per check."""
    run = read(envelopes)
    root = ET.Element("testsuites", {"name": heading(run, locale), **_tally(run.counts)})
    for host in run.hosts:
        root.append(_suite(host, locale))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _tally(counts: Mapping[str, int]) -> dict[str, str]:
    return {
        "tests": str(sum(counts.values())),
        "failures": str(counts["critical"] + counts["warning"]),
        "errors": str(counts["unknown"]),
        "skipped": str(counts["skipped"]),
    }


def _suite(host: Host, locale: str) -> ET.Element:
    attributes = {"name": host.name, **_tally(host.counts), "time": f"{host.duration_ms / 1000:.3f}"}
    if host.started:
        attributes["timestamp"] = host.started
    suite = ET.Element("testsuite", attributes)
    suite.extend(_case(host, check, locale) for checks in host.by_group.values() for check in checks)
    return suite


def _case(host: Host, check: Check, locale: str) -> ET.Element:
    attributes = {
        "classname": f"{host.name}.{check.group}",
        "name": f"{check.id} {check.item}".strip(),
        "time": f"{check.duration_ms / 1000:.3f}",
    }
    case = ET.Element("testcase", attributes)
    element = ELEMENTS.get(check.status)
    if element:
        outcome = ET.SubElement(case, element, {"message": catalogue.summary(check, locale)})
        if element != "skipped":
            outcome.set("type", check.status.name)
            outcome.text = "\n".join([*check.evidence, catalogue.fix(check, locale)]).strip()
    return case
