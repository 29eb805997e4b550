# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two databases that went their own ways, counted by means of our own, and the export applied."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage import export, prove
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.literals import Literals

sys.path.insert(0, str(Path(__file__).parent))

import seeded

SEEDS = range(20)
WORDS = {"schema": "ops.salvage/1", "run_id": "run", "host": "tutor1"}
# Of the tables of the seeds: the places of the key, which SQLite compares without case in names; none are whole rows.
KEYS = {
    "words": (0,),
    "names": (0,),
    "pairs": (0, 1),
    'odd "name"; --': (0,),
    "docs": (0,),
    "cards": (0,),
    "notes": (0,),
}


def made(old: Path, ref: Path, new: Path | None, out: Path) -> dict[str, Any]:
    """Write an export of databases nobody has open."""
    descriptor = os.open(out, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        return export.compare(old, ref, new, descriptor, out.with_name("later"), WORDS, silent)
    finally:
        os.close(descriptor)


def proved(old: Path, ref: Path, script: Path, left: list[str]) -> dict[str, Any]:
    with script.open("rb") as text:
        return prove.prove(old, ref, text.fileno(), left, silent)


def by_key(rows: Counter[tuple[Any, ...]], places: tuple[int, ...]) -> dict[Any, Any]:
    """Return the rows by their key; rows with NULL in it are left to the comparison of whole rows."""

    def fold(one: Any) -> Any:
        # NOCASE knows the letters of ASCII.
        return "".join(c.lower() if c.isascii() else c for c in one) if isinstance(one, str) else one

    return {tuple(fold(row[place][1]) for place in places): row for row in rows}


def expected(paths: seeded.Diverged) -> dict[str, Counter[str]]:
    """Count what there is to find, in memory and without SQL."""
    base, old, new = seeded.rows(paths.base), seeded.rows(paths.old), seeded.rows(paths.new)
    found = {}
    for name in old:
        count: Counter[str] = Counter()
        for kind, what, number in (
            _keyed(*(by_key(side[name], KEYS[name]) for side in (base, old, new)))
            if name in KEYS
            else _parts(base[name], old[name], new[name])
        ):
            count[kind] += number
            count[what] += number
        found[name] = count
    return found


def _keyed(base: dict[Any, Any], old: dict[Any, Any], new: dict[Any, Any]) -> Iterator[tuple[str, str, int]]:
    for key in base.keys() | old.keys():
        was, here, there = base.get(key), old.get(key), new.get(key)
        if was != here:
            kind = "inserted" if was is None else "deleted" if here is None else "updated"
            yield kind, "same" if there == here else "lost" if there == was else "conflict", 1


def _parts(base: Counter[Any], old: Counter[Any], new: Counter[Any]) -> Iterator[tuple[str, str, int]]:
    """Of the table with a key that may be NULL, rows with the same key are one; of the others each is its own."""
    for row in base.keys() | old.keys():
        here, there = old[row] - base[row], new[row] - base[row]
        shared = min(abs(here), abs(there)) if here * there > 0 else 0
        for what, number in (("same", shared), ("lost", abs(here) - shared)):
            if number:
                yield "inserted" if here > 0 else "deleted", what, number


@pytest.mark.parametrize("seed", SEEDS)
def test_the_export_gives_the_former_primary_and_counts_exactly(seed: int, tmp_path: Path) -> None:
    paths = seeded.diverged(tmp_path, seed, ("UTF-8", "UTF-16le")[seed % 2])
    before = {path: path.read_bytes() for path in (paths.old, paths.new, paths.base)}
    found = made(paths.old, paths.base, paths.new, tmp_path / "salvage.sql")
    assert {path: path.read_bytes() for path in before} == before, "only read"
    shutil.copy(paths.base, tmp_path / "applied.db")
    seeded.apply(tmp_path / "salvage.sql", tmp_path / "applied.db")
    assert seeded.rows(tmp_path / "applied.db") == seeded.rows(paths.old)
    assert found["not_compared"] == {} and found["schema_differs"] == []
    want = expected(paths)
    nullable = want.pop("nullable")
    for name, count in want.items():
        seen = found["tables"][name]
        assert Counter({kind: seen[kind] for kind in count}) == count, name
        assert seen["rows"] == count["lost"] + count["conflict"], name
    # Its rows with a key are compared by key, those with NULL as a whole: together they are what the rows tell.
    seen = found["tables"]["nullable"]
    assert seen["inserted"] + seen["updated"] == nullable["inserted"]
    assert seen["deleted"] + seen["updated"] == nullable["deleted"]
    assert found["total"]["rows"] == sum(one["rows"] for one in found["tables"].values()) > 0


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_without_the_common_state_it_is_told_that_nothing_is_decided(seed: int, tmp_path: Path) -> None:
    paths = seeded.diverged(tmp_path, seed)
    found = made(paths.old, paths.new, None, tmp_path / "salvage.sql")
    assert found["total"]["undecided"] == found["total"]["rows"] > 0
    assert found["total"]["lost"] == found["total"]["conflict"] == 0
    shutil.copy(paths.new, tmp_path / "applied.db")
    seeded.apply(tmp_path / "salvage.sql", tmp_path / "applied.db")
    assert seeded.rows(tmp_path / "applied.db") == seeded.rows(paths.old)


def test_lines_of_conflicts_can_be_left_out(tmp_path: Path) -> None:
    """What is left is applied to the new primary's database without touching a row that it changed."""
    for name, sql in (
        ("base", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"),
        ("old", "UPDATE t SET v = 'old' WHERE id < 3; INSERT INTO t VALUES (4, 'old'), (5, '-- !conflict')"),
        ("new", "UPDATE t SET v = 'new' WHERE id = 2; INSERT INTO t VALUES (4, 'new'); DELETE FROM t WHERE id = 3"),
    ):
        if name != "base":
            shutil.copy(tmp_path / "base.db", tmp_path / f"{name}.db")
        with closing(seeded.connect(tmp_path / f"{name}.db")) as connection:
            connection.executescript(sql)
    found = made(tmp_path / "old.db", tmp_path / "base.db", tmp_path / "new.db", tmp_path / "salvage.sql")
    assert (found["total"]["lost"], found["total"]["conflict"]) == (2, 2)
    lines = (tmp_path / "salvage.sql").read_text().splitlines(keepends=True)
    (tmp_path / "rest.sql").write_text("".join(line for line in lines if not line.endswith("-- !conflict\n")))
    seeded.apply(tmp_path / "rest.sql", tmp_path / "new.db")
    with closing(seeded.connect(tmp_path / "new.db")) as connection:
        rows = connection.execute("SELECT * FROM t ORDER BY id").fetchall()
    assert rows == [(1, "old"), (2, "new"), (4, "new"), (5, "-- !conflict")]


def test_triggers_do_not_fire_and_text_indexes_know_the_rows(tmp_path: Path) -> None:
    paths = seeded.diverged(tmp_path, 3)
    with closing(seeded.connect(paths.old)) as connection:
        connection.execute("INSERT INTO docs (title, body) VALUES ('singular', 'needle')")
        connection.execute("INSERT INTO notes VALUES ('singular', 'needle')")
    made(paths.old, paths.base, paths.new, tmp_path / "salvage.sql")
    seeded.apply(tmp_path / "salvage.sql", paths.base)
    with closing(seeded.connect(paths.base)) as connection, closing(seeded.connect(paths.old)) as other:
        for table in ("found", "notes"):
            hit = f"SELECT count(*) FROM {table} WHERE {table} MATCH 'needle'"
            assert connection.execute(hit).fetchone() == (1,), table
            connection.execute(f"INSERT INTO {table}({table}) VALUES ('integrity-check')")
        kept = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        assert connection.execute(kept).fetchall() == other.execute(kept).fetchall() != []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_schema_that_changed_on_one_side(tmp_path: Path) -> None:
    """A table the other side does not know is made, one with other columns is written beside it, and it is told."""
    for name, sql in (
        ("base", "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'); CREATE TABLE gone (a)"),
        ("old", "ALTER TABLE t ADD COLUMN w; INSERT INTO t VALUES (2, '1', x'00'); CREATE TABLE more (k TEXT PRIMARY KEY);"
                "INSERT INTO more VALUES ('x'); DROP TABLE gone"),
        ("new", "CREATE INDEX i ON t (v)"),
    ):  # fmt: skip
        if name != "base":
            shutil.copy(tmp_path / "base.db", tmp_path / f"{name}.db")
        with closing(seeded.connect(tmp_path / f"{name}.db")) as connection:
            connection.executescript(sql)
    found = made(tmp_path / "old.db", tmp_path / "base.db", tmp_path / "new.db", tmp_path / "salvage.sql")
    assert found["tables"]["t"]["by"] == found["tables"]["more"]["by"] == "whole"
    assert found["schema_differs"] == ["index i", "table gone", "table more", "table t"]
    assert found["not_compared"] == {"gone": "the former primary does not have it"}
    assert proved(tmp_path / "old.db", tmp_path / "base.db", tmp_path / "salvage.sql", list(found["not_compared"])) == {
        "error": "",
        "differs": [],
    }
    with closing(seeded.connect(tmp_path / "base.db")) as connection:
        assert connection.execute("SELECT * FROM t_salvaged ORDER BY id").fetchall() == [
            (1, "a", None),
            (2, "1", b"\0"),
        ]
        assert connection.execute("SELECT * FROM t").fetchall() == [(1, "a")]


def test_the_proof_finds_an_export_that_is_not_right(tmp_path: Path) -> None:
    """A line lost, a value changed, and a statement that fails, whose words are not told."""
    paths = seeded.diverged(tmp_path, 1)
    made(paths.old, paths.base, paths.new, tmp_path / "salvage.sql")
    lines = (tmp_path / "salvage.sql").read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if line.startswith('INSERT INTO "cards"'))
    secret = "INSERT INTO hidden VALUES ('password');\n"
    for number, (wrong, error, differs) in enumerate((
        (lines[:place] + lines[place + 1 :], "", ["cards"]),
        ([*lines[:place], lines[place].replace("VALUES(", "VALUES(1000+"), *lines[place + 1 :]], "", ["cards"]),
        ([*lines[:place], secret, *lines[place:]], f"statement {0} is refused (OperationalError)", []),
    )):  # fmt: skip
        script, copy = tmp_path / f"{number}.sql", tmp_path / f"{number}.db"
        script.write_text("".join(wrong))
        shutil.copy(paths.base, copy)
        told = proved(paths.old, copy, script, [])
        assert told["differs"] == differs and bool(told["error"]) == bool(error), told
        assert "password" not in str(told) and "hidden" not in str(told)


def test_a_big_table_needs_little_memory(tmp_path: Path) -> None:
    """Two million bytes of changes and thirty of rows that are the same; without a key they are sorted on the disk."""
    for name in ("base", "old"):
        with closing(seeded.connect(tmp_path / f"{name}.db")) as connection:
            connection.execute("CREATE TABLE keyed (id INTEGER PRIMARY KEY, t TEXT)")
            connection.execute("CREATE TABLE loose (n INTEGER, t TEXT)")
            connection.execute("BEGIN")
            for table in ("keyed", "loose"):
                rows = ((n, f"{n:0100d}") for n in range(150_000 + (10_000 if name == "old" else 0)))
                connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows)
            connection.execute("COMMIT")
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path), json.dumps(WORDS)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    inserted, grown = map(int, done.stdout.split())
    assert inserted == 20_000 and grown < 80 << 10, f"{grown >> 10} MiB more"


# In a process of its own: a worker that has run other tests is near the limit before it begins. The limit is of addresses;
# Python and its libraries take half of it before they begin.
BOUNDED = """
import json, resource, sys
from pathlib import Path
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import silent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage import export
place = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (250 << 20, 250 << 20))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with (place / "salvage.sql").open("x+b") as out:
    found = export.compare(place / "old.db", place / "base.db", None, out.fileno(), place / "later", json.loads(sys.argv[2]), silent)
print(found["total"]["inserted"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=20),
    st.text(max_size=30),
    st.text(alphabet="\r\n\\n01'x<>r\0", max_size=30),
)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_literals_are_read_back_as_they_were(value: Any) -> None:
    """On one line, so that a line is a statement; by this SQLite and type by type."""
    text = Literals().of(value)
    assert "\n" not in text and "\r" not in text and "\0" not in text
    with closing(sqlite3.connect(":memory:")) as connection:
        (back,) = connection.execute(f"SELECT {text}").fetchone()
    assert type(back) is type(value) and (back == value)
