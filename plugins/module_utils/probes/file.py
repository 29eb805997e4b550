# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and directories: that they exist, how big, how old, whose, and how many stale temporary files there are."""

from __future__ import annotations

import glob
import grp
import os
import re
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.accounts import user_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.durations import seconds
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean import area as temp_area
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.clean import checks as temp_checks
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.clean import select as select_temp
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.rules import OPTIONS as TEMP_OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.rules import Rules as TempRules
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, size

TIMEOUT = 10.0

OPTIONS: dict[str, dict[str, Any]] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "type": {"type": "str", "default": "any", "choices": ["any", "file", "directory"]},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
            "optional": {"type": "bool", "default": False},
            "warn_size": {"type": "str", "default": ""},
            "critical_size": {"type": "str", "default": ""},
            "min_size": {"type": "str", "default": ""},
            "max_age": {"type": "str", "default": ""},
            "critical_age": {"type": "str", "default": ""},
            "min_age": {"type": "str", "default": ""},
            "mode": {"type": "str", "default": ""},
            "max_mode": {"type": "str", "default": ""},
            "owner": {"type": "str", "default": ""},
            "group": {"type": "str", "default": ""},
        },
    },
    "temp": {"type": "dict", "options": TEMP_OPTIONS},
    "max_entries": {"type": "int", "default": 500000},
}

AREA = Area(
    "file",
    rules={
        "file.exists": Rule(
            title=Text("File exists", "文件存在"),
            fix=Text(
                "Find out what should have made it or who removed it; a path that has changed: correct it in the inventory.",
                "查明应由谁生成、被谁删除；路径若已变更，修正清单变量。",
            ),
        ),
        "file.size": Rule(
            title=Text("Size of a file or directory", "文件或目录大小"),
            fix=Text(
                "du -xh --max-depth=1 PATH | sort -h shows what is big; rotate or clean it, or raise warn_size.",
                "用 du -xh --max-depth=1 PATH | sort -h 找出大户，轮转或清理；或调大 warn_size。",
            ),
            uom="B",
            source="runbook D2.4",
        ),
        "file.age": Rule(
            title=Text("Age of a file", "文件时间"),
            fix=Text(
                "The job that writes it did not run or failed: look at its timer or crontab and its log.",
                "写入该文件的任务未运行或失败：查看其定时器或 crontab 以及日志。",
            ),
            uom="s",
        ),
        "file.mode": Rule(
            title=Text("Owner and mode of a file", "文件属主与权限"),
            fix=Text(
                "chown and chmod it back, and find out what changed it.", "用 chown、chmod 改回，并查明由谁更改。"
            ),
        ),
        **temp_area.RULES,
    },
    sentences={
        "file.present": Text("{item} exists", "{item} 存在"),
        "file.absent": Text("{item} does not exist, as expected", "{item} 不存在，符合预期"),
        "file.missing": Text("{item} does not exist", "{item} 不存在"),
        "file.missing_optional": Text("{item} does not exist, as is allowed", "{item} 不存在（允许）"),
        "file.unexpected": Text("{item} exists, expected none", "{item} 存在，期望不存在"),
        "file.wrong_type": Text("{item} is a {seen}, expected a {expected}", "{item} 的类型为 {seen}，期望 {expected}"),
        "file.denied": Text("{item} may not be looked at by {user}: {error}", "{item}：{user} 无权查看：{error}"),
        "file.bytes": Text(
            "{item}: {size} in {entries} entries{growth}", "{item}：{size}，共 {entries} 个条目{growth}"
        ),
        "file.bytes_partial": Text(
            "{item}: at least {size}, stopped after {entries} entries{denied}",
            "{item}：至少 {size}，查看 {entries} 个条目后停止{denied}",
        ),
        "file.too_small": Text("{item}: {size}, expected at least {wanted}", "{item}：{size}，期望不小于 {wanted}"),
        "file.changed": Text("{item}: last changed {age} ago", "{item}：{age} 前更新"),
        "file.too_young": Text(
            "{item}: changed {age} ago, expected none within {wanted}", "{item}：{age} 前被改动，期望 {wanted} 内不变"
        ),
        "file.rights": Text("{item}: {owner}:{group} {mode}", "{item}：{owner}:{group} {mode}"),
        "file.rights_differ": Text(
            "{item}: {owner}:{group} {mode}, expected {wanted}", "{item}：{owner}:{group} {mode}，期望 {wanted}"
        ),
        **temp_area.SENTENCES,
    },
)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at every file; the state holds the sizes, for the growth until the next run."""
    wishes = [Wish.from_spec(one) for one in spec.get("files") or []]
    temp = spec.get("temp")
    if not wishes and not temp:
        raise OpsError("file: expected files, temp or both")
    rules = TempRules.from_options(temp) if temp else None
    thresholds = spec.get("thresholds") or {}
    budget = Budget(int(spec.get("max_entries") or OPTIONS["max_entries"]["default"]), deadline)
    checks: list[Check] = []
    sizes: dict[str, list[float]] = {}
    old = previous.get("sizes") or {}
    for wish in wishes:
        for path in wish.paths():
            checks += _look(path, wish, thresholds, budget, old, sizes)
    if rules:
        checks += temp_checks(rules, select_temp(rules, deadline), AREA.reporter(thresholds))
    return ProbeResult(checks, {"sizes": sizes})


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for options that can never work; whether a user exists is left to the probe, as a finding."""
    for one in spec.get("files") or []:
        Wish.from_spec(one)
    if spec.get("temp"):
        TempRules.from_options({**spec["temp"], "owners": [str(os.geteuid())]})


