# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of runs: what is done to the site, and how it may end."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from typing import Any

import acks
import checker
import inject
import lab
import writers
from attempt import Attempt, kill
from checker import Account, Verdict
from debian_tree import LabError
from failover_site import BOUND, MARGIN, STATE_DIR, FailoverSite
from faults import APP, HOME
from inject import FAULTS, NotEngaged

# So many writes have to be promised before anything happens, and again by the host that serves in the end.
BEFORE, AFTER = 20, 20
SERVE_SECONDS = 60.0
# Nobody may wait longer than this beyond the time for which a host was broken.
LONGEST_DOWN = 60.0
# Ends of a run as the playbook records them, and how many calls of the same command may be needed for one.
ENDS = ("done", "degraded", "rolled_back", "refused")
CALLS = 4
HAND = (
    f"cd {HOME} && exec sudo -u bilingual-tutor env PYTHONPATH={HOME} {HOME}/venv/bin/gunicorn"
    " --bind 127.0.0.1:5000 bilingual_tutor.web.app:app"
)


# When the controller dies: as a step begins, and as it ends.
MOMENTS = [
    (step, phase) for step in (*inject.ALL[:-1], "probe", *inject.ALL[-1:], "protected") for phase in ("begin", "ok")
]


def run_id(name: str) -> str:
    """Return the id that a run's failover is given."""
    return f"faults-{name}"


