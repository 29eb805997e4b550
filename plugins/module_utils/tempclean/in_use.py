# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files any process is using."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping


class InUse:
    """The files that any process has open, mapped or as its working directory, by device and inode."""

    def __init__(self, owners: Mapping[int, str]) -> None:
        self._files: set[tuple[int, int]] = set()
        # The device of a mapping is not the one that stat tells on overlay and btrfs: the inode alone must do.
        self._mapped: set[int] = set()
        self._blind = False
        for pid in filter(str.isdigit, os.listdir("/proc")):
            owner = -1
            try:
                owner = os.stat(f"/proc/{pid}").st_uid
                with os.scandir(f"/proc/{pid}/fd") as entries:
                    for entry in entries:
                        self._add(entry.path)
            except PermissionError:
                # Of other users' processes an unprivileged run cannot tell; of the owner's own it must. A container
                # may hide its first process even from root: that is init, which holds no application's files.
                self._blind = self._blind or (owner in owners and (pid, owner) != ("1", 0))
            except OSError:
                continue  # the process ended
            self._add_more(pid)

    def _add(self, link: str) -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = os.stat(link)
            self._files.add((status.st_dev, status.st_ino))

    def _add_more(self, pid: str) -> None:
        """Add directories in use and mappings; a container hides those of its first process even from root."""
        for link in ("cwd", "root"):
            with contextlib.suppress(OSError):
                self._add(f"/proc/{pid}/{link}")
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                words = line.split(None, 5)
                if len(words) > 4 and words[4] != "0":
                    self._mapped.add(int(words[4]))

    def why(self, status: os.stat_result) -> str:
        """Return ``open`` for a file in use, ``unseen`` when that cannot be told, or nothing."""
        if (status.st_dev, status.st_ino) in self._files or status.st_ino in self._mapped:
            return "open"
        return "unseen" if self._blind else ""
