# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The learning database: SQLite in WAL mode, one connection that a worker keeps open."""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from bilingual_tutor.infrastructure.logs import logger

SLOW_SECONDS = 0.1
BUSY_SECONDS = 5.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS vocabulary (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    word TEXT NOT NULL,
    reading TEXT,
    meaning TEXT NOT NULL,
    example_sentence TEXT,
    language TEXT NOT NULL,
    level TEXT NOT NULL,
    category TEXT,
    tags TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (word, language, level)
);
CREATE TABLE IF NOT EXISTS grammar (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    pattern TEXT NOT NULL,
    explanation TEXT NOT NULL,
    language TEXT NOT NULL,
    level TEXT NOT NULL,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (name, language, level)
);
CREATE TABLE IF NOT EXISTS content (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    content_type TEXT NOT NULL,
    language TEXT NOT NULL,
    level TEXT NOT NULL,
    source_url TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS learning_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    item_id INTEGER NOT NULL,
    item_type TEXT NOT NULL,
    learn_count INTEGER DEFAULT 0,
    correct_count INTEGER DEFAULT 0,
    last_review_date DATETIME,
    next_review_date DATETIME,
    memory_strength REAL DEFAULT 0.0,
    mastery_level INTEGER DEFAULT 0,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (user_id, item_id, item_type)
);
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT UNIQUE NOT NULL,
    password_hash TEXT NOT NULL,
    email TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS user_preferences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    preference_key TEXT NOT NULL,
    preference_value TEXT NOT NULL,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (user_id, preference_key)
);
CREATE TABLE IF NOT EXISTS audio_files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vocabulary_id INTEGER REFERENCES vocabulary (id) ON DELETE CASCADE,
    file_path TEXT NOT NULL UNIQUE,
    file_size INTEGER DEFAULT 0,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX IF NOT EXISTS idx_vocab_language_level ON vocabulary (language, level);
CREATE INDEX IF NOT EXISTS idx_vocab_created_at ON vocabulary (created_at);
CREATE INDEX IF NOT EXISTS idx_grammar_language_level ON grammar (language, level);
CREATE INDEX IF NOT EXISTS idx_content_language_level ON content (language, level);
CREATE INDEX IF NOT EXISTS idx_content_created_at ON content (created_at);
CREATE INDEX IF NOT EXISTS idx_records_user_review ON learning_records (user_id, next_review_date);
CREATE INDEX IF NOT EXISTS idx_records_user_mastery ON learning_records (user_id, mastery_level);
CREATE INDEX IF NOT EXISTS idx_sessions_created_at ON sessions (created_at);
CREATE INDEX IF NOT EXISTS idx_users_email ON users (email);
CREATE INDEX IF NOT EXISTS idx_audio_vocab_id ON audio_files (vocabulary_id);
"""

# word, reading, meaning
ENGLISH = (
    ("abandon", "əˈbændən", "放弃"),
    ("benefit", "ˈbenɪfɪt", "利益"),
    ("capable", "ˈkeɪpəbl", "有能力的"),
    ("decline", "dɪˈklaɪn", "下降"),
    ("efficient", "ɪˈfɪʃnt", "高效的"),
    ("frequent", "ˈfriːkwənt", "频繁的"),
    ("genuine", "ˈdʒenjuɪn", "真正的"),
    ("hesitate", "ˈhezɪteɪt", "犹豫"),
    ("illustrate", "ˈɪləstreɪt", "说明"),
    ("justify", "ˈdʒʌstɪfaɪ", "证明合理"),
    ("landscape", "ˈlændskeɪp", "风景"),
    ("maintain", "meɪnˈteɪn", "维护"),
    ("negotiate", "nɪˈɡəʊʃieɪt", "谈判"),
    ("obvious", "ˈɒbviəs", "明显的"),
    ("persist", "pəˈsɪst", "坚持"),
    ("recover", "rɪˈkʌvə", "恢复"),
)
JAPANESE = (
    ("朝", "あさ", "早上"),
    ("雨", "あめ", "雨"),
    ("駅", "えき", "车站"),
    ("音楽", "おんがく", "音乐"),
    ("学校", "がっこう", "学校"),
    ("季節", "きせつ", "季节"),
    ("健康", "けんこう", "健康"),
    ("説明", "せつめい", "说明"),
    ("時間", "じかん", "时间"),
    ("図書館", "としょかん", "图书馆"),
    ("約束", "やくそく", "约定"),
    ("練習", "れんしゅう", "练习"),
)
LEVELS = {"english": ("CET-4", "CET-5", "CET-6"), "japanese": ("N5", "N4", "N3")}


class LearningDatabase:
    """The connection of one worker; opened at need and then kept, as the real application's pool does.

    A missing or empty file is created anew, schema and all, without a word: that is how the real application hides
    a lost database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """Return the kept connection; raise sqlite3.Error when the database cannot be opened."""
        if self._connection is None:
            self._connection = connect(self._path)
        return self._connection

    @contextmanager
    def query(self, name: str) -> Iterator[sqlite3.Connection]:
        """Give the connection for one named piece of work: commit it, log it when slow, roll back on an error."""
        started = time.monotonic()
        try:
            with self.open() as connection:
                yield connection
        except sqlite3.Error as exc:
            logging.error("数据库连接错误: %s", exc)
            raise
        finally:
            seconds = time.monotonic() - started
            if seconds > SLOW_SECONDS:
                logger.warning("慢查询检测: %s 耗时 %.3fs", name, seconds)


