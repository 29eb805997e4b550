# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver of the checks itself: nothing that did not run, or ran with warnings, counts as passed."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checks(monkeypatch, tmp_path):
    """Load tools/checks.py with its logs and environments elsewhere."""
    spec = importlib.util.spec_from_file_location("checks_under_test", ROOT / "tools" / "checks.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(module, "PYTHONS", tmp_path / "pythons")
    monkeypatch.setattr(module, "ROOT", ROOT)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "logs").mkdir()
    venv = tmp_path / "venv"
    (venv / "lib" / "python3.0" / "site-packages" / "ansible").mkdir(parents=True)
    monkeypatch.setattr(module, "VENVS", {"venv": venv, "newest": venv, "oldest": venv})
    return module


def shell(checks, name, script, **options):
    """Return a stage that runs one line of shell."""
    return checks.Stage(name, "test", (("sh", "-c", script),), **options)


def outcomes(checks, *stages, workers=2):
    """Run stages, show what they came to, and return name, outcome and remark of each."""
    results = checks.Scheduler(stages, workers).all()
    checks.table(results)
    return [(r.stage.name, r.outcome, r.remark) for r in results]


@pytest.mark.parametrize(
    ("script", "outcome", "remark"),
    [
        ("echo '===== 12 passed, 3 skipped in 4.56s ====='", "passed", "12 passed, 3 skipped"),
        ("echo '313 passed in 63.01s (0:01:03)'", "passed", "313 passed"),
        (
            "echo 'SKIPPED [2] tests/a.py:7: needs root'; echo 'SKIPPED [1] tests/b.py:9: no restic'; echo '4 passed, 3 skipped'",
            "passed",
            "4 passed, 3 skipped (needs root; no restic)",
        ),
        ("true", "passed", ""),
        ("exit 3", "failed", "exit 3"),
        ("kill -9 $$", "failed", "signal 9"),
        ("echo 'WARNING: All targets skipped.'", "failed", "ansible-test skipped every target"),
        ("echo '[DEPRECATION WARNING]: old words'", "failed", "[DEPRECATION WARNING]: old words"),
        # Said inside a test that shows nothing: what Ansible displayed is in the log file it was given.
        ('echo "x [DEPRECATION WARNING]: hidden" > "$ANSIBLE_LOG_PATH"', "failed", "[DEPRECATION WARNING]: hidden"),
    ],
)
def test_outcome(checks, script, outcome, remark):
    assert outcomes(checks, shell(checks, "a stage", script)) == [("a stage", outcome, remark)]


def test_ansible_tells_its_deprecations_there(checks, tmp_path):
    play = tmp_path / "play.yml"
    play.write_text(
        yaml.safe_dump(
            [{"hosts": "localhost", "gather_facts": False, "tasks": [{"debug": {"msg": "{{ play_hosts }}"}}]}]
        )
    )
    ansible = Path(sys.executable).parent / "ansible-playbook"
    ((_name, outcome, remark),) = outcomes(checks, shell(checks, "old", f"{ansible} {play} >/dev/null 2>&1"))
    assert outcome == "failed"
    assert remark.startswith("[DEPRECATION WARNING]")


def test_all_stages_run_and_what_needs_a_failed_one_is_skipped(checks):
    found = outcomes(
        checks,
        shell(checks, "broken", "exit 1"),
        shell(checks, "child", "true", needs=("broken",)),
        shell(checks, "later", "true", after=("broken",)),
        shell(checks, "absent", "true", reason=lambda: "no such thing here"),
        shell(checks, "grandchild", "true", needs=("absent",)),
    )
    assert found == [
        ("broken", "failed", "exit 1"),
        ("child", "skipped", "broken failed"),
        ("later", "passed", ""),
        ("absent", "skipped", "no such thing here"),
        ("grandchild", "skipped", "no such thing here"),
    ]


def test_a_stage_that_hangs_is_stopped_with_all_it_started(checks, tmp_path):
    pid = tmp_path / "pid"
    stage = shell(
        checks, "hang", f"sleep 600 & echo $! > {pid}; wait", limit=1.0, last=("touch", str(tmp_path / "last"))
    )
    assert outcomes(checks, stage) == [("hang", "failed", "exit 124")]
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", pid.read_text().strip()], capture_output=True, text=True, check=False
    )
    assert state.stdout.strip()[:1] in ("", "Z"), "its child goes on"
    assert (tmp_path / "last").exists(), "what has to follow did not"


def test_a_test_that_hangs_tells_its_name(checks, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(checks.VENVS, "venv", Path(sys.executable).parent.parent)
    (tmp_path / "test_it.py").write_text("import os\n\n\ndef test_hangs():\n    os.read(os.pipe()[0], 1)\n")
    ours = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), "-o", "timeout=1")
    command = (*checks.PYTEST, *checks.PARALLEL, *ours, str(tmp_path / "test_it.py"))
    assert outcomes(checks, checks.Stage("hang", "test", (command,), limit=60.0)) == [("hang", "failed", "exit 1")]
    shown = capsys.readouterr().out
    assert "os.read(os.pipe()[0], 1)" in shown
    assert re.search(r"FAILED \S*test_it\.py::test_hangs", shown)


def test_a_stage_whose_time_is_up_may_tell_what_it_knows(checks, capsys):
    script = "trap 'echo all that failed; exit 2' INT; while :; do sleep 0.05; done"
    assert outcomes(checks, shell(checks, "slow", script, limit=2.0)) == [("slow", "failed", "exit 124")]
    assert "    | all that failed" in capsys.readouterr().out.splitlines()


