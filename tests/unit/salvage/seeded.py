# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two databases that were one and went their own ways, by a seed; and the reading of rows by means of our own."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE words (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT COLLATE NOCASE UNIQUE, weight REAL, blob BLOB);
CREATE TABLE names (name TEXT COLLATE NOCASE PRIMARY KEY, any);
CREATE TABLE pairs (a INTEGER, b TEXT, value, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE loose (a, b TEXT, c BLOB);
CREATE TABLE nullable (k TEXT PRIMARY KEY, v);
CREATE TABLE "odd ""name""; --" ("sel ect" INTEGER PRIMARY KEY, "rowid" TEXT, "it's" TEXT AS (upper("rowid")) VIRTUAL);
CREATE TABLE audit (at TEXT, what TEXT);
CREATE TABLE docs (id INTEGER PRIMARY KEY, title TEXT, body TEXT);
CREATE TABLE cards (id INTEGER PRIMARY KEY, word INTEGER REFERENCES words (id) ON DELETE CASCADE, box INTEGER);
CREATE VIEW heavy AS SELECT word FROM words WHERE weight > 1;
CREATE INDEX by_weight ON words (weight);
CREATE TRIGGER noted AFTER INSERT ON words BEGIN
  INSERT INTO audit VALUES ('2026', 'new; word');
END;
CREATE TRIGGER gone AFTER DELETE ON words BEGIN INSERT INTO audit VALUES ('2026', 'gone'); END;
CREATE VIRTUAL TABLE notes USING fts5(title, body);
CREATE VIRTUAL TABLE found USING fts5(title, body, content='docs', content_rowid='id');
CREATE TRIGGER docs_in AFTER INSERT ON docs BEGIN INSERT INTO found(rowid, title, body) VALUES (new.id, new.title, new.body); END;
"""
TEXTS = (
    "", "plain", "it's", 'say "hi"', "line\nbreak", "crlf\r\nhere", "\\n \\r \n", "nul\0inside", "; --", "-- !conflict", "词汇",
    "😀", "1", "007", "1e3", ");\nDROP TABLE words;\n", "\x1a", "\\012\n\\n\\u000a<newline>", "%s ? :a", "x'00'", "a\u2028b",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    *TEXTS, None, 0, 1, -1, 2**63 - 1, -(2**63), 0.1, 1.0, -0.5, 1e300, 5e-324, 1 / 3, float("inf"), b"", b"\0\xff'", b"text",
)  # fmt: skip
# By means of our own: quote() tells types apart, hex() shows what quote() ends at.
PLAIN = 'SELECT {0} FROM "{1}"'


@dataclass
class Diverged:
    """The common state, and what became of it on either side."""

    base: Path
    old: Path
    new: Path


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return connection


def value(rng: random.Random) -> Any:
    return rng.choice(VALUES)


def write(connection: sqlite3.Connection, rng: random.Random, count: int, invent: str) -> None:
    """Insert, update and delete at random, as an application on that side would."""
    for number in range(count):
        what = rng.randrange(15)
        unique = f"{invent}{number}{rng.choice(TEXTS)}"
        try:
            if what == 0:
                connection.execute(
                    "INSERT INTO words (word, weight, blob) VALUES (?, ?, ?)", (unique, rng.random(), rng.randbytes(5))
                )
            elif what == 1:
                connection.execute(
                    "UPDATE words SET word = ?, weight = ? WHERE id = ?", (unique, value(rng), rng.randrange(30))
                )
            elif what == 2:
                connection.execute("DELETE FROM words WHERE id = ?", (rng.randrange(30),))
            elif what == 3:
                connection.execute(
                    "INSERT OR REPLACE INTO names VALUES (?, ?)",
                    (rng.choice(("Ann", "ANN", "ann", *TEXTS)), value(rng)),
                )
            elif what == 4:
                connection.execute("DELETE FROM names WHERE name = ?", (rng.choice(TEXTS),))
            elif what == 5:
                row = (rng.randrange(6), rng.choice(TEXTS), value(rng))
                connection.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?, ?)", row)
            elif what == 6:
                connection.execute("INSERT INTO loose VALUES (?, ?, ?)", (value(rng), rng.choice(TEXTS), value(rng)))
            elif what == 7:
                connection.execute("DELETE FROM loose WHERE rowid = ?", (rng.randrange(30),))
            elif what == 8:
                connection.execute(
                    "INSERT OR REPLACE INTO nullable VALUES (?, ?)", (rng.choice((None, *TEXTS)), value(rng))
                )
            elif what == 9:
                connection.execute("DELETE FROM nullable WHERE rowid = ?", (rng.randrange(20),))
            elif what == 10:
                connection.execute(
                    'INSERT OR REPLACE INTO "odd ""name""; --" VALUES (?, ?)', (rng.randrange(20), rng.choice(TEXTS))
                )
            elif what == 11:
                connection.execute("INSERT INTO notes VALUES (?, ?)", (unique, rng.choice(TEXTS)))
            elif what == 12:
                connection.execute("UPDATE notes SET body = ? WHERE rowid = ?", (unique, rng.randrange(10)))
            elif what == 13:
                connection.execute("INSERT INTO docs (title, body) VALUES (?, ?)", (unique, "body"))
            else:
                connection.execute("INSERT INTO cards (word, box) VALUES (?, ?)", (rng.randrange(30), rng.randrange(5)))
        except sqlite3.IntegrityError:
            continue
    # Text that is no UTF-8.
    connection.execute("INSERT INTO loose VALUES (CAST(x'ff00' AS TEXT), ?, NULL)", (invent,))
    # A unique value that changes hands.
    pair = [row[0] for row in connection.execute("SELECT id FROM words WHERE word IS NOT NULL ORDER BY id LIMIT 2")]
    if len(pair) == 2 and rng.random() < 0.5:
        words = [connection.execute("SELECT word FROM words WHERE id = ?", (one,)).fetchone()[0] for one in pair]
        connection.execute("UPDATE words SET word = NULL WHERE id = ?", (pair[0],))
        connection.execute("UPDATE words SET word = ? WHERE id = ?", (words[0], pair[1]))
        connection.execute("UPDATE words SET word = ? WHERE id = ?", (words[1], pair[0]))


def diverged(directory: Path, seed: int, encoding: str = "UTF-8") -> Diverged:
    """Make the three databases."""
    rng = random.Random(seed)
    made = Diverged(*(directory / f"{name}.db" for name in ("base", "old", "new")))
    with closing(connect(made.base)) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.executescript(SCHEMA)
        write(connection, rng, 120, "base")
    for path, invent in ((made.old, "old"), (made.new, "new")):
        shutil.copy(made.base, path)
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            write(connection, rng, rng.randrange(80), invent)
    return made


def rows(path: Path) -> dict[str, Counter[tuple[Any, ...]]]:
    """Return all rows of all tables, each value with its type, by a plain SELECT."""
    found = {}
    with closing(connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if name.startswith(("sqlite_", "notes_", "found")):
                continue
            star = "rowid, *" if name == "notes" else "*"
            quoted = '"' + name.replace('"', '""') + '"'
            listed = connection.execute(f"SELECT {star} FROM {quoted}")
            found[name] = Counter(tuple((type(one).__name__, one) for one in row) for row in listed)
    return found


def apply(script: Path, database: Path) -> None:
    """Apply an export with the sqlite3 command."""
    with script.open("rb") as stream:
        done = subprocess.run(["sqlite3", "-bail", str(database)], stdin=stream, capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
