# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication: the role, the link, how far behind, what a break would cost."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import MIB
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Case, Decisions

DECISIONS = Decisions()


def _is_replica(case: Case) -> bool:
    return case.figures.reading.info.get("role") == "slave"


@DECISIONS.about("redis.role", "role")
def _role(case: Case) -> Check:
    if not case.wishes.expected_role:
        return case.skip("redis.skip.no_role")
    role = "replica" if _is_replica(case) else case.figures.reading.info["role"]
    if role != case.wishes.expected_role:
        return case.find(Status.CRITICAL, "redis.role.wrong", role=role, expected=case.wishes.expected_role)
    return case.ok("redis.role.right", role=role)


@DECISIONS.about("redis.replication.link", "role")
def _link(case: Case) -> Check:
    if not _is_replica(case):
        return case.skip("redis.skip.not_replica")
    info = case.figures.reading.info
    master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
    if info.get("master_link_status") == "up":
        return case.ok("redis.replication.up", master=master)
    if info.get("master_sync_in_progress") == "1":
        return case.find(Status.WARNING, "redis.replication.syncing", master=master)
    # -1 on a replica that never had a link.
    seconds = max(case.number("master_link_down_since_seconds"), 0.0)
    return case.find(Status.CRITICAL, "redis.replication.down", master=master, seconds=seconds)


@DECISIONS.about("redis.replication.lag", "role")
def _lag(case: Case) -> Check:
    if _is_replica(case):
        return case.measure(max(case.number("master_last_io_seconds_ago"), 0.0), "redis.replication.behind", min=0)
    if not case.figures.reading.replicas:
        return case.skip("redis.skip.alone")
    return case.measure(case.figures.worst_replica()[0], "redis.replication.behind", min=0)


@DECISIONS.about("redis.replication.lag_bytes", "role", "master_repl_offset")
def _lag_bytes(case: Case) -> Check:
    if not case.figures.reading.replicas:
        return case.skip("redis.skip.no_replicas")
    return case.measure(case.figures.worst_replica()[1], "redis.replication.behind_bytes", min=0)


@DECISIONS.about("redis.replication.backlog_window", "repl_backlog_size", "master_repl_offset")
def _backlog(case: Case) -> Check:
    if not case.figures.reading.replicas:
        return case.skip("redis.skip.no_replicas")
    window = case.figures.backlog_window
    if window is None:
        return case.ok("redis.replication.no_writes")
    return case.measure(window, "redis.replication.window", min=0)


@DECISIONS.about("redis.replication.full_sync", "sync_full")
def _full_sync(case: Case) -> Check:
    if not case.figures.known:
        return case.thin("redis.thin.first", total=case.number("sync_full"))
    count = case.figures.delta("sync_full")
    return case.measure(case.figures.per_hour(count), "redis.replication.full", count=count, min=0)


@DECISIONS.about("redis.replica_buffers", "mem_clients_slaves", "connected_slaves")
def _replica_buffers(case: Case) -> Check:
    if not case.number("connected_slaves"):
        return case.skip("redis.skip.no_replicas")
    # Since 7.0 replicas share one buffer with the backlog, which is not a delay.
    shared = case.number("mem_total_replication_buffers") - case.number("mem_replication_backlog")
    size = max(case.number("mem_clients_slaves"), shared)
    return case.measure(size, "redis.replica_buffers.size", mib=size / MIB, min=0)
