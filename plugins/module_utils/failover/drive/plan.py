# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a run, and what each host is told in each: made once, before the first, and kept with the journal.

Planned: the old primary is ended and can write no more before the last change is read off it, and the standby is compared
with it by content. Emergency: the old primary cannot be asked; the witnesses' epoch ends it, and the run waits as long as
that can take. The epoch is the point of no return of both: before it the old primary can be had back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import Config, majority, raise_needed
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.journal import Entry, last
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.judge import Hosts, Judgement, Request

LOOK = "bilingual_tutor.ops.failover_look"
# What the steps call, but for the look; the largest apart from each other, for the hosts' processes that share them.
HEALTH = "ansible.builtin.uri"
MODULES = ("ops_lock", "ops_traffic", "ops_promote", "ops_quiesce", "ops_fence", "ops_epoch", HEALTH)
POINT_OF_NO_RETURN = "epoch"
REPROTECT = "reprotect"
# Beyond LEASE_BOUND, for clocks that run at different speeds and a scheduler that is late.
MARGIN_SECONDS = 3.0
UNDO, UNLOCK = "undo", "unlock"
TURN_FENCE, TURN_EPOCH, TURN_GRANT = "turn_fence", "turn_epoch", "turn_grant"
# The locks are taken first: a run that has not got them has touched nothing, and takes nothing back.
LOCK = "lock"
# How long taking back is tried on a host that does not answer at once.
UNDO_SECONDS = 30.0
# What an application that answers nobody gets to stop by itself: users wait for it.
HASTE_SECONDS = 0.2


@dataclass(frozen=True)
class Settings:
    """What the inventory says about the application, for the modules' options. Times in seconds."""

    controller: str
    database: str
    service: str
    replication_unit: str = "tutor-ops-replication.service"
    health_url: str = ""
    source: str = "replica"
    level: str = "full"
    lock_seconds: int = 1800
    health_seconds: float = 30.0
    protect_seconds: float = 60.0
    promote: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One module on one host. ``wait`` repeats it for so many seconds until its result is ``good``."""

    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    wait: float = 0.0


@dataclass(frozen=True)
class Step:
    """Done when every host in ``required`` has ended well, and ``need`` of all.

    What is ``soft`` does not keep the next from beginning: the run ends as degraded. A host has no part in it when its own
    part of the step ``after`` did not end well.
    """

    name: str
    calls: Mapping[str, Call]
    required: Sequence[str] = ()
    need: int = 0
    soft: bool = False
    after: str = ""


@dataclass(frozen=True)
class Plan:
    """A run that was allowed."""

    run_id: str
    mode: str
    way: str
    old: str
    target: str
    epoch: int
    steps: Sequence[Step]
    undo: Step
    unlock: Step
    turn: Sequence[Step] = ()
    expected: Mapping[str, float] = field(default_factory=dict)
    condition: str = "healthy"
    fault_at: float = 0.0

    @property
    def new_epoch(self) -> int:
        return self.epoch + 1

    def step(self, name: str) -> Step | None:
        """Return a step by its name."""
        return next((one for one in (*self.steps, *self.turn, self.undo, self.unlock) if one.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Read it back."""
        steps = [_step(one) for one in data["steps"]]
        turn = [_step(one) for one in data["turn"]]
        made = ("steps", "turn", "undo", "unlock")
        rest = {name: data[name] for name in cls.__dataclass_fields__ if name not in made}
        return cls(steps=steps, turn=turn, undo=_step(data["undo"]), unlock=_step(data["unlock"]), **rest)


def _step(data: Mapping[str, Any]) -> Step:
    return Step(**{**data, "calls": {host: Call(**call) for host, call in data["calls"].items()}})


def full_name(module: str) -> str:
    """Return the name of a module as Ansible finds it; those of this collection are called by the last part alone."""
    return module if "." in module else f"bilingual_tutor.ops.{module}"


def make_plan(hosts: Hosts, request: Request, judged: Judgement, alive: Sequence[str], settings: Settings) -> Plan:
    """Return the plan of an allowed run; ``alive`` are the hosts that could be looked at."""
    return _Maker(hosts, request, judged, alive, settings).plan()


