# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies off the host by the real restic and the real rsync: what arrives, what is refused, what damage is found."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite import restic
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.run import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    SUFFIX,
    describe,
    manifest_path,
    write_manifest,
)

SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
needs_restic = pytest.mark.skipif(not shutil.which("restic"), reason="no restic on this machine")
needs_rsync = pytest.mark.skipif(not shutil.which("rsync"), reason="no rsync on this machine")
needs_sshd = pytest.mark.skipif(not SSHD or os.geteuid() != 0, reason="no sshd on this machine, or not root")
DEFAULTS: dict[str, Any] = {
    "repository": None,
    "password_file": None,
    "environment": {},
    "create": False,
    "host": "tutor1",
    "keep": {},
    "destination": None,
    "delete": False,
    "ssh_key": None,
    "known_hosts": None,
    "ssh_port": None,
    "check": "metadata",
    "read_data_subset": "100%",
    "deadline": 60.0,
    "thresholds": {},
}


def snapshot(directory: Path, stamp: str, created: str = "") -> Path:
    path = directory / f"learning_{stamp}.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE vocabulary (word TEXT)")
        connection.execute("INSERT INTO vocabulary VALUES (hex(randomblob(50000)))")
        connection.commit()
    created = created or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    write_manifest(path, describe(path, path, "/live.db", created))
    return path


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Two snapshots, one file that became none, and somebody's notes."""
    directory = tmp_path / "backups"
    directory.mkdir()
    snapshot(directory, "20261121T180000Z", "2026-11-21T18:00:00Z")
    snapshot(directory, "20261122T180000Z")
    (directory / "learning_latest.db").symlink_to("learning_20261122T180000Z.db")
    (directory / "learning_20261123T180000Z.db.partial").write_bytes(b"half")
    (directory / "notes.txt").write_text("by hand")
    return directory


NAMES = ["learning_20261121T180000Z.db", "learning_20261122T180000Z.db"]


@pytest.fixture
def repository(tmp_path: Path) -> dict[str, Any]:
    password = tmp_path / "password"
    password.write_text("only for this test")
    password.chmod(0o600)
    return {"engine": "restic", "repository": str(tmp_path / "far"), "password_file": str(password), "create": True}


@pytest.fixture
def far(tmp_path: Path) -> dict[str, Any]:
    directory = tmp_path / "far"
    directory.mkdir()
    return {"engine": "rsync", "destination": str(directory)}


