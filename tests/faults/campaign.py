# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fail over again and again under writers, with and without faults, and judge from outside what was lost.

    make faults N=100 [KIND=planned|faulty|emergency|unreachable|behind|returned|controller|all] [SEED=...]

The hosts are booted once; each run begins where the one before ended, so the direction alternates. What a run does depends
on the seed and its number alone: the same seed again gives the same schedule. Each run leaves a JSON file in
.cache/faults/, a bad one its whole history and what the playbook said. The last line is
``lost=<n> dual=<n> runs=<n> inconclusive=<n>``; the exit status is 0 when nothing was lost, never two hosts served, every
run ended as it may, and the checker flagged each of the negative controls.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "lab")]

import acks  # noqa: E402
import cases  # noqa: E402
import checker  # noqa: E402
import controls  # noqa: E402
import lab  # noqa: E402
import writers  # noqa: E402
from debian_tree import LabError  # noqa: E402
from failover_site import APPLICATION, FailoverSite  # noqa: E402
from faults import DATABASE  # noqa: E402
from inject import FAULTS  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / ".cache" / "faults"
NETS = range(77, 81)
KEPT = 5
ALL_WEIGHTS = {"planned": 4, "faulty": 3, "emergency": 1, "unreachable": 1, "behind": 1, "returned": 1, "controller": 2}


def say(text: str) -> None:
    """Tell how far it has come."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Campaign:
    """Runs over one site, and their results."""

    def __init__(
        self, site: FailoverSite, directory: Path, seed: int, count: int, pause: float, fault: str | None = None
    ) -> None:
        self.site, self.directory, self.seed, self.fault = site, directory, seed, fault
        self._clients = (count, pause)
        self.history = acks.History()
        self.fleet = self._fleet()
        self.results: list[dict[str, Any]] = []
        self.missing: set[str] = set()
        self.since = 0  # the results that belong to the site as it is

    def _fleet(self) -> writers.Fleet:
        count, pause = self._clients
        clients = writers.outside(self.site.proxy, count, pause)
        for name in APPLICATION:
            clients += writers.inside(name, writers.netns(self.site.hosts[name].machine), pause)
        return writers.Fleet(clients, self.history)

    def start(self) -> None:
        """Boot the site and let the writers go; again after a run that left it as no other can begin."""
        began = time.monotonic()
        self.since = len(self.results)
        runs = self.site.state / "failover"
        if runs.exists():  # of hosts that are no more; a run that is open would be gone on with
            runs.rename(self.directory / f"failover-{self.since}")
        self.site.up()
        self.site.wait_serving(self.site.primary())
        self.fleet = self._fleet()
        self.fleet.start(f"b{self.since}")
        say(f"five hosts are up and laid out after {time.monotonic() - began:.0f} s; {self.site.primary()} serves")

    def stop(self) -> None:
        """Let the writers end."""
        self.fleet.stop()

    def whole(self) -> bool:
        """Tell whether another run can begin."""
        bench = cases.Bench(self.site, self.fleet, f"w{len(self.results)}", random.Random(0), self.directory)
        try:
            bench.begin()
            lab.wait_for("a standby", bench.protected, cases.SERVE_SECONDS)
        except (LabError, AssertionError):
            return False
        return True

    def run(self, number: int, kind: str) -> dict[str, Any]:
        """Do one run and judge it."""
        name = f"r{number}"
        dice = random.Random(f"{self.seed}:{number}")
        began = time.monotonic()
        bench = cases.Bench(self.site, self.fleet, name, dice, self.directory, number, self.fault)
        try:
            case = cases.KINDS[kind](bench)
            result = case.run()
        except Exception as exc:  # noqa: BLE001 - one run that broke is a bad run, and must not hide the others
            result = {"outcome": "broken", "problems": [f"{type(exc).__name__}: {exc}"]}
            result["traceback"] = traceback.format_exc()
        result = {"run": name, "kind": kind, "seed": self.seed, **result, "seconds": round(time.monotonic() - began, 1)}
        self.missing |= set(result.pop("missing", ()))
        self.keep(name, result)
        self.results.append(result)
        say(describe(result))
        if bad(result) and not self.whole():
            self.stop()
            self.start()
        return result

    def keep(self, name: str, result: dict[str, Any]) -> None:
        """Write a run's result; of a bad one everything there is."""
        (self.directory / f"{name}.json").write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")
        if bad(result):
            acks.save(self.directory / f"{name}.history", self.fleet.history.of(name))
            (self.directory / f"{name}.journal").write_text(self.site.tell(), encoding="utf-8")
            run = self.site.state / "failover" / cases.run_id(name)
            if run.is_dir():
                shutil.copytree(run, self.directory / f"{name}.run", dirs_exist_ok=True)
        else:
            (self.directory / f"{name}.out").unlink(missing_ok=True)

    def settled(self) -> None:
        """After all runs: every write that was ever promised is there, but those that were accounted for."""
        told = writers.marks(self.site.proxy, "r")
        names = {result["run"] for result in self.results[self.since :] if result["outcome"] != "broken"}
        promised = [ack for ack in self.fleet.history.all() if ack.run in names and ack.outcome == acks.OK]
        known = self.missing.union(told[2])
        gone = [ack for ack in promised if ack.id not in known]
        integrity = self.site.sh(self.site.primary(), f"sqlite3 {DATABASE} 'PRAGMA integrity_check'")
        outcome = "done" if integrity == "ok" else "corrupt"
        result = {
            "run": "end",
            "kind": "end",
            "outcome": outcome,
            "lost": len(gone),
            "acked": 0,
            "integrity": integrity,
        }
        result["examples"] = [str(ack) for ack in gone[:KEPT]]
        say(f"in the end {len(promised)} promised writes, {len(gone)} of them lost, integrity_check {integrity}")
        self.keep("end", result)
        if gone or integrity != "ok":
            self.results.append(result)


