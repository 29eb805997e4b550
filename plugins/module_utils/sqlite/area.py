# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the application's database: titles, advice, default thresholds and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "db",
    rules={
        "sqlite.file": Rule(
            title=Text("Database file is there and whole", "数据库文件存在且完整"),
            fix=Text(
                "Stop the service before it recreates or overwrites the file. Keep the file with its -wal and -shm "
                "(cp -a, all three), then restore the newest verified backup. Wrong path: correct tutor_database.",
                "先停止服务，以免它重建或覆盖该文件。用 cp -a 把数据库与 -wal、-shm 三个文件一并留存，再恢复最近一份已验证的备份。"
                "若路径有误，请修正 tutor_database。",
            ),
            source="file size against the page count in the header; the application recreates a lost database empty",
        ),
        "sqlite.owner": Rule(
            title=Text("Database belongs to the service", "数据库文件归服务用户所有"),
            fix=Text(
                "`chown USER: FILE FILE-wal FILE-shm`, `chmod u+rw` them and `chmod u+rwx` the directory; USER is the "
                "service's user. Then restart the service in the window.",
                "执行 `chown USER: FILE FILE-wal FILE-shm`，文件 `chmod u+rw`，目录 `chmod u+rwx`（USER 为服务用户），"
                "随后在维护窗口重启服务。",
            ),
        ),
        "sqlite.in_use": Rule(
            title=Text("The service has this very file open", "服务打开的正是此文件"),
            fix=Text(
                "Set tutor_database to the file named in the finding. If it says (deleted), the file was replaced under the "
                "running service: restart the service, but first save what it wrote (/proc/PID/fd).",
                "把 tutor_database 改为告警中给出的文件。若标有 (deleted)，说明文件在服务运行时被替换：先从 /proc/PID/fd 保存已写入的数据，"
                "再重启服务。",
            ),
            source="device and inode of /proc/PID/fd",
        ),
        "sqlite.opens": Rule(
            title=Text("Database can be opened and read", "数据库可打开且可读"),
            fix=Text(
                "`sqlite3 'file:PATH?mode=ro' 'PRAGMA quick_check'` as the service's user shows the error. Malformed: stop "
                "the service, keep all three files, restore the newest verified backup.",
                "以服务用户执行 `sqlite3 'file:PATH?mode=ro' 'PRAGMA quick_check'` 查看错误。若提示 malformed：停服务，"
                "留存三个文件，恢复最近一份已验证的备份。",
            ),
        ),
        "sqlite.lock": Rule(
            title=Text("Writers can get in", "可以写入（无长时间写锁）"),
            fix=Text(
                "See what the named process does (`ps -fp PID`); a forgotten sqlite3 shell or backup script: end it. The "
                "application's own worker: look for a long transaction in its log.",
                "用 `ps -fp PID` 查看持锁进程。若是遗留的 sqlite3 会话或备份脚本，请结束它；若是应用自身的工作进程，请在日志中查找长事务。",
            ),
            warn="2",
            crit="5",
            uom="s",
            source="the application waits 5 s for a lock (its busy timeout), then its users see errors",
        ),
        "sqlite.quick_check": Rule(
            title=Text("Structure of the database (quick_check)", "数据库结构检查（quick_check）"),
            fix=Text(
                "Damaged: stop the service, keep all three files, restore the newest verified backup. Not finished: raise "
                "quick_check_seconds and timeout of the probe, or set quick_check: false and check the nightly snapshot.",
                "若已损坏：停服务，留存三个文件，恢复最近一份已验证的备份。若未完成：调大探测的 quick_check_seconds 与 timeout，"
                "或设 quick_check: false，改为检查每晚的快照。",
            ),
            source="PRAGMA quick_check, only the single row ok is ok; it misses index damage",
        ),
        "sqlite.rows": Rule(
            title=Text("Tables hold at least what is declared", "各表行数不低于下限"),
            fix=Text(
                "Fewer rows than declared: the application may have recreated the database empty. Compare with the newest "
                "backup's manifest before anything writes more; else correct tutor_database_floors.",
                "行数低于下限：应用可能已重建空库。请在继续写入之前与最近备份的清单比对；若下限有误，请修正 tutor_database_floors。",
            ),
        ),
        "sqlite.schema": Rule(
            title=Text("Schema is the one of the last run", "表结构与上次检查一致"),
            fix=Text(
                "Expected after a deployment or a migration. Otherwise find out who changed it (evidence names the objects).",
                "发布或迁移之后属正常；否则请查明是谁改动的（证据列出对象名）。",
            ),
        ),
        "sqlite.identity": Rule(
            title=Text("Database is the declared one", "数据库标识与声明一致"),
            fix=Text(
                "application_id or user_version differ: another database, or a migration that ran or did not run.",
                "application_id 或 user_version 不符：不是这个库，或迁移未按预期执行。",
            ),
        ),
        "sqlite.wal": Rule(
            title=Text("Size of the write-ahead log", "WAL 文件大小"),
            fix=Text(
                "A long reader keeps the log from being reset: look for old transactions and forgotten sqlite3 shells, then "
                "`PRAGMA wal_checkpoint(PASSIVE)` as the owner.",
                "长时间的读事务使日志无法回收：查找遗留事务和 sqlite3 会话，然后以属主身份执行 `PRAGMA wal_checkpoint(PASSIVE)`。",
            ),
            warn="64",
            crit="512",
            uom="MiB",
            source="SQLite checkpoints at 1000 pages (4 MiB); above 64 MiB checkpoints do not finish",
        ),
        "sqlite.freelist": Rule(
            title=Text("Unused pages in the database", "数据库空闲页占比"),
            fix=Text(
                "VACUUM in the maintenance window (weekly_maintenance).",
                "在维护窗口执行 VACUUM（weekly_maintenance）。",
            ),
            warn="25",
            uom="%",
            source="counts from 16 MiB of free pages on",
        ),
        "sqlite.statistics": Rule(
            title=Text("Tables without fresh planner statistics", "查询规划统计缺失或过期的表"),
            fix=Text(
                "The afternoon run of daily_checks analyses them (daily_checks_optimize).",
                "下午的检查会自动分析这些表（daily_checks_optimize）。",
            ),
            source="the rule of PRAGMA optimize in SQLite 3.46: no statistics, or ten times or a tenth of the rows",
        ),
        "sqlite.version": Rule(
            title=Text("SQLite of the application", "应用使用的 SQLite 版本"),
            fix=Text(
                "Update SQLite to 3.51.3, 3.50.7 or 3.44.6, or run integrity_check on a snapshot every day.",
                "将 SQLite 升级到 3.51.3、3.50.7 或 3.44.6，或每天对快照执行 integrity_check。",
            ),
            source="WAL-reset bug of 3.7.0 to 3.51.2, needs several writing processes",
        ),
    },
    sentences={
        "sqlite.file_whole": Text("{path} is whole: {size}, as its header says", "{path} 完整：{size}，与文件头一致"),
        "sqlite.file_missing": Text("{path} does not exist", "{path} 不存在"),
        "sqlite.file_dangling": Text(
            "{path} points to {target}, which does not exist", "{path} 指向的 {target} 不存在"
        ),
        "sqlite.file_kind": Text("{path} is {what}, not a file", "{path} 是{what_zh}，不是文件"),
        "sqlite.file_empty": Text(
            "{path} has 0 bytes: the application will recreate it empty and call itself healthy",
            "{path} 为 0 字节：应用会重建空库并自称正常",
        ),
        "sqlite.file_header": Text(
            "{path} ({size}) does not begin as a SQLite database: its header is destroyed or it is another file",
            "{path}（{size}）开头不是 SQLite 数据库：文件头被破坏，或不是数据库文件",
        ),
        "sqlite.file_truncated": Text(
            "{path} is truncated: {size}, its header says {expected}",
            "{path} 被截断：现为 {size}，文件头记录为 {expected}",
        ),
        "sqlite.file_unseen": Text("{path} cannot be looked at: {error}", "无法查看 {path}：{error}"),
        "sqlite.owner_right": Text("belongs to {user}, who can write to it", "属主为 {user}，可读写"),
        "sqlite.owner_wrong": Text(
            "{count} of its files belong to somebody else than {user}: {names}",
            "有 {count} 个文件不属于 {user}：{names}",
        ),
        "sqlite.owner_unknown": Text(
            "the declared owner {user} is no user of this host", "声明的属主 {user} 在本机不存在"
        ),
        "sqlite.owner_denied": Text("{user} cannot {what}", "{user} 无法{what_zh}"),
        "sqlite.in_use_yes": Text(
            "{count} of {total} processes of the service have it open",
            "服务的 {total} 个进程中有 {count} 个已打开该文件",
        ),
        "sqlite.in_use_other": Text(
            "the service does not use this file, it has {others} open", "服务未使用此文件，实际打开的是 {others}"
        ),
        "sqlite.in_use_none": Text(
            "the service runs for {age} and has no database open", "服务已运行 {age}，未打开任何数据库"
        ),
        "sqlite.in_use_fresh": Text(
            "the service runs for {age} only and has opened no database yet", "服务仅运行 {age}，尚未打开数据库"
        ),
        "sqlite.in_use_stopped": Text("the service has no process to ask", "服务没有进程，无法核对"),
        "sqlite.in_use_denied": Text(
            "the open files of the service's processes cannot be seen: root or the service's user is needed",
            "无权查看服务进程打开的文件：需要 root 或服务用户",
        ),
        "sqlite.in_use_error": Text(
            "cannot tell which file the service has open: {error}", "无法确认服务打开的文件：{error}"
        ),
        "sqlite.opens_well": Text(
            "{tables} tables, {size}, journal mode {journal}", "{tables} 张表，{size}，日志模式 {journal}"
        ),
        "sqlite.opens_not": Text(
            "cannot be read as {user} ({step}): {error}", "以 {user} 身份读取失败（{step}）：{error}"
        ),
        "sqlite.opens_locked": Text(
            "cannot be read as {user}: locked by {holder}", "以 {user} 身份无法读取：被 {holder} 锁定"
        ),
        "sqlite.opens_late": Text(
            "no answer from the database within {seconds:.1f} s: its disk hangs or is overloaded",
            "数据库 {seconds:.1f} 秒内无响应：磁盘卡死或过载",
        ),
        "sqlite.opens_trace": Text(
            "not looked inside, since that would make a file beside it: {error}; starting the service cures it",
            "未读取内容，以免在旁边产生新文件：{error}；启动服务即可恢复",
        ),
        "sqlite.opens_hot": Text(
            "a killed writer left {path}-journal, which the next writer rolls back; not looked inside",
            "被杀死的写进程留下 {path}-journal，下一个写进程会回滚；未读取内容",
        ),
        "sqlite.lock_free": Text("no writer holds it", "没有写锁占用"),
        "sqlite.lock_short": Text("{holder} let go of it after {value:.2f} s", "{holder} 持锁 {value:.2f} 秒后释放"),
        "sqlite.lock_held": Text(
            "{holder} kept every other writer out for {value:.1f} s", "{holder} 持写锁 {value:.1f} 秒，其他写入均被阻塞"
        ),
        "sqlite.quick_ok": Text("ok in {seconds:.2f} s", "正常，耗时 {seconds:.2f} 秒"),
        "sqlite.quick_bad": Text("damaged: {first}", "已损坏：{first}"),
        "sqlite.quick_unfinished": Text(
            "not finished after {seconds:.1f} s, about {done:.0f} % of {size} read and no damage seen so far",
            "{seconds:.1f} 秒内未完成，{size} 中约读取 {done:.0f}%，目前未见损坏",
        ),
        "sqlite.quick_off": Text("not asked for", "未要求检查"),
        "sqlite.rows_enough": Text("all {count} declared tables hold enough rows", "声明的 {count} 张表行数均达标"),
        "sqlite.rows_few": Text("too few rows: {names}", "行数不足：{names}"),
        "sqlite.rows_no_table": Text("tables are missing: {names}", "缺少表：{names}"),
        "sqlite.schema_first": Text("{count} objects, seen for the first time", "共 {count} 个对象，首次记录"),
        "sqlite.schema_same": Text("unchanged, {count} objects", "未变化，共 {count} 个对象"),
        "sqlite.schema_changed": Text("changed since the last run: {names}", "自上次检查后有变化：{names}"),
        "sqlite.identity_right": Text(
            "application_id and user_version are as declared", "application_id 与 user_version 和声明一致"
        ),
        "sqlite.identity_wrong": Text("{name} is {seen}, declared is {wanted}", "{name} 为 {seen}，声明为 {wanted}"),
        "sqlite.wal_size": Text("the log has {value:.1f} MiB", "WAL 为 {value:.1f} MiB"),
        "sqlite.freelist_share": Text(
            "{value:.0f} % of {size} is unused ({free})", "{size} 中有 {value:.0f}% 未使用（{free}）"
        ),
        "sqlite.freelist_small": Text("{free} unused, not worth a VACUUM", "空闲 {free}，无需 VACUUM"),
        "sqlite.statistics_fresh": Text("all tables have fresh ones", "均为最新"),
        "sqlite.statistics_stale": Text(
            "{value:.0f} tables have none or old ones: {names}", "有 {value:.0f} 张表缺失或过期：{names}"
        ),
        "sqlite.version_fixed": Text("{version}, without the WAL-reset bug", "{version}，不受 WAL-reset 缺陷影响"),
        "sqlite.version_affected": Text(
            "{version}: has the WAL-reset bug, which needs several writing processes (here {count}) and can damage an index",
            "{version}：存在 WAL-reset 缺陷，多进程写入（当前 {count} 个）时可能损坏索引",
        ),
        "sqlite.version_unknown": Text("{python} does not tell its SQLite version", "{python} 未返回 SQLite 版本"),
    },
)
