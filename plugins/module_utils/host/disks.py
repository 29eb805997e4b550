# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems: space, inodes, whether they answer, are mounted and can be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import mounts
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed, size

STATVFS_SECONDS = 2.0
GIB = 2**30
# Percent alone alarms too early on a large disk: critical needs less than this left or that much used.
DISK_LEFT = 5 * GIB
DISK_FULL = 95.0
# From this size on the default levels are 10 % higher: 10 % of half a terabyte is weeks of work.
DISK_LARGE = 512 * GIB
DISK_LARGE_WARNING = 90.0


def judge_file_systems(look: Look, spec: Mapping[str, Any]) -> list[Check]:
    """Judge space, inodes, and whether what should be mounted is, and can be written."""
    every = mounts.parse_mountinfo(look.files.read("/proc/self/mountinfo") or "")
    fstab = list(mounts.parse_fstab(look.files.read("/etc/fstab") or ""))
    declared = {entry["path"]: entry for entry in spec.get("mounts", [])}
    ignored = set(spec.get("ignore_mounts", []))
    chosen = [one for one in mounts.relevant(every, declared) if one.point not in ignored]
    answers = mounts.ask(chosen, look.deadline.sooner(STATVFS_SECONDS).remaining())
    checks = []
    for mount in chosen:
        checks += judge_usage(look.say, spec, mount, answers[mount.point], declared.get(mount.point))
    return checks + judge_mounted(look.say, every, fstab, set(declared), ignored)


def judge_usage(
    say: Reporter,
    spec: Mapping[str, Any],
    mount: mounts.Mount,
    usage: mounts.Usage | str | None,
    declared: Mapping[str, Any] | None,
) -> list[Check]:
    """Judge one file system; ``declared`` holds an operator's own levels for it, which are taken as they are."""
    item = mount.point
    if usage is None:
        status = Status.CRITICAL if declared is not None else Status.WARNING
        words = {"kind": mount.kind, "server": mount.source, "seconds": STATVFS_SECONDS}
        return [say.find("fs.statvfs_timeout", status, "host.fs_stale", item=item, reason="timeout", **words)]
    checks = [say.find("fs.statvfs_timeout", Status.OK, "host.fs_answers", item=item)] if mount.remote else []
    if isinstance(usage, str):
        return [say.find("disk.used", Status.UNKNOWN, "host.fs_error", item=item, error=usage)]
    if not usage.total:
        return checks
    own = {level: declared[level] for level in ("warn", "crit") if declared and declared.get(level) is not None}
    told: dict[str, Any] = {"total": size(usage.total), "available": size(usage.available)}
    if own:
        # The other level stays as it is for all mounts.
        told.update(min=0, max=100)
        limits = {**dict(zip(("warn", "crit"), say.limits("disk.used"))), **own}
        reporter = AREA.reporter({"disk.used": limits}, say.source)
        checks.append(reporter.measure("disk.used", usage.percent, "host.disk", item=item, **told))
    else:
        checks.append(_used(say, spec, item, usage, told))
    if usage.inode_percent is not None:
        checks.append(
            say.measure("inode.used", usage.inode_percent, "host.inodes", item=item, total=usage.inodes, min=0, max=100)
        )
    return checks


def _used(say: Reporter, spec: Mapping[str, Any], item: str, usage: mounts.Usage, told: dict[str, Any]) -> Check:
    value = usage.percent
    status = say.grade("disk.used", value)
    if status is Status.CRITICAL and usage.available >= DISK_LEFT and value < DISK_FULL:
        status = Status.WARNING
    by_default = "disk.used" not in (spec.get("thresholds") or {})
    if status is Status.WARNING and by_default and usage.total >= DISK_LARGE and value < DISK_LARGE_WARNING:
        status = Status.OK
    reason = "ok" if status is Status.OK else "threshold"
    return say.find("disk.used", status, "host.disk", item=item, reason=reason, value=value, min=0, max=100, **told)


def judge_mounted(
    say: Reporter,
    every: list[mounts.Mount],
    fstab: list[mounts.Fstab],
    declared: set[str],
    ignored: set[str],
) -> list[Check]:
    """Judge that what fstab and the operator want is mounted, and writable."""
    here = {one.point: one for one in every}
    expected = declared | {line.point for line in fstab if line.wanted}
    missing = sorted(point for point in expected - ignored if point not in here)
    writable = declared | {line.point for line in fstab if line.writable}
    # Read-only below a mount that is not: the kernel turned it so after an error (errors=remount-ro).
    turned = {one.point for one in every if one.super_read_only and not one.read_only and one in mounts.relevant([one])}
    broken = sorted(
        point
        for point in (writable | turned) - ignored
        if point in here and (here[point].read_only or here[point].super_read_only)
    )
    if missing:
        status = Status.CRITICAL if declared & set(missing) else Status.WARNING
        mounted = say.find(
            "fs.mounted", status, "host.fs_missing", reason="missing", names=listed(missing), evidence=missing
        )
    else:
        mounted = say.find("fs.mounted", Status.OK, "host.fs_mounted", count=len(expected))
    if broken:
        evidence = [f"{here[point].source} on {point}, {here[point].kind}" for point in broken]
        readonly = say.find("fs.readonly", Status.CRITICAL, "host.fs_readonly", names=listed(broken), evidence=evidence)
    else:
        readonly = say.find("fs.readonly", Status.OK, "host.fs_writable", count=len(writable & set(here)))
    return [mounted, readonly]
