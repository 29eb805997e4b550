# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed: slow commands, spikes, forks, the processor.

That the latency monitor is off is advice inside an OK, since it harms nobody by itself.
"""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Case, Decisions

ENOUGH_CALLS = 1000
SLOWER_THAN = (1, 100_000)  # microseconds in which the slow log is of use

DECISIONS = Decisions()


@DECISIONS.about("redis.latency.p999", "#latencystats", "#commandstats")
def _p999(case: Case) -> Check:
    figures = case.figures
    usec = {
        name: values["p99.9"]
        for name, values in figures.reading.latency_usec.items()
        if "p99.9" in values and figures.calls_delta(name) >= ENOUGH_CALLS
    }
    if not usec:
        return case.thin("redis.latency.few", minutes=figures.seconds / 60)
    worst = sorted(usec, key=lambda name: -usec[name])
    evidence = [f"{name} p99.9 {usec[name] / 1000:.2f} ms" for name in worst[:5]]
    return case.measure(usec[worst[0]] / 1000, "redis.latency.worst", command=worst[0], evidence=evidence, min=0)


@DECISIONS.about("redis.slowlog", "@SLOWLOG GET")
def _slowlog(case: Case) -> Check:
    figures = case.figures
    setting = figures.reading.config.get("slowlog-log-slower-than", "10000")
    if not SLOWER_THAN[0] <= int(setting) <= SLOWER_THAN[1]:
        return case.find(Status.WARNING, "redis.slowlog.off", setting=setting)
    groups = figures.slow_groups()
    evidence = [f"{g['command']}: {g['count']} x, longest {g['max_ms']:.1f} ms" for g in groups]
    minutes = (figures.seconds if figures.known else min(figures.uptime, 3600)) / 60
    rate = figures.per_hour(figures.slow_count) if figures.known else float(figures.slow_count)
    return case.measure(
        rate,
        "redis.slowlog.rate",
        count=figures.slow_count,
        limit_ms=int(setting) / 1000,
        minutes=minutes,
        evidence=evidence,
        min=0,
    )


@DECISIONS.about("redis.slowlog.slowest", "@SLOWLOG GET")
def _slowest(case: Case) -> Check:
    slowest = max(case.figures.slow_new, key=lambda entry: entry.usec, default=None)
    if slowest is None:
        return case.ok("redis.slowlog.none")
    return case.measure(slowest.usec / 1000, "redis.slowlog.longest", command=slowest.command, min=0)


@DECISIONS.about("redis.slowlog.lost", "@SLOWLOG GET", "@SLOWLOG LEN")
def _slowlog_lost(case: Case) -> Check:
    return case.measure(case.figures.slow_lost, "redis.slowlog.gap", min=0)


@DECISIONS.about("redis.latency_monitor", "@LATENCY LATEST")
def _latency_monitor(case: Case) -> Check:
    events = sorted(case.figures.new_latency_events, key=lambda event: -event.latest_ms)
    if events:
        evidence = [f"{event.name}: latest {event.latest_ms} ms, worst {event.max_ms} ms" for event in events]
        return case.measure(events[0].latest_ms, "redis.latency_monitor.spike", event=events[0].name, evidence=evidence)
    if case.figures.reading.config.get("latency-monitor-threshold") == "0":
        return case.ok("redis.latency_monitor.off")
    return case.ok("redis.latency_monitor.quiet")


@DECISIONS.about("redis.fork", "latest_fork_usec")
def _fork(case: Case) -> Check:
    if not case.number("latest_fork_usec"):
        return case.ok("redis.fork.none")
    return case.measure(case.number("latest_fork_usec") / 1000, "redis.fork.took", min=0)


@DECISIONS.about("redis.cpu", "used_cpu_sys_main_thread", "used_cpu_user_main_thread")
def _cpu(case: Case) -> Check:
    percent = case.figures.cpu_percent
    if percent is None:
        return case.thin("redis.thin.begin")
    return case.measure(percent, "redis.cpu.share", min=0)
