# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LTX files and the index of the WAL tell, and the digest of a database. With Litestream itself: tests/integration."""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import lag, ltx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.digest import differences, digest
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.proof import Moment

# The first 100 bytes of a file that Litestream 0.5.17 wrote.
HEADER = struct.pack(
    ">4sIIIQQQQQQII20x", b"LTX1", 2, 4096, 27, 42, 42, 1795409967821, 0, 3267192, 41200, 191356159, 4052006174
)


def test_a_header(tmp_path):
    path = tmp_path / "file.ltx"
    path.write_bytes(HEADER + b"pages")
    seen = ltx.read_header(str(path))
    assert (seen.first, seen.last, seen.page_size, seen.at) == (42, 42, 4096, 1795409967.821)
    assert seen.wal_end == 3308392 and seen.salts == struct.pack(">II", 191356159, 4052006174)


@pytest.mark.parametrize("raw", [b"", HEADER[:50], b"SQLite format 3\0" + b"\0" * 100])
def test_what_is_no_header(tmp_path, raw):
    path = tmp_path / "file.ltx"
    path.write_bytes(raw)
    with pytest.raises(OpsError, match="LTX"):
        ltx.read_header(str(path))


@pytest.mark.parametrize("name", ["x.ltx", "0000000000000001-0000000000000002.ltx.tmp", "1-2.ltx", ""])
def test_what_is_no_name(name):
    assert ltx.parse_name(0, name) is None


def files(*entries):
    return [ltx.Name(*entry) for entry in entries]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], (0, 0, 0)),
        ([(9, 1, 7), (0, 8, 8), (0, 9, 9)], (7, 9, 9)),
        ([(9, 7, 7), (1, 5, 8), (0, 9, 9)], (7, 9, 9)),  # the first of a whole database tells nothing
        ([(9, 1, 7), (0, 8, 8), (0, 10, 10)], (7, 8, 10)),
        ([(9, 1, 7), (0, 9, 9)], (7, 7, 9)),
        ([(0, 2, 2), (0, 3, 3)], (0, 0, 3)),
        ([(1, 1, 4), (0, 5, 5)], (1, 5, 5)),
        ([(9, 1, 3), (9, 9, 9), (0, 4, 4), (0, 10, 10)], (9, 10, 10)),  # what lies before the newest is not needed
    ],
)
def test_how_far_it_can_be_restored(entries, expected):
    seen = ltx.chain(files(*entries))
    assert (seen.whole, seen.reach, seen.newest) == expected
    assert seen.unbroken == (expected[0] > 0 and expected[1] == expected[2])


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_the_end_of_the_log_is_that_of_its_frames(tmp_path, page_size):
    path = tmp_path / "learning.db"
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE t (x)")
        seen = run_isolated(lambda: [(end := lag.wal_end(str(path))).end, end.salts.hex()], 10.0).value
        log = Path(f"{path}-wal")
        assert seen == [log.stat().st_size, log.read_bytes()[16:24].hex()]
        # It starts over: as long as before, with other salts and fewer frames.
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
        connection.execute("INSERT INTO t VALUES (1)")
        again = run_isolated(lambda: [(end := lag.wal_end(str(path))).end, end.salts.hex()], 10.0).value
        assert again[1] != seen[1] and again[0] < log.stat().st_size


def test_no_log(tmp_path):
    with pytest.raises(OpsError, match="WAL mode"):
        lag.wal_end(str(tmp_path / "none.db"))
    with pytest.raises(OpsError, match="Litestream"):
        lag.newest(str(tmp_path / "none.db"))


def test_whose_lock_it_is(tmp_path):
    path = tmp_path / "learning.db"
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        ours = os.getpid()
        assert run_isolated(lambda: lag.keeps_lock(str(path), [ours]), 10.0).value is False
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM t").fetchall()
        assert run_isolated(lambda: lag.keeps_lock(str(path), [ours]), 10.0).value is True
        assert run_isolated(lambda: lag.keeps_lock(str(path), [1]), 10.0).value is False


SCHEMA = (
    "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT, score REAL, sound BLOB);"
    "CREATE TABLE pairs (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID; CREATE INDEX by_word ON words (word);"
)


def database(path, *statements):
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(SCHEMA + "BEGIN")
    connection.executemany(
        "INSERT INTO words VALUES (?, ?, ?, ?)", [(n, f"词{n}", n / 3, b"\xff") for n in range(3000)]
    )
    connection.executemany("INSERT INTO pairs VALUES (?, ?)", [(f"a{n % 7}", f"b{n}") for n in range(100)])
    connection.execute("COMMIT")
    for statement in statements:
        connection.execute(statement)
    return digest(connection)


CHANGES = {
    "DELETE FROM words WHERE id = 1500": "words: 2999 rows, expected 3000",
    "UPDATE words SET score = score + 1e-9 WHERE id = 7": "words: other rows, as many",
    "UPDATE words SET word = CAST(word AS BLOB) WHERE id = 7": "words: other rows, as many",
    "UPDATE words SET word = CAST(x'ff41' AS TEXT) WHERE id = 7": "words: other rows, as many",
    "UPDATE pairs SET b = 'c' WHERE b = 'b50'": "pairs: other rows, as many",
    "DROP TABLE pairs": "pairs is missing",
    "CREATE TABLE more (x)": "more is there too",
    "DROP INDEX by_word": "the schema",
    "PRAGMA user_version = 2": "the schema",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_difference_is_named(tmp_path, change):
    ours = database(tmp_path / "a.db")
    assert differences(ours, database(tmp_path / "b.db", "VACUUM", "ANALYZE")) == [], "another layout, the same rows"
    assert CHANGES[change] in differences(ours, database(tmp_path / "c.db", change))


@pytest.mark.parametrize("data", [None, {}, {"txid": "1", "stall": 0, "digest": {"schema": "", "tables": {"t": [1]}}}])
def test_what_is_no_moment(data):
    with pytest.raises(OpsError, match="state pin"):
        Moment.of(data)
