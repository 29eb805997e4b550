# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups: a new one every night, of the usual size, proved by its manifest, and nothing half-made beside them.

Sources: one directory listing, the manifests, and the sha256 of the newest snapshot, once per snapshot. Cost: a few
milliseconds; hashing a new snapshot about 1.5 s per GB.

Only a file with a manifest counts: a copy without one was proved by nobody, and a plain copy of a live database is
malformed more often than not.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.manifest import (
    PARTIAL,
    SUFFIX,
    Manifest,
    read_manifest,
    sha256,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot.names import BAD
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed, size

TIMEOUT = 10.0
# What the newest snapshot is compared with: two weeks of nights.
HISTORY = 14
# One earlier snapshot is no measure of what is usual.
HISTORY_LEAST = 2
# A backup that is being made looks like a leftover.
LEFTOVER_SECONDS = 3600.0
LEFTOVERS = ("*" + PARTIAL, "*.tmp", "*-wal", "*-shm", "*-journal")

OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "patterns": {"type": "list", "elements": "str", "default": ["*.db", "*.db.gz", "*.db.xz", "*.db.zst"]},
    "pointer": {"type": "str", "default": ""},
    "hash": {"type": "bool", "default": True},
    "hash_seconds": {"type": "float", "default": 5.0},
    "hash_rate": {"type": "float", "default": 200.0},
}

