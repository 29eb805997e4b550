# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host probe: on this machine, with real mounts where root allows, and on hosts laid out as files."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import time

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import mounts, proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host import boots, clock, cpu, disks, processes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Files
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import host, registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

PSI = "some avg10=0.00 avg60={0} avg300=0.00 total=1\nfull avg10=0.00 avg60={0} avg300=0.00 total=1\n"
BASE = {
    "/proc/sys/kernel/random/boot_id": "boot-1",
    "/proc/stat": "cpu  1000 0 0 9000 0 0 0 0 0 0\ncpu0 1 1 1 1\n",
    "/proc/loadavg": "0.10 0.20 0.30 1/200 4242",
    "/proc/meminfo": "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 500 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
    "/proc/vmstat": "pswpin 5\noom_kill 2\n",
    "/proc/self/mountinfo": "",
    "/proc/sys/fs/file-nr": "100\t0\t1000",
    "/proc/sys/kernel/pid_max": "32768",
    "/proc/sys/kernel/threads-max": "1000",
    "/proc/net/netstat": "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 7 7\nIpExt: A\nIpExt: 1\n",
    "/proc/uptime": "86400.00 1000.00",
    "/proc/pressure/cpu": PSI.format("0.00"),
    "/proc/pressure/memory": PSI.format("0.00"),
    "/proc/pressure/io": PSI.format("0.00"),
    "/run/nothing": "",
}


class Machine:
    """A host laid out as files, and the probe looking at it run after run."""

    def __init__(self, root):
        self.root = root
        self.state: dict = {}
        self.put(**BASE)

    def put(self, **files):
        for path, text in files.items():
            file = self.root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def process(self, pid, state="S", ppid=1, comm="app", switches=1):
        stat = f"{pid} ({comm}) {state} {ppid} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 500 4096 2 0"
        self.put(**{f"/proc/{pid}/stat": stat, f"/proc/{pid}/status": f"voluntary_ctxt_switches:\t{switches}\n"})

    def look(self, **spec):
        result = host.examine(spec, self.state, Deadline(5), Files(str(self.root)))
        self.state = json.loads(json.dumps(result.state))
        return {check.id: check for check in result.checks}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "SAMPLE_SECONDS", 0)
    monkeypatch.setattr(processes, "STUCK_SECONDS", 0)
    return Machine(tmp_path)


@pytest.fixture
def later(monkeypatch):
    """Let the processor's clock of the next look be later."""
    now = [time.monotonic()]
    monkeypatch.setattr(cpu.time, "monotonic", lambda: now[0])

    def step(seconds):
        now[0] += seconds

    return step


def test_this_machine_can_be_looked_at_in_every_respect():
    result = host.probe({}, {}, Deadline(10))
    again = host.probe({}, json.loads(json.dumps(result.state)), Deadline(10))
    assert {"mem.used", "disk.used", "fd.system", "pid.space", "zombies", "uptime"} <= {one.id for one in again.checks}
    assert len(json.dumps(again.state)) < 500
    # What a user without privileges may not see must not break a look either: nothing here needs root.
    assert not [one for one in again.checks if one.status is Status.UNKNOWN and one.id != "clock.sync"]


def test_a_healthy_host_gives_only_ok_and_skipped(machine):
    for _run in range(2):
        checks = machine.look(skip=["clock.sync"])
        assert {check.status for check in checks.values()} <= {Status.OK, Status.SKIPPED}
        assert "clock.sync" not in checks
    with pytest.raises(OpsError, match="skip: no check cpu.utl"):
        registry.prepare({"kind": "host", "skip": ["cpu.utl"]})


# Processor and pressure


def busy(machine, later, percent, psi=None):
    """Let the processors be that busy for a minute."""
    ticks = machine.root / "proc/stat"
    words = ticks.read_text().split()
    words[1], words[4] = str(int(words[1]) + percent * 60), str(int(words[4]) + (100 - percent) * 60)
    ticks.write_text(" ".join(words[:9]) + "\n")
    if psi is not None:
        machine.put(**{"/proc/pressure/cpu": PSI.format(psi)})
    later(60)