class _Maker:
    def __init__(
        self, hosts: Hosts, request: Request, judged: Judgement, alive: Sequence[str], settings: Settings
    ) -> None:
        self.hosts, self.request, self.judged, self.settings = hosts, request, judged, settings
        self.alive = list(alive)
        self.old, self.new, self.run_id = judged.old, judged.target, request.run_id
        self.voters = [name for name in hosts.voters if name in self.alive]
        self.proxies = [name for name in hosts.proxies if name in self.alive]
        self.why = {"run_id": self.run_id, "reason": f"{request.mode} to {self.new}"}

    def plan(self) -> Plan:
        steps = self._planned() if self.judged.way == "planned" else self._emergency()
        return Plan(
            run_id=self.run_id,
            mode=self.request.mode,
            way=self.judged.way,
            old=self.old,
            target=self.new,
            epoch=self.judged.epoch,
            steps=steps,
            undo=self._undo(),
            turn=self._turn() if self.judged.way == "planned" and self._sync() else [],
            unlock=self._each(
                "unlock", self._locked(), "ops_lock", {"state": "free", "run_id": self.run_id}, soft=True
            ),
            expected=dict(self.judged.expected),
            condition=self.judged.condition,
            fault_at=self.request.fault,
        )

    def _planned(self) -> list[Step]:
        return [
            self._lock(),
            self._one("quiesce", self.old, "ops_quiesce", self._end()),
            self._one("promote", self.new, "ops_promote", self._promotion()),
            self._epoch(),
            *self._serve(),
            self._reprotect(),
            self._protected(),
        ]

    def _emergency(self) -> list[Step]:
        steps = [self._lock()]
        if self.settings.source == "replica":
            options = {**self._promotion(), "state": "trial", "epoch": self.judged.epoch}
            steps.append(self._one("trial", self.new, "ops_promote", options))
        steps.append(self._each("hold", self.proxies, "ops_traffic", {"state": "maintenance"}))
        if self.request.stonith:
            argv = {"argv": list(self.request.stonith)}
            steps.append(Step("stonith", {self.new: Call("stonith", argv)}, required=[self.new], soft=True))
        steps.append(self._epoch())
        # Who says that it is off is believed, but not while others reach it.
        if self.request.primary_dead != self.old or self.judged.condition == "partitioned":
            seconds = (self.judged.bound or Config("unknown").bound) + MARGIN_SECONDS
            steps.append(self._one("wait", self.new, "wait", {"seconds": seconds}))
        steps.append(self._one("promote", self.new, "ops_promote", self._promotion()))
        return [*steps, *self._serve(), self._reprotect()]

    # The steps

    def _lock(self) -> Step:
        options: dict[str, Any] = {
            "state": "held",
            "controller": self.settings.controller,
            "expires_s": self.settings.lock_seconds,
        }
        if self.request.ended:
            options["supersedes"] = list(self.request.ended)
        return self._each("lock", self._locked(), "ops_lock", {**options, **self.why})

    def _locked(self) -> list[str]:
        """Return the hosts of the application: no run begins without one. Where one is missing, all that answer."""
        whole = set(self.hosts.application) <= set(self.alive)
        return [name for name in (self.hosts.application if whole else self.hosts.all) if name in self.alive]

    def _sync(self) -> bool:
        return self.judged.sync and self.settings.source == "replica"

    def _end(self) -> dict[str, Any]:
        options: dict[str, Any] = {"epoch": self.judged.epoch, "sync": self._sync(), **self.why}
        if self.request.mode == "emergency" and self.judged.condition == "frozen":
            options["stop_timeout"] = HASTE_SECONDS
        return options

    def _promotion(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "state": "placed",
            "run_id": self.run_id,
            "path": self.settings.database,
            "epoch_from": self.judged.epoch,
            "epoch": self.judged.epoch + 1,
            "source": self.settings.source,
            "level": self.settings.level,
            **self.settings.promote,
        }
        if self.request.timestamp:
            options["timestamp"] = self.request.timestamp
        elif self.judged.way == "planned" and self._sync():
            options.update(digest={"from": ["quiesce", "digest"]}, txid={"from": ["quiesce", "txid"]})
        return options

    def _epoch(self) -> Step:
        """The witnesses, and the record that the new primary needs to be granted."""
        return self._raised(POINT_OF_NO_RETURN, self.new, self.judged.epoch + 1)

    def _raised(self, step: str, primary: str, epoch: int) -> Step:
        count, quorum = len(self.hosts.voters), self.request.quorum or majority(len(self.hosts.voters))
        need = max(raise_needed(count, quorum), majority(count)) if count else 0
        call = self._raise(primary, epoch)
        names = list(dict.fromkeys([*self.voters, primary]))
        extra = 0 if primary in self.voters else 1
        return Step(step, dict.fromkeys(names, call), required=(primary,), need=need + extra)

    def _raise(self, primary: str, epoch: int) -> Call:
        return Call("ops_epoch", {"state": "raise", "epoch": epoch, "primary": primary, **self.why})

    def _turn(self) -> list[Step]:
        """The way back from beyond the epoch: the new primary cannot serve, and has taken no write.

        It is ended as the old one was, and holds what that one held; then the old one serves in an epoch of its own. Its
        replication begins anew with playbook standby.
        """
        epoch = self.judged.epoch + 2
        granted = {"state": "granted", "epoch": epoch, "run_id": self.run_id, "start": [self.settings.service]}
        ended = {"epoch": self.judged.epoch + 1, "sync": False, **self.why}
        return [
            self._one(TURN_FENCE, self.new, "ops_quiesce", ended),
            self._raised(TURN_EPOCH, self.old, epoch),
            Step(TURN_GRANT, {self.old: Call("ops_fence", granted, UNDO_SECONDS)}, required=(self.old,)),
        ]

    def _serve(self) -> list[Step]:
        granted = {"state": "granted", "epoch": self.judged.epoch + 1, "run_id": self.run_id}
        steps = [self._one("grant", self.new, "ops_fence", {**granted, "start": [self.settings.service]})]
        hurry = self.request.mode == "emergency"
        if self.settings.health_url and not (hurry and self.proxies):
            # Before the users are there: as long as nobody has written, the old primary can be had back. In an emergency
            # nobody is served meanwhile, and a new primary that is not well is better than none: it is asked through the
            # proxies, once they lead to it.
            steps.append(Step("probe", {self.new: self._health()}, required=[self.new], soft=hurry))
        serving = Call("ops_traffic", {"state": "serving", "upstream": self._address(self.new)})
        if self.proxies:
            # One proxy that cannot be switched keeps the maintenance page; the others serve.
            steps.append(Step("switch", dict.fromkeys(self.proxies, serving), need=1))
        else:
            # Users find the host that serves by themselves; the other one shows them the page.
            calls = {self.new: serving, self.old: Call("ops_traffic", {"state": "maintenance"})}
            calls = {name: call for name, call in calls.items() if name in self.alive}
            steps.append(Step("switch", calls, required=list(calls), soft=True))
        return steps

    def _reprotect(self) -> Step:
        granted = {"state": "granted", "epoch": self.judged.epoch + 1, "run_id": self.run_id}
        calls = {}
        if self.settings.source == "replica":
            calls[self.new] = Call("ops_fence", {**granted, "start": [self.settings.replication_unit]})
        if self.old in self.alive:
            calls[self.old] = self._raise(self.new, self.judged.epoch + 1)
        required = list(calls)
        if self.settings.health_url:
            # The users' way, through each proxy.
            calls.update({name: self._health() for name in self.proxies})
        return Step(REPROTECT, calls, required=required, soft=True)

    def _health(self) -> Call:
        look = {"url": self.settings.health_url, "return_content": False, "timeout": 5}
        return Call(HEALTH, look, self.settings.health_seconds)

    def _protected(self) -> Step:
        if self.settings.source != "replica":
            return Step("protected", {}, soft=True)
        options = {"host": self.old, "database": self.settings.database, "service": self.settings.service}
        call = Call("failover_look", options, self.settings.protect_seconds)
        # Not for a host that did not answer a moment ago: the operator would wait a minute for what is known.
        return Step("protected", {self.old: call}, required=[self.old], soft=True, after=REPROTECT)

    def _undo(self) -> Step:
        """Everything that may have been begun before the point of no return, taken back side by side.

        The old primary may serve again at once: the new one has no grant.
        """
        calls = {}
        if self.judged.way == "planned":
            units = [self.settings.service]
            if self.settings.source == "replica":
                units.append(self.settings.replication_unit)
            again = {"state": "granted", "epoch": self.judged.epoch, "run_id": self.run_id, "start": units}
            calls[self.old] = Call("ops_fence", again, UNDO_SECONDS)
            back = {"state": "undone", "run_id": self.run_id, "path": self.settings.database, **self.settings.promote}
            calls[self.new] = Call("ops_promote", back)
        else:
            upstream = {"state": "serving", "upstream": self._address(self.old)}
            calls.update({name: Call("ops_traffic", upstream) for name in self.proxies})
        required = [self.old] if self.judged.way == "planned" else self.proxies
        return Step(UNDO, calls, required=required)

    # How they are written

    def _address(self, name: str) -> str:
        return self.hosts.addresses.get(name, name)

    def _one(self, name: str, host: str, module: str, options: Mapping[str, Any]) -> Step:
        return Step(name, {host: Call(module, options)}, required=(host,))

    @staticmethod
    def _each(name: str, names: Sequence[str], module: str, options: Mapping[str, Any], soft: bool = False) -> Step:
        return Step(name, {host: Call(module, options) for host in names}, required=tuple(names), soft=soft)


def filled(options: Mapping[str, Any], entries: Sequence[Entry]) -> dict[str, Any]:
    """Return options with what an earlier step found in the place of ``{"from": [step, key]}``."""
    found = {}
    for name, value in options.items():
        if isinstance(value, Mapping) and set(value) == {"from"}:
            step, key = value["from"]
            entry = last(entries, step, "ok")
            value = entry.data.get(key) if entry else None
        found[name] = value
    return found
