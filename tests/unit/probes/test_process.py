# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process probe, on real processes."""

from __future__ import annotations

import os
import pwd
import signal
import sys

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import process
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.processes import judge
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.processes.wanted import Wanted

WAIT = "print(1, flush=True); input()"


def look(*entries, **rest):
    result = process.probe({"processes": list(entries), **rest}, {}, Deadline(5))
    return {check.id: check for check in result.checks}


@pytest.fixture
def two(spawn):
    """Two processes with a word of their own in the command line."""
    word = f"ops-probe-{os.getpid()}"
    started = [spawn(WAIT, word) for _number in range(2)]
    for one in started:
        one.stdout.readline()
    return word, started


def test_a_healthy_group_is_counted_and_measured(two):
    word, _started = two
    checks = look({"cmdline": f"{word}$", "min": 1, "max": 2})
    assert {check.status for check in checks.values()} == {Status.OK}
    assert set(checks) == {f"process.{name}" for name in "count state memory fds outdated".split()}
    assert checks["process.count"].value == 2
    assert checks["process.memory"].value > 2 * 2**20
    assert 0 < checks["process.fds"].value < 80


@pytest.mark.parametrize(
    ("bounds", "status"),
    [({"max": 1}, Status.WARNING), ({"min": 3}, Status.WARNING), ({"min": 2, "max": 2}, Status.OK)],
)
def test_count_outside_its_bounds(two, bounds, status):
    check = look({"cmdline": two[0], **bounds})["process.count"]
    assert check.status == status
    assert bool(check.evidence) == (status is not Status.OK)


def test_no_process_at_all_is_critical_unless_none_is_wanted():
    assert look({"cmdline": "no such thing \\d{40}"})["process.count"].status == Status.CRITICAL
    assert look({"cmdline": "no such thing \\d{40}", "min": 0})["process.count"].status == Status.OK


def test_name_and_user_select_too(two):
    word, started = two
    comm = proc.process(started[0].pid).comm
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert look({"comm": comm, "cmdline": word, "user": user})["process.count"].value == 2
    assert look({"comm": "other", "cmdline": word})["process.count"].value == 0
    assert look({"user": "nobody", "cmdline": word})["process.count"].value == 0
    with pytest.raises(OpsError, match="does not exist on this host"):
        look({"user": "no-such-user"})


def test_stopped_processes(two, wait_for):
    word, started = two
    started[0].send_signal(signal.SIGSTOP)
    wait_for(lambda: proc.process(started[0].pid).state == "T")
    some = look({"cmdline": word})["process.state"]
    assert (some.status, some.message) == (Status.WARNING, "process.some_stopped")
    started[1].send_signal(signal.SIGSTOP)
    wait_for(lambda: proc.process(started[1].pid).state == "T")
    every = look({"cmdline": word})["process.state"]
    assert (every.status, every.message) == (Status.CRITICAL, "process.all_stopped")
    assert len(every.evidence) == 2


def test_a_zombie_does_not_count_as_running(spawn, tmp_path, wait_for):
    parent = spawn("import os\npid = os.fork()\nif not pid: os._exit(0)\nprint(pid, flush=True); input()")
    zombie = int(parent.stdout.readline())
    wait_for(lambda: proc.process(zombie).state == "Z")
    pidfile = tmp_path / "pid"
    pidfile.write_text(f"{zombie}\n")
    assert look({"pidfile": str(pidfile)})["process.count"].message == "process.pidfile_stale"
    pidfile.write_text(f"{parent.pid}\n")
    assert look({"pidfile": str(pidfile)})["process.count"].value == 1


def test_pid_files(two, tmp_path):
    word, started = two
    pidfile = tmp_path / "app.pid"
    entry = {"name": "app", "pidfile": str(pidfile), "cmdline": word}
    assert look(entry)["process.count"].message == "process.pidfile_missing"
    pidfile.write_text(f"{started[0].pid}\n")
    assert look(entry)["process.count"].value == 1
    pidfile.write_text(f"{os.getpid()}\n")
    assert look(entry)["process.count"].message == "process.pidfile_foreign"
    started[0].kill()
    started[0].wait()
    pidfile.write_text(f"{started[0].pid}\n")
    assert look(entry)["process.count"].message == "process.pidfile_stale"
    for text in ("", "no number"):
        pidfile.write_text(text)
        assert look(entry)["process.count"].status == Status.CRITICAL
    pidfile.unlink()
    pidfile.mkdir()
    assert look(entry)["process.count"].status == Status.UNKNOWN


