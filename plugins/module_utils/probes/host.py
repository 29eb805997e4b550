# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine below the services: processor, memory, file systems, kernel tables, clock, reboots.

Sources: /proc, /sys, statvfs, adjtimex; a command (journalctl) only after the kernel killed something for memory. Cost:
about 10 ms; 50 ms more at a first run, which has no earlier figure to compare the processor time with; 1 s more while a
process is in uninterruptible sleep, and at most 2 s for remote file systems.

Pressure (PSI) says whether anybody waits, averaged by the kernel; utilisation and load only say that somebody works.
So those two alert only together with pressure, and utilisation only at two runs in a row. In a container they belong to
the machine below: there the container's own control group is asked where it can be.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import mounts, proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed, size

TIMEOUT = 15.0
GIB = 2**30
DAY = 86400.0
# How long a processor sample lasts at least, and how old the last run may be to serve as its beginning.
SAMPLE_SECONDS = 0.05
SAMPLE_OLDEST = 3600.0
STATVFS_SECONDS = 2.0
STUCK_SECONDS = 1.0
JOURNAL_SECONDS = 3.0
# Percent alone alarms too early on a large disk: critical needs less than this left or that much used.
DISK_LEFT = 5 * GIB
DISK_FULL = 95.0
# From this size on the default levels are 10 % higher: 10 % of half a terabyte is weeks of work.
DISK_LARGE = 512 * GIB
DISK_LARGE_WARNING = 90.0
# ntpd may need this long for its first synchronisation (Netdata).
NTP_SECONDS = 17 * 60.0
LONG_UPTIME_DAYS = 180
NTP_CLIENTS = frozenset(("chronyd", "systemd-timesyn", "ntpd", "openntpd", "ptp4l", "phc2sys"))
# adjtimex(2)
_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000
_STA_PLL = 0x0001

OPTIONS: dict[str, dict[str, Any]] = {
    "mounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "warn": {"type": "str"},
            "crit": {"type": "str"},
        },
    },
    "ignore_mounts": {"type": "list", "elements": "path", "default": []},
    "units": {"type": "list", "elements": "str", "default": []},
    "skip": {"type": "list", "elements": "str", "default": []},
}


def _rule(
    title: tuple[str, str], fix: tuple[str, str], warn: str = "", crit: str = "", uom: str = "", source: str = ""
) -> Rule:
    return Rule(Text(*title), Text(*fix), warn, crit, uom, source)


