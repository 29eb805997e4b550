# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a failover may begin: a pure function of what every host said and what the operator asked for.

Each condition is a check. One that is critical refuses the run before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import majority, raise_needed
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.incidents import urgent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import one_line, size

MODES = ("switchover", "failback", "emergency")
ACCEPT_LOSS = "accept_data_loss"
# The restored copy, the one set aside, and what SQLite needs beside them.
ROOM = 2.2
# Full enough for SQLite to fail: less than a few pages of a log.
FULL_BYTES = 1 << 20
# The looks are not taken at one moment: anything below is no difference of clocks.
CLOCK_SECONDS = 5.0
# Measured on lab hosts, for the plan: the steps without service, and what a restore takes for each megabyte.
STEPS_SECONDS = 4.0
RESTORE_SECONDS_PER_MB = 0.015

Look = Mapping[str, Any]


@dataclass(frozen=True)
class Hosts:
    """Who there is: application hosts, proxies and witnesses by inventory name, and how each is addressed."""

    application: Sequence[str]
    proxies: Sequence[str] = ()
    witnesses: Sequence[str] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def voters(self) -> list[str]:
        """Who keeps the epoch besides the application hosts, as the role fencing has it."""
        return list(dict.fromkeys([*self.witnesses, *self.proxies]))

    @property
    def all(self) -> list[str]:
        """Every host, each once."""
        return list(dict.fromkeys([*self.application, *self.voters]))

    def role(self, name: str) -> str:
        """Say what a host is for."""
        kinds = (("application", self.application), ("proxy", self.proxies), ("witness", self.witnesses))
        return ", ".join(kind for kind, names in kinds if name in names)


@dataclass(frozen=True)
class Request:
    """What the operator asked for. Times in seconds; ``quorum`` 0 is the majority of the voters.

    ``incidents`` are the last event of each incident, ``incident`` names the one that the switch is to resolve. ``ended``
    are the runs that are over and still hold a host, which did not answer in their end: their locks are nobody's.
    """

    mode: str
    target: str
    run_id: str
    now: float
    confirm: str = ""
    accept_data_loss: str = ""
    max_rpo: float = 60.0
    max_lag: float = 10.0
    antiflap: float = 3600.0
    acknowledge_flap: bool = False
    primary_dead: str = ""
    stonith: Sequence[str] = ()
    timestamp: str = ""
    fault_at: str = ""
    without: Sequence[str] = ()
    quorum: int = 0
    incident: str = ""
    incidents: Sequence[Mapping[str, Any]] = ()
    replicated: bool = True
    service: str = ""
    ended: Sequence[str] = ()
    dry: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise OpsError(f"mode is {self.mode!r}: expected one of {', '.join(MODES)}")
        if self.fault_at and not 0 < (seconds_of(self.fault_at) or 0.0) <= self.now:
            raise OpsError(
                f"failover_fault_at is {self.fault_at!r}: expected the time the primary was lost, not after now, such as "
                "2026-11-23T02:00:00Z"
            )

    @property
    def fault(self) -> float:
        """When the primary was lost, in epoch seconds: as the operator knows, at the latest now."""
        return seconds_of(self.fault_at) or self.now


@dataclass(frozen=True)
class Judgement:
    """``way``: planned (the primary can be asked), emergency (it cannot), nothing. ``bound`` is its LEASE_BOUND."""

    way: str
    old: str
    target: str
    epoch: int
    condition: str
    checks: Sequence[Check]
    bound: float = 0.0
    sync: bool = True
    expected: Mapping[str, float] = field(default_factory=dict)

    @property
    def refusals(self) -> list[Check]:
        return [check for check in self.checks if check.status is Status.CRITICAL]


def seconds_of(moment: Any) -> float | None:
    """Return a time, epoch seconds or ISO 8601, as epoch seconds; None for what is neither."""
    if isinstance(moment, (int, float)) and not isinstance(moment, bool):
        return float(moment)
    try:
        read = datetime.fromisoformat(str(moment).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=timezone.utc)).timestamp()


def part(look: Look | None, *names: str) -> Any:
    """Return what a look says about something, None when it does not."""
    found: Any = look
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def answers(look: Look | None) -> bool:
    """Tell whether a host could be looked at."""
    return isinstance(look, Mapping) and "unreachable" not in look


