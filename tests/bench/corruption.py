# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage databases in the ways disks do, one damage each, and count what finds it.

Each database is a snapshot with its manifest. COUNT(*) of its biggest table finds damage when it cannot be answered or
tells another number; quick_check, integrity_check and foreign_key_check when they say anything else than ok or end in an
error; the verification without the hash is sqlite_backup_verify with a manifest whose sha256 was taken after the damage,
and with the hash the same with the manifest that was written with the snapshot.

``corruption.py --write`` puts the table into docs/sqlite.md.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/standin"))

import collection  # noqa: E402, F401  # pylint: disable=unused-import  # makes the collection importable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (  # noqa: E402
    Manifest,
    describe,
    write_manifest,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.run import verify  # noqa: E402
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.verdict import Verdict  # noqa: E402

DOCUMENT = ROOT / "docs/sqlite.md"
BEGIN, END = "<!-- begin: tests/bench/corruption.py -->", "<!-- end -->"
SEED = 20261123
WORDS = 2000
FINDERS = (
    "`COUNT(*)`",
    "`quick_check`",
    "`integrity_check`",
    "integrity and foreign keys",
    "verification without the hash",
    "verification",
)

SCHEMA = """
CREATE TABLE vocabulary (
    id INTEGER PRIMARY KEY, word TEXT NOT NULL, meaning TEXT, level TEXT, created_at TEXT, UNIQUE (word, level)
);
CREATE TABLE learning_records (
    id INTEGER PRIMARY KEY, vocabulary_id INTEGER REFERENCES vocabulary (id), strength REAL, created_at TEXT
);
CREATE TABLE content (id INTEGER PRIMARY KEY, title TEXT, body TEXT, created_at TEXT);
CREATE INDEX records ON learning_records (vocabulary_id, created_at);
CREATE INDEX levels ON vocabulary (level, created_at);
"""


@dataclass(frozen=True)
class Original:
    """A good database: its bytes, those of its last state but one, its manifest and the pages that hold indexes."""

    data: bytes
    before: bytes
    manifest: Manifest
    index_pages: tuple[int, ...]
    page_size: int = 4096

    @property
    def pages(self) -> int:
        return len(self.data) // self.page_size


