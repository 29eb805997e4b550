# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fence a host: what serves there is ended, proved to be gone, and cannot come back before the fence is lifted.

The file FENCED comes first and the grant goes last. Whatever ends this in between leaves a host on which nothing guarded
can start, and the grant tells the next run (and the lease, within a second) that the work is not done.

systemctl mask cannot do this: for a unit in /etc/systemd/system it fails, or a start undoes it. ConditionPathExists skips a
start without a word, and ExecStartPre lets Restart= bring the service back when the fence goes. AssertPathExists is loud
and stays dead.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import CommandTimeout, run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable, grant
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import KILL_SECONDS, Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.holders import holders
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import show

NAME = "FENCED"
# Who fenced: the host itself, by its lease or at its boot. Such a fence the lease may lift, no other.
ITSELF = "itself"
ASK_SECONDS = 10.0
START_SECONDS = 30.0
LOCK_SECONDS = 10.0
# Whoever fences waits no longer for another run: one that hangs must not keep a host serving.
FENCE_LOCK_SECONDS = 1.0
PAUSE = 0.02
# Where systemd keeps the processes of a system service (cgroup v2).
GROUPS = Path("/sys/fs/cgroup/system.slice")
UP = ("active", "activating", "reloading", "deactivating")


@dataclass(frozen=True)
class Fenced:
    """What the file FENCED says; ``closed`` are paths that were shut to the application, with the mode they had."""

    epoch: int
    run_id: str = ""
    reason: str = ""
    since: str = ""
    closed: Sequence[tuple[str, int]] = ()
    damaged: str = ""


def read(state_dir: Path) -> Fenced | None:
    """Return the fence, None without one. One that cannot be read fences all the same, and says so in ``damaged``."""
    path = state_dir / NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        closed = tuple((str(name), int(mode)) for name, mode in data.get("closed", ()))
        words = {name: str(data.get(name, "")) for name in ("run_id", "reason", "since")}
        return Fenced(int(data["epoch"]), closed=closed, **words)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        return Fenced(0, damaged=f"{path} cannot be read: {exc}")


def taken_over(fenced: Fenced, run_id: str) -> bool:
    """Tell whether a fence of the host's own becomes that of a run, or of a person: the host may not lift it any more."""
    return fenced.run_id == ITSELF and run_id != ITSELF


@dataclass(frozen=True)
class Unit:
    """One guarded unit as systemd sees it: ``asserts`` are (path, negated) of its AssertPathExists."""

    name: str
    there: bool
    state: str
    asserts: frozenset[tuple[str, bool]] = frozenset()

    @property
    def up(self) -> bool:
        return self.state in UP

    def guarded(self, config: Config) -> bool:
        """Tell whether systemd will refuse to start it under a fence, and without a grant; true of one that is not there."""
        wanted = {(str(config.state_dir / NAME), True), (str(config.run_dir / grant.NAME), False)}
        return not self.there or wanted <= self.asserts


