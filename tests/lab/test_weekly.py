# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The weekly maintenance on real hosts: what is wrong with one is found on its day, and nothing on the other.

Both hosts boot once. Everything is seeded on the first before any run; then each day is played over both, first in check
mode, which must leave no trace, then really.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import faults
import lab
import pytest
from runs import Run, play, read_ledger

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import NewEvent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger

SICK, CLEAN = "tutor1", "tutor2"
NAMES = (SICK, CLEAN)
NETS = range(50, 55)
DAYS = ("mon", "tue", "wed", "thu", "fri")
LOCALES = {"mon": "en", "tue": "zh", "wed": "en", "thu": "en", "fri": "zh"}
# What a report calls the worst finding of a day.
TITLES = {
    "mon": "Security updates are installed",
    "tue": "本周响应时间 P95",
    "wed": "No success after many failures",
    "thu": "References between tables",
    "fri": "磁盘预计写满天数",
}
LISTENER = 8099
GUESSES = 12
# A file system that is 80 % full and filled up by 5 % a day.
DATA, DATA_MIB, DATA_USED, DATA_DAILY = "/srv/data", 20, 80.0, 5.0
# What a host that nobody touches changes by itself: its journal, logs of requests and jobs, the cache's dump, timers.
# What readers note in the database's -shm is memory.
VOLATILE = (
    f"{faults.DATABASE[1:]}-shm",
    "var/log/",
    "var/lib/systemd/",
    "var/lib/redis/",
    "opt/bilingual-tutor/logs/",
    "var/spool/cron/",
)
pytestmark = pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not() or "a lab can be had")

WRITABLE = f"{faults.HOME}/scripts/monitor.sh"
# Each finding of a day on the sick host, and a word that its sentence or its evidence must have.
FOUND = {
    "mon": {"updates.security|": ("WARNING", "curl")},
    "tue": {
        "performance.response|all": ("WARNING", "/learn/<id>"),
        "performance.response|/learn": ("WARNING", "/learn/<id>"),
        "slow_query.worst|queries": ("WARNING", "get_due_reviews"),
    },
    "wed": {
        # The controller logs in from the address that the names were guessed from.
        "logins.break_in|": ("CRITICAL", "10.77."),
        "logins.spray|": ("WARNING", "10.77."),
        "port.unexpected|": ("WARNING", str(LISTENER)),
        "permissions.writable|": ("CRITICAL", WRITABLE),
    },
    "thu": {
        f"maintenance.foreign_keys|{faults.DATABASE}": ("CRITICAL", "user_preferences"),
        **{
            f"maintenance.action|{action} {faults.DATABASE}": ("WARNING", "refused")
            for action in ("optimize", "analyze", "vacuum", "wal_checkpoint")
        },
    },
    "fri": {f"disk.eta_full|{DATA}": ("WARNING", "full in 4.0 d")},
}


