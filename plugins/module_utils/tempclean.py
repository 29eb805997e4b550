# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find, and remove, the temporary files an application left behind.

The runbook's ``find /tmp -name '*bilingual*' -mtime +1 -delete`` empties the private /tmp of the running service and
follows whatever others put into a directory that everybody may write to. Here every step goes through the descriptor
of a directory that was opened without following links, and a name is compared with the file that was judged right
before it is removed. Removing is the only step that changes anything, so an end at any moment leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import pwd
import re
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.dirlock import locked
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.mounts import mounted
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import size

OPTIONS: dict[str, dict[str, Any]] = {
    "paths": {"type": "list", "elements": "str", "default": ["/tmp", "/var/tmp"]},
    "patterns": {"type": "list", "elements": "str", "default": ["*bilingual*"]},
    "owners": {"type": "list", "elements": "str", "required": True},
    "min_age": {"type": "str", "default": "1d"},
    "limit": {"type": "int", "default": 1000},
}

# Directories that belong to somebody's running service, whoever owns the files in them.
PRIVATE = ("systemd-private-*", "snap-private-tmp", "snap.*")
# No temporary files are kept here, whatever an inventory says.
FORBIDDEN = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/sbin", "/sys", "/usr")
FORBIDDEN_ITSELF = (
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/run",
    "/srv",
    "/var",
    "/var/lib",
    "/var/log",
    "/var/spool",
)
# Below this many letters a pattern is about anything, not about one application.
MIN_LETTERS = 3
MAX_DEPTH = 8
MAX_ENTRIES = 200_000
SHOWN = 200

RULES = {
    "temp.stale": Rule(
        title=Text("Stale temporary files", "过期临时文件"),
        fix=Text(
            "The evening run of daily_checks removes them (daily_checks_clean); many of them every day: find out why the "
            "application leaves them behind.",
            "晚间检查会清理（daily_checks_clean）；若每天都很多，请查明应用为何遗留。",
        ),
        warn="1000",
        source="chosen: a thousand is a leak, a few are litter",
    ),
}
SENTENCES = {
    "temp.count": Text(
        "{item}: {value:.0f} stale temporary files, {size} ({kept} matching ones stay: {reasons})",
        "{item}：过期临时文件 {value:.0f} 个，共 {size}（另有 {kept} 个匹配但保留：{reasons}）",
    ),
    "temp.partial": Text(
        "{item}: at least {value:.0f} stale temporary files, stopped after {entries} entries",
        "{item}：过期临时文件至少 {value:.0f} 个，查看 {entries} 个条目后停止",
    ),
}


