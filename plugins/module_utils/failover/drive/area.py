# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may keep a failover from beginning, how it ended, and every sentence about it."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "failover",
    rules={
        "failover.target": Rule(
            title=Text("Target of the switch", "切换目标"),
            fix=Text(
                "Name the host that is to serve: -e failover_target=HOST, one of the two hosts of the application.",
                "指定接管主机：-e failover_target=主机名，须为两台应用主机之一。",
            ),
        ),
        "failover.confirmed": Rule(
            title=Text("Confirmation", "操作确认"),
            fix=Text(
                "Read the plan, then repeat the command with -e failover_confirm={target}.",
                "核对计划后，加上 -e failover_confirm={target} 重新执行。",
            ),
        ),
        "failover.run": Rule(
            title=Text("One run at a time", "同一时间只允许一次切换"),
            fix=Text(
                "Let the other run end. If its controller is gone, give the same command again there, or free the lock: "
                "module ops_lock, state free, on the hosts named.",
                "等待另一次运行结束。若其控制机已失联，在该控制机重新执行同一命令，或在上述主机上用模块 ops_lock（state: free）释放锁。",
            ),
        ),
        "failover.open_run": Rule(
            title=Text("No unfinished run", "没有未完成的切换"),
            fix=Text(
                "Finish it: give its command again (target {target}). If everything was put right by hand: "
                "-e failover_abandon={run_id}.",
                "先完成该次切换：以相同目标（{target}）重新执行原命令。若已人工处置完毕：-e failover_abandon={run_id}。",
            ),
        ),
        "failover.reachable": Rule(
            title=Text("Hosts answer", "主机可达"),
            fix=Text(
                "`ssh {item} true` from the controller. A primary that is gone for good: playbook emergency_failover. A proxy or "
                'witness that is known to be off: -e \'{{"failover_without": ["{item}"]}}\'.',
                "在控制机上执行 `ssh {item} true`。主机确已失效：执行 emergency_failover 剧本。已知停机的代理或见证主机："
                '-e \'{{"failover_without": ["{item}"]}}\'。',
            ),
        ),
        "failover.epoch": Rule(
            title=Text("Epoch agreed", "epoch 一致"),
            fix=Text(
                "Look at every host with module ops_epoch. The highest epoch counts; a run that stopped in its middle is finished "
                "by its own command.",
                "用模块 ops_epoch 逐台核对，以最高 epoch 为准；中断的切换须用原命令继续完成。",
            ),
        ),
        "failover.quorum": Rule(
            title=Text("Witnesses suffice", "见证主机数量足够"),
            fix=Text(
                "Bring witnesses back: without them the old primary would keep its lease and two hosts would serve.",
                "先恢复见证主机：数量不足时旧主机仍会持有租约，可能双主。",
            ),
        ),
        "failover.grant": Rule(
            title=Text("Exactly one host may serve", "恰有一台主机获授权"),
            fix=Text(
                "Module ops_fence shows what each host may do. Fence the one that must not serve, or grant the epoch to its "
                "primary, before anything is switched.",
                "用模块 ops_fence 查看各主机授权。切换前先隔离不应服务的主机，或向该 epoch 的主机授权。",
            ),
        ),
        "failover.guard": Rule(
            title=Text("Fence installed", "隔离防护已安装"),
            fix=Text(
                "Run playbook standby, or role fencing on {item}.",
                "执行 standby 剧本，或在 {item} 上执行角色 fencing。",
            ),
        ),
        "failover.database": Rule(
            title=Text("Database sound", "数据库完好"),
            fix=Text(
                "A damaged database must not be carried over: choose a moment before the damage, -e failover_timestamp=..., or "
                "restore a verified backup (playbook restore).",
                "不得把损坏的数据库带到新主机：用 -e failover_timestamp=... 选择损坏之前的时刻，或恢复已验证的备份（restore 剧本）。",
            ),
        ),
        "failover.replica": Rule(
            title=Text("Replica can be restored", "副本可恢复"),
            fix=Text(
                "A host that came back after an emergency: playbook salvage first. Else look at unit tutor-ops-replication on "
                "the primary and at the replica on {item} (module replica_verify); one with a gap begins anew with the next "
                "epoch: playbook standby.",
                "紧急切换后恢复的主机：先执行 salvage 剧本。否则检查主机上的 tutor-ops-replication 服务和 {item} 上的副本（模块 "
                "replica_verify）；副本有缺口时用 standby 剧本以新的 epoch 重建。",
            ),
        ),
        "failover.lag": Rule(
            title=Text("Standby is current", "备机数据最新"),
            fix=Text(
                "`journalctl -u tutor-ops-replication -n 50` on the primary: wait until it has caught up, or find out why not.",
                "在主机上查看 `journalctl -u tutor-ops-replication -n 50`，等待复制追平或查明原因。",
            ),
        ),
        "failover.schema": Rule(
            title=Text("Same schema", "表结构一致"),
            fix=Text(
                "Deploy the same version on both hosts and let it migrate. A database left over on {item} may be set aside "
                "(mv) when the versions agree.",
                "两台主机部署同一版本并完成迁移。版本一致时，{item} 上遗留的旧库可改名移开。",
            ),
        ),
        "failover.version": Rule(
            title=Text("Same application", "应用版本一致"),
            fix=Text("Deploy the same version on both hosts first.", "先在两台主机部署同一版本。"),
        ),
        "failover.secret": Rule(
            title=Text("Same SECRET_KEY", "SECRET_KEY 一致"),
            fix=Text(
                "Copy the primary's configuration to {item}: with another key every session ends.",
                "将主机的配置同步到 {item}：密钥不同会使所有会话失效。",
            ),
        ),
        "failover.space": Rule(
            title=Text("Room for the database", "磁盘空间足够"),
            fix=Text(
                "Free space on {item} (playbook weekly_maintenance).",
                "在 {item} 上释放空间（weekly_maintenance 剧本）。",
            ),
        ),
        "failover.backup": Rule(
            title=Text("A backup to fall back on", "有可用备份"),
            fix=Text(
                "Run playbook backup, then backup_verification.",
                "先执行 backup 剧本，再执行 backup_verification 剧本。",
            ),
        ),
        "failover.antiflap": Rule(
            title=Text("No switch to and fro", "防止频繁切换"),
            fix=Text(
                "Find out why it was switched last. If it has to be: -e failover_acknowledge_flap=true.",
                "先查明上次切换的原因。确需再次切换：-e failover_acknowledge_flap=true。",
            ),
        ),
        "failover.incident": Rule(
            title=Text("No incident under way", "没有处理中的事件"),
            fix=Text(
                "Switch when it is resolved. If the switch is what resolves it: -e failover_incident={item}.",
                "待事件解决后再切换。若切换正是该事件的处置措施：-e failover_incident={item}。",
            ),
        ),
        "failover.proxy": Rule(
            title=Text("Proxies can be switched", "代理可切换"),
            fix=Text("`nginx -t` on {item} names the line.", "在 {item} 上执行 `nginx -t` 查看出错行。"),
        ),
        "failover.alive": Rule(
            title=Text("Primary is really gone", "主机确已失效"),
            fix=Text(
                "The users are served: repair the way from the controller to {item}. If it has to be: "
                "-e failover_primary_dead={item}.",
                "用户仍在使用服务：先修复控制机到 {item} 的网络。确需切换：-e failover_primary_dead={item}。",
            ),
        ),
        "failover.loss": Rule(
            title=Text("What would be lost", "可能丢失的数据"),
            fix=Text(
                "Bring the old primary back if you can. If the loss is accepted: -e failover_accept_data_loss=accept_data_loss.",
                "尽可能恢复旧主机。若接受丢失：-e failover_accept_data_loss=accept_data_loss。",
            ),
        ),
        "failover.clock": Rule(
            title=Text("Clocks agree", "时钟一致"),
            fix=Text(
                "`timedatectl` on {item}: is its clock synchronised?", "在 {item} 上执行 `timedatectl` 检查时间同步。"
            ),
        ),
        "failover.state": Rule(
            title=Text("State of the primary", "主机状态"),
            fix=Text(
                "If the host can be repaired within minutes, repair it: playbook incident. Else go on.",
                "若几分钟内可修复则先修复，否则继续切换。",
            ),
        ),
        "failover.outcome": Rule(
            title=Text("Outcome of the run", "切换结果"),
            fix=Text(
                "The journal {journal} has every step. Give the same command again when the cause is removed: it goes on where "
                "it stopped.",
                "各步骤见日志 {journal}。排除原因后重新执行同一命令，将从中断处继续。",
            ),
        ),
        "failover.refused": Rule(
            title=Text("Run refused", "切换被拒绝"),
            fix=Text(
                "Each reason is a finding of its own, with what to do. Then give the same command again.",
                "每条原因均单独列出并附处理方法，处理后重新执行同一命令。",
            ),
        ),
        "failover.protected": Rule(
            title=Text("Protected by a standby", "已有备机保护"),
            fix=Text(
                "One host serves alone. Bring {item} back and run playbook standby.",
                "目前单机运行。恢复 {item} 后执行 standby 剧本。",
            ),
        ),
    },
    sentences={
        "failover.ok": Text("holds", "符合"),
        "failover.no_target": Text(
            "failover_target is '{seen}': expected one of {expected}",
            "failover_target 为「{seen}」：应为 {expected} 之一",
        ),
        "failover.not_confirmed": Text(
            "failover_confirm is '{seen}': expected {target}, the name of the host that is to serve",
            "failover_confirm 为「{seen}」：应为接管主机名 {target}",
        ),
        "failover.running": Text(
            "run {run_id} is under way since {since} (process {pid} on this controller): expected no other run",
            "运行 {run_id} 自 {since} 起正在进行（本控制机进程 {pid}）：不允许同时运行",
        ),
        "failover.locked": Text(
            "{item} is locked by run {run_id} of {controller} since {since}, until {expires}: expected no other run",
            "{item} 已被 {controller} 的运行 {run_id} 锁定（{since} 至 {expires}）：不允许同时运行",
        ),
        "failover.left_open": Text(
            "run {run_id} ({mode} to {target}) stopped in its middle: expected it to be finished first",
            "运行 {run_id}（{mode}，目标 {target}）中途停止：须先完成",
        ),
        "failover.overtaken": Text(
            "run {run_id} was to give epoch {wanted} to {target}: epoch {epoch} belongs to {seen} by now, so another run was "
            "faster. Expected no other",
            "运行 {run_id} 原要把 epoch {wanted} 交给 {target}，但 epoch {epoch} 现已属于 {seen}：已有其他运行先完成切换",
        ),
        "failover.unreachable": Text("{item} ({role}) does not answer: {error}", "{item}（{role}）无响应：{error}"),
        "failover.no_epoch": Text(
            "no host knows an epoch: expected role fencing to have begun with one",
            "所有主机均无 epoch：应先由角色 fencing 建立",
        ),
        "failover.epoch_split": Text(
            "epoch {epoch} belongs to {seen}: expected one host", "epoch {epoch} 同时属于 {seen}：应只有一台主机"
        ),
        "failover.epoch_few": Text(
            "epoch {epoch} of {primary} is known to {seen} of {all} witnesses: expected {need} or more",
            "仅 {seen}/{all} 台见证主机记录了 {primary} 的 epoch {epoch}：至少应有 {need} 台",
        ),
        "failover.epoch_lower": Text(
            "{item} is at epoch {seen}: expected {epoch}, which {primary} serves in",
            "{item} 的 epoch 为 {seen}：应为 {epoch}（{primary} 正在服务）",
        ),
        "failover.epoch_other": Text(
            "epoch {epoch} belongs to {primary}, which is none of {expected}",
            "epoch {epoch} 属于 {primary}，不在 {expected} 之中",
        ),
        "failover.no_quorum": Text(
            "{seen} of {all} witnesses answer: expected {need}, or the old primary could keep its lease",
            "{seen}/{all} 台见证主机可达：至少需要 {need} 台，否则旧主机可能继续持有租约",
        ),
        "failover.no_witness": Text(
            "there are no witnesses: expected the confirmation that {primary} is dead, -e failover_primary_dead={primary}",
            "没有见证主机：需人工确认 {primary} 已失效，-e failover_primary_dead={primary}",
        ),
        "failover.not_granted": Text(
            "{item} is {state}, epoch {seen}: expected it to be granted epoch {epoch}",
            "{item} 状态为 {state}，epoch {seen}：应已获授权 epoch {epoch}",
        ),
        "failover.granted_too": Text(
            "{item} is granted epoch {seen} and could serve beside {primary}: expected no grant",
            "{item} 持有 epoch {seen} 的授权，可能与 {primary} 同时服务：不应有授权",
        ),
        "failover.unguarded": Text(
            "{units} on {item} would start under a fence: expected the guards of role fencing",
            "{item} 上的 {units} 在隔离状态下仍会启动：应安装角色 fencing 的防护",
        ),
        "failover.not_looked": Text(
            "{part} of {item} could not be seen: {error}", "无法查看 {item} 的 {part}：{error}"
        ),
        "failover.no_database": Text(
            "{path} is not there on {item}: expected the database", "{item} 上没有数据库 {path}"
        ),
        "failover.corrupt": Text(
            "the database on {item} is damaged ({error}): expected quick_check ok. The replica has the damage too",
            "{item} 上的数据库已损坏（{error}）：quick_check 应为 ok，副本同样受损",
        ),
        "failover.no_replica": Text(
            "{item} has no replica of epoch {epoch}: expected one to promote",
            "{item} 上没有 epoch {epoch} 的副本，无法提升",
        ),
        "failover.replica_old": Text(
            "the replica on {item} is of epoch {seen}: expected {epoch}",
            "{item} 上的副本属于 epoch {seen}：应为 {epoch}",
        ),
        "failover.replica_gap": Text(
            "the replica on {item} has a gap: expected an unbroken chain of changes",
            "{item} 上的副本变更链不连续，无法恢复",
        ),
        "failover.no_sender": Text(
            "{item} does not send its changes: expected tutor-ops-replication to run",
            "{item} 未发送变更：tutor-ops-replication 应处于运行状态",
        ),
        "failover.lag_unknown": Text(
            "how far the standby is behind {item} cannot be told: expected a lag", "无法得知备机落后 {item} 多少"
        ),
        "failover.stale": Text(
            "the standby is {seconds:.0f} s behind {item}: expected {limit:g} s or less",
            "备机落后 {item} {seconds:.0f} 秒：应不超过 {limit:g} 秒",
        ),
        "failover.schema_differs": Text(
            "the schema on {item} is {seen}: expected {expected}, that of {primary}",
            "{item} 的表结构为 {seen}：应与 {primary} 一致（{expected}）",
        ),
        "failover.version_differs": Text(
            "{item} has application {seen}: expected {expected}, as on {primary}",
            "{item} 的应用版本为 {seen}：应与 {primary} 一致（{expected}）",
        ),
        "failover.secret_differs": Text(
            "SECRET_KEY on {item} is not that of {primary}: expected the same",
            "{item} 的 SECRET_KEY 与 {primary} 不一致",
        ),
        "failover.too_small": Text(
            "{item} has {seen} free: expected {expected}, 2.2 times the database",
            "{item} 剩余空间 {seen}：应不少于 {expected}（数据库的 2.2 倍）",
        ),
        "failover.backup_bad": Text(
            "the newest backup on {item} ({at}) failed its verification: expected a good one",
            "{item} 上最新备份（{at}）校验未通过",
        ),
        "failover.no_backup": Text("no backup was found on {item}", "{item} 上未找到备份"),
        "failover.incident_open": Text(
            "incident {item} ({priority}) is {state}, and people are busy with it: expected no urgent one that is not over",
            "事件 {item}（{priority}）处于 {state} 状态，人员正在处理：切换前不应有未解决的紧急事件",
        ),
        "failover.flap": Text(
            "{primary} serves since {ago:.0f} s only: expected {limit:.0f} s between two switches",
            "{primary} 接管仅 {ago:.0f} 秒：两次切换应间隔 {limit:.0f} 秒以上",
        ),
        "failover.proxy_broken": Text(
            "nginx on {item} would refuse its configuration: {error}", "{item} 的 nginx 配置检查失败：{error}"
        ),
        "failover.proxy_elsewhere": Text(
            "{item} sends users to {seen} ({mode}): expected {expected}",
            "{item} 指向 {seen}（{mode}）：应为 {expected}",
        ),
        "failover.sees": Text(
            "{seen} still reach {item}: expected nobody. Only the controller may have lost it",
            "{seen} 仍可访问 {item}：可能仅控制机与其失联",
        ),
        "failover.loss_too_big": Text(
            "the newest change on {target} is {seconds:.0f} s old: expected {limit:g} s or less. What was written since would be "
            "lost; an application that wrote nothing loses nothing",
            "{target} 上最新变更距今 {seconds:.0f} 秒：应不超过 {limit:g} 秒。其间写入的数据会丢失；若应用没有写入则不丢",
        ),
        "failover.loss_of_snapshot": Text(
            "{target} gets snapshots only: what was written since the newest one would be lost, expected this to be accepted",
            "{target} 仅接收快照：最新快照之后写入的数据会丢失，须明确接受",
        ),
        "failover.clock_off": Text(
            "the clock of {item} is {seconds:+.0f} s off that of the controller",
            "{item} 的时钟与控制机相差 {seconds:+.0f} 秒",
        ),
        "failover.class.healthy": Text("{item} serves", "{item} 服务正常"),
        "failover.class.app_down": Text("{item} answers, its application does not run", "{item} 可达，应用未运行"),
        "failover.class.frozen": Text(
            "{item} answers, its application runs and does not answer", "{item} 可达，应用进程存在但无响应"
        ),
        "failover.class.disk_full": Text("{item} has no room left on the database's disk", "{item} 的数据库磁盘已满"),
        "failover.class.corrupt": Text("{item} has a damaged database", "{item} 的数据库已损坏"),
        "failover.class.partitioned": Text(
            "{item} is cut off from the controller; {seen} still reach it", "{item} 与控制机网络隔离；{seen} 仍可访问"
        ),
        "failover.class.host_down": Text("{item} answers nobody", "{item} 对所有节点均无响应"),
        "failover.outcome.done": Text(
            "{target} serves in epoch {epoch}: {gap:.1f} s without service, RPO at most {rpo:.1f} s",
            "{target} 已接管（epoch {epoch}）：中断 {gap:.1f} 秒，RPO 不超过 {rpo:.1f} 秒",
        ),
        "failover.outcome.nothing": Text("{target} serves already: nothing to do", "{target} 已在服务：无需操作"),
        "failover.outcome.planned": Text(
            "{old} would hand over to {target}, epoch {epoch}: about {gap:.0f} s without service, RPO at most {rpo:.0f} s. Nothing was done",
            "将由 {target} 接替 {old}（epoch {epoch}）：预计中断约 {gap:.0f} 秒，RPO 不超过 {rpo:.0f} 秒。未做任何改动",
        ),
        "failover.outcome.refused": Text("refused before anything was touched: {why}", "已拒绝，未做任何改动：{why}"),
        "failover.outcome.rolled_back": Text(
            "step {step} failed ({error}); {old} serves again in epoch {epoch}, nothing is lost",
            "步骤 {step} 失败（{error}）；{old} 已在 epoch {epoch} 恢复服务，无数据丢失",
        ),
        "failover.outcome.called_off": Text(
            "step {step} failed ({error}); nothing was promoted, the traffic is as it was",
            "步骤 {step} 失败（{error}）；未提升任何主机，流量保持原状",
        ),
        "failover.outcome.degraded": Text(
            "{target} serves in epoch {epoch}: {gap:.1f} s without service, RPO at most {rpo:.1f} s; left to do: {left}",
            "{target} 已接管（epoch {epoch}）：中断 {gap:.1f} 秒，RPO 不超过 {rpo:.1f} 秒；待完成：{left}",
        ),
        "failover.outcome.needs_human": Text(
            "step {step} failed ({error}), and could not be taken back: a person has to decide. Epoch {epoch} is still {old}'s",
            "步骤 {step} 失败（{error}）且未能自动撤销，需人工处理。epoch {epoch} 仍归 {old}",
        ),
        "failover.outcome.only_forward": Text(
            "step {step} failed ({error}): a person has to decide. The epoch is {epoch}: {old} must not be granted the one "
            "before",
            "步骤 {step} 失败（{error}），需人工处理。epoch 已为 {epoch}：不得再以旧 epoch 向 {old} 授权",
        ),
        "failover.outcome.abandoned": Text("run {run_id} was given up by hand", "运行 {run_id} 已人工终止"),
        "failover.unprotected": Text("{item} receives nothing yet: {error}", "{item} 尚未接收复制数据：{error}"),
    },
)
