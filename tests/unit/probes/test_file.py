# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file probe on real files, compared with du."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import file
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare


def look(path: Path, previous: dict[str, Any] | None = None, seconds: float = 5, **wish: Any) -> dict[str, Check]:
    top = {name: wish.pop(name) for name in ("max_entries", "thresholds") if name in wish}
    result = file.probe({"files": [{"path": str(path), **wish}], **top}, previous or {}, Deadline(seconds))
    look.state = json.loads(json.dumps(result.state))  # type: ignore[attr-defined]
    return {check.id: check for check in result.checks}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "logs"
    (top / "deep" / "er").mkdir(parents=True)
    for number in range(50):
        (top / "deep" / f"{number}.log").write_bytes(b"x" * number * 1000)
    os.link(top / "deep" / "49.log", top / "hardlink.log")
    (top / "deep" / "er" / "outside").symlink_to("/usr")
    with (top / "sparse.log").open("wb") as stream:
        stream.truncate(1 << 30)
    return top


def test_size_of_a_tree_is_what_du_says(tree: Path) -> None:
    found = look(tree)["file.size"]
    told = subprocess.run(["du", "-xs", "--block-size=1", tree], capture_output=True, text=True, check=True).stdout
    assert found.status is Status.OK and found.value == int(told.split()[0])
    assert found.value < 10 << 20, "holes are no disk space, links are not followed, hard links count once"


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"warn_size": "1G"}, Status.OK),
        ({"warn_size": "1M"}, Status.WARNING),
        ({"warn_size": "500k", "critical_size": "1.1M"}, Status.CRITICAL),
        ({"min_size": "2G"}, Status.CRITICAL),
        ({"min_size": "1G"}, Status.OK),
    ],
)
def test_limits_of_size(tree: Path, limits: dict[str, str], status: Status) -> None:
    assert look(tree, **limits)["file.size"].status is status


def test_growth_since_the_last_look(tree: Path) -> None:
    first = look(tree)["file.size"]
    assert first.params["growth"] == ""
    (tree / "more").write_bytes(b"y" * (2 << 20))
    again = look(tree, look.state)["file.size"]  # type: ignore[attr-defined]
    assert again.params["growth"] == ", +2.0 MiB / 0s"


def test_a_walk_that_is_too_long_stops_and_says_so(tree: Path) -> None:
    found = look(tree, max_entries=20)["file.size"]
    assert found.status is Status.UNKNOWN and found.reason == "timeout" and "stopped after" in found.summary
    assert "at least" in found.summary and found.params["entries"] <= 22
    assert look(tree, seconds=0)["file.size"].status is Status.UNKNOWN
    enough = look(tree, max_entries=40, warn_size="10k")["file.size"]
    assert enough.status is Status.WARNING, "what was seen is too much already"


def test_existence(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert look(path)["file.exists"].status is Status.CRITICAL
    assert look(path)["file.exists"].reason == "missing"
    assert look(path, optional=True)["file.exists"].status is Status.SKIPPED
    assert look(path, state="absent")["file.exists"].status is Status.OK
    path.write_text("x")
    assert look(path)["file.exists"].status is Status.OK
    assert look(path, state="absent")["file.exists"].status is Status.WARNING
    assert look(path, type="directory")["file.exists"].status is Status.CRITICAL
    link = tmp_path / "link"
    link.symlink_to(path)
    assert "is a symlink, expected a file" in look(link, type="file")["file.exists"].summary
    assert look(path / "below")["file.exists"].status is Status.CRITICAL


def test_globs(tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text("x")
    result = file.probe({"files": [{"path": str(tmp_path / "*.log")}]}, {}, Deadline(5))
    assert [c.item for c in result.checks if c.id == "file.exists"] == [str(tmp_path / n) for n in ("a.log", "b.log")]
    assert look(tmp_path / "*.none")["file.exists"].status is Status.CRITICAL


def test_age(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x")
    assert look(path, max_age="1h")["file.age"].status is Status.OK
    assert look(path, min_age="1h")["file.age"].status is Status.WARNING
    os.utime(path, (time.time() - 7200,) * 2)
    assert look(path, max_age="1h")["file.age"].status is Status.WARNING
    assert look(path, max_age="1h", critical_age="90m")["file.age"].status is Status.CRITICAL
    assert look(path, min_age="1h")["file.age"].status is Status.OK
    assert "2h ago" in look(path, max_age="1h")["file.age"].summary
    os.utime(path, (time.time() + 7200,) * 2)
    assert look(path, max_age="1h")["file.age"].status is Status.WARNING, "from the future"
    assert "file.age" not in look(path)


def test_rights(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x")
    path.chmod(0o640)
    me = path.owner()
    assert (
        look(path, mode="0640", owner=me, group=str(path.stat().st_gid), max_mode="0750")["file.mode"].status
        is Status.OK
    )
    assert look(path, max_mode="0600")["file.mode"].status is Status.WARNING
    wrong = look(path, mode="0600", owner="nobody")["file.mode"]
    assert wrong.status is Status.WARNING and wrong.summary.endswith("expected nobody 0600")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "expected files, temp or both"),
        ({"files": [{"path": "relative"}]}, "absolute"),
        ({"files": [{"path": "/x", "warn_size": "big"}]}, "expected bytes"),
        ({"files": [{"path": "/x", "max_age": "old"}]}, "duration"),
        ({"files": [{"path": "/x", "mode": "u=rw"}]}, "octal"),
        ({"temp": {"owners": ["no-such-user"]}}, "no user of this host"),
    ],
)
def test_bad_options_are_refused_in_words(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(OpsError, match=words):
        file.probe(spec, {}, Deadline(5))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_what_may_not_be_read_is_unknown() -> None:
    code = """if True:
        import json, os, sys
        from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import file
        from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        paths = [{"path": path} for path in (sys.argv[1] + "/closed/file", sys.argv[1])]
        print(json.dumps([[c.id, c.status, c.reason] for c in file.probe({"files": paths}, {}, Deadline(5)).checks]))
    """
    root = Path(__file__).parents[3]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/closed", 0o700)
        done = subprocess.run(
            [sys.executable, "-c", code, folder],
            env={**os.environ, "PYTHONPATH": str(root / ".tree")},
            capture_output=True,
            text=True,
            check=True,
        )
    assert json.loads(done.stdout) == [
        ["file.exists", Status.UNKNOWN, "denied"],
        ["file.exists", Status.OK, "ok"],
        ["file.size", Status.UNKNOWN, "denied"],
    ]


def test_what_can_never_work_is_refused_before_the_run() -> None:
    with pytest.raises(OpsError, match="warn_size 'big'"):
        prepare({"kind": "file", "files": [{"path": "/x", "warn_size": "big"}]})
