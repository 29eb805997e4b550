# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether people could act: the maintenance page, the contacts, the runbook, the way to page somebody."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.client import request
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.endpoint import Endpoint
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

PAGE_SECONDS = 8.0
# It is shown while the service is down, so 503 is right; where it is a page of its own, 200.
PAGE_STATUS = ["200", "503"]
# How a person can be reached.
WAYS = ("phone", "mobile", "mail", "wechat")


def judge_maintenance(say: Reporter, pages: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    """Ask for each maintenance page as a user would."""
    if not pages:
        yield say.find("drill.maintenance", Status.WARNING, "drill.maintenance_unset", reason="missing")
    for page in pages:
        url = page["url"]

        def found(status: Status, sentence: str, url: str = url, **rest: Any) -> Check:
            return say.find("drill.maintenance", status, sentence, item=url, url=url, **rest)

        spec = {"url": url, "status": PAGE_STATUS, "body": page.get("body") or "", "max_redirects": 0}
        endpoint = Endpoint.from_spec({**spec, "max_time": PAGE_SECONDS})
        answer = request(endpoint, Deadline(PAGE_SECONDS))
        text = answer.body.decode("utf-8", "replace")
        if answer.failure:
            # Nobody there is what a user would see too.
            yield found(Status.CRITICAL, "drill.maintenance_not", problem="no answer")
        elif not endpoint.accepts(answer.code):
            yield found(Status.CRITICAL, "drill.maintenance_not", problem=f"status {answer.code}")
        elif endpoint.body and not endpoint.body.search(text):
            yield found(Status.CRITICAL, "drill.maintenance_not", problem=f"no {endpoint.body_text!r}")
        else:
            yield found(Status.OK, "drill.maintenance_shown")


def judge_contacts(say: Reporter, contacts: Mapping[str, Any], roles: Sequence[str]) -> Check:
    """Judge ``{"people": [{name, role, phone...}], "channels": {name: address}}``: complete for every role."""
    people, channels = list(contacts.get("people") or []), dict(contacts.get("channels") or {})
    if not people:
        return say.find("drill.contacts", Status.CRITICAL, "drill.contacts_empty", reason="missing")
    wrong = [
        (f"nobody for {role}", f"缺少 {role}") for role in roles if not any(one.get("role") == role for one in people)
    ]
    for number, one in enumerate(people, 1):
        name = str(one.get("name") or "").strip() or f"#{number}"
        if not str(one.get("name") or "").strip():
            wrong.append((f"{name} has no name", f"{name} 无姓名"))
        if not any(_real(one.get(way)) for way in WAYS):
            wrong.append((f"no way to reach {name}", f"{name} 无联系方式"))
    wrong += [
        (f"channel {name} is empty", f"渠道 {name} 为空") for name, address in channels.items() if not _real(address)
    ]
    if not channels:
        wrong.append(("no channel of the team", "缺少团队渠道"))
    if wrong:
        told = {"what": listed([en for en, _zh in wrong]), "what_zh": "、".join([zh for _en, zh in wrong][:5])}
        return say.find("drill.contacts", Status.CRITICAL, "drill.contacts_wrong", value=len(wrong), **told)
    return say.find(
        "drill.contacts", Status.OK, "drill.contacts_complete", value=0, count=len(people), channels=len(channels)
    )


def _real(value: Any) -> bool:
    """Tell a way to reach somebody from a gap that was left for one, such as +86-xxx-xxxx-xxxx."""
    text = str(value or "").strip()
    return bool(text) and "xxx" not in text.lower() and not text.lower().endswith("@example.com")


def judge_runbook(say: Reporter, path: str, wanted: str, last: str) -> tuple[Check, str]:
    """Compare the runbook with the hash declared, or with that of the last drill; return its hash too."""
    if not path:
        return say.find("drill.runbook", Status.WARNING, "drill.runbook_unset", reason="missing"), ""
    try:
        seen = hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()
    except OSError as exc:
        found = say.find(
            "drill.runbook", Status.CRITICAL, "drill.runbook_unread", reason="missing", path=path, error=exc.strerror
        )
        return found, ""
    expected = wanted or last
    if expected and seen != expected:
        # Against the last drill it only changed; against what was declared it is another one.
        status = Status.CRITICAL if wanted else Status.WARNING
        told = {"path": path, "seen": seen, "wanted": expected}
        return say.find("drill.runbook", status, "drill.runbook_changed", **told), seen
    return say.find("drill.runbook", Status.OK, "drill.runbook_same", path=path, seen=seen), seen


def page(say: Reporter, command: Sequence[str], text: str, seconds: float) -> Check:
    """Run the hook that pages whoever is on call; it gets the text as its last word and on its standard input."""
    if not command:
        return say.find("drill.notified", Status.WARNING, "drill.notified_unset", reason="missing")
    begin = time.monotonic()
    try:
        output = run([*command, text], seconds, stdin=text + "\n")
    except OpsError as exc:
        return say.find("drill.notified", Status.CRITICAL, "drill.notified_not", error=str(exc))
    took = time.monotonic() - begin
    if output.rc != 0:
        return say.find("drill.notified", Status.CRITICAL, "drill.notified_not", error=output.complaint)
    return say.find("drill.notified", Status.OK, "drill.notified_yes", value=took, seconds=took)