def bad(result: dict[str, Any]) -> bool:
    """Tell whether a run is one that must never be."""
    return bool(
        result["outcome"] == "broken"
        or result.get("problems")
        or any(result.get(name) for name in ("lost", "dual", "phantom", "duplicates", "disorder"))
    )


def describe(result: dict[str, Any]) -> str:
    """Say a run in one line."""
    what = " ".join(str(result[name]) for name in ("fault", "step") if result.get(name))
    words = [f"{result['run']:>5} {result['kind']:<11} {what:<32} {result['outcome']:<12}"]
    for name, unit in (
        ("gap", " s"),
        ("rto", " s"),
        ("rpo", " s"),
        ("acked", ""),
        ("accounted", ""),
        ("lost", ""),
        ("dual", ""),
    ):
        if result.get(name) is not None:
            value = result[name]
            words.append(f"{name} {value:.2f}{unit}" if isinstance(value, float) else f"{name} {value}")
    words.append(f"({result['seconds']} s)")
    return "  ".join([*words, *(f"! {problem}" for problem in result.get("problems", ()))])


def schedule(kind: str, count: int, seed: int) -> list[str]:
    """Return the kinds of the runs."""
    if kind != "all":
        return [kind] * count
    dice = random.Random(seed)
    names = list(ALL_WEIGHTS)
    return dice.choices(names, [ALL_WEIGHTS[name] for name in names], k=count)


def share(told: Mapping[str, Any]) -> str:
    """Say by how much of itself a RPO was told wrong."""
    return "-" if told["rpo_off_share"] is None else f"{told['rpo_off_share']:.1%}"


