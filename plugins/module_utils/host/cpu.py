# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processor time and load: who works, which alerts only while somebody waits (``pressure.py``)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.pressure import alerts
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration

# How long a processor sample lasts at least, and how old the last run may be to serve as its beginning.
SAMPLE_SECONDS = 0.05
SAMPLE_OLDEST = 3600.0


@dataclass(frozen=True)
class CpuTimes:
    """Processor time since boot in seconds."""

    at: float
    busy: float
    total: float
    iowait: float = 0.0
    steal: float = 0.0
    own: bool = True

    def as_list(self) -> list[float]:
        return [self.at, self.busy, self.total, self.iowait, self.steal, self.own]


def cpu_times(look: Look) -> CpuTimes | None:
    """Return the processor time used so far: the container's own where its control group tells, else the machine's."""
    at = time.monotonic()
    usage = look.files.table("/sys/fs/cgroup/cpu.stat").get("usage_usec") if look.container else None
    if usage is not None:
        return CpuTimes(at, usage / 1e6, at * cpus())
    lines = (look.files.read("/proc/stat") or "").splitlines()
    if not lines or not lines[0].startswith("cpu "):
        return None
    # user nice system idle iowait irq softirq steal; guest time is already in user.
    ticks = [int(word) / proc.TICKS for word in lines[0].split()[1:9]]
    ticks += [0.0] * (8 - len(ticks))
    total, idle, iowait = sum(ticks), ticks[3], ticks[4]
    return CpuTimes(at, total - idle - iowait, total, iowait, ticks[7], own=not look.container)


def cpus() -> int:
    """Return how many processors we may use."""
    return len(os.sched_getaffinity(0))


def judge_cpu(
    look: Look, first: CpuTimes | None, pressures: Mapping[str, float | None], state: dict[str, Any]
) -> list[Check]:
    """Judge processor time and load; called last, so that the other parts fill the sample of a first run."""
    say = look.say
    checks = [_load(look, pressures.get("cpu"))]
    if first is None:
        return checks
    begin = first
    saved = look.before("cpu")
    if saved and 0 < first.at - saved[0] <= SAMPLE_OLDEST and saved[2] <= first.total and saved[5] == first.own:
        begin, end = CpuTimes(*saved), first
    else:
        time.sleep(max(0.0, SAMPLE_SECONDS - (time.monotonic() - first.at)))
        end = cpu_times(look) or first
    state["cpu"] = end.as_list()
    total = end.total - begin.total
    if total <= 0:
        return checks
    window = duration(end.at - begin.at) if end.at - begin.at >= 1 else "50ms"
    value = min(100.0, max(0.0, 100 * (end.busy - begin.busy) / total))
    if not end.own:
        return [*checks, say.find("cpu.util", Status.SKIPPED, "host.of_machine", value=value)]
    high = say.grade("cpu.util", value) is not Status.OK
    state["cpu_high"] = high
    waiting = alerts(say, "cpu.psi", pressures.get("cpu"))
    if high and waiting is False:
        checks.append(say.find("cpu.util", Status.OK, "host.cpu_quiet", value=value, window=window))
    elif high and not look.previous.get("cpu_high"):
        checks.append(say.find("cpu.util", Status.OK, "host.cpu_once", value=value, window=window))
    else:
        checks.append(say.measure("cpu.util", value, "host.cpu", window=window, min=0, max=100))
    if not look.container:
        checks.append(
            _share(say, "cpu.iowait", 100 * (end.iowait - begin.iowait) / total, window, "io.psi", pressures.get("io"))
        )
        checks.append(
            _share(say, "cpu.steal", 100 * (end.steal - begin.steal) / total, window, "cpu.psi", pressures.get("cpu"))
        )
    return checks


def _share(say: Reporter, check_id: str, value: float, window: str, psi: str, pressure: float | None) -> Check:
    value = min(100.0, max(0.0, value))
    if say.grade(check_id, value) is not Status.OK and alerts(say, psi, pressure) is False:
        return say.find(check_id, Status.OK, "host.share_quiet", value=value, window=window)
    return say.measure(check_id, value, "host.share", window=window, min=0, max=100)


def _load(look: Look, pressure: float | None) -> Check:
    words = (look.files.read("/proc/loadavg") or "0 0 0").split()
    load, count = float(words[2]), cpus()
    # One busy process is no load to speak of, not even on one processor.
    value = load / max(2, count)
    told: dict[str, Any] = {"value": value, "load": load, "cpus": count}
    if look.container:
        return look.say.find("load15", Status.SKIPPED, "host.of_machine", **told)
    if look.say.grade("load15", value) is not Status.OK and alerts(look.say, "cpu.psi", pressure) is False:
        return look.say.find("load15", Status.OK, "host.load_quiet", **told)
    told.pop("value")
    return look.say.measure("load15", value, "host.load", min=0, **told)