def copy(path: Path, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    result = run({**DEFAULTS, "path": str(path), **options}, check_mode)
    for data in result["checks"]:
        found = Check.from_dict(data)
        for locale in ("en", "zh"):
            text = AREA.sentences[found.message].render(locale, found.words)
            assert "{" not in text, text
    return result


def status(result: dict[str, Any], check_id: str) -> Status:
    (found,) = [Status(check["status"]) for check in result["checks"] if check["id"] == check_id]
    return found


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def flip(path: Path) -> None:
    """Change one byte, and nothing that a comparison of size and time would see."""
    seen = path.stat()
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(bytes(content))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


# restic


def ask(repository: dict[str, Any], *words: str) -> str:
    """Ask the repository with the restic command."""
    environment = {
        **os.environ,
        "RESTIC_REPOSITORY": repository["repository"],
        "RESTIC_PASSWORD_FILE": repository["password_file"],
    }
    done = subprocess.run(["restic", *words], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@needs_restic
def test_restic_four_runs_and_a_restore(backups: Path, repository: dict[str, Any], tmp_path: Path) -> None:
    planned = copy(backups, check_mode=True, **repository)
    assert (planned["changed"], planned["copied"]) == (True, NAMES)
    assert not Path(repository["repository"]).exists()
    done = copy(backups, **repository)
    assert done["copied"] == NAMES
    assert done["snapshot_id"]
    assert {status(done, f"offsite.{name}") for name in ("copied", "check", "age")} == {Status.OK}
    for check_mode in (False, True):
        again = copy(backups, check_mode=check_mode, **repository)
        assert (again["changed"], again["copied"], again["present"]) == (False, [], 2)

    ask(repository, "restore", "latest", "--host", "tutor1", "--target", str(tmp_path / "restored"))
    restored = tmp_path / "restored" / backups.relative_to("/")
    there = digests(restored)
    assert there == {name: found for name, found in digests(backups).items() if name.partition(SUFFIX)[0] in NAMES}
    assert not list(restored.glob("*latest*")) + list(restored.glob("*.partial"))

    snapshot(backups, "20261123T180000Z")
    before = digests(Path(repository["repository"]))
    assert copy(backups, check_mode=True, **repository)["copied"] == ["learning_20261123T180000Z.db"]
    assert digests(Path(repository["repository"])) == before, "check mode wrote into the repository"
    assert copy(backups, **repository)["copied"] == ["learning_20261123T180000Z.db"]


@needs_restic
def test_restic_keeps_what_the_policy_says(backups: Path, repository: dict[str, Any]) -> None:
    for number in range(3):
        snapshot(backups, f"2026112{4 + number}T180000Z")
        copy(backups, **repository, check="none")
    planned = copy(backups, check_mode=True, **repository, keep={"last": 1})
    assert (planned["changed"], len(planned["removed"])) == (True, 2)
    assert ask(repository, "snapshots", "--json").count('"short_id"') == 3
    done = copy(backups, **repository, keep={"last": 1})
    assert sorted(done["removed"]) == sorted(planned["removed"])
    assert status(done, "offsite.check") is Status.OK
    assert ask(repository, "snapshots", "--json").count('"short_id"') == 1
    assert not copy(backups, **repository, keep={"last": 1})["changed"]
    with pytest.raises(OpsError, match="above 0"):
        copy(backups, **repository, keep={"daily": 0})


@needs_restic
def test_restic_finds_damage(backups: Path, repository: dict[str, Any]) -> None:
    copy(backups, **repository)
    packs = [path for path in (Path(repository["repository"]) / "data").rglob("*") if path.is_file()]
    largest = max(packs, key=lambda path: path.stat().st_size)
    flip(largest)
    assert status(copy(backups, **repository), "offsite.check") is Status.OK, "metadata alone cannot know"
    found = copy(backups, **repository, check="read_data")
    assert status(found, "offsite.check") is Status.CRITICAL
    assert found["checks"][-1]["evidence"]
    largest.unlink()
    assert status(copy(backups, **repository), "offsite.check") is Status.CRITICAL


@needs_restic
def test_restic_refusals(backups: Path, repository: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpsError, match="make it with create"):
        copy(backups, **{**repository, "create": False})
    copy(backups, **repository)
    password = Path(repository["password_file"])
    password.write_text("another")
    with pytest.raises(OpsError, match="password"):
        copy(backups, **{**repository, "create": False})
    with pytest.raises(OpsError, match="config file already exists"):
        copy(backups, **repository)
    password.chmod(0o644)
    with pytest.raises(OpsError, match="chmod 600"):
        copy(backups, **repository)
    password.unlink()
    with pytest.raises(OpsError, match="expected the file with the repository's password"):
        copy(backups, **repository)
    with pytest.raises(OpsError, match="needs repository and password_file"):
        copy(backups, engine="restic")


@needs_restic
def test_restic_missing(backups: Path, repository: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restic, "PROGRAM", "restic-that-nobody-installed")
    with pytest.raises(OpsError, match="not installed"):
        copy(backups, **repository)


@needs_restic
def test_no_secret_in_the_list_of_processes(
    backups: Path, repository: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    wrapper = tmp_path / "bin" / "restic"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec {shutil.which("restic")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    result = copy(backups, **repository, environment={"AWS_SECRET_ACCESS_KEY": "hidden-key"})
    told = seen.read_text()
    assert "backup" in told
    for secret in ("only for this test", repository["repository"], "hidden-key"):
        assert secret not in told
    assert "hidden-key" not in str(result)


# rsync


@needs_rsync
def test_rsync_four_runs(backups: Path, far: dict[str, Any]) -> None:
    there = Path(far["destination"])
    assert copy(backups, check_mode=True, **far)["copied"] == NAMES
    assert list(there.iterdir()) == []
    done = copy(backups, **far)
    assert done["copied"] == NAMES
    assert {status(done, f"offsite.{name}") for name in ("copied", "check", "age")} == {Status.OK}
    assert digests(there) == {
        name: found for name, found in digests(backups).items() if name.partition(SUFFIX)[0] in NAMES
    }
    assert not list(there.glob("*latest*"))
    for check_mode in (False, True):
        again = copy(backups, check_mode=check_mode, **far)
        assert (again["changed"], again["copied"], again["present"]) == (False, [], 2)


@needs_rsync
def test_manifest_is_copied_after_its_snapshot(backups: Path, far: dict[str, Any]) -> None:
    """A snapshot that cannot be copied leaves no manifest there."""
    blocker = Path(far["destination"]) / NAMES[1]
    blocker.mkdir()
    (blocker / "kept").touch()
    with pytest.raises(OpsError, match="rsync to"):
        copy(backups, **far)
    assert not list(Path(far["destination"]).glob("*" + SUFFIX))


@needs_rsync
def test_rsync_finds_damage(backups: Path, far: dict[str, Any]) -> None:
    copy(backups, **far)
    flip(Path(far["destination"]) / NAMES[0])
    assert status(copy(backups, **far), "offsite.check") is Status.OK, "sizes and times alone cannot know"
    found = copy(backups, **far, check="read_data")
    assert status(found, "offsite.check") is Status.CRITICAL
    assert NAMES[0] in found["checks"][-1]["evidence"][0]


@needs_rsync
def test_rsync_removes_only_when_asked(backups: Path, far: dict[str, Any]) -> None:
    there = Path(far["destination"])
    copy(backups, **far)
    (there / "precious.db").write_bytes(b"somebody's")
    gone = backups / NAMES[0]
    gone.unlink()
    manifest_path(gone).unlink()
    assert copy(backups, **far)["removed"] == []
    assert copy(backups, check_mode=True, **far, delete=True)["removed"] == [NAMES[0], NAMES[0] + SUFFIX]
    assert (there / NAMES[0]).exists()
    assert copy(backups, **far, delete=True)["removed"] == [NAMES[0], NAMES[0] + SUFFIX]
    assert {path.name for path in there.iterdir()} == {NAMES[1], NAMES[1] + SUFFIX, "precious.db"}

    for path in backups.iterdir():
        path.unlink()
    result = copy(backups, **far, delete=True)
    assert status(result, "offsite.copied") is Status.CRITICAL
    assert (there / NAMES[1]).exists(), "an empty directory here emptied the one there"


@needs_rsync
def test_what_is_no_backup_stays(backups: Path, far: dict[str, Any]) -> None:
    with (backups / NAMES[0]).open("ab") as stream:
        stream.write(b"x")
    (backups / "learning_20261120T180000Z.db").write_bytes(b"without a manifest")
    result = copy(backups, **far)
    assert result["copied"] == [NAMES[1]]
    assert status(result, "offsite.copied") is Status.WARNING
    assert {one["name"]: one["reason"] for one in result["left"]}["learning_20261120T180000Z.db"] == "no manifest"


@needs_rsync
def test_age_of_the_newest_copy(tmp_path: Path, far: dict[str, Any]) -> None:
    directory = tmp_path / "backups"
    directory.mkdir()
    snapshot(directory, "20261101T180000Z", "2020-11-01T18:00:00Z")
    assert status(copy(directory, **far), "offsite.age") is Status.CRITICAL


@needs_rsync
@pytest.mark.parametrize("destination", ["backups", "host::module/x", "rsync://host/x", "-e sh /x", "h:relative", ""])
def test_destinations_that_are_refused(backups: Path, destination: str) -> None:
    with pytest.raises(OpsError, match="destination"):
        copy(backups, engine="rsync", destination=destination)


@needs_rsync
def test_key_path_that_would_be_two_words(backups: Path) -> None:
    with pytest.raises(OpsError, match="one word"):
        copy(backups, engine="rsync", destination="h:/x", ssh_key="/etc/key -o ProxyCommand=x")


# Over ssh


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """An sshd on loopback with a key of its own, for the user who runs this."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    authorized = tmp_path / "authorized"
    authorized.write_text((tmp_path / "user.pub").read_text())
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\nAuthorizedKeysFile {authorized}\n"
        "StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < end
    known = tmp_path / "known_hosts"
    key = " ".join((tmp_path / "host.pub").read_text().split()[:2])
    known.write_text(f"[127.0.0.1]:{port} {key}\n")
    yield {"ssh_key": str(tmp_path / "user"), "known_hosts": str(known), "ssh_port": port}
    process.kill()
    process.wait()


@needs_sshd
@needs_rsync
def test_rsync_over_ssh(backups: Path, tmp_path: Path, server: dict[str, Any]) -> None:
    (tmp_path / "far").mkdir()
    options = {"engine": "rsync", "destination": f"{getpass.getuser()}@127.0.0.1:{tmp_path / 'far'}", **server}
    assert copy(backups, **options, check="read_data")["copied"] == NAMES
    assert not copy(backups, **options)["changed"]
    Path(server["known_hosts"]).write_text("")
    with pytest.raises(OpsError, match="Expected the host's key to be known"):
        copy(backups, **options)


@needs_sshd
@needs_restic
def test_restic_over_sftp(backups: Path, repository: dict[str, Any], server: dict[str, Any]) -> None:
    address = f"sftp://{getpass.getuser()}@127.0.0.1:{server['ssh_port']}/{repository['repository']}"
    options = {**repository, **server, "repository": address}
    assert copy(backups, **options)["copied"] == NAMES
    assert not copy(backups, **options)["changed"]
    Path(server["known_hosts"]).write_text("")
    with pytest.raises(OpsError, match="restic"):
        copy(backups, **options)
