# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill waits for, and whether people could act in an emergency."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill import emergency
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.admit import REFUSALS, refusals
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.area import AREA

SAY = AREA.reporter()
LOCK = {"run_id": "run-7", "controller": "desk", "since": "2026-11-23T00:00:00Z", "expires": "2026-11-23T00:30:00Z"}


def event(kind: str, at: str = "2026-11-23T00:00:00Z", **data: Any) -> dict[str, Any]:
    return {"kind": kind, "subject": "tutor1", "at": at, "data": data}


def ids(looks: Any = (), freeze: str = "", events: Any = ()) -> list[str]:
    return [one.id for one in refusals(looks, freeze, events)]


def test_nothing_in_the_way() -> None:
    good = [
        event("backup.run", snapshot={}),
        event("backup.verify", ok=True),
        event("failover.run", outcome="done"),
        event("incident.event", priority="P1", state="resolved"),
        event("incident.event", priority="P2", state="investigating"),
    ]
    assert ids([{"host": "tutor1", "lock": None, "error": ""}], "", good) == []


@pytest.mark.parametrize(
    ("looks", "freeze", "events", "expected"),
    [
        ([{"host": "tutor2", "lock": LOCK, "error": ""}], "", [], "lock"),
        ([{"host": "tutor2", "lock": None, "error": "unreachable"}], "", [], "unseen"),
        ([], "exams", [], "freeze"),
        ([], "", [event("incident.event", priority="P0", state="investigating")], "incident"),
        ([], "", [event("incident.event", priority="P1")], "incident"),
        ([], "", [event("backup.run", failed=True, msg="disk full")], "backup"),
        ([], "", [event("backup.run", unreachable=True, msg="gone")], "backup"),
        ([], "", [event("backup.verify", ok=False, file="/b.db")], "backup"),
        ([], "", [event("backup.verify", results=[{"ok": True}, {"ok": False, "file": "/c.db"}])], "backup"),
        ([], "", [event("failover.run", outcome="needs_human", run_id="r")], "failover"),
        ([], "", [event("failover.run", outcome="degraded", run_id="r")], "failover"),
    ],
)
def test_each_reason_to_wait(looks: Any, freeze: str, events: Any, expected: str) -> None:
    (found,) = refusals(looks, freeze, events)
    assert found.id == expected
    for locale in ("en", "zh"):
        assert "{" not in found.as_dict()[locale]


def test_only_the_last_failover_counts() -> None:
    events = [
        event("failover.run", "2026-11-23T02:00:00Z", outcome="done"),
        event("failover.run", "2026-11-22T02:00:00Z", outcome="needs_human"),
    ]
    assert ids(events=events) == []


def test_every_reason_has_both_languages() -> None:
    assert all(text.en and text.zh for text in REFUSALS.values())


ROLES = ["system_administrator", "operations_manager"]
PEOPLE = [
    {"name": "Li Wei", "role": "system_administrator", "phone": "+86-571-5550-0001"},
    {"name": "Zhao Min", "role": "operations_manager", "mail": "zhao@tutor.test"},
]


@pytest.mark.parametrize(
    ("contacts", "sentence"),
    [
        ({"people": PEOPLE, "channels": {"duty": "+86-571-5550-0000"}}, "drill.contacts_complete"),
        ({}, "drill.contacts_empty"),
        ({"people": [], "channels": {"duty": "1"}}, "drill.contacts_empty"),
        ({"people": PEOPLE}, "drill.contacts_wrong"),
        ({"people": PEOPLE[:1], "channels": {"duty": "1"}}, "drill.contacts_wrong"),
        ({"people": PEOPLE, "channels": {"duty": "+86-xxx-xxxx-xxxx"}}, "drill.contacts_wrong"),
        ({"people": [{**PEOPLE[0], "phone": ""}, PEOPLE[1]], "channels": {"d": "1"}}, "drill.contacts_wrong"),
        ({"people": [{**PEOPLE[0], "name": " "}, PEOPLE[1]], "channels": {"d": "1"}}, "drill.contacts_wrong"),
        (
            {"people": [PEOPLE[0], {**PEOPLE[1], "mail": "ops@example.com"}], "channels": {"d": "1"}},
            "drill.contacts_wrong",
        ),
    ],
)
def test_contacts(contacts: dict[str, Any], sentence: str) -> None:
    found = emergency.judge_contacts(SAY, contacts, ROLES)
    assert found.message == sentence and found.status == (0 if sentence.endswith("complete") else 2)


def test_the_runbook(tmp_path: Path) -> None:
    path = tmp_path / "runbook.md"
    path.write_text("one")
    known = hashlib.sha256(b"one").hexdigest()

    def judge(wanted: str = "", last: str = "", file: Path = path) -> tuple[int, str]:
        check, seen = emergency.judge_runbook(SAY, str(file) if file else "", wanted, last)
        return int(check.status), seen

    assert judge() == (0, known) and judge(wanted=known) == (0, known) and judge(last=known) == (0, known)
    path.write_text("two")
    assert judge(wanted=known)[0] == 2, "another one than was agreed"
    assert judge(last=known)[0] == 1, "changed since the last drill"
    assert judge(file=tmp_path / "gone") == (2, "")
    assert emergency.judge_runbook(SAY, "", "", "")[0].status == 1


def test_paging(tmp_path: Path) -> None:
    hook, out = tmp_path / "hook", tmp_path / "out"
    hook.write_text(f'#!/bin/sh\n{{ echo "$1"; cat; }} > {out}\n')
    hook.chmod(0o755)
    assert emergency.page(SAY, [str(hook)], "[DRILL / 演练] x", 10).status == 0
    assert out.read_text() == "[DRILL / 演练] x\n[DRILL / 演练] x\n"
    hook.write_text("#!/bin/sh\necho no signal >&2\nexit 3\n")
    failed = emergency.page(SAY, [str(hook)], "x", 10)
    assert failed.status == 2 and "no signal" in failed.summary
    hook.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    assert emergency.page(SAY, [str(hook)], "x", 0.3).status == 2, "one that hangs is ended"
    assert emergency.page(SAY, [], "x", 1).status == 1
    assert emergency.page(SAY, [str(tmp_path / "gone")], "x", 1).status == 2


class Page(http.server.BaseHTTPRequestHandler):
    """A proxy that shows a page, or does not."""

    def do_GET(self) -> None:
        code, text = {"/page": (503, "系统维护 maintenance"), "/other": (503, "nginx")}.get(self.path, (404, ""))
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("path", "status"), [("/page", 0), ("/other", 2), ("/gone", 2)])
def test_the_maintenance_page(proxy: str, path: str, status: int) -> None:
    (found,) = emergency.judge_maintenance(SAY, [{"url": proxy + path, "body": "维护"}])
    assert found.status == status, found.summary


def test_a_proxy_that_does_not_answer_shows_no_page() -> None:
    (found,) = emergency.judge_maintenance(SAY, [{"url": "http://127.0.0.1:9/"}])
    assert found.status == 2
    (unset,) = emergency.judge_maintenance(SAY, [])
    assert unset.status == 1
