# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo is green on a healthy sandbox, twice, not green on a broken one, and keeps to its directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import demo
import pytest
from sandbox import Sandbox

DEMO = Path(demo.__file__)
SECONDS = 400  # seven playbook runs, on a machine that does other things too


def run_demo(sandbox: Sandbox, home: Path, locale: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, DEMO, "--directory", sandbox.directory],
        env={**os.environ, "HOME": str(home), "OPS_LOCALE": locale},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def latest(sandbox: Sandbox) -> dict[str, object]:
    return json.loads((sandbox.directory / "reports/latest.json").read_text(encoding="utf-8"))


def test_it_is_green_twice_and_stays_in_its_directory(sandbox: Sandbox, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = run_demo(sandbox, home, "en")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "is well." in first.stdout
    assert str(sandbox.directory / "reports/latest.html") in first.stdout
    one = latest(sandbox)
    assert one["counts"]["ok"] > 0

    sandbox.down()  # a restart on purpose is no finding
    second = run_demo(sandbox, home, "zh")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "一切正常" in second.stdout
    assert latest(sandbox)["envelopes"][0]["run_id"] != one["envelopes"][0]["run_id"]
    html = (sandbox.directory / "reports/latest.html").read_text(encoding="utf-8")
    assert "与上次运行相比" in html
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_fault_makes_a_shift_end_red(sandbox: Sandbox) -> None:
    sandbox.up()
    sandbox.fault.write_text("http_500\n", encoding="utf-8")
    [morning] = [step for step in demo.STEPS if step.name == "morning"]
    code, report = demo.run(sandbox, morning, "en")
    sandbox.fault.unlink()
    assert code != 0
    found = {check["id"] for check in report["envelopes"][0]["checks"] if check["status"] == 2}
    assert "http.status" in found


def test_findings_that_up_does_not_mend_end_the_demo_red(sandbox: Sandbox, monkeypatch: Any, capsys: Any) -> None:
    with (sandbox.logs / "gunicorn_error.log").open("a", encoding="utf-8") as log:
        log.write("2026-11-23 01:00:00 - root - ERROR - 数据库连接错误: database disk image is malformed\n")
    monkeypatch.setattr(demo, "STEPS", [step for step in demo.STEPS if step.name == "morning"])
    monkeypatch.setenv("OPS_LOCALE", "en")
    code = demo.main(["--directory", str(sandbox.directory)])
    shown = capsys.readouterr()
    assert code == 1, shown
    assert "Not all is well" in shown.out
    assert "malformed" in shown.out


def test_findings_of_the_machine_are_told_from_those_of_the_sandbox() -> None:
    def check(group: str, id_: str, status: int) -> dict[str, object]:
        return {"group": group, "id": id_, "status": status}

    full, away = check("host", "disk.used", 1), check("host", "host.reachable", 2)
    broken, fine = check("http", "http.status", 2), check("host", "mem.used", 0)
    assert demo.findings([{"checks": [full, fine]}, {"checks": [away, broken]}]) == ([away, broken], [full])


@pytest.mark.parametrize(
    ("environ", "locale"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "OPS_LOCALE": "en"}, "en"),
        ({"LANG": "de_DE.UTF-8", "OPS_LOCALE": "zh"}, "zh"),
    ],
)
def test_language(environ: dict[str, str], locale: str) -> None:
    assert demo.locale_of(environ) == locale


@pytest.mark.parametrize(("seen", "worst"), [((0, 2, 0), 2), ((2, 1), 2), ((1, 3), 1), ((0, 3), 3), ((4, 0), 0)])
def test_the_day_holds_each_check_once_at_its_worst(seen: tuple[int, ...], worst: int) -> None:
    def envelope(status: int) -> dict[str, object]:
        return {"host": "one", "checks": [{"id": "log.errors", "item": "/", "status": status}]}

    assert demo.day([envelope(status) for status in seen]) == [envelope(worst)]