AREA = Area(
    "host",
    rules={
        "cpu.util": _rule(
            ("Processor utilisation", "CPU 使用率"),
            (
                "`top -o %CPU`: which process; end it, or move the job to the night.",
                "用 `top -o %CPU` 找出进程；结束它或把任务移到夜间。",
            ),
            "80",
            "95",
            "%",
            "runbook; two runs in a row and somebody waits",
        ),
        "cpu.iowait": _rule(
            ("Processor waits for disks", "CPU 等待磁盘"),
            (
                "`iotop` or `cat /proc/pressure/io`: who writes so much.",
                "用 `iotop` 或 `cat /proc/pressure/io` 查看谁在大量读写。",
            ),
            "40",
            uom="%",
            source="Netdata; silent while nobody waits for disks",
        ),
        "cpu.steal": _rule(
            ("Processor time taken by other virtual machines", "被其他虚拟机占用的 CPU"),
            ("Ask the provider, or move to a host that is less crowded.", "联系云服务商，或迁移到负载较低的宿主机。"),
            "10",
            "25",
            "%",
            "Netdata; silent while nobody waits",
        ),
        "cpu.psi": _rule(
            ("Processes wait for the processor", "进程等待 CPU 的时间"),
            (
                "`top`: what competes; fewer workers, fewer jobs at once, or more processors.",
                "用 `top` 查看竞争者；减少 worker 或并发任务，或增加 CPU。",
            ),
            "50",
            "80",
            "%",
            "PSI some avg60 (Linuxfabrik psi-cpu)",
        ),
        "mem.psi": _rule(
            ("Everything waits for memory", "全部进程等待内存的时间"),
            (
                "`free -m`, `top -o RES`: restart what leaks, or add memory.",
                "用 `free -m`、`top -o RES` 查看；重启泄漏的服务或扩容内存。",
            ),
            "5",
            "10",
            "%",
            "PSI full avg60 (Linuxfabrik)",
        ),
        "io.psi": _rule(
            ("Everything waits for disks", "全部进程等待磁盘的时间"),
            (
                "`iotop`: who reads or writes; move backups and VACUUM to the night.",
                "用 `iotop` 查看读写者；将备份和 VACUUM 移到夜间。",
            ),
            "15",
            "30",
            "%",
            "PSI full avg60 (Linuxfabrik psi-io)",
        ),
        "load15": _rule(
            ("Load per processor", "每 CPU 平均负载"),
            ("`top`: running (R) or waiting (D) processes.", "用 `top` 查看处于 R 或 D 状态的进程。"),
            "2",
            "5",
            source="Netdata 200 %; silent while nobody waits",
        ),
        "mem.used": _rule(
            ("Memory used", "内存使用率"),
            (
                "`top -o RES`: the largest; restart what leaks in the window, or add memory.",
                "用 `top -o RES` 找出最大的进程；在窗口内重启泄漏的服务，或扩容。",
            ),
            "85",
            "95",
            "%",
            "runbook; 1 - MemAvailable",
        ),
        "swap.used": _rule(
            ("Swap used", "交换区使用率"),
            (
                "Memory is short: see mem.used. `swapoff -a && swapon -a` only with enough memory free.",
                "内存不足，参见 mem.used；空闲内存足够时才可 `swapoff -a && swapon -a`。",
            ),
            "80",
            "90",
            "%",
            "samber 80; only while pages come back in or memory is waited for",
        ),
        "oom_kill": _rule(
            ("Processes killed for lack of memory", "因内存不足被杀的进程"),
            (
                "`journalctl -k -g oom`: who was killed and who was large; limit or shrink the large one.",
                "用 `journalctl -k -g oom` 查看被杀者和占用大户，限制或缩减后者。",
            ),
            "0",
            uom="c",
            source="Netdata, samber",
        ),
        "disk.used": _rule(
            ("File system used", "文件系统使用率"),
            (
                "`du -xh --max-depth=2 MOUNT | sort -h | tail`; run weekly_maintenance to clean logs and old backups.",
                "用 `du -xh --max-depth=2 挂载点 | sort -h | tail` 查看；运行 weekly_maintenance 清理日志和旧备份。",
            ),
            "80",
            "90",
            "%",
            "runbook; critical only below 5 GiB left or from 95 %",
        ),
        "inode.used": _rule(
            ("Inodes used", "inode 使用率"),
            (
                "`du --inodes -xd2 MOUNT | sort -n | tail`: a directory of countless small files.",
                "用 `du --inodes -xd2 挂载点 | sort -n | tail` 找出小文件过多的目录。",
            ),
            "90",
            "95",
            "%",
            "Linuxfabrik",
        ),
        "fs.readonly": _rule(
            ("File system can be written", "文件系统可写"),
            (
                "`dmesg -T | grep -i error`: a failing disk or file system; save the data first, then fsck; `mount -o remount,rw MOUNT`.",
                "用 `dmesg -T | grep -i error` 排查磁盘或文件系统故障；先备份数据再 fsck，然后 `mount -o remount,rw 挂载点`。",
            ),
        ),
        "fs.mounted": _rule(
            ("File system is mounted", "文件系统已挂载"),
            (
                "`mount MOUNT`, `systemctl status` of its mount unit; correct /etc/fstab.",
                "执行 `mount 挂载点`，查看其 mount 单元状态；核对 /etc/fstab。",
            ),
        ),
        "fs.statvfs_timeout": _rule(
            ("File system answers", "文件系统有应答"),
            (
                "The server of this mount is away: `mount | grep MOUNT`; bring it back, or `umount -l MOUNT`.",
                "该挂载的服务端无响应：`mount | grep 挂载点`；恢复服务端，或 `umount -l 挂载点`。",
            ),
            source="monitoring-plugins#1975, #867",
        ),
        "fd.system": _rule(
            ("Open files of the host", "全机打开文件数"),
            (
                "`lsof | awk '{print $1}' | sort | uniq -c | sort -n | tail`; raise fs.file-max.",
                "用 `lsof | awk '{print $1}' | sort | uniq -c | sort -n | tail` 查看；调大 fs.file-max。",
            ),
            "70",
            "90",
            "%",
            "node mixin",
        ),
        "pid.space": _rule(
            ("Process numbers used", "进程号使用率"),
            (
                "`ps -eLf | wc -l`, `ps -eo nlwp,comm --sort=-nlwp | head`: who makes so many threads.",
                "用 `ps -eLf | wc -l`、`ps -eo nlwp,comm --sort=-nlwp | head` 查看谁创建了大量线程。",
            ),
            "85",
            "95",
            "%",
            "Netdata",
        ),
        "conntrack": _rule(
            ("Connection tracking table", "连接跟踪表使用率"),
            (
                "`sysctl net.netfilter.nf_conntrack_max`: raise it; `ss -s`: who opens so many.",
                "调大 `net.netfilter.nf_conntrack_max`；用 `ss -s` 查看连接来源。",
            ),
            "75",
            "90",
            "%",
            "node mixin, samber",
        ),
        "tcp.listen_overflow": _rule(
            ("Connections refused by full queues", "因队列满被丢弃的连接"),
            (
                "`ss -ltn`: Recv-Q near Send-Q is the service; it is too slow or frozen; then raise its backlog and net.core.somaxconn.",
                "用 `ss -ltn` 查看 Recv-Q 接近 Send-Q 的服务，它过慢或已卡死；再调大 backlog 和 net.core.somaxconn。",
            ),
            "0",
            uom="c",
            source="Netdata; critical above 5 per second",
        ),
        "zombies": _rule(
            ("Zombie processes", "僵尸进程"),
            (
                "Restart the parent (evidence): it does not ask how its children ended.",
                "重启证据中的父进程：它没有回收子进程。",
            ),
            "5",
            "10",
            "c",
            "Debian check_zombie_procs",
        ),
        "procs.d_state": _rule(
            ("Processes stuck in the kernel", "卡在内核中的进程"),
            (
                "`cat /proc/PID/stack`, `dmesg -T | tail`: a disk or a mount does not answer.",
                "查看 `cat /proc/PID/stack`、`dmesg -T | tail`：磁盘或挂载点无响应。",
            ),
            "0",
            "4",
            "c",
            "two looks 1 s apart, not scheduled in between",
        ),
        "clock.sync": _rule(
            ("Clock is synchronised", "时钟已同步"),
            (
                "`timedatectl`; `apt install systemd-timesyncd` or chrony, and let UDP 123 out.",
                "执行 `timedatectl`；安装 systemd-timesyncd 或 chrony，并放行 UDP 123 出站。",
            ),
            "50",
            "1000",
            "ms",
            "Netdata, node mixin",
        ),
        "reboot.required": _rule(
            ("Reboot required", "需要重启"),
            (
                "Plan a reboot in the maintenance window: `cat /run/reboot-required.pkgs`.",
                "在维护窗口安排重启：`cat /run/reboot-required.pkgs`。",
            ),
            "0",
            "14",
            "d",
            "needrestart",
        ),
        "uptime": _rule(
            ("Host has not restarted", "主机未发生重启"),
            (
                "Was it planned? `last -x reboot | head`, `journalctl -b -1 -n 50`.",
                "是否计划内？查看 `last -x reboot | head`、`journalctl -b -1 -n 50`。",
            ),
            uom="s",
        ),
        "entropy": _rule(
            ("Random numbers in store", "熵池余量"),
            (
                "Install haveged or rng-tools, or a kernel from 5.18 on.",
                "安装 haveged 或 rng-tools，或升级到 5.18 以上内核。",
            ),
            "100:",
            source="dev-sec#176",
        ),
    },
    sentences={
        "host.cpu": Text("processors busy {value:.0f} % over {window}", "{window} 内 CPU 使用率 {value:.0f}%"),
        "host.cpu_quiet": Text(
            "processors busy {value:.0f} % over {window}, but nobody waits for them",
            "{window} 内 CPU 使用率 {value:.0f}%，但无进程等待",
        ),
        "host.cpu_once": Text(
            "processors busy {value:.0f} % over {window}: a finding if the next run sees it too",
            "{window} 内 CPU 使用率 {value:.0f}%：若下次仍如此则告警",
        ),
        "host.share": Text("{value:.0f} % over {window}", "{window} 内 {value:.0f}%"),
        "host.share_quiet": Text(
            "{value:.0f} % over {window}, but nobody waits", "{window} 内 {value:.0f}%，但无进程等待"
        ),
        "host.psi": Text("{value:.1f} % of the last minute waited", "最近 1 分钟等待时间占 {value:.1f}%"),
        "host.psi_absent": Text("this kernel does not measure pressure (PSI)", "该内核不提供压力指标（PSI）"),
        "host.of_machine": Text(
            "{value:.1f}: belongs to the machine below this container", "{value:.1f}：属于容器所在宿主机"
        ),
        "host.load": Text(
            "load {load:.2f} on {cpus} processors: {value:.2f} each",
            "{cpus} 个 CPU，负载 {load:.2f}，平均每个 {value:.2f}",
        ),
        "host.load_quiet": Text(
            "load {load:.2f} on {cpus} processors, but nobody waits for them",
            "{cpus} 个 CPU，负载 {load:.2f}，但无进程等待",
        ),
        "host.memory": Text(
            "{value:.0f} % used, {available} of {total} available", "已用 {value:.0f}%，可用 {available}，共 {total}"
        ),
        "host.no_swap": Text("no swap here", "未配置交换区"),
        "host.swap": Text("{value:.0f} % of {total} used", "{total} 已用 {value:.0f}%"),
        "host.swap_idle": Text(
            "{value:.0f} % of {total} used, but nothing comes back in", "{total} 已用 {value:.0f}%，但没有换入"
        ),
        "host.oom_none": Text("nothing was killed for lack of memory", "没有进程因内存不足被杀"),
        "host.oom_some": Text(
            "{count} processes were killed for lack of memory since the last run",
            "自上次检查后有 {count} 个进程因内存不足被杀",
        ),
        "host.counting": Text("counting begins with this run", "从本次开始计数"),
        "host.disk": Text(
            "{item}: {value:.0f} % of {total} used, {available} left",
            "{item}：{total} 已用 {value:.0f}%，剩余 {available}",
        ),
        "host.inodes": Text(
            "{item}: {value:.0f} % of {total} inodes used", "{item}：{total} 个 inode 已用 {value:.0f}%"
        ),
        "host.fs_error": Text("{item}: cannot be looked at: {error}", "{item}：无法查看：{error}"),
        "host.fs_stale": Text(
            "{item}: {kind} of {server} did not answer within {seconds:.0f} s: stale mount",
            "{item}：{server} 的 {kind} 在 {seconds:.0f} 秒内无应答，挂载已失效",
        ),
        "host.fs_answers": Text("{item}: answers", "{item}：有应答"),
        "host.fs_writable": Text(
            "all {count} file systems that should be writable are", "{count} 个应可写的文件系统均可写"
        ),
        "host.fs_readonly": Text("{names}: mounted read-only, should be writable", "{names}：以只读方式挂载，而应可写"),
        "host.fs_mounted": Text("all {count} expected file systems are mounted", "{count} 个应挂载的文件系统均已挂载"),
        "host.fs_missing": Text("{names}: not mounted", "{names}：未挂载"),
        "host.table": Text("{used} of {limit} used ({value:.0f} %)", "已用 {used}/{limit}（{value:.0f}%）"),
        "host.overflows": Text(
            "{value:.0f} connections refused by full queues since the last run",
            "自上次检查后因队列满丢弃 {value:.0f} 个连接",
        ),
        "host.zombie_count": Text("{value:.0f} zombies", "{value:.0f} 个僵尸进程"),
        "host.stuck_count": Text("{value:.0f} processes stuck in the kernel", "{value:.0f} 个进程卡在内核中"),
        "host.clock_container": Text("the clock belongs to the machine below this container", "时钟属于容器所在宿主机"),
        "host.clock_good": Text("synchronised, offset {value:.1f} ms", "已同步，偏差 {value:.1f} 毫秒"),
        "host.clock_soon": Text("not synchronised yet, up for {age}", "尚未同步，开机 {age}"),
        "host.clock_bad": Text("{client} runs, but the clock is not synchronised", "{client} 在运行，但时钟未同步"),
        "host.clock_alone": Text(
            "not synchronised, and no NTP client runs: nobody can tell whether the clock is right",
            "时钟未同步，且没有运行 NTP 客户端，无法判断时间是否准确",
        ),
        "host.clock_denied": Text("the kernel does not tell about its clock: {error}", "内核未提供时钟状态：{error}"),
        "host.reboot_no": Text("no reboot required", "无需重启"),
        "host.reboot_yes": Text(
            "a reboot is required since {value:.0f} days: {why}", "需要重启已 {value:.0f} 天：{why}"
        ),
        "host.up": Text("up for {age}", "已运行 {age}"),
        "host.up_long": Text(
            "up for {age}: kernel updates need a reboot now and then", "已运行 {age}：内核更新需要定期重启"
        ),
        "host.rebooted": Text("restarted since the last run, up for {age}", "自上次检查后发生过重启，已运行 {age}"),
        "host.bits": Text("{value:.0f} bits", "{value:.0f} 比特"),
    },
)


