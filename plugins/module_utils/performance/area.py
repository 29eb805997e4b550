# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the weekly performance report: titles, advice, default thresholds and every sentence in both languages."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

GROUP = "performance"

AREA = Area(
    GROUP,
    rules={
        "performance.response": Rule(
            title=Text("Response time of the week, 95 of 100 requests", "本周响应时间 P95"),
            fix=Text(
                "The evidence names the slowest paths. Compare with slow_query.* of the same run, the load of the host and the "
                "hit rate of the cache; other levels for an endpoint: tutor_endpoints.",
                "证据列出最慢的路径。对照同次检查的 slow_query.*、主机负载与缓存命中率；各接口的阈值在 tutor_endpoints 中调整。",
            ),
            warn="2",
            crit="5",
            uom="s",
            source="runbook: response time < 2 s; endpoints: /learn 3, /progress 2.5, /api/content 1.5 s",
        ),
        "performance.errors": Rule(
            title=Text("Server errors of the week", "本周 5xx 比例"),
            fix=Text(
                "The evidence counts the failing paths. Read gunicorn_error.log of the days in question; 502 means that the "
                "application was down.",
                "证据统计了失败的路径。查看相应日期的 gunicorn_error.log；502 表示应用当时未运行。",
            ),
            warn="5",
            crit="10",
            uom="%",
            source="runbook: error rate 5 %; samber 5 %",
        ),
        "performance.trend": Rule(
            title=Text("Response time against the usual week", "响应时间与往常对比"),
            fix=Text(
                "What changed this week: a release, more users, a table that grew past its index? Compare the slow queries and "
                "the Friday capacity report.",
                "查明本周的变化：是否发布新版本、用户增加、表增大而缺少索引？对照慢查询与周五的容量报告。",
            ),
            warn="~:50",
            uom="%",
            source="chosen: half as slow again as the median of up to 8 weeks, from 0.2 s on",
        ),
        "performance.times": Rule(
            title=Text("Access log has response times", "访问日志含响应时间"),
            fix=Text(
                'nginx: log_format timed \'$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                '"$http_referer" "$http_user_agent" $request_time\'; access_log FILE timed; gunicorn: --access-logformat with '
                "%(L)s at its end. Another format: tutor_access_log_format.",
                "nginx：定义 log_format timed，在 combined 格式末尾加 $request_time，并使用 access_log FILE timed；gunicorn："
                "--access-logformat 末尾加 %(L)s。其他格式请设置 tutor_access_log_format。",
            ),
        ),
        "performance.read": Rule(
            title=Text("Access logs of the week read", "本周访问日志读取完整"),
            fix=Text(
                "The oldest requests of the week are not in the figures. Raise max_bytes and timeout of the probe, or rotate the "
                "log more often and look at fewer days.",
                "统计未包含本周最早的请求。调大探测的 max_bytes 与 timeout，或增加轮转频率并减少 days。",
            ),
        ),
    },
    sentences={
        "performance.percentiles": Text(
            "{item}: 95 of 100 requests took up to {value:.3f} s (median {p50:.3f}, 99 of 100 {p99:.3f}, longest {longest:.3f} s; "
            "{requests} requests in {days:g} d)",
            "{item}：P95 响应 {value:.3f} 秒（中位数 {p50:.3f}，P99 {p99:.3f}，最长 {longest:.3f} 秒；{days:g} 天内 {requests} 次请求）",
        ),
        "performance.few": Text(
            "{item}: {requests} requests in {days:g} d, too few to judge (fewer than {wanted})",
            "{item}：{days:g} 天内 {requests} 次请求，不足 {wanted}，不作判断",
        ),
        "performance.no_times": Text(
            "{item}: none of {requests} requests tells how long it took: the log format has no time",
            "{item}：{requests} 次请求均无耗时信息，日志格式中没有响应时间",
        ),
        "performance.timed": Text(
            "{item}: {timed} of {requests} requests tell how long they took",
            "{item}：{requests} 次请求中 {timed} 次有耗时信息",
        ),
        "performance.no_requests": Text("{item}: no requests in {days:g} d", "{item}：{days:g} 天内没有请求"),
        "performance.share": Text(
            "{item}: {value:.1f} % of {requests} requests failed with 5xx ({failed})",
            "{item}：{requests} 次请求中 5xx 占 {value:.1f}%（{failed} 次）",
        ),
        "performance.slower": Text(
            "{item}: P95 {now:.3f} s, usual {before:.3f} s (median of {weeks} weeks): {value:+.0f} %",
            "{item}：P95 {now:.3f} 秒，往常 {before:.3f} 秒（{weeks} 周中位数）：{value:+.0f}%",
        ),
        "performance.fast": Text(
            "{item}: P95 {now:.3f} s, usual {before:.3f} s (median of {weeks} weeks): too fast for the difference to matter",
            "{item}：P95 {now:.3f} 秒，往常 {before:.3f} 秒（{weeks} 周中位数）：响应很快，差异可忽略",
        ),
        "performance.begin": Text(
            "{item}: comparing begins when {wanted} earlier weeks are known ({weeks} so far)",
            "{item}：积累 {wanted} 周数据后开始对比（现有 {weeks} 周）",
        ),
        "performance.whole": Text(
            "{item}: {bytes} of {files} files read, {unread_lines} lines not understood",
            "{item}：已读取 {files} 个文件共 {bytes}，{unread_lines} 行无法识别",
        ),
        "performance.cut": Text(
            "{item}: stopped after {bytes} of {files} files (limit {limit} or time): older requests are left out",
            "{item}：读取 {files} 个文件共 {bytes} 后停止（上限 {limit} 或时间用尽），更早的请求未统计",
        ),
        "performance.foreign": Text(
            "{item}: {unread_lines} of {lines} lines are not of the format that is configured",
            "{item}：{lines} 行中有 {unread_lines} 行与所配置的格式不符",
        ),
    },
)

