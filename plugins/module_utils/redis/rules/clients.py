# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients: how many, and what they hold up or take."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.derive import MIB
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Case, Decisions

CLIENTS = 10  # below it a share says nothing

DECISIONS = Decisions()


@DECISIONS.about("redis.clients", "connected_clients", "maxclients")
def _clients(case: Case) -> Check:
    count, limit = case.number("connected_clients"), max(case.number("maxclients"), 1.0)
    return case.measure(100.0 * count / limit, "redis.clients.share", count=count, limit=limit, min=0, max=100)


@DECISIONS.about("redis.rejected_connections", "rejected_connections")
def _rejected(case: Case) -> Check:
    if not case.figures.known:
        return case.thin("redis.thin.first", total=case.number("rejected_connections"))
    return case.measure(case.figures.delta("rejected_connections"), "redis.rejected_connections.count", min=0)


@DECISIONS.about("redis.client_buffers", "mem_clients_normal", "connected_clients")
def _client_buffers(case: Case) -> Check:
    average = case.number("mem_clients_normal") / max(case.number("connected_clients"), 1.0)
    return case.measure(average, "redis.client_buffers.average", kib=average / 1024, min=0)


@DECISIONS.about("redis.client_buffers.max", "client_recent_max_input_buffer", "client_recent_max_output_buffer")
def _largest_buffer(case: Case) -> Check:
    largest = max(case.number("client_recent_max_input_buffer"), case.number("client_recent_max_output_buffer"))
    return case.measure(largest, "redis.client_buffers.largest", mib=largest / MIB, min=0)


@DECISIONS.about("redis.blocked_clients", "blocked_clients", "connected_clients")
def _blocked(case: Case) -> Check:
    blocked, total = case.number("blocked_clients"), case.number("connected_clients")
    if total < CLIENTS:
        return case.thin("redis.thin.small", what=f"{blocked:.0f}/{total:.0f}")
    return case.measure(
        100.0 * blocked / total, "redis.blocked_clients.share", count=blocked, total=total, min=0, max=100
    )