def close(results: Sequence[dict[str, Any]], flagged: dict[str, str], directory: Path) -> int:
    """Print what all came to; return the exit status."""
    told = checker.summary(results)
    told["controls"] = flagged
    (directory / "summary.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    wrong = [result["run"] for result in results if bad(result)]

    def seconds(name: str) -> str:
        return "-" if told[name] is None else f"{told[name]:.2f} s"

    print(f"outcomes: {', '.join(f'{name} {count}' for name, count in sorted(told['outcomes'].items()))}")
    print(
        f"writes: {told['acked']} promised; of {told['proxied']} by the proxy {told['client_errors']} errors, {told['told_to_wait']} told to wait"
    )
    print(f"write gap: p50 {seconds('gap_p50')}, p95 {seconds('gap_p95')}, max {seconds('gap_max')}")
    for name, what in (("rto_told", "RTO from the decision"), ("rto", "RTO from the fault"), ("rpo", "RPO")):
        print(f"{what}: p50 {seconds(f'{name}_p50')}, p95 {seconds(f'{name}_p95')}, max {seconds(f'{name}_max')}")
    print(
        f"RPO as the runs tell it: off by at most {seconds('rpo_off')}, where it is above 1 s by at most {share(told)}"
    )
    for name, why in flagged.items():
        print(f"control {name}: {why}")
    if wrong:
        print(f"bad runs: {' '.join(wrong)}, in {directory}")
    failed = wrong or any(not why.startswith("flagged") for why in flagged.values())
    print(
        f"lost={told['lost']} dual={told['dual']} runs={told['runs']} inconclusive={told['inconclusive']}", flush=True
    )
    return 1 if failed or told["lost"] or told["dual"] or not told["runs"] else 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10, help="runs (10)")
    parser.add_argument("--kind", default="planned", choices=[*cases.KINDS, "all"])
    parser.add_argument("--seed", type=int, default=None, help="the schedule of an earlier campaign")
    parser.add_argument("--clients", type=int, default=16, help="clients that come through the proxy (16)")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds from one write of a client to its next (0.1)")
    parser.add_argument("--first", type=int, default=1, help="number of the first run, to repeat one of a schedule")
    parser.add_argument("--fault", choices=sorted(FAULTS), help="this one in each run of kind emergency or unreachable")
    parser.add_argument("--controls", default="all", help="negative controls: all, none, or names of them with commas")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Boot, run, judge."""
    options = build_parser().parse_args(arguments)
    if reason := lab.why_not():
        print(f"faults: {reason}", file=sys.stderr)
        return 2
    # As with Ctrl-C: the playbook is ended and the hosts are taken down.
    signal.signal(signal.SIGTERM, lambda *_seen: sys.exit(143))
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    chosen = controls.choose(options.controls)
    directory = OUTPUT / time.strftime("%Y%m%dT%H%M%S")
    directory.mkdir(parents=True)
    say(f"seed {seed}, {options.n} runs of kind {options.kind}, controls {', '.join(chosen) or 'none'}; {directory}")
    results: list[dict[str, Any]] = []
    flagged: dict[str, str] = {}
    try:
        with ExitStack() as stack:
            ours = stack.enter_context(lab.Lab.reserved(NETS))
            site = FailoverSite(ours, directory)
            campaign = Campaign(site, directory, seed, options.clients, options.pause, options.fault)
            results = campaign.results
            campaign.start()
            stack.callback(campaign.stop)
            kinds = schedule(options.kind, options.n + options.first - 1, seed)
            for number, kind in enumerate(kinds[options.first - 1 :], options.first):
                campaign.run(number, kind)
            if options.n:
                campaign.settled()
            for number, name in enumerate(chosen, 1):
                bench = cases.Bench(site, campaign.fleet, f"c{number}", random.Random(f"{seed}:c{number}"), directory)
                flagged[name] = controls.run(name, bench, last=number == len(chosen))
                say(f"control {name}: {flagged[name]}")
    except (LabError, AssertionError, OSError, subprocess.SubprocessError) as exc:
        print(f"faults: {exc}", file=sys.stderr)
        results.append({"run": "site", "kind": "site", "outcome": "broken", "problems": [str(exc)[:200]], "seconds": 0})
    return close(results, flagged, directory)


if __name__ == "__main__":
    sys.exit(main())
