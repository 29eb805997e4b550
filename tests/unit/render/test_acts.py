# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did, in every form of the report and both languages."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import Step, run_envelope
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import NewEvent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import acts, html, jsonout, markdown, terminal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.report import Look, files, load
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.words import known

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=timezone.utc)
SHA = "9f" * 32
SNAPSHOT = {
    "path": "/b/learning_20261123T020000Z.db.zst",
    "bytes": 1 << 20,
    "database_bytes": 5 << 20,
    "sha256": SHA,
    "created": "2026-11-23T02:00:00Z",
    "compress": "zstd",
    "engine": "pinned_copy",
    "rows": {"vocabulary": 84, "users": 0},
    "seconds": {"copy": 0.6, "verify": 4.1, "total": 4.7},
    "pointer": "/b/learning_latest.db.zst",
}
MANIFEST = {"created": "2026-11-23T02:00:00Z", "source": "/srv/learning.db", "sha256": SHA, "rows": {"vocabulary": 84}}
EVENTS = {
    "backup.run": {"snapshots": [SNAPSHOT], "removed": [f"learning_{day}.db" for day in range(60)], "archive": {}},
    "backup.verify": {
        "results": [
            {"file": "/b/one.db", "ok": True, "manifest": MANIFEST, "rows": {"vocabulary": 84}, "sha256": SHA},
            {"file": "/b/two.db", "ok": False, "manifest": {}, "rows": {}, "sha256": "", "seconds": {"total": 1.25}},
            {"what": "sqlite_backup_verify three.db", "failed": True, "msg": "no room"},
        ]
    },
    "restore.run": {
        "manifest": MANIFEST,
        "previous_path": "/srv/learning.db.before",
        "steps": [{"step": "replace", "seconds": 0.004}, {"step": "serve", "seconds": 2.0}],
        "rows": {"vocabulary": {"before": 90, "after": 84}, "users": {"before": 1, "after": 1}},
        "duration_ms": 4132.5,
    },
    "maintenance.sqlite": {
        "actions": {
            "vacuum": {
                "result": "done",
                "seconds": 3.25,
                "stall_ms": 41.0,
                "before": {"bytes": 4 << 20, "wal_bytes": 0, "freelist": 300},
                "after": {"bytes": 3 << 20, "wal_bytes": 0, "freelist": 0},
            }
        }
    },
    "maintenance.temp_clean": {"bytes": 2048, "removed": ["/tmp/bilingual_1"]},
    "backup.offsite": {
        "what": "backup_offsite vault",
        "copied": ["learning_1.db"],
        "left": [{"name": "learning_2.db", "reason": "no manifest"}],
        "present": 29,
        "bytes": 1 << 20,
        "snapshot_id": "1f2e3d4c",
    },
    "failover.run": {
        "outcome": "done",
        "msg": "tutor2 serves in epoch 8",
        "old": "tutor1",
        "target": "tutor2",
        "epoch": 8,
        "gap_s": 4.57,
        "rto_s": 5.78,
        "rpo_s": 0.0,
        "steps": [{"step": "quiesce", "seconds": 1.15, "hosts": {"tutor1": "ok"}, "errors": {}}],
    },
    "salvage.run": {
        "results": [
            {"what": "ops_fence", "changed": True},
            {
                "what": "ops_salvage",
                "aside": "/srv/learning.db.salvaged-run1",
                "manifest": {
                    "sql": {"path": "/var/lib/tutor-ops/salvage/salvage-run1.sql", "sha256": SHA},
                    "total": {"rows": 37, "conflict": 2},
                    "tables": {
                        "words": {"rows": 37, "inserted": 31, "updated": 5, "deleted": 1, "conflict": 2},
                        "users": {"rows": 0, "inserted": 0, "updated": 0, "deleted": 0, "conflict": 0},
                    },
                },
            },
        ]
    },
}
SHOWN = {
    "backup.run": [SNAPSHOT["path"], SHA, "1.0 MiB", "5.0 MiB", "pinned_copy", "0.6 s", "4.1 s", "(60)"],
    "backup.verify": ["one.db", "two.db", "1.25 s", SHA[: acts.HASH_CHARS], "no room"],
    "restore.run": ["/srv/learning.db.before", "90", "84", "0.004 s", "4.13 s"],
    "maintenance.sqlite": ["vacuum", "41 ms", "4.0 MiB → 3.0 MiB", "300 → 0"],
    "maintenance.temp_clean": ["2.0 KiB", "/tmp/bilingual_1"],
    "failover.run": ["tutor2 serves in epoch 8", "4.57 s", "5.78 s", "0 s", "quiesce", "1.15 s"],
    "salvage.run": ["ops_fence", "37", "31", "words", "salvage-run1.sql", SHA, "/srv/learning.db.salvaged-run1"],
    "backup.offsite": ["vault", "learning_1.db", "learning_2.db: no manifest", "1f2e3d4c", "1.0 MiB"],
}
EVIL = "<script>|x|\x1b[31m\u202e`*"


