# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts probe, on the files of a small host; tests/lab/test_security.py looks at a whole one with a real sshd."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Files
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import accounts
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security import accounts as reading
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security import baseline, hardening


class Host:
    """The files of a host: root with a key, one service account, one person."""

    def __init__(self, top: Path) -> None:
        self.top = top
        (top / "etc/sudoers.d").mkdir(parents=True)
        for name, text in (
            ("passwd", f"root:x:0:0::{top}/root:/bin/bash\nsvc:x:999:999::/nonexistent:/usr/sbin/nologin\n"),
            ("group", "root:x:0:\nsudo:x:27:\nsvc:x:999:\nusers:x:100:\n"),
            ("shadow", "root:*:19000:0:99999:7:::\nsvc:!:19000::::::\n"),
            ("sudoers", "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"),
        ):
            (top / "etc" / name).write_text(text)
        self.append("etc/passwd", f"ann:x:1000:1000::{top}/home/ann:/bin/bash\n")
        self.append("etc/shadow", "ann:!:19000:0:99999:7:::\n")

    def append(self, name: str, text: str) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            handle.write(text)

    def new_key(self, home: str, options: str = "") -> str:
        """Let a real new key in, and return its fingerprint as ssh-keygen prints it."""
        key = self.top / f"key{len(list(self.top.iterdir()))}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a@b.example", "-f", key], check=True)
        self.append(f"{home}/.ssh/authorized_keys", options + key.with_suffix(".pub").read_text())
        printed = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout
        return printed.split()[1]

    def look(self, previous=None, **options):
        spec = {"sysctl": hardening.SYSCTL, "rebaseline": False, **options}
        result = accounts.examine(spec, previous or {}, Deadline(10), Files(str(self.top)))
        return {check.id: check for check in result.checks}, json.loads(json.dumps(result.state))


@pytest.fixture
def host(passable):
    return Host(passable)


def test_a_tidy_host_has_no_finding(host):
    host.new_key("root")
    checks, state = host.look()
    again, _state = host.look(state)
    for found in (checks, again):
        files = {name: check for name, check in found.items() if not name.startswith(("sshd", "fail2ban"))}
        assert {check.status for check in files.values()} == {Status.OK}


def test_a_second_root(host):
    host.append("etc/passwd", "toor:x:0:0::/root:/bin/sh\n")
    check = host.look()[0]["accounts.uid0"]
    assert (check.status, check.evidence) == (Status.CRITICAL, ["toor"])


def test_an_empty_password(host):
    host.append("etc/shadow", "guest::19000:0:99999:7:::\n")
    check = host.look()[0]["accounts.empty_password"]
    assert (check.status, check.evidence) == (Status.CRITICAL, ["guest"])


@pytest.mark.parametrize(
    ("name", "text", "check_id", "told"),
    [
        ("etc/passwd", "eve:x:1001:1001::/home/eve:/bin/sh\n", "accounts.new", "user eve (1001)"),
        ("etc/group", "ops:x:1005:\n", "accounts.new", "group ops (1005)"),
        ("etc/sudoers", "ann ALL=(ALL) NOPASSWD: ALL\n", "accounts.sudo", "ann ALL=(ALL) NOPASSWD: ALL"),
        ("etc/sudoers.d/ann", "ann ALL=(ALL) \\\n  ALL\n", "accounts.sudo", "ann ALL=(ALL) ALL"),
        ("etc/sudoers", "Defaults:ann !authenticate\n", "accounts.sudo", "Defaults:ann !authenticate"),
        ("etc/group", "docker:x:998:ann\n", "accounts.privileged", "docker: ann"),
    ],
)
def test_what_came_since_stays_a_finding_until_it_is_accepted(host, name, text, check_id, told):
    _checks, first = host.look()
    host.append(name, text)
    once, state = host.look(first)
    assert once[check_id].status is Status.WARNING
    assert told in once[check_id].evidence
    twice, state = host.look(state)
    assert twice[check_id].status is Status.WARNING
    accepted, state = host.look(state, rebaseline=True)
    after, _state = host.look(state)
    assert accepted[check_id].status is after[check_id].status is Status.OK


def test_what_sudo_does_not_read_is_no_rule(host):
    _checks, state = host.look()
    host.append("etc/sudoers.d/ann.bak", "ann ALL=(ALL) NOPASSWD: ALL\n")
    host.append("etc/sudoers.d/ann~", "ann ALL=(ALL) NOPASSWD: ALL\n")
    host.append("etc/sudoers", "# ann ALL=(ALL) NOPASSWD: ALL\nDefaults insults\n")
    assert host.look(state)[0]["accounts.sudo"].status is Status.OK


def test_a_new_key_is_told_by_its_fingerprint_and_one_of_root_is_critical(host):
    host.new_key("root")
    _checks, state = host.look()
    mine = host.new_key("home/ann", 'from="192.0.2.0/24",command="echo ssh-rsa" ')
    check = host.look(state)[0]["accounts.keys"]
    assert (check.status, check.evidence) == (Status.WARNING, [f"ann: ssh-ed25519 {mine}"])
    roots = host.new_key("root")
    check = host.look(state)[0]["accounts.keys"]
    assert check.status is Status.CRITICAL
    assert f"root: ssh-ed25519 {roots}" in check.evidence
    assert "b.example" not in json.dumps(check.as_dict()), "a comment is often a mail address"


