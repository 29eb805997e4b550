# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of a private file: what is good, what is not, and what cannot be told."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from databases import tree

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import teller
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.prove import prove


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("level", ["full", "quick"])
def test_good(database, level):
    before = tree(database.parent)
    proof = prove(database, Deadline(20), level=level)
    assert proof.good and proof.sound
    assert proof.facts["rows"] == {"users": 0, "vocabulary": 50}
    assert proof.facts["newest"] == "2026-11-20"
    assert proof.facts["page_size"] * proof.facts["page_count"] == database.stat().st_size
    assert tree(database.parent) == before, "nothing is left beside it, not even in WAL mode"


def test_level_none_proves_the_facts_alone(database):
    proof = prove(database, Deadline(20), level="none")
    assert proof.facts["rows"]["vocabulary"] == 50
    assert not proof.good, "nobody checked the structure"


def test_an_empty_file_is_never_good(tmp_path):
    empty = tmp_path / "empty.db"
    empty.touch()
    proof = prove(empty, Deadline(20))
    assert proof.integrity == ["ok"], "the trap this is about"
    assert not proof.good


def test_a_stale_index_is_found_by_the_full_check_alone(database):
    change(database, "CREATE INDEX names ON users (name)", "INSERT INTO users (name) VALUES ('before')")
    with closing(sqlite3.connect(database)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'names'").fetchone()
    page = slice((root - 1) * 4096, root * 4096)
    stale = database.read_bytes()[page]
    change(database, "UPDATE users SET name = 'after!'")
    content = bytearray(database.read_bytes())
    content[page] = stale
    database.write_bytes(content)
    assert prove(database, Deadline(20), level="quick").integrity == ["ok"]
    full = prove(database, Deadline(20))
    assert not full.sound
    assert any("missing from index names" in line for line in full.integrity)


def test_damage(database):
    with database.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 8192)
    proof = prove(database, Deadline(20))
    assert not proof.sound
    assert proof.integrity != ["ok"]


def test_no_database(tmp_path):
    path = tmp_path / "text.db"
    path.write_text("not a database " * 100, encoding="utf-8")
    proof = prove(path, Deadline(20))
    assert not proof.good
    assert proof.facts["error"] == "file is not a database"


def test_broken_references(database):
    change(
        database,
        "CREATE TABLE reviews (id INTEGER PRIMARY KEY, word INTEGER REFERENCES vocabulary (id))",
        *(f"INSERT INTO reviews (word) VALUES ({number})" for number in (1, 7001, *range(8000, 8020))),
    )
    proof = prove(database, Deadline(20))
    assert proof.sound and not proof.good
    assert proof.foreign_key_count == 21
    assert proof.foreign_keys[0] == "reviews row 2 refers to a row of vocabulary that is not there"
    assert len(proof.foreign_keys) == 10


def test_a_reference_that_cannot_be(database):
    change(
        database,
        "CREATE TABLE reviews (word TEXT REFERENCES vocabulary (created_at))",
        "INSERT INTO reviews VALUES ('x')",
    )
    proof = prove(database, Deadline(20))
    assert proof.sound and not proof.good
    assert "mismatch" in proof.foreign_keys[0]


def test_out_of_time(database):
    with pytest.raises(OpsError, match="has not ended within"):
        prove(database, Deadline(0))


def test_missing(tmp_path):
    with pytest.raises(OpsError, match="is not there"):
        prove(tmp_path / "none.db", Deadline(20))
    assert not list(tmp_path.iterdir())


def test_it_tells_how_far_it_is(database, tmp_path):
    told = tmp_path / "progress"
    told.touch()
    prove(database, Deadline(20), teller(str(told)))
    line = json.loads(told.read_text(encoding="utf-8"))
    assert line["stage"] == "integrity_check"
    assert line["done"] == 1.0


def test_a_strange_name(database):
    strange = database.with_name("a b?c#d%20.db")
    shutil.copy(database, strange)
    assert prove(strange, Deadline(20)).good
