# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application as it is installed: what has to be the same on both hosts. Secrets are compared by a hash of theirs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import show

ASK_SECONDS = 5.0
# The same on all hosts, so that equal keys are seen to be equal; slow, since the result is kept in journals.
SALT, ROUNDS = b"tutor-ops failover_look secret", 100_000
SECRET = re.compile(r"^\s*(?:export\s+)?SECRET_KEY\s*=\s*(.*?)\s*$", re.MULTILINE)
# What is not the code of the application, and may differ between hosts.
NO_CODE = {"venv", ".venv", "env", "node_modules", "storage", "data", "logs", "log", "backups", "tmp", "__pycache__"}
CODE = (".py", ".html", ".sql", ".js", ".css")
CODE_FILES, CODE_BYTES = 5000, 64 << 20
VERSIONS = "import platform, sqlite3; print(platform.python_version(), sqlite3.sqlite_version)"


def application(root: str, python: str, service: str, secret_files: Sequence[str]) -> dict[str, Any] | None:
    """Return versions and hashes; what is not there is null. To be called in a child process: it gives up root."""
    if not root or not os.path.isdir(root):
        return None
    secret = _secret(root, service, secret_files)
    found: dict[str, Any] = {
        "version": _version(Path(root)),
        "packages": _packages(python),
        "secret_sha256": hashlib.pbkdf2_hmac("sha256", secret, SALT, ROUNDS).hex() if secret else None,
        "python": None,
        "sqlite": None,
    }
    if python and os.path.exists(python):
        # Its interpreter may be replaced by the application's user, so it is nothing for root to run.
        seen = os.stat(python, follow_symlinks=False)
        owner = seen if seen.st_uid else os.stat(root)
        become(owner.st_uid, owner.st_gid)
        output = run([python, "-I", "-S", "-c", VERSIONS], ASK_SECONDS)
        if output.rc == 0 and len(output.stdout.split()) == 2:
            found["python"], found["sqlite"] = output.stdout.split()
    return found


def _version(root: Path) -> str | None:
    """Return what the application calls itself, and a hash of its code: one name may stand for two states of it."""
    name = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        name = (root / "VERSION").read_text(encoding="utf-8").strip().partition("\n")[0][:40]
    hasher, count, total = hashlib.sha256(), 0, 0
    for path in _code(root):
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        count, total = count + 1, total + len(content)
        if count > CODE_FILES or total > CODE_BYTES:
            raise OpsError(
                f"{root} has more code than {CODE_FILES} files or {CODE_BYTES >> 20} MiB: is it the application?"
            )
        hasher.update(f"{path.relative_to(root)}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    return f"{name}+{hasher.hexdigest()[:12]}".lstrip("+") if count else name or None


def _code(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if one not in NO_CODE and not one.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.endswith(CODE) and path.is_file() and not path.is_symlink():
                yield path


def _packages(python: str) -> str | None:
    """Return a hash of what is installed beside that Python, by the names pip gives them: package and version."""
    found = sorted(
        path.name for path in Path(python).parent.parent.glob("lib/python*/site-packages/*.dist-info") if python
    )
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12] if found else None


def _secret(root: str, service: str, secret_files: Sequence[str]) -> bytes:
    """Return the key that sessions are signed with, from wherever the unit or the application reads it; empty if nowhere."""
    files = [*secret_files, os.path.join(root, ".env")]
    with contextlib.suppress(OpsError, ValueError):
        shown = show([service], ["Environment", "EnvironmentFiles"], ASK_SECONDS)[service] if service else {}
        for word in shlex.split(shown.get("Environment", "")):
            if word.startswith("SECRET_KEY="):
                return word.partition("=")[2].encode()
        files[:0] = [line.partition(" (")[0] for line in shown.get("EnvironmentFiles", "").splitlines() if line]
    for path in files:
        with contextlib.suppress(OSError):
            # The last one counts, for systemd and for a shell.
            told = SECRET.findall(Path(path).read_text(encoding="utf-8", errors="replace"))
            if told and told[-1].strip("'\""):
                return str(told[-1].strip("'\"")).encode()
    return b""
