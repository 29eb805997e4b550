# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in is laid into a Debian tree as its installer would leave it, and laying it twice changes nothing."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import install
import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of several owners are laid out: needs root")

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=timezone.utc)
HOME = "opt/bilingual-tutor"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:999:999::/nonexistent:/usr/sbin/nologin\n",
        "etc/shadow": "root:*:19000:0:99999:7:::\n",
        "etc/group": "root:x:0:\nmessagebus:x:999:\ncrontab:x:101:\n",
        "etc/gshadow": "root:*::\n",
        "lib/systemd/system/nginx.service": "[Unit]\n",
        "lib/systemd/system/redis-server.service": "[Unit]\n",
        "etc/nginx/sites-available/default": "server {}\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "etc/shadow").chmod(0o640)
    (tmp_path / "etc/nginx/sites-enabled").mkdir()
    (tmp_path / "etc/nginx/sites-enabled/default").symlink_to("/etc/nginx/sites-available/default")
    return tmp_path


def test_a_second_run_changes_nothing(tree: Path) -> None:
    assert install.install(tree, NOW, backups=True)
    assert install.install(tree, NOW, backups=True) == []


def test_the_user_gets_a_free_id_and_no_password(tree: Path) -> None:
    install.install(tree, NOW, backups=False)
    assert "bilingual-tutor:x:998:998::/opt/bilingual-tutor:/bin/bash" in (tree / "etc/passwd").read_text("utf-8")
    assert "bilingual-tutor:x:998:" in (tree / "etc/group").read_text("utf-8")
    assert "\nbilingual-tutor:!:" in (tree / "etc/shadow").read_text("utf-8")
    assert (tree / "etc/shadow").stat().st_mode & 0o777 == 0o640


def test_an_existing_user_keeps_its_ids(tree: Path) -> None:
    with (tree / "etc/passwd").open("a") as passwd, (tree / "etc/group").open("a") as group:
        passwd.write("bilingual-tutor:x:500:501::/opt/bilingual-tutor:/bin/bash\n")
        group.write("bilingual-tutor:x:501:\n")
    install.install(tree, NOW, backups=False)
    owner = (tree / HOME / "bilingual_tutor/storage/learning.db").stat()
    assert (owner.st_uid, owner.st_gid) == (500, 501)


def test_owners_and_modes(tree: Path) -> None:
    install.install(tree, NOW, backups=True)
    expected = {
        HOME: (998, 998, 0o755),
        f"{HOME}/logs": (998, 998, 0o750),
        f"{HOME}/data": (998, 998, 0o750),
        f"{HOME}/bilingual_tutor/storage": (998, 998, 0o755),
        f"{HOME}/bilingual_tutor/storage/learning.db": (998, 998, 0o640),
        f"{HOME}/backups/learning_20261122_020000.db": (998, 998, 0o640),
        f"{HOME}/backups/learning_20261122_020000.db.manifest.json": (998, 998, 0o644),
        f"{HOME}/venv/bin/gunicorn": (998, 998, 0o755),
        "etc/systemd/system/bilingual-tutor.service": (0, 0, 0o644),
        "var/spool/cron/crontabs": (0, 101, 0o1730),
        "var/spool/cron/crontabs/bilingual-tutor": (998, 101, 0o600),
    }
    seen = {name: (now.st_uid, now.st_gid, now.st_mode & 0o7777) for name in expected if (now := (tree / name).stat())}
    assert seen == expected
    leftovers = [path for path in tree.rglob("*") if path.name.endswith((".new", "-wal", "-shm"))]
    assert leftovers == []


def test_units_and_site_are_enabled(tree: Path) -> None:
    install.install(tree, NOW, backups=False)
    wants = tree / "etc/systemd/system/multi-user.target.wants"
    assert os.readlink(wants / "bilingual-tutor.service") == "/etc/systemd/system/bilingual-tutor.service"
    assert os.readlink(wants / "nginx.service") == "/lib/systemd/system/nginx.service"
    assert [path.name for path in (tree / "etc/nginx/sites-enabled").iterdir()] == ["bilingual-tutor"]


def test_a_later_run_adds_the_nights_in_between(tree: Path) -> None:
    install.install(tree, NOW, backups=True)
    backups = tree / HOME / "backups"
    assert os.readlink(backups / "learning_latest.db") == "learning_20261122_020000.db"
    assert install.install(tree, NOW + timedelta(days=1), backups=True)
    assert os.readlink(backups / "learning_latest.db") == "learning_20261123_020000.db"


def test_what_is_no_tree_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        ["python3", install.__file__, "--root", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is not a Debian tree" in done.stderr
