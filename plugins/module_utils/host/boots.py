# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the host is up, whether it was restarted since the last run, and whether it has to be."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed

DAY = 86400.0
LONG_UPTIME_DAYS = 180


def uptime(look: Look) -> float:
    """Return the seconds since boot; a container began with its first process, /proc/uptime is the machine's."""
    first = look.processes.get(1)
    if look.container and first:
        return proc.age(first)
    return float((look.files.read("/proc/uptime") or "0").split()[0])


def judge_uptime(look: Look) -> Check:
    """Say once that the host was restarted; a first run has nothing to compare with."""
    age = uptime(look)
    if look.previous.get("boot") and not look.same_boot:
        return look.say.find("uptime", Status.WARNING, "host.rebooted", value=age, age=duration(age))
    sentence = "host.up_long" if age > LONG_UPTIME_DAYS * DAY else "host.up"
    return look.say.find("uptime", Status.OK, sentence, value=age, age=duration(age))


def judge_reboot(look: Look) -> Check:
    """Judge whether the package manager or a newer kernel waits for a reboot."""
    why, since = "", 0.0
    flag = look.files.path("/run/reboot-required")
    if flag.exists():
        why = listed(sorted(set((look.files.read("/run/reboot-required.pkgs") or "reboot-required").split())))
        since = flag.stat().st_mtime
    elif not look.container:
        modules = look.files.path("/lib/modules")
        newest, installed = newer_kernel(os.uname().release, modules)
        why, since = (f"kernel {newest}", installed) if newest else ("", 0.0)
    if not why:
        return look.say.find("reboot.required", Status.OK, "host.reboot_no", value=0)
    # The day it is noticed counts as well, so that the first hour is not below the warning level.
    age = look.now - since
    return look.say.measure("reboot.required", max(0.1, age / DAY), "host.reboot_yes", why=why, age=duration(age))


def newer_kernel(running: str, modules: Path) -> tuple[str, float]:
    """Return the newest installed kernel of the running one's flavour and when it came, empty if that runs already.

    A kernel that is not installed at all was brought by the provider: then nothing can be told.
    """
    names = [entry.name for entry in modules.iterdir() if entry.is_dir()] if modules.is_dir() else []
    if running not in names:
        return "", 0.0
    flavour = re.sub(r"[\d.-]+", "", running)
    newest = max((name for name in names if re.sub(r"[\d.-]+", "", name) == flavour), key=_version)
    if newest == running:
        return "", 0.0
    return newest, (modules / newest).stat().st_mtime


def _version(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name)]
