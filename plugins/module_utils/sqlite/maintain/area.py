# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a run of maintenance: titles, advice and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

_DAMAGED = Text(
    "Stop the service, keep the database with its -wal and -shm (cp -a, all three), then restore the newest verified "
    "snapshot (playbook restore). If only an index is named, REINDEX may do, but find out what broke it. Not finished: "
    "raise the deadline.",
    "停止服务，用 cp -a 留存数据库及 -wal、-shm 三个文件，再恢复最近一份已验证的快照（restore）。若只涉及索引，REINDEX 或可修复，"
    "但须查明原因。若未完成，请调大 deadline。",
)

AREA = Area(
    "db",
    rules={
        "maintenance.quick_check": Rule(
            title=Text("Structure of the database (quick_check)", "数据库结构检查（quick_check）"),
            fix=_DAMAGED,
            source="PRAGMA quick_check, only the single row ok is ok; it misses index damage",
        ),
        "maintenance.integrity": Rule(
            title=Text("Integrity of the database (integrity_check)", "数据库完整性检查（integrity_check）"),
            fix=_DAMAGED,
            source="PRAGMA integrity_check, only the single row ok is ok",
        ),
        "maintenance.foreign_keys": Rule(
            title=Text("References between tables (foreign_key_check)", "外键一致性（foreign_key_check）"),
            fix=Text(
                "The evidence names the rows: have the application's owner repair or delete them; the database itself is whole.",
                "证据中列出了相关行，请由应用负责人修复或删除；数据库文件本身完好。",
            ),
        ),
        "maintenance.action": Rule(
            title=Text("Maintenance of the database", "数据库维护"),
            fix=Text(
                "Locked: end the named process or wait. Too long for writers: run it in the window with force: true or "
                "max_stall_ms: 0. No room: free or add space where it says. Deadline: raise it.",
                "被锁：结束所列进程或等待。写入停顿过长：在维护窗口内以 force: true 或 max_stall_ms: 0 执行。"
                "空间不足：在所示位置清理或扩容。超时：调大 deadline。",
            ),
        ),
        "maintenance.reclaimed": Rule(
            title=Text("Space given back", "释放的空间"),
            fix=Text("Nothing to do.", "无需处理。"),
            uom="MiB",
        ),
        "maintenance.stall": Rule(
            title=Text("Longest time that writers waited for maintenance", "维护造成的最长写入停顿"),
            fix=Text(
                "Slower than estimated: run it when less is written, or lower max_stall_ms.",
                "比估计慢：请在写入较少时执行，或调低 max_stall_ms。",
            ),
            uom="ms",
            source="how long the write lock was held, measured",
        ),
        "maintenance.standby": Rule(
            title=Text("No maintenance of a standby's database", "备机上不维护数据库"),
            fix=Text(
                "Nothing is to be done here: the database is taken care of on the host that serves. To act on this one all the "
                "same: serving: false.",
                "本机无需处理：数据库在提供服务的主机上维护。如仍需维护本机数据库：serving: false。",
            ),
        ),
    },
    sentences={
        "maintenance.check_ok": Text("ok in {seconds:.2f} s", "正常，耗时 {seconds:.2f} 秒"),
        "maintenance.check_planned": Text("would take up to {estimate}", "预计最多 {estimate}"),
        "maintenance.no_tables": Text("there is no table in it", "库中没有任何表"),
        "maintenance.damaged": Text(
            "damaged, {count} problems listed: {first}", "已损坏，列出 {count} 个问题：{first}"
        ),
        "maintenance.orphans": Text(
            "{count} rows refer to one that is not there: {first}", "{count} 行引用了不存在的记录：{first}"
        ),
        "maintenance.not_sound": Text(
            "refused: {check} is not ok, and a damaged database is not written to",
            "拒绝执行：{check} 未通过，不对有问题的库写入",
        ),
        "maintenance.stall": Text(
            "refused: writers would wait about {estimate:.1f} s, allowed are {budget:.2f} s (max_stall_ms)",
            "拒绝执行：写入预计停顿 {estimate:.1f} 秒，上限 {budget:.2f} 秒（max_stall_ms）",
        ),
        "maintenance.stall_slice": Text(
            "refused: writers would wait about {estimate:.1f} s for {name}, allowed are {budget:.2f} s (max_stall_ms)",
            "拒绝执行：处理 {name} 时写入预计停顿 {estimate:.1f} 秒，上限 {budget:.2f} 秒（max_stall_ms）",
        ),
        "maintenance.stall_reached_slice": Text(
            "{name} was undone after {held:.2f} s, so that writers wait no longer than {budget:.2f} s; {done} of {count} are done",
            "{name} 执行 {held:.2f} 秒后已撤销，以保证写入停顿不超过 {budget:.2f} 秒；已完成 {done}/{count}",
        ),
        "maintenance.deadline_slice": Text(
            "the deadline ended it within {name}, which was undone; {done} of {count} are done",
            "到达时限，{name} 已撤销；已完成 {done}/{count}",
        ),
        "maintenance.deadline": Text(
            "not finished within {limit:.0f} s; nothing of it is left in the database",
            "{limit:.0f} 秒内未完成；未对数据库留下改动",
        ),
        "maintenance.not_begun": Text(
            "not begun: the {limit:.0f} s of this run were used up", "未开始：本次运行的 {limit:.0f} 秒已用完"
        ),
        "maintenance.killed": Text(
            "killed, since it did not end within {limit:.0f} s; SQLite undoes what was not committed",
            "{limit:.0f} 秒内未结束，已强制终止；SQLite 会撤销未提交的改动",
        ),
        "maintenance.locked": Text(
            "locked by {holder}, waited {waited:.1f} s; nothing was changed",
            "被 {holder} 锁定，等待 {waited:.1f} 秒后放弃；未作改动",
        ),
        "maintenance.full": Text("the disk is full ({error}); it was undone", "磁盘已满（{error}）；已撤销"),
        "maintenance.error": Text("did not work: {error}", "执行失败：{error}"),
        "maintenance.traceless": Text(
            "cannot be planned without leaving a file: {error}", "无法在不产生文件的情况下预演：{error}"
        ),
        "maintenance.nothing_there": Text("there is nothing to do it to", "没有可处理的对象"),
        "maintenance.statistics_fresh": Text(
            "the planner's statistics are there and fresh", "查询规划统计齐全且未过期"
        ),
        "maintenance.analysed_planned": Text("would analyse {count} tables: {names}", "将分析 {count} 张表：{names}"),
        "maintenance.analysed_sampled": Text(
            "analysed {count} tables from samples of their rows: {names}", "已按抽样分析 {count} 张表：{names}"
        ),
        "maintenance.analysed_whole": Text("analysed {count} tables: {names}", "已完整分析 {count} 张表：{names}"),
        "maintenance.reindexed_planned": Text(
            "would write {count} indexes anew; {name} takes longest, about {estimate:.2f} s",
            "将重建 {count} 个索引；其中 {name} 最久，约 {estimate:.2f} 秒",
        ),
        "maintenance.reindexed": Text("wrote {count} indexes anew: {names}", "已重建 {count} 个索引：{names}"),
        "maintenance.not_incremental": Text(
            "does not apply: auto_vacuum is not INCREMENTAL", "不适用：auto_vacuum 不是 INCREMENTAL"
        ),
        "maintenance.no_free_pages": Text("there are no unused pages", "没有空闲页"),
        "maintenance.freed_planned": Text("would give {free} back", "将释放 {free}"),
        "maintenance.freed": Text("gave {free} back in {slices} slices", "分 {slices} 批释放 {free}"),
        "maintenance.freed_deadline": Text(
            "the deadline ended it; {free} were given back until then", "到达时限；此前已释放 {free}"
        ),
        "maintenance.freed_stall_reached": Text(
            "even one page took {held:.2f} s, longer than writers may wait ({budget:.2f} s); {free} were given back",
            "单页耗时 {held:.2f} 秒，已超过写入停顿上限 {budget:.2f} 秒；已释放 {free}",
        ),
        "maintenance.not_worth": Text(
            "not worth it: {share:.0f} % ({free}) is unused, from {least:.0f} % on it is done",
            "无需执行：空闲 {share:.0f}%（{free}），达到 {least:.0f}% 才执行",
        ),
        "maintenance.unproved": Text(
            "refused: VACUUM needs an integrity_check that is ok in the same run; add it to actions",
            "拒绝执行：VACUUM 前须在同一次运行中通过 integrity_check，请加入 actions",
        ),
        "maintenance.window": Text("refused: outside the window {window}", "拒绝执行：不在维护窗口 {window} 内"),
        "maintenance.room": Text(
            "refused: it needs {needed} at {place}, where {left} are free",
            "拒绝执行：{place} 需要 {needed}，仅剩 {left}",
        ),
        "maintenance.vacuum_planned": Text(
            "would give {free} back; writers wait about {estimate:.1f} s",
            "将释放 {free}；写入预计停顿 {estimate:.1f} 秒",
        ),
        "maintenance.vacuum_deadline": Text(
            "the deadline ended it after {held:.1f} s; the database is as it was",
            "到达时限，{held:.1f} 秒后中止；数据库保持原样",
        ),
        "maintenance.vacuum_stall_reached": Text(
            "given up after {held:.2f} s, so that writers wait no longer than {budget:.2f} s; the database is as it was",
            "执行 {held:.2f} 秒后放弃，以保证写入停顿不超过 {budget:.2f} 秒；数据库保持原样",
        ),
        "maintenance.vacuumed": Text(
            "gave {free} back; writers waited up to {held:.2f} s", "释放 {free}；写入最长停顿 {held:.2f} 秒"
        ),
        "maintenance.vacuumed_busy": Text(
            "gave {free} back; the log stays long until {holder} ends its reading",
            "释放 {free}；{holder} 结束读取之前 WAL 无法缩小",
        ),
        "maintenance.no_log": Text("does not apply: there is no write-ahead log", "不适用：未使用 WAL"),
        "maintenance.log_moved": Text("everything is in the database already", "日志内容已全部写入数据库"),
        "maintenance.log_planned": Text(
            "would move a log of {size} into the database", "将把 {size} 的 WAL 写入数据库"
        ),
        "maintenance.log_whole": Text(
            "moved the log into the database, {frames} pages", "WAL 已全部写入数据库，共 {frames} 页"
        ),
        "maintenance.log_partly": Text(
            "{moved} of {frames} pages are in the database; the others wait until {holder} ends its reading",
            "{frames} 页中已写入 {moved} 页；其余须等 {holder} 结束读取",
        ),
        "maintenance.log_other": Text(
            "another process moves the log into the database at this moment", "另一进程正在执行检查点"
        ),
        "maintenance.log_cut": Text(
            "moved the log of {size} into the database and cut it", "{size} 的 WAL 已写入数据库并截断"
        ),
        "maintenance.log_busy": Text(
            "the log of {size} cannot be cut while {holder} reads through it",
            "{holder} 正在读取，{size} 的 WAL 无法截断",
        ),
        "maintenance.given_back": Text(
            "{value:.1f} MiB given back: {before} before, {after} after",
            "释放 {value:.1f} MiB：由 {before} 降至 {after}",
        ),
        "maintenance.left_out": Text(
            "nothing done: {primary} serves, and this host is fenced as its standby; to act on it all the same: "
            "serving: false",
            "未执行：由 {primary} 提供服务，本机作为备机已隔离；如仍需执行：serving: false",
        ),
        "maintenance.kept_out": Text(
            "writers were kept out for up to {value:.0f} ms at a time (allowed {budget:.0f}, 0 is no limit)",
            "单次写入停顿最长 {value:.0f} 毫秒（上限 {budget:.0f}，0 为不限）",
        ),
    },
)