def highest_epoch(looks: Mapping[str, Look]) -> tuple[int, list[str]]:
    """Return the newest epoch anybody knows, and whose it is: one host, unless somebody is wrong."""
    records = [part(look, "epoch") for look in looks.values()]
    found = [(int(one["epoch"]), str(one["primary"])) for one in records if isinstance(one, Mapping)]
    top = max((epoch for epoch, _primary in found), default=0)
    return top, sorted({primary for epoch, primary in found if epoch == top})


def classify(looks: Mapping[str, Look], primary: str, service: str = "") -> tuple[str, list[str]]:
    """Say what is wrong with the primary, and who still reaches it; ``service`` is the unit that has to run there."""
    look = looks.get(primary)
    seen = [name for name, one in looks.items() if name != primary and answers(one) for peer in _peers(one, primary)]
    if not answers(look):
        serving = [
            name for name, one in looks.items() if answers(one) for peer in _peers(one, primary) if _reaches(peer)
        ]
        return ("partitioned", sorted(set(serving))) if serving else ("host_down", [])
    quick = part(look, "database", "quick")
    if quick not in (None, "ok"):
        return "corrupt", []
    free = part(look, "free_bytes")
    if free is not None and free < FULL_BYTES:
        return "disk_full", []
    running = part(look, "fence", "running") or ()
    if unit_name(service) not in running if service else not running:
        return "app_down", []
    asked = [peer.get("http") for name in seen for peer in _peers(looks[name], primary)]
    # nginx answers for an application that does not: with 502 or 504.
    if asked and not any(isinstance(answer, int) and answer < 500 for answer in asked):
        return "frozen", []
    return "healthy", []


def _peers(look: Look, name: str) -> list[Mapping[str, Any]]:
    return [peer for peer in part(look, "peers") or () if peer.get("name") == name]


def _reaches(peer: Mapping[str, Any]) -> bool:
    return peer.get("ssh") == "ok" or peer.get("http") == 200


def judge(hosts: Hosts, request: Request, looks: Mapping[str, Look]) -> Judgement:
    """Decide what may be done."""
    return _Judge(hosts, request, looks).run()


