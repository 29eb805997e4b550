# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the application is started: what systemd says of its unit, its files of variables, and what lies beside its database."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill import plan, stage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

SPEC: dict[str, Any] = {"environment": {}, "user": "", "directory": None}
# As `busctl get-property` has it: one command with its words, which `systemctl show` would run together.
COMMAND = [
    "/opt/venv/bin/gunicorn",
    ["/opt/venv/bin/gunicorn", "--access-logformat", '%(h)s "%(r)s"', "app:app"],
    False,
    0,
]


def test_a_unit(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\nSECRET_KEY='a b'\nDEBUG=0\n\nBROKEN='x\nDB_PATH=/from/file\n")
    said = {
        "ExecStart": [COMMAND],
        "User": "",
        "WorkingDirectory": "!/opt/app",
        "Environment": ["PATH=/opt/venv/bin", "DB_PATH=/from/unit"],
        "EnvironmentFiles": [[str(file), False], [str(tmp_path / "optional"), True]],
    }
    start = plan.from_unit("app.service", said, (7, 8), {**SPEC, "environment": {"EXTRA": "1"}})
    assert start.command == COMMAND[1] and (start.uid, start.gid) == (7, 8) and start.directory == "/opt/app"
    assert start.environment == {
        "PATH": "/opt/venv/bin", "DB_PATH": "/from/file", "SECRET_KEY": "a b", "DEBUG": "0", "BROKEN": "'x", "EXTRA": "1",
    }  # fmt: skip
    assert "a b" not in repr(start), "a key is never printed"
    said["EnvironmentFiles"] = [[str(tmp_path / "missing"), False]]
    with pytest.raises(OpsError, match="cannot be read"):
        plan.from_unit("app.service", said, (7, 8), SPEC)


@pytest.mark.parametrize("commands", [[], [COMMAND, COMMAND]])
def test_a_unit_with_no_command_of_its_own(commands: list[Any]) -> None:
    with pytest.raises(OpsError, match="expected one"):
        plan.from_unit("app.service", {"ExecStart": commands}, (7, 8), SPEC)


def test_users() -> None:
    me = pwd.getpwuid(os.geteuid())
    assert plan.user(me.pw_name) == (me.pw_uid, me.pw_gid)
    assert plan.user("4711") == (4711, 4711)
    with pytest.raises(OpsError, match="no user nobody-here"):
        plan.user("nobody-here")


def test_a_unit_on_the_bus() -> None:
    assert plan._object_path("bilingual-tutor.service") == "/org/freedesktop/systemd1/unit/bilingual_2dtutor_2eservice"


def test_nothing_said_is_nothing_started() -> None:
    assert plan.how_to_start({**SPEC, "command": [], "service": ""}, (7, 8)) is None


def test_beside_the_database(tmp_path: Path) -> None:
    """Code comes along; the live database, what belongs to it, and what a restore or Litestream left there do not."""
    live = tmp_path / "storage" / "learning.db"
    (live.parent / "sub").mkdir(parents=True)
    for name in (
        "learning.db",
        "learning.db-wal",
        "learning.db-shm",
        "learning.db.before-x",
        ".learning.db-litestream",
        "code.py",
    ):
        (live.parent / name).write_text(name)
    (live.parent / "sub" / "more.py").write_text("more")
    (live.parent / "link").symlink_to("code.py")
    os.mkfifo(live.parent / "pipe")
    restored = tmp_path / "restored"
    restored.write_bytes(b"SQLite format 3\0" + bytes(84))
    database = stage.lay_out_storage(live, restored, tmp_path / "copy", (os.geteuid(), os.getegid()))
    seen = sorted(str(path.relative_to(database.parent)) for path in database.parent.rglob("*"))
    assert seen == ["code.py", "learning.db", "link", "sub", "sub/more.py"]
    assert database.read_bytes()[18:20] == b"\2\2", "in WAL mode, as the application has it"
    assert os.readlink(database.parent / "link") == "code.py" and not restored.exists()
