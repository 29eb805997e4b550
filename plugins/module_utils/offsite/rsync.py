# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies as plain files on another host, by rsync over ssh."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.engine import Verdict, reason, ssh_command
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.snapshots import Snapshot
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact

# A far end that says nothing for so long is given up.
SILENT_SECONDS = 60
PARTIAL_DIR = ".rsync-partial"
_DESTINATION = re.compile(r"(?:(?:[\w.][\w.-]*@)?[\w.][\w.-]*:)?/(?!/)[^\0\n]*")
# Line of --out-format: eleven characters of what differs (rsync(1), --itemize-changes), a space, the name.
_ITEM = re.compile(r"(?P<what>[<>ch.*][fdLDS ][^ ]{9}|\*deleting +) ?(?P<name>.+)")
# Names that snapshots have; nothing else is ever removed there.
_SNAPSHOTS = ("*_????????T??????Z*.db*", "*_????????T??????Z*.tar.gz*")


class Rsync:
    """One directory at another host, or a path of this one where another disk is mounted."""

    def __init__(self, directory: str, options: Mapping[str, Any], deadline: Deadline) -> None:
        if not _DESTINATION.fullmatch(options["destination"]):
            raise OpsError(f"destination {options['destination']!r}: expected user@host:/directory or /directory")
        self.directory = directory.rstrip("/") + "/"
        self.where = options["destination"].rstrip("/") + "/"
        self._delete = bool(options["delete"])
        self._deadline = deadline
        self._ssh = ssh_command(options["ssh_key"] or "", options["known_hosts"] or "", options["ssh_port"] or 0)

    def _run(self, names: Sequence[str], *words: str) -> dict[str, str]:
        """Run rsync on some names; return what it did, or would do, to each."""
        listed = ["--from0", "--files-from=-"] if names else []
        argv = ["rsync", "-a", f"--timeout={SILENT_SECONDS}", "--out-format=%i %n", *listed, *words]
        argv += ["-e", self._ssh, "--", self.directory, self.where]
        output = run(argv, max(0.1, self._deadline.remaining()), stdin="\0".join(names))
        if output.rc:
            raise OpsError(f"rsync to {self.where}: {redact(reason(output))}. {_advice(output.stderr)}")
        items = (_ITEM.fullmatch(line) for line in output.stdout.splitlines())
        return {item["name"]: item["what"].strip() for item in items if item}

    def exists(self) -> bool:
        """Tell whether the far end answers and has the directory."""
        return True  # asked by the first comparison, which says why if not

    def make(self) -> None:
        """Nothing is made there: a path with a mistake in it would become a directory."""

    def missing(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        """Compare sizes and times; raises OpsError where there is no such directory, which rsync would make."""
        self._listed()
        names = [name for one in snapshots for name in (one.name, one.manifest)]
        sent = {name for name, what in self._run(names, "-n").items() if what[0] in "<>"}
        return [one for one in snapshots if sent & {one.name, one.manifest}]

    def _listed(self) -> None:
        argv = ["rsync", f"--timeout={SILENT_SECONDS}", "--list-only", "--dirs", "-e", self._ssh, "--", self.where]
        output = run(argv, max(0.1, self._deadline.remaining()))
        if output.rc:
            raise OpsError(f"rsync to {self.where}: {redact(reason(output))}. {_advice(output.stderr)}")

    def rehearse(self, snapshots: Sequence[Snapshot]) -> None:
        """Comparing was all there is to rehearse."""

    def copy(self, snapshots: Sequence[Snapshot]) -> str:
        """Copy the snapshots, then their manifests: what has a manifest there is whole."""
        self._run([one.name for one in snapshots], f"--partial-dir={PARTIAL_DIR}")
        self._run([one.manifest for one in snapshots])
        return ""

    def check(self, snapshots: Sequence[Snapshot], read_data: str) -> Verdict:
        """Compare what is there with what is here, and with ``read_data`` the whole content of both."""
        names = [name for one in snapshots for name in (one.name, one.manifest)]
        found = self._run(names, "-n", *(["--checksum"] if read_data else []))
        problems = [f"{name} differs ({what})" for name, what in sorted(found.items()) if what[0] in "<>"]
        return Verdict("rsync --checksum" if read_data else "rsync -n", problems)

    def forget(self, snapshots: Sequence[Snapshot], rehearse: bool) -> list[str]:
        """Remove there the snapshots that are gone here; files with other names stay."""
        if not self._delete:
            return []
        filters = [f"--include={pattern}" for pattern in _SNAPSHOTS] + ["--exclude=*"]
        words = ["--delete", "--existing", "--ignore-existing", *filters, *(["-n"] if rehearse else [])]
        return sorted(name for name, what in self._run([], *words).items() if what == "*deleting")


def _advice(said: str) -> str:
    """Return what to do about what ssh or rsync said."""
    if "Host key verification failed" in said:
        return "Expected the host's key to be known: compare it by another way, then add it to known_hosts"
    if "Permission denied" in said:
        return "Expected the key to be in authorized_keys there, and the directory to be writable for that user"
    if "No space left" in said:
        return "Free space there"
    return "See that the host can be reached, has rsync and the directory"
