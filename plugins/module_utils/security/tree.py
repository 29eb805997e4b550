# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over directory trees that finds what anybody may write, run with another's rights, or read though it is secret.

Never across a mount, never through a symlink, never without an end: a pass stops at its deadline or after so many entries.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.cursor import open_regular
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

# Of each kind of finding this many are kept by name; more are only counted.
KEPT = 200
# Secrets are told by their first bytes, and so many files are opened for that.
HEAD_BYTES, HEADS = 4096, 2000
# How often the clock is looked at.
CLOCK_ENTRIES = 500

_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_PUBLIC = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*(?:CERTIFICATE|PUBLIC KEY|PUBLIC KEY BLOCK|DH PARAMETERS|X509 CRL)")
# The first byte of an OpenPGP public key that is not armoured (RFC 9580, packet 6 in both formats).
_PGP_PUBLIC = (0x98, 0x99, 0xC6)
_SQLITE = b"SQLite format 3\x00"
# Secret whatever they hold.
_SECRET_NAME = re.compile(
    r"^(?:\.env(?:\..+)?|.+\.env|\.git-credentials|\.netrc|\.pgpass|\.my\.cnf|\.htpasswd|\.pypirc|\.vault_pass.*|"
    r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|.+\.(?:kdbx|p12|pfx|jks|keytab)|shadow-?|gshadow-?)$"
)
# Kept as an example for people, with nothing in it.
_EXAMPLE = re.compile(r"(?i)(?:example|sample|template|dist|default)s?$")
_DATABASE = re.compile(r"\.(?:db|sqlite3?|db3|rdb)(?:-wal|-journal)?$")
_KEY = re.compile(r"\.(?:key|pem)$")