def event(kind, data=None):
    return {"kind": kind, "subject": "tutor1", "data": EVENTS[kind] if data is None else data}


def envelope(phase="backup", part=""):
    run = {"id": "r1", "phase": phase, "part": part, "started": "2026-11-23T02:00:00Z"}
    return run_envelope([Step({"changed": True}, "sqlite_backup", "backup.run")], "tutor1", run, {})


def page(done, locale, phase="backup", part=""):
    return html.render([envelope(phase, part)], locale=locale, zone=timezone.utc, now=NOW, done=done)


@pytest.mark.parametrize("locale", ["en", "zh"])
@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_form_shows_it(kind, locale):
    text = markdown.render([envelope()], locale, done=[event(kind)]).replace("\\", "").replace("&#58;", ":")
    web = page([event(kind)], locale)
    for expected in SHOWN[kind]:
        assert expected in text
        assert expected in web
    assert json.loads(jsonout.render([envelope()], [event(kind)]))["done"] == [event(kind)]
    assert acts.KINDS.keys() and kind in acts.KINDS.values()


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_the_terminal_has_it_in_a_few_lines(kind):
    lines = [line.text for line in terminal.render([envelope()], done=[event(kind)])]
    own = lines[2:]
    assert 1 <= len(own) <= 6, own
    assert all(len(line) <= terminal.COLUMNS for line in own)


def test_the_actions_of_maintenance_are_in_the_order_in_which_they_ran():
    ran = ["integrity_check", "analyze", "vacuum", "wal_checkpoint", "unheard_of"]
    data = {"actions": {name: {"result": "done"} for name in sorted(ran)}}
    (act,) = acts.read([{"kind": "maintenance.sqlite", "subject": "tutor1", "data": data}], "en", timezone.utc)
    assert [row[0] for row in act.tables[0].rows] == ran


def test_a_restore_that_failed_says_where_the_data_is():
    data = {"failed": True, "msg": "not healthy", "failed_path": "/srv/a.failed", "previous_path": "/srv/a.before"}
    done = [{"kind": "restore.run", "subject": "tutor1", "data": {**data, "steps": [{"step": "undo", "seconds": 2.8}]}}]
    text = markdown.render([envelope()], "zh", done=done).replace("\\", "")
    for expected in ("not healthy", "/srv/a.failed", "/srv/a.before", "放回原数据库"):
        assert expected in text and expected in page(done, "zh")


def test_a_command_to_paste_is_not_broken_into_columns():
    command = "ansible-playbook bilingual_tutor.ops.restore -i hosts.yml -e " + "ops_restore_snapshot=/a/b.db" * 4
    lines = [line.text for line in terminal.render([envelope()], failed={"tutor1": f"Nothing was done:\n{command}"})]
    assert command in lines
    assert any("Nothing was done:" in line for line in lines)


def test_the_words_of_an_action_are_known():
    for kind in acts.KINDS.values():
        assert known(f"act.{kind}")


