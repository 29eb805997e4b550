# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sqlite_backup_verify on real snapshots: the good ones pass, every bad one is told, and nothing is left behind."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Callable

import bad_backups
import pytest
from bad_backups import DAMAGES, PACKED, agree, agree_in_all, copy_of, fill, make_snapshot
from databases import tree
from verdicts import by_id, found, verify

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import manifest_path
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import (
    contents,
    queries,
    read,
    run,
    scratch,
)

ROOT = Path(__file__).parents[3]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a live database and good snapshots of it, to be copied."""
    directory = tmp_path_factory.mktemp("origin")
    fill(directory / "learning.db")
    for suffix, name in PACKED.items():
        make_snapshot(directory / "learning.db", directory / name, suffix)
    return directory


@pytest.fixture
def snapshot(origin: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Give a snapshot of one's own, by the ending of its name."""

    def give(suffix: str = "") -> Path:
        made = next(path for path in (origin / PACKED[suffix]).iterdir() if path.suffix != ".json")
        return copy_of(made, tmp_path / PACKED[suffix])

    return give


# ---------------------------------------------------------------- good ones


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("level", ["full", "quick"])
def test_good_snapshots_pass_and_are_left_as_they_were(snapshot: Any, suffix: str, level: str) -> None:
    path = snapshot(suffix)
    before = tree(path.parent)
    verdict = verify(path, level=level)
    assert verdict.ok and verdict.path == path and verdict.facts["rows"]["vocabulary"] == 300
    assert {check.id for check in verdict.checks} == {
        f"snapshot.{name}"
        for name in "file manifest sha256 integrity foreign_keys schema rows floors age newest".split()
    }
    assert tree(path.parent) == before


