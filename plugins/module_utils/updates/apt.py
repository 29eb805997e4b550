# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt and dpkg know about this host: waiting updates, the age of the lists, packages held or half installed.

Nothing here needs the network or root. apt itself is asked, with a simulated upgrade: it alone knows pinning, phasing and
which archive a version comes from.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# A simulation takes no lock; without this apt tells root so in five lines.
NO_LOCK = ("-o", "Debug::NoLocking=true")
# Inst NAME [OLD] (NEW ORIGIN:ARCHIVE, ORIGIN:ARCHIVE [ARCH]): without an old version it is a new dependency.
_INST = re.compile(r"^Inst (?P<name>\S+) \[(?P<old>[^\]]+)\] \((?P<new>\S+) (?P<origins>[^\[)]*)")
_SECURITY = re.compile(r"(?i)\bsecurity\b|UbuntuESM")
_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<name>\S+) ")
# States of a package in which an operation on it was cut off (dpkg(1), "package states").
_CUT_OFF = frozenset(("half-installed", "half-configured", "unpacked"))


@dataclass(frozen=True)
class Update:
    """One package that apt would upgrade."""

    name: str
    old: str
    new: str
    security: bool


@dataclass(frozen=True)
class Settings:
    """Where apt keeps things, and what it is told to do by itself."""

    lists: str
    state: str
    status: str
    cache: str
    log: str
    refresh: bool
    unattended: bool


@dataclass
class Packages:
    """What dpkg's status file says."""

    count: int = 0
    held: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    unattended: bool = False


@dataclass
class Lists:
    """The lists of packages. ``fresh`` is when they were last known to be current, in seconds since 1970."""

    sources: int = 0
    missing: list[str] = field(default_factory=list)
    fresh: float = 0.0
    warnings: list[str] = field(default_factory=list)


def settings(timeout: float) -> Settings:
    """Ask apt for its directories and its periodic jobs."""
    names = {
        "lists": "Dir::State::lists/d",
        "state": "Dir::State/d",
        "status": "Dir::State::status/f",
        "cache": "Dir::Cache::pkgcache/f",
        "log": "Unattended-Upgrade::LogDir",
        "refresh": "APT::Periodic::Update-Package-Lists",
        "unattended": "APT::Periodic::Unattended-Upgrade",
        "enable": "APT::Periodic::Enable",
    }
    output = run(["apt-config", "shell", *(word for pair in names.items() for word in pair)], timeout)
    if output.rc != 0:
        raise OpsError(f"apt-config: {output.complaint}")
    words = (shlex.split(line) for line in output.stdout.splitlines())
    told = dict(word.partition("=")[::2] for line in words for word in line)
    enabled = told.get("enable", "1") != "0"
    return Settings(
        told["lists"],
        told["state"],
        told["status"],
        told["cache"],
        told.get("log", "/var/log/unattended-upgrades"),
        enabled and told.get("refresh", "0") != "0",
        enabled and told.get("unattended", "0") != "0",
    )


def waiting(of: Settings, timeout: float) -> list[Update]:
    """Return what apt would upgrade, held packages too; raise OpsError when it cannot tell."""
    output = run(["apt-get", "--simulate", "--ignore-hold", *NO_LOCK, *_no_trace(of), "dist-upgrade"], timeout)
    if output.rc != 0:
        wrong = [line for line in output.stderr.splitlines() if line.startswith("E:")]
        raise OpsError(f"apt-get --simulate: {(wrong or [output.complaint])[0]}")
    return list(parse_simulation(output.stdout))


def _no_trace(of: Settings) -> tuple[str, ...]:
    """Return what keeps apt from writing its cache (some 70 MB) where that is old: then it is built in memory alone."""
    try:
        built = os.stat(of.cache).st_mtime
        newest = max([os.stat(of.status).st_mtime, *(entry.stat().st_mtime for entry in os.scandir(of.lists))])
    except (OSError, ValueError):
        built, newest = 0.0, 1.0
    return () if built >= newest else ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")


def parse_simulation(text: str) -> Iterator[Update]:
    """Read the ``Inst`` lines of a simulated upgrade."""
    for line in text.splitlines():
        match = _INST.match(line)
        if match:
            yield Update(match["name"], match["old"], match["new"], bool(_SECURITY.search(match["origins"])))


def package_lists(of: Settings, timeout: float) -> Lists:
    """Look for the list of every configured source, and tell how old they are together."""
    output = run(["apt-get", "update", "--print-uris", *NO_LOCK], timeout)
    if output.rc != 0:
        raise OpsError(f"apt-get update --print-uris: {output.complaint}")
    matches = [match for match in map(_URI.match, output.stdout.splitlines()) if match]
    releases = {match["name"]: match["uri"] for match in matches if match["name"].endswith("InRelease")}
    there = os.listdir(of.lists) if os.path.isdir(of.lists) else []
    result = Lists(sources=len(releases), warnings=[line for line in output.stderr.splitlines() if line[:2] == "W:"])
    written = []
    for name, uri in sorted(releases.items()):
        prefix = name[: -len("InRelease")]
        own = [one for one in there if one.startswith(prefix)]
        # Some sources have no Release file; none at all is one whose lists never came.
        if not any(one.endswith(("Release", "_Packages")) or "_Packages." in one for one in own):
            result.missing.append(uri)
        # The time of a list is its mirror's; when it was put here is the time of the inode's change.
        written += [os.lstat(os.path.join(of.lists, one)).st_ctime for one in own]
    result.missing += _left_over(Path(of.lists, "partial"))
    result.fresh = _fresh(of, written, list(releases.values()))
    return result


def _left_over(partial: Path) -> list[str]:
    """Return what a download that failed left behind; only root and apt may look."""
    try:
        return sorted(f"partial/{entry.name}" for entry in partial.iterdir() if entry.is_file())
    except OSError:
        return []


def _fresh(of: Settings, written: Sequence[float], uris: Sequence[str]) -> float:
    """Return when the lists were last known to be current.

    apt notes no success: a run in which nothing changed and one in which no mirror answered leave the same traces (the
    change of the directory ``partial``), and both end with status 0. But a security archive changes every day, so where
    there is one only lists that were written count.
    """
    moments = [*written, _changed(Path(of.state, "periodic", "update-success-stamp"))]
    if not any(_SECURITY.search(uri.replace("-", " ").replace("/", " ")) for uri in uris):
        moments.append(_changed(Path(of.lists, "partial")))
    return max(moments, default=0.0)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_ctime
    except OSError:
        return 0.0


def packages(status: str) -> Packages:
    """Read dpkg's status file: one pass, a few megabytes. It tells what ``dpkg --audit`` and ``apt-mark showhold`` do."""
    result, name = Packages(), ""
    with open(status, encoding="utf-8", errors="replace") as handle:
        for line in handle:
            if line.startswith("Package: "):
                name = line[9:].strip()
            elif line.startswith("Status: "):
                words = line.split()[1:]
                if len(words) != 3 or words[2] in ("not-installed", "config-files"):
                    continue
                result.count += 1
                if words[0] == "hold":
                    result.held.append(name)
                if words[1] != "ok" or words[2] in _CUT_OFF:
                    result.broken.append(f"{name} ({words[2]})")
                if name == "unattended-upgrades":
                    result.unattended = True
    return result
