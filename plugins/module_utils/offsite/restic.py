# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies in a restic repository: encrypted, deduplicated, with a check of its own.

One restic snapshot holds all that the backup directory holds. Its password comes from a file, and the repository's
address, which may have credentials in it, through the environment: neither is seen in the list of processes.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import Output, run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.engine import Verdict, reason, ssh_command
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.snapshots import Snapshot
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact, redact_url

PROGRAM = "restic"
TAG = "ops-snapshots"
KEEP = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
_SFTP = re.compile(r"sftp:(?://)?(?P<user>[\w.-]+@)?(?P<host>[\w.-]+)(?::(?P<port>\d+)/)?[:/].*")


class Restic:
    """One repository, seen from one host."""

    def __init__(self, directory: str, options: Mapping[str, Any], deadline: Deadline) -> None:
        self.directory = os.path.realpath(directory)
        self.where = redact_url(options["repository"])
        self.host = options["host"]
        self._deadline = deadline
        self._keep = keep_words(options["keep"])
        self._environment = {
            **{str(name): str(value) for name, value in options["environment"].items()},
            "RESTIC_REPOSITORY": options["repository"],
            "RESTIC_PASSWORD_FILE": password_file(options["password_file"]),
            "RESTIC_PROGRESS_FPS": "0.01",
        }
        self._ssh = _sftp_words(options)
        self._unlocked = False

    def _run(self, *words: str) -> Output:
        argv = [PROGRAM, *self._ssh, *words]
        return run(argv, max(0.1, self._deadline.remaining()), env=self._environment)

    def _ask(self, *words: str) -> str:
        output = self._run(*words)
        if output.rc:
            raise OpsError(f"restic {words[0]} at {self.where}: {redact(reason(output))}. {_advice(output.stderr)}")
        if skipped := [line for line in output.stderr.splitlines() if "does not exist, skipping" in line]:
            raise OpsError(
                f"restic {words[0]} left something out: {redact(skipped[0].strip())}. Expected the snapshots to stay while "
                "they are copied; run it again"
            )
        return output.stdout

    def _unlock(self) -> None:
        """Remove, once, the locks of processes of this host that are gone, such as a killed run of this."""
        if not self._unlocked:
            self._run("unlock")
        self._unlocked = True

    def exists(self) -> bool:
        """Tell whether there is a repository that this password opens."""
        return not self._run("cat", "config", "--no-lock").rc

    def make(self) -> None:
        """Make the repository; restic refuses where there is one, also one with another password."""
        self._ask("init")

    def _snapshots(self) -> list[dict[str, Any]]:
        text = self._ask("snapshots", "--json", "--no-lock", "--host", self.host, "--tag", TAG)
        return list(json.loads(text) or [])

    def _paths(self, snapshots: Sequence[Snapshot]) -> list[str]:
        names = [name for one in snapshots for name in (one.name, one.manifest)]
        return [os.path.join(self.directory, name) for name in names]

    def missing(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        """A snapshot never changes, so one whose file and manifest are in a restic snapshot is there."""
        known = {path for one in self._snapshots() for path in one.get("paths", ())}
        return [one for one in snapshots if not known.issuperset(self._paths([one]))]

    def rehearse(self, snapshots: Sequence[Snapshot]) -> None:
        """Read everything and write nothing."""
        self._ask("backup", "--dry-run", "--json", "--host", self.host, "--tag", TAG, "--", *self._paths(snapshots))

    def copy(self, snapshots: Sequence[Snapshot]) -> str:
        """Copy all of them into one restic snapshot; what is there already costs nothing."""
        self._unlock()
        text = self._ask("backup", "--json", "--host", self.host, "--tag", TAG, "--", *self._paths(snapshots))
        for line in text.splitlines():
            told = json.loads(line) if line.startswith("{") else {}
            if told.get("message_type") == "summary":
                return str(told["snapshot_id"])
        raise OpsError(f"restic backup at {self.where} told no snapshot: expected one; see `restic snapshots`")

    def check(self, snapshots: Sequence[Snapshot], read_data: str) -> Verdict:
        """Let restic check its structure, and with ``read_data`` (a share such as 5%) the data itself."""
        self._unlock()
        output = self._run("check", *([f"--read-data-subset={read_data}"] if read_data else []))
        how = "restic check" + (f" ({read_data})" if read_data else "")
        if not output.rc:
            return Verdict(how)
        lines = [redact(line.strip()) for line in (output.stderr + output.stdout).splitlines() if line.strip()]
        wrong = [line for line in lines if re.search(r"error|fatal|damage|missing|not|contain", line, re.IGNORECASE)]
        return Verdict(how, wrong or lines or [output.complaint])

    def forget(self, snapshots: Sequence[Snapshot], rehearse: bool) -> list[str]:
        """Remove what is beyond the policy. Grouped by host and tag: the paths are other ones each day."""
        if not self._keep:
            return []
        if not rehearse:
            self._unlock()
        words = ["--json", "--host", self.host, "--tag", TAG, "--group-by", "host,tags", *self._keep]
        text = self._ask("forget", *words, "--dry-run" if rehearse else "--prune")
        groups = json.loads(next((line for line in text.splitlines() if line.startswith("[")), "[]"))
        return [str(one["short_id"]) for group in groups for one in group.get("remove") or ()]


def keep_words(keep: Mapping[str, Any]) -> list[str]:
    """Return the policy as restic takes it; raise OpsError for one that could keep nothing."""
    words = []
    for name, count in keep.items():
        if name not in KEEP or not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise OpsError(f"keep: {name} is {count!r}: expected numbers above 0 for {', '.join(KEEP)}")
        words.append(f"--keep-{name}={count}")
    return words


def password_file(path: str) -> str:
    """Return the file of the password; raise OpsError when anybody else could read it."""
    try:
        seen = os.stat(path)
    except OSError as exc:
        raise OpsError(
            f"password_file {path}: {exc.strerror}; expected the file with the repository's password"
        ) from exc
    if not stat.S_ISREG(seen.st_mode) or seen.st_mode & 0o077 or seen.st_uid not in (0, os.geteuid()):
        raise OpsError(
            f"password_file {path} is {stat.filemode(seen.st_mode)} of uid {seen.st_uid}: expected a file that only its owner, "
            "root or the user this runs as, can read. `chmod 600` it"
        )
    return path


def _sftp_words(options: Mapping[str, Any]) -> list[str]:
    """Return what makes restic's ssh strict; nothing for other kinds of repositories."""
    if not options["repository"].startswith("sftp:"):
        return []
    match = _SFTP.fullmatch(options["repository"])
    if not match:
        raise OpsError(
            f"repository {options['repository']!r}: expected sftp:user@host:/path or sftp://user@host:port//path"
        )
    ssh = ssh_command(
        options["ssh_key"] or "", options["known_hosts"] or "", int(match["port"] or options["ssh_port"] or 0)
    )
    return ["-o", f"sftp.command={ssh} {match['user'] or ''}{match['host']} -s sftp"]


def _advice(said: str) -> str:
    """Return what to do about what restic said."""
    if "wrong password" in said:
        return "Expected the password the repository was made with (password_file)"
    if "repository at the following location" in said or "unable to open config" in said:
        return "Expected a repository there: make it with create: true or `restic init`, or correct the address"
    if "locked" in said:
        return "Another restic works on it; wait for it, or remove the lock of a dead one with `restic unlock`"
    return "See that the repository can be reached and has room"
