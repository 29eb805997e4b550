# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read processes from /proc.

Plain reads, about 25 microseconds per process; importing psutil alone costs more than looking at a whole host.
A process that ends while it is looked at is simply not there: every reader returns None or nothing then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

PROC = "/proc"
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
# State letters of proc(5): T stopped by a signal, t stopped by a debugger.
STOPPED = frozenset("Tt")


@dataclass(frozen=True)
class Process:
    """One line of /proc/PID/stat, as far as we need it."""

    pid: int
    comm: str
    state: str
    ppid: int
    threads: int
    start_ticks: int
    rss: int

    @property
    def identity(self) -> tuple[int, int]:
        """A process for ever: its number alone is reused."""
        return self.pid, self.start_ticks


class OpenFile(NamedTuple):
    """One file descriptor: its number and what it points to."""

    fd: int
    target: str


def read(path: str) -> str:
    """Return a file of /proc or /sys as text, without the last newline."""
    with open(path, encoding="utf-8", errors="replace") as handle:
        return handle.read().rstrip("\n")


def pids(proc: str = PROC) -> Iterator[int]:
    """Yield the numbers of all processes."""
    for name in os.listdir(proc):
        if name.isdigit():
            yield int(name)


def process(pid: int, proc: str = PROC) -> Process | None:
    """Return one process, None when there is no such process."""
    try:
        text = read(f"{proc}/{pid}/stat")
    except OSError:
        return None
    # The name may hold blanks and parentheses: it ends at the last one.
    head, _sep, tail = text.rpartition(")")
    fields = tail.split()
    if len(fields) < 22:
        return None
    return Process(
        pid=pid,
        comm=head.partition("(")[2],
        state=fields[0],
        ppid=int(fields[1]),
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
        rss=int(fields[21]) * PAGE,
    )


def table(proc: str = PROC) -> dict[int, Process]:
    """Return all processes by number."""
    found = (process(pid, proc) for pid in pids(proc))
    return {one.pid: one for one in found if one}


def family(processes: dict[int, Process], root: int) -> list[Process]:
    """Return a process and all its descendants; nothing when it is gone."""
    if root not in processes:
        return []
    children: dict[int, list[Process]] = {}
    for one in processes.values():
        children.setdefault(one.ppid, []).append(one)
    result, todo = [], [processes[root]]
    while todo:
        one = todo.pop()
        result.append(one)
        todo.extend(children.get(one.pid, ()))
    return result


def age(one: Process) -> float:
    """Return the seconds since a process started."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - one.start_ticks / TICKS)


def cmdline(pid: int, proc: str = PROC) -> str:
    """Return the command line with blanks between the arguments, empty for kernel threads, zombies and the gone."""
    try:
        return read(f"{proc}/{pid}/cmdline").replace("\0", " ").strip()
    except OSError:
        return ""


def named(pid: int, proc: str = PROC) -> str:
    """Return a process for a sentence: its number and the begin of its command line."""
    return f"{pid} {cmdline(pid, proc)[:80]}"


def boot_id() -> str:
    """Name this boot; empty where that cannot be told."""
    try:
        return read("/proc/sys/kernel/random/boot_id")
    except OSError:
        return ""


def owner(pid: int, proc: str = PROC) -> int | None:
    """Return the effective user id; the directory keeps it even for processes that may not be dumped."""
    try:
        return os.stat(f"{proc}/{pid}").st_uid
    except OSError:
        return None


def cgroup(pid: int, proc: str = PROC) -> str:
    """Return the control groups of a process as the kernel lists them, empty when it is gone."""
    try:
        return read(f"{proc}/{pid}/cgroup")
    except OSError:
        return ""


def switches(pid: int, proc: str = PROC) -> int | None:
    """Return how often a process has been switched in and out: a number that stands still means it does not run."""
    try:
        lines = read(f"{proc}/{pid}/status").splitlines()
    except OSError:
        return None
    return sum(int(line.split()[-1]) for line in lines if "ctxt_switches" in line)


def open_files(pid: int, proc: str = PROC) -> Iterator[OpenFile]:
    """Yield the open files of a process; raise PermissionError when it belongs to somebody else and we are not root."""
    base = f"{proc}/{pid}/fd"
    try:
        names = os.listdir(base)
    except (FileNotFoundError, ProcessLookupError):
        return
    for name in names:
        try:
            yield OpenFile(int(name), os.readlink(f"{base}/{name}"))
        except (FileNotFoundError, ProcessLookupError):
            continue


def file_limit(pid: int, proc: str = PROC) -> int | None:
    """Return how many files a process may open (soft RLIMIT_NOFILE), None when unlimited or gone."""
    try:
        lines = read(f"{proc}/{pid}/limits").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in lines:
        if line.startswith("Max open files"):
            soft = line[len("Max open files") :].split()[0]
            return int(soft) if soft.isdigit() else None
    return None


def socket_owners(inodes: Iterable[int], proc: str = PROC) -> dict[int, list[int]]:
    """Return which processes hold these sockets; those of other users only when we are root."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, list[int]] = {}
    for pid in pids(proc) if wanted else ():
        try:
            for opened in open_files(pid, proc):
                if opened.target in wanted:
                    found.setdefault(wanted[opened.target], []).append(pid)
        except PermissionError:
            continue
    return found


def stuck(suspects: Iterable[Process], seconds: float, proc: str = PROC) -> list[Process]:
    """Return those of the processes in uninterruptible sleep that did not run at all for that many seconds.

    One sample says nothing: every process that reads a disk shows D now and then. It ends as soon as no suspect is left.
    """
    before = {one.identity: (one, switches(one.pid, proc)) for one in suspects if one.state == "D"}
    end = time.monotonic() + seconds
    while before:
        before = {key: (one, count) for key, (one, count) in before.items() if _stands_still(one, count, proc)}
        left = end - time.monotonic()
        if not before or left <= 0:
            break
        time.sleep(min(0.05, left))
    return [one for one, _count in before.values()]


def _stands_still(one: Process, count: int | None, proc: str) -> bool:
    now = process(one.pid, proc)
    return now is not None and now.identity == one.identity and now.state == "D" and switches(one.pid, proc) == count