@dataclass(frozen=True)
class Seen:
    """What there is to see of a host's fence at one moment."""

    fenced: Fenced | None
    epoch: int | None
    granted: bool
    units: Sequence[Unit]
    holders: Sequence[int] = ()
    open_paths: Sequence[str] = ()
    config: Config = field(repr=False, default=Config("nobody"))

    @property
    def running(self) -> list[str]:
        return [unit.name for unit in self.units if unit.up]

    @property
    def unguarded(self) -> list[str]:
        return [unit.name for unit in self.units if not unit.guarded(self.config)]

    @property
    def whole(self) -> bool:
        """Tell whether nothing is missing for the host to be fenced."""
        return bool(self.fenced) and not (
            self.granted or self.running or self.unguarded or self.holders or self.open_paths
        )

    @property
    def state(self) -> str:
        """Return fenced, half (FENCED is there, and something serves or could), granted or unfenced."""
        if self.fenced:
            return "fenced" if self.whole else "half"
        return "granted" if self.granted else "unfenced"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data, for results and diffs."""
        return {
            "state": self.state,
            "fenced_epoch": self.fenced.epoch if self.fenced else None,
            "granted_epoch": self.epoch,
            "running": self.running,
            "unguarded": self.unguarded,
            "holders": [proc.named(pid) for pid in self.holders],
            "open_paths": list(self.open_paths),
        }


def observe(config: Config) -> Seen:
    """Look at everything that belongs to the fence."""
    fenced = read(config.state_dir)
    try:
        held = grant.read(config.run_dir)
        epoch, granted = (held.epoch if held else None), held is not None
    except OpsError:
        epoch, granted = None, True
    database = Path(os.path.realpath(config.database)) if config.database else None
    return Seen(
        fenced=fenced,
        epoch=epoch,
        granted=granted,
        units=look(config.units),
        holders=tuple(sorted(set(holders(database)) - {os.getpid()})) if database else (),
        open_paths=tuple(str(path) for path in shuts(database) if stat.S_IMODE(os.stat(path).st_mode))
        if database
        else (),
        config=config,
    )


def look(names: Sequence[str]) -> list[Unit]:
    """Ask systemd for units and what can trigger them."""
    seen = show(names, ["ActiveState", "TriggeredBy"], ASK_SECONDS)
    found = []
    for name, one in seen.items():
        there = one["LoadState"] != "not-found"
        found.append(Unit(name, there, one["ActiveState"], _asserts(name) if there else frozenset()))
    triggers = {name for one in seen.values() for name in one.get("TriggeredBy", "").split()} - set(names)
    for name, one in show(sorted(triggers), ["ActiveState"], ASK_SECONDS).items():
        # A socket or timer that nobody declared is stopped too; what it starts is guarded, which is enough.
        found.append(Unit(name, False, one["ActiveState"]))
    return found


def _asserts(name: str) -> frozenset[tuple[str, bool]]:
    """Return what systemd has loaded, which is not what lies on the disk; systemctl show has no word for it."""
    escaped = "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):02x}" for c in name)
    asked = ["busctl", "--json=short", "get-property", "org.freedesktop.systemd1"]
    asked += [f"/org/freedesktop/systemd1/unit/{escaped}", "org.freedesktop.systemd1.Unit", "Asserts"]
    try:
        entries = json.loads(run(asked, ASK_SECONDS).stdout)["data"]
        return frozenset((str(e[3]), bool(e[2])) for e in entries if e[0] == "AssertPathExists" and not e[1])
    except (OpsError, ValueError, KeyError, IndexError, TypeError):
        return frozenset()  # what cannot be proved is not guarded


def shuts(database: Path) -> list[Path]:
    """Return what to shut so that a server that somebody starts by hand cannot open the database.

    Its directory when that is the owner's own, so that no file can be made in it either; else the file. Root passes both.
    """
    try:
        seen, around = os.stat(database), os.stat(database.parent)
    except OSError:
        return []
    own = around.st_uid == seen.st_uid and around.st_uid != 0 and len(database.parents) > 2
    return [database.parent] if own else [database]


class Fencing:
    """The acts. Each may be repeated, and killed at any moment; ``evidence`` tells what was done and proved.

    ``alive`` is called between the steps, for a watchdog.
    """

    def __init__(self, config: Config, alive: Callable[[], None] = lambda: None) -> None:
        self.config = config
        self.alive = alive
        self.evidence: list[str] = []

    def fence(
        self,
        epoch: int,
        run_id: str,
        reason: str,
        try_start: bool = True,
        still: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Fence the host and prove it; raise OpsError when something could still serve.

        A step that fails does not keep the others from being done: on a full disk FENCED cannot be written, and the
        application has to stop all the same. ``try_start`` is false where a start would wait for the caller. ``still`` is
        asked once nobody else can act: when it says no, nothing is done, and False is returned.
        """
        config = self.config
        trouble: list[str] = []
        with durable.alone(config.state_dir, FENCE_LOCK_SECONDS, insist=True):
            if not still():
                return False
            for step in (
                lambda: self._write_fenced(epoch, run_id, reason),
                self._stop,
                self._shut,
                self._end_holders,
                lambda: self._prove(try_start),
            ):
                try:
                    step()
                except (OpsError, OSError) as exc:
                    trouble.append(str(exc))
                    if not read(config.state_dir):
                        grant.remove(config.run_dir)  # the other half of the guard, and it needs no room
                self.alive()
            if not trouble:
                grant.remove(config.run_dir)  # the last: until then the work is not done
        if trouble:
            raise OpsError("; ".join(trouble))
        return True

    def cut(self) -> None:
        """SIGKILL the processes of the guarded units without asking systemd; not the fence, which has to follow.

        For a host that is late: whoever thawed together with this program answers in the time that systemctl takes. Where
        the control groups lie elsewhere nothing happens here, and the fence does it.
        """
        for name in self.config.units:
            try:
                found = [int(pid) for pid in (GROUPS / name / "cgroup.procs").read_text(encoding="ascii").split()]
            except (OSError, ValueError):
                continue
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if found:
                self.evidence.append(f"killed {name} at once ({len(found)} processes)")

    def unfence(self, epoch: int) -> None:
        """Lift the fence; raise OpsError when the host was fenced for a higher epoch. Grants and starts nothing."""
        with durable.alone(self.config.state_dir, LOCK_SECONDS):
            self.check_unfence(epoch)
            self._unfence()

    def grant(self, epoch: int, run_id: str, start: Sequence[str] = (), guarded: bool = True) -> None:
        """Lift the fence, give the grant and start units; raise OpsError when this host may not serve in that epoch.

        ``guarded`` is false where the guards are about to be installed, after the grant, so that nothing goes down.
        """
        with durable.alone(self.config.state_dir, LOCK_SECONDS):
            self._grant(epoch, run_id, guarded)
        for name in start:
            self._start(name)

    def serve_again(self, epoch: int, at: float, still: Callable[[], bool]) -> bool:
        """Lift a fence of this host's own, and let its units start without waiting for them: the lease has to go on.

        The grant counts from ``at``, when the witnesses were asked. ``still`` as of :meth:`fence`.
        """
        with durable.alone(self.config.state_dir, FENCE_LOCK_SECONDS):
            if not still():
                return False
            self._grant(epoch, ITSELF, guarded=True, at=at)
        for unit in look(self.config.units):
            if unit.there:
                self._start(unit.name, "--no-block")
        return True

    def _grant(self, epoch: int, run_id: str, guarded: bool, at: float | None = None) -> None:
        config = self.config
        self.check_grant(epoch, guarded)
        held = _grant_or_none(config)
        if held is None or held.epoch != epoch:
            grant.write(config.run_dir, epoch, run_id, at)
            self.evidence.append(f"granted epoch {epoch}")
        # The fence goes after the grant is there: a start in between would fail for the one or the other, never half.
        self._unfence()

    def _start(self, name: str, *how: str) -> None:
        run(["systemctl", "reset-failed", "--", name], ASK_SECONDS)
        output = run(["systemctl", *how, "start", "--", name], START_SECONDS)
        if output.rc != 0:
            raise OpsError(f"systemctl start {name}: {output.complaint}; the grant stays. `journalctl -u {name} -n 50`")
        self.evidence.append(f"started {name}")

    def check_unfence(self, epoch: int) -> None:
        """Raise OpsError when the fence may not be lifted with this epoch."""
        epochs.whole_number(epoch)
        fenced = read(self.config.state_dir)
        if fenced and fenced.damaged:
            raise OpsError(
                f"{fenced.damaged}. Expected what epoch it was fenced for. Find the newest epoch of all hosts, give the "
                f"database's directory its mode back and remove the file by hand"
            )
        stored = epochs.read(self.config.state_dir)
        for what, other in (("was fenced for", fenced), ("knows", stored)):
            if other and other.epoch > epoch:
                raise OpsError(
                    f"this host {what} epoch {other.epoch}: expected an epoch that is not older, seen {epoch}. "
                    "Another host may serve: look at the epoch of all hosts first"
                )

    def check_grant(self, epoch: int, guarded: bool = True) -> None:
        """Raise OpsError when this host may not serve in that epoch."""
        self.check_unfence(epoch)
        stored = epochs.read(self.config.state_dir)
        if stored is None or (stored.epoch, stored.primary) != (epoch, self.config.host):
            seen = f"epoch {stored.epoch} of {stored.primary}" if stored else "no epoch"
            raise OpsError(
                f"{self.config.state_dir / epochs.NAME} has {seen}: expected epoch {epoch} of {self.config.host} before it "
                "is granted. Raise the epoch first (ops_epoch)"
            )
        unguarded = [unit.name for unit in look(self.config.units) if not unit.guarded(self.config)]
        if guarded and unguarded:
            raise OpsError(
                f"{', '.join(unguarded)} would start also under a fence: expected the drop-ins of the role fencing to be "
                "loaded. Run the role, or `systemctl daemon-reload`"
            )

    def _write_fenced(self, epoch: int, run_id: str, reason: str) -> None:
        config, before = self.config, read(self.config.state_dir)
        wanted = before or Fenced(epoch, run_id, reason, epochs.now())
        if wanted.damaged or epoch > wanted.epoch or taken_over(wanted, run_id):
            wanted = Fenced(max(epoch, wanted.epoch), run_id, reason, epochs.now(), wanted.closed)
        database = Path(os.path.realpath(config.database)) if config.database else None
        known = {name for name, _mode in wanted.closed}
        # The mode is on the disk before it is changed: whatever happens, it can be given back.
        modes = [(str(path), stat.S_IMODE(os.stat(path).st_mode)) for path in (shuts(database) if database else ())]
        wanted = replace(wanted, closed=(*wanted.closed, *((p, mode) for p, mode in modes if p not in known and mode)))
        if wanted != before:
            data = {name: getattr(wanted, name) for name in ("epoch", "run_id", "reason", "since", "closed")}
            durable.write(config.state_dir / NAME, json.dumps(data, ensure_ascii=False) + "\n")
            self.evidence.append(f"{config.state_dir / NAME} says epoch {wanted.epoch}")

    def _stop(self) -> None:
        running = [unit.name for unit in look(self.config.units) if unit.up]
        if not running:
            return
        end = time.monotonic() + self.config.stop_timeout
        try:
            run(["systemctl", "stop", "--", *running], self.config.stop_timeout)
        except CommandTimeout:
            pass  # the job goes on, and is over when its processes are
        except OpsError as exc:
            self.evidence.append(str(exc))
        left = self._still(running, end)
        if left:
            run(["systemctl", "kill", "--kill-who=all", "--signal=SIGKILL", "--", *left], KILL_SECONDS)
            self.evidence.append(f"killed {', '.join(left)}, which did not stop within {self.config.stop_timeout:g} s")
            left = self._still(left, time.monotonic() + KILL_SECONDS)
        if left:
            raise OpsError(f"{', '.join(left)} still runs after SIGKILL: expected it to be gone. Power the host off")
        self.evidence.append(f"stopped {', '.join(running)}")

    @staticmethod
    def _still(names: Sequence[str], end: float) -> list[str]:
        while True:
            left = [name for name, one in show(names, ["ActiveState"], ASK_SECONDS).items() if one["ActiveState"] in UP]
            if not left or time.monotonic() >= end:
                return left
            time.sleep(PAUSE)

    def _shut(self) -> None:
        fenced = read(self.config.state_dir)
        for name, _mode in fenced.closed if fenced else ():
            if os.path.exists(name) and stat.S_IMODE(os.stat(name).st_mode):
                os.chmod(name, 0)
                self.evidence.append(f"shut {name}")

    def _end_holders(self) -> None:
        if not self.config.database:
            return
        database = Path(os.path.realpath(self.config.database))
        end = 0.0  # counts from the first SIGKILL: to look at all processes of a busy host took more than a second
        told: set[int] = set()
        while True:
            found = set(holders(database)) - {os.getpid()}
            if not found:
                return
            if end and time.monotonic() > end:
                names = ", ".join(proc.named(pid) for pid in sorted(found))
                raise OpsError(
                    f"{database} is still open in {names} after SIGKILL: expected nobody. Power the host off"
                )
            for pid in found:
                if pid not in told:
                    self.evidence.append(f"killed {proc.named(pid)}, which had the database open")
                    told.add(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            end = end or time.monotonic() + KILL_SECONDS
            time.sleep(PAUSE)

    def _prove(self, try_start: bool) -> None:
        """Prove that a start fails: first that systemd has the guard loaded, for a start that works would serve."""
        units = [unit for unit in look(self.config.units) if unit.there]
        unguarded = [unit.name for unit in units if not unit.guarded(self.config)]
        if unguarded:
            raise OpsError(
                f"{', '.join(unguarded)} is stopped and would start again: systemd has no AssertPathExists for it. Run the "
                "role fencing (or `systemctl daemon-reload`), then fence again"
            )
        for unit in units if try_start else ():
            if run(["systemctl", "start", "--", unit.name], ASK_SECONDS).rc == 0:
                run(["systemctl", "stop", "--", unit.name], ASK_SECONDS)
                raise OpsError(f"systemctl start {unit.name} worked under the fence: expected it to fail")
        if units and try_start:
            self.evidence.append(f"systemctl start fails for {', '.join(unit.name for unit in units)}")

    def _unfence(self) -> None:
        fenced = read(self.config.state_dir)
        if not fenced:
            return
        for name, mode in fenced.closed:
            if not os.path.exists(name):
                self.evidence.append(f"{name} is gone: nothing to open")
            elif stat.S_IMODE(os.stat(name).st_mode) != mode:
                os.chmod(name, mode)
                self.evidence.append(f"opened {name}")
        durable.remove(self.config.state_dir / NAME)
        self.evidence.append(f"{self.config.state_dir / NAME} removed")


def _grant_or_none(config: Config) -> grant.Grant | None:
    try:
        return grant.read(config.run_dir)
    except OpsError:
        return None
