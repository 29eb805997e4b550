# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of log files: titles, advice, default thresholds and every sentence in both languages."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "log",
    rules={
        "log.new_fingerprints": Rule(
            title=Text("New kinds of errors", "新出现的错误"),
            fix=Text(
                "Read the lines around those in the evidence (journalctl or the named file) and find the cause; "
                "a line that means nothing goes into ignore of the probe.",
                "查看证据所列行的上下文（journalctl 或对应文件）并查明原因；无意义的行加入探测的 ignore。",
            ),
            warn="0",
            source="an error never seen before is news, whatever its number",
        ),
        "log.fatal": Rule(
            title=Text("Errors known to be fatal", "已知的致命错误"),
            fix=Text(
                "database: look at the sqlite checks, stop writers before any repair. disk: df -h and df -i. memory: "
                "journalctl -k. worker: restart loops and timeouts in gunicorn_error.log.",
                "database：查看 sqlite 各项检查，修复前先停止写入；disk：df -h 与 df -i；memory：journalctl -k；"
                "worker：查 gunicorn_error.log 中的重启与超时。",
            ),
            crit="0",
            source="messages of SQLite, the kernel and gunicorn",
        ),
        "log.tracebacks": Rule(
            title=Text("Tracebacks per hour", "每小时异常堆栈数"),
            fix=Text(
                "One cause usually makes most of them: see the evidence; roll back the last change if they began with it.",
                "多数通常出自同一原因，见证据；若自上次变更后开始出现，请回滚该变更。",
            ),
            crit="50",
            uom="/h",
            source="chosen: more than 50 an hour is a storm",
        ),
        "log.read": Rule(
            title=Text("Logs read completely", "日志读取完整"),
            fix=Text(
                "Something writes more than the probe may read: find out what, rotate by size (logrotate size), or raise "
                "max_bytes and timeout of the probe.",
                "日志写入量超过探测的读取上限：查明来源，按大小轮转（logrotate size），或调大探测的 max_bytes 与 timeout。",
            ),
        ),
        "log.files": Rule(
            title=Text("Number of log files", "日志文件数量"),
            fix=Text("Narrow the globs in paths of the probe.", "收窄探测 paths 中的通配符。"),
        ),
        "log.readable": Rule(
            title=Text("Log readable", "日志可读"),
            fix=Text(
                "Run the check as root (become: true) or give the user the group of the file; the logs directory is 750.",
                "以 root 运行检查（become: true），或将用户加入该文件所属组；日志目录权限为 750。",
            ),
        ),
        "log.missing": Rule(
            title=Text("Log exists", "日志存在"),
            fix=Text(
                "Correct the path (tutor_logs), or set optional: true for a log that is written only when something breaks.",
                "修正路径（tutor_logs）；若该日志仅在出错时写入，设 optional: true。",
            ),
        ),
        "http.5xx": Rule(
            title=Text("Server errors in the access log", "访问日志中的 5xx 比例"),
            fix=Text(
                "See which paths fail (evidence), then gunicorn_error.log at that time. 502: the application is down or "
                "hangs; 500: a traceback stands in its log.",
                "查看失败的路径（证据），再查同一时间的 gunicorn_error.log。502：应用未运行或卡住；500：应用日志中有异常堆栈。",
            ),
            warn="5",
            crit="10",
            uom="%",
            source="runbook: error rate 5 %; samber 5 %",
        ),
        "http.p95": Rule(
            title=Text("Response time, 95 of 100 requests", "响应时间 P95"),
            fix=Text(
                "See which paths are slow in the access log; then slow queries and busy workers of the application.",
                "在访问日志中找出慢的路径，再查应用的慢查询与 worker 占用。",
            ),
            warn="2",
            crit="5",
            uom="s",
            source="runbook: response time < 2 s",
        ),
    },
    sentences={
        "log.news": Text(
            "{item}: {new} new kinds of errors, {events} errors of {kinds} kinds since {since}",
            "{item}：新出现 {new} 类错误；自 {since} 以来共 {events} 条错误、{kinds} 类",
        ),
        "log.baseline": Text(
            "{item}: first look, errors of the last 24 h: {events}; older or undated ones are the baseline: {older}",
            "{item}：首次检查，近 24 小时错误 {events} 条；更早或无时间的 {older} 条作为基线",
        ),
        "log.fatal_none": Text("{item}: no fatal errors", "{item}：无致命错误"),
        "log.fatal_seen": Text(
            "{item}: {count} fatal errors ({names}), the last one: {last}",
            "{item}：{count} 条致命错误（{names}），最近一条：{last}",
        ),
        "log.storm": Text("{item}: {value:.1f} tracebacks an hour", "{item}：每小时 {value:.1f} 次异常堆栈"),
        "log.all_read": Text(
            "{item}: {bytes} bytes of {files} files read", "{item}：已读取 {files} 个文件共 {bytes} 字节"
        ),
        "log.unread": Text(
            "{item}: {unread} bytes were not read (limit {limit} bytes or time), {bytes} bytes of {files} files were",
            "{item}：有 {unread} 字节未读取（上限 {limit} 字节或时间用尽），已读 {files} 个文件共 {bytes} 字节",
        ),
        "log.denied": Text(
            "{item} may not be read by {user}: owner {owner}, mode {mode}",
            "{item}：{user} 无权读取，属主 {owner}，权限 {mode}",
        ),
        "log.failed": Text("{item} cannot be read: {error}", "{item} 无法读取：{error}"),
        "log.none": Text("no file matches {item}", "没有文件匹配 {item}"),
        "log.none_optional": Text("no file matches {item}, as is allowed", "没有文件匹配 {item}（允许）"),
        "log.too_many": Text(
            "{item}: {files} files match, only the {limit} changed last are read",
            "{item}：匹配 {files} 个文件，仅读取最近改动的 {limit} 个",
        ),
        "log.5xx": Text(
            "{item}: {value:.1f} % of {requests} requests failed with 5xx ({failed})",
            "{item}：{requests} 次请求中 5xx 占 {value:.1f} %（{failed} 次）",
        ),
        "log.5xx_few": Text(
            "{item}: {failed} of {requests} requests failed with 5xx, too few requests to judge (fewer than {wanted})",
            "{item}：{requests} 次请求中 5xx {failed} 次，请求数不足 {wanted}，不作判断",
        ),
        "log.p95": Text(
            "{item}: 95 of 100 requests took up to {value:.3f} s (median {p50:.3f}, 99 of 100 {p99:.3f} s)",
            "{item}：P95 响应 {value:.3f} 秒（中位数 {p50:.3f}，P99 {p99:.3f} 秒）",
        ),
    },
)