def test_utilisation_needs_two_runs_and_somebody_who_waits(machine, later):
    machine.look()
    busy(machine, later, 97)
    quiet = machine.look()["cpu.util"]
    assert (quiet.status, quiet.message, round(quiet.value)) == (Status.OK, "host.cpu_quiet", 97)
    busy(machine, later, 10)
    assert machine.look()["cpu.util"].message == "host.cpu"
    busy(machine, later, 97, psi="60.0")
    assert machine.look()["cpu.util"].message == "host.cpu_once"
    busy(machine, later, 97)
    assert machine.look()["cpu.util"].status == Status.CRITICAL
    busy(machine, later, 85)
    assert machine.look()["cpu.util"].status == Status.WARNING
    busy(machine, later, 10)
    assert machine.look()["cpu.util"].status == Status.OK


def test_utilisation_alerts_without_psi_too(machine, later):
    (machine.root / "proc/pressure/cpu").unlink()
    assert machine.look()["cpu.psi"].status == Status.SKIPPED
    busy(machine, later, 97)
    assert machine.look()["cpu.util"].message == "host.cpu_once"
    busy(machine, later, 97)
    assert machine.look()["cpu.util"].status == Status.CRITICAL


def test_an_old_run_or_another_boot_is_no_beginning_of_a_sample(machine, later):
    machine.look()
    busy(machine, later, 97)
    later(2 * cpu.SAMPLE_OLDEST)
    assert "cpu.util" not in machine.look()  # the sample of this moment saw no tick
    busy(machine, later, 97)
    machine.put(**{"/proc/sys/kernel/random/boot_id": "boot-2"})
    assert "cpu.util" not in machine.look()


@pytest.mark.parametrize(
    ("name", "level", "steps"),
    [("cpu", "some", (49, 51, 81)), ("memory", "full", (4, 6, 11)), ("io", "full", (14, 16, 31))],
)
def test_pressure(machine, name, level, steps):
    check_id = {"memory": "mem"}.get(name, name) + ".psi"
    for value, status in zip(steps, (Status.OK, Status.WARNING, Status.CRITICAL)):
        other = "full" if level == "some" else "some"
        text = f"{level} avg10=0.00 avg60={value}.00 avg300=0.00 total=1\n{other} avg10=0.00 avg60=99.00 avg300=0 total=1\n"
        machine.put(**{f"/proc/pressure/{name}": text})
        check = machine.look()[check_id]
        assert (check.status, check.value) == (status, value)


def test_load_is_silent_while_nobody_waits(machine):
    machine.put(**{"/proc/loadavg": f"9 9 {6 * max(2, cpu.cpus())}.0 1/200 4242"})
    assert machine.look()["load15"].message == "host.load_quiet"
    machine.put(**{"/proc/pressure/cpu": PSI.format("60.0")})
    assert machine.look()["load15"].status == Status.CRITICAL


def test_in_a_container_the_load_of_the_machine_below_is_no_finding(machine, later):
    machine.put(**{"/run/systemd/container": "systemd-nspawn", "/proc/pressure/cpu": PSI.format("95.0")})
    machine.put(**{"/proc/loadavg": "99 99 99 1/200 4242"})
    for _run in range(3):
        busy(machine, later, 99)
        checks = machine.look()
    assert [checks[name].status for name in ("cpu.psi", "cpu.util", "load15", "clock.sync")] == [Status.SKIPPED] * 4
    # Its own control group speaks for itself.
    machine.put(**{"/sys/fs/cgroup/cpu.pressure": PSI.format("85.0"), "/sys/fs/cgroup/cpu.stat": "usage_usec 0\n"})
    machine.look()
    for seconds in (60, 120):
        later(60)
        machine.put(**{"/sys/fs/cgroup/cpu.stat": f"usage_usec {seconds * 10**6 * cpu.cpus()}\n"})
        checks = machine.look()
    assert (checks["cpu.psi"].status, checks["cpu.util"].status) == (Status.CRITICAL, Status.CRITICAL)


# Memory


def test_memory_counts_what_is_available(machine):
    for available, status in ((200, Status.OK), (140, Status.WARNING), (40, Status.CRITICAL)):
        machine.put(**{"/proc/meminfo": f"MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n"})
        assert machine.look()["mem.used"].status == status


def test_full_swap_is_a_finding_only_while_it_is_used(machine):
    swapped = {"/proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 500 kB\nSwapTotal: 1000 kB\nSwapFree: 50 kB\n"}
    machine.put(**swapped)
    assert machine.look()["swap.used"].message == "host.swap_idle"
    machine.put(**{"/proc/vmstat": "pswpin 6\noom_kill 2\n"})
    assert machine.look()["swap.used"].status == Status.CRITICAL
    assert machine.look()["swap.used"].status == Status.OK
    machine.put(**{"/proc/pressure/memory": PSI.format("2.0")})
    assert machine.look()["swap.used"].status == Status.CRITICAL