@dataclass(frozen=True)
class Rules:
    """What may be removed: validated options."""

    paths: tuple[str, ...]
    patterns: tuple[str, ...]
    owners: dict[int, str]
    min_age: float
    limit: int

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Rules:
        """Read the options; raise OpsError for anything that could reach beyond an application's temporary files."""
        opts: dict[str, Any] = {}
        for name, option in OPTIONS.items():
            opts[name] = option.get("default") if options.get(name) is None else options[name]
        if not opts["paths"] or not opts["patterns"] or not opts["owners"]:
            raise OpsError("paths, patterns and owners: expected at least one of each, nothing is cleaned without")
        for path in opts["paths"]:
            _refuse_path(path)
        for pattern in opts["patterns"]:
            _refuse_pattern(pattern)
        if opts["limit"] < 1:
            raise OpsError(f"limit is {opts['limit']}: expected a number of files above 0")
        paths = tuple(dict.fromkeys(os.path.normpath(path) for path in opts["paths"]))
        inner = [path for path in paths if any(path != other and path.startswith(other + "/") for other in paths)]
        owners = {_uid(name): str(name) for name in opts["owners"]}
        return cls(
            tuple(path for path in paths if path not in inner),
            tuple(opts["patterns"]),
            owners,
            seconds(opts["min_age"]),
            opts["limit"],
        )

    def matches(self, name: str) -> bool:
        """Tell whether a file's name, without its directory, is one of the application's."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)


def _refuse_path(path: str) -> None:
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise OpsError(f"path {path!r}: expected an absolute path without ..")
    plain = os.path.normpath(path).replace("//", "/")
    if plain in FORBIDDEN_ITSELF or any(plain == one or plain.startswith(one + "/") for one in FORBIDDEN):
        raise OpsError(f"path {path!r} is not a directory for temporary files: expected one such as /tmp or /var/tmp")


def _refuse_pattern(pattern: str) -> None:
    if "/" in pattern or "\0" in pattern or pattern in (".", ".."):
        raise OpsError(f"pattern {pattern!r}: expected a pattern of file names, without a slash")
    letters = re.sub(r"\[[^\]]*\]|[*?.]", "", pattern)
    if len(letters) < MIN_LETTERS:
        raise OpsError(
            f"pattern {pattern!r} fits any name: expected at least {MIN_LETTERS} characters of the application's own names"
        )


def _uid(name: Any) -> int:
    text = str(name)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        if text.isdigit():
            return int(text)
        raise OpsError(
            f"owner {text!r} is no user of this host: expected the application's user (tutor_user)"
        ) from None


def seconds(text: Any) -> float:
    """Read a duration such as ``1d``, ``12h``, ``90m``, ``45s`` or ``3600``; raise OpsError for anything else."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([smhdw]?)", str(text).strip().lower())
    if not match:
        raise OpsError(f"duration {text!r}: expected a number with s, m, h, d or w, such as 1d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]


@dataclass
class Found:
    """One file or empty directory that matches a pattern."""

    path: str
    directory: bool
    device: int
    inode: int
    size: int


@dataclass
class Kept:
    """One that matches and stays, and why: young, owner, open, symlink, special, mount, changed, limit, failed, unseen."""

    path: str
    reason: str


@dataclass
class Selection:
    """What a walk found."""

    stale: list[Found] = field(default_factory=list)  # in a run that removes: what was removed
    kept: list[Kept] = field(default_factory=list)
    entries: int = 0
    partial: bool = False

    @property
    def bytes(self) -> int:
        return sum(one.size for one in self.stale)


def select(rules: Rules, deadline: Deadline) -> Selection:
    """List what is stale, changing nothing."""
    return _walk(rules, deadline, remove=False)


def clean(rules: Rules, deadline: Deadline) -> Selection:
    """Remove what is stale. Raises OpsError when another run holds one of the directories."""
    with contextlib.ExitStack() as stack:
        for path in rules.paths:
            stack.enter_context(_locked(path))
        return _walk(rules, deadline, remove=True)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock of a directory; of one that cannot be opened the walk tells what is wrong."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(locked(path, "cleaning it"))
        yield


def _walk(rules: Rules, deadline: Deadline, remove: bool) -> Selection:
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
        walk = _Walk(rules, deadline, result, mounts, remove)
        try:
            walk.directory(top, path, os.fstat(top).st_dev, 0)
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
        self._used: _InUse | None = None

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
            self._used = _InUse(self._rules.owners)
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


class _InUse:
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


def checks(rules: Rules, selection: Selection, say: Reporter, left: Sequence[Found] | None = None) -> list[Check]:
    """Return the check ``temp.stale``: how many there are, or with ``left`` how many are left."""
    stale = selection.stale if left is None else left
    more = [one.path for one in selection.kept if one.reason in ("limit", "failed")]
    count = len(stale) + len(more)
    reasons = Counter(one.reason for one in selection.kept)
    facts: dict[str, Any] = {
        "item": ", ".join(rules.paths),
        "size": size(sum(one.size for one in stale)),
        "kept": len(selection.kept) - len(more),
        "entries": selection.entries,
        "reasons": ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items())) or "-",
        "evidence": [one.path for one in stale] + more,
    }
    if selection.partial:
        return [say.find("temp.stale", Status.UNKNOWN, "temp.partial", reason="timeout", value=count, **facts)]
    return [say.measure("temp.stale", count, "temp.count", min=0, **facts)]


# The same keys as in the area of the probe file, which the catalogue lists.
_ALONE = Area("file", RULES, SENTENCES)


def run(options: Mapping[str, Any], deadline: Deadline, check_mode: bool) -> dict[str, Any]:
    """Clean, or in check mode only select, and return what the module returns."""
    rules = Rules.from_options(options)
    selection = select(rules, deadline) if check_mode else clean(rules, deadline)
    gone = sorted(one.path for one in selection.stale)
    left = selection.stale if check_mode else []
    return {
        "changed": bool(gone),
        "removed": gone,
        "kept": [{"path": one.path, "reason": one.reason} for one in selection.kept[:SHOWN]],
        "kept_count": len(selection.kept),
        "bytes": selection.bytes,
        "complete": not selection.partial,
        "checks": [check.as_dict() for check in checks(rules, selection, _ALONE.reporter(source="temp_clean"), left)],
        "diff": {"before": "".join(f"{path}\n" for path in gone), "after": ""},
    }
