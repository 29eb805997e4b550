# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of one snapshot: titles, advice, default thresholds and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

_OTHER = Text(
    "Do not restore this one. Make a new backup now, verify it, and look for the next older snapshot that passes "
    "(sqlite_backup_verify on each).",
    "请勿用此快照恢复。立即重新备份并验证，再用 sqlite_backup_verify 逐个查找较早且通过验证的快照。",
)

AREA = Area(
    "backup",
    rules={
        "snapshot.file": Rule(title=Text("Snapshot is there and whole", "快照文件存在且完整"), fix=_OTHER),
        "snapshot.manifest": Rule(
            title=Text("Snapshot has its manifest", "快照附有清单"),
            fix=Text(
                "A file without a manifest is no backup: nothing says what should be in it. Copy the manifest "
                "(FILE.manifest.json) along with the file, or make a new backup.",
                "没有清单的文件不算备份，无从得知其应有内容。请将清单（FILE.manifest.json）与文件一并复制，或重新备份。",
            ),
        ),
        "snapshot.sha256": Rule(
            title=Text("Snapshot is the file that was written", "快照与生成时一致"),
            fix=Text(
                "The file changed after it was made: do not restore it, check the disk (dmesg, smartctl), make a new backup.",
                "文件在生成后被改动：请勿用于恢复，检查磁盘（dmesg、smartctl）并重新备份。",
            ),
            source="the sha256 of the manifest finds each of 200 single bit errors, integrity_check 49 of them",
        ),
        "snapshot.scratch": Rule(
            title=Text("Room to unpack the snapshot", "解压快照的空间"),
            fix=Text(
                "Free space at the place named, or set option scratch (tutor_backup_scratch) to a directory on a disk with "
                "room for the whole database. The snapshot was not touched.",
                "释放所示位置的空间，或将 scratch 选项（tutor_backup_scratch）指向能容纳整个数据库的磁盘目录。快照未被改动。",
            ),
        ),
        "snapshot.integrity": Rule(
            title=Text("Structure of the snapshot", "快照的结构完整性"),
            fix=Text(
                "Do not restore this one. If its sha256 is right, the database was damaged before the backup: check the live "
                "one (sqlite_maintenance, integrity_check) and keep all older snapshots.",
                "请勿用此快照恢复。若 sha256 一致，说明备份前数据库已损坏：用 sqlite_maintenance 对线上库执行 integrity_check，"
                "并保留全部较早的快照。",
            ),
            source="PRAGMA integrity_check; only the single row ok is ok, and a file without tables never is",
        ),
        "snapshot.foreign_keys": Rule(
            title=Text("References in the snapshot", "快照的外键引用"),
            fix=Text(
                "Rows refer to others that are not there: the live database most likely has the same ones. Find out with "
                "PRAGMA foreign_key_check when they came, before they are repaired.",
                "存在悬空引用，线上库很可能相同。修复前先用 PRAGMA foreign_key_check 查明何时出现。",
            ),
        ),
        "snapshot.schema": Rule(
            title=Text("Schema of the snapshot", "快照的表结构"),
            fix=Text(
                "Another schema than expected: an older release's snapshot, or another database. After an upgrade make a new "
                "backup; else see which file was backed up (source in the manifest).",
                "表结构与预期不符：可能是旧版本的快照或其他数据库。升级后请重新备份；否则核对备份来源（清单中的 source）。",
            ),
        ),
        "snapshot.rows": Rule(title=Text("Rows of the snapshot", "快照的行数"), fix=_OTHER),
        "snapshot.floors": Rule(
            title=Text("Tables hold at least what is declared", "各表行数不低于下限"),
            fix=Text(
                "Fewer rows than declared: an emptied or another database was backed up. Compare with the live one and with "
                "older snapshots; correct tutor_database_floors only if the floor is wrong.",
                "行数低于下限：可能备份了已清空或错误的数据库。与线上库及较早快照比对；仅当下限有误时才修改 tutor_database_floors。",
            ),
        ),
        "snapshot.age": Rule(
            title=Text("Age of the snapshot", "快照的时间"),
            fix=Text(
                "Too old to lose no more than a day: run `ansible-playbook bilingual_tutor.ops.backup`, then see why the last "
                "ones did not run or why the pointer was not moved.",
                "快照过旧，恢复将丢失超过一天的数据：执行 `ansible-playbook bilingual_tutor.ops.backup`，再查明近期备份未执行或指针未更新的原因。",
            ),
            warn="26",
            crit="50",
            uom="h",
            source="one a day and two hours of grace (26 h), two nights missed (50 h)",
        ),
        "snapshot.newest": Rule(
            title=Text("Newest row of the snapshot", "快照中最新的一行"),
            fix=Text(
                "Nothing was written for that long before the snapshot was made: is it the database that the service has open "
                "(tutor_database)? A quiet week: raise the threshold snapshot.newest.",
                "快照生成前长时间无新写入：确认备份的是服务实际打开的数据库（tutor_database）。若确属空闲，请调高 snapshot.newest 阈值。",
            ),
            uom="h",
            source="no default: a learner may pause for weeks",
        ),
        "snapshot.query": Rule(
            title=Text("Question asked of the snapshot", "对快照的业务查询"),
            fix=Text(
                "Run the query of that name on the live database too: the same answer there means that the limits "
                "(tutor_queries in the inventory) are wrong, another one that the snapshot is.",
                "在线上库执行同名查询：结果相同则说明限值（清单变量 tutor_queries）有误，结果不同则说明快照有问题。",
            ),
        ),
    },
    sentences={
        "snapshot.file_whole": Text("{name}, {size}, made by {source}", "{name}，{size}，来源 {source}"),
        "snapshot.file_plain": Text("{name}, {size}", "{name}，{size}"),
        "snapshot.file_entries": Text("{name}, {size}, {count} entries", "{name}，{size}，共 {count} 项"),
        "snapshot.file_archive": Text("{name}: {error}", "{name}：{error}"),
        "snapshot.file_missing": Text("{path} does not exist", "{path} 不存在"),
        "snapshot.file_standby": Text(
            "{path} does not exist: {primary} serves and makes the snapshots, this host is its standby",
            "{path} 不存在：由 {primary} 提供服务并生成快照，本机为备机",
        ),
        "snapshot.file_dangling": Text(
            "{path} points to {target}, which does not exist", "{path} 指向的 {target} 不存在"
        ),
        "snapshot.file_outside": Text(
            "{path} points to {target}: expected a file in the same directory",
            "{path} 指向 {target}：应指向同一目录中的文件",
        ),
        "snapshot.file_kind": Text("{path} is no regular file", "{path} 不是普通文件"),
        "snapshot.file_half": Text(
            "{name} is what an interrupted backup left: its name ends in .partial",
            "{name} 以 .partial 结尾，是备份中断的残留",
        ),
        "snapshot.file_empty": Text("{name} has 0 bytes", "{name} 为 0 字节"),
        "snapshot.file_length": Text(
            "{name} has {seen} bytes, its manifest says {wanted}", "{name} 为 {seen} 字节，清单记录为 {wanted}"
        ),
        "snapshot.file_stream": Text("{name} cannot be unpacked: {error}", "{name} 无法解压：{error}"),
        "snapshot.file_header": Text("{name} does not begin as a SQLite database", "{name} 开头不是 SQLite 数据库"),
        "snapshot.file_cut": Text(
            "{name} is truncated: it holds {seen}, its header says {wanted}",
            "{name} 被截断：实有 {seen}，文件头记录为 {wanted}",
        ),
        "snapshot.file_beside": Text(
            "{names} beside it: somebody opened the snapshot as a live database",
            "旁边有 {names}：有人将快照当作线上库打开过",
        ),
        "snapshot.file_used": Text("{name} is open for writing in {holders}", "{name} 正被 {holders} 以写方式打开"),
        "snapshot.file_changed": Text("{name} changed while it was looked at", "{name} 在检查期间发生变化"),
        "snapshot.file_denied": Text("{name} cannot be read: {error}", "{name} 无法读取：{error}"),
        "snapshot.manifest_right": Text("made {created} of {source}", "生成于 {created}，来源 {source}"),
        "snapshot.manifest_missing": Text("{name} has no manifest: it is not a backup", "{name} 没有清单，不算备份"),
        "snapshot.manifest_bad": Text("the manifest cannot be read: {error}", "清单无法读取：{error}"),
        "snapshot.sha256_right": Text("the sha256 is that of the manifest", "sha256 与清单一致"),
        "snapshot.sha256_wrong": Text(
            "the sha256 is {seen}, the manifest says {wanted}", "sha256 为 {seen}，清单记录为 {wanted}"
        ),
        "snapshot.scratch_full": Text(
            "{place} has {free} free, unpacking needs {needed}", "{place} 可用 {free}，解压需要 {needed}"
        ),
        "snapshot.scratch_failed": Text("cannot unpack at {place}: {error}", "无法在 {place} 解压：{error}"),
        "snapshot.integrity_ok": Text("{level} says ok", "{level} 通过"),
        "snapshot.integrity_bad": Text("{level}: {first} ({count} lines)", "{level}：{first}（共 {count} 行）"),
        "snapshot.integrity_empty": Text(
            "{level} says ok of a database without a single table", "{level} 通过，但库中没有任何表"
        ),
        "snapshot.integrity_unread": Text("cannot be read through: {error}", "无法完整读取：{error}"),
        "snapshot.integrity_unknown": Text("could not be proved: {error}", "无法完成验证：{error}"),
        "snapshot.foreign_keys_ok": Text("every reference leads to a row", "外键引用全部有效"),
        "snapshot.foreign_keys_bad": Text(
            "{count} rows refer to rows that are not there", "{count} 行引用了不存在的行"
        ),
        "snapshot.foreign_keys_odd": Text("a foreign key cannot hold: {first}", "外键定义无效：{first}"),
        "snapshot.schema_right": Text("the schema is that of {places}", "表结构与{places}一致"),
        "snapshot.schema_wrong": Text("the schema {seen} is not that of {places}", "表结构 {seen} 与{places}不一致"),
        "snapshot.schema_unknown": Text(
            "the schema of {live} could not be read: {error}", "无法读取 {live} 的表结构：{error}"
        ),
        "snapshot.rows_right": Text(
            "{count} tables, {total} rows, as the manifest says", "{count} 张表共 {total} 行，与清单一致"
        ),
        "snapshot.rows_wrong": Text("not as the manifest says: {names}", "与清单不符：{names}"),
        "snapshot.floors_enough": Text("{count} tables reach their floors", "{count} 张表达到下限"),
        "snapshot.floors_few": Text("too few rows: {names}", "行数不足：{names}"),
        "snapshot.age_is": Text("made {age} ago", "生成于 {age} 前"),
        "snapshot.age_standby": Text(
            "made {age} ago, which is not judged: {primary} serves and makes the newer ones, this host is its standby",
            "生成于 {age} 前，不作判断：由 {primary} 提供服务并生成新快照，本机为备机",
        ),
        "snapshot.age_future": Text(
            "made at {created}, which is to come: a clock is wrong", "生成时间 {created} 在未来：时钟有误"
        ),
        "snapshot.newest_is": Text(
            "the newest row is of {newest}, {age} before the snapshot", "最新一行为 {newest}，早于快照 {age}"
        ),
        "snapshot.newest_none": Text("no table says when its rows were written", "没有记录写入时间的列"),
        "snapshot.newest_odd": Text("the newest stamp {newest} is no time", "最新时间戳 {newest} 不是有效时间"),
        "snapshot.newest_wrong": Text(
            "the newest row is of {newest}, the manifest says {wanted}", "最新一行为 {newest}，清单记录为 {wanted}"
        ),
        "snapshot.query_right": Text("{query}: {answer}", "{query}：{answer}"),
        "snapshot.query_wrong": Text("{query}: {answer}, expected {expected}", "{query}：{answer}，应为 {expected}"),
        "snapshot.query_failed": Text("{query} cannot be answered: {error}", "{query} 无法执行：{error}"),
        "snapshot.query_late": Text(
            "{query} had no answer within {seconds:.0f} s", "{query} 在 {seconds:.0f} 秒内无结果"
        ),
    },
)
