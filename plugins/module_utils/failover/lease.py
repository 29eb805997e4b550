# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease: a host that serves asks the witnesses every second whether it still may, and fences itself when it may not.

Run as a program (tutor-ops-lease.service), apart from the application and from Ansible. It counts on CLOCK_BOOTTIME, so a
wall clock that is set and a suspended machine do not matter; a renewal counts from the moment it was asked for. A pause of
its own longer than the lease, or a start after one, fences before anything is asked.

A fence of its own is lifted again once a quorum has agreed, for as long as a lease, that the epoch is still this host's:
nobody was promoted, and nobody can have been since, for that takes another epoch at so many witnesses that no quorum is
left. What a run or a person fenced stays fenced.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable, fence, grant
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import PATH, Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.grant import boottime
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.witness import Answer, ask

STATUS = "lease.json"


@dataclass(frozen=True)
class Verdict:
    """What to do: renew, hold (nothing new, the lease still runs) or fence; ``record`` is a newer one that was seen."""

    action: str
    reason: str
    record: epochs.Record | None = None


def decide(
    now: float, renewed: float, ttl: float, epoch: int, host: str, answers: Sequence[Answer], needed: int
) -> Verdict:
    """Judge one round. Pure: times in seconds of one clock that never goes back."""
    if not 0 <= now - renewed <= ttl:
        # Before the answers: while this process stood still another host may have been promoted and lost again.
        return Verdict("fence", f"no quorum of witnesses for {now - renewed:.1f} s, more than {ttl:g} s")
    records = [answer.record for answer in answers if answer.record]
    newest = max(records, key=lambda record: record.epoch, default=None)
    if newest and newest.epoch > epoch:
        return Verdict("fence", f"epoch {newest.epoch} of {newest.primary} was seen", newest)
    if any(record.epoch == epoch and record.primary != host for record in records):
        return Verdict("fence", f"a witness has epoch {epoch} for another host")
    agree = sum(record.epoch == epoch for record in records)
    if needed > 0 and agree >= needed:
        return Verdict("renew", f"{agree} of {len(answers)} witnesses agree")
    return Verdict("hold", f"{agree} of {len(answers)} witnesses agree, {needed} are needed")


