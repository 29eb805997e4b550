# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a ledger: every event unchanged, none missing, none cut off, indexes and schema as they should be."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.anchor import Anchor, anchor_path, read_anchor
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.chain import genesis_hash
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import digest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.schema import COLUMNS, SCHEMA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger

AREA = Area(
    "ledger",
    rules={
        "ledger.chain": Rule(
            title=Text("The ledger is complete and unchanged", "台账完整且未被改动"),
            fix=Text(
                "Keep the damaged ledger and its .anchor as proof (cp -a to another place). Put back the newest copy that "
                "verifies, or move both files away: the next record starts a new ledger.",
                "先用 cp -a 把损坏的台账和 .anchor 另存留证。再换回最近一份能通过校验的副本；没有副本就把两个文件一起移走，"
                "下一次记录会新建台账。",
            ),
            source="sha256 chain over all columns; anchor file beside the ledger",
        )
    },
    sentences={
        "ledger.intact": Text(
            "{events} events, chain and anchor agree, head {head}", "共 {events} 条事件，哈希链与锚点一致，链尾 {head}"
        ),
        "ledger.unreadable": Text(
            "cannot be read after event {seq}: {problem}", "第 {seq} 条事件之后无法读取：{problem}"
        ),
        "ledger.identity": Text(
            "the ledger's own identity is damaged: {seen}, expected one row of id and creation time",
            "台账自身标识损坏：{seen}，应为一行（编号与创建时间）",
        ),
        "ledger.sequence": Text(
            "event {seq} is missing: found {seen} in its place", "缺少第 {seq} 条事件，此处却是 {seen}"
        ),
        "ledger.type": Text(
            "event {seq} holds {seen} where {expected} is expected",
            "第 {seq} 条事件的字段类型为 {seen}，应为 {expected}",
        ),
        "ledger.link": Text(
            "event {seq} names {seen} as the hash before it, expected {expected}: an event was changed, put in or taken out",
            "第 {seq} 条事件记录的前一条哈希为 {seen}，应为 {expected}：有事件被改动、插入或删除",
        ),
        "ledger.content": Text(
            "event {seq} was changed: its content hashes to {seen}, recorded was {expected}",
            "第 {seq} 条事件被改动：内容哈希为 {seen}，记录为 {expected}",
        ),
        "ledger.no_anchor": Text(
            "the anchor file is missing: cannot tell whether events after {seq} were cut off",
            "锚点文件缺失：无法判断第 {seq} 条之后是否被截断",
        ),
        "ledger.bad_anchor": Text("{problem}", "锚点文件损坏或无法读取：{problem}"),
        "ledger.truncated": Text(
            "ends at event {seen}, but its anchor knows event {expected}: the events from {seq} on were cut off",
            "台账止于第 {seen} 条，锚点却记有第 {expected} 条：从第 {seq} 条起被截断",
        ),
        "ledger.replaced": Text(
            "event {seq} has hash {seen}, its anchor knows {expected}: the ledger was replaced or rewritten",
            "第 {seq} 条事件的哈希为 {seen}，锚点记录为 {expected}：台账被替换或重写",
        ),
        "ledger.foreign_anchor": Text(
            "the anchor belongs to another ledger ({expected}; this one is {seen})",
            "锚点属于另一份台账（{expected}；当前为 {seen}）",
        ),
        "ledger.schema": Text(
            "tables, indexes or triggers differ from those of the format: {seen}", "表、索引或触发器与格式不符：{seen}"
        ),
        "ledger.structure": Text(
            "all {events} events are unchanged, but the file is damaged around them: {problem}",
            "全部 {events} 条事件未变，但数据库文件结构有损坏：{problem}",
        ),
    },
)

_TYPES = "integer text text text text text text text"
# Rows per read transaction: a long verify must not hold up a writer's commit, and 60 KB events must fit in memory.
CHUNK = 100