def test_a_key_that_was_commented_out_is_none():
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0000000000000000000000000000000000000000000000 x"
    assert len(list(reading.fingerprints(line))) == 1
    assert list(reading.fingerprints("# " + line)) == []


def test_a_pipe_in_place_of_a_key_file_hangs_nobody(host):
    (host.top / "root/.ssh").mkdir(parents=True)
    os.mkfifo(host.top / "root/.ssh/authorized_keys")
    assert host.look()[0]["accounts.keys"].status is Status.OK


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (".ssh/authorized_keys", "/home/ann/.ssh/authorized_keys"),
        ("%h/keys", "/home/ann/keys"),
        ("/etc/ssh/keys/%u", "/etc/ssh/keys/ann"),
        ("/etc/100%%/%U", "/etc/100%/1000"),
    ],
)
def test_where_sshd_looks_for_keys(pattern, path):
    assert reading.expand(pattern, reading.Account("ann", 1000, 1000, "/home/ann", "/bin/sh")) == path


def test_the_baseline_is_small_and_tells_nothing(host):
    host.new_key("root")
    _checks, state = host.look()
    text = json.dumps(state)
    assert "root" not in text.replace("accounts.", "")
    assert "SHA256" not in text
    many = baseline.compare((str(number) for number in range(5000)), None, False)
    assert len(many.baseline) == baseline.REMEMBERED


def test_what_is_gone_is_forgotten():
    first = baseline.compare(["a", "b"], None, False)
    second = baseline.compare(["a"], first.baseline, False)
    assert (second.new, second.first) == ([], False)
    assert baseline.compare(["a", "b"], second.baseline, False).new == ["b"]


def sshd(has_password, **changed):
    """Judge the settings of a Debian 12 as it is installed, with some of them changed."""
    settings = {
        "permitrootlogin": "without-password",
        "passwordauthentication": "yes",
        "kbdinteractiveauthentication": "no",
        "permitemptypasswords": "no",
        "maxauthtries": "6",
        **changed,
    }
    found = hardening.judge_sshd(accounts.AREA.reporter(), settings, has_password)
    return {check.id.partition(".")[2]: check.status for check in found}


NOBODY, ANN = {"root": False, "ann": False}, {"root": False, "ann": True}
GOOD, BAD, WORST = Status.OK, Status.WARNING, Status.CRITICAL


@pytest.mark.parametrize(
    ("has_password", "changed", "root", "passwords", "tries"),
    [
        (NOBODY, {}, GOOD, GOOD, GOOD),
        (ANN, {}, GOOD, BAD, BAD),
        (None, {}, GOOD, BAD, BAD),
        (ANN, {"maxauthtries": "4"}, GOOD, BAD, GOOD),
        (ANN, {"passwordauthentication": "no"}, GOOD, GOOD, GOOD),
        (ANN, {"passwordauthentication": "no", "kbdinteractiveauthentication": "yes"}, GOOD, BAD, BAD),
        (ANN, {"permitrootlogin": "yes"}, BAD, BAD, BAD),
        ({"root": True}, {"permitrootlogin": "yes"}, WORST, BAD, BAD),
        ({"root": True}, {"permitrootlogin": "yes", "passwordauthentication": "no"}, BAD, GOOD, GOOD),
        (None, {"permitrootlogin": "yes"}, WORST, BAD, BAD),
        (NOBODY, {"permitrootlogin": "no"}, GOOD, GOOD, GOOD),
        (NOBODY, {"permitemptypasswords": "yes"}, GOOD, WORST, GOOD),
    ],
)
def test_settings_of_sshd(has_password, changed, root, passwords, tries):
    assert sshd(has_password, **changed) == {"root_login": root, "passwords": passwords, "max_auth_tries": tries}


def test_the_first_value_of_a_setting_counts():
    text = "port 22\npasswordauthentication no\nPasswordAuthentication yes\n"
    assert hardening.parse_settings(text)["passwordauthentication"] == "no"


def test_kernel_settings(host):
    def status(value, **options):
        (host.top / "proc/sys/kernel").mkdir(parents=True, exist_ok=True)
        (host.top / "proc/sys/kernel/dmesg_restrict").write_text(f"{value}\n")
        return host.look(**options)[0]["sysctl.hardening"]

    assert status(1).status is Status.OK
    assert status(0).evidence == ["kernel.dmesg_restrict = 0, expected 1"]
    assert status(0, sysctl={"kernel.dmesg_restrict": 0}).status is Status.OK
    assert status(0, sysctl={"kernel.dmesg_restrict": [1, 0]}).status is Status.OK
    (host.top / "run/systemd").mkdir(parents=True)
    (host.top / "run/systemd/container").touch()
    assert status(0).status is Status.SKIPPED


def test_what_is_for_root_only_is_unknown_and_keeps_its_baseline(host, as_nobody):
    _checks, state = host.look()
    for name in ("etc/shadow", "etc/sudoers"):
        (host.top / name).chmod(0o600)

    def look():
        checks, after = host.look(state)
        return [[checks[name].status for name in ("accounts.empty_password", "accounts.sudo")], after]

    assert as_nobody(look) == [[Status.UNKNOWN] * 2, json.loads(json.dumps(state))]
