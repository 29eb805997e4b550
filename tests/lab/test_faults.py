# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break real hosts and expect of the daily checks exactly the right findings.

Four faults at a time, each on a fresh host of its own: a healthy run first, which must find nothing and gives the
checks their ``previous``; then the faults; then one run over all four hosts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import faults
import lab
import pytest
from runs import Run, play

HOSTS = ("tutor1", "tutor2", "tutor3", "tutor4")
NETS = range(10, 20)  # not those of a person (0) and of molecule (1)
LONGEST_SECONDS, USUAL_SECONDS = 20.0, 5.0
SHIFTS = ("morning", "afternoon", "evening")
pytestmark = pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not() or "a lab can be had")


@dataclass(frozen=True)
class Case:
    """A fault, the shift that sees it, the checks it turns (``id|item``) and a word that their summaries must have."""

    fault: str
    shift: str
    names: str
    turned: dict[str, str] = field(hash=False)


APP, NGINX, REDIS = (f"unit.{{}}|{unit}" for unit in (faults.APP, faults.NGINX, faults.REDIS))
NEW_ERRORS = {"log.new_fingerprints|application": "WARNING"}
HEALTH_DOWN = {"http.status|health": "CRITICAL"}
PAGES_DOWN = {**HEALTH_DOWN, "http.status|response": "CRITICAL"}
APP_DOWN = {APP.format("state"): "CRITICAL", "port.expected|5000": "CRITICAL", **HEALTH_DOWN, **NEW_ERRORS}
CACHE_DOWN = {"redis.up|127.0.0.1:6379": "CRITICAL", **NEW_ERRORS}
DATABASE_ERRORS = {"log.fatal|application": "CRITICAL", **HEALTH_DOWN, **NEW_ERRORS}

