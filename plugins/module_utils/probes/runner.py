# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run all probes of a host side by side and make one record of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.standby import serves_elsewhere
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import Child, Outcome, gather
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import Prepared
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.waivers import waive

# A probe gets this much less than its child, so that it can say itself what it was waiting for.
GRACE = 0.25
# How many changes of status a check remembers; more than this in a day is flapping whatever the number.
FLAPS = 20
# Each shift asks other probes, and a monthly one comes back after a month: state waits that long, then it is dropped.
KEEP_DAYS = 40
STAMP = "%Y-%m-%dT%H:%M:%SZ"

AREA = Area(
    "check",
    rules={
        "check.deadline": Rule(
            title=Text("Probe within its time", "探测按时完成"),
            fix=Text(
                "Find out what hangs (evidence names the probe): a mount, a resolver, a full disk. Run the playbook again; "
                "raise the probe's timeout only if the host is merely slow.",
                "查明卡住的对象（证据中有探测名称）：挂载点、域名解析或磁盘。然后重新运行；只有主机确实较慢时才调大该探测的 timeout。",
            ),
        ),
        "check.error": Rule(
            title=Text("Probe could run", "探测可以运行"),
            fix=Text(
                "The probe itself failed; the evidence holds the error. Repair what it names, or report it as a bug.",
                "探测自身出错，证据中有错误信息。请修复其所指问题，或作为缺陷上报。",
            ),
        ),
        "check.standby": Rule(
            title=Text("Left out on a standby", "备机上不检查"),
            fix=Text(
                "Nothing is to be done: this host does not serve. It is asked again once it does.",
                "无需处理：本机当前不提供服务，恢复服务后会重新检查。",
            ),
        ),
        "check.duration": Rule(
            title=Text("Duration of the checks", "检查耗时"),
            fix=Text(
                "See which probe is slow (duration_ms of its checks) and what the host is busy with.",
                "查看哪个探测较慢（各检查的 duration_ms），以及主机正忙于什么。",
            ),
            warn="5",
            crit="20",
            uom="s",
            source="self check: a shift must not exceed 20 s per host",
        ),
    },
    sentences={
        "check.timeout": Text(
            "{item}: no result within {seconds:.1f} s, ended", "{item}：{seconds:.1f} 秒内没有结果，已终止"
        ),
        "check.broken": Text("{item}: the probe failed: {error}", "{item}：探测失败：{error}"),
        "check.left_out": Text(
            "not asked: {primary} serves, and this host is fenced as its standby",
            "未检查：由 {primary} 提供服务，本机作为备机已隔离",
        ),
        "check.took": Text("all probes took {value:.2f} s", "全部探测耗时 {value:.2f} 秒"),
    },
)


def run_probes(probes: list[Prepared], previous: Mapping[str, Any], seconds: float) -> ProbeResult:
    """Run every probe in a child of its own, all at once, and none beyond ``seconds``.

    ``previous`` is the state this function returned at the last run of the host, or empty.
    """
    start = time.monotonic()
    now = datetime.now(timezone.utc)
    stamp, oldest = now.strftime(STAMP), (now - timedelta(days=KEEP_DAYS)).strftime(STAMP)
    states = {key: kept for key, kept in previous.get("probes", {}).items() if kept["at"] >= oldest}
    primary = serves_elsewhere() if any(probe.spec["serving"] for probe in probes) else ""
    say = AREA.reporter(_patience(seconds), source="runner")
    left = [probe.key for probe in probes if primary and probe.spec["serving"]]
    probes = [probe for probe in probes if probe.key not in left]
    before = {probe.key: states.get(probe.key, {}).get("state", {}) for probe in probes}
    children = [_start(probe, before[probe.key], min(probe.timeout, seconds)) for probe in probes]
    checks = [say.find("check.standby", Status.SKIPPED, "check.left_out", key, primary=primary) for key in left]
    for probe, outcome in zip(probes, gather(children)):
        found, state = _read(probe, outcome, before[probe.key])
        for check in found:
            check.labels = {**probe.spec["labels"], **check.labels}
            check.source = check.source or probe.spec["kind"]
            check.duration_ms = round(outcome.seconds * 1000, 1)
            waive(check, getattr(probe.module, "AREAS", (probe.module.AREA,)), probe.waivers, now.date())
        checks += found
        states[probe.key] = {"at": stamp, "state": state}
    checks.append(say.measure("check.duration", time.monotonic() - start, "check.took"))
    seen = _remember(checks, previous.get("seen", {}), now)
    return ProbeResult(checks, {"version": 1, "at": stamp, "probes": states, "seen": seen})


def _patience(seconds: float) -> dict[str, dict[str, str]]:
    """Return when a run was too slow: the usual limits, but those of its own deadline for one that was given more time."""
    if seconds <= float(AREA.rules["check.duration"].crit):
        return {}
    return {"check.duration": {"warn": f"{seconds / 2:g}", "crit": f"{seconds:g}"}}


def _start(probe: Prepared, previous: Mapping[str, Any], seconds: float) -> Child:
    def work() -> dict[str, Any]:
        result = probe.module.probe(probe.spec, previous, Deadline(max(seconds - GRACE, seconds / 2)))
        return {"checks": [check.as_dict() for check in result.checks], "state": result.state}

    return Child(work, seconds)


def _read(probe: Prepared, outcome: Outcome, previous: Mapping[str, Any]) -> tuple[list[Check], Any]:
    """Turn a child's outcome into checks; a probe that gave no state keeps its last one, so that no delta is lost."""
    if outcome.timed_out or outcome.error:
        say = AREA.reporter(source="runner")
        if outcome.timed_out:
            found = say.find(
                "check.deadline",
                Status.UNKNOWN,
                "check.timeout",
                item=probe.key,
                reason="timeout",
                seconds=outcome.seconds,
            )
        else:
            lines = outcome.error.strip().splitlines()
            found = say.find(
                "check.error", Status.UNKNOWN, "check.broken", item=probe.key, error=lines[-1], evidence=lines[-6:]
            )
        return [found], dict(previous)
    return [Check.from_dict(data) for data in outcome.value["checks"]], outcome.value["state"]


def _remember(checks: list[Check], seen: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Fill in since, previous status and flaps of each check; return what the next run needs for the same.

    A check that was not looked at this time keeps its entry ``[status, since, changes, looked at]``.
    """
    stamp = now.strftime(STAMP)
    day_ago, oldest = ((now - timedelta(days=days)).strftime(STAMP) for days in (1, KEEP_DAYS))
    result = {key: entry for key, entry in seen.items() if entry[3] >= oldest}
    for check in checks:
        status, since, changes, _looked = seen.get(check.key, (None, stamp, [], stamp))
        if status is not None and status != check.status:
            since, changes = stamp, [*changes, stamp]
        changes = [moment for moment in changes if moment >= day_ago][-FLAPS:]
        check.since, check.prev_status, check.flaps_24h = since, status, len(changes)
        result[check.key] = [int(check.status), since, changes, stamp]
    return result
