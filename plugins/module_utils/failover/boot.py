# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a boot there is no grant; this decides whether this host gets one (tutor-ops-grant.service)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable, fence, grant
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import PATH, Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.lease import Verdict
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.witness import Answer, ask


def decide(
    policy: str, host: str, fenced: bool, record: epochs.Record | None, answers: Sequence[Answer], needed: int
) -> Verdict:
    """Judge: grant, wait (ask the witnesses again), stay (down, as it should be), refuse (down, somebody must look), fence."""
    newest = max((a.record for a in answers if a.record), key=lambda seen: seen.epoch, default=None)
    if newest and (record is None or newest.epoch > record.epoch) and newest.primary != host:
        # Also a host that was never fenced, because nobody could reach it.
        return Verdict(
            "fence" if record and record.primary == host else "stay",
            f"{newest.primary} has epoch {newest.epoch}",
            newest,
        )
    if fenced:
        return Verdict("stay", "this host is fenced")
    if record is None:
        return Verdict("refuse", "this host has no epoch: expected one, ops_epoch makes it")
    if record.primary != host:
        return Verdict("stay", f"{record.primary} has epoch {record.epoch}")
    if policy == "standalone":
        return Verdict("grant", "policy standalone")
    if policy == "manual":
        return Verdict("refuse", "policy manual: expected a person to grant it (ops_fence, state granted)")
    agree = sum(a.record is not None and (a.record.epoch, a.record.primary) == (record.epoch, host) for a in answers)
    if agree >= needed > 0:
        return Verdict("grant", f"{agree} of {len(answers)} witnesses have epoch {record.epoch} of {host}")
    return Verdict(
        "wait", f"{agree} of {len(answers)} witnesses have epoch {record.epoch} of {host}: expected {needed}"
    )


def boot(config: Config) -> tuple[Verdict, int | None]:
    """Ask until it is decided or the time is up; grant or fence. Returns the verdict and the epoch that was granted."""
    end = time.monotonic() + config.boot_wait
    while True:
        record = epochs.read(config.state_dir)
        answers = ask(config.witnesses, config.probe_timeout)
        verdict = decide(config.policy, config.host, bool(fence.read(config.state_dir)), record, answers, config.needed)
        if verdict.action != "wait" or time.monotonic() >= end:
            break
        time.sleep(config.loop)
    if verdict.record:
        epochs.raise_to(config.state_dir, verdict.record)
    fencing = fence.Fencing(config)
    if verdict.action == "fence" or fence.read(config.state_dir):
        fencing.fence(
            verdict.record.epoch if verdict.record else 0, fence.ITSELF, verdict.reason, try_start=False
        )  # which would wait for us
    if verdict.action == "grant" and record:
        fencing.grant(record.epoch, "boot", guarded=False)
        return verdict, record.epoch
    return verdict, None


def main(arguments: Sequence[str] | None = None) -> int:
    """Give the grant or do not; the exit status is 1 when somebody has to look."""
    parser = argparse.ArgumentParser(description="Decide after a boot whether this host may serve.")
    parser.add_argument("--config", default=PATH)
    options = parser.parse_args(arguments)
    try:
        config = Config.read(options.config)
        held = grant.read(config.run_dir)
        if held and not fence.read(config.state_dir):
            durable.say(f"epoch {held.epoch} is granted already")
            return 0
        verdict, epoch = boot(config)
    except OpsError as exc:
        durable.say(f"tutor-ops-grant: not granted: {exc}")
        return 1
    durable.say(f"{f'granted epoch {epoch}' if epoch else 'not granted'}: {verdict.reason}")
    return 0 if epoch or verdict.action == "stay" else 1


if __name__ == "__main__":
    raise SystemExit(main())
