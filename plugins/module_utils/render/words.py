# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that renderers add of their own, in both languages; what checks say stands in their areas."""

from __future__ import annotations

from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status

AREA = Area(
    "report",
    rules={
        "report.unreadable": Rule(
            title=Text("Record readable", "记录可读"),
            fix=Text(
                "The record comes from another version of the collection: install the same version everywhere.",
                "该记录由其他版本的集合写入：请在各处安装同一版本。",
            ),
        ),
    },
    sentences={
        "report.unreadable": Text("a record could not be read: {error}", "有一条记录无法读取：{error}"),
        "report.status.ok": Text("OK", "正常"),
        "report.status.warning": Text("Warning", "警告"),
        "report.status.critical": Text("Critical", "严重"),
        "report.status.unknown": Text("Unknown", "未知"),
        "report.status.skipped": Text("Skipped", "跳过"),
        "report.title": Text("Operations report", "运维报告"),
        "report.title.backup": Text("Backup report", "备份报告"),
        "report.title.verification": Text("Backup verification report", "备份验证报告"),
        "report.title.restore": Text("Restore report", "恢复报告"),
        "report.title.maintenance": Text("Maintenance report", "维护报告"),
        "report.title.drill": Text("Disaster recovery drill", "灾备演练报告"),
        "report.title.weekly": Text("Weekly report, {part}", "每周检查报告（{part}）"),
        "report.terminal": Text("CHECKS", "检查结果"),
        "report.hosts": Text("hosts: {n}", "主机 {n} 台"),
        "report.took": Text("in {seconds:.1f} s", "用时 {seconds:.1f} 秒"),
        "report.task_failed": Text("failed", "执行失败"),
        "report.now": Text("Needs action now", "需要立即处理"),
        "report.next": Text("Next", "下一步"),
        "report.since": Text("since", "始于"),
        "report.by_host": Text("By host", "按主机"),
        "report.host": Text("Host", "主机"),
        "report.worst": Text("Worst", "最差"),
        "report.age.minutes": Text("{n} min ago", "{n} 分钟前"),
        "report.age.hours": Text("{n} h ago", "{n} 小时前"),
        "report.age.days": Text("{n} days ago", "{n} 天前"),
        "report.run_at": Text("Run", "检查时间"),
        "report.colon": Text(": ", "："),
        "report.comma": Text(", ", "，"),
        "report.written": Text("Report written", "报告生成"),
        "report.nothing_now": Text("Nothing needs action.", "没有需要处理的事项。"),
        "report.evidence": Text("Evidence", "证据"),
        "report.changes": Text("Changes since last run", "与上次运行相比的变化"),
        "report.change.new": Text("New", "新增"),
        "report.change.worse": Text("Worse", "恶化"),
        "report.change.better": Text("Better", "好转"),
        "report.change.gone": Text("Gone", "消失"),
        "report.change.none": Text("None.", "没有变化。"),
        "report.change.first": Text("First run: nothing to compare with yet.", "首次运行，尚无可比较的记录。"),
        "report.change.was": Text("was {status}", "原为{status}"),
        "report.matrix": Text("Hosts and groups", "主机与检查组"),
        "report.matrix.not_in_run": Text(
            "Not part of this run, last seen earlier: {hosts}", "本次运行未包含（此前有记录）：{hosts}"
        ),
        "report.history": Text("History", "历史"),
        "report.history.hint": Text(
            "One bar per run, newest at the right. Full height: critical; half: warning; hollow: unknown; low: OK.",
            "每次运行一根柱，最新在右。满高：严重；半高：警告；空心：未知；低：正常。",
        ),
        "report.history.label": Text("{host}, last {n} runs: {tally}", "{host}，最近 {n} 次运行：{tally}"),
        "report.history.none": Text("No earlier runs yet.", "尚无历史记录。"),
        "report.capacity": Text("Capacity", "容量"),
        "report.capacity.none": Text("Nothing measured yet.", "尚无测量数据。"),
        "report.capacity.hint": Text("Marks: warning and critical threshold.", "刻度：警告与严重阈值。"),
        "report.backups": Text("Backups", "备份"),
        "report.backups.none": Text(
            "No run has looked at backups yet (the evening checks do).", "尚无备份检查记录（由晚间检查执行）。"
        ),
        "report.logs": Text("Logs", "日志"),
        "report.logs.none": Text(
            "No run has read the logs yet (the morning checks do).", "尚无日志检查记录（由早间检查执行）。"
        ),
        "report.as_of": Text("as of {when}", "截至 {when}"),
        "report.all": Text("All checks", "全部检查"),
        "report.item": Text("Item", "对象"),
        "report.check": Text("Check", "检查项"),
        "report.status": Text("Status", "状态"),
        "report.finding": Text("Finding", "结果"),
        "report.scope": Text(
            "For a personal learning system only. Commercial use is forbidden; whoever finds it must report it and stop "
            "operating the system at once (runbook, section on scope).",
            "仅限个人学习系统。严禁商业用途；如发现系统被用于商业目的，运维人员有义务立即报告并停止相关运维服务（见运维手册「运维范围限制」）。",
        ),
        "report.ledger": Text("Ledger", "台账"),
        "report.ledger.unchecked": Text("chain not verified in this report", "本报告未校验哈希链"),
        "report.other_language": Text("中文", "English"),
        "report.skip": Text("Skip to what needs action", "跳到需要处理的事项"),
        "report.more": Text("{n} more not shown", "另有 {n} 条未显示"),
        "report.perf_dropped": Text("{n} values left out of the performance data", "性能数据省略了 {n} 项"),
        "report.verdict.critical": Text("Something is broken: act now", "有严重问题，请立即处理"),
        "report.verdict.warning": Text("Running, but needs attention", "运行中，有警告需要处理"),
        "report.verdict.unknown": Text("Some things could not be looked at", "部分检查未能完成"),
        "report.verdict.ok": Text("All is well", "一切正常"),
        "report.verdict.skipped": Text("Nothing here applied", "没有适用的检查"),
        "report.verdict.empty": Text("Nothing was looked at", "没有任何检查结果"),
        "report.phase.morning": Text("Morning", "早间"),
        "report.phase.afternoon": Text("Afternoon", "午间"),
        "report.phase.evening": Text("Evening", "晚间"),
        "report.phase.weekly": Text("Weekly", "每周"),
        "report.phase.backup": Text("Backup", "备份"),
        "report.phase.verification": Text("Backup verification", "备份验证"),
        "report.phase.restore": Text("Restore", "恢复"),
        "report.phase.failover": Text("Failover", "主备切换"),
        "report.phase.maintenance": Text("Maintenance", "维护"),
        "report.phase.drill": Text("Drill", "灾备演练"),
        "report.part.mon": Text("Monday", "周一"),
        "report.part.tue": Text("Tuesday", "周二"),
        "report.part.wed": Text("Wednesday", "周三"),
        "report.part.thu": Text("Thursday", "周四"),
        "report.part.fri": Text("Friday", "周五"),
        "report.phase.adhoc": Text("On demand", "临时"),
        "report.done": Text("What was done", "执行内容"),
        "report.act.backup.run": Text("Backup", "备份"),
        "report.act.backup.offsite": Text("Copy off the host", "异地副本"),
        "report.act.backup.verify": Text("Backup verification", "备份验证"),
        "report.act.restore.run": Text("Restore", "恢复"),
        "report.act.drill.run": Text("Disaster recovery drill", "灾备演练"),
        "report.act.drill.restore": Text("Rehearsed restore", "演练恢复"),
        "report.act.maintenance.sqlite": Text("Database maintenance", "数据库维护"),
        "report.act.maintenance.temp_clean": Text("Temporary files", "临时文件清理"),
        "report.fact.snapshot": Text("Snapshot", "快照"),
        "report.fact.archive": Text("Archive of files", "文件归档"),
        "report.fact.bytes": Text("Size", "大小"),
        "report.fact.database_bytes": Text("Database", "数据库大小"),
        "report.fact.sha256": Text("SHA-256", "SHA-256"),
        "report.fact.created": Text("Made", "生成时间"),
        "report.fact.rows": Text("Content", "内容"),
        "report.fact.tables_rows": Text("{tables} tables, {rows} rows", "{tables} 个表，{rows} 行"),
        "report.fact.engine": Text("Method", "复制方式"),
        "report.fact.copy_seconds": Text("Copied in", "复制用时"),
        "report.fact.verify_seconds": Text("Proved in", "校验用时"),
        "report.fact.seconds": Text("Time", "用时"),
        "report.fact.pointer": Text("Pointer", "最新指针"),
        "report.fact.removed": Text("Removed", "已删除"),
        "report.fact.cleaned": Text("Leftovers of an interrupted run, removed", "已清理的中断残留"),
        "report.fact.rejected": Text("Not good, kept aside", "未通过校验，已搁置"),
        "report.fact.target": Text("Copy", "副本"),
        "report.fact.copied": Text("Copied", "已复制"),
        "report.fact.present": Text("There already", "此前已有"),
        "report.fact.left": Text("Left here, since they are no snapshots", "未复制（不是有效快照）"),
        "report.fact.snapshot_id": Text("Snapshot of restic", "restic 快照"),
        "report.fact.verdict": Text("Verdict", "结论"),
        "report.fact.good": Text("good", "可用"),
        "report.fact.bad": Text("not proved", "未通过"),
        "report.fact.source": Text("Taken from", "来源"),
        "report.fact.previous_path": Text("Former database", "原数据库"),
        "report.fact.failed_path": Text("Database that did not serve", "未能启用的数据库"),
        "report.fact.step": Text("Step", "步骤"),
        "report.fact.table": Text("Table", "表"),
        "report.fact.before": Text("Rows before", "之前行数"),
        "report.fact.after": Text("Rows after", "之后行数"),
        "report.fact.action": Text("Action", "操作"),
        "report.fact.result": Text("Result", "结果"),
        "report.fact.stall": Text("Writers waited", "写入等待"),
        "report.fact.wal": Text("WAL", "WAL"),
        "report.fact.freelist": Text("Unused pages", "空闲页"),
        "report.fact.freed": Text("Freed", "释放空间"),
        "report.step.recover": Text("end an interrupted run", "收尾中断的运行"),
        "report.step.verify": Text("verify the snapshot", "验证快照"),
        "report.step.compare": Text("compare with the present database", "与现有数据库比对"),
        "report.step.stage": Text("write it beside the database", "写入数据库所在目录"),
        "report.step.stop": Text("stop the service", "停止服务"),
        "report.step.prove_free": Text("prove that nobody has it open", "确认无进程占用"),
        "report.step.replace": Text("put it in place", "替换数据库"),
        "report.step.serve": Text("start and prove that it serves", "启动并确认服务正常"),
        "report.step.prove": Text("prove what was written", "校验写入结果"),
        "report.step.undo": Text("put the former database back", "放回原数据库"),
        "report.result.done": Text("done", "已完成"),
        "report.result.skipped": Text("skipped", "跳过"),
        "report.result.refused": Text("refused", "拒绝执行"),
        "report.result.failed": Text("failed", "失败"),
        "report.result.planned": Text("planned", "计划"),
        "report.group.action": Text("Actions", "操作"),
        "report.group.host": Text("System", "系统"),
        "report.group.check": Text("Self check", "自检"),
        "report.group.unit": Text("Services", "服务"),
        "report.group.process": Text("Processes", "进程"),
        "report.group.port": Text("Ports", "端口"),
        "report.group.http": Text("HTTP", "HTTP"),
        "report.group.log": Text("Logs", "日志"),
        "report.group.file": Text("Files", "文件"),
        "report.group.redis": Text("Redis", "Redis"),
        "report.group.db": Text("Database", "数据库"),
        "report.group.drill": Text("Drill", "灾备演练"),
        "report.group.backup": Text("Backups", "备份"),
        "report.group.failover": Text("Failover", "主备切换"),
        "report.group.performance": Text("Performance", "性能"),
        "report.group.capacity": Text("Capacity", "容量"),
        "report.group.security": Text("Security", "安全"),
        "report.group.ledger": Text("Ledger", "台账"),
        "report.group.report": Text("Report", "报告"),
    },
)


def word(key: str, locale: str, **values: Any) -> str:
    """Return one of the sentences ``report.KEY``."""
    return AREA.sentences[f"report.{key}"].render(locale, values)


def known(key: str) -> bool:
    """Tell whether there is a sentence ``report.KEY``."""
    return f"report.{key}" in AREA.sentences


def title(phase: str, part: str, locale: str) -> str:
    """Return what the report of a run is called."""
    key = f"title.{phase}"
    return word(key, locale, part=named("part", part, locale)) if known(key) else word("title", locale)


def status_word(status: Status, locale: str) -> str:
    """Return the name of a status in a locale."""
    return word(f"status.{status.name.lower()}", locale)


def named(kind: str, name: str, locale: str) -> str:
    """Return the word for a group or a phase; one that has none stays as it is."""
    text = AREA.sentences.get(f"report.{kind}.{name}")
    return text.render(locale, {}) if text else name