class _Judge:
    def __init__(self, hosts: Hosts, request: Request, looks: Mapping[str, Look]) -> None:
        self.hosts, self.request = hosts, request
        gone = {name: {"unreachable": "left out by failover_without"} for name in request.without}
        self.looks = {name: gone.get(name) or looks.get(name) or {"unreachable": "no answer"} for name in hosts.all}
        self.say = AREA.reporter(source="controller")
        self.epoch, self.owners = highest_epoch(self.looks)
        self.old = self.owners[0] if len(self.owners) == 1 else ""
        self.target = request.target
        self.condition, self.seen_by = classify(self.looks, self.old, request.service) if self.old else ("unknown", [])

    def run(self) -> Judgement:
        if self.target not in self.hosts.application:
            expected = " or ".join(self.hosts.application)
            return self._told("none", [self._no("failover.target", "no_target", seen=self.target, expected=expected)])
        found = list(self._epochs())
        if found or not self.old:
            return self._told("none", found)
        if self.old == self.target:
            return self._told("nothing", list(self._served()))
        way = "planned" if answers(self.looks[self.old]) else "emergency"
        if way == "emergency" and self.request.mode != "emergency":
            return self._told("none", list(self._reachable()))
        rules = [self._confirmed, self._reachable, self._locks, self._quorum, self._grants, self._guards, self._flap]
        rules += [self._room, self._proxies, self._replica, self._snapshots, self._clocks]
        rules += (
            [self._database, self._same, self._lag, self._backup, self._incidents]
            if way == "planned"
            else [self._dead, self._loss]
        )
        found = [check for rule in rules for check in rule()]
        return self._told(way, [*self._classified(), *found])

    def _told(self, way: str, checks: Sequence[Check]) -> Judgement:
        planned = way == "planned"
        look = self.looks.get(self.old)
        bound = max([float(part(one, "bound") or 0.0) for one in self.looks.values()], default=0.0)
        size_mb = (part(look, "database", "bytes") or self._held_bytes()) / 1e6
        restore = size_mb * RESTORE_SECONDS_PER_MB
        gap = STEPS_SECONDS + restore + (0.0 if planned else bound)
        return Judgement(
            way=way,
            old=self.old,
            target=self.target,
            epoch=self.epoch,
            condition=self.condition,
            checks=tuple(checks),
            bound=bound,
            sync=self.condition not in ("disk_full", "corrupt"),
            expected={
                "gap_s": round(gap, 1),
                "rto_s": round(gap, 1),
                "rpo_s": 0.0 if planned else self._loss_seconds(),
            },
        )

    def _held_bytes(self) -> float:
        return float(part(self.looks.get(self.target), "database", "bytes") or 0)

    def _no(self, check_id: str, sentence: str, item: str = "", **values: Any) -> Check:
        values.setdefault("target", self.target)
        return self.say.find(check_id, Status.CRITICAL, f"failover.{sentence}", item=item, **values)

    def _hint(self, check_id: str, sentence: str, item: str = "", **values: Any) -> Check:
        values.setdefault("target", self.target)
        return self.say.find(check_id, Status.WARNING, f"failover.{sentence}", item=item, **values)

    # What every run needs

    def _epochs(self) -> Iterator[Check]:
        if not self.epoch:
            yield from self._reachable()
            yield self._no("failover.epoch", "no_epoch")
            return
        if len(self.owners) > 1:
            yield self._no("failover.epoch", "epoch_split", epoch=self.epoch, seen=", ".join(self.owners))
            return
        if self.old not in self.hosts.application:
            expected = ", ".join(self.hosts.application)
            yield self._no("failover.epoch", "epoch_other", epoch=self.epoch, primary=self.old, expected=expected)
            return
        voters = [name for name in self.hosts.voters if answers(self.looks[name])]
        known = [name for name in voters if part(self.looks[name], "epoch", "epoch") == self.epoch]
        need = min(self._need(), len(voters))
        if voters and len(known) < need:
            yield self._no(
                "failover.epoch", "epoch_few",
                epoch=self.epoch, primary=self.old, seen=len(known), all=len(self.hosts.voters), need=need,
            )  # fmt: skip
        own = part(self.looks[self.old], "epoch", "epoch")
        if answers(self.looks[self.old]) and own != self.epoch:
            yield self._no("failover.epoch", "epoch_lower", item=self.old, seen=own, epoch=self.epoch, primary=self.old)

    def _need(self) -> int:
        """How many voters must have a new epoch: so many that no quorum is left without, and a majority."""
        count = len(self.hosts.voters)
        quorum = self.request.quorum or majority(count)
        return max(raise_needed(count, quorum), majority(count)) if count else 0

    def _served(self) -> Iterator[Check]:
        """The target is the primary already; say so when it does not do its work."""
        fence = part(self.looks[self.target], "fence") or {}
        if fence.get("state") != "granted" or fence.get("granted_epoch") != self.epoch:
            yield self._hint(
                "failover.grant", "not_granted", item=self.target,
                state=fence.get("state", "unknown"), seen=fence.get("granted_epoch"), epoch=self.epoch,
            )  # fmt: skip
        yield from self._elsewhere(self.target)

    def _confirmed(self) -> Iterator[Check]:
        if not self.request.dry and self.request.confirm != self.target:
            yield self._no("failover.confirmed", "not_confirmed", seen=self.request.confirm)

    def _reachable(self) -> Iterator[Check]:
        emergency = self.request.mode == "emergency"
        for name in self.hosts.all:
            look = self.looks[name]
            if answers(look) or name in self.request.without:
                continue
            if name not in self.hosts.application and name not in self.hosts.proxies:
                make = self._hint  # whether witnesses suffice is a question of their number
            else:
                make = self._hint if emergency and name == self.old else self._no
            error = one_line(look["unreachable"], 200)
            yield make("failover.reachable", "unreachable", item=name, role=self.hosts.role(name), error=error)

    def _locks(self) -> Iterator[Check]:
        for name, look in self.looks.items():
            held = part(look, "lock")
            if not held or held.get("run_id") in (self.request.run_id, *self.request.ended):
                continue
            expires = seconds_of(held.get("expires"))
            if expires is not None and expires <= self.request.now:
                continue
            words = {key: str(held.get(key)) for key in ("run_id", "controller", "since", "expires")}
            yield self._no("failover.run", "locked", item=name, **words)

    def _quorum(self) -> Iterator[Check]:
        count, need = len(self.hosts.voters), self._need()
        alive = sum(answers(self.looks[name]) for name in self.hosts.voters)
        if alive < need:
            yield self._no("failover.quorum", "no_quorum", seen=alive, all=count, need=need)
        gone = not answers(self.looks[self.old])
        if not count and gone and not self._certain():
            yield self._no("failover.quorum", "no_witness", primary=self.old)

    def _certain(self) -> bool:
        """Whether somebody vouches for the old primary's end."""
        return self.request.primary_dead == self.old or bool(self.request.stonith)

    def _grants(self) -> Iterator[Check]:
        look = self.looks[self.old]
        fence = part(look, "fence")
        if answers(look) and fence is None:
            yield self._unseen("failover.grant", self.old, "fence")
        elif answers(look) and (fence.get("state") != "granted" or fence.get("granted_epoch") != self.epoch):
            # In an emergency a primary that lost its grant is what is to be replaced.
            make = self._hint if self.request.mode == "emergency" else self._no
            yield make(
                "failover.grant", "not_granted", item=self.old,
                state=fence.get("state"), seen=fence.get("granted_epoch"), epoch=self.epoch,
            )  # fmt: skip
        other = part(self.looks[self.target], "fence")
        if answers(self.looks[self.target]) and other is None:
            yield self._unseen("failover.grant", self.target, "fence")
        elif part(other, "granted_epoch") is not None or part(other, "running"):
            seen = part(other, "granted_epoch")
            yield self._no("failover.grant", "granted_too", item=self.target, seen=seen, primary=self.old)

    def _unseen(self, check_id: str, name: str, what: str) -> Check:
        error = str((part(self.looks[name], "errors") or {}).get(what, "nothing was said"))
        return self._no(check_id, "not_looked", item=name, part=what, error=error)

    def _guards(self) -> Iterator[Check]:
        for name in (self.old, self.target):
            units = part(self.looks[name], "fence", "unguarded")
            if units:
                yield self._no("failover.guard", "unguarded", item=name, units=", ".join(units))

    def _flap(self) -> Iterator[Check]:
        records = [part(look, "epoch") for look in self.looks.values()]
        since = [seconds_of(one.get("since")) for one in records if one and one.get("epoch") == self.epoch]
        ago = self.request.now - max([one for one in since if one is not None], default=0.0)
        # The first epoch was no switch.
        if self.epoch > 1 and ago < self.request.antiflap and not self.request.acknowledge_flap:
            yield self._no("failover.antiflap", "flap", primary=self.old, ago=ago, limit=self.request.antiflap)

    def _incidents(self) -> Iterator[Check]:
        """What can wait does not get in the way of people who are busy; an emergency cannot."""
        for one in urgent(self.request.incidents):
            if self.request.mode != "emergency" and one.subject != self.request.incident:
                yield self._no(
                    "failover.incident", "incident_open", item=one.subject, priority=one.priority, state=one.state
                )

    def _room(self) -> Iterator[Check]:
        held = part(self.looks[self.old], "database", "bytes") or self._held_bytes()
        free, need = part(self.looks[self.target], "free_bytes"), int(held * ROOM)
        if not answers(self.looks[self.target]):
            return
        if free is None:
            yield self._unseen("failover.space", self.target, "free_bytes")
        elif free < need:
            yield self._no("failover.space", "too_small", item=self.target, seen=size(free), expected=size(need))

    def _proxies(self) -> Iterator[Check]:
        for name in self.hosts.proxies:
            look = self.looks[name]
            if not answers(look):
                continue
            proxy = part(look, "proxy")
            if proxy is None:
                yield self._unseen("failover.proxy", name, "proxy")
            elif proxy.get("config_ok") is False:
                error = one_line(proxy.get("config_error") or "", 200)
                yield self._no("failover.proxy", "proxy_broken", item=name, error=error)
        yield from self._elsewhere(self.old)

    def _elsewhere(self, primary: str) -> Iterator[Check]:
        """Proxies that do not send users to the primary: worth telling, and put right by the switch."""
        expected = self.hosts.addresses.get(primary, primary).partition(":")[0]
        for name in self.hosts.proxies:
            proxy = part(self.looks[name], "proxy")
            seen, mode = part(proxy, "upstream"), part(proxy, "mode")
            if proxy and (mode != "serving" or str(seen).partition(":")[0] != expected):
                yield self._hint(
                    "failover.proxy", "proxy_elsewhere", item=name, seen=seen, mode=mode, expected=expected
                )

    def _replica(self) -> Iterator[Check]:
        look = self.looks[self.target]
        if not answers(look) or not self.request.replicated:
            return
        replica = part(look, "replica")
        if not replica:
            yield self._no("failover.replica", "no_replica", item=self.target, epoch=self.epoch)
        elif replica.get("epoch") != self.epoch:
            yield self._no(
                "failover.replica", "replica_old", item=self.target, seen=replica.get("epoch"), epoch=self.epoch
            )
        elif not replica.get("chain_unbroken"):
            yield self._no("failover.replica", "replica_gap", item=self.target)

    def _snapshots(self) -> Iterator[Check]:
        """Without a replica of every change even a planned switch loses what came after the newest snapshot."""
        if not self.request.replicated and self.request.accept_data_loss != ACCEPT_LOSS:
            yield self._no("failover.loss", "loss_of_snapshot")

    def _clocks(self) -> Iterator[Check]:
        for name in self.hosts.all:
            clock = part(self.looks[name], "clock")
            if clock is not None and abs(clock - self.request.now) > CLOCK_SECONDS:
                yield self._hint("failover.clock", "clock_off", item=name, seconds=clock - self.request.now)

    # Where the primary can be asked

    def _database(self) -> Iterator[Check]:
        look = self.looks[self.old]
        database = part(look, "database")
        if database is None:
            yield self._unseen("failover.database", self.old, "database")
        elif not database.get("exists"):
            yield self._no("failover.database", "no_database", item=self.old, path=database.get("path"))
        elif database.get("quick") not in (None, "ok") and not self.request.timestamp:
            error = one_line(database.get("quick"), 200)
            yield self._no("failover.database", "corrupt", item=self.old, error=error)

    def _same(self) -> Iterator[Check]:
        ours, theirs = self.looks[self.old], self.looks[self.target]
        if not answers(theirs):
            return
        pairs = (("version", "version_differs"), ("secret_sha256", "secret_differs"))
        for key, sentence in pairs:
            check_id = "failover.secret" if key == "secret_sha256" else "failover.version"
            here, there = part(ours, "application", key), part(theirs, "application", key)
            if here is None and there is None:
                # An application that says neither is told apart by nobody; one of two that says it is another one.
                continue
            if here != there:
                told = {} if key == "secret_sha256" else {"seen": there, "expected": here}
                yield self._no(check_id, sentence, item=self.target, primary=self.old, **told)
        if part(theirs, "database", "exists"):
            keys = ("schema_hash", "user_version")
            here, there = ([part(one, "database", key) for key in keys] for one in (ours, theirs))
            if None not in (here[0], there[0]) and here != there:
                words = [f"{str(one[0])[:12]} (user_version {one[1]})" for one in (there, here)]
                yield self._no(
                    "failover.schema", "schema_differs",
                    item=self.target, primary=self.old, seen=words[0], expected=words[1],
                )  # fmt: skip

    def _lag(self) -> Iterator[Check]:
        replication = part(self.looks[self.old], "replication")
        broken = self.condition in ("app_down", "frozen", "disk_full", "corrupt")
        if not self.request.replicated or broken:
            return  # the last changes are sent once it is stopped
        lag = part(replication, "lag")
        if not part(replication, "running"):
            yield self._no("failover.lag", "no_sender", item=self.old)
        elif lag is None:
            yield self._no("failover.lag", "lag_unknown", item=self.old)
        elif (lag.get("seconds") or 0.0) > self.request.max_lag:
            yield self._no(
                "failover.lag", "stale", item=self.old, seconds=float(lag["seconds"]), limit=self.request.max_lag
            )

    def _backup(self) -> Iterator[Check]:
        backup = part(self.looks[self.old], "backup")
        if backup is None:
            yield self._hint("failover.backup", "no_backup", item=self.old)
        elif backup.get("ok") is False:
            make = self._hint if self.request.mode == "emergency" else self._no
            yield make("failover.backup", "backup_bad", item=self.old, at=str(backup.get("newest_at")))

    # Where it cannot

    def _dead(self) -> Iterator[Check]:
        if self.seen_by and self.request.primary_dead != self.old:
            yield self._no("failover.alive", "sees", item=self.old, seen=", ".join(self.seen_by))

    def _loss_seconds(self) -> float:
        newest = seconds_of(part(self.looks.get(self.target), "replica", "newest_at"))
        return max(0.0, round(self.request.fault - newest, 3)) if newest is not None else 0.0

    def _loss(self) -> Iterator[Check]:
        seconds = self._loss_seconds()
        if seconds > self.request.max_rpo and self.request.accept_data_loss != ACCEPT_LOSS:
            yield self._no("failover.loss", "loss_too_big", seconds=seconds, limit=self.request.max_rpo)

    def _classified(self) -> Iterator[Check]:
        status = Status.OK if self.condition == "healthy" else Status.WARNING
        seen = ", ".join(self.seen_by)
        sentence = f"failover.class.{self.condition}"
        yield self.say.find("failover.state", status, sentence, item=self.old, seen=seen, target=self.target)
