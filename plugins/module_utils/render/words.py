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
        "report.phase.adhoc": Text("On demand", "临时"),
        "report.group.host": Text("Host", "主机"),
        "report.group.check": Text("Self check", "自检"),
        "report.group.unit": Text("Services", "服务"),
        "report.group.process": Text("Processes", "进程"),
        "report.group.port": Text("Ports", "端口"),
        "report.group.http": Text("HTTP", "HTTP"),
        "report.group.log": Text("Logs", "日志"),
        "report.group.file": Text("Files", "文件"),
        "report.group.timer": Text("Timers", "定时任务"),
        "report.group.cron": Text("Cron jobs", "计划任务"),
        "report.group.logrotate": Text("Log rotation", "日志轮转"),
        "report.group.redis": Text("Redis", "Redis"),
        "report.group.db": Text("Database", "数据库"),
        "report.group.sqlite": Text("Database", "数据库"),
        "report.group.security": Text("Security", "安全"),
        "report.group.capacity": Text("Capacity", "容量"),
        "report.group.backup": Text("Backups", "备份"),
        "report.group.report": Text("Report", "报告"),
    },
)


def word(key: str, locale: str, **values: Any) -> str:
    """Return one of the sentences ``report.KEY``."""
    return AREA.sentences[f"report.{key}"].render(locale, values)


def status_word(status: Status, locale: str) -> str:
    """Return the name of a status in a locale."""
    return word(f"status.{status.name.lower()}", locale)


def named(kind: str, name: str, locale: str) -> str:
    """Return the word for a group or a phase; one that has none stays as it is."""
    text = AREA.sentences.get(f"report.{kind}.{name}")
    return text.render(locale, {}) if text else name