def verify(ledger: Ledger) -> Check:
    """Return one check ``ledger.chain``: OK, or the first thing that is wrong and the event it begins with.

    Raises OpsError when there is no ledger at that path, or nothing that could be one.
    """
    say = AREA.reporter(source="ledger")

    def bad(sentence: str, **params: Any) -> Check:
        return say.find("ledger.chain", Status.CRITICAL, sentence, item=str(ledger.path), **params)

    try:
        # Before the ledger: read after it, the anchor of a commit in between would seem to lead.
        anchor: Anchor | None | str = read_anchor(ledger.path)
    except OpsError as exc:
        anchor = str(exc)
    with ledger.reading() as connection:
        connection.text_factory = bytes
        walk = _Walk(connection)
        try:
            found = walk.first_problem(anchor)
            if found is not None:
                sentence, params = found
                return bad(sentence, **params)
            if anchor is None:
                return bad("ledger.no_anchor", seq=walk.seq, evidence=[f"expected {anchor_path(ledger.path)}"])
            if isinstance(anchor, str):
                return bad("ledger.bad_anchor", problem=anchor)
            schema = _schema_difference(connection)
            if schema:
                return bad("ledger.schema", seen="; ".join(schema), evidence=schema)
            # Every row has its entry in each index and no index has one more, CHECK and NOT NULL hold.
            rows = [_text(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            if rows != ["ok"]:
                return bad("ledger.structure", events=walk.seq, problem=rows[0], evidence=rows)
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            return bad("ledger.unreadable", seq=walk.seq, problem=str(exc))
    return say.find(
        "ledger.chain",
        Status.OK,
        "ledger.intact",
        item=str(ledger.path),
        events=walk.seq,
        head=walk.head[:12],
        value=walk.seq,
    )


class _Walk:
    """Reads the chain from its first event; ``seq`` and ``head`` are the last event found good and its hash."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.seq = 0
        self.head = ""

    def first_problem(self, anchor: Anchor | None | str) -> tuple[str, dict[str, Any]] | None:
        identity = self._connection.execute("SELECT typeof(id), typeof(created), id, created FROM ledger").fetchall()
        if len(identity) != 1 or identity[0][:2] != (b"text", b"text"):
            return "ledger.identity", {"seen": f"{len(identity)} rows"}
        ledger_id = _text(identity[0][2])
        self.head = genesis_hash(ledger_id, _text(identity[0][3]))
        known = anchor if isinstance(anchor, Anchor) else None
        if known and known.ledger != ledger_id:
            return "ledger.foreign_anchor", {"expected": known.ledger[:12], "seen": ledger_id[:12]}
        if known and known.seq == 0 and known.hash != self.head:
            return "ledger.replaced", {"seq": 0, "seen": self.head[:12], "expected": known.hash[:12]}
        for types, row in self._rows():
            problem = self._problem_of(types, row)
            if problem:
                return problem
            self.seq, self.head = row[0], _text(row[6])
            if known and known.seq == self.seq and known.hash != self.head:
                return "ledger.replaced", {"seq": self.seq, "seen": self.head[:12], "expected": known.hash[:12]}
        if known and known.seq > self.seq:
            return "ledger.truncated", {"seq": self.seq + 1, "seen": self.seq, "expected": known.seq}
        return None

    def _rows(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        kinds = " || ' ' || ".join(f"typeof({column})" for column in COLUMNS.split(", "))
        # NOT INDEXED: the order of the table itself, also when an index is damaged.
        query = f"SELECT {kinds}, {COLUMNS} FROM events NOT INDEXED WHERE seq > ? ORDER BY seq LIMIT {CHUNK}"
        last = -(2**63)  # a row with seq <= 0 is never written, and would be found
        while True:
            rows = self._connection.execute(query, (last,)).fetchall()
            for row in rows:
                yield _text(row[0]), row[1:]
            if len(rows) < CHUNK:
                return
            last = rows[-1][1]

    def _problem_of(self, types: str, row: tuple[Any, ...]) -> tuple[str, dict[str, Any]] | None:
        expected_seq = self.seq + 1
        if row[0] != expected_seq:
            return "ledger.sequence", {"seq": expected_seq, "seen": f"event {row[0]}"}
        if types != _TYPES:
            return "ledger.type", {"seq": expected_seq, "seen": types, "expected": _TYPES}
        at, kind, subject, run_id, prev, recorded, data = row[1:]
        if _text(prev) != self.head:
            return "ledger.link", {"seq": expected_seq, "seen": _text(prev)[:12], "expected": self.head[:12]}
        # Over the bytes as stored: text that is no longer UTF-8 must be a changed event, not an error.
        actual = digest(str(row[0]).encode(), at, kind, subject, run_id, prev, data)
        if actual != _text(recorded):
            evidence = [f"{_text(at)} {_text(kind)} {_text(subject)} {_text(run_id)}", _text(data)[:200]]
            found = {"seq": expected_seq, "seen": actual[:12], "expected": _text(recorded)[:12]}
            return "ledger.content", {**found, "evidence": evidence}
        try:
            json.loads(data)
        except ValueError as exc:
            return "ledger.unreadable", {"seq": self.seq, "problem": str(exc)}
        return None


def _schema_difference(connection: sqlite3.Connection) -> list[str]:
    """Return what the schema lacks, has too much or has differently, against one freshly made."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for statement in SCHEMA:
            fresh.execute(statement)
        expected = _schema(fresh)
    seen = _schema(connection)
    names = sorted({*expected, *seen})
    return [
        f"{'missing' if name not in seen else 'unexpected' if name not in expected else 'changed'}: {' '.join(name)}"
        for name in names
        if expected.get(name) != seen.get(name)
    ]


def _schema(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[str, str]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return {(_text(kind), _text(name)): (_text(table), _text(sql)) for kind, name, table, sql in rows}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
