# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces and mounts: the system calls that Python 3.9 has no names for."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path

NEW_MOUNTS, NEW_IPC, NEW_USERS, NEW_PIDS, NEW_NETWORK = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_PRIVATE, _RECURSIVE, _BIND = 1 << 18, 1 << 14, 1 << 12
_NOSUID, _NODEV = 2, 4
# mount_setattr(2): since Linux 5.12, the same number on every architecture.
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_SET_PDEATHSIG, _SET_NO_NEW_PRIVS = 1, 38
_ALL_USERS = 2**32 - 1
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library; raise OSError when it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def leave(flags: int) -> None:
    """Go on in new namespaces that belong to a new user namespace, which knows no user yet."""
    _call("unshare", flags | NEW_USERS)


def know_users(pid: int) -> None:
    """Let the user namespace of a process know all users, or the only one that somebody without root can give it."""
    uid, gid = os.geteuid(), os.getegid()
    proc = Path(f"/proc/{pid}")
    if uid == 0:
        told = {"uid_map": f"0 0 {_ALL_USERS}", "gid_map": f"0 0 {_ALL_USERS}"}
    else:
        told = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
    for name, text in told.items():
        (proc / name).write_text(text, encoding="ascii")


def enter_network(pid: int) -> None:
    """Go on in the network namespace of a process."""
    opened = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("user", "net")]
    for descriptor in opened:
        _call("setns", descriptor, 0)
        os.close(descriptor)


def network(pid: int | str) -> str:
    """Name the network namespace of a process."""
    return os.readlink(f"/proc/{pid}/ns/net")


def loopback_up() -> None:
    """Switch on the loopback device of this network namespace, the only device it has."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asked:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(asked, _GET_FLAGS, request))[1]
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sh22x", b"lo", flags | _UP))


def own_mounts() -> None:
    """Keep what is mounted from now on to this mount namespace."""
    _call("mount", b"none", b"/", None, _PRIVATE | _RECURSIVE, None)


def mount_empty(target: str) -> None:
    """Cover a directory by an empty one in memory."""
    _call("mount", b"tmpfs", os.fsencode(target), b"tmpfs", _NOSUID | _NODEV, b"mode=1777,size=256m")


def mount_over(descriptor: int, target: str) -> None:
    """Let a path lead to the directory of a descriptor, writable."""
    _call("mount", f"/proc/self/fd/{descriptor}".encode(), os.fsencode(target), None, _BIND, None)
    _attributes(target, 0, _READ_ONLY, 0)


def read_only() -> None:
    """Make everything that is mounted read-only."""
    _attributes("/", _READ_ONLY, 0, _AT_RECURSIVE)


def _attributes(target: str, added: int, removed: int, how: int) -> None:
    wanted = struct.pack("QQQQ", added, removed, 0, 0)
    _call("syscall", _MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), how, wanted, len(wanted))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; undone by changing the user."""
    _call("prctl", _SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def no_new_privileges() -> None:
    """Give up for good what programs with the set-user-ID bit would give."""
    _call("prctl", _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
