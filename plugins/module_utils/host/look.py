# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at one host: its files, its processes and what the last run counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline


class Files:
    """The files of a host; another root is another host."""

    def __init__(self, root: str = "") -> None:
        self.root = root

    def path(self, path: str) -> Path:
        return Path(self.root + path)

    def read(self, path: str) -> str | None:
        """Return a file as text, None when it is not there or not for us."""
        try:
            return proc.read(self.root + path)
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """Return the first number of a file, None when there is none."""
        words = (self.read(path) or "").split()
        return int(words[0]) if words and words[0].isdigit() else None

    def table(self, path: str) -> dict[str, int]:
        """Return a file of ``name value`` or ``name: value kB`` lines."""
        found = {}
        for line in (self.read(path) or "").splitlines():
            words = line.replace(":", " ").split()
            if len(words) >= 2 and words[1].isdigit():
                found[words[0]] = int(words[1])
        return found

    @property
    def container(self) -> bool:
        """Tell whether this is a container, where /proc partly shows the machine below."""
        return any(self.path(path).exists() for path in ("/run/systemd/container", "/.dockerenv", "/run/.containerenv"))


@dataclass
class Look:
    """One look at one host: what every part needs."""

    say: Reporter
    files: Files
    previous: Mapping[str, Any]
    deadline: Deadline
    processes: dict[int, proc.Process]
    container: bool
    same_boot: bool
    now: float

    def before(self, name: str) -> Any:
        """Return what the last run counted, None when there was none since boot."""
        return self.previous.get(name) if self.same_boot else None
