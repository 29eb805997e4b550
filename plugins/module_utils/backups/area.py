# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a directory of backups: titles, advice, thresholds and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "backup",
    rules={
        "backup.directory": Rule(
            title=Text("Backup directory holds files", "备份目录中有文件"),
            fix=Text(
                "Missing or empty: is its disk mounted, and is tutor_backup_dir the directory that backups go to? Run the "
                "backup playbook, then look at its schedule.",
                "目录缺失或为空：检查磁盘是否挂载、tutor_backup_dir 是否为实际备份目录；执行 backup 剧本，再检查定时任务。",
            ),
        ),
        "backup.age": Rule(
            title=Text("Age of the newest backup", "最近备份的时间"),
            fix=Text(
                "Run `ansible-playbook bilingual_tutor.ops.backup` now, then find out why last night's did not run (crontab or "
                "timer, its log).",
                "立即执行 `ansible-playbook bilingual_tutor.ops.backup`，再查明昨晚备份为何未执行（crontab 或定时器及其日志）。",
            ),
            warn="26",
            crit="50",
            uom="h",
            source="one a day and two hours of grace (26 h), two nights missed (50 h)",
        ),
        "backup.manifest": Rule(
            title=Text("Every backup has a manifest", "每个备份都有清单"),
            fix=Text(
                "A file without a manifest is not a backup: nothing proves what is in it. Make a new one with the backup "
                "playbook; keep the old files elsewhere until it is verified.",
                "没有清单的文件不算备份，其内容无从证明。请用 backup 剧本重新备份；旧文件在新备份通过验证前另行保存。",
            ),
        ),
        "backup.sha256": Rule(
            title=Text("Newest backup is the one that was made", "最近备份与生成时一致"),
            fix=Text(
                "The file changed after it was made: do not restore it. Make a new backup now and check the disk (dmesg, "
                "smartctl).",
                "文件在生成后被改动，请勿用于恢复。立即重新备份，并检查磁盘（dmesg、smartctl）。",
            ),
            source="the sha256 in the manifest finds 200 of 200 single bit errors, integrity_check 49",
        ),
        "backup.size": Rule(
            title=Text("Size of the newest backup against the usual", "最近备份大小与往常相比"),
            fix=Text(
                "Much smaller: compare the row counts in the manifests of the last two; the database may have been emptied or "
                "another one backed up.",
                "明显变小：对比最近两份清单中的行数；数据库可能被清空，或备份了错误的库。",
            ),
            warn="-50:",
            uom="%",
            source="half of the median of the last 14",
        ),
        "backup.pointer": Rule(
            title=Text("Pointer names the newest backup", "指针指向最近的备份"),
            fix=Text(
                "`ln -sfn NEWEST POINTER` in the backup directory, after the newest was verified.",
                "验证最近备份后，在备份目录执行 `ln -sfn NEWEST POINTER`。",
            ),
        ),
        "backup.leftovers": Rule(
            title=Text("No half-made backups", "没有未完成的备份残留"),
            fix=Text(
                "An interrupted backup left them: see why (disk full? timeout?), then remove the files listed.",
                "备份中断留下的残留：查明原因（磁盘满？超时？）后删除所列文件。",
            ),
        ),
        "backup.rejected": Rule(
            title=Text("No backup was found bad", "没有不合格的备份"),
            fix=Text(
                "The last backup was made and is damaged, empty or below its floors; the pointer stays with the older one. "
                "Look at the live database first (`PRAGMA integrity_check` on the .bad file), then run the backup playbook.",
                "最近一次备份已生成，但损坏、为空或行数不足；指针仍指向较早的备份。先检查在线数据库（对 .bad 文件执行 `PRAGMA integrity_check`），"
                "再执行 backup 剧本。",
            ),
        ),
        "backup.count": Rule(
            title=Text("Number of backups", "备份数量"),
            fix=Text(
                "Fewer than expected: check the retention of the backup and whether nights were missed.",
                "数量不足：检查备份保留策略以及是否有漏备。",
            ),
            warn="2:",
            uom="c",
            source="of a single one nothing is left when it turns out bad",
        ),
    },
    sentences={
        "backup.directory_full": Text("{count} files in {path}", "{path} 中有 {count} 个文件"),
        "backup.directory_missing": Text("{path} does not exist", "{path} 不存在"),
        "backup.directory_kind": Text("{path} is not a directory", "{path} 不是目录"),
        "backup.directory_empty": Text(
            "{path} holds no file that matches {patterns}", "{path} 中没有匹配 {patterns} 的文件"
        ),
        "backup.directory_denied": Text("{path} cannot be read: {error}", "无法读取 {path}：{error}"),
        "backup.age_is": Text("{name} was made {age} ago", "{name} 生成于 {age} 前"),
        "backup.age_none": Text(
            "there is no backup: {count} files, none with a manifest that can be read",
            "没有可用备份：{count} 个文件均无可读清单",
        ),
        "backup.age_future": Text(
            "{name} says it was made at {created}, which is to come: a clock is wrong",
            "{name} 的生成时间 {created} 在未来：时钟有误",
        ),
        "backup.manifest_all": Text("all {count} backups have one", "{count} 个备份均有清单"),
        "backup.manifest_missing": Text(
            "{count} files without a manifest, which are not backups: {names}",
            "{count} 个文件没有清单，不算备份：{names}",
        ),
        "backup.manifest_bad": Text("cannot be read: {names}", "清单无法读取：{names}"),
        "backup.sha256_right": Text("{name} has the sha256 of its manifest", "{name} 的 sha256 与清单一致"),
        "backup.sha256_before": Text(
            "{name} had the sha256 of its manifest and was not touched since", "{name} 此前校验一致，之后未被改动"
        ),
        "backup.sha256_wrong": Text(
            "{name} has sha256 {seen}, its manifest says {wanted}", "{name} 的 sha256 为 {seen}，清单记录为 {wanted}"
        ),
        "backup.sha256_bytes": Text(
            "{name} has {seen} bytes, its manifest says {wanted}", "{name} 为 {seen} 字节，清单记录为 {wanted}"
        ),
        "backup.sha256_big": Text(
            "{name} ({size}) cannot be hashed in the {seconds:.0f} s given, its length is right; the backup verification hashes it",
            "{name}（{size}）无法在 {seconds:.0f} 秒内计算哈希，长度一致；由备份验证完成校验",
        ),
        "backup.sha256_late": Text(
            "{name} ({size}) was not hashed within {seconds:.1f} s: its disk is slow",
            "{name}（{size}）{seconds:.1f} 秒内未完成哈希：磁盘较慢",
        ),
        "backup.sha256_error": Text("{name} cannot be read: {error}", "{name} 无法读取：{error}"),
        "backup.sha256_off": Text(
            "{name}: hashing is not asked for, its length is right", "{name}：未要求计算哈希，长度一致"
        ),
        "backup.size_is": Text(
            "{name} has {size}, {value:+.0f} % against the usual {usual}",
            "{name} 为 {size}，与通常的 {usual} 相比 {value:+.0f}%",
        ),
        "backup.size_first": Text("{name} has {size}, too few to compare with", "{name} 为 {size}，历史不足，无法比较"),
        "backup.pointer_right": Text("{pointer} is {name}", "{pointer} 指向 {name}"),
        "backup.pointer_missing": Text("{pointer} does not exist", "{pointer} 不存在"),
        "backup.pointer_dangling": Text(
            "{pointer} points to {target}, which does not exist", "{pointer} 指向的 {target} 不存在"
        ),
        "backup.pointer_other": Text(
            "{pointer} is {target}, the newest is {name}", "{pointer} 指向 {target}，最近的是 {name}"
        ),
        "backup.pointer_copy": Text(
            "{pointer} is a file of its own, not a link to {name}: nothing keeps it up to date",
            "{pointer} 是独立文件而非指向 {name} 的链接，不会随备份更新",
        ),
        "backup.rejected_none": Text("none", "无"),
        "backup.rejected_newer": Text("{name} is newer than any good backup", "{name} 比所有合格的备份都新"),
        "backup.rejected_older": Text(
            "{count} from earlier, a good one was made since", "{count} 个较早的，此后已有合格的备份"
        ),
        "backup.leftovers_none": Text("none", "无残留"),
        "backup.leftovers_some": Text("{count} left behind, {size}: {names}", "残留 {count} 个，共 {size}：{names}"),
        "backup.count_is": Text("{value:.0f} backups, the oldest of {oldest}", "{value:.0f} 个备份，最早为 {oldest}"),
    },
)
