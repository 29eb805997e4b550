# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotation of logs: configured, really happening, no log grown out of bounds, nobody writing to a rotated file.

Sources: logrotate's state file, its configuration file's rights, stat of the logs, and /proc/PID/fd for writers of
rotated files. Cost: 2 ms, and 5 ms for a hundred processes of the host.

After a rotation nginx writes on into the renamed file until it is told to open its logs again: the new log stays empty,
errors go where nobody looks, and the space of a deleted one never comes back.
"""

from __future__ import annotations

import glob
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size

TIMEOUT = 10.0
DAY = 86400.0
_STATE_LINE = re.compile(r'^"?(?P<path>/.+?)"? (?P<when>\d+-\d+-\d+(?:-\d+:\d+:\d+)?)$')
# What logrotate appends: a number (rotate) or a date (dateext), then perhaps the suffix of a compressor.
_ROTATED = r"(?:\.\d+|-\d{8}(?:-\d+)?|-\d{4}-\d\d-\d\d)"
DELETED = " (deleted)"
WRITABLE = os.O_WRONLY | os.O_RDWR

OPTIONS: dict[str, dict[str, Any]] = {
    "logs": {"type": "list", "elements": "str", "required": True},
    "config": {"type": "path", "default": ""},
    "state_files": {
        "type": "list",
        "elements": "path",
        "default": ["/var/lib/logrotate/status", "/var/lib/logrotate/logrotate.status"],
    },
}

AREA = Area(
    "log",
    rules={
        "logrotate.config": Rule(
            title=Text("Rotation is configured", "日志轮转已配置"),
            fix=Text(
                "Run playbook prepare, which writes it; then `logrotate -d FILE` must not complain.",
                "运行 prepare 剧本写入配置，然后 `logrotate -d FILE` 应无报错。",
            ),
        ),
        "logrotate.stale": Rule(
            title=Text("Logs are rotated", "日志按期轮转"),
            fix=Text(
                "`systemctl status logrotate.timer`, `journalctl -u logrotate -n 20`; one bad configuration file stops all: "
                "`logrotate -d /etc/logrotate.conf`.",
                "查看 `systemctl status logrotate.timer` 和 `journalctl -u logrotate -n 20`；"
                "一个错误配置会影响全部：`logrotate -d /etc/logrotate.conf`。",
            ),
            warn="8",
            uom="d",
            source="weekly rotation and one day",
        ),
        "logrotate.size": Rule(
            title=Text("Size of the largest log", "最大日志文件大小"),
            fix=Text(
                "Find out what it repeats (`tail`), then `logrotate -f CONFIG`; set maxsize in its configuration.",
                "先用 `tail` 查看反复写入的内容，再 `logrotate -f CONFIG`；并在配置中设置 maxsize。",
            ),
            warn=str(2**30),
            uom="B",
            source="1 GiB",
        ),
        "logrotate.not_reopened": Rule(
            title=Text("Nobody writes to rotated logs", "没有进程写入已轮转的日志"),
            fix=Text(
                "Reload the program named (`systemctl reload nginx`; gunicorn: `kill -USR1 PID`) and put that into "
                "postrotate of its rotation.",
                "重载所示程序（`systemctl reload nginx`；gunicorn 用 `kill -USR1 PID`），并写入轮转配置的 postrotate。",
            ),
        ),
    },
    sentences={
        "logrotate.configured": Text("{item} is there", "{item} 已就位"),
        "logrotate.config_missing": Text(
            "{item} is missing: these logs are never rotated", "缺少 {item}：这些日志不会轮转"
        ),
        "logrotate.config_ignored": Text(
            "logrotate ignores {item}: owner {owner}, mode {mode}; expected root and 0644",
            "logrotate 会忽略 {item}：属主 {owner}，权限 {mode}；应为 root 和 0644",
        ),
        "logrotate.rotating": Text("{count} logs, none overdue", "{count} 个日志，均按期轮转"),
        "logrotate.no_logs": Text("no log matches {patterns}", "没有日志匹配 {patterns}"),
        "logrotate.overdue": Text(
            "{count} of {total} logs grow and were not rotated for {value:.0f} days: {names}",
            "{total} 个日志中有 {count} 个仍在增长且已 {value:.0f} 天未轮转：{names}",
        ),
        "logrotate.state_hidden": Text("cannot read {path}: {error}", "无法读取 {path}：{error}"),
        "logrotate.sizes": Text("largest log is {name} with {size}", "最大的日志是 {name}，{size}"),
        "logrotate.reopened": Text("nobody writes to a rotated log", "没有进程写入已轮转的日志"),
        "logrotate.still_written": Text(
            "{names} still writes to rotated logs: {files}", "{names} 仍在写入已轮转的日志：{files}"
        ),
        "logrotate.writers_hidden": Text(
            "may not look at the open files of other users: run as root", "无权查看其他用户打开的文件：请以 root 运行"
        ),
    },
)


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse a log that is not named by its whole path."""
    for pattern in spec["logs"]:
        if not pattern.startswith("/"):
            raise OpsError(f"logs: {pattern!r}: expected an absolute path or glob")


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at the configuration, the state file, the logs and their writers."""
    say = AREA.reporter(spec.get("thresholds"), source="logrotate")
    checks: list[Check] = []
    if spec.get("config"):
        checks.append(judge_config(say, spec["config"]))
    logs = {path: found for path, found in find_logs(spec["logs"]) if not is_rotated(path)}
    now = time.time()
    stale, state = judge_stale(say, spec, logs, previous, now)
    checks.append(stale)
    if logs:
        largest = max(logs, key=lambda path: logs[path].st_size)
        bytes_ = logs[largest].st_size
        checks.append(say.measure("logrotate.size", bytes_, "logrotate.sizes", name=largest, size=size(bytes_), min=0))
    checks.append(judge_writers(say, spec["logs"]))
    return ProbeResult(checks, state)


def find_logs(patterns: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the regular files that match, with their stat."""
    for pattern in patterns:
        for path in glob.glob(pattern):
            try:
                found = os.stat(path)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield path, found


