# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fencing is told about a host, and the arithmetic of its times and votes."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name

PATH = "/etc/tutor-ops/fencing.json"
STATE_DIR = "/var/lib/tutor-ops"
RUN_DIR = "/run/tutor-ops"
POLICIES = ("quorum", "manual", "standalone")
# From SIGKILL until the last process is gone and systemd has said so.
KILL_SECONDS = 1.0


def lease_bound(ttl: float, loop: float, probe_timeout: float, stop_timeout: float) -> float:
    """Return the seconds after which a host that hears no quorum of witnesses has surely stopped serving.

    The last renewal counts from the moment it was asked for (ttl); its end is noticed after at most a pause and a round
    of questions (asked side by side: one timeout, however many witnesses); then the units are stopped, and killed.
    """
    return ttl + loop + probe_timeout + stop_timeout + KILL_SECONDS


def majority(count: int) -> int:
    """Return how many of so many are more than half."""
    return count // 2 + 1


def raise_needed(count: int, quorum: int) -> int:
    """Return how many witnesses must have the new epoch before nobody else can renew: any quorum then holds one of them."""
    return count - quorum + 1


@dataclass(frozen=True)
class Witness:
    """One host that is asked for the epoch; by address, since a resolver that hangs must not hold up the lease."""

    name: str
    address: str
    port: int

    @classmethod
    def read(cls, entry: Any) -> Witness:
        """Read one entry; raise OpsError that says what is wrong with it."""
        try:
            address = str(ipaddress.ip_address(entry["address"]))
            found = cls(str(entry["name"]), address, int(entry["port"]))
        except (KeyError, TypeError, ValueError) as exc:
            raise OpsError(
                f"witness {entry!r}: expected name, address (an IP address, no name) and port; {exc}"
            ) from exc
        if not 0 < found.port < 65536:
            raise OpsError(f"witness {found.name}: port is {found.port}: expected 1 to 65535")
        return found


@dataclass(frozen=True)
class Config:
    """One host's fencing. Times in seconds; ``quorum`` 0 is the majority of the witnesses."""

    host: str
    units: Sequence[str] = ()
    database: str = ""
    policy: str = "standalone"
    witnesses: Sequence[Witness] = field(default=())
    quorum: int = 0
    ttl: float = 8.0
    loop: float = 1.0
    probe_timeout: float = 1.0
    stop_timeout: float = 2.0
    boot_wait: float = 60.0
    state_dir: Path = Path(STATE_DIR)
    run_dir: Path = Path(RUN_DIR)

    def __post_init__(self) -> None:
        if not self.host:
            raise OpsError("host is empty: expected the name of this host in the inventory")
        if self.policy not in POLICIES:
            raise OpsError(f"policy is {self.policy!r}: expected one of {', '.join(POLICIES)}")
        if self.policy != "standalone" and not self.witnesses:
            raise OpsError(f"policy {self.policy} needs witnesses: expected at least one, or policy standalone")
        if not 0 <= self.quorum <= len(self.witnesses):
            raise OpsError(
                f"quorum is {self.quorum}: expected 0 (majority) to {len(self.witnesses)}, the witnesses there are"
            )
        for name in ("ttl", "loop", "probe_timeout", "stop_timeout"):
            if not 0 < getattr(self, name) <= 86400:
                raise OpsError(f"{name} is {getattr(self, name)}: expected seconds above 0, at most a day")
        if self.ttl < 2 * (self.loop + self.probe_timeout):
            raise OpsError(
                f"ttl is {self.ttl:g} s: expected at least {2 * (self.loop + self.probe_timeout):g} s, two rounds of loop and "
                "probe_timeout, or one lost packet would end the service"
            )
        for name in ("state_dir", "run_dir"):
            if not getattr(self, name).is_absolute():
                raise OpsError(f"{name} is {str(getattr(self, name))!r}: expected an absolute path")
        if self.database and not Path(self.database).is_absolute():
            raise OpsError(f"database is {self.database!r}: expected an absolute path")

    @property
    def needed(self) -> int:
        """How many witnesses must agree for a renewal."""
        return self.quorum or majority(len(self.witnesses))

    @property
    def bound(self) -> float:
        """The host's LEASE_BOUND in seconds."""
        return lease_bound(self.ttl, self.loop, self.probe_timeout, self.stop_timeout)

    @classmethod
    def from_dict(cls, data: Any) -> Config:
        """Read a configuration; raise OpsError for what is unknown or wrong."""
        names = {one.name for one in fields(cls)}
        if not isinstance(data, Mapping) or set(data) - names or "host" not in data:
            unknown = ", ".join(sorted(set(data) - names)) if isinstance(data, Mapping) else repr(data)
            raise OpsError(
                f"expected an object with host and of {', '.join(sorted(names))}; not known: {unknown or 'none'}"
            )
        told = dict(data)
        for name in ("state_dir", "run_dir"):
            if name in told:
                told[name] = Path(str(told[name]))
        told["units"] = tuple(unit_name(str(name)) for name in told.get("units") or ())
        told["witnesses"] = tuple(Witness.read(entry) for entry in told.get("witnesses") or ())
        try:
            for name in ("ttl", "loop", "probe_timeout", "stop_timeout", "boot_wait"):
                if name in told:
                    told[name] = float(told[name])
            told["quorum"] = int(told.get("quorum") or 0)
        except (TypeError, ValueError) as exc:
            raise OpsError(f"times are seconds and quorum a number: {exc}") from exc
        return cls(**told)

    @classmethod
    def read(cls, path: str = PATH) -> Config:
        """Read the configuration of this host; raise OpsError when there is none or it is wrong."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, OpsError) as exc:
            raise OpsError(f"{path}: {exc}. The role fencing writes it") from exc
