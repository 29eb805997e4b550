# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has that has been running for weeks: a database, rotated logs, backups.

Used by the installer for lab hosts and by the demo sandbox. Run times are given by the caller: no clock is read here.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import collection  # noqa: F401  # pylint: disable=unused-import  # makes ansible_collections importable

APPLICATION = Path(__file__).resolve().parent / "application"
sys.path.insert(0, str(APPLICATION))

from bilingual_tutor.storage import database  # noqa: E402

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (  # noqa: E402
    describe,
    manifest_path,
    write_manifest,
)

BACKUP_DAYS = 3
ROTATED_DAYS = 3

APPLICATION_LINE = "{stamp} - bilingual_tutor - INFO - 数据库已打开\n"
ACCESS_LINE = '127.0.0.1 - - [{clf}] "GET /api/health HTTP/1.0" 200 70 "-" "curl/7.88.1" 0.004\n'
GUNICORN_LINE = "[{stamp} +0000] [411] [INFO] Booting worker with pid: 411\n"
LOGS = {
    "bilingual_tutor.log": APPLICATION_LINE,
    "gunicorn_access.log": ACCESS_LINE,
    "gunicorn_error.log": GUNICORN_LINE,
    "nginx_access.log": ACCESS_LINE,
}


def write_database(path: Path, now: datetime) -> None:
    """Create the application's database unless there is one."""
    if not path.exists():
        database.create(path, now)


def write_rotated_logs(directory: Path, now: datetime) -> None:
    """Leave the logs of the last days as logrotate would, with ``delaycompress``."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for name, line in LOGS.items():
        for day in range(1, ROTATED_DAYS + 1):
            until = midnight - timedelta(days=day - 1)
            moments = [until - timedelta(hours=hour) for hour in range(24, 0, -1)]
            text = "".join(
                line.format(stamp=f"{moment:%Y-%m-%d %H:%M:%S}", clf=f"{moment:%d/%b/%Y:%H:%M:%S +0000}")
                for moment in moments
            ).encode()
            if day == 1:
                write_dated(directory / f"{name}.1", text, until)
            else:
                write_dated(directory / f"{name}.{day}.gz", gzip.compress(text, mtime=0), until)


def write_logrotate_status(path: Path, logs: Path, now: datetime) -> None:
    """Write logrotate's state file: every log of the application was rotated at the last midnight."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    lines = ["logrotate state -- version 2"]
    lines += [f'"{logs / name}" {now.year}-{now.month}-{now.day}-0:0:0' for name in LOGS]
    write_dated(path, ("\n".join(lines) + "\n").encode(), midnight)
    path.chmod(0o640)  # logrotate complains about a state file that others may lock


def write_backups(source: Path, directory: Path, now: datetime, recorded: Path) -> None:
    """Leave the snapshots of the last nights (02:00 UTC) with their manifests, and ``learning_latest.db``.

    ``recorded`` is what the manifests call the source: its path on the host that the files are for.
    """
    last = now.replace(hour=2, minute=0, second=0, microsecond=0)
    if last > now:
        last -= timedelta(days=1)
    nights = [last - timedelta(days=day) for day in range(BACKUP_DAYS)]
    snapshots = [directory / f"learning_{night:%Y%m%d_%H%M%S}.db" for night in nights]
    for path, night in zip(snapshots, nights):
        write_snapshot(source, path, night, recorded)
    latest = directory / "learning_latest.db"
    # One that points to a newer snapshot was moved by a backup since.
    if not latest.exists() or latest.stat().st_mtime < snapshots[0].stat().st_mtime:
        latest.unlink(missing_ok=True)
        latest.symlink_to(snapshots[0].name)


def write_snapshot(source: Path, path: Path, created: datetime, recorded: Path) -> None:
    """Copy a database as a snapshot of that moment, with its manifest; an existing one is left as it is."""
    if manifest_path(path).exists():
        return
    path.unlink(missing_ok=True)  # a copy without a manifest is what an interrupted run left
    # Not read-only: a read-only connection leaves its -wal and -shm behind, here with a foreign owner.
    with closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True)) as live:
        live.execute("VACUUM INTO ?", (str(path),))
    set_time(path, created)
    wrote = write_manifest(path, describe(path, path, str(recorded), f"{created:%Y-%m-%dT%H:%M:%SZ}"))
    set_time(wrote, created)


def write_dated(path: Path, content: bytes, moment: datetime) -> None:
    """Write a file of that age, unless it is there already."""
    if not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)
        set_time(path, moment)


def set_time(path: Path, moment: datetime) -> None:
    """Date a file back."""
    os.utime(path, (moment.timestamp(), moment.timestamp()))