SLOW = Area(
    GROUP,
    rules={
        "slow_query.rate": Rule(
            title=Text("Slow queries a day", "每日慢查询数"),
            fix=Text(
                "The evidence ranks the kinds of queries by the time they took. EXPLAIN QUERY PLAN on a snapshot shows a missing "
                "index; sqlite_maintenance with analyze helps the planner.",
                "证据按总耗时列出各类查询。在快照上用 EXPLAIN QUERY PLAN 查看是否缺少索引；sqlite_maintenance 的 analyze 有助于查询规划。",
            ),
            warn="24",
            crit="480",
            uom="/d",
            source="as redis.slowlog: one an hour, 20 an hour",
        ),
        "slow_query.worst": Rule(
            title=Text("Slowest query", "最慢查询"),
            fix=Text(
                "See which query it was (evidence) and what ran at that time: a backup, VACUUM, another writer?",
                "查看是哪条查询（证据）以及当时在运行什么：备份、VACUUM 或其他写入者？",
            ),
            warn="1",
            crit="5",
            uom="s",
            source="slow query limit of the application's monitoring 1.0 s; a page may take 5 s",
        ),
        "slow_query.new": Rule(
            title=Text("New kinds of slow queries", "新出现的慢查询"),
            fix=Text(
                "A query that was never slow before: did a release bring it, or did its table grow past an index?",
                "此前未出现过的慢查询：是否由新版本引入，或相关表增大而缺少索引？",
            ),
            warn="0",
            source="what was never slow before is news, whatever its number",
        ),
        "slow_query.read": Rule(
            title=Text("Application logs of the week read", "本周应用日志读取完整"),
            fix=Text(
                "The oldest lines of the week are not in the figures. Raise max_bytes and timeout of the probe, or look at fewer "
                "days.",
                "统计未包含本周最早的日志。调大探测的 max_bytes 与 timeout，或减少 days。",
            ),
        ),
    },
    sentences={
        "slow_query.counted": Text(
            "{item}: {value:.1f} slow queries a day ({count} of {kinds} kinds in {days:g} d, {total:.1f} s together)",
            "{item}：每日 {value:.1f} 次慢查询（{days:g} 天内 {count} 次、{kinds} 类，合计 {total:.1f} 秒）",
        ),
        "slow_query.compared": Text(
            "{item}: {value:.1f} slow queries a day ({count} of {kinds} kinds in {days:g} d, {total:.1f} s together; usual: "
            "{usual:.0f})",
            "{item}：每日 {value:.1f} 次慢查询（{days:g} 天内 {count} 次、{kinds} 类，合计 {total:.1f} 秒；往常 {usual:.0f} 次）",
        ),
        "slow_query.none": Text("{item}: no slow queries in {days:g} d", "{item}：{days:g} 天内无慢查询"),
        "slow_query.longest": Text("{item}: {value:.3f} s: {query}", "{item}：{value:.3f} 秒：{query}"),
        "slow_query.news": Text("{item}: {value:.0f} new: {names}", "{item}：新增 {value:.0f} 类：{names}"),
        "slow_query.no_news": Text(
            "{item}: none that was not slow in earlier weeks", "{item}：没有往周未出现过的慢查询"
        ),
        "slow_query.first": Text(
            "{item}: first week, {kinds} kinds are the baseline", "{item}：首周检查，以现有 {kinds} 类作为基线"
        ),
        "slow_query.cut": Text(
            "{item}: stopped after {bytes} of {files} files (limit {limit} or time): older lines are left out",
            "{item}：读取 {files} 个文件共 {bytes} 后停止（上限 {limit} 或时间用尽），更早的行未统计",
        ),
        "slow_query.whole": Text("{item}: {bytes} of {files} files read", "{item}：已读取 {files} 个文件共 {bytes}"),
    },
)