class Files:
    """The files of a host; another root is another host."""

    def __init__(self, root: str = "") -> None:
        self.root = root

    def path(self, path: str) -> Path:
        return Path(self.root + path)

    def read(self, path: str) -> str | None:
        """Return a file as text, None when it is not there or not for us."""
        try:
            return proc.read(self.root + path)
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """Return the first number of a file, None when there is none."""
        words = (self.read(path) or "").split()
        return int(words[0]) if words and words[0].isdigit() else None

    def table(self, path: str) -> dict[str, int]:
        """Return a file of ``name value`` or ``name: value kB`` lines."""
        found = {}
        for line in (self.read(path) or "").splitlines():
            words = line.replace(":", " ").split()
            if len(words) >= 2 and words[1].isdigit():
                found[words[0]] = int(words[1])
        return found

    @property
    def container(self) -> bool:
        """Tell whether this is a container, where /proc partly shows the machine below."""
        return any(self.path(path).exists() for path in ("/run/systemd/container", "/.dockerenv", "/run/.containerenv"))


@dataclass(frozen=True)
class CpuTimes:
    """Processor time since boot in seconds."""

    at: float
    busy: float
    total: float
    iowait: float = 0.0
    steal: float = 0.0
    own: bool = True

    def as_list(self) -> list[float]:
        return [self.at, self.busy, self.total, self.iowait, self.steal, self.own]


