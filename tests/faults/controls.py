# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Negative controls: the same failovers with a safeguard taken away, which the checker must flag.

A harness that finds nothing here would find nothing anywhere. What is broken is broken on the hosts; no playbook has a
switch for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import lab
from cases import AFTER, Bench
from failover_site import LEASE, SETTINGS
from faults import APP
from inject import FAULTS

GUARDS = f"/etc/systemd/system/{APP}.d/50-tutor-ops-fence.conf"
# How long the copying stood still before the primary was lost.
UNSENT_SECONDS = 2.0
# Longer than any failover here takes: the old primary goes on by its own lease.
LONG_LEASE = 120.0

Control = Callable[[Bench, ExitStack], str]


def fence_off(bench: Bench, broken: ExitStack) -> str:
    """Guards, lease and the shutting of the directory are gone: the primary that is cut off goes on serving."""
    site, old = bench.site, bench.site.primary()
    broken.callback(site.lay_out)
    site.sh(old, f"systemctl disable --now {LEASE}; rm {GUARDS}; systemctl daemon-reload")
    return dual_of(bench, old)


def lease_wait_zero(bench: Bench, broken: ExitStack) -> str:
    """The wait is skipped by a word that is not true: the primary is called dead, and its lease still runs."""
    site, old = bench.site, bench.site.primary()
    ttl = SETTINGS["fencing_ttl"]
    config = "/etc/tutor-ops/fencing.json"
    change = 'sed -i \'s/"ttl": [0-9.]*/"ttl": {}/\' {}; systemctl restart {}'
    broken.callback(site.sh, old, change.format(f"{ttl:.1f}", config, LEASE))
    site.sh(old, change.format(f"{LONG_LEASE:.1f}", config, LEASE))
    return dual_of(bench, old)


def dual_of(bench: Bench, old: str) -> str:
    """Cut the primary off, promote the other host at once, and see both serve."""
    site, new = bench.site, bench.site.standby()
    bench.begin()
    attempt = bench.attempt("emergency_failover", new, failover_primary_dead=old)
    with ExitStack() as mend:
        FAULTS["primary_unplugged"].on(site, old, new, mend)
        attempt.call()
        if site.primary() != new:
            return f"not flagged: the failover ended as {bench.outcome(attempt)}"
        since = time.monotonic()
        lab.wait_for("the new primary serves", lambda: bench.served(new, since) >= AFTER, 60)
    site.sh(old, f"systemctl stop {APP}")
    verdict = bench.judge()
    seconds = verdict.dual_seconds
    return f"flagged dual={len(verdict.dual)} over {seconds:.1f} s" if verdict.dual else "not flagged: dual=0"


def sync_skipped(bench: Bench, broken: ExitStack) -> str:
    """Nothing was copied for two seconds and the last changes are not fetched: judged as a switchover, writes are lost."""
    site, old, new = bench.site, bench.site.primary(), bench.site.standby()
    bench.begin()
    attempt = bench.attempt(
        "emergency_failover", new, failover_primary_dead=old, failover_accept_data_loss="accept_data_loss"
    )
    with ExitStack() as mend:
        FAULTS["sender_stopped"].on(site, old, new, mend)
        stopped = time.monotonic()
        lab.wait_for("writes that are not sent", lambda: time.monotonic() > stopped + UNSENT_SECONDS, 10)
        FAULTS["primary_power_cut"].on(site, old, new, mend)
        attempt.call()
        if site.primary() != new:
            return f"not flagged: the failover ended as {bench.outcome(attempt)}"
    verdict = bench.judge()
    return f"flagged lost={len(verdict.lost)}" if verdict.lost else "not flagged: lost=0"


def final_copy_broken(bench: Bench, broken: ExitStack) -> str:
    """Nothing is sent any more, and the last copy of a switchover says that it was: the comparison must refuse."""
    site, old, new = bench.site, bench.site.primary(), bench.site.standby()
    program = "/usr/local/lib/tutor-ops/litestream"
    broken.callback(site.sh, old, f"mv {program}.real {program}")
    site.sh(
        old,
        f'mv {program} {program}.real; printf \'#!/bin/sh\\ncase "$*" in *-once*) exit 0;; esac\\nexec {program}.real "$@"\\n\''
        f" > {program}; chmod 755 {program}",
    )
    bench.begin()
    attempt = bench.attempt("switchover", new)
    with ExitStack() as mend:

        def unsent(process: object) -> None:
            # Not by SIGSTOP: systemd sends SIGCONT with SIGTERM, and Litestream copies the rest when it ends.
            if attempt.wait_for(process, "lock", "begin"):  # type: ignore[arg-type]
                FAULTS["no_way_to_the_standby"].on(site, old, new, mend)

        attempt.call(unsent)
    outcome = bench.outcome(attempt)
    verdict = bench.judge()
    if verdict.lost:
        return f"flagged lost={len(verdict.lost)}"
    return f"flagged by the run itself: {outcome}" if site.primary() == old else f"not flagged: {outcome} with lost=0"


CONTROLS: dict[str, Control] = {
    one.__name__: one for one in (final_copy_broken, sync_skipped, lease_wait_zero, fence_off)
}


def choose(words: str) -> list[str]:
    """Return the controls that are meant."""
    if words in ("all", "none"):
        return list(CONTROLS) if words == "all" else []
    unknown = set(words.split(",")) - set(CONTROLS)
    if unknown:
        raise SystemExit(f"no control {', '.join(sorted(unknown))}: expected of {', '.join(CONTROLS)}")
    return words.split(",")


def run(name: str, bench: Bench, *, last: bool) -> str:
    """Run one; return what the checker said, beginning with ``flagged`` when it did. Put the site right unless it is the last."""
    try:
        with ExitStack() as broken:
            told = CONTROLS[name](bench, broken)
            if last:
                broken.pop_all()
        if not last:
            bench.reprotect(salvage=True)
    except Exception as exc:  # noqa: BLE001 - a control that broke has flagged nothing
        return f"not flagged: {type(exc).__name__}: {exc}"
    return told
