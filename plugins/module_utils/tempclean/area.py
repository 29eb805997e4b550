# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about stale temporary files; the probe ``file`` has it in its area."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Rule, Text

RULES = {
    "temp.stale": Rule(
        title=Text("Stale temporary files", "过期临时文件"),
        fix=Text(
            "The evening run of daily_checks removes them (daily_checks_clean); many of them every day: find out why the "
            "application leaves them behind.",
            "晚间检查会清理（daily_checks_clean）；若每天都很多，请查明应用为何遗留。",
        ),
        warn="1000",
        source="chosen: a thousand is a leak, a few are litter",
    ),
}
SENTENCES = {
    "temp.count": Text(
        "{item}: {value:.0f} stale temporary files, {size} ({kept} matching ones stay: {reasons})",
        "{item}：过期临时文件 {value:.0f} 个，共 {size}（另有 {kept} 个匹配但保留：{reasons}）",
    ),
    "temp.partial": Text(
        "{item}: at least {value:.0f} stale temporary files, stopped after {entries} entries",
        "{item}：过期临时文件至少 {value:.0f} 个，查看 {entries} 个条目后停止",
    ),
}