def test_ten_good_ones_are_not_refused(origin: Path, tmp_path: Path) -> None:
    """0 of 10: sizes from one page a table to some megabytes, packed and not, in both journal modes, with odd names."""
    for number, suffix in enumerate([*PACKED, *PACKED, *PACKED, ""]):
        live = fill(tmp_path / f"live ?#%{number}.db", words=1 + number**4 // 2)
        bad_backups.change(live, "VACUUM")
        path = make_snapshot(live, tmp_path / f"snapshots {number}", suffix, hours_ago=number)
        verdict = verify(path, schema_of=str(live))
        assert verdict.ok, found(verdict)


def test_a_pointer_is_followed_within_its_directory(snapshot: Any, tmp_path: Path) -> None:
    path = snapshot("")
    pointer = path.with_name("learning_latest.db")
    pointer.symlink_to(path.name)
    verdict = verify(pointer)
    assert verdict.ok and verdict.path == path and {check.item for check in verdict.checks} == {str(pointer)}
    pointer.unlink()
    pointer.symlink_to(path)
    assert verify(pointer).ok
    outside = tmp_path / "pointer.db"
    outside.symlink_to(path)
    assert found(verify(outside)) == {"snapshot.file": "snapshot.file_outside"}
    again = path.with_name("again.db")
    again.symlink_to(pointer.name)
    assert found(verify(again)) == {"snapshot.file": "snapshot.file_outside"}
    pointer.unlink()
    pointer.symlink_to("gone.db")
    assert found(verify(pointer)) == {"snapshot.file": "snapshot.file_dangling"}


def test_an_installed_live_database_has_the_same_schema(origin: Path, snapshot: Any, tmp_path: Path) -> None:
    path, live = snapshot(""), tmp_path / "live" / "learning.db"
    live.parent.mkdir()
    shutil.copy(origin / "learning.db", live)
    with closing(sqlite3.connect(live, isolation_level=None)) as application:
        application.execute("INSERT INTO users (name) VALUES ('open')")
        before = tree(live.parent)
        assert verify(path, schema_of=str(live)).ok
        assert tree(live.parent).keys() == before.keys()
        application.execute("CREATE INDEX more ON users (name)")
        verdict = verify(path, schema_of=str(live))
        assert found(verdict) == {"snapshot.schema": "snapshot.schema_wrong"}
        assert by_id(verdict)["snapshot.schema"].evidence == ["- index more"]
    assert found(verify(path, schema_of=str(tmp_path / "none.db"))) == {"snapshot.schema": "snapshot.schema_unknown"}
    assert not (tmp_path / "none.db").exists()
    assert found(verify(path, schema_sha256="0" * 64)) == {"snapshot.schema": "snapshot.schema_wrong"}


# ---------------------------------------------------------------- the seeded bad ones

# Which layer finds it: with the manifest of the good snapshot; with one whose sha256 was taken after the damage; with
# one that agrees in everything (None where no manifest can be made of it).
LAYERS: dict[str, tuple[set[str], set[str], set[str] | None]] = {
    "truncated": ({"file", "sha256", "integrity"}, {"file", "integrity"}, None),
    "bit flip in a table page": ({"sha256", "integrity"}, {"integrity"}, None),
    "bit flip in an index": ({"sha256", "integrity"}, {"integrity"}, {"integrity"}),
    "0 bytes": ({"file"}, {"file"}, None),
    "valid but old": ({"age"}, {"age"}, {"age"}),
    "other schema": ({"sha256", "schema"}, {"schema"}, {"schema"}),
    "missing table": (
        {"sha256", "schema", "rows", "floors"},
        {"schema", "rows", "floors"},
        {"schema", "floors"},
    ),
    "rows missing": ({"sha256", "rows", "floors"}, {"rows", "floors"}, {"floors"}),
    "wrong sha256": ({"sha256"}, set(), None),
    "compressed stream cut": ({"file", "sha256"}, {"file"}, None),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_bad_backup_is_caught(name: str, snapshot: Any, origin: Path) -> None:
    """10 of 10, and by which layer. The last flavour has a manifest that was lied to: only what was declared is left."""
    untouched, rehashed, agreed = LAYERS[name]
    live = str(origin / "learning.db")
    for suffix in (".gz", ".zst") if name == "compressed stream cut" else ("",):
        path = snapshot(suffix)
        DAMAGES[name](path)
        verdict = verify(path, schema_of=live)
        assert {one.split(".")[1] for one in found(verdict)} == untouched and not verdict.ok
        agree(path)
        verdict = verify(path, schema_of=live)
        assert {one.split(".")[1] for one in found(verdict)} == rehashed
        if agreed is not None:
            agree_in_all(path)
            verdict = verify(path, schema_of=live)
            assert {one.split(".")[1] for one in found(verdict)} == agreed and not verdict.ok


@pytest.mark.parametrize("name", [name for name in DAMAGES if name not in ("compressed stream cut", "wrong sha256")])
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damage_before_packing_is_caught_too(name: str, suffix: str, snapshot: Any, tmp_path: Path) -> None:
    plain = snapshot("")
    DAMAGES[name](plain)
    packed = bad_backups.pack(plain, suffix)
    shutil.copy(manifest_path(plain), manifest_path(packed))
    agree(packed)
    verdict = verify(packed)
    assert not verdict.ok and found(verdict), name
    assert {path.name for path in packed.parent.iterdir()} == {
        path.name for one in (plain, packed) for path in (one, manifest_path(one))
    }


def test_one_bit_in_a_value_is_found_by_the_hash_alone(snapshot: Any) -> None:
    path = snapshot("")
    bad_backups.flip(path, path.read_bytes().rindex("意思".encode()) + 1)
    assert found(verify(path)) == {"snapshot.sha256": "snapshot.sha256_wrong"}
    agree(path)
    # No check of the database can see it. That is why the hash is taken while the snapshot is written.
    assert verify(path).ok


def test_dangling_references_are_a_finding(snapshot: Any) -> None:
    path = snapshot("")
    bad_backups.change(path, "DELETE FROM vocabulary WHERE id = 7")
    agree_in_all(path)
    verdict = verify(path)
    assert found(verdict) == {"snapshot.foreign_keys": "snapshot.foreign_keys_bad"}
    assert by_id(verdict)["snapshot.foreign_keys"].value == 3


def test_the_empty_database_that_integrity_check_calls_ok(tmp_path: Path, snapshot: Any) -> None:
    path = snapshot("")
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE gone (x)")
        connection.execute("DROP TABLE gone")
        connection.commit()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    agree(path)
    verdict = verify(path)
    assert by_id(verdict)["snapshot.integrity"].message == "snapshot.integrity_empty" and not verdict.ok


def test_what_is_no_snapshot(snapshot: Any, tmp_path: Path) -> None:
    path = snapshot("")
    assert found(verify(tmp_path / "none.db")) == {"snapshot.file": "snapshot.file_missing"}
    assert found(verify(tmp_path)) == {"snapshot.file": "snapshot.file_kind"}
    os.mkfifo(tmp_path / "pipe.db")
    assert found(verify(tmp_path / "pipe.db")) == {"snapshot.file": "snapshot.file_kind"}
    half = path.with_name(path.name + ".partial")
    shutil.copy(path, half)
    assert found(verify(half)) == {"snapshot.file": "snapshot.file_half"}
    text = tmp_path / "text.db"
    text.write_text("x" * 5000)
    assert found(verify(text)) == {
        "snapshot.manifest": "snapshot.manifest_missing",
        "snapshot.file": "snapshot.file_header",
    }
    manifest_path(path).write_text("{")
    assert "snapshot.manifest_bad" in found(verify(path)).values()
    manifest_path(path).unlink()
    verdict = verify(path)
    assert found(verdict) == {"snapshot.manifest": "snapshot.manifest_missing"} and verdict.facts


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "snapshot.file_stream"),
        (gzip.compress(b"", mtime=0), "snapshot.file_stream"),
        (gzip.compress(b"short", mtime=0), "snapshot.file_stream"),
        (gzip.compress(b"x" * 10_000, mtime=0), "snapshot.file_header"),
        (b"x" * 10_000, "snapshot.file_stream"),
    ],
)
def test_packed_files_that_hold_no_database(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "odd.db.gz"
    path.write_bytes(content)
    assert found(verify(path))["snapshot.file"] == sentence
    assert [one.name for one in tmp_path.iterdir()] == ["odd.db.gz"]


def test_a_stream_that_never_ends_stops_at_the_size_its_header_says(snapshot: Any) -> None:
    path = snapshot(".gz")
    with path.open("ab") as stream:
        stream.write(gzip.compress(b"\0" * 50_000_000, mtime=0))
    agree(path)
    verdict = verify(path)
    assert found(verdict) == {"snapshot.file": "snapshot.file_stream"}
    assert "more than" in by_id(verdict)["snapshot.file"].summary


def test_several_gzip_members_are_one_stream(snapshot: Any) -> None:
    plain = snapshot("")
    packed, data = plain.with_name(plain.name + ".gz"), plain.read_bytes()
    packed.write_bytes(b"".join(gzip.compress(data[at : at + 70_000], mtime=0) for at in range(0, len(data), 70_000)))
    shutil.copy(manifest_path(plain), manifest_path(packed))
    agree(packed)
    assert verify(packed).ok


def test_a_clock_that_is_wrong_makes_nothing_fresh(snapshot: Any) -> None:
    path = snapshot("")
    bad_backups.amend(path, created=bad_backups.utc(-5))
    assert found(verify(path)) == {"snapshot.age": "snapshot.age_future"}


def test_ages_follow_their_thresholds(snapshot: Any) -> None:
    path = snapshot("")
    assert by_id(verify(path, thresholds={"snapshot.age": {"warn": "0.5", "crit": "9"}}))["snapshot.age"].status == 1
    verdict = verify(path, thresholds={"snapshot.newest": {"crit": "0.5"}})
    assert found(verdict) == {"snapshot.newest": "snapshot.newest_is"}
    assert by_id(verdict)["snapshot.newest"].value == pytest.approx(1.0, abs=0.1)
    bad_backups.amend(path, newest="2020-01-01")
    assert found(verify(path)) == {"snapshot.rows": "snapshot.newest_wrong"}


# ---------------------------------------------------------------- read where it lies


def test_a_snapshot_that_was_opened_as_a_live_database(snapshot: Any) -> None:
    path = snapshot("")
    path.with_name(path.name + "-wal").write_bytes(b"x" * 100)
    assert found(verify(path)) == {"snapshot.file": "snapshot.file_beside"}


def test_a_snapshot_that_is_being_written(snapshot: Any) -> None:
    path = snapshot("")
    with path.open("rb"):
        assert verify(path).ok, "a reader, such as a copy to elsewhere, is no trouble"
    with path.open("r+b"):
        assert found(verify(path)) == {"snapshot.file": "snapshot.file_used"}


def test_a_snapshot_that_is_replaced_meanwhile(snapshot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = snapshot("")
    prove = contents.prove

    def replaced(*arguments: Any) -> Any:
        shutil.copy(path, path.with_name("other"))
        path.with_name("other").replace(path)
        return prove(*arguments)

    monkeypatch.setattr(contents, "prove", replaced)
    assert found(verify(path)) == {"snapshot.file": "snapshot.file_changed"}


def test_another_user_is_denied_and_nothing_is_called_damaged(snapshot: Any, place: Path, as_nobody: Any) -> None:
    path = copy_of(snapshot(""), place / "backups")
    path.chmod(0o600)
    assert as_nobody(lambda: by_id(verify(path))["snapshot.file"].message) == "snapshot.file_denied"


# ---------------------------------------------------------------- queries


def test_questions_are_answered(snapshot: Any) -> None:
    path = snapshot("")
    good = [
        {"name": "japanese", "sql": "SELECT count(*) FROM vocabulary WHERE language = 'japanese'", "min": 150.0},
        {"name": "none", "sql": "SELECT count(*) FROM users", "equals": "0"},
        {"name": "word", "sql": "SELECT substr(max(word), 1, 10) FROM vocabulary", "equals": "word 00299"},
        {"name": "tree", "sql": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 9) SELECT max(x) FROM n", "max": 9},
    ]  # fmt: skip
    verdict = verify(path, queries=good)
    assert verdict.ok and [c.item for c in verdict.checks if c.id == "snapshot.query"] == [
        "japanese",
        "none",
        "word",
        "tree",
    ]


@pytest.mark.parametrize(
    ("sql", "limit", "sentence"),
    [
        ("SELECT count(*) FROM vocabulary", {"min": 301}, "snapshot.query_wrong"),
        ("SELECT count(*) FROM vocabulary", {"max": 299}, "snapshot.query_wrong"),
        ("SELECT NULL", {"min": 0}, "snapshot.query_wrong"),
        ("SELECT 'text'", {"min": 0}, "snapshot.query_wrong"),
        ("SELECT 1; DROP TABLE users", {"min": 0}, "snapshot.query_failed"),
        ("DELETE FROM users", {"min": 0}, "snapshot.query_failed"),
        ("ATTACH 'PLACE/made-by-a-query.db' AS x", {"min": 0}, "snapshot.query_failed"),
        ("PRAGMA query_only = OFF", {"min": 0}, "snapshot.query_failed"),
        ("SELECT id FROM vocabulary", {"min": 0}, "snapshot.query_failed"),
        ("SELECT 1, 2", {"min": 0}, "snapshot.query_failed"),
        ("SELECT 1 WHERE 0", {"min": 0}, "snapshot.query_failed"),
        ("SELECT no_such_thing", {"min": 0}, "snapshot.query_failed"),
        ("", {"min": 0}, "snapshot.query_failed"),
    ],
)
def test_questions_that_are_not(snapshot: Any, sql: str, limit: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    path = snapshot("")
    sql = sql.replace("PLACE", str(tmp_path))
    before = tree(path.parent)
    verdict = verify(path, queries=[{"name": "q", "sql": sql, **limit}])
    assert found(verdict) == {"snapshot.query": sentence} and not verdict.ok
    assert tree(path.parent) == before and not (tmp_path / "made-by-a-query.db").exists()


def test_a_question_without_end_is_ended(snapshot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "QUERY_SECONDS", 0.3)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n"
    started = time.monotonic()
    verdict = verify(snapshot(""), queries=[{"name": "q", "sql": endless, "min": 0}])
    assert found(verdict) == {"snapshot.query": "snapshot.query_late"} and time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "backups/x.db"}, "absolute"),
        ({"floors": {"vocabulary": "many"}}, "number of rows"),
        ({"floors": {"vocabulary": True}}, "number of rows"),
        ({"thresholds": {"snapshot.agee": {"warn": "1"}}}, "did you mean snapshot.age"),
        ({"queries": [{"name": "q", "sql": "SELECT 1"}]}, "min, max or equals"),
        ({"queries": [{"name": "q", "sql": "SELECT 1", "min": 1}] * 2}, "one name for each"),
        ({"scratch": "/no/such/place"}, "existing directory"),
        ({"scratch": "tmp"}, "scratch"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], words: str, snapshot: Any) -> None:
    with pytest.raises(OpsError, match=words):
        run.verify({"path": str(snapshot("")), **options}, Deadline(5))


