# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The updates probe: the real apt on a small package source of its own, and real processes whose code was replaced."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import catalogue, proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry, updates
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.runner import run_probes
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.updates import apt, restart

DAY = 86400.0
# apt takes no version that it could not download.
FILE = {"Filename": "pool/tool.deb", "Size": "1", "SHA256": "0" * 64}
needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt on this machine")


def stanza(name: str, version: str, **fields: str) -> str:
    told = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "x <x@example.org>", **fields}
    return "".join(f"{key}: {value}\n" for key, value in told.items()) + "Description: x\n\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server of files that says nothing."""

    def log_message(self, *_args):
        pass


class Host:
    """What apt has on a host, in a directory: sources on a web server, a status file, settings."""

    def __init__(self, top: Path) -> None:
        self.top = top
        (top / "repo").mkdir()
        serve = functools.partial(Quiet, directory=str(top / "repo"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        for folder in ("lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "dpkg"):
            (top / folder).mkdir(parents=True)
        (top / "etc/trusted.gpg.d").mkdir()
        (top / "periodic").mkdir()
        (top / "apt.conf").write_text(
            f'Dir::Etc "{top}/etc/"; Dir::State "{top}/"; Dir::State::lists "{top}/lists/";\n'
            f'Dir::State::status "{top}/dpkg/status"; Dir::Cache "{top}/cache/"; Dir::Log "{top}/log";\n'
            f'Acquire::Retries "0"; Acquire::http::Proxy "DIRECT"; APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Sandbox::User "root";\n'
            f'Unattended-Upgrade::LogDir "{top}/log";\n'
        )
        self.sources: list[str] = []

    def close(self) -> None:
        self.server.shutdown()  # a second time does nothing
        self.server.server_close()

    def install(self, *packages: str) -> None:
        (self.top / "dpkg/status").write_text("".join(packages))

    def source(self, suite: str, label: str, packages: str) -> None:
        folder = self.top / "repo/dists" / suite
        (folder / "main/binary-amd64").mkdir(parents=True)
        path = folder / "main/binary-amd64/Packages"
        path.write_text(packages)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "Release").write_text(
            f"Origin: Debian\nLabel: {label}\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
            f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S UTC', time.gmtime())}\n"
            f"SHA256:\n {digest} {path.stat().st_size} main/binary-amd64/Packages\n"
        )
        self.sources.append(f"deb [trusted=yes] http://127.0.0.1:{self.server.server_port}/ {suite} main\n")
        (self.top / "etc/sources.list").write_text("".join(self.sources))

    def source_again(self) -> None:
        (self.top / "etc/sources.list").write_text("".join(self.sources * 2))

    def update(self) -> None:
        done = subprocess.run(["apt-get", "update"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def daily(self, text: str = 'APT::Periodic::Unattended-Upgrade "1";\n') -> None:
        with (self.top / "apt.conf").open("a") as handle:
            handle.write(text)

    def ran(self, days_ago: float, log: str = "") -> None:
        stamp = self.top / "periodic/unattended-upgrades-stamp"
        stamp.touch()
        os.utime(stamp, (time.time() - days_ago * DAY,) * 2)
        (self.top / "log").mkdir(exist_ok=True)
        (self.top / "log/unattended-upgrades.log").write_text(log)


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    made = Host(tmp_path)
    made.install(stanza("tool", "1.0", Status="install ok installed"))
    yield made
    made.close()


@pytest.fixture
def supplied(host):
    host.source("stable", "Debian", stanza("tool", "1.0", **FILE))
    host.source("stable-security", "Debian-Security", stanza("tool", "1.1", **FILE))
    return host


def look(previous=None, **spec):
    asked = {"unattended": False, "units": [], **spec}
    result = updates.probe(asked, previous or {}, Deadline(30))
    return {check.id: check for check in result.checks}, result.state


@needs_apt
def test_a_security_update_is_told_with_the_archive_it_comes_from(supplied):
    supplied.update()
    checks, _state = look()
    found = checks["updates.security"]
    assert (found.status, found.params["count"], found.evidence) == (Status.WARNING, 1, ["tool 1.0 -> 1.1"])
    assert checks["updates.pending"].value == 0
    assert checks["updates.lists"].status is Status.OK


@needs_apt
def test_one_that_waits_for_more_than_a_week_is_critical(supplied):
    supplied.update()
    _checks, state = look()
    state["security"] = {"tool": time.time() - 8 * DAY, "gone": 0.0}
    checks, after = look(state)
    assert checks["updates.security"].status is Status.CRITICAL
    assert after["security"].keys() == {"tool"}


@needs_apt
def test_an_ordinary_update_is_no_security_update(host):
    host.source("stable", "Debian", stanza("tool", "1.1", **FILE))
    host.update()
    checks, _state = look()
    assert checks["updates.security"].status is Status.OK
    assert (checks["updates.pending"].value, checks["updates.pending"].evidence) == (1, ["tool"])


@needs_apt
def test_a_held_package_hides_no_update(supplied):
    supplied.install(stanza("tool", "1.0", Status="hold ok installed"))
    supplied.update()
    checks, _state = look()
    assert checks["updates.held"].status is Status.WARNING
    assert checks["updates.security"].params["count"] == 1


@needs_apt
def test_lists_that_never_came_are_unknown_and_never_none(supplied):
    checks, _state = look()
    assert checks["updates.security"].status is Status.UNKNOWN
    assert (checks["updates.lists"].status, checks["updates.lists"].params["count"]) == (Status.UNKNOWN, 2)
    supplied.update()
    (supplied.top / "lists/partial/half_Packages").touch()
    assert look()[0]["updates.lists"].evidence == ["missing: partial/half_Packages"]


@needs_apt
def test_one_list_of_two_that_is_missing_is_named(supplied):
    supplied.update()
    for path in (supplied.top / "lists").glob("*stable-security*"):
        path.unlink()
    checks, _state = look()
    assert checks["updates.security"].status is Status.UNKNOWN
    assert "stable-security" in checks["updates.lists"].evidence[0]


@needs_apt
def test_a_broken_source_is_unknown_with_what_apt_says(host):
    (host.top / "etc/sources.list").write_text("deb nonsense\n")
    checks, state = look({"security": {"tool": 5.0}})
    assert checks["updates.security"].status is Status.UNKNOWN
    assert "E:" in checks["updates.security"].summary
    assert state["security"] == {"tool": 5.0}, "what was known is not forgotten"
    (host.top / "etc/sources.list").write_text("")
    assert look()[0]["updates.lists"].message == "updates.no_sources"


@needs_apt
def test_what_apt_warns_of_is_evidence(supplied):
    supplied.update()
    supplied.source_again()
    assert look()[0]["updates.lists"].evidence[0].startswith("W:")


@needs_apt
def test_old_lists_warn(supplied, monkeypatch):
    supplied.update()
    monkeypatch.setattr(updates.time, "time", lambda now=time.time: now() + 4 * DAY)
    assert look()[0]["updates.lists"].status is Status.WARNING


@needs_apt
def test_an_update_of_the_lists_that_failed_makes_them_no_fresher(supplied):
    supplied.update()
    of = apt.settings(10)
    before = apt.package_lists(of, 10).fresh
    supplied.close()
    subprocess.run(["apt-get", "update"], capture_output=True, check=False)
    assert (supplied.top / "lists/partial").stat().st_ctime > before
    assert apt.package_lists(of, 10).fresh == before


@needs_apt
def test_half_installed_packages_are_critical(host):
    host.install(
        stanza("tool", "1.0", Status="install ok half-configured"),
        stanza("odd", "1.0", Status="install reinstreq installed"),
        stanza("gone", "1.0", Status="deinstall ok config-files"),
    )
    host.source("stable", "Debian", stanza("tool", "1.0", **FILE))
    host.update()
    check = look()[0]["updates.broken"]
    assert check.status is Status.CRITICAL
    assert check.evidence == ["tool (half-configured)", "odd (installed)"]


@needs_apt
@pytest.mark.parametrize(
    ("installed", "enabled", "days", "log", "expected", "wanted"),
    [
        (False, False, None, "", Status.SKIPPED, False),
        (False, False, None, "", Status.WARNING, True),
        (True, False, 1, "", Status.WARNING, True),
        (True, True, None, "", Status.WARNING, False),
        (True, True, 1, "", Status.OK, True),
        (True, True, 4, "", Status.WARNING, True),
        (True, True, 1, "2026-11-22 06:00:01,000 ERROR Cache has broken packages, exiting\n", Status.WARNING, True),
        (True, True, 1, "2026-11-22 06:00:01,000 INFO No packages found\n", Status.OK, True),
    ],
)
def test_unattended_upgrades(host, installed, enabled, days, log, expected, wanted):
    if installed:
        host.install(stanza("unattended-upgrades", "2.9", Status="install ok installed"))
    host.source("stable", "Debian", "")
    host.update()
    if enabled:
        host.daily()
    if days is not None:
        host.ran(days, log)
    assert look(unattended=wanted)[0]["updates.unattended"].status is expected


@needs_apt
def test_a_switch_over_all_daily_jobs_is_seen(host):
    host.daily()
    assert apt.settings(10).unattended
    host.daily('APT::Periodic::Enable "0";\n')
    assert not apt.settings(10).unattended


@needs_apt
@pytest.mark.parametrize("age", ["current", "old", "absent"])
def test_nothing_is_written(supplied, age):
    supplied.update()
    cache = supplied.top / "cache"
    subprocess.run(["apt-get", "check"], capture_output=True, check=False)
    assert (cache / "pkgcache.bin").exists()
    if age == "old":
        later = time.time() + 5
        os.utime(supplied.top / "dpkg/status", (later, later))
    if age == "absent":
        for path in cache.glob("*.bin"):
            path.unlink()

    def traces():
        return {path: path.stat().st_mtime_ns for path in supplied.top.rglob("*") if path.is_file()}

    before = traces()
    assert look()[0]["updates.security"].params["count"] == 1
    assert traces() == before


def test_lines_of_a_real_simulation():
    text = (
        "Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.10/stable, Debian-Security:12/stable-security [amd64])\n"
        "Inst linux-image-6.1.0-39-amd64 (6.1.148-1 Debian-Security:12/stable-security [amd64])\n"
        "Inst bash [5.2.15-2+b2] (5.2.15-2+b8 Debian:12.11/oldstable [amd64]) []\n"
        "Inst openssl [3.0.2-0ubuntu1.1] (3.0.2-0ubuntu1.2 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])\n"
        "Conf libc6 (2.36-9+deb12u10 Debian:12.10/stable [amd64])\n"
    )
    seen = [(one.name, one.security) for one in apt.parse_simulation(text)]
    assert seen == [("libc6", True), ("bash", False), ("openssl", True)]


@pytest.fixture
def replaced(tmp_path, spawn, monkeypatch):
    """A process that runs a copy of a library from a directory of code, which is then replaced as dpkg does."""
    [library] = [
        path for path in {line.split()[-1] for line in proc.read("/proc/self/maps").splitlines()} if "libc.so" in path
    ]
    copy = tmp_path / "libreplaced.so"
    shutil.copy(library, copy)
    monkeypatch.setattr(restart, "_CODE", restart.re.compile(str(tmp_path) + "/.*"))
    code = (
        "import mmap, sys; f = open(sys.argv[1], 'rb'); "
        "m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC); print(flush=True); input()"
    )
    process = spawn(code, str(copy))
    process.stdout.readline()
    return process, copy


def test_replaced_code_is_found_in_the_process_that_runs_it(replaced):
    process, copy = replaced
    maps = f"/proc/{process.pid}/maps"
    assert list(restart.replaced(maps)) == []
    new = copy.with_suffix(".dpkg-new")
    shutil.copy(copy, new)
    os.replace(new, copy)
    assert set(restart.replaced(maps)) == {str(copy)}
    assert any(str(copy) in files for files in restart.stale_units(Deadline(10)).units.values())


def test_a_service_is_named_by_its_unit_and_critical_after_a_week_only_if_it_counts(monkeypatch):
    found = restart.Stale({"nginx.service": {"/usr/lib/libssl.so.3"}, "cron.service": {"/usr/lib/libc.so.6"}}, 9)
    monkeypatch.setattr(updates, "stale_units", lambda _deadline: found)
    week = {"cron.service": time.time() - 8 * DAY, "nginx.service": time.time() - 8 * DAY}

    def status(units, before):
        say = updates.AREA.reporter()
        return updates._judge_restart(say, {"units": units}, before, {}, Deadline(5), time.time()).status

    assert status([], {}) is Status.WARNING
    assert status([], week) is Status.WARNING
    assert status(["nginx"], week) is Status.CRITICAL
    assert status(["nginx"], {"cron.service": week["cron.service"]}) is Status.WARNING


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/nginx.service\n", "nginx.service"),
        ("9:name=systemd:/\n0::/system.slice/system-x.slice/x@1.service/sub\n", "x@1.service"),
        ("0::/user.slice/user-0.slice/session-3.scope\n", "login sessions"),
    ],
)
def test_the_unit_of_a_process(tmp_path, cgroup, unit):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/cgroup").write_text(cgroup)
    assert restart.unit_of(1, str(tmp_path)) == unit


def test_a_pending_reboot_is_told_as_the_host_probe_tells_it_and_can_be_waived(monkeypatch, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/reboot-required").touch()
    monkeypatch.setattr(updates, "Files", lambda files=updates.Files: files(str(tmp_path)))
    waiver = {"check": "reboot.*", "until": "2999-12-31", "reason": "x"}
    for waivers, status in (([], Status.WARNING), ([waiver], Status.SKIPPED)):
        ran = run_probes(registry.prepare_all([{"kind": "updates", "waivers": waivers}]), {}, 30)
        [check] = [one for one in ran.checks if one.id == "reboot.required"]
        assert check.status is status
        assert "需要重启" in catalogue.summary(check, "zh")


def test_a_unit_that_cannot_be_one_is_refused():
    with pytest.raises(OpsError):
        updates.validate({"units": ["nginx; rm"]})


def test_this_interpreter_is_not_replaced():
    assert sys.executable not in set(restart.replaced("/proc/self/maps"))
