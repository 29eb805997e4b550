# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the weekly capacity report: titles, advice, default thresholds and every sentence in both languages."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "capacity",
    rules={
        "disk.eta_full": Rule(
            title=Text("Days until the disk is full", "磁盘预计写满天数"),
            fix=Text(
                "Find what grows: `du -xh --max-depth=2 PATH | sort -h | tail`; rotate or clean it, or enlarge the file system "
                "before that day.",
                "找出增长的目录：`du -xh --max-depth=2 PATH | sort -h | tail`；轮转、清理，或在此之前扩容。",
            ),
            warn="7:",
            crit="1:",
            uom="d",
            source="a week is the distance to the next look; Theil-Sen over at least 5 days, R2 > 0.7",
        ),
        "mem.eta_full": Rule(
            title=Text("Days until the memory is used up", "内存预计耗尽天数"),
            fix=Text(
                "Memory that only grows is a leak or a cache without a limit: `ps -eo pid,rss,comm --sort=-rss | head`; plan a "
                "restart in the maintenance window.",
                "内存持续增长说明存在泄漏或缓存无上限：`ps -eo pid,rss,comm --sort=-rss | head`；在维护窗口安排重启。",
            ),
            warn="7:",
            crit="1:",
            uom="d",
            source="as for the disk",
        ),
        "capacity.memory": Rule(
            title=Text("Memory of the application", "应用内存占用"),
            fix=Text(
                "The evidence lists the processes. Fewer workers or a lower --max-requests of gunicorn give memory back; "
                "MemoryMax of the unit is where the kernel kills.",
                "证据列出各进程。减少 gunicorn 的 workers 或调低 --max-requests 可释放内存；达到单元的 MemoryMax 时内核会杀进程。",
            ),
            warn="80",
            crit="95",
            uom="%",
            source="as unit.memory: share of MemoryMax, or of all memory without one",
        ),
        "capacity.memory_eta": Rule(
            title=Text("Days until the application's memory reaches its limit", "应用内存预计触顶天数"),
            fix=Text(
                "It only grows: a leak. Restart in the maintenance window, set --max-requests of gunicorn, report it to the "
                "developers with these figures.",
                "只增不减，疑似泄漏。在维护窗口重启，设置 gunicorn 的 --max-requests，并将数据提交给开发人员。",
            ),
            warn="28:",
            crit="7:",
            uom="d",
            source="chosen: four weeks are enough to plan a restart",
        ),
        "capacity.size": Rule(
            title=Text("Size of files and directories", "文件与目录大小"),
            fix=Text(
                "Missing or not readable: correct tutor_sizes, or run the check as root (become: true).",
                "路径缺失或无权读取：修正 tutor_sizes，或以 root 运行检查（become: true）。",
            ),
            uom="B",
            source="runbook W5",
        ),
        "capacity.growth": Rule(
            title=Text("Growth in a week", "每周增长率"),
            fix=Text(
                "`du -xh --max-depth=1 PATH | sort -h` shows what grew; logs: rotation and log level; database: which table "
                "(capacity.rows), old rows to delete.",
                "用 `du -xh --max-depth=1 PATH | sort -h` 查看增长来源；日志查轮转与级别，数据库查是哪张表（capacity.rows）及可清理的旧数据。",
            ),
            warn="~:50",
            uom="%",
            source="chosen: doubles within two weeks; only from 100 MiB a week on",
        ),
        "capacity.rows": Rule(
            title=Text("Rows of growing tables", "增长表的行数"),
            fix=Text(
                "The table or the column does not exist or the query is wrong: correct tutor_growth.",
                "表或列不存在，或查询有误：修正 tutor_growth。",
            ),
            uom="c",
            source="runbook W5: growth of users",
        ),
        "capacity.rows_growth": Rule(
            title=Text("Growth of the rows in a week", "行数每周增长率"),
            fix=Text(
                "Learning data only grows: compare with the row counts in the manifests of the backups before anything is "
                "cleaned up or overwritten.",
                "学习数据只增不减：在清理或覆盖之前，与备份清单中的行数对比。",
            ),
            warn="-10:",
            uom="%",
            source="chosen: a tenth less within a week is loss; only from 100 rows on",
        ),
    },
    sentences={
        "capacity.eta": Text(
            "{item}: {now:.1f} %, grows {week:.2f} % a week: full in {value:.1f} d (95 %: {soonest:.1f} to {latest:.1f} d; "
            "{points} points of history, R2 {steady:.2f})",
            "{item}：{now:.1f}%，每周增长 {week:.2f}%，预计 {value:.1f} 天后达到上限（95% 区间 {soonest:.1f} 至 {latest:.1f} 天；"
            "{points} 个历史数据点，R2 {steady:.2f}）",
        ),
        "capacity.flat": Text(
            "{item}: {now:.1f} %, no steady growth ({week:+.2f} % a week over {span:.0f} d, R2 {steady:.2f})",
            "{item}：{now:.1f}%，无持续增长（{span:.0f} 天内每周 {week:+.2f}%，R2 {steady:.2f}）",
        ),
        "capacity.saw": Text(
            "{item}: {now:.1f} %, grows and is cleaned up ({falls} times in {span:.0f} d, highest {peak:.1f} %): no forecast",
            "{item}：{now:.1f}%，增长后会被清理（{span:.0f} 天内 {falls} 次，最高 {peak:.1f}%），不作预测",
        ),
        "capacity.short": Text(
            "{item}: {now:.1f} %, too little history for a forecast ({points} points, at least {wanted} days)",
            "{item}：{now:.1f}%，历史数据不足，不作预测（{points} 个数据点，至少需 {wanted} 天）",
        ),
        "capacity.not_asked": Text("{item}: cannot be looked at: {error}", "{item}：无法查看：{error}"),
        "capacity.memory_used": Text(
            "{item}: {size} in {count} processes, {value:.1f} % of {limit} ({limit_size})",
            "{item}：{count} 个进程共 {size}，占 {limit}（{limit_size}）的 {value:.1f}%",
        ),
        "capacity.memory_none": Text("{item}: runs no process", "{item}：没有运行中的进程"),
        "capacity.memory_unknown": Text(
            "{item}: its processes cannot be found: {error}", "{item}：无法找到其进程：{error}"
        ),
        "capacity.bytes": Text("{item}: {size}{partial}", "{item}：{size}{partial_zh}"),
        "capacity.grows": Text(
            "{item}: {change} a week ({value:+.1f} %; {points} points of history)",
            "{item}：每周 {change}（{value:+.1f}%；{points} 个历史数据点）",
        ),
        "capacity.grows_new": Text(
            "{item}: too little history for its growth ({points} points)",
            "{item}：历史数据不足，无法计算增长（{points} 个数据点）",
        ),
        "capacity.counted": Text("{item}: {value:.0f} rows", "{item}：{value:.0f} 行"),
        "capacity.counted_new": Text(
            "{item}: {value:.0f} rows, {new} of them made within 7 days",
            "{item}：{value:.0f} 行，其中近 7 天新增 {new}",
        ),
        "capacity.not_counted": Text("{item}: cannot be counted: {error}", "{item}：无法统计：{error}"),
        "capacity.not_opened": Text("{item}: cannot be opened: {error}", "{item}：无法打开：{error}"),
        "capacity.rows_grow": Text(
            "{item}: {change:+.1f} rows a week ({value:+.1f} %; {points} points of history)",
            "{item}：每周 {change:+.1f} 行（{value:+.1f}%；{points} 个历史数据点）",
        ),
        "capacity.rows_few": Text(
            "{item}: {change:+.1f} rows a week, too few rows to judge ({rows})",
            "{item}：每周 {change:+.1f} 行，行数过少（{rows}），不作判断",
        ),
    },
)