def is_rotated(path: str) -> bool:
    """Tell whether a file is what rotation left: access.log.1, access.log-20261123, access.log.2.gz."""
    return bool(re.search(_ROTATED + r"(?:\.(?:gz|xz|bz2|zst))?$", path))


def judge_config(say: Reporter, path: str) -> Check:
    """Judge the configuration file: there, and not passed over by logrotate for its owner or mode."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return say.find("logrotate.config", Status.CRITICAL, "logrotate.config_missing", item=path, reason="missing")
    except OSError as exc:
        return say.find(
            "logrotate.config",
            Status.UNKNOWN,
            "logrotate.state_hidden",
            item=path,
            reason="denied",
            path=path,
            error=exc.strerror or "",
        )
    if found.st_mode & 0o022 or found.st_uid not in (0, os.geteuid()):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        return say.find(
            "logrotate.config", Status.CRITICAL, "logrotate.config_ignored", item=path, owner=found.st_uid, mode=mode
        )
    return say.find("logrotate.config", Status.OK, "logrotate.configured", item=path)


def parse_state(text: str) -> dict[str, float]:
    """Read logrotate's state file, version 1 or 2: when each log was last rotated, in local time."""
    result = {}
    for line in text.splitlines():
        match = _STATE_LINE.match(line)
        if not match:
            continue
        when = match["when"] if ":" in match["when"] else match["when"] + "-0:0:0"
        try:
            result[match["path"]] = datetime.strptime(when, "%Y-%m-%d-%H:%M:%S").timestamp()
        except ValueError:
            continue
    return result