def test_a_verdict_is_in_words_and_a_failure_in_red():
    assert {"good", "not proved"} <= {cell for row in _table("backup.verify", "en").rows for cell in row}
    assert {"可用", "未通过"} <= {cell for row in _table("backup.verify", "zh").rows for cell in row}
    assert '<p class="critical">' in page([event("backup.verify")], "en")


def _table(kind, locale):
    return next(act.tables[0] for act in acts.read([event(kind)], locale, timezone.utc) if act.tables)


def test_an_action_of_which_nothing_is_known_shows_its_values():
    one = {
        "kind": "backup.tape",
        "subject": "tutor1",
        "data": {"what": "x", "drive": "/dev/st0", "blocks": 7, "list": [1]},
    }
    [act] = acts.read([one], "zh", timezone.utc)
    assert (act.title, act.facts) == ("backup.tape", [("drive", "/dev/st0"), ("blocks", "7")])


def test_rows_that_did_not_change_are_left_out():
    [act] = acts.read([event("restore.run")], "en", timezone.utc)
    assert [row[0] for row in act.tables[1].rows] == ["vocabulary"]


def test_a_long_list_is_cut_and_says_so():
    [act] = acts.read([event("backup.run")], "en", timezone.utc)
    [(name, names)] = act.lists
    assert "(60)" in name and len(names) == acts.NAMES + 1 and "20 more" in names[-1]


@pytest.mark.parametrize("kind", sorted(EVENTS))
@pytest.mark.parametrize("data", [{}, {"failed": True}, {"results": []}])
def test_half_a_result_is_no_reason_to_have_no_report(kind, data):
    assert "</html>" in page([event(kind, data)], "en")
    assert markdown.render([envelope()], done=[event(kind, data)])


def test_of_a_failover_the_end_is_told_and_not_each_step():
    steps = [
        {"changed": True, "evidence": ["stopped"]},
        {"failed": True, "msg": "no room"},
        {"act": True, "outcome": "x"},
    ]
    assert not acts.read([event("failover.run", {"results": steps})], "en", timezone.utc)


def test_a_hostile_name_is_harmless():
    data = {"snapshots": [{**SNAPSHOT, "path": EVIL}], "removed": [EVIL]}
    web, text = page([event("backup.run", data)], "en"), markdown.render([envelope()], done=[event("backup.run", data)])
    assert "<script>" not in web and "\x1b" not in web and "\u202e" not in web
    assert "<script>" not in text and "\x1b" not in text


@pytest.mark.parametrize(
    ("phase", "part", "en", "zh"),
    [
        ("morning", "", "Operations report", "运维报告"),
        ("backup", "", "Backup report", "备份报告"),
        ("verification", "", "Backup verification report", "备份验证报告"),
        ("restore", "", "Restore report", "恢复报告"),
        ("failover", "", "Failover report", "主备切换报告"),
        ("maintenance", "", "Maintenance report", "维护报告"),
        ("weekly", "thu", "Weekly report, Thursday", "每周检查报告（周四）"),
    ],
)
def test_the_report_is_called_after_the_run(phase, part, en, zh):
    for locale, title in (("en", en), ("zh", zh)):
        assert f"<h1>{title}</h1>" in page([], locale, phase, part)


def test_the_report_of_a_run_has_what_that_run_did(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    for run_id, phase, removed in (("r1", "backup", "old"), ("r2", "backup", "new"), ("r3", "weekly", "")):
        record = {**envelope(phase, "thu" if phase == "weekly" else ""), "run_id": run_id}
        ledger.append([NewEvent("check.run", "tutor1", record, run_id)])
        if removed:
            ledger.append([NewEvent("backup.run", "tutor1", {"removed": [removed]}, run_id)])
    for run_id, done in (("r1", ["old"]), ("r2", ["new"]), ("", [])):
        material = load(ledger, run_id, 30)
        assert [name for one in material.done for name in one["data"]["removed"]] == done
    look = Look(["nagios", "textfile"], "en", timezone.utc, "", NOW)
    names = [file.name for file in files(load(ledger, "", 30), look, None)]
    assert names == ["nagios/tutor1.weekly_thu.txt", "textfile/tutor1.weekly_thu.prom"]