class Bench:
    """Two hosts, one of them with everything wrong that the weekly tasks look for."""

    def __init__(self, directory: Path, ours: lab.Lab) -> None:
        self.directory = directory
        self.lab = ours
        ours.up(NAMES, fresh=True)
        (directory / "hosts.yml").write_text(ours.inventory(NAMES))
        self.sick, self.clean = (ours.host(name) for name in NAMES)
        self.reports: dict[str, str] = {}
        for host in (self.sick, self.clean):
            lab.wait_for(f"{host.name}: the application", lambda host=host: serves(host), 20)
        with ThreadPoolExecutor() as pool:
            seeds = [pool.submit(one) for one in (self._updates, self._requests, self._logins, self._growth)]
            for seed in seeds:
                seed.result()
        self.sick.run("chmod", "o+w", WRITABLE)
        orphan = "INSERT INTO user_preferences (user_id, preference_key, preference_value) VALUES (4711, 'a', 'b')"
        # As the application's user: files of root beside the database would lock it out.
        self.sick.run("runuser", "-u", "bilingual-tutor", "--", "sqlite3", faults.DATABASE, orphan)
        serve = ("python3", "-m", "http.server", str(LISTENER), "--bind", "0.0.0.0", "--directory", "/srv")
        self.sick.run("systemd-run", "--quiet", "--unit=seeded-listener", *serve)
        lab.wait_for("the listener", lambda: f":{LISTENER}" in self.sick.run("ss", "-tln").stdout, 10)

    def _updates(self) -> None:
        """Give both hosts a package source, and the sick one's a security update. None of it is ever downloaded."""
        for host in (self.sick, self.clean):
            source = host.root / "srv/apt"
            source.mkdir()
            package = "Package: curl\nVersion: 99\nArchitecture: amd64\nFilename: ./curl.deb\nSize: 1\nSHA256: {0}\n"
            text = (package.format("0" * 64) if host is self.sick else "").encode()
            (source / "Packages").write_bytes(text)
            release = (
                "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nCodename: bookworm-security\n"
                f"Date: {datetime.now(timezone.utc):%a, %d %b %Y %H:%M:%S +0000}\nSHA256:\n"
                f" {hashlib.sha256(text).hexdigest()} {len(text)} Packages\n"
            )
            (source / "Release").write_text(release)
            lists = host.root / "etc/apt"
            for path in (lists / "sources.list.d").glob("*"):
                path.unlink()
            (lists / "sources.list").write_text("deb [trusted=yes] file:/srv/apt ./\n")
            host.run("apt-get", "-q", "update")
            host.run("apt-get", "-q", "--simulate", "dist-upgrade")  # builds apt's cache, as any use of it does

    def _requests(self) -> None:
        """Ask the application for slow queries, and leave slow requests in the access log."""
        slow = f"http://{self.sick.address}/api/slow?ms=1300"
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda _turn: lab.run("curl", "-fsS", slow), range(2)))
        now = datetime.now(timezone.utc)
        line = (
            f'10.0.0.9 - - [{now:%d/%b/%Y:%H:%M:%S} +0000] "GET /learn/17 HTTP/1.1" 200 512 "-" "Mozilla/5.0" 3.600\n'
        )
        with (self.sick.root / "opt/bilingual-tutor/logs/nginx_access.log").open("a") as log:
            log.write(line * 120)

    def _logins(self) -> None:
        """Guess names, as a scanner does."""
        for number in range(GUESSES):
            words = ["ssh", "-F", str(self.lab.ssh_config), "-l", f"guess{number}", self.sick.address, "true"]
            subprocess.run(words, capture_output=True, timeout=30, check=False)

    def _growth(self) -> None:
        """Give both hosts a disk that is rather full, and the ledger two weeks in which the sick one's became so."""
        ledger = Ledger(self.directory / "state/ledger.db")
        for host in (self.sick, self.clean):
            host.run("mkdir", DATA)
            host.run("mount", "-t", "tmpfs", "-o", f"size={DATA_MIB}M", "tmpfs", DATA)
            host.run("fallocate", "-l", f"{DATA_MIB * DATA_USED / 100:.0f}M", f"{DATA}/rows")
        for back in range(14, 0, -1):
            at = f"{datetime.now(timezone.utc) - timedelta(days=back):%Y-%m-%dT%H:%M:%SZ}"
            values = {SICK: DATA_USED - back * DATA_DAILY, CLEAN: DATA_USED}
            ledger.append(
                [NewEvent("check.run", host, envelope(host, at, value), at=at) for host, value in values.items()]
            )

    def play(self, day: str, *more: str) -> Run:
        """Play a day over both hosts."""
        return play(self.lab, "weekly_maintenance", self.directory, NAMES, *more, ops_day=day, ops_locale=LOCALES[day])

    def really(self, day: str) -> Run:
        """Play a day over both hosts and keep its report."""
        run = self.play(day)
        self.reports[day] = (self.directory / "state/reports/latest.html").read_text(encoding="utf-8")
        return run

    def trees(self) -> dict[str, dict[str, str]]:
        """Return what has been changed on each host since it was made, file by file."""
        return {name: fingerprints(self.lab.host(name).directory / "upper") for name in NAMES}


def serves(host: lab.Host) -> bool:
    """Tell whether the application of a host answers."""
    return host.run("curl", "-fs", "-o", "/dev/null", faults.HEALTH, check=False).returncode == 0


def envelope(host: str, at: str, used: float) -> dict[str, object]:
    """Return the record of a daily check that saw one disk."""
    check = {
        "id": "disk.used",
        "group": "host",
        "item": DATA,
        "status": 0,
        "reason": "ok",
        "summary": "",
        "message": "",
    }
    return {
        **{"schema": "ops.check/1", "run_id": f"seed-{at}", "host": host, "phase": "morning", "started": at},
        **{"duration_ms": 1.0, "tool_version": "0.1.0", "counts": {"ok": 1}, "worst": 0, "state": {}, "errors": []},
        "checks": [{**check, "value": used, "uom": "%"}],
    }


