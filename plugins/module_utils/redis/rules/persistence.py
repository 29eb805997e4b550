# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistence: snapshots and the append-only file."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import MIB
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Case, Decisions

AOF_BYTES = 64 * MIB  # auto-aof-rewrite-min-size: below it Redis itself does not rewrite
AOF_GROWTH = 3.0

DECISIONS = Decisions()


@DECISIONS.about("redis.rdb", "rdb_last_bgsave_status", "rdb_last_save_time", "rdb_changes_since_last_save")
def _rdb(case: Case) -> Check:
    hours, changes = case.figures.save_age / 3600, case.number("rdb_changes_since_last_save")
    if case.figures.reading.info["rdb_last_bgsave_status"] != "ok":
        return case.find(Status.CRITICAL, "redis.rdb.failed", hours=hours, changes=changes)
    if case.figures.saves is False:
        return case.skip("redis.skip.save_off")
    if case.figures.saves is None:
        return case.skip("redis.skip.denied", reason="denied", user=case.target.user, command="CONFIG GET")
    if not changes:
        return case.ok("redis.rdb.clean")
    return case.measure(hours, "redis.rdb.age", changes=changes, min=0)


@DECISIONS.about("redis.bgsave_slow", "rdb_bgsave_in_progress", "rdb_current_bgsave_time_sec")
def _bgsave(case: Case) -> Check:
    if not case.number("rdb_bgsave_in_progress"):
        return case.ok("redis.bgsave_slow.none")
    return case.measure(max(case.number("rdb_current_bgsave_time_sec"), 0), "redis.bgsave_slow.running", min=0)


@DECISIONS.about("redis.aof", "aof_enabled", "aof_last_write_status", "aof_last_bgrewrite_status")
def _aof(case: Case) -> Check:
    info = case.figures.reading.info
    if info["aof_enabled"] != "1":
        return case.skip("redis.skip.aof_off")
    failed = [name for name in ("aof_last_write_status", "aof_last_bgrewrite_status") if info[name] != "ok"]
    if failed:
        return case.find(Status.CRITICAL, "redis.aof.failed", what=", ".join(f"{name}={info[name]}" for name in failed))
    delayed = case.figures.delta("aof_delayed_fsync")
    if case.figures.known and delayed:
        return case.find(Status.WARNING, "redis.aof.delayed", count=delayed)
    size, base = case.number("aof_current_size"), case.number("aof_base_size")
    if size > AOF_BYTES and base and size / base > AOF_GROWTH:
        return case.find(Status.WARNING, "redis.aof.grown", ratio=size / base, mib=size / MIB)
    return case.ok("redis.aof.fine")