class Bench:
    """What a run works with: the site, its writers, and its own dice."""

    def __init__(
        self,
        site: FailoverSite,
        fleet: writers.Fleet,
        name: str,
        dice: Random,
        directory: Path,
        number: int = 0,
        fault: str | None = None,
    ) -> None:
        self.site, self.fleet, self.name, self.dice, self.directory = site, fleet, name, dice, directory
        self.number, self._fault = number, fault
        self.problems: list[str] = []
        self.broken = 0.0  # seconds

    def fault(self, names: Sequence[str]) -> str:
        """Return the fault of this run: the one that was asked for, or by the dice."""
        return self._fault or self.dice.choice(names)

    def acks(self) -> list[acks.Ack]:
        """Return what was written in this run."""
        return self.fleet.history.of(self.name)

    def served(self, node: str, since: float) -> int:
        """Count the writes that came through the proxy and were taken by a host since a moment."""
        return sum(
            ack.outcome == acks.OK and ack.via == "proxy" and ack.node == node and ack.invoked >= since
            for ack in self.acks()
        )

    def begin(self) -> None:
        """Begin to write for this run, and wait until the site takes it."""
        self.fleet.begin(self.name)
        primary, since = self.site.primary(), time.monotonic()
        lab.wait_for(
            f"{BEFORE} writes through the proxy to {primary}",
            lambda: self.served(primary, since) >= BEFORE,
            SERVE_SECONDS,
        )

    def attempt(self, playbook: str, target: str, name: str = "", **variables: Any) -> Attempt:
        """Return a failover to a host, not begun."""
        told = {"failover_target": target, "failover_confirm": target, "failover_antiflap": 0, **variables}
        return Attempt(self.site, playbook, name or run_id(self.name), self.directory / f"{self.name}.out", told)

    def end(self) -> None:
        """Wait until whoever is to serve does, then write for this run no more."""
        primary, since = self.site.primary(), time.monotonic()
        try:
            lab.wait_for("writes", lambda: self.served(primary, since) >= AFTER, SERVE_SECONDS)
        except LabError:
            self.problems.append(f"{primary} has the epoch and does not serve after {SERVE_SECONDS:.0f} s")
        self.fleet.begin(f"{self.name}z")

    def judge(self, account: Account | None = None) -> Verdict:
        """End, and compare what was promised with what is there."""
        self.end()
        record = self.site.epoch()
        node, epoch, there = self.there(record)
        if (node, epoch) != (record["primary"], record["epoch"]):
            self.problems.append(f"{node} answers in epoch {epoch}: expected {record['primary']} in {record['epoch']}")
        verdict = checker.check(self.acks(), there, account)
        if verdict.gap is not None and verdict.gap > LONGEST_DOWN + self.broken:
            self.problems.append(
                f"nobody served for {verdict.gap:.0f} s, and a host was broken for {self.broken:.0f} s"
            )
        return verdict

    def there(self, record: Mapping[str, Any]) -> tuple[str, int, list[str]]:
        """Return who serves users in which epoch with which marks; where nobody does, what lies on the primary's disk."""
        end = time.monotonic() + writers.PATIENCE
        while True:
            try:
                return writers.marks(self.site.proxy, f"{self.name}-")
            except (OSError, ValueError) as exc:
                if time.monotonic() > end:
                    self.problems.append(f"the proxy serves nobody: {exc}")
                    found = marks_on_disk(self.site, str(record["primary"]), f"{self.name}-")
                    return str(record["primary"]), int(record["epoch"]), found
                time.sleep(0.2)

    def outcome(self, attempt: Attempt) -> str:
        """Return how a failover ended, in the words of its record."""
        told = str(attempt.result().get("outcome") or "")
        if told:
            return told
        return "done" if attempt.calls[-1].status == 0 else f"exit {attempt.calls[-1].status}"

    def converge(self, attempt: Attempt) -> str:
        """Call the same command until the run has ended."""
        while self.outcome(attempt) not in ENDS and len(attempt.calls) < CALLS:
            attempt.call()
        return self.outcome(attempt)

    def reprotect(self, *, salvage: bool = False) -> None:
        """Make what is not the primary its standby again, and wait until it could take over.

        ``salvage`` also where the replica arrives by itself: what the host had alone would go with its old database.
        """
        primary, standby = self.site.primary(), self.site.standby()
        sends = self.site.hosts[primary].root / "etc/tutor-ops/replication/epoch"
        if int(sends.read_text(encoding="utf-8").rpartition("=")[2]) != self.site.epoch()["epoch"]:
            self.site.lay_out()  # as a run says that turned back from beyond the epoch
        if salvage or not self.protected():
            done = self.site.play("bilingual_tutor.ops.salvage", salvage_confirm=standby)
            if done.returncode:
                (self.directory / f"{self.name}.salvage").write_text(done.stdout + done.stderr, encoding="utf-8")
                raise LabError(f"{standby} could not be made the standby of {primary}: see {self.name}.salvage")
        lab.wait_for(f"{standby} is the standby of {primary}", self.protected, SERVE_SECONDS)

    def protected(self) -> bool:
        """Tell whether the standby knows the epoch in force, is fenced and receives its replica."""
        standby = self.site.standby()
        epoch = int(self.site.epoch()["epoch"])
        ltx = self.site.hosts[standby].root / f"srv/tutor-ops-replica/data/epoch-{epoch:04d}/ltx/0"
        try:
            newest = max((path.stat().st_mtime for path in ltx.glob("*.ltx")), default=0.0)
        except OSError:
            return False
        known = int(self.site.record(standby)["epoch"]) == epoch
        return known and self.site.fenced(standby) and time.time() - newest < 5

    def fields(self, verdict: Verdict, attempt: Attempt, **more: Any) -> dict[str, Any]:
        """Return a result."""
        told = verdict.as_dict()
        return {
            "outcome": self.outcome(attempt),
            "problems": self.problems,
            "calls": [vars(call) for call in attempt.calls],
            "playbook_seconds": round(sum(call.seconds for call in attempt.calls), 1),
            "steps": attempt.steps(),
            "told": attempt.result(),
            "rto_told": attempt.result().get("rto_s"),
            "missing": [ack.id for ack in verdict.accounted],
            **told,
            **more,
        }

    def expect(self, outcome: str, *wanted: str) -> None:
        """Note an end that may not be."""
        if outcome not in wanted:
            self.problems.append(f"ended as {outcome}: expected {' or '.join(wanted)}")