class Budget:
    """How many directory entries all walks together may read, and until when."""

    def __init__(self, entries: int, deadline: Deadline) -> None:
        self.left, self._deadline = entries, deadline
        self._reserve = min(0.5, deadline.seconds / 5)

    def spent(self) -> bool:
        return self.left <= 0 or self._deadline.remaining() <= self._reserve


@dataclass(frozen=True)
class Wish:
    """What should be true of one path or of all that a glob matches."""

    path: str
    type: str
    present: bool
    optional: bool
    warn_size: int | None
    critical_size: int | None
    min_size: int | None
    max_age: float | None
    critical_age: float | None
    min_age: float | None
    mode: int | None
    max_mode: int | None
    owner: str
    group: str

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Wish:
        path = str(spec.get("path") or "")
        if not path.startswith("/"):
            raise OpsError(f"file: path {path!r}: expected an absolute path or glob")
        return cls(
            path=path if path == "/" else path.rstrip("/"),
            type=spec.get("type") or "any",
            present=(spec.get("state") or "present") == "present",
            optional=bool(spec.get("optional")),
            warn_size=_bytes(spec, path, "warn_size"),
            critical_size=_bytes(spec, path, "critical_size"),
            min_size=_bytes(spec, path, "min_size"),
            max_age=_age(spec, path, "max_age"),
            critical_age=_age(spec, path, "critical_age"),
            min_age=_age(spec, path, "min_age"),
            mode=_octal(spec.get("mode"), path),
            max_mode=_octal(spec.get("max_mode"), path),
            owner=str(spec.get("owner") or ""),
            group=str(spec.get("group") or ""),
        )

    def paths(self) -> list[str]:
        """Return what the glob matches, or the path itself so that it can be missing."""
        return sorted(glob.glob(self.path)) or [self.path] if glob.has_magic(self.path) else [self.path]


def _bytes(spec: Mapping[str, Any], path: str, option: str) -> int | None:
    text = spec.get(option)
    if text in (None, ""):
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", str(text).strip().lower())
    if not match:
        raise OpsError(f"file: {path}: {option} {text!r}: expected bytes such as 1048576, 500M or 2G")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def _age(spec: Mapping[str, Any], path: str, option: str) -> float | None:
    text = spec.get(option)
    if text in (None, ""):
        return None
    try:
        return seconds(text)
    except OpsError as exc:
        raise OpsError(f"file: {path}: {option}: {exc}") from exc


def _octal(text: Any, path: str) -> int | None:
    if text in (None, ""):
        return None
    if not re.fullmatch(r"0?[0-7]{3,4}", str(text)):
        raise OpsError(f"file: {path}: mode {text!r}: expected octal digits in quotes, such as '0750'")
    return int(str(text), 8)


def _look(
    path: str,
    wish: Wish,
    thresholds: Mapping[str, Any],
    budget: Budget,
    old: Mapping[str, Any],
    sizes: dict[str, list[float]],
) -> list[Check]:
    say = AREA.reporter(thresholds)
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        if not wish.present:
            return [say.find("file.exists", Status.OK, "file.absent", item=path)]
        if wish.optional:
            return [say.find("file.exists", Status.SKIPPED, "file.missing_optional", item=path)]
        return [say.find("file.exists", Status.CRITICAL, "file.missing", item=path, reason="missing")]
    except OSError as exc:
        return [_denied(path, exc, thresholds)]
    if not wish.present:
        return [say.find("file.exists", Status.WARNING, "file.unexpected", item=path)]
    seen = _type(status.st_mode)
    if wish.type not in ("any", seen):
        return [say.find("file.exists", Status.CRITICAL, "file.wrong_type", item=path, seen=seen, expected=wish.type)]
    checks = [say.find("file.exists", Status.OK, "file.present", item=path)]
    checks += _size_checks(path, wish, status, thresholds, budget, old, sizes)
    checks += _age_checks(path, wish, status, thresholds)
    return checks + _rights_checks(path, wish, status, thresholds)


