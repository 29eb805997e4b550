# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count logins out of the messages of sshd, sudo, su and login, in bounded memory however long an attack lasted.

Whoever guesses passwords chooses the user names, so that nothing here trusts them: patterns are anchored at the end of
the line, tables have a size, and only names of accounts that exist are ever shown (a password typed as a name is one of
the oldest accidents).
"""

from __future__ import annotations

import ipaddress
import pwd
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security.journal import Entry

SSH = frozenset(("sshd", "sshd-session"))
IDENTIFIERS = (*sorted(SSH), "sudo", "su", "login")
DAY, HOUR = 86400.0, 3600.0
# A success after this many failures from one address within an hour may be a guessed password.
BREAK_IN_FAILURES = 5
NETWORKS, NETWORK_USERS, ADDRESSES, CONNECTIONS, KEPT = 5000, 100, 20000, 4096, 100
# What is handed to the next run: addresses that failed within the last hour.
RECENT = 50
OTHERS = "others"

_AT = r"(?P<user>.*) from (?P<addr>\S+) port \d+"
_FAILED = re.compile(rf"^Failed (?:password|keyboard-interactive\S*) for (?:invalid user )?{_AT}(?: ssh2)?$")
_INVALID = re.compile(rf"^Invalid user {_AT}$")
_LEFT = re.compile(
    r"^(?:Connection (?:closed|reset) by|Disconnected from|Disconnecting) (?:invalid|authenticating) user "
    r"(?P<user>.*) (?P<addr>\S+) port \d+(?:: [^\[]*)?(?: \[preauth\])?$"
)
_REFUSED = re.compile(r"^User (?P<user>.*) from (?P<addr>\S+) not allowed because (?P<why>.*)$")
_TOO_MANY = re.compile(rf"^error: maximum authentication attempts exceeded for (?:invalid user )?{_AT} ssh2")
_ACCEPTED = re.compile(rf"^Accepted (?P<method>\S+) for {_AT} ssh2(?:: .*)?$")
_LOCKED = re.compile(
    r"^pam_faillock\(\S+\): Consecutive login failures for user (?P<user>\S+) account temporarily locked"
)
_LOCAL = {
    "sudo": re.compile(
        r"^\s*(?P<user>\S+) : (?:\d+ incorrect password attempts?|user NOT in sudoers|command not allowed)"
    ),
    "su": re.compile(r"^FAILED SU \(to \S+\) (?P<user>\S+) on "),
    "login": re.compile(r"^FAILED LOGIN .* FOR '?(?P<user>[^',]*)"),
}


def network(address: str) -> str:
    """Return the network an address is counted with: /24 of IPv4, /64 of IPv6; the text itself when it is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    mapped = getattr(found, "ipv4_mapped", None) or found
    return str(ipaddress.ip_network((mapped, 24 if mapped.version == 4 else 64), strict=False))


def known(user: str) -> str:
    """Return a user name that may be shown, empty for one without an account."""
    try:
        return pwd.getpwnam(user).pw_name
    except (KeyError, ValueError):  # ValueError: a null byte
        return ""


@dataclass
class Network:
    """Failures from one network."""

    failures: int = 0
    users: set[str] = field(default_factory=set)


