# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a copy off the host: titles, advice, default thresholds and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "backup",
    rules={
        "offsite.copied": Rule(
            title=Text("Snapshots are off the host", "快照已复制到异地"),
            fix=Text(
                "Nothing to copy: run the playbook backup first. Left out: such a file is no backup (no manifest, or another "
                "size than its manifest says); verify it (backup_verification), then remove it.",
                "没有可复制的快照：先执行 backup。被跳过的文件不是有效备份（缺清单，或大小与清单不符）：用 backup_verification 核实后删除。",
            ),
        ),
        "offsite.check": Rule(
            title=Text("Copies off the host are sound", "异地副本完好"),
            fix=Text(
                "The evidence names what is wrong. Do not remove local snapshots; look at the disk there. restic: `restic "
                "check --read-data`, then a new repository. rsync: remove the file named there and copy again.",
                "证据列出了问题所在。请勿删除本地快照，并检查异地磁盘。restic：执行 `restic check --read-data`，必要时新建仓库；"
                "rsync：删除异地对应文件后重新复制。",
            ),
            source="restic check; rsync -n, with --checksum where all data is read",
        ),
        "offsite.age": Rule(
            title=Text("Age of the newest copy off the host", "最新异地副本的时间"),
            fix=Text(
                "Find out why no newer snapshot was made or copied (playbook backup, and its schedule).",
                "查明为何没有更新的快照或未能复制（backup 剧本及其计划任务）。",
            ),
            warn="26",
            crit="50",
            uom="h",
            source="a snapshot a day, and two hours; twice that",
        ),
    },
    sentences={
        "offsite.all_there": Text(
            "{there} snapshots are at {where}; {copied} of them copied now ({size})",
            "{where} 现有 {there} 份快照；本次复制 {copied} 份（{size}）",
        ),
        "offsite.planned": Text(
            "{copied} snapshots ({size}) would be copied to {where}, {there} would be there",
            "将复制 {copied} 份快照（{size}）到 {where}，之后共 {there} 份",
        ),
        "offsite.left_out": Text(
            "{left} files are no backups and were left out: {names}", "有 {left} 个文件不是有效备份，已跳过：{names}"
        ),
        "offsite.nothing": Text("there is no snapshot with a manifest in {path}", "{path} 中没有带清单的快照"),
        "offsite.check_ok": Text("{how} found nothing wrong", "{how} 未发现问题"),
        "offsite.check_bad": Text("{how} found: {first}", "{how} 发现：{first}"),
        "offsite.check_off": Text("not asked for", "未要求检查"),
        "offsite.future": Text(
            "the newest is {ahead:.1f} h from the future: {name}; see the clock",
            "最新一份的时间比现在晚 {ahead:.1f} 小时：{name}，请检查时钟",
        ),
        "offsite.newest": Text("the newest is {value:.1f} h old: {name}", "最新一份距今 {value:.1f} 小时：{name}"),
    },
)