AREA = Area(
    "backup",
    rules={
        "backup.directory": Rule(
            title=Text("Backup directory holds files", "备份目录中有文件"),
            fix=Text(
                "Missing or empty: is its disk mounted, and is tutor_backup_dir the directory that backups go to? Run the "
                "backup playbook, then look at its schedule.",
                "目录缺失或为空：检查磁盘是否挂载、tutor_backup_dir 是否为实际备份目录；执行 backup 剧本，再检查定时任务。",
            ),
        ),
        "backup.age": Rule(
            title=Text("Age of the newest backup", "最近备份的时间"),
            fix=Text(
                "Run `ansible-playbook bilingual_tutor.ops.backup` now, then find out why last night's did not run (crontab or "
                "timer, its log).",
                "立即执行 `ansible-playbook bilingual_tutor.ops.backup`，再查明昨晚备份为何未执行（crontab 或定时器及其日志）。",
            ),
            warn="26",
            crit="50",
            uom="h",
            source="one a day and two hours of grace (26 h), two nights missed (50 h)",
        ),
        "backup.manifest": Rule(
            title=Text("Every backup has a manifest", "每个备份都有清单"),
            fix=Text(
                "A file without a manifest is not a backup: nothing proves what is in it. Make a new one with the backup "
                "playbook; keep the old files elsewhere until it is verified.",
                "没有清单的文件不算备份，其内容无从证明。请用 backup 剧本重新备份；旧文件在新备份通过验证前另行保存。",
            ),
        ),
        "backup.sha256": Rule(
            title=Text("Newest backup is the one that was made", "最近备份与生成时一致"),
            fix=Text(
                "The file changed after it was made: do not restore it. Make a new backup now and check the disk (dmesg, "
                "smartctl).",
                "文件在生成后被改动，请勿用于恢复。立即重新备份，并检查磁盘（dmesg、smartctl）。",
            ),
            source="the sha256 in the manifest finds 200 of 200 single bit errors, integrity_check 49",
        ),
        "backup.size": Rule(
            title=Text("Size of the newest backup against the usual", "最近备份大小与往常相比"),
            fix=Text(
                "Much smaller: compare the row counts in the manifests of the last two; the database may have been emptied or "
                "another one backed up.",
                "明显变小：对比最近两份清单中的行数；数据库可能被清空，或备份了错误的库。",
            ),
            warn="-50:",
            uom="%",
            source="half of the median of the last 14",
        ),
        "backup.pointer": Rule(
            title=Text("Pointer names the newest backup", "指针指向最近的备份"),
            fix=Text(
                "`ln -sfn NEWEST POINTER` in the backup directory, after the newest was verified.",
                "验证最近备份后，在备份目录执行 `ln -sfn NEWEST POINTER`。",
            ),
        ),
        "backup.leftovers": Rule(
            title=Text("No half-made backups", "没有未完成的备份残留"),
            fix=Text(
                "An interrupted backup left them: see why (disk full? timeout?), then remove the files listed.",
                "备份中断留下的残留：查明原因（磁盘满？超时？）后删除所列文件。",
            ),
        ),
        "backup.rejected": Rule(
            title=Text("No backup was found bad", "没有不合格的备份"),
            fix=Text(
                "The last backup was made and is damaged, empty or below its floors; the pointer stays with the older one. "
                "Look at the live database first (`PRAGMA integrity_check` on the .bad file), then run the backup playbook.",
                "最近一次备份已生成，但损坏、为空或行数不足；指针仍指向较早的备份。先检查在线数据库（对 .bad 文件执行 `PRAGMA integrity_check`），"
                "再执行 backup 剧本。",
            ),
        ),
        "backup.count": Rule(
            title=Text("Number of backups", "备份数量"),
            fix=Text(
                "Fewer than expected: check the retention of the backup and whether nights were missed.",
                "数量不足：检查备份保留策略以及是否有漏备。",
            ),
            warn="2:",
            uom="c",
            source="of a single one nothing is left when it turns out bad",
        ),
    },
    sentences={
        "backup.directory_full": Text("{count} files in {path}", "{path} 中有 {count} 个文件"),
        "backup.directory_missing": Text("{path} does not exist", "{path} 不存在"),
        "backup.directory_kind": Text("{path} is not a directory", "{path} 不是目录"),
        "backup.directory_empty": Text(
            "{path} holds no file that matches {patterns}", "{path} 中没有匹配 {patterns} 的文件"
        ),
        "backup.directory_denied": Text("{path} cannot be read: {error}", "无法读取 {path}：{error}"),
        "backup.age_is": Text("{name} was made {age} ago", "{name} 生成于 {age} 前"),
        "backup.age_none": Text(
            "there is no backup: {count} files, none with a manifest that can be read",
            "没有可用备份：{count} 个文件均无可读清单",
        ),
        "backup.age_future": Text(
            "{name} says it was made at {created}, which is to come: a clock is wrong",
            "{name} 的生成时间 {created} 在未来：时钟有误",
        ),
        "backup.manifest_all": Text("all {count} backups have one", "{count} 个备份均有清单"),
        "backup.manifest_missing": Text(
            "{count} files without a manifest, which are not backups: {names}",
            "{count} 个文件没有清单，不算备份：{names}",
        ),
        "backup.manifest_bad": Text("cannot be read: {names}", "清单无法读取：{names}"),
        "backup.sha256_right": Text("{name} has the sha256 of its manifest", "{name} 的 sha256 与清单一致"),
        "backup.sha256_before": Text(
            "{name} had the sha256 of its manifest and was not touched since", "{name} 此前校验一致，之后未被改动"
        ),
        "backup.sha256_wrong": Text(
            "{name} has sha256 {seen}, its manifest says {wanted}", "{name} 的 sha256 为 {seen}，清单记录为 {wanted}"
        ),
        "backup.sha256_bytes": Text(
            "{name} has {seen} bytes, its manifest says {wanted}", "{name} 为 {seen} 字节，清单记录为 {wanted}"
        ),
        "backup.sha256_big": Text(
            "{name} ({size}) cannot be hashed in the {seconds:.0f} s given, its length is right; the backup verification hashes it",
            "{name}（{size}）无法在 {seconds:.0f} 秒内计算哈希，长度一致；由备份验证完成校验",
        ),
        "backup.sha256_late": Text(
            "{name} ({size}) was not hashed within {seconds:.1f} s: its disk is slow",
            "{name}（{size}）{seconds:.1f} 秒内未完成哈希：磁盘较慢",
        ),
        "backup.sha256_error": Text("{name} cannot be read: {error}", "{name} 无法读取：{error}"),
        "backup.sha256_off": Text(
            "{name}: hashing is not asked for, its length is right", "{name}：未要求计算哈希，长度一致"
        ),
        "backup.size_is": Text(
            "{name} has {size}, {value:+.0f} % against the usual {usual}",
            "{name} 为 {size}，与通常的 {usual} 相比 {value:+.0f}%",
        ),
        "backup.size_first": Text("{name} has {size}, too few to compare with", "{name} 为 {size}，历史不足，无法比较"),
        "backup.pointer_right": Text("{pointer} is {name}", "{pointer} 指向 {name}"),
        "backup.pointer_missing": Text("{pointer} does not exist", "{pointer} 不存在"),
        "backup.pointer_dangling": Text(
            "{pointer} points to {target}, which does not exist", "{pointer} 指向的 {target} 不存在"
        ),
        "backup.pointer_other": Text(
            "{pointer} is {target}, the newest is {name}", "{pointer} 指向 {target}，最近的是 {name}"
        ),
        "backup.pointer_copy": Text(
            "{pointer} is a file of its own, not a link to {name}: nothing keeps it up to date",
            "{pointer} 是独立文件而非指向 {name} 的链接，不会随备份更新",
        ),
        "backup.rejected_none": Text("none", "无"),
        "backup.rejected_newer": Text("{name} is newer than any good backup", "{name} 比所有合格的备份都新"),
        "backup.rejected_older": Text(
            "{count} from earlier, a good one was made since", "{count} 个较早的，此后已有合格的备份"
        ),
        "backup.leftovers_none": Text("none", "无残留"),
        "backup.leftovers_some": Text("{count} left behind, {size}: {names}", "残留 {count} 个，共 {size}：{names}"),
        "backup.count_is": Text("{value:.0f} backups, the oldest of {oldest}", "{value:.0f} 个备份，最早为 {oldest}"),
    },
)


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    if not os.path.isabs(spec["path"]):
        raise OpsError(f"path is {spec['path']!r}: expected an absolute path")
    if not spec["patterns"]:
        raise OpsError("patterns is empty: expected at least one, such as *.db")
    if "/" in spec["pointer"]:
        raise OpsError(f"pointer is {spec['pointer']!r}: expected a name in the directory")
    for name in ("hash_seconds", "hash_rate"):
        if not spec[name] > 0:
            raise OpsError(f"{name} is {spec[name]}: expected a number above 0")