@dataclass
class Tally:
    """What was counted. ``now`` is when the run began: days are counted back from it."""

    now: float
    days: Counter[int] = field(default_factory=Counter)
    networks: dict[str, Network] = field(default_factory=dict)
    users: Counter[str] = field(default_factory=Counter)
    local: Counter[str] = field(default_factory=Counter)
    local_failures: int = 0
    break_ins: list[str] = field(default_factory=list)
    break_in_count: int = 0
    root: Counter[tuple[str, str]] = field(default_factory=Counter)
    locked: int = 0
    locked_users: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    recent: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    connections: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def take(self, entry: Entry) -> None:
        """Count one message."""
        locked = _LOCKED.match(entry.message)
        if locked:
            self._lock(locked["user"])
        elif entry.identifier in SSH:
            # Any local user may write to the journal under that name; only root is sshd.
            if entry.uid in ("0", ""):
                self._ssh(entry)
        elif entry.identifier in _LOCAL:
            match = _LOCAL[entry.identifier].match(entry.message)
            if match:
                self.local_failures += 1
                self.local[known(match["user"])] += 1

    def _ssh(self, entry: Entry) -> None:
        accepted = _ACCEPTED.match(entry.message)
        if accepted:
            self._accept(entry, accepted)
            return
        failed = _FAILED.match(entry.message)
        if failed:
            # The first wrong password of an unknown user was counted with the message that he is unknown.
            if self.connections.get(entry.pid) != 0:
                self._fail(entry.when, failed)
            self._connection(entry.pid, 1)
            return
        invalid = _INVALID.match(entry.message)
        if invalid:
            self._fail(entry.when, invalid)
            self._connection(entry.pid, 0)
            return
        refused = _REFUSED.match(entry.message)
        if refused:
            self._fail(entry.when, refused)
            self._connection(entry.pid, 0)
            if "locked" in refused["why"]:
                self._lock(refused["user"])
            return
        many = _TOO_MANY.match(entry.message)
        if many:
            self._lock(many["user"])
            return
        left = _LEFT.match(entry.message)
        # With keys only this last word is all that is logged of a failure.
        if left and self.connections.pop(entry.pid, None) is None:
            self._fail(entry.when, left)

    def _connection(self, pid: str, passwords: int) -> None:
        self.connections[pid] = passwords
        self.connections.move_to_end(pid)
        if len(self.connections) > CONNECTIONS:
            self.connections.popitem(last=False)

    def _lock(self, user: str) -> None:
        self.locked += 1
        self.locked_users[known(user)] += 1

    def _fail(self, when: float, match: re.Match[str]) -> None:
        self.days[int(max(0.0, self.now - when) // DAY)] += 1
        name = network(match["addr"])
        if name not in self.networks and len(self.networks) >= NETWORKS:
            name = OTHERS
        found = self.networks.setdefault(name, Network())
        found.failures += 1
        if len(found.users) < NETWORK_USERS:
            found.users.add(match["user"][:64])
        self.users[known(match["user"])] += 1
        times = self.recent.setdefault(match["addr"][:64], deque(maxlen=BREAK_IN_FAILURES))
        times.append(when)
        self.recent.move_to_end(match["addr"][:64])
        if len(self.recent) > ADDRESSES:
            self.recent.popitem(last=False)

    def _accept(self, entry: Entry, match: re.Match[str]) -> None:
        self.accepted += 1
        self.connections.pop(entry.pid, None)
        address, user, method = match["addr"], match["user"], match["method"]
        times = self.recent.get(address)
        if times and len(times) == BREAK_IN_FAILURES and entry.when - times[0] <= HOUR:
            self.break_in_count += 1
            if len(self.break_ins) < KEPT:
                self.break_ins.append(f"{_clock(entry.when)} {known(user)} from {address} with {method}")
        if user == "root" and (len(self.root) < KEPT or (address, method) in self.root):
            self.root[(address, method)] += 1

    def load(self, recent: Mapping[str, Iterable[float]]) -> None:
        """Take over the failures of the hour before this run."""
        for address, times in recent.items():
            self.recent[address] = deque(times, maxlen=BREAK_IN_FAILURES)

    def dump(self) -> dict[str, list[float]]:
        """Return the failures that the next run must know, those of the last hour."""
        fresh = (
            (address, [when for when in times if self.now - when <= HOUR]) for address, times in self.recent.items()
        )
        kept = [(address, times) for address, times in fresh if times]
        return dict(sorted(kept, key=lambda one: -len(one[1]))[:RECENT])

    @property
    def failures(self) -> int:
        return sum(self.days.values())

    @property
    def worst_day(self) -> int:
        return max(self.days.values(), default=0)

    def sources(self) -> list[tuple[str, Network]]:
        """Return the networks, those with most failures first."""
        return sorted(self.networks.items(), key=lambda one: (-one[1].failures, one[0]))


def names(users: Counter[str]) -> str:
    """Return who it was about, for evidence; those without an account are only counted."""
    told = [f"{user} {count}" for user, count in users.most_common() if user][:8]
    return ", ".join([*told, *([f"no such account {users['']}"] if users[""] else [])])


def _clock(when: float) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def declared(address: str, networks: Iterable[Any]) -> bool:
    """Tell whether an address is in one of the networks."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    return any(mapped in one for one in networks if one.version == mapped.version)
