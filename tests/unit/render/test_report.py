# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ops_report as Ansible runs it, on a real ledger."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.envelope import make_envelope
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import NewEvent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger

MODULE = "ansible_collections.bilingual_tutor.ops.plugins.modules.ops_report"
NAMES = [
    "junit.xml",
    "latest.en.html",
    "latest.html",
    "latest.json",
    "latest.md",
    "latest.zh.html",
    "nagios/a.txt",
    "textfile/a.prom",
]


def run(*, fails=False, check=False, python=(), **options):
    done = subprocess.run(
        [sys.executable, *python, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check}}),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    result = json.loads(done.stdout or "null")
    assert result is not None, done.stderr
    assert bool(result.get("failed")) is fails, result
    return result


def record(ledger, run_id, status, host="a"):
    check = Check("disk.used", "host", "/", status, "state", f"seen in {run_id}", "")
    envelope = make_envelope(
        {"checks": [check.as_dict()], "state": {}}, host, run_id, "morning", "2026-11-23T01:02:03Z", {}
    )
    ledger.append([NewEvent("check.run", host, envelope, run_id)])


@pytest.fixture
def ledger(tmp_path):
    found = Ledger(tmp_path / "ledger" / "ledger.db")
    record(found, "r1", Status.OK)
    record(found, "r2", Status.CRITICAL)
    return found


def files(dest):
    return sorted(str(path.relative_to(dest)) for path in Path(dest).rglob("*") if path.is_file())


def test_check_run_again_check(ledger, tmp_path):
    options = {"ledger": str(ledger.path), "dest": str(tmp_path / "new" / "report"), "locale": "zh"}
    dest = Path(options["dest"])
    assert run(check=True, **options)["changed"]
    assert not dest.exists()
    first = run(**options)
    assert first["changed"]
    assert (first["worst"], first["counts"]["critical"], first["hosts"], first["run_id"]) == (2, 1, ["a"], "r2")
    assert files(dest) == NAMES
    assert sorted(first["paths"]) == [str(dest / name) for name in NAMES]
    assert not run(**options)["changed"]
    assert not run(check=True, **options)["changed"]
    record(ledger, "r3", Status.WARNING)
    assert run(check=True, **options)["changed"]
    assert "r3" not in (dest / "latest.json").read_text()
    assert run(**options)["changed"]
    assert "r3" in (dest / "latest.json").read_text()
    assert files(dest) == NAMES, "no temporary file stays"


def test_languages_link_to_one_another_and_the_ledger_is_verified(ledger, tmp_path):
    run(ledger=str(ledger.path), dest=str(tmp_path / "r"), locale="zh", formats=["html"])
    chinese, english = ((tmp_path / "r" / f"latest.{name}.html").read_text() for name in ("zh", "en"))
    assert (tmp_path / "r" / "latest.html").read_text() == chinese
    assert 'href="latest.en.html"' in chinese and 'href="latest.zh.html"' in english
    assert "2 events, chain and anchor agree" in english and "哈希链与锚点一致" in chinese
    assert "Worse" in english, "the earlier run is compared with"


def test_modes_do_not_depend_on_the_umask(ledger, tmp_path):
    before = os.umask(0o077)
    try:
        run(ledger=str(ledger.path), dest=str(tmp_path / "r"))
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / "r" / name).stat().st_mode) for name in NAMES}
    assert modes.pop("textfile/a.prom") == 0o644
    assert set(modes.values()) == {0o640}
    assert stat.S_IMODE((tmp_path / "r" / "textfile").stat().st_mode) == 0o755


def test_a_run_of_the_past(ledger, tmp_path):
    result = run(ledger=str(ledger.path), dest=str(tmp_path / "r"), run_id="r1", formats=["html", "json"])
    assert (result["worst"], result["run_id"]) == (0, "r1")
    assert "First run" in (tmp_path / "r" / "latest.html").read_text()


def test_history_is_bounded(ledger, tmp_path):
    for number in range(3, 9):
        record(ledger, f"r{number}", Status.OK)
    run(ledger=str(ledger.path), dest=str(tmp_path / "r"), history=3, formats=["html"])
    assert (tmp_path / "r" / "latest.html").read_text().count("<rect ") == 4


def test_a_hostile_host_name_stays_in_its_directory(ledger, tmp_path):
    record(ledger, "r9", Status.OK, host="../../../etc/x y")
    run(ledger=str(ledger.path), dest=str(tmp_path / "r"), formats=["nagios"])
    assert files(tmp_path / "r") == ["nagios/_.._.._etc_x_y.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ledger": "/nowhere/ledger.db"}, "there is no ledger"),
        ({"timezone": "Mars/Olympus"}, "expected an IANA name"),
        ({"run_id": "r77"}, "no check.run with run_id 'r77'"),
        ({"history": -1}, "history is -1"),
        ({"dest": "/proc/report"}, "cannot be written"),
    ],
)
def test_mistakes_are_told(ledger, tmp_path, options, message):
    given = {"ledger": str(ledger.path), "dest": str(tmp_path / "r"), **options}
    assert message in run(fails=True, **given)["msg"]


def test_a_damaged_ledger_is_shown(ledger, tmp_path):
    text = ledger.path.read_bytes().replace(b"seen in r1", b"seen in rX")
    ledger.path.write_bytes(text)
    run(ledger=str(ledger.path), dest=str(tmp_path / "r"), formats=["html"])
    assert "event 1 was changed" in (tmp_path / "r" / "latest.html").read_text()


def test_without_jinja2_only_html_is_missing(ledger, tmp_path):
    (tmp_path / "jinja2").mkdir()
    (tmp_path / "jinja2" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'jinja2'\", name='jinja2')\n"
    )
    os.environ["PYTHONPATH"], before = str(tmp_path), os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(tmp_path))
    try:
        options = {"ledger": str(ledger.path), "dest": str(tmp_path / "r")}
        assert "jinja2" in run(fails=True, formats=["html"], **options)["msg"]
        assert run(formats=["json", "textfile"], **options)["worst"] == 2
    finally:
        sys.path.remove(str(tmp_path))
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
