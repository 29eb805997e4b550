# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of cron: the lines that should be in a crontab are there, and cron will read them.

Sources: the spool of user crontabs (Debian: /var/spool/cron/crontabs, Red Hat: /var/spool/cron), /etc/crontab and
/etc/cron.d; the own crontab through ``crontab -l`` for a user who may not read the spool. Cost: 1 ms.

Only which line and when it runs is reported, never the line itself: crontabs hold passwords. Whether cron itself runs is
a matter of the unit probe, whether the job succeeds one of the log and backup probes.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult

TIMEOUT = 10.0
CRONTAB_SECONDS = 3.0
_FIELDS = re.compile(r"^(@\w+|\S+(?:\s+\S+){4})\s+(.+)$")
_ASSIGNMENT = re.compile(r"^\s*[\w\"']+\s*=")
# cron passes over files of /etc/cron.d with other names (run-parts(8)): backup.sh or job.conf never run.
_READ_BY_CRON = re.compile(r"^[A-Za-z0-9_-]+$")
_KEYS = frozenset(("user", "pattern", "name", "line"))

OPTIONS: dict[str, dict[str, Any]] = {
    "jobs": {"type": "list", "elements": "dict", "required": True},
    "spools": {
        "type": "list",
        "elements": "path",
        "default": ["/var/spool/cron/crontabs", "/var/spool/cron"],
    },
    "system_files": {"type": "list", "elements": "path", "default": ["/etc/crontab", "/etc/cron.d"]},
}

AREA = Area(
    "unit",
    rules={
        "cron.job": Rule(
            title=Text("Job is in the crontab", "定时任务在 crontab 中"),
            fix=Text(
                "Add the line (evidence) with `crontab -e -u USER`; the installer may have reported success without it.",
                "用 `crontab -e -u USER` 补上证据中的行；安装脚本可能未写入却报告成功。",
            ),
            source="the backup line was missing on an installed host",
        ),
    },
    sentences={
        "cron.present": Text("{item}: runs at {schedule} ({where})", "{item}：按 {schedule} 运行（{where}）"),
        "cron.missing": Text("{item}: no such job of user {user}", "{item}：用户 {user} 没有此任务"),
        "cron.commented": Text(
            "{item}: the job of user {user} is commented out ({where})", "{item}：用户 {user} 的任务已被注释（{where}）"
        ),
        "cron.not_read": Text("{item}: cron passes over {where}: {why}", "{item}：cron 会忽略 {where}：{why_zh}"),
        "cron.denied": Text(
            "{item}: may not read the crontab of {user}: run as root",
            "{item}：无权读取 {user} 的 crontab：请以 root 运行",
        ),
        "cron.no_user": Text("{item}: user {user} does not exist", "{item}：用户 {user} 不存在"),
    },
)

# Why cron does not run a file, in both languages.
WHY = {
    "name": Text("its name holds a dot or another character", "文件名含点号或其他非法字符"),
    "mode": Text("its group or others may write it", "同组或其他用户可写"),
    "owner": Text("it belongs to somebody else", "文件属主不对"),
    "newline": Text("its last line has no newline at its end", "最后一行缺少换行符"),
}


@dataclass(frozen=True)
class Wanted:
    """What an operator says about one job."""

    user: str
    pattern: re.Pattern[str]
    name: str
    line: str

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Wanted:
        """Read a dict with user and pattern (regular expression), and optionally name and line (the line expected)."""
        if set(entry) - _KEYS or not entry.get("user") or not entry.get("pattern"):
            raise OpsError(f"jobs: expected user and pattern, and optionally name and line; seen {dict(entry)!r}")
        try:
            pattern = re.compile(str(entry["pattern"]))
        except re.error as exc:
            raise OpsError(f"jobs: pattern {entry['pattern']!r} is not a regular expression: {exc}") from exc
        name = str(entry.get("name") or entry["pattern"])
        return cls(str(entry["user"]), pattern, name, str(entry.get("line") or ""))


@dataclass(frozen=True)
class Line:
    """One line of a crontab: a job, or a comment that may have been one."""

    where: str
    user: str
    schedule: str
    command: str
    commented: bool
    trouble: str = ""


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse an entry that cannot be read, before anything runs."""
    for entry in spec["jobs"]:
        Wanted.read(entry)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look for each expected job in its user's crontab and in the system's."""
    say = AREA.reporter(spec.get("thresholds"), source="crontab")
    wanted = [Wanted.read(entry) for entry in spec["jobs"]]
    system: list[Line] = []
    denied = False
    for path in spec["system_files"]:
        lines, hidden = read_system(Path(path))
        system += lines
        denied = denied or hidden
    own: dict[str, tuple[list[Line], bool]] = {}
    for one in wanted:
        if one.user not in own:
            own[one.user] = read_user(one.user, [Path(path) for path in spec["spools"]], deadline)
    checks = []
    for one in wanted:
        lines, hidden = own[one.user]
        checks.append(judge(say, one, lines + [line for line in system if line.user == one.user], denied or hidden))
    return ProbeResult(checks)


