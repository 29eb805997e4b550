# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be removed: an application's temporary files, and nothing an operator's mistake could reach besides."""

from __future__ import annotations

import fnmatch
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.defaults import filled
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.durations import seconds
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

OPTIONS: dict[str, dict[str, Any]] = {
    "paths": {"type": "list", "elements": "str", "default": ["/tmp", "/var/tmp"]},
    "patterns": {"type": "list", "elements": "str", "default": ["*bilingual*"]},
    "owners": {"type": "list", "elements": "str", "required": True},
    "min_age": {"type": "str", "default": "1d"},
    "limit": {"type": "int", "default": 1000},
}

# No temporary files are kept here, whatever an inventory says.
FORBIDDEN = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/sbin", "/sys", "/usr")
FORBIDDEN_ITSELF = (
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/run",
    "/srv",
    "/var",
    "/var/lib",
    "/var/log",
    "/var/spool",
)
# Below this many letters a pattern is about anything, not about one application.
MIN_LETTERS = 3


@dataclass(frozen=True)
class Rules:
    """What may be removed: validated options."""

    paths: tuple[str, ...]
    patterns: tuple[str, ...]
    owners: dict[int, str]
    min_age: float
    limit: int

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Rules:
        """Read the options; raise OpsError for anything that could reach beyond an application's temporary files."""
        opts = filled(OPTIONS, options)
        if not opts["paths"] or not opts["patterns"] or not opts["owners"]:
            raise OpsError("paths, patterns and owners: expected at least one of each, nothing is cleaned without")
        for path in opts["paths"]:
            _refuse_path(path)
        for pattern in opts["patterns"]:
            _refuse_pattern(pattern)
        if opts["limit"] < 1:
            raise OpsError(f"limit is {opts['limit']}: expected a number of files above 0")
        paths = tuple(dict.fromkeys(os.path.normpath(path) for path in opts["paths"]))
        inner = [path for path in paths if any(path != other and path.startswith(other + "/") for other in paths)]
        owners = {_uid(name): str(name) for name in opts["owners"]}
        return cls(
            tuple(path for path in paths if path not in inner),
            tuple(opts["patterns"]),
            owners,
            seconds(opts["min_age"]),
            opts["limit"],
        )

    def matches(self, name: str) -> bool:
        """Tell whether a file's name, without its directory, is one of the application's."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)


def _refuse_path(path: str) -> None:
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise OpsError(f"path {path!r}: expected an absolute path without ..")
    plain = os.path.normpath(path).replace("//", "/")
    if plain in FORBIDDEN_ITSELF or any(plain == one or plain.startswith(one + "/") for one in FORBIDDEN):
        raise OpsError(f"path {path!r} is not a directory for temporary files: expected one such as /tmp or /var/tmp")


def _refuse_pattern(pattern: str) -> None:
    if "/" in pattern or "\0" in pattern or pattern in (".", ".."):
        raise OpsError(f"pattern {pattern!r}: expected a pattern of file names, without a slash")
    letters = re.sub(r"\[[^\]]*\]|[*?.]", "", pattern)
    if len(letters) < MIN_LETTERS:
        raise OpsError(
            f"pattern {pattern!r} fits any name: expected at least {MIN_LETTERS} characters of the application's own names"
        )


def _uid(name: Any) -> int:
    text = str(name)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        if text.isdigit():
            return int(text)
        raise OpsError(
            f"owner {text!r} is no user of this host: expected the application's user (tutor_user)"
        ) from None
