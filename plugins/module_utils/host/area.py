# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the machine below the services: titles, advice, default thresholds and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text


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
