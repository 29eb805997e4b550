# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules and sentences of a drill."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

_REPLICA = Text(
    "Do not rely on this replica: see the replication (probe replication, `journalctl -u tutor-ops-replication`) and let it "
    "begin anew with playbook replication; until then the newest backup is what there is.",
    "请勿依赖该副本：检查复制状态（replication 检查项、`journalctl -u tutor-ops-replication`），再用 replication 剧本重新建立；"
    "在此之前只能依靠最新备份。",
)

AREA = Area(
    "drill",
    rules={
        "drill.source": Rule(title=Text("Source of the restore", "恢复来源"), fix=_REPLICA),
        "drill.moment": Rule(
            title=Text("Random moment", "随机时间点"),
            fix=Text(
                "The replica has only just begun: run the drill again when it is older than a few seconds.",
                "副本刚刚建立：稍后重新演练。",
            ),
        ),
        "drill.restored": Rule(title=Text("Restore into scratch", "恢复到演练目录"), fix=_REPLICA),
        "drill.content": Rule(title=Text("Replica holds what the primary holds", "副本内容与主用机一致"), fix=_REPLICA),
        "drill.loss": Rule(
            title=Text("What a restore would lose", "恢复会丢失的时段"),
            fix=Text(
                "The restored database ends long before the live one: is it a copy of the right file (source in the manifest), "
                "and do backups run? Make one now: playbook backup.",
                "恢复出的数据远早于线上库：核对备份来源（清单中的 source）以及备份任务是否执行，并立即运行 backup 剧本。",
            ),
            warn="26",
            crit="50",
            uom="h",
            source="as the age of a backup: one a day and two hours of grace (26 h), two nights missed (50 h)",
        ),
        "drill.isolated": Rule(
            title=Text("Rehearsal is shut in", "演练环境已隔离"),
            fix=Text(
                "The application was not started, or ended at once. Namespaces are needed (root, Linux 5.12 or later, "
                "a container that allows them).",
                "应用未启动或已立即终止。需要命名空间支持（root、Linux 5.12 及以上，容器须允许）。",
            ),
        ),
        "drill.served": Rule(
            title=Text("Application serves the restored database", "应用可用恢复的数据库提供服务"),
            fix=Text(
                "Read the lines of its log below. What it needs on this host and does not find (code, configuration, "
                "virtual environment) would be missing in a real failover too.",
                "查看下方应用日志。本机缺少的内容（代码、配置、虚拟环境）在真实切换时同样会缺失。",
            ),
        ),
        "drill.answered": Rule(
            title=Text("Application answers", "应用响应请求"),
            fix=Text(
                "Ask the live application the same; if it answers rightly there, the restored data or the code of this host "
                "differs.",
                "在线上应用执行同一请求；若线上正常，说明恢复的数据或本机代码有差异。",
            ),
        ),
        "drill.cleaned": Rule(
            title=Text("Nothing is left of the rehearsal", "演练环境已清理"),
            fix=Text(
                "Remove the directory named; the next drill does it too. It holds a copy of the database.",
                "删除所示目录（其中有数据库副本）；下次演练也会清理。",
            ),
        ),
        "drill.steady": Rule(
            title=Text("Live system is well", "线上系统状态"),
            fix=Text(
                "Red before: put the system right, then drill. Red after, and not before: find out first whether the drill did "
                "it; run `daily_checks`.",
                "演练前异常：先恢复正常再演练。仅演练后异常：先查明是否由演练引起，并运行 daily_checks。",
            ),
        ),
        "drill.rehearsal": Rule(
            title=Text("Failover rehearsal", "故障切换演练"),
            fix=Text(
                "See the run of the switchover in the report; the same command again goes on with it. docs/failover.md tells "
                "what each step needs.",
                "查看报告中的切换运行记录；重复同一命令可继续执行。各步骤条件见 docs/failover.md。",
            ),
        ),
        "drill.rto": Rule(
            title=Text("Time to recover (RTO)", "恢复时间（RTO）"),
            fix=Text(
                "See which step takes the time (table of steps), compare with the earlier drills; or correct dr_drill_rto.",
                "在步骤表中查看耗时环节并与历次演练比较；或修正 dr_drill_rto。",
            ),
            uom="s",
        ),
        "drill.rpo": Rule(
            title=Text("Data that would be lost (RPO)", "可能丢失的数据（RPO）"),
            fix=Text(
                "The replica is too far behind: see probe replication, the network between the hosts, and "
                "replication_interval; or correct dr_drill_rpo.",
                "副本落后过多：检查 replication 检查项、两机之间的网络和 replication_interval；或修正 dr_drill_rpo。",
            ),
            uom="s",
        ),
        "drill.maintenance": Rule(
            title=Text("Maintenance page", "维护页面"),
            fix=Text(
                "Users must see it when nothing else answers: playbook standby lays it out (role traffic); set "
                "dr_drill_maintenance_urls to where it is.",
                "系统不可用时用户应看到该页面：用 standby 剧本部署（traffic 角色），并将 dr_drill_maintenance_urls 设为其地址。",
            ),
        ),
        "drill.contacts": Rule(
            title=Text("Emergency contacts", "紧急联系人"),
            fix=Text(
                "Complete ops_contacts in the inventory: for each of the roles one person at least with name and phone, and "
                "the channels of the team.",
                "补全清单变量 ops_contacts：每个角色至少一人（姓名、电话），以及团队联系渠道。",
            ),
        ),
        "drill.runbook": Rule(
            title=Text("Runbook is the one that was agreed", "运维手册版本"),
            fix=Text(
                "Read what changed in it, then set dr_drill_runbook_sha256 to the hash shown; without a file named, set "
                "dr_drill_runbook.",
                "阅读其改动后将 dr_drill_runbook_sha256 设为所示哈希；未指定文件时请设置 dr_drill_runbook。",
            ),
        ),
        "drill.notified": Rule(
            title=Text("On-call was paged", "值班通知"),
            fix=Text(
                "Set dr_drill_notify_command to what pages whoever is on call; it gets one line that says it is a drill. Run it by "
                "hand to see why it fails.",
                "将 dr_drill_notify_command 设为通知值班人员的命令（会收到一行注明演练的文字）；失败时手动执行排查。",
            ),
        ),
        "drill.overdue": Rule(
            title=Text("Findings of the last drill", "上次演练的遗留问题"),
            fix=Text(
                "Its owner puts it right or moves the date: it is closed by the first drill that finds it well.",
                "由责任人处理或调整期限；之后首次演练检查通过即自动关闭。",
            ),
        ),
        "drill.verdict": Rule(
            title=Text("Verdict of the drill", "演练结论"),
            fix=Text(
                "Put the findings right, each has its owner and its date, then run the drill again.",
                "按责任人和期限处理各项问题后重新演练。",
            ),
        ),
    },
    sentences={
        "drill.source_whole": Text("{path}: whole from {first} to {newest}", "{path}：从 {first} 到 {newest} 完整"),
        "drill.source_broken": Text(
            "{path} has a gap behind transaction {reach}, the newest is {newest}: what came after it cannot be restored",
            "{path} 在事务 {reach} 之后有缺口（最新为 {newest}），其后的数据无法恢复",
        ),
        "drill.source_empty": Text("{path} holds no database", "{path} 中没有数据库"),
        "drill.source_unread": Text("{path} cannot be read: {error}", "{path} 无法读取：{error}"),
        "drill.source_damaged": Text("{name} of {path} is damaged: {error}", "{path} 中的 {name} 已损坏：{error}"),
        "drill.source_short": Text(
            "{path} goes back {seconds:.0f} s only: there is no earlier moment to choose",
            "{path} 仅能回溯 {seconds:.0f} 秒，没有更早的时间点可选",
        ),
        "drill.source_moment": Text(
            "{moment}, chosen with seed {seed}; the replica goes from {first} to {newest}",
            "{moment}（按种子 {seed} 随机选取，副本范围 {first} 至 {newest}）",
        ),
        "drill.restored_in": Text("restored in {seconds:.2f} s", "恢复用时 {seconds:.2f} 秒"),
        "drill.restored_not": Text("not restored: {error}", "恢复失败：{error}"),
        "drill.restored_unknown": Text("could not be restored here: {error}", "未能在此恢复：{error}"),
        "drill.content_same": Text(
            "{rows} rows in {count} tables equal those of the primary at transaction {txid}",
            "{count} 张表共 {rows} 行与主用机事务 {txid} 完全一致",
        ),
        "drill.content_late": Text(
            "transaction {txid} of the primary has not arrived within {seconds:.0f} s, the newest here is {reach}",
            "主用机事务 {txid} 在 {seconds:.0f} 秒内未到达，本机最新为 {reach}",
        ),
        "drill.content_differs": Text(
            "at transaction {txid} it is not what the primary has: {what}", "在事务 {txid} 处与主用机不一致：{what}"
        ),
        "drill.content_unseen": Text(
            "not compared with the primary: no moment of it was pinned", "未与主用机比对：没有取得主用机的对照点"
        ),
        "drill.loss_is": Text(
            "the newest row is of {newest}, the live database's of {live}", "最新一行为 {newest}，线上库为 {live}"
        ),
        "drill.loss_none": Text("no table says when its rows were written", "没有记录写入时间的列，无法比较"),
        "drill.loss_unknown": Text(
            "the live database {path} could not be looked at: {error}", "无法读取线上库 {path}：{error}"
        ),
        "drill.isolated_yes": Text(
            "a network of its own with nothing but a loopback device; files read-only",
            "独立网络，仅有回环设备；文件系统只读",
        ),
        "drill.isolated_no": Text("could not be shut in: {error}", "无法隔离：{error}"),
        "drill.isolated_leaks": Text(
            "the application had more than a loopback device and was ended", "应用可见回环以外的网络设备，已终止"
        ),
        "drill.served_yes": Text(
            "answers {code} after {seconds:.1f} s, with the restored database open in {count} processes",
            "{seconds:.1f} 秒后返回 {code}，{count} 个进程打开了恢复的数据库",
        ),
        "drill.served_not": Text("not within {seconds:.0f} s: {error}", "{seconds:.0f} 秒内未就绪：{error}"),
        "drill.served_other": Text(
            "answers {code}, but has not the restored database open", "返回 {code}，但并未打开恢复的数据库"
        ),
        "drill.served_lost": Text(
            "the restored database has fewer rows after it served: {names}", "提供服务后恢复的数据库行数变少：{names}"
        ),
        "drill.served_uncounted": Text(
            "its rows could not be counted after it served: {error}", "提供服务后无法统计其行数：{error}"
        ),
        "drill.served_unasked": Text(
            "not started: neither a unit nor a command is named", "未启动：未指定服务单元或命令"
        ),
        "drill.served_unstarted": Text("not started: {error}", "未能启动：{error}"),
        "drill.answered_right": Text("{method} {url}: {code} in {ms:.0f} ms", "{method} {url}：{code}，{ms:.0f} 毫秒"),
        "drill.answered_wrong": Text(
            "{method} {url}: {code} {problem}, expected {expected}", "{method} {url}：{code} {problem}，应为 {expected}"
        ),
        "drill.cleaned_yes": Text("directory and processes are gone", "目录与进程已清除"),
        "drill.cleaned_not": Text("{names} is still there", "{names} 仍在"),
        "drill.steady_before": Text("well before the drill", "演练前正常"),
        "drill.steady_after": Text("well after the drill", "演练后正常"),
        "drill.steady_red_before": Text("not well before the drill: {names}", "演练前异常：{names}"),
        "drill.steady_red_after": Text(
            "not well after the drill, and well before: {names}", "演练后异常（演练前正常）：{names}"
        ),
        "drill.steady_unseen_before": Text(
            "could not be looked at before the drill: {names}", "演练前无法检查：{names}"
        ),
        "drill.steady_unseen_after": Text("could not be looked at after the drill: {names}", "演练后无法检查：{names}"),
        "drill.rehearsal_done": Text("{step}: completed in {seconds:.1f} s", "{step}：完成，用时 {seconds:.1f} 秒"),
        "drill.rehearsal_failed": Text("{step}: {error}", "{step}：{error}"),
        "drill.rehearsal_unseen": Text("{step} was not tried: {error}", "{step} 未执行：{error}"),
        "drill.rehearsal_shadow": Text(
            "the standby served the newest state of the replica, traffic and epoch untouched",
            "备用机已用副本最新状态试运行，流量与 epoch 未变",
        ),
        "drill.rehearsal_shadow_not": Text(
            "the standby did not serve the newest state of the replica: {error}",
            "备用机未能用副本最新状态试运行：{error}",
        ),
        "drill.rto_is": Text("{value:.1f} s, {target:.0f} s are allowed", "{value:.1f} 秒，目标 {target:.0f} 秒"),
        "drill.rto_unknown": Text("was not measured, {target:.0f} s are allowed", "未测得，目标 {target:.0f} 秒"),
        "drill.rpo_is": Text("{value:.2f} s, {target:.0f} s are allowed", "{value:.2f} 秒，目标 {target:.0f} 秒"),
        "drill.rpo_unknown": Text("was not measured, {target:.0f} s are allowed", "未测得，目标 {target:.0f} 秒"),
        "drill.maintenance_shown": Text("{url} shows it", "{url} 正常显示"),
        "drill.maintenance_not": Text("{url}: {problem}", "{url}：{problem}"),
        "drill.maintenance_unset": Text(
            "nobody said where it is (dr_drill_maintenance_urls)", "未指定地址（dr_drill_maintenance_urls）"
        ),
        "drill.contacts_complete": Text("{count} people and {channels} channels", "{count} 人，{channels} 个渠道"),
        "drill.contacts_empty": Text("the list is empty", "联系人列表为空"),
        "drill.contacts_wrong": Text("incomplete: {what}", "不完整：{what_zh}"),
        "drill.runbook_same": Text("{path} is as agreed: sha256 {seen}", "{path} 与约定一致：sha256 {seen}"),
        "drill.runbook_changed": Text(
            "{path}: sha256 {seen}, expected {wanted}", "{path}：sha256 {seen}，应为 {wanted}"
        ),
        "drill.runbook_unread": Text("{path} cannot be read: {error}", "{path} 无法读取：{error}"),
        "drill.runbook_unset": Text("no file is named (dr_drill_runbook)", "未指定文件（dr_drill_runbook）"),
        "drill.notified_yes": Text("the hook ended well after {seconds:.1f} s", "通知命令成功，用时 {seconds:.1f} 秒"),
        "drill.notified_not": Text("the hook failed: {error}", "通知命令失败：{error}"),
        "drill.notified_unset": Text(
            "nobody was paged: no hook is named (dr_drill_notify_command)",
            "未通知任何人：未设置 dr_drill_notify_command",
        ),
        "drill.overdue_is": Text(
            "{what}, open since {since}, was due {due} ({owner})",
            "{what}：自 {since} 未关闭，应于 {due} 前完成（{owner}）",
        ),
        "drill.verdict_passed": Text("passed", "通过"),
        "drill.verdict_failed": Text("failed: {names}", "未通过：{names}"),
        "drill.verdict_inconclusive": Text(
            "inconclusive, could not be looked at: {names}", "无定论，未能检查：{names}"
        ),
    },
)
