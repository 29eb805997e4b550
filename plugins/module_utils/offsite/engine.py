# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both engines take and tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import Output
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.snapshots import Snapshot

_PLAIN = re.compile(r"[^\s'\"\\]+")
# Both tools end with a line that says nothing ("rsync error: unexplained error"); the reason is in one before it.
_REASON = re.compile(
    "No space left|Read-only file system|No such file|Permission denied|Connection (?:refused|timed out|reset)|"
    "Host key verification failed|Could not resolve|No route to host|Network is unreachable|does not exist"
)


@dataclass
class Verdict:
    """What a check of the copies found: ``how`` it looked, ``problems`` none if they are sound."""

    how: str
    problems: list[str] = field(default_factory=list)


class Engine(Protocol):
    """A way to have copies elsewhere. Each raises OpsError when it could not do it."""

    where: str

    def exists(self) -> bool:
        """Tell whether there is a place to copy to."""

    def make(self) -> None:
        """Make that place."""

    def missing(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        """Return those that are not there yet; changes nothing."""

    def rehearse(self, snapshots: Sequence[Snapshot]) -> None:
        """Do everything but write."""

    def copy(self, snapshots: Sequence[Snapshot]) -> str:
        """Copy them; return what the copy is called there, if it has a name."""

    def check(self, snapshots: Sequence[Snapshot], read_data: str) -> Verdict:
        """Look whether the copies are sound; ``read_data`` is how much of them is read, empty for none."""

    def forget(self, snapshots: Sequence[Snapshot], rehearse: bool) -> list[str]:
        """Remove there what is not to be kept; return the names."""


def ssh_command(key: str, known_hosts: str, port: int) -> str:
    """Return the ssh command that never asks and never trusts a host whose key is not known already."""
    words = ["ssh", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"]
    words += ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
    for option, value in (("-i", key), ("-o", f"UserKnownHostsFile={known_hosts}" if known_hosts else "")):
        if value and not _PLAIN.fullmatch(value):
            raise OpsError(f"{value!r} has a space or a quote: expected a path that ssh takes as one word")
        words += [option, value] if value else []
    words += ["-p", str(port)] if port else []
    return " ".join(words)


def reason(output: Output) -> str:
    """Return the line in which a tool says why it failed, its last one if none does."""
    lines = [line.strip() for line in output.stderr.splitlines() if _REASON.search(line)]
    return lines[0] if lines else output.complaint