@dataclass
class Look:
    """One look at one host: what every part needs."""

    say: Reporter
    files: Files
    previous: Mapping[str, Any]
    deadline: Deadline
    processes: dict[int, proc.Process]
    container: bool
    same_boot: bool
    now: float

    def before(self, name: str) -> Any:
        """Return what the last run counted, None when there was none since boot."""
        return self.previous.get(name) if self.same_boot else None


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at the host we run on."""
    return examine(spec, previous, deadline, Files())


def examine(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline, files: Files) -> ProbeResult:
    """Look at the host whose files these are."""
    skip = set(spec.get("skip", []))
    unknown = skip - set(AREA.rules)
    if unknown:
        raise OpsError(f"skip: no check {', '.join(sorted(unknown))}; known: {', '.join(sorted(AREA.rules))}")
    boot = files.read("/proc/sys/kernel/random/boot_id") or ""
    look = Look(
        say=AREA.reporter(spec.get("thresholds"), source="/proc"),
        files=files,
        previous=previous,
        deadline=deadline,
        processes=proc.table(files.root + proc.PROC),
        container=files.container,
        same_boot=bool(previous) and previous.get("boot") == boot,
        now=time.time(),
    )
    first = cpu_times(look)
    state: dict[str, Any] = {"boot": boot, "at": look.now}
    checks, pressures = judge_pressure(look)
    checks += judge_memory(look, pressures, state)
    checks += judge_oom(look, spec.get("units", []), state)
    checks += judge_file_systems(look, spec)
    checks += judge_tables(look, state)
    checks += judge_processes(look)
    checks += [judge_clock(look), judge_reboot(look), judge_uptime(look)]
    checks += judge_cpu(look, first, pressures, state)
    return ProbeResult([check for check in checks if check.id not in skip], state)


# Processor and pressure


def cpu_times(look: Look) -> CpuTimes | None:
    """Return the processor time used so far: the container's own where its control group tells, else the machine's."""
    at = time.monotonic()
    usage = look.files.table("/sys/fs/cgroup/cpu.stat").get("usage_usec") if look.container else None
    if usage is not None:
        return CpuTimes(at, usage / 1e6, at * cpus())
    lines = (look.files.read("/proc/stat") or "").splitlines()
    if not lines or not lines[0].startswith("cpu "):
        return None
    # user nice system idle iowait irq softirq steal; guest time is already in user.
    ticks = [int(word) / proc.TICKS for word in lines[0].split()[1:9]]
    ticks += [0.0] * (8 - len(ticks))
    total, idle, iowait = sum(ticks), ticks[3], ticks[4]
    return CpuTimes(at, total - idle - iowait, total, iowait, ticks[7], own=not look.container)


def cpus() -> int:
    """Return how many processors we may use."""
    return len(os.sched_getaffinity(0))


def judge_cpu(
    look: Look, first: CpuTimes | None, pressures: Mapping[str, float | None], state: dict[str, Any]
) -> list[Check]:
    """Judge processor time and load; called last, so that the other parts fill the sample of a first run."""
    say = look.say
    checks = [_load(look, pressures.get("cpu"))]
    if first is None:
        return checks
    begin = first
    saved = look.before("cpu")
    if saved and 0 < first.at - saved[0] <= SAMPLE_OLDEST and saved[2] <= first.total and saved[5] == first.own:
        begin, end = CpuTimes(*saved), first
    else:
        time.sleep(max(0.0, SAMPLE_SECONDS - (time.monotonic() - first.at)))
        end = cpu_times(look) or first
    state["cpu"] = end.as_list()
    total = end.total - begin.total
    if total <= 0:
        return checks
    window = duration(end.at - begin.at) if end.at - begin.at >= 1 else "50ms"
    value = min(100.0, max(0.0, 100 * (end.busy - begin.busy) / total))
    if not end.own:
        return [*checks, say.find("cpu.util", Status.SKIPPED, "host.of_machine", value=value)]
    high = say.grade("cpu.util", value) is not Status.OK
    state["cpu_high"] = high
    waiting = _alerts(say, "cpu.psi", pressures.get("cpu"))
    if high and waiting is False:
        checks.append(say.find("cpu.util", Status.OK, "host.cpu_quiet", value=value, window=window))
    elif high and not look.previous.get("cpu_high"):
        checks.append(say.find("cpu.util", Status.OK, "host.cpu_once", value=value, window=window))
    else:
        checks.append(say.measure("cpu.util", value, "host.cpu", window=window, min=0, max=100))
    if not look.container:
        checks.append(
            _share(say, "cpu.iowait", 100 * (end.iowait - begin.iowait) / total, window, "io.psi", pressures.get("io"))
        )
        checks.append(
            _share(say, "cpu.steal", 100 * (end.steal - begin.steal) / total, window, "cpu.psi", pressures.get("cpu"))
        )
    return checks


def _alerts(say: Reporter, check_id: str, value: float | None) -> bool | None:
    """Tell whether a pressure alerts, None when it is not measured."""
    return None if value is None else say.grade(check_id, value) is not Status.OK


def _share(say: Reporter, check_id: str, value: float, window: str, psi: str, pressure: float | None) -> Check:
    value = min(100.0, max(0.0, value))
    if say.grade(check_id, value) is not Status.OK and _alerts(say, psi, pressure) is False:
        return say.find(check_id, Status.OK, "host.share_quiet", value=value, window=window)
    return say.measure(check_id, value, "host.share", window=window, min=0, max=100)


def _load(look: Look, pressure: float | None) -> Check:
    words = (look.files.read("/proc/loadavg") or "0 0 0").split()
    load, count = float(words[2]), cpus()
    # One busy process is no load to speak of, not even on one processor.
    value = load / max(2, count)
    told: dict[str, Any] = {"value": value, "load": load, "cpus": count}
    if look.container:
        return look.say.find("load15", Status.SKIPPED, "host.of_machine", **told)
    if look.say.grade("load15", value) is not Status.OK and _alerts(look.say, "cpu.psi", pressure) is False:
        return look.say.find("load15", Status.OK, "host.load_quiet", **told)
    told.pop("value")
    return look.say.measure("load15", value, "host.load", min=0, **told)


def judge_pressure(look: Look) -> tuple[list[Check], dict[str, float | None]]:
    """Judge pressure; return the figures too, since other checks are silent while nobody waits.

    A container's own pressure is that of its control group; /proc/pressure is the machine's.
    """
    checks: list[Check] = []
    figures: dict[str, float | None] = {}
    for name, file, level in (("cpu", "cpu", "some"), ("mem", "memory", "full"), ("io", "io", "full")):
        check_id = f"{name}.psi"
        own = parse_psi(look.files.read(f"/sys/fs/cgroup/{file}.pressure") or "", level) if look.container else None
        machine = parse_psi(look.files.read(f"/proc/pressure/{file}") or "", level)
        value = own if look.container else machine
        figures[name] = value
        if value is not None:
            checks.append(look.say.measure(check_id, value, "host.psi", min=0, max=100))
        elif machine is not None:
            checks.append(look.say.find(check_id, Status.SKIPPED, "host.of_machine", value=machine))
        else:
            checks.append(look.say.find(check_id, Status.SKIPPED, "host.psi_absent"))
    return checks, figures


def parse_psi(text: str, level: str) -> float | None:
    """Return avg60 of the line ``some`` or ``full`` of a pressure file."""
    match = re.search(rf"^{level} .*?\bavg60=([\d.]+)", text, re.MULTILINE)
    return float(match[1]) if match else None


# Memory


def judge_memory(look: Look, pressures: Mapping[str, float | None], state: dict[str, Any]) -> list[Check]:
    """Judge memory and swap."""
    say, info, vmstat = look.say, look.files.table("/proc/meminfo"), look.files.table("/proc/vmstat")
    checks = []
    if info.get("MemTotal") and "MemAvailable" in info:
        total, available = info["MemTotal"] * 1024, info["MemAvailable"] * 1024
        value = 100 * (1 - available / total)
        checks.append(
            say.measure("mem.used", value, "host.memory", available=size(available), total=size(total), min=0, max=100)
        )
    state["pswpin"] = vmstat.get("pswpin", 0)
    if not info.get("SwapTotal"):
        return [*checks, say.find("swap.used", Status.SKIPPED, "host.no_swap")]
    value = 100 * (1 - info.get("SwapFree", 0) / info["SwapTotal"])
    words: dict[str, Any] = {"total": size(info["SwapTotal"] * 1024)}
    before = look.before("pswpin")
    active = (before is not None and state["pswpin"] > before) or (pressures.get("mem") or 0.0) > 1
    if active:
        return [*checks, say.measure("swap.used", value, "host.swap", min=0, max=100, **words)]
    quiet = "host.swap" if say.grade("swap.used", value) is Status.OK else "host.swap_idle"
    return [*checks, say.find("swap.used", Status.OK, quiet, value=value, **words)]


def judge_oom(look: Look, units: list[str], state: dict[str, Any]) -> list[Check]:
    """Judge whether the kernel killed for memory since the last run, and whether it hit one of these units."""
    count = look.files.table("/proc/vmstat").get("oom_kill")
    if count is None:
        return []
    state["oom_kill"] = count
    before = look.before("oom_kill")
    if before is None:
        return [look.say.find("oom_kill", Status.OK, "host.counting", value=0)]
    killed = max(0, count - before)
    if not killed:
        return [look.say.find("oom_kill", Status.OK, "host.oom_none", value=0)]
    lines = _kernel_kills(look, float(look.previous.get("at", look.now)))
    names = [unit if "." in unit else f"{unit}.service" for unit in units]
    status = look.say.grade("oom_kill", killed)
    if status is not Status.OK and any(f"/{name}" in line for line in lines for name in names):
        status = Status.CRITICAL
    evidence = [line for line in lines if "Killed process" in line] or lines
    return [look.say.find("oom_kill", status, "host.oom_some", value=killed, count=killed, evidence=evidence)]


def _kernel_kills(look: Look, since: float) -> list[str]:
    """Return the kernel's lines about it; nothing where the journal is not ours to read."""
    argv = [
        "journalctl",
        "-k",
        "-q",
        "--no-pager",
        "-o",
        "cat",
        f"--since=@{int(since)}",
        "-g",
        "oom-kill:|Killed process",
    ]
    try:
        return run(argv, look.deadline.sooner(JOURNAL_SECONDS).remaining()).stdout.splitlines()[-20:]
    except OpsError:
        return []


