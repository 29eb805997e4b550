# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify finds every change of a ledger and says where it begins."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.anchor import anchor_path
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.chain import hash_event
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import NewEvent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.verify import AREA, verify


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "ledger.db")
    for number in range(40):
        run_id = f"r{number}" if number % 2 else ""
        data = {"text": f"检查 {number}", "pad": "x" * (number * 300)}
        ledger.append([NewEvent("check.run", f"tutor{number % 3}", data, run_id=run_id)])
    return ledger


def tamper(ledger: Ledger, *statements: str) -> None:
    """Change the ledger as somebody with the sqlite3 command would: the triggers go first and come back."""
    connection = sqlite3.connect(ledger.path, isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _sql in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for _name, sql in triggers:
        connection.execute(sql)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "sentence", "seq"),
    [
        ("UPDATE events SET data = replace(data, '检查', '检验') WHERE seq = 7", "ledger.content", 7),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 8", "ledger.content", 8),
        ("UPDATE events SET run_id = 'r99' WHERE seq = 1", "ledger.content", 1),
        ("UPDATE events SET hash = prev WHERE seq = 9", "ledger.content", 9),
        ("UPDATE events SET prev = hash WHERE seq = 9", "ledger.link", 9),
        ("UPDATE events SET data = CAST(data AS BLOB) WHERE seq = 11", "ledger.type", 11),
        ("DELETE FROM events WHERE seq = 12", "ledger.sequence", 12),
        ("DELETE FROM events WHERE seq = 1", "ledger.sequence", 1),
        ("DELETE FROM events WHERE seq > 38", "ledger.truncated", 39),
        ("DELETE FROM events", "ledger.truncated", 1),
        (
            "INSERT INTO events SELECT 0, at, kind, subject, '', prev, hash, data FROM events WHERE seq = 1",
            "ledger.sequence",
            1,
        ),
        ("UPDATE ledger SET created = '2020'", "ledger.link", 1),
        ("UPDATE ledger SET id = 'x'", "ledger.foreign_anchor", None),
        ("DELETE FROM ledger", "ledger.identity", None),
        ("DROP INDEX events_at", "ledger.schema", None),
        ("CREATE TABLE extra (x)", "ledger.schema", None),
    ],
)
def test_the_first_bad_event_is_named(ledger: Ledger, statement: str, sentence: str, seq: int | None) -> None:
    assert verify(ledger).status == 0
    tamper(ledger, statement)
    check = verify(ledger)
    assert (check.status, check.message, check.params.get("seq")) == (2, sentence, seq)
    assert check.fix == "ledger.chain"


def test_a_dropped_trigger_is_found(ledger: Ledger) -> None:
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("DROP TRIGGER events_delete")
    connection.close()
    assert "missing: trigger events_delete" in verify(ledger).summary


def test_a_rewritten_tail_with_good_hashes_is_found(ledger: Ledger) -> None:
    """The chain is valid again after rewriting its last event; only the anchor knows better."""
    connection = sqlite3.connect(ledger.path)
    at, kind, subject, run_id, prev = connection.execute(
        "SELECT at, kind, subject, run_id, prev FROM events WHERE seq = 40"
    ).fetchone()
    connection.close()
    new = hash_event(40, at, kind, subject, run_id, prev, "{}")
    tamper(ledger, f"UPDATE events SET data = '{{}}', hash = '{new}' WHERE seq = 40")
    check = verify(ledger)
    assert (check.message, check.params["seq"]) == ("ledger.replaced", 40)


def test_the_anchor_itself(ledger: Ledger, tmp_path: Path) -> None:
    path = anchor_path(ledger.path)
    good = path.read_bytes()
    path.unlink()
    assert verify(ledger).message == "ledger.no_anchor"
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        assert verify(ledger).status == 2, position
    other = Ledger(tmp_path / "other.db")
    other.append([NewEvent("a", "b")])
    path.write_bytes(anchor_path(other.path).read_bytes())
    assert verify(ledger).message == "ledger.foreign_anchor"
    path.write_bytes(good)
    assert verify(ledger).status == 0


def state(ledger: Ledger) -> str:
    try:
        return verify(ledger).message
    except OpsError as exc:
        return f"refused: {exc}"


def content(path: Path) -> tuple:
    """Everything a reader can get out of the file, through plain SQLite, by the table and by each index."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.text_factory = bytes
    columns = ("seq", "at", "kind", "subject", "run_id", "prev", "hash", "data")
    typed = ", ".join(f"typeof({name}), {name}" for name in columns)
    result = [connection.execute(f"SELECT {typed} FROM events NOT INDEXED").fetchall()]
    for index, where in (("events_subject", ""), ("events_at", ""), ("events_once", "WHERE run_id <> ''")):
        result.append(
            connection.execute(f"SELECT {typed} FROM events INDEXED BY {index} {where} ORDER BY seq").fetchall()
        )
    result.append(connection.execute("SELECT kind, subject, at, seq FROM events INDEXED BY events_subject").fetchall())
    result.append(connection.execute("SELECT kind, at, seq FROM events INDEXED BY events_at").fetchall())
    result.append(connection.execute("SELECT * FROM ledger").fetchall())
    result.append(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall())
    connection.close()
    return tuple(result)


def test_no_changed_byte_goes_unseen(ledger: Ledger) -> None:
    """Flip bits of 1,500 bytes, one at a time: verify reports it, or nothing that can be read differs."""
    original = ledger.path.read_bytes()
    expected = content(ledger.path)
    chance = random.Random(20261123)
    positions = [*range(100), *chance.sample(range(100, len(original)), 1400)]
    outcomes: Counter[str] = Counter()
    for position in positions:
        with ledger.path.open("r+b") as stream:
            stream.seek(position)
            stream.write(bytes([original[position] ^ chance.randrange(1, 256)]))
        found = state(ledger)
        if found == "ledger.intact":
            assert content(ledger.path) == expected, f"byte {position} of {len(original)} changed what is read, unseen"
        outcomes[found.split(":")[0]] += 1
        with ledger.path.open("r+b") as stream:
            stream.seek(position)
            stream.write(original[position : position + 1])
        for leftover in ledger.path.parent.glob("ledger.db-*"):
            leftover.unlink()
    assert ledger.path.read_bytes() == original
    # Nine of ten bytes of this file are events; were verify to say "intact" more often, it would not look.
    assert outcomes["ledger.intact"] < len(positions) * 0.25, outcomes
    assert outcomes["ledger.content"] > len(positions) * 0.5, outcomes


def test_a_truncated_file_is_found(ledger: Ledger) -> None:
    whole = ledger.path.read_bytes()
    for keep in (len(whole) - 4096, len(whole) // 2, 5000, 100, 1):
        ledger.path.write_bytes(whole[:keep])
        assert state(ledger) != "ledger.intact", keep


def test_both_languages_take_the_same_values() -> None:
    from string import Formatter

    for key, text in AREA.sentences.items():
        fields = [{name for _text, name, _spec, _conv in Formatter().parse(locale) if name} for locale in text]
        assert fields[0] == fields[1], key
