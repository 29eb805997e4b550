# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read who may log in to a host and become root there: accounts, passwords, groups, sudo rules, ssh keys.

Of passwords and keys only what is needed leaves this file: whether there is one, and a key's fingerprint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.cursor import open_regular

# Whoever is in one of these groups is root, or reads what only root should (Debian's base-passwd documentation).
PRIVILEGED = ("root", "sudo", "wheel", "admin", "adm", "disk", "shadow", "docker", "lxd", "libvirt", "kmem")
KEY_BYTES = 1 << 20
_KEY = re.compile(r"(?:^|\s)(?P<type>(?:sk-)?(?:ssh|ecdsa)-[\w@.-]+)\s+(?P<blob>[A-Za-z0-9+/]+=*)(?:\s|$)")
# sudo reads no file with a dot in its name or a tilde at its end (sudoers(5), "@includedir").
_READ_BY_SUDO = re.compile(r"^[^.]*[^.~]$")


@dataclass(frozen=True)
class Account:
    """One line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def logs_in(self) -> bool:
        """Tell whether it has a shell."""
        return os.path.basename(self.shell) not in ("nologin", "false", "sync", "halt", "shutdown")


def accounts(path: str) -> list[Account]:
    """Read /etc/passwd: the accounts of this host, not those of a directory service."""
    found = []
    for fields in _fields(path):
        if len(fields) >= 7 and fields[2].isdigit() and fields[3].isdigit():
            found.append(Account(fields[0], int(fields[2]), int(fields[3]), fields[5], fields[6] or "/bin/sh"))
    return found


def groups(path: str) -> dict[str, tuple[int, list[str]]]:
    """Read /etc/group: number and members of each group."""
    return {
        fields[0]: (int(fields[2]), sorted(filter(None, fields[3].split(","))))
        for fields in _fields(path)
        if len(fields) >= 4 and fields[2].isdigit()
    }


def passwords(path: str) -> dict[str, str]:
    """Return for each account what its password is: ``empty``, ``set`` or ``none`` (locked, or never had one)."""
    kinds = {}
    for fields in _fields(path):
        if len(fields) >= 2:
            kinds[fields[0]] = "none" if fields[1][:1] in ("!", "*") else "set" if fields[1] else "empty"
    return kinds


def _fields(path: str) -> Iterator[list[str]]:
    with open(path, encoding="utf-8", errors="replace") as handle:
        for line in handle:
            if not line.startswith(("#", "+", "-")):
                yield line.rstrip("\n").split(":")


def sudo_rules(main: str, folder: str) -> list[str]:
    """Return every rule of sudo, and every setting that lets somebody in without a password."""
    files = [Path(main)]
    if os.path.isdir(folder):
        files += sorted(path for path in Path(folder).iterdir() if _READ_BY_SUDO.match(path.name))
    rules = []
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
        for line in text.splitlines():
            rule = " ".join(line.split())
            if not rule or rule.startswith(("#", "@")) or (rule.startswith("Defaults") and "authenticate" not in rule):
                continue
            rules.append(rule)
    return rules


def keys(users: Iterable[Account], patterns: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return user and fingerprint of every key that lets somebody in, and the files that were hidden from us."""
    found, hidden = [], []
    for user in users:
        for path in sorted({expand(pattern, user) for pattern in patterns}):
            try:
                with open_regular(path) as handle:
                    text = handle.read(KEY_BYTES).decode(errors="replace")
            except PermissionError:
                hidden.append(path)
            except OSError:
                continue
            else:
                found += [(user.name, one) for one in fingerprints(text)]
    return sorted(set(found)), hidden


def expand(pattern: str, user: Account) -> str:
    """Return a path of AuthorizedKeysFile for one user (sshd_config(5), TOKENS)."""
    told = pattern.replace("%%", "\0").replace("%h", user.home).replace("%u", user.name).replace("%U", str(user.uid))
    told = told.replace("\0", "%")
    return told if told.startswith("/") else os.path.join(user.home, told)


def fingerprints(text: str) -> Iterator[str]:
    """Yield type and fingerprint of each key of an authorized_keys file, as ``ssh-keygen -l`` prints them."""
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") else _KEY.search(line)
        if not match:
            continue
        try:
            digest = hashlib.sha256(base64.b64decode(match["blob"], validate=True)).digest()
        except binascii.Error:
            continue
        yield f"{match['type']} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def members(found: Mapping[str, tuple[int, list[str]]], users: Sequence[Account]) -> list[str]:
    """Return who is in a group that makes him root or nearly so, as ``group: user``."""
    result = []
    for group in PRIVILEGED:
        if group in found:
            number, named = found[group]
            primary = [user.name for user in users if user.gid == number and user.uid != 0 and user.logs_in]
            result += [f"{group}: {name}" for name in sorted({*named, *primary})]
    return result