# File systems


def judge_file_systems(look: Look, spec: Mapping[str, Any]) -> list[Check]:
    """Judge space, inodes, and whether what should be mounted is, and can be written."""
    every = mounts.parse_mountinfo(look.files.read("/proc/self/mountinfo") or "")
    fstab = list(mounts.parse_fstab(look.files.read("/etc/fstab") or ""))
    declared = {entry["path"]: entry for entry in spec.get("mounts", [])}
    ignored = set(spec.get("ignore_mounts", []))
    chosen = [one for one in mounts.relevant(every, declared) if one.point not in ignored]
    answers = mounts.ask(chosen, look.deadline.sooner(STATVFS_SECONDS).remaining())
    checks = []
    for mount in chosen:
        checks += judge_usage(look.say, spec, mount, answers[mount.point], declared.get(mount.point))
    return checks + judge_mounted(look.say, every, fstab, set(declared), ignored)


def judge_usage(
    say: Reporter,
    spec: Mapping[str, Any],
    mount: mounts.Mount,
    usage: mounts.Usage | str | None,
    declared: Mapping[str, Any] | None,
) -> list[Check]:
    """Judge one file system; ``declared`` holds an operator's own levels for it, which are taken as they are."""
    item = mount.point
    if usage is None:
        status = Status.CRITICAL if declared is not None else Status.WARNING
        words = {"kind": mount.kind, "server": mount.source, "seconds": STATVFS_SECONDS}
        return [say.find("fs.statvfs_timeout", status, "host.fs_stale", item=item, reason="timeout", **words)]
    checks = [say.find("fs.statvfs_timeout", Status.OK, "host.fs_answers", item=item)] if mount.remote else []
    if isinstance(usage, str):
        return [say.find("disk.used", Status.UNKNOWN, "host.fs_error", item=item, error=usage)]
    if not usage.total:
        return checks
    own = {level: declared[level] for level in ("warn", "crit") if declared and declared.get(level) is not None}
    told: dict[str, Any] = {"total": size(usage.total), "available": size(usage.available)}
    if own:
        # The other level stays as it is for all mounts.
        told.update(min=0, max=100)
        limits = {**dict(zip(("warn", "crit"), say.limits("disk.used"))), **own}
        reporter = AREA.reporter({"disk.used": limits}, say.source)
        checks.append(reporter.measure("disk.used", usage.percent, "host.disk", item=item, **told))
    else:
        checks.append(_used(say, spec, item, usage, told))
    if usage.inode_percent is not None:
        checks.append(
            say.measure("inode.used", usage.inode_percent, "host.inodes", item=item, total=usage.inodes, min=0, max=100)
        )
    return checks