def marks_on_disk(site: FailoverSite, name: str, prefix: str) -> list[str]:
    """Return the marks in the database as it lies on a host's disk; works on a copy, whatever state the host is in."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy.db"
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{site.database(name)}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as connection:
            rows = connection.execute(
                "SELECT title FROM content WHERE content_type = 'mark' AND substr(title, 1, ?) = ?",
                (len(prefix), prefix),
            ).fetchall()
    return [title for (title,) in rows]


class Planned:
    """A switchover with nothing in its way."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.site = bench, bench.site

    def run(self) -> dict[str, Any]:
        bench, site = self.bench, self.site
        old, new, epoch = site.primary(), site.standby(), int(site.epoch()["epoch"])
        bench.begin()
        attempt = bench.attempt("switchover", new)
        attempt.call()
        bench.expect(bench.outcome(attempt), "done")
        if site.primary() != new:
            bench.problems.append(f"{site.primary()} has the epoch: expected {new}")
        verdict = bench.judge()
        bench.reprotect()
        return bench.fields(verdict, attempt, primary=old, target=new, epoch=epoch)


class Faulty(Planned):
    """A switchover with a fault at the begin of one of its steps; the same command is called again when it is mended."""

    def run(self) -> dict[str, Any]:
        bench, site = self.bench, self.site
        name, step = bench.dice.choice(sorted(inject.in_a_step()))
        delay = bench.dice.choice((0.0, bench.dice.uniform(0.0, 1.0)))
        old, new, epoch = site.primary(), site.standby(), int(site.epoch()["epoch"])
        told = {"fault": name, "step": step, "delay": delay, "primary": old, "target": new, "epoch": epoch}
        bench.begin()
        attempt = bench.attempt("switchover", new)
        reason = "the step was never begun"
        with ExitStack() as mend:

            def at(process: subprocess.Popen[bytes]) -> None:
                nonlocal reason
                if attempt.wait_for(process, step, "begin"):
                    process_ended_or(process, delay)
                    try:
                        # From its begin until all else is mended.
                        mend.callback(self.mended, time.monotonic())
                        FAULTS[name].on(site, old, new, mend)
                        reason = ""
                    except NotEngaged as exc:
                        reason = str(exc)

            attempt.call(at)
        first = bench.outcome(attempt)
        outcome = bench.converge(attempt)
        bench.expect(outcome, "done", "degraded", "rolled_back", "refused")
        verdict = bench.judge()
        bench.reprotect()
        fields = bench.fields(verdict, attempt, **told, first=first)
        if reason:
            fields.update(outcome="inconclusive", reason=reason, ended=outcome)
        return fields

    def mended(self, since: float) -> None:
        """Note for how long something was broken."""
        self.bench.broken = time.monotonic() - since


