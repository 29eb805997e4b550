# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that a restore replaces, asked by an independent tool."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import files


def learn(path: Path, word: str = "later") -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO vocabulary (word, created_at) VALUES (?, ?)", (word, "2026-11-23 03:00:00"))


def words(path: Path) -> list[str]:
    """Return the words beyond the first 300 by an independent tool, which reads a copy: it leaves files beside what it reads."""
    query = "SELECT word FROM vocabulary WHERE id > 300 ORDER BY id"
    with tempfile.TemporaryDirectory() as directory:
        for suffix in files.inodes(path):
            shutil.copy(files.beside(path, suffix), Path(directory) / f"copy{suffix}")
        done = subprocess.run(["sqlite3", f"{directory}/copy", query], capture_output=True, text=True, check=True)
    return done.stdout.split()


def journal_mode(path: Path) -> str:
    done = subprocess.run(["sqlite3", str(path), "PRAGMA journal_mode"], capture_output=True, text=True, check=True)
    return done.stdout.strip()
