# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file trees the lab hosts boot from: a Debian base, and on top of it a layer with the application.

Both live in a cache outside the checkout, are keyed by what they are made of, are built under a temporary name and
renamed when whole: a build that is killed leaves nothing that a later run could take for good.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SUITE = "bookworm"

# Hosts reach nothing beyond the bridge, so all that roles and probes need is in here.
PACKAGES = (
    "apache2-utils",
    "ca-certificates",
    "cron",
    "curl",
    "dbus",
    "gunicorn",
    "iproute2",
    "iputils-ping",
    "logrotate",
    "netbase",
    "nginx-light",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "python3-redis",
    "redis-server",
    "rsync",
    "sqlite3",
    "sudo",
    "systemd",
    "systemd-sysv",
)

# Would fail without a network (the timers) or have no terminal to sit at (the getty): both would be findings that are
# the lab's fault, not the host's.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service")

STANDIN = Path(__file__).resolve().parent.parent / "standin"


class LabError(Exception):
    """What went wrong in the lab, for a person at a terminal: what was seen and what to do."""


def say(text: str) -> None:
    """Tell what happens; on stderr, since stdout carries what was asked for."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(
    *command: str | Path, log: Path | None = None, check: bool = True, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command; when it fails raise with all it said."""
    words = [str(word) for word in command]
    environ = {**os.environ, "LC_ALL": "C"}
    try:
        if log is None:
            done = subprocess.run(words, capture_output=True, text=True, env=environ, timeout=seconds, check=False)
            output = done.stdout + done.stderr
        else:
            with log.open("ab") as out:
                done = subprocess.run(
                    words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ, timeout=seconds, check=False
                )
            output = f"see {log}"
    except FileNotFoundError as exc:
        raise LabError(f"{words[0]} is not installed") from exc
    except subprocess.TimeoutExpired as exc:
        raise LabError(f"{' '.join(words)}: no end after {seconds:.0f} s") from exc
    if check and done.returncode:
        raise LabError(f"{' '.join(words)}: exit {done.returncode}: {output.strip()}")
    return done


def mounts_below(path: Path) -> list[Path]:
    """Return the mount points at and below a path, deepest first."""
    top = str(path.resolve())
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = line.split()[4].replace("\\040", " ")
        if point == top or point.startswith(top + "/"):
            found.append(Path(point))
    return sorted(found, key=lambda point: len(point.parts), reverse=True)


def remove_tree(path: Path) -> None:
    """Remove a tree of the lab, after unmounting all that a killed run left mounted in it."""
    if not path.exists():
        return
    for point in mounts_below(path):
        run("umount", point)
    if mounts_below(path):
        raise LabError(f"{path}: something is still mounted below it; not removing it")
    shutil.rmtree(path)


def _digest(parts: Sequence[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:12]


def base_key() -> str:
    """Return the identity of the base tree: its suite and package list."""
    return _digest([SUITE.encode(), *(name.encode() for name in sorted(PACKAGES))])


def app_key(source: Path = STANDIN) -> str:
    """Return the identity of the application layer: base, this program, every byte of the application, the hour."""
    # The application comes with a history that ends at the time it was laid: an hour old it is still a healthy one.
    parts = [base_key().encode(), Path(__file__).read_bytes(), time.strftime("%Y%m%d%H", time.gmtime()).encode()]
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            parts += [str(path.relative_to(source)).encode(), path.read_bytes()]
    return _digest(parts)


def base_tree(cache: Path) -> Path:
    """Return the base tree, built by debootstrap if it is not there yet (60 to 90 s, once)."""
    tree = cache / f"base-{base_key()}"
    if tree.is_dir():
        return tree
    for leftover in cache.glob("base-*.building"):
        remove_tree(leftover)
    building = cache / f"{tree.name}.building"
    log = cache / "debootstrap.log"
    log.unlink(missing_ok=True)
    debs = cache / "debs"
    debs.mkdir(exist_ok=True)
    say(f"building the Debian {SUITE} base tree in {cache}, once: about 90 s")
    command = ["debootstrap", "--variant=minbase", f"--cache-dir={debs}", f"--include={','.join(PACKAGES)}"]
    mirror = os.environ.get("LAB_MIRROR")
    run(*command, SUITE, building, *([mirror] if mirror else []), log=log, seconds=1200)
    for archive in (building / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    building.rename(tree)
    return tree


def app_layer(cache: Path, base: Path) -> Path:
    """Return the overlay layer that turns the base into an application host, built if it is not there yet (2 s)."""
    layer = cache / f"app-{app_key()}"
    if layer.is_dir():
        return layer
    for leftover in cache.glob("app-*.building"):
        remove_tree(leftover)
    building = cache / f"{layer.name}.building"
    upper, work, root = building / "upper", building / "work", building / "root"
    for path in (upper, work, root):
        path.mkdir(parents=True)
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={upper},workdir={work}", root)
    try:
        _make_app_host(root)
    finally:
        run("umount", root)
    upper.rename(layer)
    remove_tree(building)
    return layer


def _make_app_host(root: Path) -> None:
    run("systemctl", "--quiet", f"--root={root}", "mask", *MASKED)
    # Tells each command that ssh starts: how the tests count what a playbook costs a host.
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text("LogLevel VERBOSE\n")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each host gets its own
    installer = STANDIN / "install.py"
    if not installer.is_file():
        raise LabError(f"{installer} is missing: the hosts would have no application")
    run(sys.executable, installer, "--root", root, "--with-backups", seconds=300)
    own_units = sorted(path.name for path in (root / "etc/systemd/system").glob("*.service") if not path.is_symlink())
    run("systemctl", "--quiet", f"--root={root}", "enable", *own_units, "nginx.service", "redis-server.service")
