# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that keep strangers out: what sshd really does, kernel settings, fail2ban."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import SYSTEM_PATH, run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Files

COMMAND_SECONDS = 5.0
KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
ROOT_LOGIN = ("no", "prohibit-password", "without-password", "forced-commands-only")
# Where Debian 12 is as it was installed none of these is another: a finding is something that was weakened.
SYSCTL: dict[str, list[str]] = {
    "fs.protected_fifos": ["1", "2"],
    "fs.protected_hardlinks": ["1"],
    "fs.protected_regular": ["1", "2"],
    "fs.protected_symlinks": ["1"],
    "fs.suid_dumpable": ["0", "2"],
    "kernel.dmesg_restrict": ["1"],
    "kernel.randomize_va_space": ["2"],
    "kernel.unprivileged_bpf_disabled": ["1", "2"],
    "net.ipv4.conf.all.accept_source_route": ["0"],
    "net.ipv4.icmp_echo_ignore_broadcasts": ["1"],
    "net.ipv4.tcp_syncookies": ["1", "2"],
}


def sshd_settings(seconds: float) -> dict[str, str] | None:
    """Ask sshd for the settings that are in force for everybody (``sshd -T``); None when there is no sshd."""
    if not shutil.which("sshd", path=SYSTEM_PATH):
        return None
    output = run(["sshd", "-T"], min(COMMAND_SECONDS, seconds))
    if output.rc != 0:
        raise OpsError(output.complaint)
    return parse_settings(output.stdout)


def parse_settings(text: str) -> dict[str, str]:
    """Read ``name value`` lines; of a name that comes twice the first counts, as sshd does it."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _blank, value = line.partition(" ")
        found.setdefault(name.lower(), value.strip())
    return found


def judge_sshd(say: Reporter, settings: Mapping[str, str], has_password: Mapping[str, bool] | None) -> list[Check]:
    """Judge sshd's settings. ``has_password``: the accounts that log in and whether they have one; None if hidden."""
    asked = "yes" in (settings.get("passwordauthentication"), settings.get("kbdinteractiveauthentication"))
    # Where no account has a password, none can be guessed.
    guessable = asked and (has_password is None or any(has_password.values()))
    return [
        _root_login(say, settings.get("permitrootlogin", ""), asked, has_password),
        _passwords(say, settings, asked, guessable),
        _tries(say, settings, guessable),
    ]


def _root_login(say: Reporter, value: str, asked: bool, has_password: Mapping[str, bool] | None) -> Check:
    if value in ROOT_LOGIN:
        return say.find("sshd.root_login", Status.OK, "accounts.root_login", value_text=value)
    guessable = asked and (has_password is None or has_password.get("root", False))
    status = Status.CRITICAL if guessable else Status.WARNING
    return say.find("sshd.root_login", status, "accounts.root_login", value_text=value)


def _passwords(say: Reporter, settings: Mapping[str, str], asked: bool, guessable: bool) -> Check:
    if settings.get("permitemptypasswords") == "yes" and asked:
        return say.find("sshd.passwords", Status.CRITICAL, "accounts.empty_allowed")
    if guessable:
        return say.find("sshd.passwords", Status.WARNING, "accounts.passwords_allowed")
    return say.find("sshd.passwords", Status.OK, "accounts.passwords_moot" if asked else "accounts.keys_only")


def _tries(say: Reporter, settings: Mapping[str, str], guessable: bool) -> Check:
    value = int(settings.get("maxauthtries", "6"))
    if not guessable:
        return say.find("sshd.max_auth_tries", Status.OK, "accounts.tries_moot", value=value)
    return say.measure("sshd.max_auth_tries", value, "accounts.tries")


def judge_sysctl(say: Reporter, wanted: Mapping[str, Any], files: Files) -> Check:
    """Compare kernel settings with the values allowed; one the kernel does not have is passed over."""
    if files.container:
        return say.find("sysctl.hardening", Status.SKIPPED, "accounts.sysctl_container")
    wrong, seen = [], 0
    for name, allowed in sorted(wanted.items()):
        text = files.read("/proc/sys/" + name.replace(".", "/"))
        if text is None:
            continue
        seen += 1
        values = [str(one) for one in (allowed if isinstance(allowed, list) else [allowed])]
        if " ".join(text.split()) not in values:
            wrong.append(f"{name} = {' '.join(text.split())}, expected {' or '.join(values)}")
    if wrong:
        return say.find("sysctl.hardening", Status.WARNING, "accounts.sysctl_weak", value=len(wrong), evidence=wrong)
    return say.find("sysctl.hardening", Status.OK, "accounts.sysctl_good", value=0, count=seen)


def judge_fail2ban(say: Reporter, seconds: float) -> Check:
    """Ask fail2ban, where it is installed, whether it runs and guards sshd."""
    if not shutil.which("fail2ban-client", path=SYSTEM_PATH):
        return say.find("fail2ban.sshd", Status.SKIPPED, "accounts.fail2ban_absent")
    try:
        output = run(["fail2ban-client", "status"], min(COMMAND_SECONDS, seconds))
    except OpsError as exc:
        return say.find("fail2ban.sshd", Status.UNKNOWN, "accounts.fail2ban_error", error=str(exc))
    if output.rc != 0 and os.geteuid() != 0:
        words = {"reason": "denied", "error": output.complaint}
        return say.find("fail2ban.sshd", Status.UNKNOWN, "accounts.fail2ban_error", **words)
    if output.rc != 0:
        return say.find("fail2ban.sshd", Status.WARNING, "accounts.fail2ban_down", evidence=[output.complaint])
    jails = output.stdout.partition("Jail list:")[2].replace(",", " ").split()
    status = Status.OK if "sshd" in jails else Status.WARNING
    return say.find("fail2ban.sshd", status, "accounts.fail2ban_jails", jails=", ".join(jails) or "-")