def _used(say: Reporter, spec: Mapping[str, Any], item: str, usage: mounts.Usage, told: dict[str, Any]) -> Check:
    value = usage.percent
    status = say.grade("disk.used", value)
    if status is Status.CRITICAL and usage.available >= DISK_LEFT and value < DISK_FULL:
        status = Status.WARNING
    by_default = "disk.used" not in (spec.get("thresholds") or {})
    if status is Status.WARNING and by_default and usage.total >= DISK_LARGE and value < DISK_LARGE_WARNING:
        status = Status.OK
    reason = "ok" if status is Status.OK else "threshold"
    return say.find("disk.used", status, "host.disk", item=item, reason=reason, value=value, min=0, max=100, **told)


def judge_mounted(
    say: Reporter,
    every: list[mounts.Mount],
    fstab: list[mounts.Fstab],
    declared: set[str],
    ignored: set[str],
) -> list[Check]:
    """Judge that what fstab and the operator want is mounted, and writable."""
    here = {one.point: one for one in every}
    expected = declared | {line.point for line in fstab if line.wanted}
    missing = sorted(point for point in expected - ignored if point not in here)
    writable = declared | {line.point for line in fstab if line.writable}
    # Read-only below a mount that is not: the kernel turned it so after an error (errors=remount-ro).
    turned = {one.point for one in every if one.super_read_only and not one.read_only and one in mounts.relevant([one])}
    broken = sorted(
        point
        for point in (writable | turned) - ignored
        if point in here and (here[point].read_only or here[point].super_read_only)
    )
    if missing:
        status = Status.CRITICAL if declared & set(missing) else Status.WARNING
        mounted = say.find(
            "fs.mounted", status, "host.fs_missing", reason="missing", names=listed(missing), evidence=missing
        )
    else:
        mounted = say.find("fs.mounted", Status.OK, "host.fs_mounted", count=len(expected))
    if broken:
        evidence = [f"{here[point].source} on {point}, {here[point].kind}" for point in broken]
        readonly = say.find("fs.readonly", Status.CRITICAL, "host.fs_readonly", names=listed(broken), evidence=evidence)
    else:
        readonly = say.find("fs.readonly", Status.OK, "host.fs_writable", count=len(writable & set(here)))
    return [mounted, readonly]


