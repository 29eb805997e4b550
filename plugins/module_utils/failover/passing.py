# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Become the owner of a database whose directory is shut to it, as a fence shuts it.

Root would pass too, and leave files behind that belong to root; whoever is killed could not give them back. So the right to
pass directories is kept and everything else of root given up: each file that is made belongs to the owner from the first.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import end_with, run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import groups_of

# linux/capability.h and linux/prctl.h
CAP_DAC_OVERRIDE = 1
VERSION = 0x20080522
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become_passing(uid: int, gid: int) -> None:
    """Become a user for good, with CAP_DAC_OVERRIDE and no other right; programs that are started keep it.

    Nothing happens when we are not root, or are to stay it. Raises OSError where the kernel refuses.
    """
    if os.geteuid() != 0 or uid == 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    groups, gid = groups_of(uid, gid)
    _call(libc.prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    bit = 1 << CAP_DAC_OVERRIDE
    # Two times 32 of them; the second half has none of ours.
    _call(libc.capset, ctypes.byref(_Header(VERSION, 0)), (_Sets * 2)(_Sets(bit, bit, bit), _Sets(0, 0, 0)))
    _call(libc.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def as_owner(database: str, work: Callable[[], Any], deadline: Deadline, what: str) -> Any:
    """Do work on a database in a child that is its owner; raise OpsError when it fails or takes too long."""
    seen, parent = os.stat(database), os.getpid()

    def child() -> Any:
        become_passing(seen.st_uid, seen.st_gid)
        end_with(parent)
        return work()

    outcome = run_isolated(child, deadline.remaining())
    if outcome.timed_out:
        raise OpsError(f"{what} of {database} had not ended after {outcome.seconds:.1f} s: raise the deadline")
    if outcome.error:
        raise OpsError(f"{what} of {database} broke off: {last_words(outcome.error)}")
    return outcome.value


def last_words(trace: str) -> str:
    """Return the words of an error without its traceback."""
    line = trace.strip().splitlines()[-1]
    name, _colon, words = line.partition(": ")
    return words if words and name.endswith("OpsError") else line


def _call(function: Any, *arguments: Any) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