def judge(say: Reporter, wanted: Wanted, lines: list[Line], denied: bool) -> Check:
    """Judge one job: there and read by cron, there and not read, commented out, hidden from us, or missing."""
    words: dict[str, Any] = {"item": wanted.name, "user": wanted.user}
    matching = [line for line in lines if wanted.pattern.search(line.command)]
    for line in matching:
        if not line.commented and not line.trouble:
            return say.find("cron.job", Status.OK, "cron.present", schedule=line.schedule, where=line.where, **words)
    expected = (
        [f"expected: {wanted.line}"] if wanted.line else [f"expected: a line that matches {wanted.pattern.pattern}"]
    )
    for line in matching:
        if line.trouble:
            why = WHY[line.trouble]
            return say.find(
                "cron.job",
                Status.CRITICAL,
                "cron.not_read",
                where=line.where,
                why=why.en,
                why_zh=why.zh,
                evidence=expected,
                **words,
            )
    if denied:
        return say.find("cron.job", Status.UNKNOWN, "cron.denied", reason="denied", evidence=expected, **words)
    for line in matching:
        return say.find("cron.job", Status.CRITICAL, "cron.commented", where=line.where, evidence=expected, **words)
    sentence = "cron.missing" if _user_exists(wanted.user) else "cron.no_user"
    return say.find("cron.job", Status.CRITICAL, sentence, reason="missing", evidence=expected, **words)


def read_user(user: str, spools: list[Path], deadline: Deadline) -> tuple[list[Line], bool]:
    """Return the lines of a user's crontab, and whether it was hidden from us."""
    for spool in spools:
        path = spool / user
        try:
            if not path.is_file():
                continue
            text, found = path.read_text(encoding="utf-8", errors="replace"), path.stat()
        except PermissionError:
            return _own_crontab(user, deadline)
        trouble = ""
        if found.st_mode & 0o022:
            trouble = "mode"
        elif _user_exists(user) and found.st_uid not in (0, pwd.getpwnam(user).pw_uid):
            trouble = "owner"
        return list(parse(text, str(path), user, trouble)), False
    return [], False


def _own_crontab(user: str, deadline: Deadline) -> tuple[list[Line], bool]:
    """Ask crontab, which may read the spool, for the crontab of the user we are."""
    if not _user_exists(user) or pwd.getpwnam(user).pw_uid != os.geteuid():
        return [], True
    output = run(["crontab", "-l"], deadline.sooner(CRONTAB_SECONDS).remaining())
    if output.rc != 0 and "no crontab" not in output.stderr:
        return [], True
    return list(parse(output.stdout, "crontab -l", user, "")), False


def read_system(path: Path) -> tuple[list[Line], bool]:
    """Return the lines of /etc/crontab or of all files in /etc/cron.d, and whether any was hidden from us."""
    lines: list[Line] = []
    hidden = False
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
    except PermissionError:
        return [], True
    for file in files:
        try:
            if not file.is_file():
                continue
            text, found = file.read_text(encoding="utf-8", errors="replace"), file.stat()
        except PermissionError:
            hidden = True
            continue
        trouble = ""
        if file != path and not _READ_BY_CRON.match(file.name):
            trouble = "name"
        elif found.st_mode & 0o022:
            trouble = "mode"
        elif found.st_uid not in (0, os.geteuid()):
            trouble = "owner"
        lines += parse(text, str(file), "", trouble)
    return lines, hidden


def parse(text: str, where: str, user: str, trouble: str) -> Iterator[Line]:
    """Read a crontab; in the system's the user stands before the command, so ``user`` is empty there."""
    lines = text.splitlines(keepends=True)
    for number, raw in enumerate(lines, 1):
        bare = raw.strip()
        commented = bare.startswith("#")
        match = _FIELDS.match(bare.lstrip("# \t"))
        if not match or (_ASSIGNMENT.match(bare) and not commented):
            continue
        schedule, command, who = " ".join(match[1].split()), match[2], user
        if not user:
            who, _sep, command = command.replace("\t", " ", 1).partition(" ")
        # cron leaves out, or refuses the whole file for, a last line that does not end.
        cut = number == len(lines) and not raw.endswith("\n")
        yield Line(
            f"{where}:{number}",
            who,
            schedule,
            command.strip(),
            commented,
            trouble or ("newline" if cut and not commented else ""),
        )


def _user_exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