# Kernel tables and processes


def judge_tables(look: Look, state: dict[str, Any]) -> list[Check]:
    """Judge open files, process numbers, tracked connections, listen queues, random numbers."""
    say, files = look.say, look.files
    checks = []
    handles = (files.read("/proc/sys/fs/file-nr") or "").split()
    if len(handles) == 3:
        checks.append(_table(say, "fd.system", int(handles[0]), int(handles[2])))
    limits = [files.number(f"/proc/sys/kernel/{name}") for name in ("pid_max", "threads-max")]
    running = (files.read("/proc/loadavg") or "").split()
    known = [limit for limit in limits if limit]
    if known and len(running) > 3:
        checks.append(_table(say, "pid.space", int(running[3].partition("/")[2]), min(known)))
    tracked, most = (files.number(f"/proc/sys/net/netfilter/nf_conntrack_{name}") for name in ("count", "max"))
    if tracked is not None and most:
        checks.append(_table(say, "conntrack", tracked, most))
    checks += _overflows(look, state)
    # From 5.18 on the pool is 256 bits and always full.
    pool, bits = (files.number(f"/proc/sys/kernel/random/{name}") for name in ("poolsize", "entropy_avail"))
    if pool not in (None, 256) and bits is not None:
        checks.append(say.measure("entropy", bits, "host.bits", min=0))
    return checks


def _table(say: Reporter, check_id: str, used: int, limit: int) -> Check:
    return say.measure(check_id, 100 * used / limit, "host.table", used=used, limit=limit, min=0, max=100)


def _overflows(look: Look, state: dict[str, Any]) -> list[Check]:
    lines = [line.split() for line in (look.files.read("/proc/net/netstat") or "").splitlines()]
    pairs = {
        name: value
        for names, values in zip(lines, lines[1:])
        for name, value in zip(names, values)
        if names[0] == "TcpExt:"
    }
    if not pairs.get("ListenOverflows", "").isdigit():
        return []
    count = int(pairs["ListenOverflows"])
    state["overflows"] = count
    before = look.before("overflows")
    if before is None:
        return [look.say.find("tcp.listen_overflow", Status.OK, "host.counting", value=0)]
    fresh = max(0, count - before)
    status = look.say.grade("tcp.listen_overflow", fresh)
    if status is not Status.OK and fresh / max(1.0, look.now - look.previous.get("at", 0)) > 5:
        status = Status.CRITICAL
    reason = "ok" if status is Status.OK else "threshold"
    return [look.say.find("tcp.listen_overflow", status, "host.overflows", reason=reason, value=fresh)]


