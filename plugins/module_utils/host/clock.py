# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the kernel's clock is disciplined by somebody."""

from __future__ import annotations

import os

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.boots import uptime
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

# ntpd may need this long for its first synchronisation (Netdata).
NTP_SECONDS = 17 * 60.0
NTP_CLIENTS = frozenset(("chronyd", "systemd-timesyn", "ntpd", "openntpd", "ptp4l", "phc2sys"))
# adjtimex(2)
_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000
_STA_PLL = 0x0001


def judge_clock(look: Look) -> Check:
    """Judge whether the kernel's clock is disciplined by somebody."""
    say = look.say
    if look.container:
        return say.find("clock.sync", Status.SKIPPED, "host.clock_container")
    try:
        synchronised, offset = adjtimex()
    except OSError as exc:
        return say.find("clock.sync", Status.UNKNOWN, "host.clock_denied", error=str(exc))
    if synchronised:
        return say.measure("clock.sync", abs(offset) * 1000, "host.clock_good")
    age = uptime(look)
    if age < NTP_SECONDS:
        return say.find("clock.sync", Status.OK, "host.clock_soon", reason="insufficient_data", age=duration(age))
    clients = sorted({one.comm for one in look.processes.values()} & NTP_CLIENTS)
    if clients:
        return say.find("clock.sync", Status.WARNING, "host.clock_bad", client=clients[0])
    return say.find("clock.sync", Status.UNKNOWN, "host.clock_alone", reason="missing")


def adjtimex() -> tuple[bool, float]:
    """Return whether the clock is synchronised, and the offset still to be corrected in seconds (adjtimex(2)).

    Asked directly: timedatectl starts a service to answer, which takes longer than all else here together.
    """
    import ctypes

    class Timex(ctypes.Structure):
        _fields_ = [
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 256),
        ]

    timex = Timex()
    try:
        call = ctypes.CDLL(None, use_errno=True).adjtimex
    except AttributeError as exc:
        raise OSError(f"no adjtimex in this C library: {exc}") from exc
    if call(ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    offset = timex.offset / (1e9 if timex.status & _STA_NANO else 1e6) if timex.status & _STA_PLL else 0.0
    return not timex.status & _STA_UNSYNC, offset
