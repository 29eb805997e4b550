# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether unattended upgrades are installed, switched on, really run, and what they complained about."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.updates.apt import Packages, Settings
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

DAY = 86400.0
# Of its log, which is rotated monthly, the last runs.
TAIL_BYTES = 1 << 16
_RUN = re.compile(r"^\S+ \S+ INFO Starting unattended upgrades script")
_ERROR = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) ")
RUNS = 3


def judge_unattended(say: Reporter, of: Settings, found: Packages, expected: bool, now: float) -> Check:
    """Judge the automatic updates; those that are neither expected nor switched on are not applicable."""
    absent = Status.WARNING if expected else Status.SKIPPED
    if not found.unattended:
        return say.find("updates.unattended", absent, "updates.unattended_absent")
    if not of.unattended:
        return say.find("updates.unattended", absent, "updates.unattended_off")
    ran = last_run(of)
    if not ran:
        return say.find("updates.unattended", Status.WARNING, "updates.unattended_never")
    age = max(0.0, now - ran)
    wrong = errors(Path(of.log, "unattended-upgrades.log"))
    check = say.measure("updates.unattended", age / DAY, "updates.unattended_ran", age=duration(age), evidence=wrong)
    if wrong and check.status is Status.OK:
        return say.find(
            "updates.unattended",
            Status.WARNING,
            "updates.unattended_errors",
            value=age / DAY,
            age=duration(age),
            count=len(wrong),
            evidence=wrong[-10:],
        )
    return check


def last_run(of: Settings) -> float:
    """Return when it ran last, in seconds since 1970; 0 for never. Both stamps are made by apt's daily job."""
    moments = [0.0]
    for name in ("unattended-upgrades-stamp", "upgrade-stamp"):
        try:
            moments.append(os.stat(os.path.join(of.state, "periodic", name)).st_mtime)
        except OSError:
            continue
    return max(moments)


def errors(log: Path) -> list[str]:
    """Return the errors of its last runs; none when its log is not for us, which is root's and adm's."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = handle.read(TAIL_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return []
    starts = [number for number, line in enumerate(lines) if _RUN.match(line)][-RUNS:]
    return [redact(line) for line in lines[starts[0] if starts else 0 :] if _ERROR.match(line)]
