# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sqlite_restore where no service is needed: files that move as one set, plans, refusals, and what an interruption leaves.

With a service, and killed at random moments, in tests/integration/sqlite.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bad_backups
import pytest
from bad_backups import FLOORS, fill, make_snapshot
from databases import OTHER, tree
from sets import journal_mode, learn, words

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ending import Ended
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed, OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore import exchange, files, run, serve
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.journal import Journal, new_run_id
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.result import Run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.area import AREA as SNAPSHOTS

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
HOST = "tutor1"


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A live database in WAL mode, closed properly."""
    path = tmp_path / "storage" / "learning.db"
    path.parent.mkdir()
    return fill(path)


@pytest.fixture
def snapshot(live: Path, tmp_path: Path) -> Path:
    """A snapshot of it; after it a word was learned."""
    made = make_snapshot(live, tmp_path / "backups")
    learn(live)
    return made


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A restore that undoes ignores signals until its process ends, which here it does not."""
    before = {one: signal.getsignal(one) for one in exchange.SIGNALS}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def restore(snapshot: Path, path: Path, check_mode: bool = False, **options: Any) -> Run:
    spec = {"snapshot": str(snapshot), "path": str(path), "confirm": HOST, "host": HOST, "floors": FLOORS, **options}
    done = run.restore(spec, Deadline(60), check_mode=check_mode)
    for check in done.checks:
        for locale in ("en", "zh"):
            sentences = {**AREA.sentences, **SNAPSHOTS.sentences}
            assert "{" not in sentences[check.message].render(locale, check.words)
    return done


def steps(done: Run) -> list[str]:
    return [step["step"] for step in done.steps]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# ---------------------------------------------------------------- restore


def test_to_a_scratch_place(snapshot: Path, tmp_path: Path) -> None:
    """Nothing is replaced, so nothing has to be confirmed."""
    path = tmp_path / "scratch" / "learning.db"
    path.parent.mkdir()
    planned = restore(snapshot, path, check_mode=True, confirm="")
    assert planned.changed and names(path.parent) == []
    done = restore(snapshot, path, confirm="")
    assert done.changed and done.previous_path == "" and names(path.parent) == ["learning.db"]
    assert path.stat().st_mode & 0o777 == 0o640 and words(path) == []
    assert not restore(snapshot, path).changed


@root_only
def test_owner_and_mode_are_those_of_the_present_one(snapshot: Path, place: Path) -> None:
    """In a directory that its owner can come to, since everything is read as the owner."""
    live = place / "storage" / "learning.db"
    live.parent.mkdir()
    fill(live, 7)
    for path in (live.parent, live):
        os.chown(path, OTHER, OTHER)
    done = restore(snapshot, live)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in live.parent.iterdir()} == {(OTHER, OTHER)}
    live.unlink()
    Path(done.previous_path).unlink()
    restore(snapshot, live)
    assert live.stat().st_uid == OTHER, "of nobody's file the directory's owner"


