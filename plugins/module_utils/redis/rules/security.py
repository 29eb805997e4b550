# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may reach the server, who was refused, and the kernel settings below it.

Kernel settings are advice inside an OK, since every fresh Debian host has them; ``strict_os`` makes a WARNING of them.
"""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.rules.case import Case, Decisions

DECISIONS = Decisions()


@DECISIONS.about("redis.acl_denied", "#errorstats")
def _acl_denied(case: Case) -> Check:
    figures = case.figures
    if not figures.known:
        return case.thin("redis.thin.first", total=figures.denials)
    count = figures.denials
    evidence = figures.reading.acl_log if count else []
    rate = figures.per_hour(count)
    return case.measure(rate, "redis.acl_denied.rate", count=count, evidence=evidence, min=0)


@DECISIONS.about("redis.exposure", "tcp_port", "@CONFIG GET bind", "@CONFIG GET protected-mode")
def _exposure(case: Case) -> Check:
    config, reach = case.figures.reading.config, case.figures.listens
    if reach in ("none", "loopback"):
        return case.ok(f"redis.exposure.{reach}")
    # Only who got in without a password knows that there is none; the password itself is never read.
    if case.target.password:
        return case.ok("redis.exposure.password")
    protected = config["protected-mode"]
    status = Status.CRITICAL if protected == "no" and reach == "all" else Status.WARNING
    bind = config["bind"] or "all interfaces"
    return case.find(status, "redis.exposure.open", bind=bind, protected=protected)


@DECISIONS.about("redis.os")
def _os(case: Case) -> Check:
    host = case.figures.host
    if not host.overcommit:
        return case.skip("redis.skip.remote")
    backlog = case.figures.reading.config.get("tcp-backlog", "511")
    advice = []
    if host.overcommit != "1":
        advice.append(f"vm.overcommit_memory={host.overcommit}")
    if host.thp == "always":
        advice.append("transparent_hugepage=always")
    if host.somaxconn is not None and host.somaxconn < int(backlog):
        advice.append(f"net.core.somaxconn={host.somaxconn} < tcp-backlog {backlog}")
    if not advice:
        return case.ok("redis.os.fine")
    status = Status.WARNING if case.wishes.strict_os else Status.OK
    return case.find(status, "redis.os.advice", what=", ".join(advice), evidence=advice)
