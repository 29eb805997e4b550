# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a backup run: titles, advice, default thresholds and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "backup",
    rules={
        "backup.made": Rule(
            title=Text("Backup was made", "备份已生成"),
            fix=Text(
                "Nothing that may be restored was made; the older backups are untouched and the pointer stays. See "
                "backup.proof and backup.rows for why, then run the backup playbook again.",
                "本次没有生成可用于恢复的备份；旧备份未受影响，指针未移动。原因见 backup.proof 与 backup.rows，处理后重新执行 backup 剧本。",
            ),
        ),
        "backup.proof": Rule(
            title=Text("Backup was proved before it counts", "备份在生效前已验证"),
            fix=Text(
                "Damaged: the live database is damaged too, or memory or disk is. Run `PRAGMA integrity_check` on the .bad "
                "file, see dmesg, and restore the newest verified backup. Broken references only: the application wrote them; "
                "the backup counts.",
                "若已损坏：在线数据库多半同样损坏，或内存、磁盘有故障。对 .bad 文件执行 `PRAGMA integrity_check`，查看 dmesg，并恢复最近一份已验证的备份。"
                "若仅是外键引用失效：由应用写入，备份仍然有效。",
            ),
            source="integrity_check finds index damage that quick_check misses; only the single row ok is ok",
        ),
        "backup.rows": Rule(
            title=Text("Backup holds at least what is declared", "备份中各表行数不低于下限"),
            fix=Text(
                "Fewer rows than declared: the application may have recreated its database empty. Stop it, compare with the "
                "newest backup's manifest and restore; if the floor is wrong, correct tutor_database_floors.",
                "行数低于下限：应用可能已重建空库。停止应用，与最近备份的清单比对后恢复；若下限有误，请修正 tutor_database_floors。",
            ),
        ),
        "backup.space": Rule(
            title=Text("Room for the next backups", "剩余空间可容纳的备份数"),
            fix=Text(
                "Free space in tutor_backup_dir, keep fewer backups, or compress them (gzip, zstd).",
                "清理 tutor_backup_dir 所在磁盘、减少保留数量，或启用压缩（gzip、zstd）。",
            ),
            warn="2:",
            crit="1:",
            uom="c",
            source="the next one must fit beside those there are; two leave time to react",
        ),
        "backup.retention": Rule(
            title=Text("Old backups are thinned out", "旧备份按策略清理"),
            fix=Text(
                "Backups from the future: set the clock right (chronyc tracking); they are kept until their time has come. "
                "Others that stay are not known here: look at them, then remove them by hand.",
                "存在时间在未来的备份：请校准时钟（chronyc tracking），到期前一律保留。其余未清理的文件不是本工具生成的，请人工确认后删除。",
            ),
            source="newest of each of the last 30 days, 12 weeks and 6 months",
        ),
        "backup.interrupted": Rule(
            title=Text("Earlier backup run was not interrupted", "上次备份未被中断"),
            fix=Text(
                "What an interrupted run had half-made was removed just now. See why it ended: journal of that time, disk "
                "full, deadline, reboot.",
                "中断的备份留下的半成品刚刚已清除。请查明中断原因：当时的日志、磁盘已满、超时或重启。",
            ),
        ),
        "backup.files": Rule(
            title=Text("Other files are in the backup", "其他文件已备份"),
            fix=Text(
                "Correct the list of files, or make what is named readable (evidence says why each is not in it).",
                "修正文件列表，或使所列文件可读（证据给出每项原因）。",
            ),
        ),
        "backup.standby": Rule(
            title=Text("No backup of a standby", "备机上不备份"),
            fix=Text(
                "Nothing is to be done here: the backup is made on the host that serves. To copy this database as it stood at "
                "the switch: serving: false (playbook: --limit HOST -e ops_serving=false).",
                "本机无需处理：备份在提供服务的主机上执行。如需复制本机切换时留下的数据库：serving: false（剧本：--limit 主机名 "
                "-e ops_serving=false）。",
            ),
        ),
    },
    sentences={
        "backup.made_is": Text(
            "{name}, {size} in {seconds:.1f} s ({engine})", "{name}，{size}，用时 {seconds:.1f} 秒（{engine}）"
        ),
        "backup.made_not": Text("no backup: {name} is not good and does not count", "备份失败：{name} 不合格，不作为备份"),
        "backup.proof_good": Text(
            "{check} ok, references whole, {tables} tables with {rows} rows, in {seconds:.1f} s",
            "{check} 通过，外键引用完整，{tables} 张表共 {rows} 行，用时 {seconds:.1f} 秒",
        ),
        "backup.proof_off": Text(
            "not asked for: {tables} tables with {rows} rows were counted, the structure was not checked",
            "未要求验证：仅统计 {tables} 张表共 {rows} 行，未检查结构",
        ),
        "backup.proof_bad": Text("damaged: {first}; kept as {name}", "已损坏：{first}；保留为 {name}"),
        "backup.proof_empty": Text("there is no table in it; kept as {name}", "其中没有任何表；保留为 {name}"),
        "backup.proof_references": Text(
            "{check} ok; {count} rows refer to rows that are not there",
            "{check} 通过；{count} 行引用了不存在的记录",
        ),
        "backup.proof_mismatch": Text(
            "{check} ok; a foreign key can refer to nothing: {first}", "{check} 通过；外键定义有误：{first}"
        ),
        "backup.rows_enough": Text("{count} tables, all at or above their floor", "{count} 张表均不低于下限"),
        "backup.rows_few": Text("too few rows: {names}; kept as {kept}", "行数不足：{names}；保留为 {kept}"),
        "backup.space_is": Text(
            "{free} free, room for {value:.0f} more of {size}", "剩余 {free}，还可容纳 {value:.0f} 个（每个 {size}）"
        ),
        "backup.retention_is": Text("{kept} kept, {removed} removed", "保留 {kept} 个，清理 {removed} 个"),
        "backup.retention_future": Text(
            "{count} from the future ({names}): the clock was stepped back; {kept} kept, {removed} removed",
            "{count} 个备份的时间在未来（{names}），时钟被回拨；保留 {kept} 个，清理 {removed} 个",
        ),
        "backup.retention_held": Text(
            "nothing removed: this run made no complete set", "未清理：本次未生成完整的一组备份"
        ),
        "backup.interrupted_no": Text("nothing was left behind", "无残留"),
        "backup.interrupted_yes": Text(
            "{count} half-made files of an interrupted run removed: {names}", "已清除中断备份的 {count} 个半成品：{names}"
        ),
        "backup.left_out": Text(
            "no snapshot taken: {primary} serves, and this host is fenced as its standby; to take one all the same: "
            "serving: false",
            "未生成快照：由 {primary} 提供服务，本机作为备机已隔离；如仍需生成：serving: false",
        ),
        "backup.files_all": Text("{count} entries, {size}", "{count} 项，{size}"),
        "backup.files_some": Text(
            "{count} entries, {size}; {missing} not in it: {names}", "{count} 项，{size}；{missing} 项未包含：{names}"
        ),
    },
)  # fmt: skip
