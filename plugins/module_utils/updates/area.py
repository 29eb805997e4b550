# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of pending updates: titles, advice, default thresholds and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "security",
    rules={
        "updates.security": Rule(
            title=Text("Security updates are installed", "安全更新已安装"),
            fix=Text(
                "Install them in the maintenance window: `unattended-upgrade -v`, or `apt-get upgrade`; then see updates.restart.",
                "在维护窗口安装：`unattended-upgrade -v` 或 `apt-get upgrade`；之后查看 updates.restart。",
            ),
            warn="0",
            crit="7",
            uom="d",
            source="Linuxfabrik deb-updates; critical when the oldest waits for a week",
        ),
        "updates.pending": Rule(
            title=Text("Pending updates", "待安装的更新"),
            fix=Text(
                "`apt list --upgradable`; install them in the monthly window.",
                "执行 `apt list --upgradable` 查看，在每月维护窗口安装。",
            ),
            warn="50",
            uom="c",
            source="chosen: a host that is upgraded each month stays below",
        ),
        "updates.lists": Rule(
            title=Text("Age of the package lists", "软件包列表的新旧"),
            fix=Text(
                "`apt-get update` and read what it complains about: an unreachable mirror, an expired key, a wrong "
                "/etc/apt/sources.list; `systemctl status apt-daily.timer`.",
                "执行 `apt-get update` 并查看报错：镜像不可达、密钥过期或 /etc/apt/sources.list 有误；"
                "并查看 `systemctl status apt-daily.timer`。",
            ),
            warn="3",
            uom="d",
            source="Linuxfabrik deb-updates",
        ),
        "updates.held": Rule(
            title=Text("No package is held back", "没有被锁定的软件包"),
            fix=Text(
                "`apt-mark showhold`; `apt-mark unhold PACKAGE`, or a waiver with the reason and a day.",
                "执行 `apt-mark showhold` 查看；用 `apt-mark unhold 包名` 解除，或登记带原因和期限的豁免。",
            ),
            warn="0",
            uom="c",
            source="a held package gets no security update",
        ),
        "updates.broken": Rule(
            title=Text("Packages are completely installed", "软件包安装完整"),
            fix=Text(
                "`dpkg --audit`, then `dpkg --configure -a` and `apt-get -f install`: until then no update can be installed.",
                "执行 `dpkg --audit`，再 `dpkg --configure -a` 和 `apt-get -f install`；修复前无法安装任何更新。",
            ),
        ),
        "updates.unattended": Rule(
            title=Text("Unattended upgrades run", "自动安全更新在运行"),
            fix=Text(
                "`apt-get install unattended-upgrades`, `dpkg-reconfigure unattended-upgrades`; "
                "`unattended-upgrade --dry-run -v`; `systemctl status apt-daily-upgrade.timer`.",
                "安装并启用 unattended-upgrades（`dpkg-reconfigure unattended-upgrades`）；"
                "执行 `unattended-upgrade --dry-run -v`，查看 `systemctl status apt-daily-upgrade.timer`。",
            ),
            warn="3",
            uom="d",
            source="runs daily; three days without are a fault",
        ),
        "updates.restart": Rule(
            title=Text("Services run what is installed", "服务使用的是已安装的版本"),
            fix=Text(
                "Restart the services named in the maintenance window (`systemctl restart UNIT`): they still run the code "
                "from before the update.",
                "在维护窗口重启所示服务（`systemctl restart UNIT`）：它们仍在使用更新前的代码。",
            ),
            warn="0",
            crit="7",
            uom="d",
            source="needrestart; critical for the services named in units, after a week",
        ),
    },
    sentences={
        "updates.no_apt": Text("this host has no apt", "本机没有 apt"),
        "updates.cannot_tell": Text("cannot tell which updates wait: {error}", "无法判断有哪些待安装更新：{error}"),
        "updates.none_security": Text(
            "no security update waits, by lists that are {lists} old", "没有待安装的安全更新（列表为 {lists} 前）"
        ),
        "updates.some_security": Text(
            "{count} security updates wait, the oldest for {age}: {names}",
            "有 {count} 个安全更新待安装，最久已等待 {age}：{names}",
        ),
        "updates.waiting": Text("{value:.0f} other updates wait", "另有 {value:.0f} 个普通更新待安装"),
        "updates.lists_age": Text("package lists are {age} old", "软件包列表为 {age} 前"),
        "updates.lists_missing": Text(
            "the lists of {count} package sources are not there: the last update of the lists failed",
            "缺少 {count} 个软件源的列表：上次更新列表失败",
        ),
        "updates.no_sources": Text("no package source is configured", "未配置软件源"),
        "updates.held_some": Text("{value:.0f} packages are held: {names}", "{value:.0f} 个软件包被锁定：{names}"),
        "updates.held_none": Text("no package is held", "没有被锁定的软件包"),
        "updates.broken_some": Text(
            "{count} packages are not completely installed: {names}", "{count} 个软件包未安装完整：{names}"
        ),
        "updates.broken_none": Text("all {count} packages are completely installed", "{count} 个软件包均安装完整"),
        "updates.unattended_absent": Text(
            "unattended-upgrades is not installed: updates are installed by hand",
            "未安装 unattended-upgrades：更新由人工安装",
        ),
        "updates.unattended_off": Text(
            "unattended-upgrades is installed and switched off (APT::Periodic)",
            "unattended-upgrades 已安装但未启用（APT::Periodic）",
        ),
        "updates.unattended_ran": Text("unattended-upgrades ran {age} ago", "unattended-upgrades 于 {age} 前运行"),
        "updates.unattended_never": Text(
            "unattended-upgrades is switched on and has never run", "unattended-upgrades 已启用但从未运行"
        ),
        "updates.unattended_errors": Text(
            "unattended-upgrades ran {age} ago and reported {count} errors in its last runs",
            "unattended-upgrades 于 {age} 前运行，最近日志中有 {count} 个错误",
        ),
        "updates.restart_none": Text(
            "no service runs replaced code ({count} processes looked at)",
            "没有服务在使用已被替换的文件（共 {count} 个进程）",
        ),
        "updates.restart_some": Text(
            "{count} services run code that was replaced, since {age}: {names}",
            "{count} 个服务仍在使用已被替换的文件，已 {age}：{names}",
        ),
        "updates.restart_hidden": Text(
            "may not look at the processes of other users: run as root", "无权查看其他用户的进程：请以 root 运行"
        ),
    },
)