class Lease:
    """The lease of this host, between two rounds."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.renewed = self._recall()
        # Since when, without a break, a quorum has agreed that this fenced host is the primary.
        self.agreed: float | None = None

    def _recall(self) -> tuple[int, float]:
        """Return epoch and moment of the last renewal, of this boot: what lies in /run ends with it."""
        try:
            seen = json.loads((self.config.run_dir / STATUS).read_text(encoding="utf-8"))
            return int(seen["epoch"]), float(seen["renewed"])
        except (OSError, ValueError, TypeError, KeyError):
            return 0, 0.0

    def turn(self) -> str:
        """One round; returns what it came to."""
        begun = boottime()
        config = self.config
        try:
            held = grant.read(config.run_dir)
        except OpsError as exc:
            return self._fence(0, str(exc), [], None)
        fenced = fence.read(config.state_dir)
        if fenced:
            # A run of ops_fence that was killed left the grant, which goes last.
            return self._fence(0, "a fence was left half done", [], held) if held else self._fenced(begun, fenced)
        if held is None:
            return self._tell("idle", 0, begun, "no grant", [])
        renewed = max(held.boottime, self.renewed[1] if self.renewed[0] == held.epoch else 0.0)
        verdict = decide(begun, renewed, config.ttl, held.epoch, config.host, (), config.needed)
        answers: list[Answer] = []
        # Past its bound this host should have ended long ago: it stood still, and another one may serve.
        late = begun - renewed > config.bound
        if verdict.action != "fence":
            answers = ask(config.witnesses, config.probe_timeout)
            verdict = decide(boottime(), renewed, config.ttl, held.epoch, config.host, answers, config.needed)
        if verdict.action == "fence":
            if verdict.record:
                self._adopt(verdict.record)
            number = max(held.epoch, verdict.record.epoch if verdict.record else 0)
            return self._fence(number, verdict.reason, answers, held, late)
        if verdict.action == "renew":
            renewed = begun
        self.renewed = (held.epoch, renewed)
        return self._tell(verdict.action, held.epoch, renewed, verdict.reason, answers)

    def _fenced(self, begun: float, fenced: fence.Fenced) -> str:
        """One round of a fenced host."""
        config = self.config
        try:
            record = epochs.read(config.state_dir)
        except OpsError as exc:
            return self._tell("fenced", 0, begun, str(exc), [])
        wanted = (fence.ITSELF, fenced.epoch, config.host, "quorum")
        if record is None or (fenced.run_id, record.epoch, record.primary, config.policy) != wanted:
            self.agreed = None
            return self._tell("fenced", 0, begun, "fenced", [])
        answers = ask(config.witnesses, config.probe_timeout)
        verdict = decide(boottime(), begun, config.ttl, record.epoch, config.host, answers, config.needed)
        if verdict.record:
            self._adopt(verdict.record)
        self.agreed = (self.agreed or begun) if verdict.action == "renew" else None
        if self.agreed is None or begun - self.agreed < config.ttl:
            return self._tell("fenced", record.epoch, begun, verdict.reason, answers)
        self.agreed = None
        fencing = fence.Fencing(config)
        try:
            served = fencing.serve_again(record.epoch, begun, lambda: fence.read(config.state_dir) == fenced)
        except (OpsError, OSError) as exc:
            durable.say(f"not served again: {'; '.join([*fencing.evidence, str(exc)])}")
            return self._tell("fenced", record.epoch, begun, str(exc), answers)
        told = "; ".join(fencing.evidence) if served else "the fence changed meanwhile"
        durable.say(f"this host serves again, {verdict.reason}: {told}" if served else f"not served again: {told}")
        return self._tell("renew" if served else "fenced", record.epoch, begun, told, answers)

    def _fence(
        self, epoch: int, reason: str, answers: Sequence[Answer], held: grant.Grant | None, late: bool = False
    ) -> str:
        fencing = fence.Fencing(self.config, alive=lambda: notify("WATCHDOG=1"))

        def still() -> bool:
            """The grant that was judged: one that was given meanwhile, in a newer epoch, is not this verdict's business."""
            with contextlib.suppress(OpsError):
                return grant.read(self.config.run_dir) == held
            return True

        if late and still():
            fencing.cut()
        durable.say(f"fencing this host: {reason}")
        try:
            if not fencing.fence(epoch, fence.ITSELF, reason, still=still):
                durable.say("not fenced: the grant changed meanwhile")
                return self._tell("hold", epoch, boottime(), "the grant changed meanwhile", answers)
            state, told = "fenced", "; ".join(fencing.evidence)
        except OpsError as exc:
            state, told = "failed", f"{'; '.join(fencing.evidence)}; {exc}"
        durable.say(f"{state}: {told}")
        return self._tell(state, epoch, boottime(), f"{reason}; {told}", answers)

    def _adopt(self, record: epochs.Record) -> None:
        """Take over a newer record, so that this host knows it also when the witnesses are gone."""
        with contextlib.suppress(OpsError, OSError):
            epochs.raise_to(self.config.state_dir, record)

    def _tell(self, state: str, epoch: int, renewed: float, reason: str, answers: Sequence[Answer]) -> str:
        """Write the status for checks; a full /run must not end the lease."""
        data: dict[str, Any] = {
            "state": state,
            "epoch": epoch,
            "renewed": renewed,
            "at": boottime(),
            "ttl": self.config.ttl,
            "bound": self.config.bound,
            "reason": reason,
            "answers": {one.witness: one.record.epoch if one.record else one.error for one in answers},
        }
        with contextlib.suppress(OSError):
            durable.write(self.config.run_dir / STATUS, json.dumps(data, ensure_ascii=False) + "\n", durable=False)
        return state

    def rest(self) -> float:
        """Return how long to wait: until the next round, or until the lease ends if that is sooner."""
        ends = self.renewed[1] + self.config.ttl - boottime()
        return min(self.config.loop, ends) if ends > 0 else self.config.loop


# Taken out of the environment: systemctl, which this starts, would report to it too, and be refused.
NOTIFY_SOCKET = os.environ.pop("NOTIFY_SOCKET", "")


def notify(text: str) -> None:
    """Tell systemd, where it listens."""
    if NOTIFY_SOCKET:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect("\0" + NOTIFY_SOCKET[1:] if NOTIFY_SOCKET.startswith("@") else NOTIFY_SOCKET)
            sender.send(text.encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the lease until killed."""
    parser = argparse.ArgumentParser(description="Hold the lease of this host.")
    parser.add_argument("--config", default=PATH)
    parser.add_argument("--check", action="store_true", help="only read the configuration")
    options = parser.parse_args(arguments)
    try:
        config = Config.read(options.config)
    except OpsError as exc:
        durable.say(f"tutor-ops-lease: {exc}")
        return 2
    if options.check:
        return 0
    # The watchdog's first word: who stood still and can hear it goes on at once, and has begun to fence when SIGKILL comes.
    signal.signal(signal.SIGUSR1, lambda *_seen: None)
    config.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    lease = Lease(config)
    durable.say(f"lease of {config.ttl:g} s, fenced {config.bound:g} s after the last quorum of {config.needed}")
    while True:
        lease.turn()
        notify("READY=1\nWATCHDOG=1")
        time.sleep(lease.rest())


if __name__ == "__main__":
    raise SystemExit(main())