def test_open_files_against_the_limit(spawn):
    word = f"ops-fds-{os.getpid()}"
    code = (
        "import os, resource; resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)); "
        "files = [os.open('/dev/null', 0) for _turn in range(14)]; print(1, flush=True); input()"
    )
    spawn(code, word).stdout.readline()
    check = look({"cmdline": word})["process.fds"]
    assert (check.status, check.params["limit"]) == (Status.WARNING, 20)
    assert check.params["open"] >= 17


def test_a_program_replaced_on_disk_is_named(spawn, tmp_path):
    # A library under /tmp that is deleted is somebody's own business; one under /usr was replaced by an upgrade.
    gone = "7f00-7f10 r-xp 00000000 08:01 42 {} (deleted)"
    for path, found in (
        ("/usr/lib/libssl.so.3", True),
        ("/opt/app/x.so", True),
        ("/tmp/x.so", False),
        ("/memfd:x", False),
    ):
        assert bool(judge._CODE.match(gone.format(path))) == found
    assert not judge._CODE.match("7f00-7f10 r--p 00000000 08:01 42 /usr/lib/libssl.so.3 (deleted)")
    assert not judge._CODE.match("7f00-7f10 r-xp 00000000 08:01 42 /usr/lib/libssl.so.3")


@pytest.mark.skipif(not os.access("/opt", os.W_OK), reason="needs to write to /opt: run as root")
def test_a_real_process_whose_program_was_deleted(tmp_path, spawn):
    library = f"/opt/ops-probe-{os.getpid()}.so"
    word = f"ops-gone-{os.getpid()}"
    code = (
        "import mmap, os, sys; f = open(sys.argv[1], 'w+b'); f.truncate(4096); "
        "m = mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC); "
        "print(1, flush=True); input(); os.unlink(sys.argv[1]); print(2, flush=True); input()"
    )
    child = spawn(code, library, word)
    child.stdout.readline()
    assert look({"cmdline": word})["process.outdated"].status == Status.OK
    child.stdin.write("\n")
    child.stdin.flush()
    child.stdout.readline()
    check = look({"cmdline": word})["process.outdated"]
    assert check.status == Status.WARNING
    assert library in check.evidence[0]


@pytest.mark.parametrize(
    "entry", [{}, {"min": 1}, {"cmdline": "("}, {"comm": "a", "mx": 1}, {"comm": "a", "min": "few"}]
)
def test_what_selects_nothing_is_refused(entry):
    with pytest.raises(OpsError):
        Wanted.read(entry)


def test_a_process_is_itself():
    me = proc.process(os.getpid())
    assert me.ppid == os.getppid()
    assert 0 < proc.age(me) < 86400
    assert proc.owner(os.getpid()) == os.geteuid()
    assert sys.argv[0].rsplit("/", 1)[-1] in proc.cmdline(os.getpid()) or "pytest" in proc.cmdline(os.getpid())
    assert proc.process(2**22 + 1) is None


def test_a_name_with_blanks_and_parentheses(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a) S (b) T 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 500 4096 2 0")
    one = proc.process(7, str(tmp_path))
    assert (one.comm, one.state, one.ppid, one.threads, one.start_ticks) == ("a) S (b", "T", 1, 3, 500)


def test_stuck_needs_a_process_that_does_not_run_at_all(tmp_path, monkeypatch):
    def put(state, switches):
        (tmp_path / "7").mkdir(exist_ok=True)
        (tmp_path / "7" / "stat").write_text(f"7 (nfs) {state} 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 500 4096 2 0")
        (tmp_path / "7" / "status").write_text(
            f"voluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t0\n"
        )
        return proc.process(7, str(tmp_path))

    suspect = put("D", 5)
    assert proc.stuck([suspect], 0, str(tmp_path)) == [suspect]
    assert proc.stuck([put("S", 5)], 0, str(tmp_path)) == []
    # A disk that is merely busy: still D at the next look, but it has run in between. That ends the wait at once.
    suspect = put("D", 5)
    sleep, naps = proc.time.sleep, []
    monkeypatch.setattr(proc.time, "sleep", lambda seconds: (naps.append(seconds), put("D", 6), sleep(0)))
    assert proc.stuck([suspect], 60, str(tmp_path)) == []
    assert len(naps) == 1
