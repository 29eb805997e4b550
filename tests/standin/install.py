# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay the stand-in application into a Debian tree, as its installer leaves it on a real host.

    sudo python3 tests/standin/install.py --root /path/to/tree [--with-backups]

The tree needs the Debian packages gunicorn, python3-redis, redis-server, nginx-light, cron, logrotate, curl. Nothing is
started and no program of the tree is run. A second run changes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import history

HERE = Path(__file__).resolve().parent
USER = "bilingual-tutor"
HOME = Path("opt/bilingual-tutor")
DATABASE = HOME / "bilingual_tutor/storage/learning.db"

# useradd --system takes the highest free id of this range, as Debian's login.defs has it.
SYSTEM_IDS = range(999, 99, -1)
# Days since 1970 of the last password change; any fixed day keeps a second run from changing the file.
SHADOW_DAY = 20000

VENV_CONFIG = "home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.11.2\n"
GUNICORN = """#!/opt/bilingual-tutor/venv/bin/python3
import sys

from gunicorn.app.wsgiapp import run

sys.exit(run())
"""

UNITS = ("bilingual-tutor", "nginx", "redis-server", "cron")


class Tree:
    """A root directory; counts what is changed in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.changes: list[str] = []

    def path(self, name: str | Path) -> Path:
        """Return the place of a name, given relative to the tree's root."""
        return self.root / name

    def directory(self, name: str | Path, mode: int, owner: tuple[int, int]) -> None:
        """Make a directory with this mode and owner."""
        path = self.path(name)
        if not path.is_dir():
            path.mkdir(parents=True)
            self.changes.append(f"{name}/")
        self.give(path, mode, owner)

    def file(self, name: str | Path, content: bytes, mode: int, owner: tuple[int, int]) -> None:
        """Write a file with this content, mode and owner; replaced as a whole, so that none is ever half written."""
        path = self.path(name)
        if not path.is_file() or path.read_bytes() != content:
            temporary = path.with_name(f".{path.name}.new")
            temporary.write_bytes(content)
            temporary.replace(path)
            self.changes.append(str(name))
        self.give(path, mode, owner)

    def link(self, name: str | Path, target: str) -> None:
        """Make a symbolic link."""
        path = self.path(name)
        if path.is_symlink() and os.readlink(path) == target:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        self.changes.append(str(name))

    def give(self, path: Path, mode: int, owner: tuple[int, int]) -> None:
        """Set mode and numeric owner where they differ."""
        now = path.stat()
        if (now.st_uid, now.st_gid) != owner:
            os.chown(path, *owner)
            self.changes.append(f"owner of {path.relative_to(self.root)}")
        if now.st_mode & 0o7777 != mode:
            path.chmod(mode)
            self.changes.append(f"mode of {path.relative_to(self.root)}")

    def entries(self, name: str) -> dict[str, list[str]]:
        """Read a file such as /etc/passwd: the fields of each line by its first field."""
        lines = self.path(name).read_text(encoding="utf-8").splitlines()
        return {line.split(":", 1)[0]: line.split(":") for line in lines if line}

    def append(self, name: str, line: str) -> None:
        """Append a line to a file such as /etc/passwd, keeping mode and owner."""
        path = self.path(name)
        now = path.stat()
        self.file(name, path.read_bytes() + line.encode() + b"\n", now.st_mode & 0o7777, (now.st_uid, now.st_gid))


def add_user(tree: Tree) -> tuple[int, int]:
    """Add the application's system user and group where missing; return their ids."""
    users, groups = tree.entries("etc/passwd"), tree.entries("etc/group")
    taken = {int(fields[2]) for fields in (*users.values(), *groups.values())}
    free = next(number for number in SYSTEM_IDS if number not in taken)
    if USER not in groups:
        tree.append("etc/group", f"{USER}:x:{free}:")
        tree.append("etc/gshadow", f"{USER}:!::")
        groups = tree.entries("etc/group")
    gid = int(groups[USER][2])
    if USER not in users:
        tree.append("etc/passwd", f"{USER}:x:{free}:{gid}::/{HOME}:/bin/bash")
        tree.append("etc/shadow", f"{USER}:!:{SHADOW_DAY}::::::")
        users = tree.entries("etc/passwd")
    return int(users[USER][2]), gid


