# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the file systems are going."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import mounts, proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.capacity.look import Past, judge_eta
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.disks import STATVFS_SECONDS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline


def judge_disks(say: Reporter, spec: Mapping[str, Any], past: Past, deadline: Deadline) -> Iterator[Check]:
    """Judge every file system that can fill up, the same ones as the probe host."""
    ignored = set(spec["ignore_mounts"])
    every = mounts.parse_mountinfo(proc.read("/proc/self/mountinfo"))
    chosen = [one for one in mounts.relevant(every) if one.point not in ignored]
    answers = mounts.ask(chosen, deadline.sooner(STATVFS_SECONDS).remaining())
    for mount in chosen:
        usage = answers[mount.point]
        if not isinstance(usage, mounts.Usage):
            error = usage or f"no answer within {STATVFS_SECONDS:.0f} s"
            yield say.find("disk.eta_full", Status.UNKNOWN, "capacity.not_asked", mount.point, error=error)
        elif usage.total:
            points = past.with_now(usage.percent, f"disk.used|{mount.point}")
            yield judge_eta(say, "disk.eta_full", mount.point, usage.percent, points)
