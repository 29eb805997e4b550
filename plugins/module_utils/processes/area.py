# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about groups of processes."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "process",
    rules={
        "process.count": Rule(
            title=Text("Number of processes", "进程数量"),
            fix=Text(
                "Start the service that is missing, or end the surplus ones (evidence lists them); "
                "correct min and max in the probe if the number is right.",
                "启动缺失的服务，或结束多余进程（见证据）；若数量正常，请修改探测的 min 和 max。",
            ),
        ),
        "process.state": Rule(
            title=Text("Processes can run", "进程可以运行"),
            fix=Text(
                "Stopped (T): `kill -CONT PID` and find out who stopped it. Uninterruptible (D): a disk or mount does "
                "not answer; `cat /proc/PID/stack`, `dmesg -T | tail`.",
                "T 状态：`kill -CONT PID` 并查明原因。D 状态：磁盘或挂载点无响应，查看 `cat /proc/PID/stack`、`dmesg -T | tail`。",
            ),
        ),
        "process.memory": Rule(
            title=Text("Memory of the processes", "进程内存"),
            fix=Text(
                "Compare with earlier runs; if it only grows, restart in the maintenance window and report the leak.",
                "与历史对比；若持续增长，在维护窗口重启并上报内存泄漏。",
            ),
            uom="B",
        ),
        "process.fds": Rule(
            title=Text("Open files against the limit", "打开文件数占上限比例"),
            fix=Text(
                "`ls -l /proc/PID/fd` shows what is open; raise LimitNOFILE of the unit or find the leak.",
                "`ls -l /proc/PID/fd` 查看打开的文件；调大单元的 LimitNOFILE 或排查泄漏。",
            ),
            warn="80",
            crit="95",
            uom="%",
            source="samber/awesome-prometheus-alerts",
        ),
        "process.outdated": Rule(
            title=Text("Processes run what is on disk", "进程使用的是磁盘上的版本"),
            fix=Text(
                "The files were replaced by an upgrade: restart the service in the maintenance window.",
                "文件已被升级替换：请在维护窗口内重启该服务。",
            ),
            source="needrestart",
        ),
    },
    sentences={
        "process.counted": Text(
            "{item}: {count} processes, {threads} threads, oldest {age}, expected {bounds}",
            "{item}：{count} 个进程，{threads} 个线程，最早启动于 {age} 前，期望 {bounds}",
        ),
        "process.none": Text("{item}: no process, expected {bounds}", "{item}：没有进程，期望 {bounds}"),
        "process.pidfile_missing": Text(
            "{item}: no pid file {path}, so it does not run", "{item}：没有 pid 文件 {path}，进程未运行"
        ),
        "process.pidfile_stale": Text(
            "{item}: {path} names process {pid}, which is gone", "{item}：{path} 中的进程 {pid} 已不存在"
        ),
        "process.pidfile_foreign": Text(
            "{item}: {path} names process {pid}, which is another program ({comm})",
            "{item}：{path} 中的进程 {pid} 是另一个程序（{comm}）",
        ),
        "process.pidfile_unreadable": Text("{item}: cannot read {path}: {error}", "{item}：无法读取 {path}：{error}"),
        "process.running": Text("{item}: none is stopped or stuck", "{item}：没有进程被暂停或卡死"),
        "process.all_stopped": Text(
            "{item}: all {total} processes are stopped by a signal: it answers nobody",
            "{item}：全部 {total} 个进程被信号暂停，不再响应",
        ),
        "process.some_stopped": Text(
            "{item}: {count} of {total} processes are stopped by a signal",
            "{item}：{total} 个进程中有 {count} 个被信号暂停",
        ),
        "process.some_stuck": Text(
            "{item}: {count} of {total} processes hang in the kernel (state D)",
            "{item}：{total} 个进程中有 {count} 个卡在内核中（D 状态）",
        ),
        "process.rss": Text(
            "{item}: {size} resident in {count} processes", "{item}：{count} 个进程共占用 {size} 物理内存"
        ),
        "process.fds_used": Text(
            "{item}: {open} of {limit} files open in process {pid} ({value:.0f} %)",
            "{item}：进程 {pid} 已打开 {open}/{limit} 个文件（{value:.0f}%）",
        ),
        "process.fds_denied": Text(
            "{item}: may not look at the open files of process {pid}: run as root or as its user",
            "{item}：无权查看进程 {pid} 打开的文件：请以 root 或该用户运行",
        ),
        "process.up_to_date": Text("{item}: program and libraries are those on disk", "{item}：程序和库与磁盘一致"),
        "process.is_outdated": Text(
            "{item}: {count} processes run a program or library that was replaced on disk",
            "{item}：{count} 个进程仍在使用已被替换的程序或库",
        ),
    },
)