def lay_application(tree: Tree, owner: tuple[int, int]) -> None:
    """Code, virtual environment, scripts and the directories of the application."""
    for name, mode in (("", 0o755), ("backups", 0o755), ("config", 0o755), ("scripts", 0o755), ("venv", 0o755)):
        tree.directory(HOME / name, mode, owner)
    for name in ("logs", "data"):
        tree.directory(HOME / name, 0o750, owner)
    sources = sorted((HERE / "application").rglob("*.py"))
    for source in sources:
        relative = source.relative_to(HERE / "application")
        for parent in reversed(relative.parents[:-1]):
            tree.directory(HOME / parent, 0o755, owner)
        tree.file(HOME / relative, source.read_bytes(), 0o644, owner)
    for script in ("backup.sh", "monitor.sh"):
        tree.file(HOME / "scripts" / script, (HERE / "deploy" / script).read_bytes(), 0o755, owner)
    tree.directory(HOME / "venv/bin", 0o755, owner)
    tree.file(HOME / "venv/pyvenv.cfg", VENV_CONFIG.encode(), 0o644, owner)
    tree.link(HOME / "venv/bin/python3", "/usr/bin/python3")
    tree.file(HOME / "venv/bin/gunicorn", GUNICORN.encode(), 0o755, owner)


def lay_data(tree: Tree, owner: tuple[int, int], now: datetime, backups: bool) -> None:
    """The database, the empty decoy the handbook names, rotated logs, and backups when asked for."""
    before = fingerprints(tree.path(HOME))
    history.write_database(tree.path(DATABASE), now)
    decoy = tree.path(HOME / "data/learning.db")
    if not decoy.exists():
        decoy.touch()
    history.write_rotated_logs(tree.path(HOME / "logs"), now)
    if backups:
        history.write_backups(tree.path(DATABASE), tree.path(HOME / "backups"), now, recorded=Path("/") / DATABASE)
    after = fingerprints(tree.path(HOME))
    for path in sorted(after.keys() - {path for path, mark in before.items() if after.get(path) == mark}):
        tree.changes.append(str(path.relative_to(tree.root)))
        if path.is_symlink():
            os.chown(path, *owner, follow_symlinks=False)
        else:
            tree.give(path, 0o640 if path.suffix == ".db" else 0o644, owner)


def fingerprints(directory: Path) -> dict[Path, tuple[int, ...]]:
    """Return inode, size and time of every file below a directory; of links themselves, not of their targets."""
    found = {path: path.lstat() for path in directory.rglob("*") if path.is_symlink() or path.is_file()}
    return {path: (now.st_ino, now.st_size, now.st_mtime_ns) for path, now in found.items()}


def lay_system(tree: Tree, owner: tuple[int, int], now: datetime) -> None:
    """Unit, site, crontab and log rotation, enabled as systemctl and the packages do it."""
    root = (0, 0)
    deploy = HERE / "deploy"
    tree.directory("etc/systemd/system", 0o755, root)
    tree.file(
        "etc/systemd/system/bilingual-tutor.service", (deploy / "bilingual-tutor.service").read_bytes(), 0o644, root
    )
    for unit in UNITS:
        places = (Path("etc/systemd/system"), Path("lib/systemd/system"))
        found = next((place for place in places if tree.path(place / f"{unit}.service").is_file()), None)
        if found:
            tree.link(f"etc/systemd/system/multi-user.target.wants/{unit}.service", f"/{found}/{unit}.service")
    if tree.path("etc/nginx").is_dir():
        tree.file("etc/nginx/sites-available/bilingual-tutor", (deploy / "nginx.conf").read_bytes(), 0o644, root)
        tree.link("etc/nginx/sites-enabled/bilingual-tutor", "/etc/nginx/sites-available/bilingual-tutor")
        default = tree.path("etc/nginx/sites-enabled/default")
        if default.is_symlink():
            default.unlink()
            tree.changes.append("etc/nginx/sites-enabled/default")
    tree.directory("etc/logrotate.d", 0o755, root)
    tree.file("etc/logrotate.d/bilingual-tutor", (deploy / "logrotate").read_bytes(), 0o644, root)
    tree.directory("var/lib/logrotate", 0o755, root)
    history.write_logrotate_status(tree.path("var/lib/logrotate/status"), Path("/") / HOME / "logs", now)
    crontab_group = int(tree.entries("etc/group").get("crontab", ["", "", "0"])[2])
    tree.directory("var/spool/cron/crontabs", 0o1730, (0, crontab_group))
    tree.file(f"var/spool/cron/crontabs/{USER}", (deploy / "crontab").read_bytes(), 0o600, (owner[0], crontab_group))


def install(root: Path, now: datetime, backups: bool) -> list[str]:
    """Lay everything into the tree; return what was changed, nothing at a second run."""
    tree = Tree(root)
    owner = add_user(tree)
    lay_application(tree, owner)
    lay_data(tree, owner, now, backups)
    lay_system(tree, owner, now)
    return tree.changes


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, install, say what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the Debian tree, for example a debootstrap directory")
    parser.add_argument("--with-backups", action="store_true", help="also the snapshots of the last nights")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("files of several owners are laid out: run this as root")
    if not (options.root / "etc/passwd").is_file() or os.path.samefile(options.root, "/"):
        parser.error(f"{options.root} is not a Debian tree: expected the root of one, with etc/passwd, and not /")
    changes = install(options.root.resolve(), datetime.now(timezone.utc), options.with_backups)
    print(f"stand-in in {options.root}: {len(changes)} changes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
