# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about files and directories."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean import area as temp

AREA = Area(
    "file",
    rules={
        "file.exists": Rule(
            title=Text("File exists", "文件存在"),
            fix=Text(
                "Find out what should have made it or who removed it; a path that has changed: correct it in the inventory.",
                "查明应由谁生成、被谁删除；路径若已变更，修正清单变量。",
            ),
        ),
        "file.size": Rule(
            title=Text("Size of a file or directory", "文件或目录大小"),
            fix=Text(
                "du -xh --max-depth=1 PATH | sort -h shows what is big; rotate or clean it, or raise warn_size.",
                "用 du -xh --max-depth=1 PATH | sort -h 找出大户，轮转或清理；或调大 warn_size。",
            ),
            uom="B",
            source="runbook D2.4",
        ),
        "file.age": Rule(
            title=Text("Age of a file", "文件时间"),
            fix=Text(
                "The job that writes it did not run or failed: look at its timer or crontab and its log.",
                "写入该文件的任务未运行或失败：查看其定时器或 crontab 以及日志。",
            ),
            uom="s",
        ),
        "file.mode": Rule(
            title=Text("Owner and mode of a file", "文件属主与权限"),
            fix=Text(
                "chown and chmod it back, and find out what changed it.", "用 chown、chmod 改回，并查明由谁更改。"
            ),
        ),
        **temp.RULES,
    },
    sentences={
        "file.present": Text("{item} exists", "{item} 存在"),
        "file.absent": Text("{item} does not exist, as expected", "{item} 不存在，符合预期"),
        "file.missing": Text("{item} does not exist", "{item} 不存在"),
        "file.missing_optional": Text("{item} does not exist, as is allowed", "{item} 不存在（允许）"),
        "file.unexpected": Text("{item} exists, expected none", "{item} 存在，期望不存在"),
        "file.wrong_type": Text("{item} is a {seen}, expected a {expected}", "{item} 的类型为 {seen}，期望 {expected}"),
        "file.denied": Text("{item} may not be looked at by {user}: {error}", "{item}：{user} 无权查看：{error}"),
        "file.bytes": Text(
            "{item}: {size} in {entries} entries{growth}", "{item}：{size}，共 {entries} 个条目{growth}"
        ),
        "file.bytes_partial": Text(
            "{item}: at least {size}, stopped after {entries} entries{denied}",
            "{item}：至少 {size}，查看 {entries} 个条目后停止{denied}",
        ),
        "file.too_small": Text("{item}: {size}, expected at least {wanted}", "{item}：{size}，期望不小于 {wanted}"),
        "file.changed": Text("{item}: last changed {age} ago", "{item}：{age} 前更新"),
        "file.too_young": Text(
            "{item}: changed {age} ago, expected none within {wanted}", "{item}：{age} 前被改动，期望 {wanted} 内不变"
        ),
        "file.rights": Text("{item}: {owner}:{group} {mode}", "{item}：{owner}:{group} {mode}"),
        "file.rights_differ": Text(
            "{item}: {owner}:{group} {mode}, expected {wanted}", "{item}：{owner}:{group} {mode}，期望 {wanted}"
        ),
        **temp.SENTENCES,
    },
)