@dataclass(frozen=True)
class Snapshot:
    """One file with its manifest."""

    path: Path
    seen: os.stat_result
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.path.name


@dataclass
class Found:
    """What lies in the directory; snapshots oldest first."""

    files: int
    snapshots: list[Snapshot]
    bare: list[str]
    broken: dict[str, str]
    leftovers: dict[str, int]
    rejected: dict[str, float] = field(default_factory=dict)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at one directory of backups."""
    say = AREA.reporter(spec.get("thresholds"), source="backup")
    directory = Path(spec["path"])
    state = dict(previous)
    now = time.time()
    try:
        found = survey(directory, spec["patterns"], spec["pointer"], now)
    except OSError as exc:
        checks = [_no_directory(say, directory, exc)]
    else:
        checks = list(judge(say, spec, found, now))
        if found.snapshots:
            checks.append(_proof(say, spec, found.snapshots[-1], deadline, state))
    for check in checks:
        check.item = str(directory)
    return ProbeResult(checks, state)


def survey(directory: Path, patterns: list[str], pointer: str, now: float) -> Found:
    """List a directory once and read the manifests; raises OSError. Links count as nothing but the pointer."""
    found = Found(0, [], [], {}, {})
    with os.scandir(directory) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        name = entry.name
        try:
            seen = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # removed by a backup that cleans up right now
        if not stat.S_ISREG(seen.st_mode) or name == pointer:
            continue
        if any(fnmatch.fnmatch(name, pattern) for pattern in LEFTOVERS):
            if now - seen.st_mtime > LEFTOVER_SECONDS:
                found.leftovers[name] = seen.st_size
        elif name.endswith(BAD) and any(fnmatch.fnmatch(name[: -len(BAD)], pattern) for pattern in patterns):
            found.rejected[name] = seen.st_mtime
        elif any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            found.files += 1
            try:
                manifest = read_manifest(directory / name)
            except OpsError as exc:
                found.broken[name] = str(exc)
                continue
            if manifest is None:
                found.bare.append(name)
            else:
                found.snapshots.append(Snapshot(directory / name, seen, manifest))
    found.snapshots.sort(key=lambda snapshot: (snapshot.manifest.made, snapshot.name))
    return found


def _no_directory(say: Reporter, directory: Path, exc: OSError) -> Check:
    status, sentence, reason = Status.UNKNOWN, "backup.directory_denied", "denied"
    if isinstance(exc, FileNotFoundError):
        status, sentence, reason = Status.CRITICAL, "backup.directory_missing", "missing"
    elif isinstance(exc, NotADirectoryError):
        status, sentence, reason = Status.CRITICAL, "backup.directory_kind", "state"
    return say.find("backup.directory", status, sentence, reason=reason, path=str(directory), error=exc.strerror or "")


def judge(say: Reporter, spec: Mapping[str, Any], found: Found, now: float) -> Iterator[Check]:
    """Judge what was found, but for the hash of the newest."""
    path, patterns = spec["path"], listed(spec["patterns"])
    if not found.files:
        yield say.find(
            "backup.directory",
            Status.CRITICAL,
            "backup.directory_empty",
            reason="missing",
            path=path,
            patterns=patterns,
        )
        yield _leftovers(say, found)
        yield _rejected(say, found)
        return
    yield say.find(
        "backup.directory", Status.OK, "backup.directory_full", path=path, count=found.files, value=found.files
    )
    yield _manifests(say, found)
    yield _leftovers(say, found)
    yield _rejected(say, found)
    if not found.snapshots:
        yield say.find("backup.age", Status.CRITICAL, "backup.age_none", reason="missing", count=found.files)
        return
    newest = found.snapshots[-1]
    yield _age(say, newest, now)
    yield say.measure(
        "backup.count", len(found.snapshots), "backup.count_is", oldest=found.snapshots[0].manifest.created
    )
    yield _usual_size(say, found.snapshots)
    if spec["pointer"]:
        yield _pointer(say, Path(path) / spec["pointer"], newest)


def _age(say: Reporter, newest: Snapshot, now: float) -> Check:
    age = now - newest.manifest.made
    # A minute ahead is two clocks; more is a wrong one, and would look fresh for ever.
    if age < -60:
        return say.find(
            "backup.age", Status.WARNING, "backup.age_future", name=newest.name, created=newest.manifest.created
        )
    return say.measure(
        "backup.age", max(0.0, age) / 3600, "backup.age_is", name=newest.name, age=duration(max(0.0, age))
    )


def _manifests(say: Reporter, found: Found) -> Check:
    if found.broken:
        lines = list(found.broken.values())
        return say.find(
            "backup.manifest", Status.CRITICAL, "backup.manifest_bad", names=listed(list(found.broken)), evidence=lines
        )
    if found.bare:
        return say.find(
            "backup.manifest", Status.WARNING, "backup.manifest_missing", reason="missing",
            count=len(found.bare), names=listed(found.bare[::-1]), evidence=[f"expected NAME{SUFFIX}", *found.bare[::-1]],
        )  # fmt: skip
    return say.find("backup.manifest", Status.OK, "backup.manifest_all", count=len(found.snapshots))


def _leftovers(say: Reporter, found: Found) -> Check:
    if not found.leftovers:
        return say.find("backup.leftovers", Status.OK, "backup.leftovers_none", value=0)
    names = list(found.leftovers)
    total = size(sum(found.leftovers.values()))
    return say.find(
        "backup.leftovers", Status.WARNING, "backup.leftovers_some",
        count=len(names), names=listed(names), size=total, evidence=names, value=len(names),
    )  # fmt: skip


def _rejected(say: Reporter, found: Found) -> Check:
    if not found.rejected:
        return say.find("backup.rejected", Status.OK, "backup.rejected_none", value=0)
    name = max(found.rejected, key=lambda one: found.rejected[one])
    words: dict[str, Any] = {
        "count": len(found.rejected),
        "value": len(found.rejected),
        "evidence": list(found.rejected),
    }
    if found.snapshots and found.snapshots[-1].manifest.made > found.rejected[name]:
        return say.find("backup.rejected", Status.OK, "backup.rejected_older", **words)
    return say.find("backup.rejected", Status.CRITICAL, "backup.rejected_newer", name=name, **words)


def _usual_size(say: Reporter, snapshots: list[Snapshot]) -> Check:
    newest, before = snapshots[-1], snapshots[-1 - HISTORY : -1]
    words = {"name": newest.name, "size": size(newest.manifest.bytes)}
    if len(before) < HISTORY_LEAST:
        return say.find("backup.size", Status.OK, "backup.size_first", **words)
    usual = statistics.median(snapshot.manifest.bytes for snapshot in before)
    change = 100.0 * (newest.manifest.bytes - usual) / usual
    return say.measure("backup.size", change, "backup.size_is", usual=size(usual), **words)


def _pointer(say: Reporter, pointer: Path, newest: Snapshot) -> Check:
    def found(status: Status, sentence: str, **rest: Any) -> Check:
        return say.find("backup.pointer", status, sentence, pointer=pointer.name, name=newest.name, **rest)

    target = os.path.realpath(pointer)
    try:
        seen = os.stat(pointer)
    except FileNotFoundError:
        if pointer.is_symlink():
            return found(Status.CRITICAL, "backup.pointer_dangling", reason="missing", target=target)
        return found(Status.CRITICAL, "backup.pointer_missing", reason="missing")
    if (seen.st_dev, seen.st_ino) == (newest.seen.st_dev, newest.seen.st_ino):
        return found(Status.OK, "backup.pointer_right")
    if pointer.is_symlink():
        return found(Status.WARNING, "backup.pointer_other", target=os.path.basename(target))
    return found(Status.WARNING, "backup.pointer_copy")


def _proof(
    say: Reporter, spec: Mapping[str, Any], newest: Snapshot, deadline: Deadline, state: dict[str, Any]
) -> Check:
    """Prove the newest snapshot by its length and sha256; hash it once, and again only when the file was touched."""
    words = {"name": newest.name, "size": size(newest.seen.st_size)}

    def found(status: Status, sentence: str, reason: str = "", **rest: Any) -> Check:
        return say.find("backup.sha256", status, sentence, reason=reason, **words, **rest)

    if newest.seen.st_size != newest.manifest.bytes:
        return found(Status.CRITICAL, "backup.sha256_bytes", seen=newest.seen.st_size, wanted=newest.manifest.bytes)
    if not spec["hash"]:
        return found(Status.OK, "backup.sha256_off")
    identity = [newest.name, newest.seen.st_ino, newest.seen.st_size, newest.seen.st_mtime_ns, newest.seen.st_ctime_ns]
    known = state.get("hashed", [])
    before = known[:-1] == identity
    if before:
        digest = known[-1]
    else:
        seconds = min(spec["hash_seconds"], max(0.1, deadline.remaining() - 0.5))
        if newest.seen.st_size / (spec["hash_rate"] * 1e6) > seconds:
            return found(Status.SKIPPED, "backup.sha256_big", "insufficient_data", seconds=seconds)
        outcome = run_isolated(lambda: _hash(newest.path), seconds)
        if outcome.timed_out:
            return found(Status.UNKNOWN, "backup.sha256_late", "timeout", seconds=outcome.seconds)
        if outcome.error:
            return found(Status.UNKNOWN, "backup.sha256_error", error=outcome.error.strip().splitlines()[-1])
        digest = outcome.value
        state["hashed"] = [*identity, digest]
    if digest != newest.manifest.sha256:
        return found(Status.CRITICAL, "backup.sha256_wrong", seen=digest[:12], wanted=newest.manifest.sha256[:12])
    return found(Status.OK, "backup.sha256_before" if before else "backup.sha256_right")


def _hash(path: Path) -> str:
    """Hash behind everybody else's work: the application on this host is busy with learners."""
    os.nice(10)
    return sha256(path)
