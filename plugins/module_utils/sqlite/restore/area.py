# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a restore: titles, advice and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "backup",
    rules={
        "restore.loss": Rule(
            title=Text("What the restore gives up", "恢复所放弃的数据"),
            fix=Text(
                "Everything written after the snapshot is only in previous_path from now on; take single rows from there "
                "with sqlite3 -readonly.",
                "快照之后写入的数据此后只存在于 previous_path；可用 sqlite3 -readonly 从中取回个别行。",
            ),
        ),
        "restore.restart": Rule(
            title=Text("What the restart of the service ends", "重启服务的影响"),
            fix=Text(
                "Choose a quiet moment, or tell the users first: they have to log in again.",
                "请选择空闲时段，或事先通知用户：需要重新登录。",
            ),
            source="sessions and accounts are kept in the memory of the application",
        ),
        "restore.served": Rule(
            title=Text("Service after the restore", "恢复后的服务"),
            fix=Text(
                "`systemctl status` and the journal of the service tell why; the former database is back, restore again when "
                "the cause is gone.",
                "用 `systemctl status` 与服务日志查明原因；原数据库已放回，排除原因后重新恢复。",
            ),
            source="device and inode of /proc/PID/fd, row counts read as the owner, and health_url",
        ),
        "restore.others": Rule(
            title=Text("What was stopped besides the service runs again", "随服务停止的其他单元已恢复运行"),
            fix=Text(
                "`systemctl status` of the unit tells why; until it runs, what it did for the database (replication) is not "
                "done.",
                "用 `systemctl status` 查看该单元的原因；在其恢复前，它对数据库所做的工作（如复制）处于停止状态。",
            ),
        ),
        "restore.undone": Rule(
            title=Text("A restore that failed was undone", "失败的恢复已撤销"),
            fix=Text(
                "Not undone: stop the service, move the files of `previous_path` (with -wal) back under the name of the "
                "database, start it. Undone: see restore.served for the cause.",
                "若未能撤销：停止服务，把 `previous_path` 的文件（连同 -wal）改回数据库原名，再启动服务。若已撤销：原因见 restore.served。",
            ),
        ),
        "restore.recovered": Rule(
            title=Text("An interrupted restore was cleaned up", "已清理中断的恢复"),
            fix=Text(
                "Nothing to do if this run ended well. See in the ledger who ended the run named, and why.",
                "若本次运行正常结束则无需处理。请在台账中查明所示运行因何中断。",
            ),
        ),
    },
    sentences={
        "restore.loss_is": Text(
            "the snapshot is {age} old; rows that only the present database has: {names}",
            "快照生成于 {age} 前；仅现有库才有的行：{names}",
        ),
        "restore.loss_none": Text(
            "the snapshot is {age} old and has as many rows in each table", "快照生成于 {age} 前，各表行数不少于现有库"
        ),
        "restore.loss_new": Text("there is no database to replace", "无需替换的数据库"),
        "restore.loss_unknown": Text(
            "the snapshot is {age} old; the present database cannot be counted: {error}",
            "快照生成于 {age} 前；现有库无法统计：{error}",
        ),
        "restore.restart_will": Text(
            "{service} will be restarted: all sessions end, and what it holds in memory is lost",
            "将重启 {service}：所有会话中断，内存中的数据丢失",
        ),
        "restore.served_yes": Text(
            "{service} has {name} open, {count} tables hold at least the rows of the snapshot",
            "{service} 已打开 {name}，{count} 张表的行数不少于快照",
        ),
        "restore.served_alone": Text(
            "{name} is in place, {count} tables hold the rows of the snapshot",
            "{name} 已就位，{count} 张表的行数与快照一致",
        ),
        "restore.served_not": Text("{error}", "恢复后未能正常服务：{error}"),
        "restore.others_up": Text("{item} runs again", "{item} 已恢复运行"),
        "restore.others_not": Text("{item} did not start: {error}", "{item} 未能启动：{error}"),
        "restore.undone_well": Text("undone: {name} is the former database again", "已撤销：{name} 恢复为原数据库"),
        "restore.undone_badly": Text("not undone: {error}", "未能撤销：{error}"),
        "restore.recovered_old": Text(
            "run {run} was interrupted; the former database was put back", "运行 {run} 曾中断，已放回原数据库"
        ),
        "restore.recovered_clean": Text(
            "run {run} was interrupted before it changed anything; its files were removed",
            "运行 {run} 在改动前中断，已删除其残留文件",
        ),
        "restore.recovered_new": Text(
            "run {run} was interrupted after the restored database was proved; it stays",
            "运行 {run} 在新库验证通过后中断，保留恢复后的数据库",
        ),
    },
)