def kill_with_wal(path: Path, word: str) -> None:
    """Let an application write a word and die, so that it is only in the -wal."""
    code = (
        "import os, signal, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA wal_autocheckpoint = 0'); c.execute('INSERT INTO vocabulary (word) VALUES (?)', sys.argv[2:]);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run(["python3", "-c", code, str(path), word], check=False).returncode == -signal.SIGKILL
    assert files.beside(path, "-wal").stat().st_size > 0


def test_a_stale_wal_never_meets_the_new_database(snapshot: Path, live: Path) -> None:
    kill_with_wal(live, "unsaved")
    done = restore(snapshot, live)
    assert words(live) == []
    previous = Path(done.previous_path)
    assert words(previous) == ["later", "unsaved"], "the set that was set aside is whole"
    loss = next(check for check in done.checks if check.id == "restore.loss")
    assert loss.value == 2 and "vocabulary 2" in loss.summary


@pytest.mark.parametrize("present", ["missing", "empty", "damaged", "wal alone"])
def test_what_is_there_may_be_lost_already(snapshot: Path, live: Path, present: str) -> None:
    if present == "wal alone":
        kill_with_wal(live, "unsaved")
    if present in ("missing", "wal alone"):
        live.unlink()
    elif present == "empty":
        live.write_bytes(b"")
    else:
        bad_backups.flipped_in_a_table(live)
    done = restore(snapshot, live)
    assert done.changed and words(live) == []
    assert bool(done.previous_path) == (present != "missing")
    assert not files.beside(live, "-wal").exists()


def test_damaged_indexes_are_no_reason_to_leave_it(live: Path, tmp_path: Path) -> None:
    """The same rows by every table, and an index that is not: it is not the same."""
    made = make_snapshot(live, tmp_path / "backups")
    assert not restore(made, live).changed
    bad_backups.flipped_in_an_index(live)
    assert restore(made, live).changed


def test_a_changed_value_is_a_change(snapshot: Path, live: Path) -> None:
    restore(snapshot, live)
    bad_backups.change(live, "UPDATE users SET name = 'x'; UPDATE learning_records SET strength = 9 WHERE id = 5")
    assert restore(snapshot, live, check_mode=True).changed


def test_through_a_link(snapshot: Path, live: Path, tmp_path: Path) -> None:
    link = tmp_path / "current.db"
    link.symlink_to(live)
    done = restore(snapshot, link)
    assert link.is_symlink() and words(live) == [] and Path(done.previous_path).parent == live.parent


def test_journal_mode_follows_the_database_that_was_there(snapshot: Path, live: Path) -> None:
    bad_backups.change(live, "SELECT 1")
    restore(snapshot, live)
    assert journal_mode(live) == "delete"


# ---------------------------------------------------------------- refusals


def refused(match: str, *arguments: Any, **options: Any) -> ActionFailed:
    with pytest.raises(ActionFailed, match=match) as caught:
        restore(*arguments, **options)
    return caught.value


@pytest.mark.parametrize(
    "name", [name for name in bad_backups.DAMAGES if name not in ("valid but old", "compressed stream cut")]
)
def test_a_bad_snapshot_is_not_restored(snapshot: Path, live: Path, name: str) -> None:
    bad_backups.DAMAGES[name](snapshot)
    before = tree(live.parent)
    failed = refused("is not restored", snapshot, live)
    assert tree(live.parent) == before and failed.result["checks"] and not failed.result["changed"]


def test_an_old_one_is(snapshot: Path, live: Path) -> None:
    bad_backups.old(snapshot)
    assert restore(snapshot, live).changed


@pytest.mark.parametrize("confirm", ["", "tutor2", "TUTOR1"])
def test_the_host_has_to_be_named(snapshot: Path, live: Path, confirm: str) -> None:
    before = tree(live.parent)
    for check in (False, True):
        with pytest.raises(OpsError, match="expected 'tutor1'"):
            restore(snapshot, live, check_mode=check, confirm=confirm)
    assert tree(live.parent) == before


def test_somebody_has_it_open(snapshot: Path, live: Path, application: Any) -> None:
    process = application(live)
    failed = refused(rf"still open in pid {process.pid} \(python", snapshot, live)
    assert not failed.result["undone"] and failed.result["steps"][-1]["step"] == "undo"
    assert sorted(path.name for path in live.parent.iterdir() if "restore" in path.name) == []


def test_an_application_without_a_unit_has_to_be_stopped(snapshot: Path, live: Path, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    pidfile.write_text(f"{os.getpid()}\n")
    refused("expected it to be stopped", snapshot, live, pidfile=str(pidfile))
    pidfile.write_text("999999999\n")
    assert restore(snapshot, live, pidfile=str(pidfile)).changed


def test_a_second_run_is_refused(snapshot: Path, live: Path) -> None:
    with locked(live.parent, "a backup of it", shared=True):
        refused("in use by", snapshot, live)


def test_paths_that_are_no_databases_place(snapshot: Path, live: Path, tmp_path: Path) -> None:
    for path, match in (("learning.db", "absolute"), (tmp_path / "no" / "x.db", "no directory"), (tmp_path, "regular")):
        with pytest.raises(OpsError, match=match):
            restore(snapshot, path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@root_only
def test_disk_full_and_read_only(snapshot: Path, live: Path, small_disk: Path) -> None:
    path = Path(shutil.copy(live, small_disk))
    before = tree(small_disk)
    refused("free, unpacking needs", snapshot, path)
    assert tree(small_disk) == before
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused("Read-only file system", snapshot, path)
    assert tree(small_disk) == before


def test_a_signal_ends_it_in_order(snapshot: Path, live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the exchange, so that there is something to undo."""
    count = serve.count_rows

    def ended(*arguments: Any) -> None:
        count(*arguments)
        raise Ended("SIGTERM")

    monkeypatch.setattr(serve, "count_rows", ended)
    failed = refused("ended by SIGTERM. The former database is back", snapshot, live)
    assert failed.result["undone"] and words(live) == ["later"]
    assert words(Path(failed.result["failed_path"])) == []
    assert {check["id"]: check["message"] for check in failed.result["checks"] if check["status"] == 2} == {
        "restore.served": "restore.served_not",
        "restore.undone": "restore.undone_well",
    }


# ---------------------------------------------------------------- interrupted at every single moment


class Killed(BaseException):
    """As SIGKILL: nothing of the restore runs after it."""


CALLS = ("link", "rename", "unlink")


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the process end before the n-th change of a name from now on."""
    real = {name: getattr(os, name) for name in CALLS}

    def after(count: int) -> None:
        left = [count]

        def limited(name: str) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return real[name](*arguments, **options)

            return call

        for name in CALLS:
            monkeypatch.setattr(os, name, limited(name))

    yield after
    for name in CALLS:
        monkeypatch.setattr(os, name, real[name])


SETS = [("",), ("", "-wal", "-shm"), ("", "-journal"), ("", "-shm"), ("-wal",), ()]


def lay(directory: Path, present: tuple[str, ...]) -> tuple[Path, Path, Path, Path]:
    path, aside, failed, incoming = (directory / name for name in ("db", "db.before", "db.failed", "db.partial"))
    for suffix in present:
        files.beside(path, suffix).write_text(f"old{suffix}")
    incoming.write_text("new")
    return path, aside, failed, incoming


def contents(path: Path) -> dict[str, str]:
    return {suffix: files.beside(path, suffix).read_text() for suffix in files.inodes(path)}


def whole(old: dict[str, str], seen: dict[str, str]) -> bool:
    """Tell whether a set has all its data; -shm is rebuilt from the others."""
    return {k: v for k, v in old.items() if k != "-shm"} == {k: v for k, v in seen.items() if k != "-shm"}


@pytest.mark.parametrize("present", SETS, ids=lambda present: "+".join(present) or "nothing")
def test_no_moment_loses_the_old_set(tmp_path: Path, present: tuple[str, ...], kill_after: Any) -> None:
    """Killed before each change of a name, and again before each change of the next run that puts it back."""
    reached = 0
    for first in range(20):
        for second in range(20):
            directory = tmp_path / f"{first}-{second}"
            directory.mkdir()
            path, aside, failed, incoming = lay(directory, present)
            old, before = files.inodes(path), contents(path)
            kill_after(first)
            done = False
            try:
                files.replace(path, aside, incoming)
                done = True
            except Killed:
                pass
            kill_after(99)
            # One name has all of it, and nobody's -wal lies beside another's database.
            assert whole(before, contents(aside)) or whole(before, contents(path)) or "" not in before
            if contents(path).get("") == "new":
                assert set(contents(path)) == {""}
            elif present == ("",):
                assert contents(path) == before, "the name is never missing"
            kill_after(second)
            again = False
            try:
                files.put_back(path, aside, failed, old)
            except Killed:
                again = True
            kill_after(99)
            assert whole(before, contents(aside)) or whole(before, contents(path)) or "" not in before
            files.put_back(path, aside, failed, old)
            assert whole(before, contents(path)), (first, second)
            assert contents(aside) == {} and set(contents(failed)) <= {""}
            reached += 1
            if not again:
                break
        if done:
            break
    assert reached > first > 0 or not present


def test_what_an_application_wrote_meanwhile_is_kept(tmp_path: Path) -> None:
    """It was started by somebody between the two renames and made an empty database."""
    path, aside, failed, incoming = lay(tmp_path, ("", "-wal"))
    old, before = files.inodes(path), contents(path)
    files.move(path, aside)
    for suffix in ("", "-wal", "-shm"):
        files.beside(path, suffix).write_text(f"foreign{suffix}")
    files.put_back(path, aside, failed, old)
    assert contents(path) == before and contents(failed) == {s: f"foreign{s}" for s in ("", "-wal", "-shm")}


def test_a_set_that_went_on_living_is_left_alone(tmp_path: Path) -> None:
    """Killed before the database was renamed; its application came back and went on writing, with another -wal."""
    path, aside, failed, incoming = lay(tmp_path, ("", "-wal"))
    old = files.inodes(path)
    files.link(files.beside(path, "-wal"), files.beside(aside, "-wal"))
    files.beside(path, "-wal").unlink()
    files.beside(path, "-wal").write_text("newer")
    files.put_back(path, aside, failed, old)
    assert contents(path) == {"": "old", "-wal": "newer"} and contents(failed) == contents(aside) == {}


def test_a_former_database_that_is_nowhere_is_told(tmp_path: Path) -> None:
    path, aside, failed, incoming = lay(tmp_path, ("",))
    old = files.inodes(path)
    path.unlink()
    with pytest.raises(OpsError, match="-inum"):
        files.put_back(path, aside, failed, old)
    assert names(tmp_path) == ["db.partial"]


@pytest.mark.parametrize("wal", [False, True])
def test_the_next_run_finishes_what_a_killed_one_left(
    snapshot: Path, live: Path, wal: bool, kill_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each change of a name in a whole restore, its journal included."""
    undo = exchange.undo

    def none(attempt: Any, place: Any, why: BaseException) -> None:
        if isinstance(why, Killed):
            raise why
        undo(attempt, place, why)

    monkeypatch.setattr(exchange, "undo", none)
    known = {"later", "unsaved"} if wal else {"later"}
    interrupted = set()
    for count in range(40):
        directory = live.parent.with_name(f"storage-{count}")
        shutil.copytree(live.parent, directory)
        path = directory / live.name
        if wal:
            kill_with_wal(path, "unsaved")
        kill_after(count)
        try:
            restore(snapshot, path)
            break
        except (Killed, ActionFailed):
            pass
        finally:
            kill_after(10_000)
        left = Journal.read(path)
        told = {check.message for check in restore(snapshot, path, check_mode=True).checks}
        done = restore(snapshot, path)
        interrupted.add(left.state if left else "")
        recovered = [check.message for check in done.checks if check.id == "restore.recovered"]
        assert set(recovered) <= told and bool(recovered) == bool(left)
        assert done.changed and words(path) == []
        kept = [one for one in directory.iterdir() if ".before-restore-" in one.name and one.suffix != ".partial"]
        sets = [words(one) for one in kept if not one.name.endswith(files.COMPANIONS)]
        assert any(set(one) == known for one in sets), (count, names(directory))
        assert not [name for name in names(directory) if "partial" in name or "restore.json" in name]
        shutil.rmtree(directory)
    assert interrupted == {"", "staging", "swapping", "proved"}


# ---------------------------------------------------------------- the journal


def test_a_journal_that_is_none_stops_everything(snapshot: Path, live: Path) -> None:
    journal = Journal(live, new_run_id())
    for text in ("", "{", "[]", json.dumps({"schema": "ops.restore/1", "run_id": "../../etc", "state": "staging"})):
        journal.file.write_text(text)
        refused("is not the journal", snapshot, live)
    journal.file.unlink()
    journal.file.symlink_to("/etc/passwd")
    refused("cannot be read", snapshot, live)
    assert words(live) == ["later"]


@root_only
def test_a_journal_of_somebody_else_is_not_followed(snapshot: Path, live: Path) -> None:
    """Whoever may write beside the database must not make root move files."""
    journal = Journal(live, new_run_id(), state="swapping", old={"": 1})
    journal.write("swapping")
    assert journal.file.stat().st_mode & 0o777 == 0o600
    os.chown(journal.file, OTHER, OTHER)
    refused("belongs to uid 4711", snapshot, live)


def test_a_journal_of_another_service_is_not_finished(snapshot: Path, live: Path) -> None:
    Journal(live, new_run_id(), service="other.service", was_active=True).write("stopping")
    refused("expected service other.service", snapshot, live)
