# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes of Monday and Wednesday on a real host: nothing on a healthy one, everything on one that was broken into."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faults
import lab
import pytest
from runs import ansible

NAME = "tutor1"
NETS = range(41, 45)
STATUS = ("OK", "WARNING", "CRITICAL", "UNKNOWN", "SKIPPED")
PROBES: list[dict[str, Any]] = [
    # The lists of the tree are as old as the tree.
    {"kind": "updates", "name": "u", "units": ["nginx"], "thresholds": {"updates.lists": {"warn": ""}}},
    {"kind": "logins", "name": "l"},
    {"kind": "permissions", "name": "p"},
    {"kind": "accounts", "name": "a"},
    {"kind": "port", "ports": [{"port": 80, "scope": "any"}], "declared": [22]},
]
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - bilingual_tutor.ops.service_health: {probes: "{{ probes }}", previous: "{{ previous }}", deadline: 60}
      register: seen
    - ansible.builtin.copy: {content: "{{ seen | to_json }}", dest: "{{ result }}", mode: "0600"}
      delegate_to: localhost
"""
pytestmark = pytest.mark.skipif(bool(lab.why_not()), reason=lab.why_not() or "a lab can be had")


class Bench:
    """One host, and the state of the last look at it."""

    def __init__(self, directory: Path, ours: lab.Lab) -> None:
        self.directory = directory
        self.lab = ours
        ours.up([NAME], fresh=True)
        self.host = ours.host(NAME)
        (directory / "hosts.yml").write_text(ours.inventory([NAME]))
        (directory / "play.yml").write_text(PLAY)
        self.state: dict[str, Any] = {}

    def look(self, **options: Any) -> dict[str, dict[str, Any]]:
        """Run all probes through Ansible; return the checks by id. ``options`` are added to those that take them."""
        probes = [{**one, **options} if one["kind"] in ("permissions", "accounts") else one for one in PROBES]
        given = self.directory / "given.json"
        result = self.directory / "result.json"
        given.write_text(json.dumps({"probes": probes, "previous": self.state, "result": str(result)}))
        done = ansible(self.directory, str(self.directory / "play.yml"), "-e", f"@{given}", seconds=120)
        assert done.returncode == 0, done.stdout + done.stderr
        seen = json.loads(result.read_text())
        self.state = seen["state"]
        return {check["id"]: check for check in seen["checks"]}

    def guess(self, user: str, password: str, times: int) -> None:
        """Try to log in with a password."""
        ask = self.directory / "ask"
        ask.write_text(f"#!/bin/sh\necho {shlex.quote(password)}\n")
        ask.chmod(0o700)
        words = ["ssh", "-F", str(self.lab.ssh_config), "-o", "BatchMode=no", "-o", "PubkeyAuthentication=no"]
        words += ["-o", f"NumberOfPasswordPrompts={times}", "-l", user, self.host.address, "true"]
        environ = {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        subprocess.run(words, capture_output=True, env=environ, timeout=60, check=False)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The host, for all tests of this file."""
    with lab.Lab.reserved(NETS) as ours:
        yield Bench(tmp_path_factory.mktemp("security"), ours)


def statuses(checks: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: STATUS[check["status"]] for name, check in checks.items() if name != "check.duration"}


def findings(checks: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: told for name, told in statuses(checks).items() if told not in ("OK", "SKIPPED")}


def test_a_healthy_host_has_no_finding_and_costs_little(bench: Bench) -> None:
    for _turn in range(2):
        checks = bench.look()
        assert findings(checks) == {}
        assert len(checks) > 25
    # Each probe by itself within 2 s; the machine below may be busy.
    slow = {name: check["duration_ms"] for name, check in checks.items() if check["duration_ms"] > 4000}
    assert slow == {}
    assert len(json.dumps(bench.state)) < 24_000


def test_a_host_that_was_broken_into_tells_everything(bench: Bench) -> None:
    faults.sh(
        bench.host,
        """
        useradd -m -s /bin/bash carol && echo carol:guessed | chpasswd
        useradd -o -u 0 -M -s /bin/bash toor
        sed -i 's/^toor:[^:]*:/toor::/' /etc/shadow
        echo 'carol ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/carol
        usermod -aG adm carol
        ssh-keygen -q -t ed25519 -N '' -f /tmp/back && cat /tmp/back.pub >> /root/.ssh/authorized_keys
        printf 'PermitRootLogin yes\\n' > /etc/ssh/sshd_config.d/open.conf
        install -m 4755 /bin/dash /usr/local/bin/helper
        install -m 644 /tmp/back /opt/bilingual-tutor/config/server.key
        install -m 777 /dev/null /etc/cron.d/anybody
        touch /opt/orphan && chown 54321:54321 /opt/orphan
        apt-mark hold curl
        real=$(grep -o '/[^ ]*libz[.]so[^ ]*' /proc/$(cat /run/nginx.pid)/maps | head -1)
        cp -p $real $real.new && mv $real.new $real
        systemd-run --quiet --unit=stranger python3 -m http.server 8099 --bind 0.0.0.0 --directory /srv
        """,
    )
    lab.wait_for("the stranger", lambda: ":8099" in bench.host.run("ss", "-tln").stdout, 10)
    bench.guess("carol", "wrong", 5)
    bench.guess("carol", "guessed", 1)
    bench.host.run("journalctl", "--sync")
    checks = bench.look()
    assert findings(checks) == {
        "accounts.uid0": "CRITICAL",
        "accounts.empty_password": "CRITICAL",
        "accounts.keys": "CRITICAL",
        "accounts.new": "WARNING",
        "accounts.privileged": "WARNING",
        "accounts.sudo": "WARNING",
        "sshd.root_login": "WARNING",
        "sshd.passwords": "WARNING",
        "sshd.max_auth_tries": "WARNING",
        "logins.break_in": "CRITICAL",
        "permissions.nobody": "WARNING",
        "permissions.secrets": "CRITICAL",
        "permissions.setuid": "WARNING",
        "permissions.writable": "CRITICAL",
        "port.unexpected": "WARNING",
        "updates.held": "WARNING",
        "updates.restart": "WARNING",
    }
    assert "nginx.service" in checks["updates.restart"]["summary"]
    assert "python3" in checks["port.unexpected"]["evidence"][0]
    assert all(checks[name]["fix"] for name in findings(checks))
    assert "guessed" not in json.dumps(list(checks.values()))


def test_drift_is_accepted_and_what_is_wrong_stays_so(bench: Bench) -> None:
    still = findings(bench.look())
    assert {"accounts.keys", "accounts.sudo", "permissions.setuid"} <= still.keys()
    assert "logins.break_in" not in still, "told by the run that read it"
    bench.look(rebaseline=True)
    after = findings(bench.look()).keys()
    drift = {"accounts.keys", "accounts.new", "accounts.privileged", "accounts.sudo", "permissions.setuid"}
    assert not after & drift
    assert {"accounts.uid0", "accounts.empty_password", "permissions.secrets", "sshd.root_login"} <= after