def _type(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "special"


def _denied(path: str, exc: OSError, thresholds: Mapping[str, Any]) -> Check:
    return AREA.reporter(thresholds).find(
        "file.exists",
        Status.UNKNOWN,
        "file.denied",
        item=path,
        reason="denied" if isinstance(exc, PermissionError) else "error",
        user=user_name(os.geteuid()),
        error=exc.strerror or str(exc),
    )


@dataclass
class Usage:
    """What ``du -x`` would tell: disk space and length, every inode once."""

    disk: int = 0
    length: int = 0
    entries: int = 0
    denied: int = 0
    stopped: bool = False


def usage(path: str, status: os.stat_result, budget: Budget) -> Usage:
    """Measure a tree on its own filesystem without following links; stops when the budget is spent."""
    result = Usage(status.st_blocks * 512, status.st_size, 1)
    if not stat.S_ISDIR(status.st_mode):
        return result
    result.length = 0
    linked: set[int] = set()
    pending = [path]
    while pending:
        if budget.spent():
            result.stopped = True
            break
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    budget.left -= 1
                    if budget.left % 256 == 0 and budget.spent():
                        result.stopped = True
                        break
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # gone in the meantime
                    if found.st_dev != status.st_dev:
                        continue
                    result.entries += 1
                    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                        if found.st_ino in linked:
                            continue
                        linked.add(found.st_ino)
                    result.disk += found.st_blocks * 512
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(entry.path)
                    else:
                        result.length += found.st_size
        except PermissionError:
            result.denied += 1
        except OSError:
            continue
    return result


def _size_checks(
    path: str,
    wish: Wish,
    status: os.stat_result,
    thresholds: Mapping[str, Any],
    budget: Budget,
    old: Mapping[str, Any],
    sizes: dict[str, list[float]],
) -> list[Check]:
    limits = {"warn": wish.warn_size, "crit": wish.critical_size}
    say = AREA.reporter(_override(thresholds, "file.size", {k: str(v) for k, v in limits.items() if v is not None}))
    found = usage(path, status, budget)
    if wish.min_size is not None and found.length < wish.min_size and not (found.stopped or found.denied):
        return [
            say.find(
                "file.size",
                Status.CRITICAL,
                "file.too_small",
                item=path,
                value=found.length,
                size=size(found.length),
                wanted=size(wish.min_size),
            )
        ]
    facts: dict[str, Any] = {"item": path, "min": 0, "size": size(found.disk), "entries": found.entries}
    if found.stopped or found.denied:
        facts["denied"] = f", {found.denied} denied" if found.denied else ""
        if say.grade("file.size", found.disk) is Status.OK:
            reason = "timeout" if found.stopped else "denied"
            return [
                say.find("file.size", Status.UNKNOWN, "file.bytes_partial", reason=reason, value=found.disk, **facts)
            ]
        return [say.measure("file.size", found.disk, "file.bytes_partial", **facts)]
    now = time.time()
    sizes[path] = [found.disk, now]
    facts["growth"] = ""
    before = old.get(path)
    if before:
        change = found.disk - before[0]
        facts["growth"] = f", {'-' if change < 0 else '+'}{size(abs(change))} / {duration(now - before[1])}"
    return [say.measure("file.size", found.disk, "file.bytes", **facts)]


def _override(thresholds: Mapping[str, Any], check_id: str, limits: Mapping[str, str]) -> Mapping[str, Any]:
    return {**thresholds, check_id: {**thresholds.get(check_id, {}), **limits}} if limits else thresholds


def _age_checks(path: str, wish: Wish, status: os.stat_result, thresholds: Mapping[str, Any]) -> list[Check]:
    if wish.max_age is None and wish.critical_age is None and wish.min_age is None:
        return []
    limits = {"warn": wish.max_age, "crit": wish.critical_age}
    # From below -60 s a time stamp lies in the future, which no clock of a healthy host makes.
    ranges = {level: f"-60:{value:g}" for level, value in limits.items() if value is not None}
    say = AREA.reporter(_override(thresholds, "file.age", ranges))
    age = time.time() - status.st_mtime
    if wish.min_age is not None and age < wish.min_age:
        wanted = duration(wish.min_age)
        return [
            say.find(
                "file.age", Status.WARNING, "file.too_young", item=path, value=age, age=duration(age), wanted=wanted
            )
        ]
    return [say.measure("file.age", age, "file.changed", item=path, age=duration(age))]


def _rights_checks(path: str, wish: Wish, status: os.stat_result, thresholds: Mapping[str, Any]) -> list[Check]:
    if wish.mode is None and wish.max_mode is None and not wish.owner and not wish.group:
        return []
    say = AREA.reporter(thresholds)
    mode, owner, group = stat.S_IMODE(status.st_mode), user_name(status.st_uid), _group(status.st_gid)
    wanted = []
    if wish.owner and wish.owner not in (owner, str(status.st_uid)):
        wanted.append(wish.owner)
    if wish.group and wish.group not in (group, str(status.st_gid)):
        wanted.append(f":{wish.group}")
    if wish.mode is not None and mode != wish.mode:
        wanted.append(f"{wish.mode:04o}")
    if wish.max_mode is not None and mode & ~wish.max_mode:
        wanted.append(f"<= {wish.max_mode:04o}")
    facts = {"owner": owner, "group": group, "mode": f"{mode:04o}", "wanted": " ".join(wanted)}
    if wanted:
        return [say.find("file.mode", Status.WARNING, "file.rights_differ", item=path, reason="state", **facts)]
    return [say.find("file.mode", Status.OK, "file.rights", item=path, reason="ok", **facts)]


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