# ---------------------------------------------------------------- scratch


def leftovers(place: Path) -> list[Path]:
    return list(place.glob(scratch.PREFIX + "*"))


@root_only
def test_a_full_disk_is_told_and_the_snapshot_untouched(snapshot: Any, small_disk: Callable[..., Path]) -> None:
    path = snapshot(".zst")
    before = tree(path.parent)
    room = small_disk(200_000)
    verdict = verify(path, scratch=str(room))
    assert found(verdict) == {"snapshot.scratch": "snapshot.scratch_full"} and not verdict.ok
    assert by_id(verdict)["snapshot.scratch"].status is Status.UNKNOWN
    assert tree(path.parent) == before and list(room.iterdir()) == []


@root_only
def test_a_disk_that_fills_up_meanwhile(snapshot: Any, small_disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read.Reading, "_room", lambda *_: None)
    room = small_disk(200_000)
    verdict = verify(snapshot(".gz"), scratch=str(room))
    assert found(verdict) == {"snapshot.scratch": "snapshot.scratch_failed"} and list(room.iterdir()) == []


@root_only
def test_a_directory_that_cannot_be_written_sends_the_scratch_elsewhere(
    snapshot: Any, small_disk: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(scratch, "FALLBACK", elsewhere)
    made = snapshot(".gz")
    disk = small_disk(50_000_000)
    path = copy_of(made, disk / "backups")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert verify(path).ok and list(elsewhere.iterdir()) == []
    verdict = verify(path, scratch=str(disk))
    assert found(verdict) == {"snapshot.scratch": "snapshot.scratch_failed"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """Mount file systems of a few bytes; unmounted at the end."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


def test_a_place_where_others_could_replace_ours_is_refused(snapshot: Any, tmp_path: Path) -> None:
    path, open_to_all = snapshot(".gz"), tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(OpsError, match="sticky"):
        verify(path, scratch=str(open_to_all))
    open_to_all.chmod(0o1777)
    assert verify(path, scratch=str(open_to_all)).ok and list(open_to_all.iterdir()) == []


VERIFY = """
import json, sys
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import queries, run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ending import Ended, ending_in_order
endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n"
def tell(stage, done):
    pass
judge = queries.judge_queries
def slow(*arguments):
    print("unpacked", flush=True)
    yield from judge(*arguments)
queries.judge_queries = slow
try:
    with ending_in_order():
        run.verify({"path": sys.argv[1], "queries": [{"name": "q", "sql": endless, "min": 0}]}, Deadline(60), tell)
except Ended:
    sys.exit(7)
"""


@pytest.mark.parametrize(("sent", "status", "left"), [(signal.SIGTERM, 7, 0), (signal.SIGKILL, -9, 1)])
def test_the_scratch_goes_whatever_happens(snapshot: Any, sent: signal.Signals, status: int, left: int) -> None:
    """A run that is told to end cleans up itself, what a killed one leaves is removed by the next one."""
    path = snapshot(".gz")
    process = subprocess.Popen(
        [sys.executable, "-c", VERIFY, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
        text=True,
    )
    assert process.stdout.readline() == "unpacked\n"
    (scratch,) = leftovers(path.parent)
    assert scratch.stat().st_mode & 0o777 == 0o700
    assert verify(path).ok and leftovers(path.parent) == [scratch], "that of a running one stays"
    process.send_signal(sent)
    assert process.wait(20) == status
    process.stdout.close()
    assert len(leftovers(path.parent)) == left
    deadline = Deadline(20)
    while leftovers(path.parent):
        # The child of the killed run has the directory until it sees that its parent is gone.
        assert verify(path).ok and not deadline.expired
