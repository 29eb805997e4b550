# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an application is started: what its unit says, or what the options say."""

from __future__ import annotations

import json
import pwd
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import unit_name

ASK_SECONDS = 10.0
_SERVICE = "org.freedesktop.systemd1.Service"
_PROPERTIES = ("ExecStart", "User", "WorkingDirectory", "Environment", "EnvironmentFiles")
# systemd gives a service this, and nothing of its own environment.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Start:
    """The command of an application, with what it finds when it starts; the environment may hold secrets."""

    command: list[str]
    uid: int
    gid: int
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def how_to_start(spec: Mapping[str, Any], owner: tuple[int, int]) -> Start | None:
    """Return how to start the application; None when neither a unit nor a command is named.

    ``owner`` are user and group of the database, for whom nobody else is named. Raises OpsError.
    """
    if spec.get("command"):
        uid, gid = user(spec["user"]) if spec.get("user") else owner
        return Start(spec["command"], uid, gid, spec.get("directory") or "/", {"PATH": PATH, **spec["environment"]})
    if not spec.get("service"):
        return None
    said = _asked(unit_name(spec["service"]))
    return from_unit(spec["service"], said, owner, spec)


def from_unit(name: str, said: Mapping[str, Any], owner: tuple[int, int], spec: Mapping[str, Any]) -> Start:
    """Read the properties of a unit as systemd has them."""
    commands = [one[1] for one in said.get("ExecStart") or [] if one[1]]
    if len(commands) != 1:
        raise OpsError(
            f"{name} has {len(commands)} commands in ExecStart: expected one. Name it as command, with its environment"
        )
    wanted = spec.get("user") or said.get("User") or ""
    uid, gid = user(wanted) if wanted else owner
    environment = {"PATH": PATH, **assignments(said.get("Environment") or [])}
    for path, optional in said.get("EnvironmentFiles") or []:
        environment.update(environment_file(path, bool(optional)))
    directory = str(said.get("WorkingDirectory") or "/").lstrip("!-")
    return Start(
        commands[0], uid, gid, spec.get("directory") or directory or "/", {**environment, **spec["environment"]}
    )


def _asked(unit: str) -> dict[str, Any]:
    """Ask systemd itself: what ``systemctl show`` prints of a command cannot be split into its words again."""
    place = ["org.freedesktop.systemd1", _object_path(unit), _SERVICE]
    output = run(["busctl", "--json=short", "get-property", *place, *_PROPERTIES], ASK_SECONDS)
    if output.rc != 0:
        raise OpsError(
            f"systemd does not tell how {unit} is started: {output.complaint}. Expected the unit of the application; "
            "elsewhere name its command"
        )
    try:
        values = [json.loads(line)["data"] for line in output.stdout.splitlines()]
    except (ValueError, KeyError, TypeError) as exc:
        raise OpsError(f"busctl answered {output.stdout[:80]!r}: expected JSON") from exc
    return dict(zip(_PROPERTIES, values))


def _object_path(unit: str) -> str:
    """Write a unit as D-Bus does: what is no letter or digit as _ and two hex digits."""
    plain = "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):02x}" for char in unit)
    return f"/org/freedesktop/systemd1/unit/{plain}"


def assignments(lines: Iterable[str]) -> dict[str, str]:
    """Read NAME=VALUE."""
    return {name: value for name, equals, value in (line.partition("=") for line in lines) if equals}


def environment_file(path: str, optional: bool) -> dict[str, str]:
    """Read a file of assignments as systemd does: comments, quotes, no expansion."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        if optional:
            return {}
        raise OpsError(f"{path}, the environment of the application, cannot be read: {exc.strerror}") from exc
    found = {}
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            try:
                found[name.strip()] = "".join(shlex.split(value)) if value[:1] in "'\"" and value else value
            except ValueError:
                found[name.strip()] = value
    return found


def user(name: str) -> tuple[int, int]:
    """Return number and group of a user; raise OpsError for one that is not there."""
    try:
        entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError as exc:
        if name.isdigit():
            return int(name), int(name)
        raise OpsError(f"there is no user {name} on this host: expected the one the application runs as") from exc
    return entry.pw_uid, entry.pw_gid