def connect(path: Path) -> sqlite3.Connection:
    """Open a database as the application does, creating what is missing."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    connection.create_function("pause", 1, time.sleep)
    return connection


def create(path: Path, now: datetime | None = None) -> None:
    """Create a database with two months of one learner's work; some hundred rows, ``users`` empty as on real hosts."""
    now = now or datetime.now(timezone.utc)
    dice = random.Random(path.name)  # the same database each time

    def moment(days: float) -> str:
        return f"{now - timedelta(days=days):%Y-%m-%d %H:%M:%S}"

    with closing(connect(path)) as connection, connection:  # pylint: disable=confusing-with-statement
        words = [
            (*word, language, level)
            for language, book in (("english", ENGLISH), ("japanese", JAPANESE))
            for level in LEVELS[language]
            for word in book
        ]
        for number, (word, reading, meaning, language, level) in enumerate(words):
            connection.execute(
                "INSERT INTO vocabulary (word, reading, meaning, example_sentence, language, level, category, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, 'word', ?)",
                (word, reading, meaning, f"{word}: {meaning}", language, level, moment(60 - number / 2)),
            )
        for language, levels in LEVELS.items():
            for number, level in enumerate(levels):
                connection.execute(
                    "INSERT INTO grammar (name, pattern, explanation, language, level, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                    (f"{level} 句型", "A + B", "基本句型", language, level, moment(50 - number)),
                )
                connection.execute(
                    "INSERT INTO content (title, body, content_type, language, level, created_at)"
                    " VALUES (?, ?, 'reading', ?, ?, ?)",
                    (f"{level} 阅读", "学而时习之，不亦说乎。" * 40, language, level, moment(40 - number)),
                )
        for learner in ("learner-1", "learner-2"):
            for item in range(1, len(words) + 1):
                learned = dice.randint(1, 9)
                reviewed = dice.uniform(4, 20)  # before the oldest of the backups that are made beside it
                connection.execute(
                    "INSERT INTO learning_records (user_id, item_id, item_type, learn_count, correct_count,"
                    " last_review_date, next_review_date, memory_strength, mastery_level, created_at)"
                    " VALUES (?, ?, 'vocabulary', ?, ?, ?, ?, ?, ?, ?)",
                    (
                        learner,
                        item,
                        learned,
                        dice.randint(0, learned),
                        moment(reviewed),
                        moment(reviewed - 7),
                        round(dice.random(), 3),
                        dice.randint(0, 5),
                        moment(reviewed),
                    ),
                )
        connection.execute("ANALYZE")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
