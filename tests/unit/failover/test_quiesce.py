# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a database that nobody can change any more, and as whom; with Litestream it is tried as a whole."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import contents, passing
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.quiesce.run import checked_run_id
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.quiesce.settle import settle
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

OWNER = 64001


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database with a log that waits, as a killed application leaves it, in a directory that is shut to its owner."""
    storage = tmp_path / "storage"
    storage.mkdir()
    path = storage / "learning.db"
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA journal_mode = WAL'); c.execute('PRAGMA wal_autocheckpoint = 0'); "
        "c.execute('CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT)'); "
        "c.execute('CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)'); "
        "c.executemany('INSERT INTO words (word) VALUES (?)', [(f'词{n}',) for n in range(100)]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert Path(f"{path}-wal").stat().st_size
    if os.geteuid() == 0:
        for one in (storage, *storage.iterdir()):
            os.chown(one, OWNER, OWNER)
        storage.chmod(0)
    return str(path)


def test_a_log_that_waits_gets_into_the_database(database: str) -> None:
    digest, rows = settle(database, Deadline(30))
    assert rows == 100 and digest["tables"].keys() == {"words"}, "Litestream's own table is nobody's content"
    assert [path.name for path in Path(database).parent.iterdir()] == ["learning.db"]
    assert Path(database).stat().st_uid == (OWNER if os.geteuid() == 0 else os.geteuid())
    assert settle(database, Deadline(30)) == (digest, rows), "again it is the same"


def test_somebody_who_has_it_open_is_named(database: str) -> None:
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM words'); print(1, flush=True); input()"
    command = [sys.executable, "-c", code, database]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline()
        waiting = os.stat(f"{database}-wal").st_size
        with pytest.raises(OpsError, match=f"is open in {holder.pid} "):
            settle(database, Deadline(30))
        assert os.stat(f"{database}-wal").st_size == waiting, "it was not touched"


def test_a_damaged_database_is_an_error_that_says_what_to_do(database: str) -> None:
    with open(database, "r+b") as stream:
        stream.write(b"\xff" * 4096)
    os.unlink(f"{database}-wal")
    with pytest.raises(OpsError, match="sync false"):
        settle(database, Deadline(30))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up rights")
def test_the_owner_who_passes_is_nobody_else(database: str, tmp_path: Path) -> None:
    """It is the owner, passes a shut directory, and cannot become root or anybody again; what it starts is the same."""

    def work() -> list[object]:
        (Path(database).parent / "made").touch()
        started = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
        seen = [line for line in started.splitlines() if line.startswith(("CapEff", "Uid"))]
        seen += [
            line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(("CapEff", "CapPrm"))
        ]
        try:
            os.setuid(0)
        except PermissionError:
            seen.append("no way back")
        return seen

    seen = passing.as_owner(database, work, Deadline(10), "the test")
    one = "0000000000000002"
    assert seen == [
        f"Uid:\t{OWNER}\t{OWNER}\t{OWNER}\t{OWNER}", f"CapEff:\t{one}", f"CapPrm:\t{one}", f"CapEff:\t{one}", "no way back",
    ]  # fmt: skip
    assert (Path(database).parent / "made").stat().st_uid == OWNER


def test_an_error_in_there_is_told_in_its_own_words(database: str) -> None:
    def work() -> None:
        raise OpsError("expected more")

    with pytest.raises(OpsError, match=f"^the test of {database} broke off: expected more$"):
        passing.as_owner(database, work, Deadline(10), "the test")


# ---------------------------------------------------------------- digests


def test_what_differs_is_told(tmp_path: Path) -> None:
    one, other = (str(tmp_path / name) for name in ("one.db", "other.db"))
    with closing(sqlite3.connect(one)) as connection:
        connection.execute("CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT)")
        connection.executemany("INSERT INTO words (word) VALUES (?)", [("a",), ("b",)])
        connection.execute("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
        connection.commit()
    digest, rows = contents.contents(one)
    assert rows == 2 and contents.differing(digest, one) == []
    shutil.copy(one, other)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("INSERT INTO _litestream_seq VALUES (1, 7)")
        connection.commit()
    assert contents.differing(digest, other) == [], "the file differs, what anybody reads does not"
    assert contents.differing({"file": digest["file"]}, other) == ["the file"]
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("UPDATE words SET word = 'c' WHERE id = 2")
        connection.commit()
    assert contents.differing(digest, other) == ["words: other rows, as many"]


def test_a_large_database_is_told_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "one.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.execute("INSERT INTO words VALUES ('a')")
        connection.commit()
    monkeypatch.setattr(contents, "ROWS_BYTES", 100)
    digest, rows = contents.contents(path)
    assert rows == 1 and set(digest) == {"file"} and contents.differing(digest, path) == []
    digest["file"]["sha256"] = "0" * 64
    assert contents.differing(digest, path) == ["the file"]


@pytest.mark.parametrize("data", [{"file": {"sha256": "x"}}, {"tables": {"a": 1}, "schema": ""}, {"x": 1}, "text", [1]])
def test_a_digest_that_is_none(data: object) -> None:
    with pytest.raises(OpsError, match="what ops_quiesce returned"):
        contents.checked(data)


def test_no_digest_is_none() -> None:
    assert contents.checked(None) is None and contents.checked({}) is None


@pytest.mark.parametrize("text", ["", "../x", "a/b", ".hidden", "x" * 65, "a b", "a\n"])
def test_a_name_of_a_run_that_could_not_be_part_of_a_name(text: str) -> None:
    with pytest.raises(OpsError, match="expected letters"):
        checked_run_id(text)
