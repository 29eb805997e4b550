# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of systemd's units: titles, advice, default thresholds and every sentence in both languages."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "unit",
    rules={
        "unit.manager": Rule(
            title=Text("systemd answers", "systemd 应答"),
            fix=Text(
                "Run `systemctl is-system-running` on the host. Where systemd does not run, use the probe kinds process "
                "and port instead of unit.",
                "在主机上执行 `systemctl is-system-running`。未使用 systemd 的主机请改用 process 和 port 探测。",
            ),
        ),
        "unit.state": Rule(
            title=Text("Unit is in the declared state", "单元处于声明的状态"),
            fix=Text(
                "`systemctl status {item}` and `journalctl -u {item} -n 50`; repair the cause, then `systemctl restart {item}`. "
                "Not installed: correct its name in the inventory.",
                "执行 `systemctl status {item}` 和 `journalctl -u {item} -n 50`，排除原因后 `systemctl restart {item}`。"
                "若未安装，请核对清单（inventory）中的单元名。",
            ),
            source="state seen twice: SubState and NRestarts",
        ),
        "unit.restarts": Rule(
            title=Text("Automatic restarts", "自动重启次数"),
            fix=Text(
                "`journalctl -u {item} --since -1h`: look for the exit status or signal before each start.",
                "执行 `journalctl -u {item} --since -1h`，查看每次启动前的退出码或信号。",
            ),
            warn="0",
            crit="5",
            uom="c",
            source="more than 5 in 1 h or 3 in 10 min critical (samber/awesome-prometheus-alerts, NVSentinel)",
        ),
        "unit.frozen": Rule(
            title=Text("Processes of the unit run", "单元进程在运行"),
            fix=Text(
                "`kill -CONT PID` (evidence) or `systemctl thaw {item}`; find out who stopped it before you trust the host.",
                "执行 `kill -CONT PID`（PID 见证据）或 `systemctl thaw {item}`，并查明是谁暂停了进程。",
            ),
        ),
        "unit.enabled": Rule(
            title=Text("Unit starts at boot as declared", "开机自启与声明一致"),
            fix=Text(
                "`systemctl enable {item}` or `systemctl disable {item}`.",
                "执行 `systemctl enable {item}` 或 `systemctl disable {item}`。",
            ),
        ),
        "unit.reload_needed": Rule(
            title=Text("systemd knows the unit file on disk", "systemd 已加载磁盘上的单元文件"),
            fix=Text(
                "`systemctl daemon-reload`, then restart the unit in the maintenance window.",
                "执行 `systemctl daemon-reload`，并在维护窗口内重启该单元。",
            ),
        ),
        "unit.memory": Rule(
            title=Text("Memory of the unit against its limit", "单元内存占限额比例"),
            fix=Text(
                "Look for a leak (`systemctl status {item}`, Memory); restart in the window or raise MemoryHigh/MemoryMax.",
                "检查是否内存泄漏（`systemctl status {item}` 的 Memory）；在窗口内重启，或调大 MemoryHigh/MemoryMax。",
            ),
            warn="80",
            crit="95",
            uom="%",
            source="chosen; above MemoryHigh the kernel throttles, at MemoryMax it kills",
        ),
        "unit.tasks": Rule(
            title=Text("Threads of the unit against its limit", "单元任务数占限额比例"),
            fix=Text(
                "`systemctl status {item}` lists the processes; end the runaways or raise TasksMax.",
                "执行 `systemctl status {item}` 查看进程；清理失控进程或调大 TasksMax。",
            ),
            warn="80",
            crit="90",
            uom="%",
            source="samber/awesome-prometheus-alerts",
        ),
        "unit.failed": Rule(
            title=Text("Failed units on the host", "主机上失败的单元"),
            fix=Text(
                "`systemctl status` of the units listed; repair them, or `systemctl reset-failed UNIT`; "
                "what does not matter here goes into failed_ignore of the probe.",
                "对所列单元执行 `systemctl status` 并修复，或 `systemctl reset-failed UNIT`；无关紧要的写入探测的 failed_ignore。",
            ),
        ),
    },
    sentences={
        "unit.manager_ok": Text("systemd answered in {value:.0f} ms", "systemd {value:.0f} 毫秒内应答"),
        "unit.manager_away": Text("cannot ask systemd: {error}", "无法查询 systemd：{error}"),
        "unit.up": Text("{item} is {state} ({sub}) for {age}", "{item} 为 {state}（{sub}），已持续 {age}"),
        "unit.finished": Text("{item} ran and ended well", "{item} 已正常执行完毕"),
        "unit.waiting": Text("{item} has not run since boot", "{item} 开机后尚未运行"),
        "unit.down": Text("{item} is {state} ({sub}), result {result}", "{item} 为 {state}（{sub}），结果 {result}"),
        "unit.up_unwanted": Text(
            "{item} is {state}, declared is that it does not run here", "{item} 为 {state}，而声明要求它在此不运行"
        ),
        "unit.down_wanted": Text("{item} does not run, as declared", "{item} 未运行，与声明一致"),
        "unit.killed": Text(
            "{item} was killed: {result} ({state}, {sub})", "{item} 被杀死：{result}（{state}，{sub}）"
        ),
        "unit.crash_loop": Text(
            "{item} crashes and is restarted again and again: {restarts} restarts, result {result}, exit status {code}",
            "{item} 反复崩溃并被重启：已重启 {restarts} 次，结果 {result}，退出码 {code}",
        ),
        "unit.crash_loop_fresh": Text(
            "{item} runs since {age} only, after {restarts} automatic restarts",
            "{item} 自动重启 {restarts} 次后仅运行了 {age}",
        ),
        "unit.slow_start": Text("{item} is starting for {age} already", "{item} 启动已耗时 {age}"),
        "unit.missing": Text("{item} is not installed", "{item} 未安装"),
        "unit.broken_file": Text("{item}: its unit file cannot be used ({load})", "{item}：单元文件无法使用（{load}）"),
        "unit.is_masked": Text("{item} is masked: nothing can start it", "{item} 已被屏蔽（masked），无法启动"),
        "unit.restarts_some": Text(
            "{item}: {count} automatic restarts {window}", "{item}：{window_zh}自动重启 {count} 次"
        ),
        "unit.restarts_none": Text("{item}: no automatic restart", "{item}：无自动重启"),
        "unit.restarted_by_hand": Text(
            "{item} was restarted on purpose since the last run", "{item} 自上次检查后被人为重启"
        ),
        "unit.all_stopped": Text(
            "{item}: all {total} processes are stopped by a signal: it answers nobody",
            "{item}：全部 {total} 个进程被信号暂停，不再响应任何请求",
        ),
        "unit.some_stopped": Text(
            "{item}: {count} of {total} processes are stopped by a signal",
            "{item}：{total} 个进程中有 {count} 个被信号暂停",
        ),
        "unit.is_frozen": Text("{item} is frozen ({state})", "{item} 已被冻结（{state}）"),
        "unit.not_stopped": Text("{item}: none of {total} processes is stopped", "{item}：{total} 个进程均未被暂停"),
        "unit.enabled_as_declared": Text("{item} is {state} as declared", "{item} 为 {state}，与声明一致"),
        "unit.enabled_differs": Text("{item} is {state}, declared is {wanted}", "{item} 为 {state}，声明为 {wanted}"),
        "unit.reload_not_needed": Text("{item}: the unit file on disk is loaded", "{item}：磁盘上的单元文件已加载"),
        "unit.reload_is_needed": Text(
            "{item}: the unit file changed on disk and is not loaded", "{item}：磁盘上的单元文件已改动但未加载"
        ),
        "unit.memory_used": Text(
            "{item} uses {value:.0f} % of {limit} ({used_mib:.0f} of {limit_mib:.0f} MiB)",
            "{item} 已用 {limit} 的 {value:.0f}%（{used_mib:.0f}/{limit_mib:.0f} MiB）",
        ),
        "unit.tasks_used": Text(
            "{item} has {count} of {limit} tasks ({value:.0f} %)", "{item} 任务数 {count}/{limit}（{value:.0f}%）"
        ),
        "unit.not_counted": Text(
            "{item}: this host does not count it (no cgroup controller)", "{item}：本机未启用相应 cgroup 控制器，无统计"
        ),
        "unit.none_failed": Text("no failed unit", "没有失败的单元"),
        "unit.some_failed": Text("{count} failed units: {names}", "{count} 个单元失败：{names}"),
    },
)