def fingerprints(root: Path) -> dict[str, str]:
    """Return kind, mode, owner and content of every file below a directory by its path, without the volatile ones."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith(VOLATILE):
            continue
        seen = path.lstat()
        content = ""
        if stat.S_ISREG(seen.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(seen.st_mode):
            content = os.readlink(path)
        found[name] = f"{stat.filemode(seen.st_mode)} {seen.st_uid}:{seen.st_gid} {content}"
    return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The two hosts, for all tests of this file."""
    with lab.Lab.reserved(NETS) as ours:
        yield Bench(tmp_path_factory.mktemp("weekly"), ours)


@pytest.fixture(scope="module")
def checked(bench: Bench) -> tuple[dict[str, Run], dict, dict, int]:
    """All five days in check mode, before anything was really done, with the trees and the ledger around them."""
    before = bench.trees()
    known = len(read_ledger(bench.directory / "state/ledger.db"))
    runs = {day: bench.play(day, "--check") for day in DAYS}
    return runs, before, bench.trees(), len(read_ledger(bench.directory / "state/ledger.db")) - known


@pytest.fixture(scope="module")
def run_of(bench: Bench, checked: object) -> object:
    """Return a function that plays a day, when first asked for it."""
    return cache(bench.really)


def test_check_mode_changes_nothing(checked: tuple[dict[str, Run], dict, dict, int]) -> None:
    runs, before, after, recorded = checked
    for name in NAMES:
        changed = {
            path for path in before[name].keys() | after[name].keys() if before[name].get(path) != after[name].get(path)
        }
        assert changed == set()
    assert recorded == 0
    for day, run in runs.items():
        assert "Traceback" not in run.output, run.output
        assert not run.failed(CLEAN), f"{day}: {run.output}"


@pytest.mark.parametrize("day", DAYS)
def test_each_day_finds_what_is_wrong_and_nothing_else(run_of, day: str) -> None:
    run = run_of(day)
    print(run.output)
    assert run.findings(CLEAN) == {}
    assert run.findings(SICK) == {key: status for key, (status, _word) in FOUND[day].items()}
    for key, (_status, word) in FOUND[day].items():
        assert word in run.told(SICK, [key])
    assert (run.status, run.failed(SICK), run.failed(CLEAN)) == (2, True, False)


@pytest.mark.parametrize("day", DAYS)
def test_each_day_is_recorded_as_its_part(run_of, day: str) -> None:
    run = run_of(day)
    for name in NAMES:
        assert (run.envelopes[name]["phase"], run.envelopes[name]["part"]) == ("weekly", day)
        assert run.envelopes[name]["counts"]["ok"] > 0


@pytest.mark.parametrize("day", [day for day in DAYS if day != "thu"])
def test_a_look_is_one_command_over_ssh(run_of, day: str) -> None:
    assert run_of(day).commands == dict.fromkeys(NAMES, 1)


def test_thursday_takes_care_of_the_sound_database_and_leaves_the_other(bench: Bench, checked, run_of) -> None:
    run = run_of("thu")
    # What check mode left alone is what a real run changes: the fingerprints would have told.
    _runs, before, _after, _recorded = checked
    assert bench.trees()[CLEAN][faults.DATABASE[1:]] != before[CLEAN][faults.DATABASE[1:]]
    statuses = {name: run.statuses(name) for name in NAMES}
    assert statuses[CLEAN][f"maintenance.integrity|{faults.DATABASE}"] == "OK"
    assert statuses[CLEAN][f"maintenance.foreign_keys|{faults.DATABASE}"] == "OK"
    events = Ledger(bench.directory / "state/ledger.db").query(["maintenance.sqlite"], limit=0).events
    done = {event.subject: event.data["actions"] for event in events}
    assert done[CLEAN]["analyze"]["result"] == "done", json.dumps(done[CLEAN])
    assert done[SICK]["analyze"]["result"] == "refused", json.dumps(done[SICK])
    verified = Ledger(bench.directory / "state/ledger.db").query(["backup.verify"], limit=0).events
    assert {event.subject: event.data["ok"] for event in verified} == dict.fromkeys(NAMES, True)
    # The tool of the trade says so too: SQLite's own command, on the host.
    counted = bench.clean.run("sqlite3", f"file:{faults.DATABASE}?mode=ro", "SELECT count(*) FROM sqlite_stat1").stdout
    assert int(counted) > 0


@pytest.mark.parametrize("day", DAYS)
def test_report_of_each_day_tells_it(bench: Bench, run_of, day: str) -> None:
    run_of(day)
    assert TITLES[day] in bench.reports[day]