def judge_stale(
    say: Reporter,
    spec: Mapping[str, Any],
    logs: Mapping[str, os.stat_result],
    previous: Mapping[str, Any],
    now: float,
) -> tuple[Check, dict[str, Any]]:
    """Judge how long ago each growing log was rotated, counted from when we first saw it if logrotate does not know it.

    State per log: when it was first seen, and its size at the last run.
    """
    rotated: dict[str, float] = {}
    for path in spec["state_files"]:
        try:
            rotated.update(parse_state(proc.read(path)))
        except FileNotFoundError:
            continue
        except OSError as exc:
            error = exc.strerror or str(exc)
            hidden = say.find(
                "logrotate.stale", Status.UNKNOWN, "logrotate.state_hidden", reason="denied", path=path, error=error
            )
            return hidden, dict(previous)
    state = {}
    ages: dict[str, float] = {}
    for path, found in logs.items():
        seen, last_size = previous.get(path, (now, found.st_size))
        state[path] = [seen, found.st_size]
        # A log that is empty or stands still has nothing to rotate (notifempty).
        if found.st_size and found.st_size != last_size:
            ages[path] = (now - rotated.get(path, seen)) / DAY
    if not logs:
        patterns = listed(list(spec["logs"]))
        return say.find("logrotate.stale", Status.SKIPPED, "logrotate.no_logs", patterns=patterns), state
    overdue = {path: age for path, age in ages.items() if say.grade("logrotate.stale", age) is not Status.OK}
    worst = max(ages.values(), default=0.0)
    if not overdue:
        return say.find("logrotate.stale", Status.OK, "logrotate.rotating", value=worst, count=len(logs)), state
    late = say.measure(
        "logrotate.stale",
        worst,
        "logrotate.overdue",
        count=len(overdue),
        total=len(logs),
        names=listed(sorted(overdue)),
    )
    return late, state


def judge_writers(say: Reporter, patterns: list[str]) -> Check:
    """Name the processes that have a rotated or deleted log open for writing, found by device and inode."""
    rotated: dict[tuple[int, int], str] = {}
    owners: set[int] = set()
    for pattern in patterns:
        for path, found in find_logs([pattern, pattern + ".*", pattern + "-*"]):
            if is_rotated(path):
                rotated[(found.st_dev, found.st_ino)] = path
                owners.add(found.st_uid)
    directories = {os.path.dirname(pattern) + "/" for pattern in patterns}
    names, files, evidence, hidden = set(), set(), [], False
    for pid in proc.pids():
        try:
            for opened in proc.open_files(pid):
                path = _rotated_target(pid, opened, rotated, directories)
                if path and _writable(pid, opened.fd):
                    one = proc.process(pid)
                    comm = one.comm if one else "?"
                    names.add(comm)
                    files.add(path)
                    evidence.append(f"pid {pid} {comm} writes {path}")
        except PermissionError:
            # Only root may look; but the owner of the logs knows all usual writers but root itself.
            hidden = hidden or owners != {os.geteuid()}
    if files:
        return say.find(
            "logrotate.not_reopened",
            Status.WARNING,
            "logrotate.still_written",
            value=len(files),
            names=listed(sorted(names)),
            files=listed(sorted(files)),
            evidence=sorted(evidence),
        )
    if hidden and rotated:
        return say.find("logrotate.not_reopened", Status.UNKNOWN, "logrotate.writers_hidden", reason="denied")
    return say.find("logrotate.not_reopened", Status.OK, "logrotate.reopened", value=0)


def _rotated_target(
    pid: int, opened: proc.OpenFile, rotated: Mapping[tuple[int, int], str], directories: set[str]
) -> str:
    """Return the rotated log an open file is, empty if it is none."""
    if not opened.target.startswith("/"):
        return ""
    base = opened.target[: -len(DELETED)] if opened.target.endswith(DELETED) else opened.target
    if opened.target.endswith(DELETED):
        logs = base.startswith(tuple(directories)) and (is_rotated(base) or base.endswith(".log"))
        return opened.target if logs else ""
    if not is_rotated(base):
        return ""
    try:
        found = os.stat(f"{proc.PROC}/{pid}/fd/{opened.fd}")
    except OSError:
        return ""
    return rotated.get((found.st_dev, found.st_ino), "")


def _writable(pid: int, fd: int) -> bool:
    try:
        lines = proc.read(f"{proc.PROC}/{pid}/fdinfo/{fd}").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    flags = next((int(line.split()[1], 8) for line in lines if line.startswith("flags:")), 0)
    return bool(flags & WRITABLE)
