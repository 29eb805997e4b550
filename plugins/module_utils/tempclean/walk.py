# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walk below the directories for temporary files, and remove what the rules name.

Every step goes through the descriptor of a directory that was opened without following links, and a name is compared
with the file that was judged right before it is removed. Removing is the only step that changes anything, so an end at
any moment leaves nothing half done.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
import time

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.mounts import mounted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.in_use import InUse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.rules import Rules
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.selection import Found, Kept, Selection

# Directories that belong to somebody's running service, whoever owns the files in them.
PRIVATE = ("systemd-private-*", "snap-private-tmp", "snap.*")
MAX_DEPTH = 8
MAX_ENTRIES = 200_000


def walk(rules: Rules, deadline: Deadline, remove: bool) -> Selection:
    """Look below every directory of the rules, and remove what is stale if that is wanted."""
    result = Selection()
    # A bind mount has the same device as what surrounds it; without /proc the device alone tells mounts apart.
    mounts = frozenset(one.point for one in mounted())
    for path in rules.paths:
        try:
            top = _open_top(path)
        except OSError as exc:
            result.kept.append(Kept(path, "symlink" if exc.errno in (errno.ELOOP, errno.ENOTDIR) else "failed"))
            if exc.errno == errno.ENOENT:
                result.kept.pop()  # no such directory, nothing in it
            continue
        below = _Walk(rules, deadline, result, mounts, remove)
        try:
            below.directory(top, path, os.fstat(top).st_dev, 0)
        finally:
            os.close(top)
    return result


def _open_top(path: str) -> int:
    """Open a directory through each of its parents, none of which may be a link."""
    current = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in path.strip("/").split("/"):
        try:
            following = _open_directory(name, current)
        finally:
            os.close(current)
        current = following
    return current


def _open_directory(name: str, parent: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent)


class _Walk:
    """One walk below one directory; every name is only ever used relative to the descriptor of its directory."""

    def __init__(
        self, rules: Rules, deadline: Deadline, result: Selection, mounts: frozenset[str], remove: bool
    ) -> None:
        self._rules, self._deadline, self._result, self._mounts, self._remove = rules, deadline, result, mounts, remove
        self._used: InUse | None = None

    def directory(self, descriptor: int, path: str, device: int, depth: int) -> None:
        result = self._result
        try:
            with os.scandir(descriptor) as entries:
                names = []
                for entry in entries:
                    names.append(entry.name)
                    result.entries += 1
                    if result.entries >= MAX_ENTRIES or self._deadline.expired:
                        result.partial = True
                        break
        except OSError:
            return
        for name in sorted(names):
            if self._deadline.expired:
                result.partial = True
                return
            if any(fnmatch.fnmatchcase(name, one) for one in PRIVATE):
                continue
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError:
                continue  # gone in the meantime
            full = f"{path}/{name}"
            if stat.S_ISDIR(status.st_mode):
                self._subdirectory(descriptor, name, full, status, device, depth)
            elif self._rules.matches(name):
                self._judge(descriptor, name, full, status, device)

    def _subdirectory(self, parent: int, name: str, full: str, status: os.stat_result, device: int, depth: int) -> None:
        matches = self._rules.matches(name)
        if status.st_dev != device or full in self._mounts:
            if matches:
                self._result.kept.append(Kept(full, "mount"))
            return
        if depth + 1 < MAX_DEPTH:
            try:
                inner = _open_directory(name, parent)
            except OSError:
                return
            try:
                if _same(os.fstat(inner), status):
                    self.directory(inner, full, device, depth + 1)
            finally:
                os.close(inner)
        # A directory changes when something is removed from it, so it is a day younger than what was in it.
        if matches and self._empty(parent, name):
            self._judge(parent, name, full, status, device)

    @staticmethod
    def _empty(parent: int, name: str) -> bool:
        try:
            descriptor = _open_directory(name, parent)
        except OSError:
            return False
        try:
            with os.scandir(descriptor) as entries:
                return next(entries, None) is None
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def _judge(self, parent: int, name: str, full: str, status: os.stat_result, device: int) -> None:
        """Decide about one name that matches, and remove it if that is wanted."""
        result = self._result
        reason = self._why_not(status, device, full)
        if not reason and len(result.stale) >= self._rules.limit:
            reason = "limit"
        if reason:
            result.kept.append(Kept(full, reason))
            return
        directory = stat.S_ISDIR(status.st_mode)
        found = Found(full, directory, status.st_dev, status.st_ino, 0 if directory else status.st_blocks * 512)
        if self._remove:
            failed = self._unlink(parent, name, status)
            if failed:
                result.kept.append(Kept(full, failed))
                return
        result.stale.append(found)

    def _why_not(self, status: os.stat_result, device: int, full: str) -> str:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFLNK:
            return "symlink"
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            return "special"
        if status.st_dev != device or full in self._mounts:
            return "mount"
        if status.st_uid not in self._rules.owners:
            return "owner"
        # By both clocks: cp -p and tar bring an old mtime along, and a chmod of today shows that somebody cares.
        if max(status.st_mtime, status.st_ctime) > time.time() - self._rules.min_age:
            return "young"
        if self._used is None:
            self._used = InUse(self._rules.owners)
        return self._used.why(status)

    def _unlink(self, parent: int, name: str, judged: os.stat_result) -> str:
        """Remove a name if it is still the file that was judged; return why not.

        What remains between the look and the removal is harmless: the name is removed in this very directory, never
        what a link points to, and only its owner or the directory's could have put another file under it.
        """
        try:
            now = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not _same(now, judged) or (now.st_mtime_ns, now.st_uid) != (judged.st_mtime_ns, judged.st_uid):
                return "changed"
            if stat.S_ISDIR(now.st_mode):
                os.rmdir(name, dir_fd=parent)
            else:
                os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return "changed"
        except OSError:
            return "failed"
        return ""


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino, stat.S_IFMT(one.st_mode)) == (
        other.st_dev,
        other.st_ino,
        stat.S_IFMT(other.st_mode),
    )
