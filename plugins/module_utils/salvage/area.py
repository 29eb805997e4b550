# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a salvage: titles, advice and every sentence."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

AREA = Area(
    "salvage",
    rules={
        "salvage.rows": Rule(
            title=Text("Rows that were never replicated", "从未复制的行"),
            fix=Text(
                "A person reads {path} and its manifest and decides which rows the users get back; nothing is merged by itself. "
                "docs/salvage.md tells how.",
                "由人查看 {path} 及其清单，决定为用户找回哪些行；不会自动合并。方法见 docs/salvage.md。",
            ),
        ),
        "salvage.common": Rule(
            title=Text("The state both sides had in common", "两边的共同状态"),
            fix=Text(
                "Without it a row that the new primary changed counts too. Keep the replica of the former epoch on the new "
                "primary until the salvage is done.",
                "缺少共同状态时，新主机改过的行也会计入。在回收完成前，请保留新主机上旧纪元的副本。",
            ),
        ),
        "salvage.whole": Rule(
            title=Text("All tables compared", "所有表均已比对"),
            fix=Text(
                "Look at the tables named here by hand in the database that was set aside.",
                "请在已移开的数据库中人工查看所列的表。",
            ),
        ),
    },
    sentences={
        "salvage.rows_none": Text("no row was lost: all of them had been replicated", "没有丢失的行：全部已复制"),
        "salvage.rows_lost": Text(
            "{value} rows of {count} tables were never replicated, {conflicts} of them changed on both sides: {path}",
            "{count} 张表共 {value} 行从未复制，其中 {conflicts} 行两边都改过：{path}",
        ),
        "salvage.rows_differ": Text(
            "{value} rows of {count} tables differ from the new primary's; how many of them it changed itself is not known: {path}",
            "{count} 张表共 {value} 行与新主机不同，其中多少是新主机自己改的无法得知：{path}",
        ),
        "salvage.common_known": Text(
            "compared with what both had, transaction {txid}", "以共同状态（事务 {txid}）为基准比对"
        ),
        "salvage.common_missing": Text(
            "the state both had is not to be had, so the counts are upper bounds: {error}",
            "无法取得共同状态，数字只是上限：{error}",
        ),
        "salvage.all": Text("all {count} tables were compared", "{count} 张表全部比对"),
        "salvage.left": Text("not compared: {names}", "未比对：{names}"),
    },
)