@dataclass
class Found:
    """One kind of finding: how many, and the first of them."""

    count: int = 0
    items: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count one."""
        self.count += 1
        if len(self.items) < KEPT:
            self.items.append(text)


@dataclass
class Tree:
    """What one pass over all trees found."""

    entries: int = 0
    stopped: str = ""
    missing: list[str] = field(default_factory=list)
    denied: Found = field(default_factory=Found)
    writable: Found = field(default_factory=Found)
    writable_and_run: int = 0
    open_directories: Found = field(default_factory=Found)
    nobody: Found = field(default_factory=Found)
    secrets: Found = field(default_factory=Found)
    private_keys: int = 0
    setuid: dict[str, str] = field(default_factory=dict)
    heads: int = 0


class Scan:
    """One pass over trees."""

    def __init__(self, excluded: Sequence[str], most: int, deadline: Deadline) -> None:
        self.excluded = list(excluded)
        self.accounts: dict[tuple[int, int], bool] = {}
        self.most = most
        self.deadline = deadline
        self.found = Tree()

    def run(self, roots: Iterable[str]) -> Tree:
        """Look at all trees; one inside another on the same file system is looked at once."""
        for root, device in distinct(roots, self.found.missing):
            if not self._walk(root, device):
                break
        return self.found

    def _walk(self, root: str, device: int) -> bool:
        """Look at one tree; return whether there is time for another."""
        todo = [(root, passable(root))]
        self._judge(root, os.path.basename(root), os.stat(root), todo[0][1])
        while todo:
            directory, open_to_all = todo.pop()
            try:
                listing = os.scandir(directory)
            except OSError:
                self.found.denied.add(directory)
                continue
            with listing:
                for entry in listing:
                    self.found.entries += 1
                    if not self._goes_on(directory):
                        return False
                    try:
                        seen = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # gone since
                    if self._skipped(entry.path):
                        continue
                    self._judge(entry.path, entry.name, seen, open_to_all)
                    if stat.S_ISDIR(seen.st_mode) and seen.st_dev == device:
                        todo.append((entry.path, open_to_all and bool(seen.st_mode & stat.S_IXOTH)))
        return True

    def _goes_on(self, directory: str) -> bool:
        late = self.found.entries % CLOCK_ENTRIES == 0 and self.deadline.expired
        if late or self.found.entries > self.most:
            self.found.stopped = directory
        return not self.found.stopped

    def _has_account(self, uid: int, gid: int) -> bool:
        """Tell whether user and group exist; each pair is asked once, the account may live in a directory service."""
        if (uid, gid) not in self.accounts:
            try:
                self.accounts[uid, gid] = bool(pwd.getpwuid(uid) and grp.getgrgid(gid))
            except KeyError:
                self.accounts[uid, gid] = False
        return self.accounts[uid, gid]

    def _skipped(self, path: str) -> bool:
        return bool(self.excluded) and any(fnmatchcase(path, pattern) for pattern in self.excluded)

    def _judge(self, path: str, name: str, seen: os.stat_result, open_to_all: bool) -> None:
        mode = seen.st_mode
        if not self._has_account(seen.st_uid, seen.st_gid):
            self.found.nobody.add(f"{seen.st_uid}:{seen.st_gid} {path}")
        if stat.S_ISDIR(mode):
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX and open_to_all:
                self.found.open_directories.add(_shown(path, mode))
            return
        if not stat.S_ISREG(mode):
            return
        if mode & (stat.S_ISUID | stat.S_ISGID) and mode & 0o111:
            self.found.setuid[path] = f"{stat.S_IMODE(mode):04o} {seen.st_uid}:{seen.st_gid}"
        if not open_to_all:
            return
        if mode & stat.S_IWOTH:
            self.found.writable.add(_shown(path, mode))
            if mode & 0o111 or path.startswith("/etc/"):
                self.found.writable_and_run += 1
        if mode & stat.S_IROTH:
            self._secret(path, name, mode)

    def _secret(self, path: str, name: str, mode: int) -> None:
        """Tell whether a file that everybody may read is a secret: by its name, or by its first bytes."""
        if _SECRET_NAME.match(name) and not _EXAMPLE.search(name):
            self.found.secrets.add(_shown(path, mode))
            return
        key, database = _KEY.search(name), _DATABASE.search(name)
        if not key and not database:
            return
        head = self._head(path)
        if key and _PRIVATE_KEY.search(head):
            self.found.private_keys += 1
            self.found.secrets.add(f"{_shown(path, mode)} (private key)")
        elif name.endswith(".key") and is_secret_key(head):
            self.found.secrets.add(f"{_shown(path, mode)} (key)")
        elif database and (head.startswith((_SQLITE, b"REDIS")) or not name.endswith((".db", ".rdb"))):
            self.found.secrets.add(f"{_shown(path, mode)} (database)")

    def _head(self, path: str) -> bytes:
        if self.found.heads >= HEADS:
            return b""
        self.found.heads += 1
        try:
            with open_regular(path) as handle:
                return handle.read(HEAD_BYTES)
        except OSError:
            return b""


def _shown(path: str, mode: int) -> str:
    return f"{stat.filemode(mode)} {path}"


def is_secret_key(head: bytes) -> bool:
    """Tell whether what is in a file named .key is no public key, certificate or document."""
    if not head.strip() or _PUBLIC.search(head):
        return False
    # Presentations of Keynote are archives, and are named so too.
    return head[0] not in _PGP_PUBLIC and not head.startswith(b"PK\x03\x04")


def distinct(roots: Iterable[str], missing: list[str]) -> list[tuple[str, int]]:
    """Return the trees that are there, without those inside another on the same file system, each with its device."""
    result: list[tuple[str, int]] = []
    for root in sorted({os.path.realpath(root) for root in roots}):
        try:
            device = os.stat(root).st_dev
            if not os.path.isdir(root):
                raise NotADirectoryError(root)
        except OSError:
            missing.append(root)
            continue
        if not any(root.startswith(other.rstrip("/") + "/") and device == on for other, on in result):
            result.append((root, device))
    return result


def passable(path: str) -> bool:
    """Tell whether everybody may pass through a directory and all above it."""
    parts = path.rstrip("/").split("/")
    above = ["/".join(parts[: count + 1]) or "/" for count in range(len(parts))]
    return all(os.stat(one).st_mode & stat.S_IXOTH for one in above)
