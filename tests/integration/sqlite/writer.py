# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that commits at a steady rate and keeps a ledger, so that any copy can be told from a mixture.

Each commit adds one row to ``ledger``, one to the running total, and changes some page elsewhere; every fiftieth deletes
or adds a stretch of rows, so that pages become free and the file grows. A state between two commits does not add up.

``writer.py DATABASE RATE`` commits until its standard input ends; ``DATABASE.acked`` holds the number of the last commit
as eight bytes. Then it prints one line of JSON: commits, and the milliseconds the slowest of them took (the worst, the next two, and the 99th of
a hundred). ``writer.py
make DATABASE MEGABYTES`` makes the database.
"""

from __future__ import annotations

import json
import mmap
import random
import select
import sqlite3
import struct
import sys
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "standin/application"))

from bilingual_tutor.storage.database import SCHEMA

# Table and columns, rows for each word, and the values of row ``i``.
ROWS = (
    (
        "vocabulary (word, reading, meaning, example_sentence, language, level, category, created_at)",
        1.0,
        "hex(randomblob(8)), hex(randomblob(6)), hex(randomblob(5)), hex(randomblob(20)), 'english', 'CET-' || (i % 3 + 4), "
        "'word', datetime(1700000000 + i, 'unixepoch')",
    ),
    (
        "learning_records (user_id, item_id, item_type, learn_count, correct_count, last_review_date, next_review_date,"
        " memory_strength, mastery_level, created_at)",
        3.0,
        "'learner-' || (i * 7919 % 997), i, 'vocabulary', i % 9, i % 5, datetime(1700000000 + i, 'unixepoch'), "
        "datetime(1700600000 + i, 'unixepoch'), 0.5, i % 6, datetime(1700000000 + i, 'unixepoch')",
    ),
    (
        "audio_files (vocabulary_id, file_path, file_size)",
        0.2,
        "abs(random()) % :words + 1, 'audio/' || hex(randomblob(6)) || '.mp3', 4000 + i % 9000",
    ),
    (
        "content (title, body, content_type, language, level, created_at)",
        0.05,
        "'text ' || i, hex(randomblob(400)), 'reading', 'english', 'CET-' || (i % 3 + 4), "
        "datetime(1700000000 + i, 'unixepoch')",
    ),
)


def make(path: Path, megabytes: float) -> None:
    """Make a database of about that size: the application's tables and indexes, small rows, in WAL mode."""
    words = int(megabytes * 1050)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        # Words come in no order, so their index is written all over.
        connection.execute("PRAGMA cache_size = -1000000")
        connection.executescript(SCHEMA)
        connection.execute("CREATE TABLE ledger (n INTEGER PRIMARY KEY, amount INTEGER)")
        connection.execute("CREATE TABLE total (id INTEGER PRIMARY KEY, n INTEGER, amount INTEGER)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO total VALUES (1, 0, 0)")
        for into, share, values in ROWS:
            connection.execute(
                f"INSERT INTO {into} WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < :count) "
                f"SELECT {values} FROM k",
                {"count": int(words * share), "words": words},
            )
        connection.execute("COMMIT")
        # The checkpoint waits for the disk, so that whoever measures next does not wait for what was made here.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def write(path: Path, rate: float) -> None:
    """Commit until standard input ends."""
    Path(f"{path}.acked").write_bytes(bytes(8))
    with open(f"{path}.acked", "r+b") as acked:
        shared = mmap.mmap(acked.fileno(), 8)
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA synchronous = NORMAL")
    (number,) = connection.execute("SELECT n FROM total").fetchone()
    (words,) = connection.execute("SELECT max(id) FROM vocabulary").fetchone()
    chance = random.Random(number)
    took: list[float] = []
    print("writing", flush=True)
    following = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, following - time.monotonic()))[0]:
        begin = time.monotonic()
        number += 1
        amount = chance.randrange(1000)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO ledger VALUES (?, ?)", (number, amount))
        connection.execute("UPDATE total SET n = n + 1, amount = amount + ?", (amount,))
        connection.execute(
            "UPDATE vocabulary SET word = hex(randomblob(8)) WHERE id = ?", (chance.randrange(1, words + 1),)
        )
        if number % 50 == 0:
            connection.execute(
                "INSERT INTO learning_records (user_id, item_id, item_type) SELECT 'writer-' || ?, id, 'vocabulary' FROM"
                " vocabulary ORDER BY id LIMIT 200",
                (number,),
            )
        elif number % 50 == 25:
            connection.execute("DELETE FROM learning_records WHERE id > (SELECT max(id) - 150 FROM learning_records)")
        connection.execute("COMMIT")
        struct.pack_into("=Q", shared, 0, number)
        took.append(1000 * (time.monotonic() - begin))
        following = max(following + 1 / rate, time.monotonic() - 1 / rate)
    took.sort()
    print(
        json.dumps(
            {
                "commits": len(took),
                "p99": took[int(len(took) * 0.99)] if took else 0,
                "worst": max(took, default=0),
                "slowest": took[:-4:-1],
            }
        ),
        flush=True,
    )


def acked(path: Path) -> int:
    """Return the number of the last commit that the writer knows of."""
    raw = Path(f"{path}.acked").read_bytes()
    return struct.unpack("=Q", raw)[0]


def state_live(path: Path) -> int:
    """Return of which commit the live database is the state."""
    return state(path, "")


def state(path: Path, extra: str = "&immutable=1") -> int:
    """Return of which commit a snapshot is the state; raise AssertionError when it is none."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro{extra}", uri=True)) as connection:
        count, last, amount = connection.execute("SELECT count(*), max(n), sum(amount) FROM ledger").fetchone()
        total = connection.execute("SELECT n, amount FROM total").fetchone()
    assert (count, amount or 0) == total and (last or 0) == count, f"a mixture: {count} rows to {last}, total {total}"
    return int(count)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), float(sys.argv[3]))
    else:
        write(Path(sys.argv[1]), float(sys.argv[2]))
