# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the replication: titles, advice, default thresholds and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "replication",
    rules={
        "replication.daemon": Rule(
            title=Text("Replication runs", "复制服务运行"),
            fix=Text(
                "`journalctl -u {unit} -n 50` tells why; then `systemctl start {unit}`. A host that was fenced must not "
                "replicate: look at /var/lib/tutor-ops/FENCED first.",
                "用 `journalctl -u {unit} -n 50` 查明原因，再执行 `systemctl start {unit}`。已被隔离的主机不应复制：先看 "
                "/var/lib/tutor-ops/FENCED。",
            ),
        ),
        "replication.lock": Rule(
            title=Text("Replication guards the log", "复制进程持有读锁"),
            fix=Text(
                "Rows may be missing in the middle of the replica. `systemctl restart {unit}`, then prove the replica "
                "(module replica_verify); with rows missing begin a new epoch. Never run `litestream sync` on a live database.",
                "副本中段可能已丢行。执行 `systemctl restart {unit}`，再用模块 replica_verify 校验副本；确有丢行则启用新的 epoch。"
                "切勿对在线数据库执行 `litestream sync`。",
            ),
        ),
        "replication.lag": Rule(
            title=Text("Lag of the replica", "副本延迟"),
            fix=Text(
                "What is committed now would be lost with this host. `journalctl -u {unit} -n 50`: is the standby reachable, "
                "its disk full, the link too slow for what is written?",
                "此刻提交的数据会随主机一起丢失。查看 `journalctl -u {unit} -n 50`：备机是否可达、磁盘是否已满、带宽是否不足？",
            ),
            warn="2",
            crit="10",
            uom="s",
            source="20 and 100 times the sync interval of 100 ms",
        ),
        "replication.replica": Rule(
            title=Text("Replica is whole", "副本完整"),
            fix=Text(
                "A gap or a missing whole database cannot be restored over: prove the replica (module replica_verify), then "
                "begin a new epoch (replication_epoch). Not reached: is the standby up, and is its host key the known one?",
                "有缺口或没有完整快照时无法恢复：先用模块 replica_verify 校验，再启用新的 epoch（replication_epoch）。"
                "无法连接时：备机是否在线，主机密钥是否一致？",
            ),
        ),
        "replication.rpo": Rule(
            title=Text("Age of the newest snapshot on the standby", "备机上最新快照的时间"),
            fix=Text(
                "All that was written since would be lost with the primary. `journalctl -u tutor-ops-snapshot -n 50` there tells "
                "why nothing newer arrived; replication_mode litestream loses a fraction of a second instead.",
                "此后的写入会随主机一起丢失。在主机上查看 `journalctl -u tutor-ops-snapshot -n 50`；若需秒级以内，改用 "
                "replication_mode: litestream。",
            ),
            warn="0.75",
            crit="2",
            uom="h",
            source="three times the interval of 15 minutes; eight times",
        ),
        "replication.age": Rule(
            title=Text("Age of the newest change in the replica", "副本最新变更的时间"),
            fix=Text(
                "Compare with `replication.lag` on the primary: an application that writes nothing sends nothing. Else look at "
                "the unit {unit} there.",
                "对照主机上的 `replication.lag`：应用没有写入就不会有新文件。否则检查主机上的 {unit}。",
            ),
            warn="26",
            crit="50",
            uom="h",
            source="a day without a write, and two hours; twice that",
        ),
        "replication.content": Rule(
            title=Text("Replica has the same rows", "副本内容一致"),
            fix=Text(
                "Do not promote this replica. Restore from a verified backup if the primary is gone; if it lives, begin a new "
                "epoch (replication_epoch) and prove that one.",
                "不要提升该副本。主机已失效时从已验证的备份恢复；主机仍在时启用新的 epoch（replication_epoch）并重新校验。",
            ),
        ),
        "replication.stall": Rule(
            title=Text("How long the proof kept writers waiting", "校验时写入停顿"),
            fix=Text(
                "Prove at a quieter time, or shorten the sync interval (replication_interval).",
                "改在空闲时校验，或缩短同步间隔（replication_interval）。",
            ),
            warn="0.5",
            uom="s",
            source="a tenth of the application's busy timeout of 5 s",
        ),
    },
    sentences={
        "replication.daemon_runs": Text("{unit} runs", "{unit} 运行中"),
        "replication.daemon_restarted": Text(
            "{unit} runs, but was restarted {count} times since the last look",
            "{unit} 运行中，但上次检查后重启了 {count} 次",
        ),
        "replication.daemon_down": Text(
            "{unit} is {state}: nothing is replicated", "{unit} 状态为 {state}：没有数据被复制"
        ),
        "replication.daemon_unasked": Text("{unit} cannot be asked for: {error}", "无法查询 {unit}：{error}"),
        "replication.lock_kept": Text("the daemon keeps its read lock on {path}", "复制进程持有 {path} 的读锁"),
        "replication.lock_lost": Text(
            "the daemon has lost its read lock on {path}: a checkpoint may drop rows it has not copied",
            "复制进程丢失了 {path} 的读锁：检查点可能丢弃尚未复制的行",
        ),
        "replication.lock_no_daemon": Text("there is no daemon to hold a lock", "没有复制进程，无读锁可查"),
        "replication.lag_seen": Text(
            "what was committed at the look was in {where} {value:.2f} s later ({behind} bytes were missing)",
            "检查时已提交的数据 {value:.2f} 秒后到达{where_zh}（当时缺 {behind} 字节）",
        ),
        "replication.lag_more": Text(
            "{where} has not caught up: the newest change there is {value:.1f} s old, {behind} bytes are missing here",
            "{where_zh}未追上：其最新变更已是 {value:.1f} 秒前，本机缺 {behind} 字节",
        ),
        "replication.lag_unknown": Text("lag cannot be told: {error}", "无法得知延迟：{error}"),
        "replication.whole": Text("{path} can be restored to transaction {txid}", "{path} 可恢复到事务 {txid}"),
        "replication.gap": Text(
            "{path} has transaction {newest}, but can be restored only to {reach}: files are missing between them",
            "{path} 已有事务 {newest}，但只能恢复到 {reach}：中间缺文件",
        ),
        "replication.no_whole": Text(
            "{path} has no whole database to begin with: it cannot be restored", "{path} 没有完整快照，无法恢复"
        ),
        "replication.no_replica": Text("{path} is no replica: {error}", "{path} 不是副本：{error}"),
        "replication.reached": Text("{path} on {host} has transaction {txid}", "{host} 上的 {path} 已有事务 {txid}"),
        "replication.not_reached": Text(
            "{path} on {host} cannot be looked at: {error}", "无法查看 {host} 上的 {path}：{error}"
        ),
        "replication.needless": Text(
            "not applicable: the inventory has no standby, or replication_mode is none",
            "不适用：清单中没有备机，或 replication_mode 为 none",
        ),
        "replication.nobody": Text("who serves cannot be told: {error}", "无法得知由谁提供服务：{error}"),
        "replication.sent": Text(
            "the newest snapshot that was sent was made {age} ago", "已送出的最新快照生成于 {age}前"
        ),
        "replication.sent_never": Text("no snapshot was sent yet: {error}", "尚未送出任何快照：{error}"),
        "replication.rpo_is": Text(
            "the newest verified snapshot, {name}, is {value:.2f} h old: so much would be lost",
            "最新的已校验快照 {name} 生成于 {value:.2f} 小时前，切换将丢失此后的数据",
        ),
        "replication.rpo_none": Text("no verified snapshot has arrived in {path}", "{path} 中没有已校验的快照"),
        "replication.rpo_bad": Text("{name} is not what its manifest says", "{name} 与其清单不符"),
        "replication.rpo_unproved": Text(
            "{name} was not hashed within {seconds:.0f} s; the newest one that was is older",
            "{seconds:.0f} 秒内未能校验 {name}；已校验的最新快照更早",
        ),
        "replication.newest": Text(
            "the newest change is {value:.2f} h old (transaction {txid})",
            "最新变更在 {value:.2f} 小时前（事务 {txid}）",
        ),
        "replication.same": Text(
            "transaction {txid} restored from {path} has the same {rows} rows in {count} tables",
            "从 {path} 恢复的事务 {txid} 与主机一致：{count} 张表共 {rows} 行",
        ),
        "replication.differs": Text(
            "transaction {txid} restored from {path} is not what the primary had: {what}",
            "从 {path} 恢复的事务 {txid} 与主机不一致：{what}",
        ),
        "replication.not_restored": Text(
            "transaction {txid} cannot be restored from {path}: {error}", "无法从 {path} 恢复事务 {txid}：{error}"
        ),
        "replication.late": Text(
            "transaction {txid} had not arrived in {path} after {seconds:.0f} s; it has {reach}",
            "{seconds:.0f} 秒后事务 {txid} 仍未到达 {path}；现有 {reach}",
        ),
        "replication.stalled": Text("writers waited {value:.3f} s at most", "写入最多停顿 {value:.3f} 秒"),
    },
)