CASES = (
    Case("unit_stopped", "morning", "bilingual-tutor.service is inactive", {**APP_DOWN}),
    Case(
        "crash_loop",
        "morning",
        "restarted again and again",
        {APP.format("restarts"): "WARNING", **APP_DOWN},
    ),
    Case("app_sigstop", "morning", "stopped by a signal", {APP.format("frozen"): "CRITICAL", **HEALTH_DOWN}),
    Case("nginx_sigstop", "morning", "stopped by a signal", {NGINX.format("frozen"): "CRITICAL", **HEALTH_DOWN}),
    Case("redis_sigstop", "morning", "stopped by a signal", {REDIS.format("frozen"): "CRITICAL", **CACHE_DOWN}),
    Case(
        "redis_down",
        "morning",
        "redis-server.service is inactive",
        {REDIS.format("state"): "CRITICAL", "port.expected|6379": "CRITICAL", **CACHE_DOWN},
    ),
    Case(
        "database_not_in_use",
        "morning",
        f"the service does not use this file, it has {faults.DATABASE} open",
        {f"sqlite.in_use|{faults.DECOY}": "CRITICAL", f"sqlite.file|{faults.DECOY}": "CRITICAL"},
    ),
    Case(
        "database_missing",
        "morning",
        "does not exist",
        {f"sqlite.in_use|{faults.DATABASE}": "CRITICAL", f"sqlite.file|{faults.DATABASE}": "CRITICAL"},
    ),
    Case(
        "database_recreated",
        "morning",
        "vocabulary 0 < 1",
        {f"sqlite.rows|{faults.DATABASE}": "CRITICAL", **NEW_ERRORS},
    ),
    Case("database_zero_bytes", "morning", "has 0 bytes", {f"sqlite.file|{faults.DATABASE}": "CRITICAL", **APP_DOWN}),
    Case(
        "database_truncated",
        "morning",
        "is truncated",
        {f"sqlite.file|{faults.DATABASE}": "CRITICAL", **DATABASE_ERRORS},
    ),
    Case(
        "database_header_destroyed",
        "morning",
        "its header is destroyed",
        {f"sqlite.file|{faults.DATABASE}": "CRITICAL", **DATABASE_ERRORS},
    ),
    Case(
        "database_foreign_owner",
        "morning",
        "learning.db (nobody)",
        {
            f"sqlite.owner|{faults.DATABASE}": "CRITICAL",
            f"sqlite.opens|{faults.DATABASE}": "CRITICAL",
            **DATABASE_ERRORS,
        },
    ),
    Case(
        "database_locked",
        "morning",
        "(python3) kept every other writer out",
        {f"sqlite.lock|{faults.DATABASE}": "CRITICAL"},
    ),
    Case("redis_wrong_password", "afternoon", "wrong password", {**CACHE_DOWN}),
    Case("redis_acl_without_config", "afternoon", "ACL SETUSER watch", {"redis.access|127.0.0.1:6379": "WARNING"}),
    Case("resolver_dead", "afternoon", "name resolution of tutor.lab.test", {**PAGES_DOWN}),
    Case("http_500", "afternoon", "status 500", {**PAGES_DOWN, **NEW_ERRORS}),
    Case(
        "http_endless_body",
        "afternoon",
        "does not end",
        {"http.body|health": "WARNING", "http.body|response": "WARNING"},
    ),
    Case("http_redirect_loop", "afternoon", "more than 3 redirects", {**PAGES_DOWN}),
    Case("http_slow_drip", "afternoon", "still incomplete", {**PAGES_DOWN}),
    Case("disk_full", "evening", "96 %", {f"disk.used|{faults.HOME}/backups": "CRITICAL"}),
    Case("inodes_exhausted", "evening", "100 % of 128 inodes", {f"inode.used|{faults.HOME}/backups": "CRITICAL"}),
    Case("log_errors", "evening", "1 new kinds of errors", {**NEW_ERRORS}),
    Case("log_rotated", "evening", "1 new kinds of errors", {**NEW_ERRORS}),
    Case("log_rotated_not_reopened", "evening", "nginx_access.log.1", {"logrotate.not_reopened|": "WARNING"}),
    Case("host_unplugged", "evening", "no connection", {"host.reachable|": "CRITICAL"}),
    Case("host_frozen", "evening", "no connection", {"host.reachable|": "CRITICAL"}),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one host: before the fault, during it, and its journal then."""

    host: str
    before: Run
    during: Run
    journal: str


class Bench:
    """The lab of these tests."""

    def __init__(self, directory: Path, ours: lab.Lab) -> None:
        self.directory = directory
        self.lab = ours
        self._number = 0

    def fresh(self, names: tuple[str, ...]) -> Path:
        """Boot hosts anew; return the directory of an inventory of theirs, with a ledger of its own beside it."""
        self.lab.up(names, fresh=True)
        self._number += 1
        directory = self.directory / str(self._number)
        directory.mkdir()
        (directory / "hosts.yml").write_text(self.lab.inventory(names))
        return directory

    def run(self, directory: Path, names: tuple[str, ...], shift: str) -> Run:
        """Run the playbook once over all hosts of an inventory."""
        run = play(self.lab, "daily_checks", directory, names, ops_shift=shift)
        assert set(run.envelopes) == set(names), run.output
        return run

    def outcomes(self, cases: tuple[Case, ...]) -> dict[str, Outcome]:
        """Play up to four cases of one shift at once."""
        names = HOSTS[: len(cases)]
        directory = self.fresh(names)
        before = self.run(directory, names, cases[0].shift)
        variables = directory / "host_vars"
        variables.mkdir()
        journals = {}
        with ExitStack() as breaking:
            for name, case in zip(names, cases):
                fault = faults.FAULTS[case.fault]
                breaking.enter_context(fault.on(self.lab.host(name)))
                (variables / f"{name}.json").write_text(json.dumps(dict(fault.variables)))
            during = self.run(directory, names, cases[0].shift)
            for name in names:
                host = self.lab.host(name)
                if not host.is_frozen():
                    units = [word for unit in (faults.APP, faults.NGINX, faults.REDIS) for word in ("-u", unit)]
                    journals[name] = host.run("journalctl", "-q", "-n", "40", *units, check=False).stdout
        return {case.fault: Outcome(name, before, during, journals.get(name, "")) for name, case in zip(names, cases)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A lab for this run alone."""
    with lab.Lab.reserved(NETS) as ours:
        yield Bench(tmp_path_factory.mktemp("faults"), ours)


@cache
def batches() -> tuple[tuple[Case, ...], ...]:
    """Return the cases in batches of one shift each, as many as there are hosts."""
    made = []
    for shift in SHIFTS:
        of_shift = [case for case in CASES if case.shift == shift]
        made += [tuple(of_shift[start : start + len(HOSTS)]) for start in range(0, len(of_shift), len(HOSTS))]
    return tuple(made)


@pytest.fixture(scope="module")
def outcome_of(bench: Bench) -> Any:
    """Return a function that plays a case, with its batch, when first asked for one of the batch."""

    @cache
    def play(batch: tuple[Case, ...]) -> dict[str, Outcome]:
        return bench.outcomes(batch)

    return lambda case: play(next(batch for batch in batches() if case in batch))[case.fault]


def test_each_fault_has_a_case() -> None:
    assert sorted(case.fault for case in CASES) == sorted(faults.FAULTS)


def test_a_healthy_host_has_no_finding_in_any_shift(bench: Bench) -> None:
    names = HOSTS[:2]
    directory = bench.fresh(names)
    for shift in SHIFTS:
        run = bench.run(directory, names, shift)
        for name in names:
            assert run.findings(name) == {}, run.output
            assert run.envelopes[name]["phase"] == shift
            assert run.envelopes[name]["counts"]["ok"] > 5
        assert run.status == 0, run.output
        assert run.commands == dict.fromkeys(names, 1), "a shift is one command over ssh"


@pytest.mark.parametrize("case", CASES, ids=[case.fault for case in CASES])
def test_a_fault_turns_exactly_its_checks(case: Case, outcome_of: Any) -> None:
    outcome = outcome_of(case)
    host, before, during = outcome.host, outcome.before, outcome.during
    print(outcome.journal)
    print(during.output)
    assert before.findings(host) == {}
    turned = during.findings(host)
    assert turned == case.turned
    assert case.names in during.told(host, turned)
    assert during.failed(host)
    # What the healthy run just before took above its usual 5 s at most is this machine's doing, not the fault's.
    assert during.looking < LONGEST_SECONDS + max(0.0, before.looking - USUAL_SECONDS)
    assert before.commands[host] == 1
    if "host.reachable|" not in turned:
        assert during.commands[host] == 1


def test_a_run_with_findings_ends_non_zero(outcome_of: Any) -> None:
    assert {outcome_of(case).during.status for case in CASES} == {2}
