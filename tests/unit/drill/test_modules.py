# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of a drill as modules, with a ledger between two drills, and the page that tells of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bad_backups import emptied, fill, make_snapshot
from rehearsals import PYTHON, Site

PEOPLE = [{"name": "Li Wei", "role": "system_administrator", "phone": "+86-571-5550-0001"}]


def rehearse(run_module: Any, site: Site, snapshot: Path, **more: Any) -> dict[str, Any]:
    options = {
        "source": "snapshot",
        "snapshot": str(snapshot),
        "path": str(site.live),
        "scratch": str(site.scratch),
        "command": [PYTHON, str(site.live.parent / "code.py")],
        "environment": {"DB_PATH": str(site.live), "LOG": str(site.logs / "app.log")},
        "writable": [str(site.logs)],
    }
    return dict(run_module("drill_scratch", **{**options, **more}))


def test_drill_scratch(run_module: Any, returns_as_documented: Any, tmp_path: Path) -> None:
    site = Site(tmp_path)
    snapshot = make_snapshot(fill(site.live), tmp_path / "backups")
    result = rehearse(run_module, site, snapshot)
    returns_as_documented("drill_scratch", result)
    assert result["verdict"] == "passed" and result["served"] and result["changed"] and not site.left()
    planned = rehearse(run_module, site, snapshot, _ansible_check_mode=True)
    returns_as_documented("drill_scratch", planned)
    emptied(snapshot)
    failed = rehearse(run_module, site, snapshot)
    returns_as_documented("drill_scratch", failed)
    assert failed["verdict"] == "failed" and failed["rto_s"] is None
    wrong = rehearse(run_module, site, snapshot, path="relative.db")
    assert wrong["failed"] and "expected an absolute path" in wrong["msg"]
    missing = run_module("drill_scratch", source="replica", path=str(site.live))
    assert missing["failed"] and "replica" in missing["msg"]
    odd = rehearse(run_module, site, snapshot, thresholds={"drill.los": {}})
    assert odd["failed"] and "did you mean drill.loss" in odd["msg"]


def test_ops_drill_from_drill_to_drill(run_module: Any, returns_as_documented: Any, tmp_path: Path) -> None:
    """A bad backup becomes a finding in the ledger, which the next drill finds open, and closes; the report tells all."""
    site = Site(tmp_path)
    snapshot = make_snapshot(fill(site.live), tmp_path / "backups")
    kept = snapshot.read_bytes()
    where = {"ledger": str(tmp_path / "ledger.db")}

    def drill(name: str) -> dict[str, Any]:
        admitted = run_module("ops_drill", state="admit", **where)
        returns_as_documented("ops_drill", admitted)
        assert admitted["refusals"] == []
        found = {**rehearse(run_module, site, snapshot), "host": "tutor1"}
        health = {"tutor1": {"checks": found["checks"][:1]}} if name == "second" else {}
        result = run_module(
            "ops_drill", state="judge", run_id=name, rehearsals=[found], rpo=93600, owner="Li Wei", before=health,
            contacts={"people": PEOPLE, "channels": {"duty": "+86-571-5550-0000"}}, contact_roles=["system_administrator"],
            **where,
        )  # fmt: skip
        returns_as_documented("ops_drill", result)
        envelope = {
            "schema": "ops.check/1", "run_id": name, "host": "tutor1", "phase": "drill", "part": "", "started": found["started"],
            "duration_ms": 1.0, "tool_version": "0.1.0", "counts": {}, "worst": 0, "state": {}, "errors": [],
            "checks": [*found["checks"], *result["checks"]],
        }  # fmt: skip
        events = [
            {"kind": "check.run", "subject": "tutor1", "run_id": name, "data": envelope},
            {"kind": "drill.run", "subject": "tutor1", "run_id": name, "data": result},
        ]
        recorded = run_module("ops_record", events=json.loads(json.dumps(events)), **where)
        assert not recorded.get("failed"), recorded
        return dict(result, open_before=admitted["open"])

    emptied(snapshot)
    first = drill("first")
    assert first["verdict"] == "failed" and first["open_before"] == []
    snapshot.write_bytes(kept)
    second = drill("second")
    assert second["verdict"] == "passed", second["reasons"]
    assert "snapshot.file" in {one["check"]["id"] for one in second["open_before"]}
    assert "snapshot.file" in {one["check"]["id"] for one in second["closed"]}
    assert [one["verdict"] for one in second["trend"]] == ["failed", "passed"]
    made = run_module("ops_report", dest=str(tmp_path / "report"), timezone="Asia/Shanghai", **where)
    assert not made.get("failed"), made
    pages = {locale: (tmp_path / "report" / f"latest.{locale}.html").read_text() for locale in ("en", "zh")}
    for words in ("Disaster recovery drill", "Restored from", "newest backup (tutor1)", "Li Wei"):
        assert words in pages["en"], words
    for words in ("灾备演练", "最新备份（tutor1）", "本次关闭的问题", "未通过"):
        assert words in pages["zh"], words
    text = (tmp_path / "report" / "latest.md").read_text()
    assert "Closed by this drill" in text


def test_a_freeze_is_told_in_both_languages(run_module: Any, tmp_path: Path) -> None:
    result = run_module("ops_drill", state="admit", ledger=str(tmp_path / "none.db"), change_freeze="exams", seed=7)
    (refusal,) = result["refusals"]
    assert refusal["id"] == "freeze" and "frozen: exams" in refusal["en"] and "变更冻结期：exams" in refusal["zh"]
    assert result["seed"] == 7
