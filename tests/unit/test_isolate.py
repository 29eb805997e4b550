# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Children that hang, die, flood or behave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, gather, run_isolated


def test_value_comes_back():
    outcome = run_isolated(lambda: {"a": [1, "中文"]}, 5)
    assert outcome.value == {"a": [1, "中文"]}
    assert not outcome.timed_out


def test_large_value_comes_back_whole():
    assert len(run_isolated(lambda: "x" * 3_000_000, 5).value) == 3_000_000


def test_flood_is_cut_and_reported():
    assert "without an answer" in run_isolated(lambda: "x" * 20_000_000, 5).error


def test_exception_comes_back_as_its_traceback():
    outcome = run_isolated(lambda: 1 / 0, 5)
    assert outcome.error.strip().endswith("ZeroDivisionError: division by zero")


def test_value_that_is_no_json_is_an_error():
    assert "not JSON serializable" in run_isolated(object, 5).error


def test_killed_child_is_an_error_and_names_the_signal():
    assert "signal 9" in run_isolated(lambda: os.kill(os.getpid(), signal.SIGKILL), 5).error


def test_hanging_child_is_killed_at_its_end_with_what_it_started(tmp_path):
    pidfile = tmp_path / "pid"

    def hang():
        with subprocess.Popen(["sleep", "60"]) as process:
            pidfile.write_text(str(process.pid))
            process.wait()

    start = time.monotonic()
    outcome = run_isolated(hang, 0.5)
    assert outcome.timed_out
    assert time.monotonic() - start < 3
    grandchild = int(pidfile.read_text())
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            with open(f"/proc/{grandchild}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return  # ended; whoever adopted it has not collected it yet
        except FileNotFoundError:
            return
        time.sleep(0.01)
    pytest.fail(f"process {grandchild} outlived its probe")


def test_one_that_hangs_does_not_delay_the_others():
    begin = time.monotonic()
    children = [Child(lambda: time.sleep(30), 0.4), *(Child(lambda n=n: n, 5) for n in range(10))]
    outcomes = gather(children)
    assert outcomes[0].timed_out
    assert [outcome.value for outcome in outcomes[1:]] == list(range(10))
    assert time.monotonic() - begin < 3
    assert max(outcome.seconds for outcome in outcomes[1:]) < 0.4


def test_child_shares_no_standard_stream_with_the_ssh_channel():
    links = run_isolated(lambda: [os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)], 5).value
    assert links == ["/dev/null"] * 3


def test_no_descriptor_and_no_zombie_is_left():
    before = len(os.listdir("/proc/self/fd"))
    gather([Child(lambda: 1, 5) for _turn in range(20)])
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_signal_during_the_fork_is_not_lost():
    """Python swallows what a handler raises in a hook around a fork, such as the one of logging."""
    code = """
import os, signal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated

def end(*_arguments):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, end)
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
try:
    run_isolated(lambda: 1, 10)
except KeyboardInterrupt:
    print("ended")
"""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / ".tree"), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "ended\n", done.stderr


def test_a_bound_child_ends_with_its_parent(tmp_path):
    code = """
import pathlib, sys, time
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, bound
child = Child(bound(lambda: (pathlib.Path(sys.argv[1]).touch(), time.sleep(60))), 60)
print(child.pid, flush=True)
sys.stdin.read()
"""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / ".tree"), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "begun")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as parent:
        child = int(parent.stdout.readline())
        end = time.monotonic() + 10
        while not (tmp_path / "begun").exists() and time.monotonic() < end:
            time.sleep(0.01)
        parent.kill()
    while os.path.exists(f"/proc/{child}") and time.monotonic() < end:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{child}")