def test_kills_for_memory_since_the_last_run(machine, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\necho 'oom-kill:constraint=NONE,task_memcg=/system.slice/bilingual-tutor.service,task=gunicorn,pid=7'\n"
        "echo 'Out of memory: Killed process 7 (gunicorn)'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert machine.look()["oom_kill"].message == "host.counting"
    assert machine.look()["oom_kill"].message == "host.oom_none"
    machine.put(**{"/proc/vmstat": "pswpin 5\noom_kill 3\n"})
    check = machine.look(units=["nginx"])["oom_kill"]
    assert (check.status, check.value) == (Status.WARNING, 1)
    assert check.evidence == ["Out of memory: Killed process 7 (gunicorn)"]
    machine.put(**{"/proc/vmstat": "pswpin 5\noom_kill 4\n"})
    assert machine.look(units=["bilingual-tutor"])["oom_kill"].status == Status.CRITICAL


# File systems

MOUNTINFO = """\
20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro
21 20 8:1 /srv/data /mnt/bind rw,relatime - ext4 /dev/sda1 rw
22 20 0:5 / /proc rw - proc proc rw
23 20 0:6 / /run rw - tmpfs tmpfs rw
24 23 0:7 / /run/credentials/x.service ro - ramfs ramfs rw
25 20 7:0 / /snap/core ro - squashfs /dev/loop0 ro
26 20 8:2 / /mnt/with\\040blank rw - xfs /dev/sda2 rw
27 20 0:9 / /mnt/nfs rw - nfs4 server:/export rw
28 20 8:3 / /over rw - ext4 /dev/sda3 rw
29 28 8:4 / /over rw - ext4 /dev/sda4 rw
30 20 0:30 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
31 20 8:5 / /media/cd ro - iso9660 /dev/sr0 ro
"""


def test_each_file_system_that_can_fill_up_is_chosen_once():
    every = mounts.parse_mountinfo(MOUNTINFO)
    assert [one.point for one in mounts.relevant(every)] == ["/", "/mnt/nfs", "/mnt/with blank", "/over", "/run"]
    assert next(one for one in every if one.point == "/over").source == "/dev/sda4"
    declared = mounts.relevant(every, ["/mnt/bind"])
    assert "/mnt/bind" in [one.point for one in declared]


def test_mount_points_are_read_as_the_kernel_escapes_them():
    line = "20 1 8:1 / {} rw shared:1 - ext4 /dev/sda1 rw\n"
    # A form feed, a no-break space and a line separator are not escaped, though Python would split there.
    names = {"/a\\040b\\011c\\012d\\134040": "/a b\tc\nd\\040", "/x\x0cy\xa0z\u2028": "/x\x0cy\xa0z\u2028"}
    names["/\\345\\220\\215"] = "/名"
    every = mounts.parse_mountinfo("".join(line.format(name) for name in names))
    assert [one.point for one in every] == list(names.values())


def test_the_mount_that_holds_a_path_is_the_innermost_and_the_last_one_there():
    every = mounts.parse_mountinfo(MOUNTINFO)
    for path, device in {
        "/": "8:1",
        "/overt": "8:1",
        "/over": "8:4",
        "/over/x/y": "8:4",
        "/mnt/with blank/file": "8:2",
    }.items():
        assert mounts.holding(path, every).device == device
    assert mounts.holding("/x", []) is None
    this = mounts.holding(os.path.realpath(__file__), mounts.mounted())
    told = subprocess.run(["findmnt", "-no", "MAJ:MIN", "-T", __file__], capture_output=True, text=True, check=True)
    assert this.device == told.stdout.strip()


def usage(percent, total_gib, inodes=1000, inodes_free=900):
    total = total_gib * 2**30
    free = int(total * (100 - percent) / 100)
    return mounts.Usage(total, free, free, inodes, inodes_free)


def judge(used, declared=None, **spec):
    one = mounts.Mount("/data", "ext4", "/dev/sda1", "8:1", "/", False, False)
    say = host.AREA.reporter(spec.get("thresholds"))
    return {check.id: check.status for check in disks.judge_usage(say, spec, one, used, declared)}


@pytest.mark.parametrize(
    ("percent", "total_gib", "status"),
    [
        (79, 20, Status.OK),
        (81, 20, Status.WARNING),
        (91, 20, Status.CRITICAL),  # 1.8 GiB left
        (91, 100, Status.WARNING),  # 9 GiB left
        (96, 1000, Status.CRITICAL),
        (85, 1000, Status.OK),
        (91, 1000, Status.WARNING),
    ],
)
def test_space_depends_on_the_size_of_the_disk(percent, total_gib, status):
    assert judge(usage(percent, total_gib))["disk.used"] == status


def test_an_operator_s_levels_are_taken_as_they_are():
    assert judge(usage(85, 1000), thresholds={"disk.used": {"warn": "84"}})["disk.used"] == Status.WARNING
    assert (
        judge(usage(85, 1000), declared={"path": "/data", "warn": "50", "crit": "84"})["disk.used"] == Status.CRITICAL
    )
    assert judge(usage(85, 1000), declared={"path": "/data", "warn": "86"})["disk.used"] == Status.OK


def test_space_kept_for_root_is_not_available():
    # 100 blocks, 10 free, all of them kept for root: full for everybody else.
    assert mounts.Usage(100, 10, 0, 0, 0).percent == 100
    assert mounts.Usage(100, 10, 0, 0, 0).inode_percent is None


def test_inodes():
    for free, status in ((200, Status.OK), (90, Status.WARNING), (40, Status.CRITICAL)):
        assert judge(usage(10, 20, inodes_free=free))["inode.used"] == status
    assert "inode.used" not in judge(usage(10, 20, inodes=0, inodes_free=0))


def test_mounted_and_writable_as_fstab_says(machine):
    machine.put(**{"/proc/self/mountinfo": "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"})
    machine.put(**{"/etc/fstab": "# comment\n/dev/sda1 / ext4 errors=remount-ro 0 1\n/swap none swap sw 0 0\n"})
    checks = machine.look(ignore_mounts=["/"])
    assert (checks["fs.mounted"].status, checks["fs.readonly"].status) == (Status.OK, Status.OK)
    for line in ("20 1 8:1 / / ro - ext4 /dev/sda1 rw\n", "20 1 8:1 / / rw - ext4 /dev/sda1 ro\n"):
        machine.put(**{"/proc/self/mountinfo": line})
        assert machine.look()["fs.readonly"].status == Status.CRITICAL
    machine.put(**{"/etc/fstab": "/dev/sda1 / ext4 ro 0 1\n/dev/sdb /data ext4 defaults\n/dev/sdc /usb ext4 nofail\n"})
    machine.put(**{"/proc/self/mountinfo": "20 1 8:1 / / ro - ext4 /dev/sda1 ro\n"})
    checks = machine.look()
    assert checks["fs.readonly"].status == Status.OK
    assert (checks["fs.mounted"].status, checks["fs.mounted"].evidence) == (Status.WARNING, ["/data"])
    assert machine.look(mounts=[{"path": "/data"}])["fs.mounted"].status == Status.CRITICAL


def test_a_file_system_the_kernel_turned_read_only_is_found_without_fstab(machine):
    machine.put(**{"/proc/self/mountinfo": "20 1 8:9 / /data rw - ext4 /dev/sdb ro\n"})
    assert machine.look(ignore_mounts=[])["fs.readonly"].status == Status.CRITICAL


LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def mount(tmp_path):
    """Mount something on a directory until the test ends."""
    points = []

    def go(kind: str, options: str, name: str = "mnt") -> str:
        point = tmp_path / name
        point.mkdir()
        if LIBC.mount(kind.encode(), str(point).encode(), kind.encode(), 0, options.encode()):
            pytest.skip(f"cannot mount {kind} here: {os.strerror(ctypes.get_errno())}")
        points.append(str(point))
        return str(point)

    yield go
    for point in points:
        LIBC.umount2(point.encode(), 2)  # MNT_DETACH


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


def real(point, **spec):
    entry = {"path": point, "warn": None, "crit": None}
    checks = host.probe({"mounts": [entry], **spec}, {}, Deadline(10)).checks
    return {check.id: check for check in checks if check.item == point or not check.item}


@needs_root
def test_a_real_file_system_that_is_full(mount):
    point = mount("tmpfs", "size=1m,nr_inodes=64")
    assert real(point)["disk.used"].status == Status.OK
    with open(f"{point}/large", "wb") as file:
        file.write(b"x" * 983040)
    assert real(point)["disk.used"].status == Status.CRITICAL
    assert real(point)["inode.used"].status == Status.OK
    os.unlink(f"{point}/large")
    for number in range(61):
        open(f"{point}/{number}", "w").close()
    full = real(point)
    assert (full["disk.used"].status, full["inode.used"].status) == (Status.OK, Status.CRITICAL)


@needs_root
def test_a_real_file_system_that_was_turned_read_only(mount):
    point = mount("tmpfs", "size=1m")
    assert real(point)["fs.readonly"].status == Status.OK
    remount_readonly = 32 | 1
    assert not LIBC.mount(b"tmpfs", point.encode(), b"tmpfs", remount_readonly, None)
    check = real(point)["fs.readonly"]
    assert (check.status, point in check.summary) == (Status.CRITICAL, True)


@needs_root
@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="needs /dev/fuse")
def test_a_real_mount_whose_server_does_not_answer(mount, monkeypatch):
    """A FUSE file system that nobody serves hangs every look at it, as a dead NFS server does."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        point = mount("fuse", f"fd={device},rootmode=40000,user_id=0,group_id=0")
        monkeypatch.setattr(disks, "STATVFS_SECONDS", 0.3)
        started = time.monotonic()
        check = real(point)["fs.statvfs_timeout"]
        assert (check.status, check.reason) == (Status.CRITICAL, "timeout")
        undeclared = [one for one in host.probe({}, {}, Deadline(10)).checks if one.item == point]
        assert [(one.id, one.status) for one in undeclared] == [("fs.statvfs_timeout", Status.WARNING)]
        assert time.monotonic() - started < 5
        assert not [one for one in proc.table().values() if one.ppid == os.getpid() and one.state == "Z"]
    finally:
        os.close(device)


def remote(point):
    return mounts.Mount(point, "nfs", "server:/x", "0:1", "/", False, False)


def test_remote_file_systems_are_asked_side_by_side_and_left_behind():
    def look(point):
        if point != "/good":
            time.sleep(60)
        return mounts.Usage(100, 50, 50, 10, 5)

    started = time.monotonic()
    answers = mounts.ask([remote("/a"), remote("/good"), remote("/b")], 0.3, look)
    assert time.monotonic() - started < 3
    assert answers == {"/a": None, "/good": mounts.Usage(100, 50, 50, 10, 5), "/b": None}


def test_a_remote_file_system_that_says_no_is_unknown():
    def look(point):
        raise PermissionError(13, "Permission denied")

    assert mounts.ask([remote("/a")], 5, look) == {"/a": "Permission denied"}
    assert judge("Permission denied") == {"disk.used": Status.UNKNOWN}


# Kernel tables and processes


@pytest.mark.parametrize(
    ("check_id", "path", "steps"),
    [
        ("fd.system", "/proc/sys/fs/file-nr", ("690 0 1000", "710 0 1000", "910 0 1000")),
        ("pid.space", "/proc/loadavg", ("0 0 0 1/840 1", "0 0 0 1/860 1", "0 0 0 1/960 1")),
        ("conntrack", "/proc/sys/net/netfilter/nf_conntrack_count", ("70", "76", "91")),
    ],
)
def test_tables_of_the_kernel(machine, check_id, path, steps):
    machine.put(**{"/proc/sys/net/netfilter/nf_conntrack_max": "100"})
    for text, status in zip(steps, (Status.OK, Status.WARNING, Status.CRITICAL)):
        machine.put(**{path: text})
        assert machine.look()[check_id].status == status


def test_listen_queues_that_overflow(machine):
    def overflows(count):
        machine.put(**{"/proc/net/netstat": f"TcpExt: ListenOverflows\nTcpExt: {count}\n"})
        return machine.look()["tcp.listen_overflow"]

    assert overflows(7).message == "host.counting"
    assert overflows(7).status == Status.OK
    machine.state["at"] = time.time() - 10
    assert (overflows(9).status, machine.state["overflows"]) == (Status.WARNING, 9)
    machine.state["at"] = time.time() - 10
    assert overflows(109).status == Status.CRITICAL
    assert overflows(0).status == Status.OK


def test_entropy_only_where_it_still_matters(machine):
    machine.put(**{"/proc/sys/kernel/random/poolsize": "256", "/proc/sys/kernel/random/entropy_avail": "20"})
    assert "entropy" not in machine.look()
    machine.put(**{"/proc/sys/kernel/random/poolsize": "4096"})
    assert machine.look()["entropy"].status == Status.WARNING


def test_real_zombies_and_the_parent_who_forgot_them(spawn, wait_for):
    code = "import os\nfor _ in range(7):\n    if not os.fork(): os._exit(0)\nprint(1, flush=True); input()"
    parent = spawn(code)
    parent.stdout.readline()
    wait_for(lambda: sum(one.ppid == parent.pid and one.state == "Z" for one in proc.table().values()) == 7)
    check = next(check for check in host.probe({}, {}, Deadline(10)).checks if check.id == "zombies")
    assert check.status in (Status.WARNING, Status.CRITICAL)
    assert any(line.startswith(f"7 of pid {parent.pid} ") for line in check.evidence)


def test_processes_stuck_in_the_kernel(machine):
    machine.process(1, comm="init", ppid=0)
    machine.process(2, comm="kthreadd", ppid=0)
    machine.process(30, state="D", comm="kworker", ppid=2)
    assert machine.look()["procs.d_state"].status == Status.OK
    machine.process(40, state="D", comm="cp")
    check = machine.look()["procs.d_state"]
    assert (check.status, check.evidence) == (Status.WARNING, ["pid 40 cp"])
    for pid in range(41, 45):
        machine.process(pid, state="D")
    assert machine.look()["procs.d_state"].status == Status.CRITICAL


# Clock and boots


@pytest.mark.parametrize(
    ("answer", "age", "client", "status"),
    [
        ((True, 0.001), 86400, "", Status.OK),
        ((True, -0.06), 86400, "", Status.WARNING),
        ((True, 1.5), 86400, "", Status.CRITICAL),
        ((False, 0.0), 600, "", Status.OK),
        ((False, 0.0), 86400, "chronyd", Status.WARNING),
        ((False, 0.0), 86400, "", Status.UNKNOWN),
    ],
)
def test_clock(machine, monkeypatch, answer, age, client, status):
    monkeypatch.setattr(clock, "adjtimex", lambda: answer)
    machine.put(**{"/proc/uptime": f"{age}.00 0.00"})
    machine.process(1, comm="init", ppid=0)
    if client:
        machine.process(50, comm=client)
    assert machine.look()["clock.sync"].status == status


def test_the_kernel_really_tells_about_its_clock():
    synchronised, offset = clock.adjtimex()
    assert isinstance(synchronised, bool)
    assert abs(offset) < 3600


def test_reboot_required(machine):
    assert machine.look()["reboot.required"].status == Status.OK
    machine.put(**{"/run/reboot-required": "", "/run/reboot-required.pkgs": "linux-image\nlibc6\nlibc6\n"})
    check = machine.look()["reboot.required"]
    assert (check.status, check.params["why"]) == (Status.WARNING, "libc6, linux-image")
    old = time.time() - 15 * 86400
    os.utime(machine.root / "run/reboot-required", (old, old))
    assert machine.look()["reboot.required"].status == Status.CRITICAL


@pytest.mark.parametrize(
    ("running", "installed", "newest"),
    [
        ("6.1.0-9-amd64", ["6.1.0-9-amd64", "6.1.0-10-amd64"], "6.1.0-10-amd64"),
        ("6.1.0-10-amd64", ["6.1.0-9-amd64", "6.1.0-10-amd64"], ""),
        ("6.1.0-9-amd64", ["6.1.0-9-amd64", "6.1.0-10-cloud-amd64"], ""),
        ("6.18.44-provider", ["6.1.0-9-amd64"], ""),
        ("6.1.0-9-amd64", [], ""),
    ],
)
def test_a_newer_kernel(tmp_path, running, installed, newest):
    for name in installed:
        (tmp_path / name).mkdir()
    assert boots.newer_kernel(running, tmp_path)[0] == newest
    assert boots.newer_kernel(running, tmp_path / "none") == ("", 0.0)


def test_a_restart_is_said_once_and_not_at_the_first_run(machine):
    assert machine.look()["uptime"].status == Status.OK
    machine.put(**{"/proc/sys/kernel/random/boot_id": "boot-2"})
    assert machine.look()["uptime"].status == Status.WARNING
    assert machine.look()["uptime"].status == Status.OK
    # Counters of the boot before are no beginning.
    machine.put(**{"/proc/sys/kernel/random/boot_id": "boot-3", "/proc/vmstat": "pswpin 0\noom_kill 9\n"})
    assert machine.look()["oom_kill"].message == "host.counting"


def test_a_long_uptime_is_told(machine):
    machine.put(**{"/proc/uptime": f"{200 * 86400}.00 0.00"})
    assert machine.look()["uptime"].message == "host.up_long"