def test_what_failed_comes_last_with_its_log(checks, capsys):
    outcomes(checks, shell(checks, "broken", "echo why; exit 1"), shell(checks, "fine", "true"))
    shown = capsys.readouterr().out
    told = [line.split()[:2] for line in shown.splitlines()]
    assert told.index(["fine", "passed"]) < told.index(["broken", "failed"]) < told.index(["broken:"])
    assert told.index(["broken:"]) < told.index(["|", "why"])
    assert shown.count("| why") == 1


TOLD = "trap 'echo told > {0}/told; exit 130' INT; : > {0}/ready; while :; do sleep 0.05; done"


def wait_for(condition):
    """Wait until a condition holds, at most half a minute."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "the condition did not come true within 30 s"
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_reaches_what_runs_and_nothing_more_starts(checks, tmp_path, number):
    handler = signal.getsignal(number)
    scheduler = checks.Scheduler(
        [
            shell(checks, "long", TOLD.format(tmp_path), limit=60.0, last=("touch", str(tmp_path / "last"))),
            shell(checks, "later", f"touch {tmp_path}/later", after=("long",)),
        ],
        1,
    )

    def interrupt():
        wait_for((tmp_path / "ready").exists)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert [(result.stage.name, result.remark) for result in scheduler.all()] == [("long", "exit 130")]
    thread.join()
    assert (tmp_path / "told").exists()
    assert (tmp_path / "last").exists(), "what cleans up did not run"
    assert not (tmp_path / "later").exists()
    assert signal.getsignal(number) == handler


def test_an_interrupt_does_not_miss_a_command_that_just_starts(checks, tmp_path, monkeypatch):
    stage = checks.Stage("two", "test", (("sh", "-c", TOLD.format(tmp_path)), ("touch", f"{tmp_path}/later")), limit=60)
    scheduler = checks.Scheduler([stage, shell(checks, "waits", "true", after=("two",))], 1)

    class Interrupted(subprocess.Popen):
        """A command that runs before its starter hears of it, which is when the interrupt comes."""

        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            wait_for((tmp_path / "ready").exists)
            os.kill(os.getpid(), signal.SIGINT)
            wait_for(lambda: not scheduler.waiting)

    monkeypatch.setattr(checks.subprocess, "Popen", Interrupted)
    assert [(result.stage.name, result.remark) for result in scheduler.all()] == [("two", "exit 130")]
    assert not (tmp_path / "later").exists()


def test_an_interrupt_between_two_commands_leaves_only_what_cleans_up(checks, tmp_path):
    commands = checks.Commands()
    stage = shell(checks, "stage", f"touch {tmp_path}/began", last=("touch", str(tmp_path / "last")))
    commands.interrupt()
    assert checks.run(stage, commands).remark == "exit 130"
    assert [name for name in ("began", "last") if (tmp_path / name).exists()] == ["last"]


def test_interrupted_before_anything_ended_is_no_success(checks, monkeypatch):
    monkeypatch.setattr(checks, "STAGES", [shell(checks, "never", "true")])
    monkeypatch.setattr(checks, "link_pythons", lambda: {})
    monkeypatch.setattr(sys, "argv", ["checks.py"])
    monkeypatch.setattr(checks.Scheduler, "work", lambda self: self.interrupt())
    assert checks.main() == 1


def test_alone_is_alone_and_last(checks, tmp_path):
    marks = tmp_path / "marks"
    step = f"echo + >> {marks}; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo - >> {marks}"
    outcomes(
        checks,
        shell(checks, "one alone", f"echo A >> {marks}", alone=True),
        shell(checks, "one", step),
        shell(checks, "two", step),
        shell(checks, "two alone", f"echo B >> {marks}", alone=True),
    )
    assert marks.read_text().split()[-2:] == ["A", "B"]
    assert sorted(marks.read_text().split()[:-2]) == ["+", "+", "-", "-"]


def test_needed_stages_come_along(checks):
    names = [stage.name for stage in checks.select(["units newest core"])]
    assert names == ["newest core", "units newest core"]
    assert checks.select([]) == checks.STAGES
    with pytest.raises(SystemExit, match="no stage or group nonsense"):
        checks.select(["nonsense"])


def test_every_folder_of_tests_is_run_once(checks):
    words = [word for stage in checks.STAGES for command in stage.commands for word in command]
    for folder in (ROOT / "tests" / "integration").iterdir():
        if any(folder.glob("test_*.py")):
            assert words.count(f"tests/integration/{folder.name}") == 1, folder.name
    for name in ("faults", "lab", "package"):
        assert words.count(f"tests/{name}") == 1
    assert words.count("tests/unit") == 3, "on this core, the newest and a target's oldest Python"
    named = [word for word in words if word.startswith("tests/") and "." not in word]
    assert all((ROOT / word).is_dir() for word in named)


def test_every_name_that_is_waited_for_exists(checks):
    names = [stage.name for stage in checks.STAGES]
    assert len(names) == len(set(names))
    for stage in checks.STAGES:
        assert {*stage.needs, *stage.after} <= set(names[: names.index(stage.name)]), "a wait that could never end"


def test_closing_line_counts(checks, capsys):
    stages = [shell(checks, name, script) for name, script in (("a", "true"), ("b", "false"), ("c", "true"))]
    checks.table(checks.Scheduler(stages, 1).all())
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed, 0 skipped"


def test_a_copy_of_the_checkout_holds_what_git_would(checks, tmp_path):
    copy = checks.copy_tree(tmp_path / "copy")
    assert copy.relative_to(tmp_path / "copy") == Path("ansible_collections/bilingual_tutor/ops")
    assert (copy / "galaxy.yml").is_file()
    assert not (copy / ".tree").exists()
    assert not list(copy.rglob("__pycache__"))