def judge_processes(look: Look) -> list[Check]:
    """Judge zombies, with the parent that forgot them, and processes that hang in the kernel."""
    processes = look.processes
    zombies = [one for one in processes.values() if one.state == "Z"]
    parents = Counter(one.ppid for one in zombies).most_common()
    evidence = [
        f"{count} of pid {pid} {processes[pid].comm if pid in processes else '?'}: "
        + listed(sorted({one.comm for one in zombies if one.ppid == pid}))
        for pid, count in parents
    ]
    checks = [look.say.measure("zombies", len(zombies), "host.zombie_count", evidence=evidence, min=0)]
    # Threads of the kernel (children of number 2) sleep like this as a habit.
    own = [one for one in processes.values() if one.ppid != 2]
    hang = proc.stuck(own, look.deadline.sooner(STUCK_SECONDS).remaining(), look.files.root + proc.PROC)
    evidence = [f"pid {one.pid} {one.comm}" for one in hang]
    checks.append(look.say.measure("procs.d_state", len(hang), "host.stuck_count", evidence=evidence, min=0))
    return checks


# Clock and boots


def judge_clock(look: Look) -> Check:
    """Judge whether the kernel's clock is disciplined by somebody."""
    say = look.say
    if look.container:
        return say.find("clock.sync", Status.SKIPPED, "host.clock_container")
    try:
        synchronised, offset = adjtimex()
    except OSError as exc:
        return say.find("clock.sync", Status.UNKNOWN, "host.clock_denied", error=str(exc))
    if synchronised:
        return say.measure("clock.sync", abs(offset) * 1000, "host.clock_good")
    age = uptime(look)
    if age < NTP_SECONDS:
        return say.find("clock.sync", Status.OK, "host.clock_soon", reason="insufficient_data", age=duration(age))
    clients = sorted({one.comm for one in look.processes.values()} & NTP_CLIENTS)
    if clients:
        return say.find("clock.sync", Status.WARNING, "host.clock_bad", client=clients[0])
    return say.find("clock.sync", Status.UNKNOWN, "host.clock_alone", reason="missing")


def adjtimex() -> tuple[bool, float]:
    """Return whether the clock is synchronised, and the offset still to be corrected in seconds (adjtimex(2)).

    Asked directly: timedatectl starts a service to answer, which takes longer than all else here together.
    """
    import ctypes

    class Timex(ctypes.Structure):
        _fields_ = [
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 256),
        ]

    timex = Timex()
    try:
        call = ctypes.CDLL(None, use_errno=True).adjtimex
    except AttributeError as exc:
        raise OSError(f"no adjtimex in this C library: {exc}") from exc
    if call(ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    offset = timex.offset / (1e9 if timex.status & _STA_NANO else 1e6) if timex.status & _STA_PLL else 0.0
    return not timex.status & _STA_UNSYNC, offset


def judge_reboot(look: Look) -> Check:
    """Judge whether the package manager or a newer kernel waits for a reboot."""
    why, since = "", 0.0
    flag = look.files.path("/run/reboot-required")
    if flag.exists():
        why = listed(sorted(set((look.files.read("/run/reboot-required.pkgs") or "reboot-required").split())))
        since = flag.stat().st_mtime
    elif not look.container:
        modules = look.files.path("/lib/modules")
        newest, installed = newer_kernel(os.uname().release, modules)
        why, since = (f"kernel {newest}", installed) if newest else ("", 0.0)
    if not why:
        return look.say.find("reboot.required", Status.OK, "host.reboot_no", value=0)
    # The day it is noticed counts as well, so that the first hour is not below the warning level.
    age = look.now - since
    return look.say.measure("reboot.required", max(0.1, age / DAY), "host.reboot_yes", why=why, age=duration(age))


def newer_kernel(running: str, modules: Path) -> tuple[str, float]:
    """Return the newest installed kernel of the running one's flavour and when it came, empty if that runs already.

    A kernel that is not installed at all was brought by the provider: then nothing can be told.
    """
    names = [entry.name for entry in modules.iterdir() if entry.is_dir()] if modules.is_dir() else []
    if running not in names:
        return "", 0.0
    flavour = re.sub(r"[\d.-]+", "", running)
    newest = max((name for name in names if re.sub(r"[\d.-]+", "", name) == flavour), key=_version)
    if newest == running:
        return "", 0.0
    return newest, (modules / newest).stat().st_mtime


def _version(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name)]


def uptime(look: Look) -> float:
    """Return the seconds since boot; a container began with its first process, /proc/uptime is the machine's."""
    first = look.processes.get(1)
    if look.container and first:
        return proc.age(first)
    return float((look.files.read("/proc/uptime") or "0").split()[0])


def judge_uptime(look: Look) -> Check:
    """Say once that the host was restarted; a first run has nothing to compare with."""
    age = uptime(look)
    if look.previous.get("boot") and not look.same_boot:
        return look.say.find("uptime", Status.WARNING, "host.rebooted", value=age, age=duration(age))
    sentence = "host.up_long" if age > LONG_UPTIME_DAYS * DAY else "host.up"
    return look.say.find("uptime", Status.OK, sentence, value=age, age=duration(age))
