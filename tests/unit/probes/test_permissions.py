# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The permissions probe, on real files with real modes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import permissions
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security import tree as scanning

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"
PUBLIC = "-----BEGIN CERTIFICATE-----\nx\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


@pytest.fixture
def tree(passable):
    return passable


def put(path: Path, mode: int, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def look(*trees, previous=None, seconds=10.0, **options):
    spec = {"trees": [str(one) for one in trees], "exclude": [], "entries": 200_000, "rebaseline": False, **options}
    result = permissions.probe(spec, previous or {}, Deadline(seconds))
    return {check.id.partition(".")[2]: check for check in result.checks}, result.state


def test_a_tidy_tree_has_no_finding(tree):
    put(tree / "app.py", 0o644)
    put(tree / ".env", 0o640)
    put(tree / "bin/run", 0o755)
    (tree / "shared").mkdir(mode=0o755)
    (tree / "shared").chmod(0o1777)
    (tree / "link").symlink_to("/etc/passwd")
    checks, _state = look(tree)
    assert {check.status for check in checks.values()} == {Status.OK}
    assert checks["scan"].value == 6


def test_files_and_directories_that_everybody_may_write(tree):
    put(tree / "note", 0o666)
    (tree / "drop").mkdir()
    (tree / "drop").chmod(0o777)
    checks, _state = look(tree)
    assert (checks["writable"].status, checks["writable"].evidence) == (
        Status.WARNING,
        [f"-rw-rw-rw- {tree}/note"],
    )
    assert (checks["directories"].status, checks["directories"].evidence) == (
        Status.WARNING,
        [f"drwxrwxrwx {tree}/drop"],
    )
    put(tree / "run", 0o777)
    assert look(tree)[0]["writable"].status is Status.CRITICAL


def test_the_root_of_a_tree_counts_too(tree):
    tree.chmod(0o777)
    assert look(tree)[0]["directories"].evidence == [f"drwxrwxrwx {tree}"]


def test_what_nobody_can_reach_is_open_to_nobody(tree):
    put(tree / "private/note", 0o666)
    put(tree / "private/deep/id_rsa", 0o644)
    (tree / "private").chmod(0o700)
    checks, _state = look(tree)
    assert checks["writable"].status is checks["secrets"].status is Status.OK
    assert look(tree / "private/deep")[0]["secrets"].status is Status.OK
    (tree / "private").chmod(0o711)
    assert look(tree)[0]["secrets"].status is Status.WARNING


@pytest.mark.parametrize(
    ("name", "text", "status"),
    [
        (".env", "KEY=1", Status.WARNING),
        (".env.production", "KEY=1", Status.WARNING),
        (".env.example", "KEY=", Status.OK),
        (".git-credentials", "x", Status.WARNING),
        ("id_ed25519", "x", Status.WARNING),
        ("id_ed25519.pub", "x", Status.OK),
        ("server.pem", PRIVATE, Status.CRITICAL),
        ("server.key", PUBLIC + "-----BEGIN RSA PRIVATE KEY-----\n", Status.CRITICAL),
        ("server.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", Status.CRITICAL),
        ("chain.pem", PUBLIC, Status.OK),
        ("archive.key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n", Status.OK),
        ("flask.key", "8f7a6d", Status.WARNING),
        ("empty.key", "", Status.OK),
        ("notes.sqlite3", "x", Status.WARNING),
        ("aliases.db", "berkeley", Status.OK),
        ("settings.py", "SECRET=1", Status.OK),
    ],
)
def test_secrets_that_everybody_may_read(tree, name, text, status):
    path = put(tree / name, 0o644, text)
    check = look(tree)[0]["secrets"]
    assert check.status is status
    path.chmod(0o640)
    assert look(tree)[0]["secrets"].status is Status.OK


def test_a_real_database_and_a_real_key_are_known_by_their_content(tree):
    with closing(sqlite3.connect(tree / "learning.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    (tree / "learning.db").chmod(0o644)
    check = look(tree)[0]["secrets"]
    assert (check.status, check.evidence) == (Status.WARNING, [f"-rw-r--r-- {tree}/learning.db (database)"])
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tree / "host.pem"], check=True)
    (tree / "host.pem").chmod(0o644)
    check = look(tree)[0]["secrets"]
    assert (check.status, check.params["keys"]) == (Status.CRITICAL, 1)


@pytest.mark.skipif(not Path("/etc/ssl/certs/ca-certificates.crt").exists(), reason="no certificates on this machine")
def test_the_systems_certificates_are_no_secrets():
    assert look("/etc/ssl/certs")[0]["secrets"].status is Status.OK


def test_a_new_setuid_program_stays_a_finding_until_it_is_accepted(tree):
    put(tree / "old", 0o4755)
    first, state = look(tree)
    assert (first["setuid"].status, first["setuid"].value) == (Status.OK, 1)
    put(tree / "new", 0o2755)
    second, state = look(tree, previous=state)
    assert second["setuid"].status is Status.WARNING
    [line] = second["setuid"].evidence
    assert line.startswith("2755 ")
    assert line.endswith(f"{tree}/new")
    third, state = look(tree, previous=state)
    assert third["setuid"].status is Status.WARNING, "it is not learnt by being seen twice"
    fourth, state = look(tree, previous=state, rebaseline=True)
    fifth, state = look(tree, previous=state)
    assert fourth["setuid"].status is fifth["setuid"].status is Status.OK
    (tree / "old").chmod(0o6755)
    changed = look(tree, previous=state)[0]["setuid"]
    assert (changed.status, changed.evidence[0][:4]) == (Status.WARNING, "6755")
    assert "was 4755" in changed.evidence[0]


def test_a_program_that_was_removed_and_comes_back_is_new(tree):
    path = put(tree / "tool", 0o4755)
    _checks, state = look(tree)
    path.unlink()
    checks, state = look(tree, previous=state)
    assert checks["setuid"].status is Status.OK
    put(path, 0o4755)
    assert look(tree, previous=state)[0]["setuid"].status is Status.WARNING


@needs_root
def test_files_of_no_account(tree):
    path = put(tree / "orphan", 0o644)
    os.chown(path, 54321, 0)
    check = look(tree)[0]["nobody"]
    assert (check.status, check.evidence) == (Status.WARNING, [f"54321:0 {path}"])


@needs_root
def test_another_file_system_is_not_entered(tree):
    (tree / "mounted").mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "mounted"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no mounts on this machine")
    try:
        put(tree / "mounted/note", 0o666)
        assert look(tree)[0]["writable"].status is Status.OK
        assert look(tree, tree / "mounted")[0]["writable"].value == 1, "unless it is named itself"
    finally:
        subprocess.run(["umount", tree / "mounted"], check=True)


def test_no_symlink_is_followed_and_no_pipe_is_read(tree):
    elsewhere = put(tree / "elsewhere/note", 0o666).parent
    (tree / "look").mkdir()
    (tree / "look/link").symlink_to(elsewhere)
    os.mkfifo(tree / "look/pipe.pem", 0o644)
    checks, _state = look(tree / "look")
    assert checks["scan"].value == 2
    assert {check.status for check in checks.values()} == {Status.OK}


def test_a_pass_ends_at_its_budget_and_says_so(tree):
    for number in range(30):
        put(tree / f"{number}", 0o666)
    checks, _state = look(tree, entries=10)
    assert (checks["scan"].status, checks["scan"].reason) == (Status.UNKNOWN, "timeout")
    assert checks["writable"].value == 10, "what was found is told all the same"


def test_a_pass_ends_at_its_deadline(tree, monkeypatch):
    monkeypatch.setattr(scanning, "CLOCK_ENTRIES", 1)
    put(tree / "note", 0o644)
    assert look(tree, seconds=0.0)[0]["scan"].status is Status.UNKNOWN


def test_a_stopped_pass_forgets_no_program(tree):
    put(tree / "a", 0o4755)
    put(tree / "b", 0o4755)
    _checks, state = look(tree)
    _checks, stopped = look(tree, previous=state, entries=1)
    assert stopped == state


def test_overlapping_trees_count_once_and_missing_ones_are_named(tree):
    put(tree / "sub/note", 0o666)
    checks, _state = look(tree, tree / "sub", tree / "gone")
    assert checks["writable"].value == 1
    assert checks["scan"].evidence == [f"not there: {tree}/gone"]
    assert look(tree / "gone")[0]["scan"].status is Status.UNKNOWN


def test_what_is_excluded_is_not_looked_at(tree):
    put(tree / "cache/note", 0o666)
    assert look(tree, exclude=[f"{tree}/cache"])[0]["writable"].status is Status.OK


def test_a_directory_that_is_closed_to_us_is_unknown(tree, request):
    (tree / "closed").mkdir(mode=0o700)

    def seen():
        check = look(tree)[0]["scan"]
        return [check.status, check.reason]

    if os.geteuid() == 0:
        os.chown(tree / "closed", 0, 0)
        told = request.getfixturevalue("as_nobody")(seen)
    else:
        (tree / "closed").chmod(0)
        told = seen()
    assert told == [Status.UNKNOWN, "denied"]


def test_evidence_stays_short(tree):
    for number in range(300):
        put(tree / f"{number:03}", 0o666)
    check = look(tree)[0]["writable"]
    assert check.value == 300
    assert len(check.evidence) == 10
    found = scanning.Scan([], 1000, Deadline(10)).run([str(tree)])
    assert (found.writable.count, len(found.writable.items)) == (300, scanning.KEPT)
