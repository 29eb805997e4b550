# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge one path: whether it exists, how big, how old, whose."""

from __future__ import annotations

import grp
import os
import stat
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.accounts import user_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.files.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.files.usage import Budget, usage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.files.wish import Wish
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, size


def judge(
    path: str,
    wish: Wish,
    thresholds: Mapping[str, Any],
    budget: Budget,
    old: Mapping[str, Any],
    sizes: dict[str, list[float]],
) -> list[Check]:
    """Return the checks of one path; ``sizes`` takes its size for the next run, ``old`` holds those of the last."""
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