def process_ended_or(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for so long, or less when the process ends."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


class Emergency(Planned):
    """The primary's service breaks and its host can be reached: nothing may be lost."""

    def run(self) -> dict[str, Any]:
        bench, site = self.bench, self.site
        name = bench.fault(inject.REACHABLE)
        old, new, epoch = site.primary(), site.standby(), int(site.epoch()["epoch"])
        bench.begin()
        attempt = bench.attempt("emergency_failover", new)
        with ExitStack() as mend:
            try:
                fault = FAULTS[name].on(site, old, new, mend)
            except NotEngaged as exc:
                return inconclusive(bench, name, exc)
            attempt.call()
        bench.expect(bench.outcome(attempt), "done", "degraded")
        rto = since(checker.first_ok(bench.acks(), epoch), fault)
        verdict = bench.judge()
        bench.reprotect()
        return bench.fields(verdict, attempt, fault=name, primary=old, target=new, epoch=epoch, rto=rto)


def since(moment: float | None, fault: float) -> float | None:
    """Return the seconds from a fault to a moment that may never have come."""
    return None if moment is None else round(moment - fault, 3)


def inconclusive(bench: Bench, fault: str, reason: object) -> dict[str, Any]:
    """Return the result of a run whose fault did not take."""
    bench.end()
    return {"outcome": "inconclusive", "fault": fault, "reason": str(reason), "problems": bench.problems}


class Unreachable(Planned):
    """The primary cannot be asked: what it took alone is lost, no more than the run says, and all of it can be had back."""

    faults: tuple[str, ...] = inject.UNREACHABLE

    def run(self) -> dict[str, Any]:
        bench, site = self.bench, self.site
        name = bench.fault(self.faults)
        old, new, epoch = site.primary(), site.standby(), int(site.epoch()["epoch"])
        bench.begin()
        attempt = bench.attempt("emergency_failover", new)
        with ExitStack() as mend:
            wall = time.time() - time.monotonic()
            try:
                self.before(old, new, mend)
                fault = FAULTS[name].on(site, old, new, mend)
            except NotEngaged as exc:
                return inconclusive(bench, name, exc)
            attempt.call(**words(name, old, fault + wall))
            self.meanwhile(old)
        bench.expect(bench.outcome(attempt), "degraded", "done")
        rto = since(checker.first_ok(bench.acks(), epoch), fault)
        self.returned(old)
        replicated = newest_at(attempt.result())
        kept = set(marks_on_disk(site, old, f"{bench.name}-"))
        account = Account(old, epoch, fault, None if replicated is None else replicated - wall, kept)
        verdict = bench.judge(account)
        seconds, rows, after = checker.true_rpo(verdict, account)
        told = attempt.result().get("rpo_s")
        bench.reprotect(salvage=True)
        self.salvaged(old, verdict)
        return bench.fields(
            verdict, attempt, fault=name, primary=old, target=new, epoch=epoch, rto=rto,
            rpo=round(seconds, 3), rpo_rows=rows, diverged_rows=after, rpo_told=told,
        )  # fmt: skip

    def before(self, old: str, new: str, mend: ExitStack) -> None:
        """Do something before the primary is lost."""

    def meanwhile(self, old: str) -> None:
        """Do something to the old primary while it cannot be reached."""

    def returned(self, old: str) -> None:
        """Wait until the old primary, which can be reached again, has surely seen that another one serves."""
        site = self.site

        def quiet() -> bool:
            told = "systemctl is-active {app} | grep -qxE 'inactive|failed' && test -e {fenced} -o ! -e /run/tutor-ops/grant"
            script = told.format(app=APP, fenced=f"{STATE_DIR}/FENCED")
            return site.hosts[old].run("sh", "-c", script, check=False).returncode == 0

        try:
            lab.wait_for(f"{old} is fenced or has no grant, and does not serve", quiet, BOUND + MARGIN + 10)
        except LabError as exc:
            self.bench.problems.append(str(exc))

    def salvaged(self, old: str, verdict: Verdict) -> None:
        """Expect what was lost in the salvage that was left on the old primary."""
        folder = self.site.hosts[old].root / "var/lib/tutor-ops/salvage"
        text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*.sql"))
        gone = [ack.id for ack in verdict.accounted if ack.id not in text]
        if gone:
            self.bench.problems.append(
                f"{len(gone)} of {len(verdict.accounted)} lost rows are in no salvage: {gone[:3]}"
            )


def words(fault: str, old: str, at: float) -> dict[str, Any]:
    """Return what an operator says of a fault: when it was, as monitoring knows it, and that he knows better than the others."""
    told = {"failover_fault_at": datetime.fromtimestamp(at, timezone.utc).isoformat()}
    return {**told, "failover_primary_dead": old} if fault == "primary_cut_off" else told


def newest_at(told: Mapping[str, Any]) -> float | None:
    """Return up to when everything is there, in seconds since 1970, as a run says it."""
    rpo = told.get("rpo")
    value = rpo.get("newest_at") if isinstance(rpo, Mapping) else told.get("newest_at")
    return float(value) if isinstance(value, (int, float)) else None


class Behind(Unreachable):
    """Nothing was copied for some seconds when the primary was lost: what a run says it lost has to be what is missing."""

    faults = ("primary_power_cut",)

    def before(self, old: str, new: str, mend: ExitStack) -> None:
        FAULTS["sender_stopped"].on(self.site, old, new, mend)
        time.sleep(self.bench.dice.uniform(1.0, 5.0))


class Returned(Unreachable):
    """The old primary comes back in every way there is, and serves nobody."""

    faults = ("primary_unplugged", "primary_power_cut")
    tries = ("start", "hand", "reboot", "crash")

    def meanwhile(self, old: str) -> None:
        """Try to serve while nobody can reach it."""
        if self.site.hosts[old].is_up():
            self._try(old)

    def returned(self, old: str) -> None:
        super().returned(old)
        self._try(old)

    def _try(self, old: str) -> None:
        site, way = self.site, self.bench.dice.choice(self.tries)
        began = time.monotonic()
        if way == "start":
            site.sh(
                old, f"systemctl reset-failed {APP}; systemctl start {APP} || true; systemctl restart {APP} || true"
            )
        elif way == "hand":
            with suppress(LabError):
                site.sh(old, f"timeout 3 sh -c '{HAND}' || true")
        elif way == "crash":
            site.sh(
                old, f"systemctl kill --kill-whom=all -s KILL {APP} 2>/dev/null || true; systemctl start {APP} || true"
            )
        else:
            site.power_off(old)
            site.power_on(old, wait=False)
            host = site.hosts[old]
            lab.wait_for(f"{old}: init", lambda: host.is_up() and booted(site, old), 60)
        taken = [ack for ack in self.bench.acks() if ack.node == old and ack.invoked > began]
        if taken:
            self.bench.problems.append(f"{old} took {len(taken)} writes after {way!r}: {taken[0]}")


def booted(site: FailoverSite, name: str) -> bool:
    """Tell whether systemd has started what it will start, over no network."""
    try:
        said = site.hosts[name].run("systemctl", "is-system-running", check=False).stdout.strip()
    except LabError:
        return False
    return said in ("running", "degraded")


class Controller(Planned):
    """The controller dies at some moment of a switchover; the same command brings it to its end."""

    def run(self) -> dict[str, Any]:
        bench, site, dice = self.bench, self.site, self.bench.dice
        # Not by the dice: so many runs as there are moments come to each of them.
        step, phase = MOMENTS[bench.number % len(MOMENTS)]
        delay = dice.choice((0.0, dice.uniform(0.0, 1.0)))
        old, new, epoch = site.primary(), site.standby(), int(site.epoch()["epoch"])
        bench.begin()
        attempt = bench.attempt("switchover", new)
        reason = "the step was never begun"

        def at(process: subprocess.Popen[bytes]) -> None:
            nonlocal reason
            if attempt.wait_for(process, step, phase):
                process_ended_or(process, delay)
                reason = "" if process.poll() is None else "it had ended before it was killed"
                kill(process)

        attempt.call(at)
        attempt.call()
        outcome = bench.converge(attempt)
        bench.expect(outcome, "done", "degraded", "rolled_back")
        again = attempt.call(failover_run_id=f"{attempt.run_id}-again")
        if outcome == "done" and (again.status or again.changed):
            bench.problems.append(f"once more: exit {again.status}, changed {again.changed}")
        verdict = bench.judge()
        bench.reprotect()
        fields = bench.fields(
            verdict,
            attempt,
            fault="controller",
            step=f"{step} {phase}",
            delay=delay,
            primary=old,
            target=new,
            epoch=epoch,
        )
        if reason:
            fields.update(outcome="inconclusive", reason=reason, ended=outcome)
        return fields


KINDS: dict[str, Callable[[Bench], Planned]] = {
    "planned": Planned,
    "faulty": Faulty,
    "emergency": Emergency,
    "unreachable": Unreachable,
    "behind": Behind,
    "returned": Returned,
    "controller": Controller,
}