def make(directory: Path, dice: random.Random, words: int = WORDS) -> Original:
    """Make a database of one to two megabytes with indexes and references, in two states."""
    path = directory / "learning.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        for number in range(words):
            row = (
                f"{dice.randrange(10**9):09d} word {number}",
                "意思" * dice.randint(2, 60),
                f"N{number % 5}",
                "2026-11-01",
            )
            connection.execute("INSERT INTO vocabulary (word, meaning, level, created_at) VALUES (?, ?, ?, ?)", row)
            for _record in range(dice.randint(0, 6)):
                record = (dice.randint(1, number + 1), dice.random(), f"2026-11-{dice.randint(1, 20):02d}")
                connection.execute(
                    "INSERT INTO learning_records (vocabulary_id, strength, created_at) VALUES (?, ?, ?)", record
                )
        for number in range(20):
            connection.execute(
                "INSERT INTO content (title, body, created_at) VALUES (?, ?, '2026-11-02')",
                (f"text {number}", "学而时习之，不亦说乎。" * dice.randint(10, 900)),
            )
        connection.execute("COMMIT")
        before = path.read_bytes()
        connection.execute("BEGIN")
        for _change in range(words // 4):
            at = (f"2026-11-{dice.randint(21, 22)}", dice.randint(1, words))
            connection.execute("UPDATE learning_records SET created_at = ? WHERE vocabulary_id = ?", at)
            connection.execute("UPDATE vocabulary SET created_at = ? WHERE id = ?", at)
        connection.execute("COMMIT")
    manifest = describe(
        path, path, "/opt/bilingual-tutor/learning.db", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    )
    data = path.read_bytes()
    return Original(data, before, manifest, tuple(index_pages(data)))


def index_pages(data: bytes, page_size: int = 4096) -> Iterator[int]:
    """Yield the pages that begin as a page of an index (2 inner, 10 leaf; SQLite file format, section 1.6)."""
    for page in range(1, len(data) // page_size):
        if data[page * page_size] in (2, 10):
            yield page


# ---------------------------------------------------------------- damages: from the good bytes to bad ones

Damage = Callable[[Original, random.Random], bytes]


def overwrite(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


def other_than(data: bytes, offset: int, new: bytes, dice: random.Random) -> bytes:
    """Overwrite; where that changes nothing, flip a bit."""
    made = overwrite(data, offset, new)
    return made if made != data else overwrite(data, offset, bytes([data[offset] ^ (1 << dice.randrange(8))]))


def one_bit(good: Original, dice: random.Random) -> bytes:
    offset = dice.randrange(len(good.data))
    return overwrite(good.data, offset, bytes([good.data[offset] ^ (1 << dice.randrange(8))]))


def one_bit_in_an_index(good: Original, dice: random.Random) -> bytes:
    offset = dice.choice(good.index_pages) * good.page_size + dice.randrange(good.page_size)
    return overwrite(good.data, offset, bytes([good.data[offset] ^ (1 << dice.randrange(8))]))


def random_bytes(good: Original, dice: random.Random) -> bytes:
    return other_than(good.data, dice.randrange(len(good.data) - 16), dice.randbytes(16), dice)


def zeroed_page(good: Original, dice: random.Random) -> bytes:
    return other_than(good.data, dice.randrange(good.pages) * good.page_size, bytes(good.page_size), dice)


def garbage_page(good: Original, dice: random.Random) -> bytes:
    return overwrite(good.data, dice.randrange(good.pages) * good.page_size, dice.randbytes(good.page_size))


def zeroed_sector(good: Original, dice: random.Random) -> bytes:
    return other_than(good.data, dice.randrange(len(good.data) // 512) * 512, bytes(512), dice)


def stale_page(good: Original, dice: random.Random) -> bytes:
    """A write that was lost: one page is as it was before the last transaction, which changed it."""
    size = good.page_size
    changed = [
        page
        for page in range(min(len(good.before), len(good.data)) // size)
        if good.before[page * size : (page + 1) * size] != good.data[page * size : (page + 1) * size]
    ]
    page = dice.choice(changed)
    return overwrite(good.data, page * size, good.before[page * size : (page + 1) * size])


def misdirected_write(good: Original, dice: random.Random) -> bytes:
    source, target = dice.sample(range(good.pages), 2)
    size = good.page_size
    return other_than(good.data, target * size, good.data[source * size : (source + 1) * size], dice)


def truncated(good: Original, dice: random.Random) -> bytes:
    return good.data[: dice.randrange(1, good.pages) * good.page_size]


def empty(_good: Original, _dice: random.Random) -> bytes:
    return b""


DAMAGES: dict[str, Damage] = {
    "one bit": one_bit,
    "one bit in an index": one_bit_in_an_index,
    "16 random bytes": random_bytes,
    "page zeroed": zeroed_page,
    "page of garbage": garbage_page,
    "512-byte sector zeroed": zeroed_sector,
    "stale page (lost write)": stale_page,
    "misdirected write": misdirected_write,
    "truncated": truncated,
    "empty file": empty,
}


# ---------------------------------------------------------------- what finds them


@dataclass
class Trial:
    """What one database with one damage was found to be; ``listed`` when one of SQLite's own checks listed a problem."""

    found: dict[str, bool] = field(default_factory=dict)
    listed: bool = False
    untrue: bool = False


def asked(path: Path, sql: str) -> list[str] | None:
    """Return the first columns of all rows, None for an error."""
    try:
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
            return [str(row[0]) for row in connection.execute(sql)]
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def verified(path: Path, manifest: Manifest) -> Verdict:
    write_manifest(path, manifest)
    return verify({"path": str(path), "floors": {"vocabulary": 1}}, Deadline(60))


def examine(directory: Path, good: Original, bad: bytes) -> Trial:
    """Lay one damaged snapshot down and ask everybody."""
    path = directory / "snapshot.db"
    path.write_bytes(bad)
    trial = Trial()
    count = asked(path, "SELECT count(*) FROM learning_records")
    quick = asked(path, "PRAGMA quick_check") != ["ok"]
    integrity = asked(path, "PRAGMA integrity_check") != ["ok"]
    keys = asked(path, "PRAGMA foreign_key_check") != []
    consistent = replace(good.manifest, sha256=hashlib.sha256(bad).hexdigest(), bytes=max(1, len(bad)))
    without, with_hash = verified(path, consistent), verified(path, good.manifest)
    found = (count != [str(good.manifest.rows["learning_records"])], quick, integrity, integrity or keys)
    trial.found = dict(zip(FINDERS, (*found, not without.ok, not with_hash.ok)))
    trial.listed = quick or integrity or keys
    trial.untrue = trial.listed and (without.ok or with_hash.ok)
    return trial


def measure(databases: int, seed: int, words: int = WORDS) -> Iterator[tuple[str, Trial]]:
    """Yield each trial with the name of its damage; and with an empty name those of the undamaged ones."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="corruption-") as name:
        directory = Path(name)
        for _number in range(databases):
            good = make(directory, dice, words)
            yield "", examine(directory, good, good.data)
            for kind, damage in DAMAGES.items():
                bad = damage(good, dice)
                assert bad != good.data
                yield kind, examine(directory, good, bad)


def table(results: dict[str, list[Trial]]) -> list[str]:
    """Return the lines of the table, in Markdown."""
    lines = ["| damage | " + " | ".join(FINDERS) + " |", "|---" * (len(FINDERS) + 1) + "|"]
    for kind, trials in results.items():
        cells = [str(sum(trial.found[finder] for trial in trials)) for finder in FINDERS]
        lines.append(f"| {kind or 'none (found wrongly)'} | " + " | ".join(cells) + " |")
    return lines


def write(lines: Sequence[str]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    head, _begin, rest = text.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    assert end, f"{DOCUMENT} has no {BEGIN} ... {END}"
    DOCUMENT.write_text(head + BEGIN + "\n" + "\n".join(lines) + "\n" + end + tail, encoding="utf-8")


def main() -> int:
    """Measure, print the table, and tell when the verification called something ok in which a check listed a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--databases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--write", action="store_true", help="put the table into docs/sqlite.md")
    options = parser.parse_args()
    results: dict[str, list[Trial]] = {kind: [] for kind in (*DAMAGES, "")}
    for kind, trial in measure(options.databases, options.seed):
        results[kind].append(trial)
    lines = table(results)
    told = f"{options.databases} databases for each damage, SQLite {sqlite3.sqlite_version}, seed {options.seed}."
    print("\n".join([*lines, "", told]))
    if options.write:
        write([*lines, "", told])
    untrue = sum(trial.untrue for trials in results.values() for trial in trials)
    wrong = sum(trial.found[FINDERS[-1]] for trial in results[""])
    print(f"called ok although a check listed a problem: {untrue}; good ones refused: {wrong}")
    return 1 if untrue or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
