# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounted file systems: which ones there are, which matter, how full they are.

statvfs on a dead NFS server never returns, and the process that called it cannot be killed while it waits. So remote
file systems are asked in children of their own, which are left behind when they do not answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, gather

# File systems without files of their own to fill up.
_PSEUDO = frozenset(
    (
        "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl fuse.gvfsd-fuse "
        "fuse.lxcfs fuse.portal fuse.snapfuse hugetlbfs mqueue nsfs proc pstore ramfs rpc_pipefs securityfs selinuxfs "
        "squashfs sysfs tracefs"
    ).split()
)
# Images that are full by nature.
_IMAGES = frozenset(("squashfs", "erofs", "iso9660", "udf", "cramfs", "romfs"))
_REMOTE = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph glusterfs lustre gfs2 ocfs2 ncpfs coda pvfs2 virtiofs davfs fuseblk".split()
)
# Places where the system keeps a small file system for each service or login, or the host of a container its own.
_INTERNAL = re.compile(r"^/(?:proc|sys|dev(?!/shm$)|run/(?:credentials|user|host|systemd|netns|lock))(?:/|$)")
# A run of them, since the bytes of one letter may each be escaped.
_OCTAL = re.compile(r"(?:\\[0-3][0-7]{2})+")


@dataclass(frozen=True)
class Mount:
    """One mounted file system, a line of /proc/self/mountinfo (proc(5))."""

    point: str
    kind: str
    source: str
    device: str  # major:minor, in decimal
    root: str
    read_only: bool
    super_read_only: bool

    @property
    def remote(self) -> bool:
        """Tell whether another machine, or a program, must answer when this is looked at."""
        return self.kind in _REMOTE or self.kind.startswith("fuse")


@dataclass(frozen=True)
class Fstab:
    """One line of /etc/fstab."""

    point: str
    kind: str
    options: frozenset[str]

    @property
    def writable(self) -> bool:
        return "ro" not in self.options and self.kind not in _IMAGES

    @property
    def wanted(self) -> bool:
        """Tell whether it should be mounted now, without somebody asking for it."""
        return not self.options & {"noauto", "nofail", "x-systemd.automount"} and self.kind not in ("swap", "none")


@dataclass(frozen=True)
class Usage:
    """How full a file system is, in bytes and inodes; ``available`` is what a user without privileges can still write."""

    total: int
    free: int
    available: int
    inodes: int
    inodes_free: int

    @property
    def percent(self) -> float:
        """Return used of what users can have, as df does: blocks reserved for root are neither used nor available."""
        used = self.total - self.free
        return 100.0 * used / (used + self.available) if used + self.available > 0 else 0.0

    @property
    def inode_percent(self) -> float | None:
        """Return used inodes, None for file systems that make them as they go (btrfs says 0)."""
        return 100.0 * (self.inodes - self.inodes_free) / self.inodes if self.inodes else None


def unescape(text: str) -> str:
    """Return a path of mountinfo or fstab with its blanks, tabs and backslashes."""
    return _OCTAL.sub(lambda run: os.fsdecode(bytes(int(one, 8) for one in run[0].split("\\")[1:])), text)


def mounted() -> list[Mount]:
    """Return the mounts this process sees; none where /proc may not be read."""
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            return parse_mountinfo(os.fsdecode(stream.read()))
    except OSError:
        return []


def parse_mountinfo(text: str) -> list[Mount]:
    """Return what is visible at each mount point: the last one mounted there."""
    visible: dict[str, Mount] = {}
    # Not splitlines() and split(): only newline, blank, tab and backslash are escaped, a name may hold any other space.
    for line in text.split("\n"):
        left, dash, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if not dash or len(fields) < 6 or len(rest) < 3:
            continue
        point = unescape(fields[4])
        visible.pop(point, None)
        visible[point] = Mount(
            point=point,
            kind=rest[0],
            source=unescape(rest[1]),
            device=fields[2],
            root=unescape(fields[3]),
            read_only="ro" in fields[5].split(","),
            super_read_only="ro" in rest[2].split(","),
        )
    return list(visible.values())


def holding(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """Return the mount that a resolved path is on."""
    around = [one for one in mounts if path == one.point or path.startswith(one.point.rstrip("/") + "/")]
    return max(around, key=lambda one: len(one.point), default=None)


def parse_fstab(text: str) -> Iterator[Fstab]:
    """Yield the lines of /etc/fstab that mount something."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 3 and not fields[0].startswith("#") and fields[1].startswith("/"):
            options = frozenset(fields[3].split(",")) if len(fields) > 3 else frozenset()
            yield Fstab(unescape(fields[1]), fields[2], options)


def relevant(mounts: Iterable[Mount], declared: Iterable[str] = ()) -> list[Mount]:
    """Return the mounts that can fill up, each file system once; what is declared is always among them."""
    wanted = set(declared)
    chosen: dict[str, Mount] = {}
    devices: set[str] = set()
    # A bind mount shows a directory (its root) of a file system that is also mounted whole: the whole one goes first.
    for mount in sorted(mounts, key=lambda one: (one.point not in wanted, one.root != "/", len(one.point), one.point)):
        if mount.point not in wanted:
            hidden = mount.kind in _PSEUDO | _IMAGES or bool(_INTERNAL.match(mount.point))
            # The root of a container seen from its host: its space is that of the file system below.
            hidden = hidden or (mount.kind == "overlay" and mount.point != "/")
            if hidden or mount.read_only or mount.device in devices:
                continue
        devices.add(mount.device)
        chosen[mount.point] = mount
    return sorted(chosen.values(), key=lambda one: one.point)


def statvfs(path: str) -> Usage:
    """Ask the file system itself; may hang for ever on a remote one."""
    found = os.statvfs(path)
    return Usage(
        total=found.f_blocks * found.f_frsize,
        free=found.f_bfree * found.f_frsize,
        available=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_ffree,
    )


def ask(
    mounts: Iterable[Mount], seconds: float, look: Callable[[str], Usage] = statvfs
) -> dict[str, Usage | str | None]:
    """Return by mount point the usage, None where nothing was heard within ``seconds``, or the error as text.

    Remote file systems are asked all at once, each in a child that may be left behind.
    """
    answers: dict[str, Usage | str | None] = {}
    remote = []
    for mount in mounts:
        if mount.remote:
            remote.append(mount)
            continue
        try:
            answers[mount.point] = look(mount.point)
        except OSError as exc:
            answers[mount.point] = exc.strerror or str(exc)

    def told(point: str) -> list[int] | str:
        try:
            return list(vars(look(point)).values())
        except OSError as exc:
            return exc.strerror or str(exc)

    outcomes = gather(Child(partial(told, mount.point), seconds) for mount in remote)
    for mount, outcome in zip(remote, outcomes):
        if outcome.timed_out:
            answers[mount.point] = None
        elif isinstance(outcome.value, list):
            answers[mount.point] = Usage(*outcome.value)
        else:
            answers[mount.point] = str(outcome.value or outcome.error)
    return answers
