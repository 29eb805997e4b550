# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of a running module reaches the terminal while it runs, over every way to a host, and leaves no file behind."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60
AS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not os.access("/usr/bin/python3", os.X_OK),
    reason="another user runs the module: needs root and a Python for everybody",
)

# The real display, only sooner.
ACTION = """
from ansible_collections.bilingual_tutor.ops.plugins.plugin_utils import progress
progress.FIRST = progress.EVERY = 0.2
ActionModule = progress.ActionModule
"""
# Says how far it has come until somebody has seen it and made the file `go`.
MODULE = """
import os, time
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import teller
module = AnsibleModule({"progress": {"type": "path"}, "go": {"type": "path"}, "stage": {"default": "copy"}}, supports_check_mode=True)
tell = teller(module.params["progress"])
until = time.monotonic() + 30
while not os.path.exists(module.params["go"]) and time.monotonic() < until:
    tell(module.params["stage"], 0.4)
    time.sleep(0.05)
module.exit_json(changed=False, uid=os.getuid(), file=module.params["progress"], gone_on=os.path.exists(module.params["go"]))
"""


class Play:
    """One run of a play with the slow module."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.go = directory / "go"
        self.temp = directory / "tmp"
        self.temp.mkdir()
        self.temp.chmod(0o1777)
        self.tmpdir = str(self.temp)
        for name, text in (("library", MODULE), ("action_plugins", ACTION)):
            (directory / name).mkdir()
            (directory / name / "slow.py").write_text(text)

    def run(
        self, until: Callable[[str], bool], *words: str, task: dict[str, Any] | None = None, **variables: Any
    ) -> tuple[str, int]:
        """Run it, let the module end once ``until`` holds of what was printed; return all of that and the exit status."""
        given = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
        slow = {"slow": {"go": str(self.go)}, "register": "done", **(task or {})}
        play = {
            "hosts": "all",
            "gather_facts": False,
            "vars": given,
            "tasks": [slow, {"debug": {"msg": "{{ done | to_json }}"}}],
        }
        (self.directory / "play.yml").write_text(json.dumps([play]))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environ |= {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.default",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_REMOTE_TMP": str(self.temp / "ansible"),
            "TMPDIR": self.tmpdir,
            "LC_ALL": "C.UTF-8",
        }
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "tutor1,", "play.yml", *words]
        process = subprocess.Popen(
            command, cwd=self.directory, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        overdue = threading.Timer(SECONDS, process.kill)
        overdue.start()
        said = ""
        assert process.stdout
        for line in process.stdout:
            said += line
            if until(said):
                self.go.touch()
        process.wait()
        overdue.cancel()
        return said, process.returncode

    @property
    def left(self) -> list[Path]:
        """The files of progress that are still there."""
        return [path for folder in (self.temp, Path("/tmp")) for path in folder.glob("bilingual-tutor-ops-progress.*")]


@pytest.fixture
def play() -> Iterator[Play]:
    # Not below pytest's own directory, where no other user may look.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        play = Play(Path(name))
        before = play.left
        yield play
        # A file of a run beside this one goes with that run; ours would stay.
        end = time.monotonic() + 60
        while left := [path for path in play.left if path not in before]:
            assert time.monotonic() < end, left
            time.sleep(0.1)


@pytest.mark.parametrize(("locale", "shown"), [("en", "tutor1: copy 40 % ("), ("zh", "tutor1：复制 40 %（")])
@pytest.mark.parametrize("words", [(), ("--check",)])
def test_it_is_shown_while_the_module_runs(play: Play, locale: str, shown: str, words: tuple[str, ...]) -> None:
    said, code = play.run(lambda said: shown in said, *words, ops_locale="{{ chosen }}", chosen=locale)
    assert code == 0, said
    assert '"gone_on": true' in said, "the line came only after the module had ended"
    assert said.index(shown) < said.index("ok: [tutor1]")


def test_a_stage_without_a_name_is_shown_as_it_is(play: Play) -> None:
    task = {"slow": {"go": str(play.go), "stage": "polish"}}
    said, code = play.run(lambda said: "polish 40 %" in said, task=task, ops_locale="zh")
    assert code == 0 and "tutor1：polish 40 %（" in said, said


@AS_ROOT
def test_the_user_of_the_module_may_write_it(play: Play) -> None:
    task = {"become": True, "become_user": "nobody", "become_method": "su"}
    # Not the interpreter of the tests: it may lie in a home directory.
    given = {"ansible_become_flags": "-s /bin/sh", "ansible_python_interpreter": "/usr/bin/python3"}
    said, code = play.run(lambda said: "copy 40 %" in said, task=task, **given)
    assert code == 0, said
    assert f'"uid": {pwd.getpwnam("nobody").pw_uid}' in said
    assert '"gone_on": true' in said


def test_a_task_that_times_out_leaves_no_file(play: Play) -> None:
    said, code = play.run(lambda _said: False, task={"timeout": 2})
    play.go.touch()
    assert code != 0 and "imed out" in said, said


def test_a_host_that_can_have_no_file_runs_the_module_all_the_same(play: Play) -> None:
    play.tmpdir = "/proc"
    play.go.touch()
    said, code = play.run(lambda _said: False)
    assert code == 0 and '"file": null' in said, said


def test_a_callers_own_file_stays_his(play: Play) -> None:
    own = play.directory / "own"
    own.touch()
    play.go.touch()
    said, code = play.run(lambda _said: False, task={"slow": {"go": str(play.go), "progress": str(own)}})
    assert code == 0 and str(own) in said, said
    assert own.exists()
