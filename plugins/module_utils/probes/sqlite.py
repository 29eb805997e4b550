# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's database: the right file, whole, readable, with its rows, not locked for long.

Sources: the file's header and the kernel's lists of locks and open files; then one look inside as the file's owner in
a child process (``sqlite/look.py``), which changes nothing and leaves no file behind. About 10 ms, plus the quick check
(1.3 s per GB in memory, ten times that from disk).

Every check of the wrong file is green, so with ``service`` or ``pidfile`` it is proved first that the application's
processes have exactly this file open.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.header import Header, last_commit, read_header
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import process_name, writers
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import EVIDENCE, Questions, look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import usage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import number, show, unit_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed, size

TIMEOUT = 12.0
SYSTEMCTL_SECONDS = 4.0
# A lock seen once is looked at until it is let go, at most this long: just beyond the application's busy timeout.
LOCK_SECONDS = 5.2
LOCK_PAUSE = 0.02
# What the look inside takes besides the quick check, at the most.
LOOK_SECONDS = 2.5
# A checkpoint writes the header before it has made the file longer.
GROW_SECONDS = 0.3
# Young processes may not have opened their database yet; the first request does that.
FRESH_SECONDS = 60.0
# A freelist below this is not worth a VACUUM whatever its share.
FREELIST_BYTES = 16 * 1024 * 1024
SCHEMA_OBJECTS = 60

OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "service": {"type": "str", "default": ""},
    "pidfile": {"type": "str", "default": ""},
    "pids": {"type": "list", "elements": "int", "default": []},
    "owner": {"type": "str", "default": ""},
    "floors": {"type": "dict", "default": {}},
    "quick_check": {"type": "bool", "default": True},
    "quick_check_seconds": {"type": "float", "default": 3.0},
    "application_id": {"type": "int"},
    "user_version": {"type": "int"},
    "python": {"type": "str", "default": ""},
    "wal_reset_bug": {"type": "str", "choices": ["tell", "warn"], "default": "tell"},
}

AREA = Area(
    "db",
    rules={
        "sqlite.file": Rule(
            title=Text("Database file is there and whole", "数据库文件存在且完整"),
            fix=Text(
                "Stop the service before it recreates or overwrites the file. Keep the file with its -wal and -shm "
                "(cp -a, all three), then restore the newest verified backup. Wrong path: correct tutor_database.",
                "先停止服务，以免它重建或覆盖该文件。用 cp -a 把数据库与 -wal、-shm 三个文件一并留存，再恢复最近一份已验证的备份。"
                "若路径有误，请修正 tutor_database。",
            ),
            source="file size against the page count in the header; the application recreates a lost database empty",
        ),
        "sqlite.owner": Rule(
            title=Text("Database belongs to the service", "数据库文件归服务用户所有"),
            fix=Text(
                "`chown USER: FILE FILE-wal FILE-shm`, `chmod u+rw` them and `chmod u+rwx` the directory; USER is the "
                "service's user. Then restart the service in the window.",
                "执行 `chown USER: FILE FILE-wal FILE-shm`，文件 `chmod u+rw`，目录 `chmod u+rwx`（USER 为服务用户），"
                "随后在维护窗口重启服务。",
            ),
        ),
        "sqlite.in_use": Rule(
            title=Text("The service has this very file open", "服务打开的正是此文件"),
            fix=Text(
                "Set tutor_database to the file named in the finding. If it says (deleted), the file was replaced under the "
                "running service: restart the service, but first save what it wrote (/proc/PID/fd).",
                "把 tutor_database 改为告警中给出的文件。若标有 (deleted)，说明文件在服务运行时被替换：先从 /proc/PID/fd 保存已写入的数据，"
                "再重启服务。",
            ),
            source="device and inode of /proc/PID/fd",
        ),
        "sqlite.opens": Rule(
            title=Text("Database can be opened and read", "数据库可打开且可读"),
            fix=Text(
                "`sqlite3 'file:PATH?mode=ro' 'PRAGMA quick_check'` as the service's user shows the error. Malformed: stop "
                "the service, keep all three files, restore the newest verified backup.",
                "以服务用户执行 `sqlite3 'file:PATH?mode=ro' 'PRAGMA quick_check'` 查看错误。若提示 malformed：停服务，"
                "留存三个文件，恢复最近一份已验证的备份。",
            ),
        ),
        "sqlite.lock": Rule(
            title=Text("Writers can get in", "可以写入（无长时间写锁）"),
            fix=Text(
                "See what the named process does (`ps -fp PID`); a forgotten sqlite3 shell or backup script: end it. The "
                "application's own worker: look for a long transaction in its log.",
                "用 `ps -fp PID` 查看持锁进程。若是遗留的 sqlite3 会话或备份脚本，请结束它；若是应用自身的工作进程，请在日志中查找长事务。",
            ),
            warn="2",
            crit="5",
            uom="s",
            source="the application waits 5 s for a lock (its busy timeout), then its users see errors",
        ),
        "sqlite.quick_check": Rule(
            title=Text("Structure of the database (quick_check)", "数据库结构检查（quick_check）"),
            fix=Text(
                "Damaged: stop the service, keep all three files, restore the newest verified backup. Not finished: raise "
                "quick_check_seconds and timeout of the probe, or set quick_check: false and check the nightly snapshot.",
                "若已损坏：停服务，留存三个文件，恢复最近一份已验证的备份。若未完成：调大探测的 quick_check_seconds 与 timeout，"
                "或设 quick_check: false，改为检查每晚的快照。",
            ),
            source="PRAGMA quick_check, only the single row ok is ok; it misses index damage",
        ),
        "sqlite.rows": Rule(
            title=Text("Tables hold at least what is declared", "各表行数不低于下限"),
            fix=Text(
                "Fewer rows than declared: the application may have recreated the database empty. Compare with the newest "
                "backup's manifest before anything writes more; else correct tutor_database_floors.",
                "行数低于下限：应用可能已重建空库。请在继续写入之前与最近备份的清单比对；若下限有误，请修正 tutor_database_floors。",
            ),
        ),
        "sqlite.schema": Rule(
            title=Text("Schema is the one of the last run", "表结构与上次检查一致"),
            fix=Text(
                "Expected after a deployment or a migration. Otherwise find out who changed it (evidence names the objects).",
                "发布或迁移之后属正常；否则请查明是谁改动的（证据列出对象名）。",
            ),
        ),
        "sqlite.identity": Rule(
            title=Text("Database is the declared one", "数据库标识与声明一致"),
            fix=Text(
                "application_id or user_version differ: another database, or a migration that ran or did not run.",
                "application_id 或 user_version 不符：不是这个库，或迁移未按预期执行。",
            ),
        ),
        "sqlite.wal": Rule(
            title=Text("Size of the write-ahead log", "WAL 文件大小"),
            fix=Text(
                "A long reader keeps the log from being reset: look for old transactions and forgotten sqlite3 shells, then "
                "`PRAGMA wal_checkpoint(PASSIVE)` as the owner.",
                "长时间的读事务使日志无法回收：查找遗留事务和 sqlite3 会话，然后以属主身份执行 `PRAGMA wal_checkpoint(PASSIVE)`。",
            ),
            warn="64",
            crit="512",
            uom="MiB",
            source="SQLite checkpoints at 1000 pages (4 MiB); above 64 MiB checkpoints do not finish",
        ),
        "sqlite.freelist": Rule(
            title=Text("Unused pages in the database", "数据库空闲页占比"),
            fix=Text(
                "VACUUM in the maintenance window (weekly_maintenance).",
                "在维护窗口执行 VACUUM（weekly_maintenance）。",
            ),
            warn="25",
            uom="%",
            source="counts from 16 MiB of free pages on",
        ),
        "sqlite.version": Rule(
            title=Text("SQLite of the application", "应用使用的 SQLite 版本"),
            fix=Text(
                "Update SQLite to 3.51.3, 3.50.7 or 3.44.6, or run integrity_check on a snapshot every day.",
                "将 SQLite 升级到 3.51.3、3.50.7 或 3.44.6，或每天对快照执行 integrity_check。",
            ),
            source="WAL-reset bug of 3.7.0 to 3.51.2, needs several writing processes",
        ),
    },
    sentences={
        "sqlite.file_whole": Text("{path} is whole: {size}, as its header says", "{path} 完整：{size}，与文件头一致"),
        "sqlite.file_missing": Text("{path} does not exist", "{path} 不存在"),
        "sqlite.file_dangling": Text(
            "{path} points to {target}, which does not exist", "{path} 指向的 {target} 不存在"
        ),
        "sqlite.file_kind": Text("{path} is {what}, not a file", "{path} 是{what_zh}，不是文件"),
        "sqlite.file_empty": Text(
            "{path} has 0 bytes: the application will recreate it empty and call itself healthy",
            "{path} 为 0 字节：应用会重建空库并自称正常",
        ),
        "sqlite.file_header": Text(
            "{path} ({size}) does not begin as a SQLite database: its header is destroyed or it is another file",
            "{path}（{size}）开头不是 SQLite 数据库：文件头被破坏，或不是数据库文件",
        ),
        "sqlite.file_truncated": Text(
            "{path} is truncated: {size}, its header says {expected}",
            "{path} 被截断：现为 {size}，文件头记录为 {expected}",
        ),
        "sqlite.file_unseen": Text("{path} cannot be looked at: {error}", "无法查看 {path}：{error}"),
        "sqlite.owner_right": Text("belongs to {user}, who can write to it", "属主为 {user}，可读写"),
        "sqlite.owner_wrong": Text(
            "{count} of its files belong to somebody else than {user}: {names}",
            "有 {count} 个文件不属于 {user}：{names}",
        ),
        "sqlite.owner_unknown": Text(
            "the declared owner {user} is no user of this host", "声明的属主 {user} 在本机不存在"
        ),
        "sqlite.owner_denied": Text("{user} cannot {what}", "{user} 无法{what_zh}"),
        "sqlite.in_use_yes": Text(
            "{count} of {total} processes of the service have it open",
            "服务的 {total} 个进程中有 {count} 个已打开该文件",
        ),
        "sqlite.in_use_other": Text(
            "the service does not use this file, it has {others} open", "服务未使用此文件，实际打开的是 {others}"
        ),
        "sqlite.in_use_none": Text(
            "the service runs for {age} and has no database open", "服务已运行 {age}，未打开任何数据库"
        ),
        "sqlite.in_use_fresh": Text(
            "the service runs for {age} only and has opened no database yet", "服务仅运行 {age}，尚未打开数据库"
        ),
        "sqlite.in_use_stopped": Text("the service has no process to ask", "服务没有进程，无法核对"),
        "sqlite.in_use_denied": Text(
            "the open files of the service's processes cannot be seen: root or the service's user is needed",
            "无权查看服务进程打开的文件：需要 root 或服务用户",
        ),
        "sqlite.in_use_error": Text(
            "cannot tell which file the service has open: {error}", "无法确认服务打开的文件：{error}"
        ),
        "sqlite.opens_well": Text(
            "{tables} tables, {size}, journal mode {journal}", "{tables} 张表，{size}，日志模式 {journal}"
        ),
        "sqlite.opens_not": Text(
            "cannot be read as {user} ({step}): {error}", "以 {user} 身份读取失败（{step}）：{error}"
        ),
        "sqlite.opens_locked": Text(
            "cannot be read as {user}: locked by {holder}", "以 {user} 身份无法读取：被 {holder} 锁定"
        ),
        "sqlite.opens_late": Text(
            "no answer from the database within {seconds:.1f} s: its disk hangs or is overloaded",
            "数据库 {seconds:.1f} 秒内无响应：磁盘卡死或过载",
        ),
        "sqlite.opens_trace": Text(
            "not looked inside, since that would make a file beside it: {error}; starting the service cures it",
            "未读取内容，以免在旁边产生新文件：{error}；启动服务即可恢复",
        ),
        "sqlite.opens_hot": Text(
            "a killed writer left {path}-journal, which the next writer rolls back; not looked inside",
            "被杀死的写进程留下 {path}-journal，下一个写进程会回滚；未读取内容",
        ),
        "sqlite.lock_free": Text("no writer holds it", "没有写锁占用"),
        "sqlite.lock_short": Text("{holder} let go of it after {value:.2f} s", "{holder} 持锁 {value:.2f} 秒后释放"),
        "sqlite.lock_held": Text(
            "{holder} kept every other writer out for {value:.1f} s", "{holder} 持写锁 {value:.1f} 秒，其他写入均被阻塞"
        ),
        "sqlite.quick_ok": Text("ok in {seconds:.2f} s", "正常，耗时 {seconds:.2f} 秒"),
        "sqlite.quick_bad": Text("damaged: {first}", "已损坏：{first}"),
        "sqlite.quick_unfinished": Text(
            "not finished after {seconds:.1f} s, about {done:.0f} % of {size} read and no damage seen so far",
            "{seconds:.1f} 秒内未完成，{size} 中约读取 {done:.0f}%，目前未见损坏",
        ),
        "sqlite.quick_off": Text("not asked for", "未要求检查"),
        "sqlite.rows_enough": Text("all {count} declared tables hold enough rows", "声明的 {count} 张表行数均达标"),
        "sqlite.rows_few": Text("too few rows: {names}", "行数不足：{names}"),
        "sqlite.rows_no_table": Text("tables are missing: {names}", "缺少表：{names}"),
        "sqlite.schema_first": Text("{count} objects, seen for the first time", "共 {count} 个对象，首次记录"),
        "sqlite.schema_same": Text("unchanged, {count} objects", "未变化，共 {count} 个对象"),
        "sqlite.schema_changed": Text("changed since the last run: {names}", "自上次检查后有变化：{names}"),
        "sqlite.identity_right": Text(
            "application_id and user_version are as declared", "application_id 与 user_version 和声明一致"
        ),
        "sqlite.identity_wrong": Text("{name} is {seen}, declared is {wanted}", "{name} 为 {seen}，声明为 {wanted}"),
        "sqlite.wal_size": Text("the log has {value:.1f} MiB", "WAL 为 {value:.1f} MiB"),
        "sqlite.freelist_share": Text(
            "{value:.0f} % of {size} is unused ({free})", "{size} 中有 {value:.0f}% 未使用（{free}）"
        ),
        "sqlite.freelist_small": Text("{free} unused, not worth a VACUUM", "空闲 {free}，无需 VACUUM"),
        "sqlite.version_fixed": Text("{version}, without the WAL-reset bug", "{version}，不受 WAL-reset 缺陷影响"),
        "sqlite.version_affected": Text(
            "{version}: has the WAL-reset bug, which needs several writing processes (here {count}) and can damage an index",
            "{version}：存在 WAL-reset 缺陷，多进程写入（当前 {count} 个）时可能损坏索引",
        ),
        "sqlite.version_unknown": Text("{python} does not tell its SQLite version", "{python} 未返回 SQLite 版本"),
    },
)


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for what an argument spec cannot say."""
    if not os.path.isabs(spec["path"]):
        raise OpsError(f"path is {spec['path']!r}: expected an absolute path")
    for table, floor in spec["floors"].items():
        if not isinstance(floor, int) or isinstance(floor, bool) or floor < 0:
            raise OpsError(f"floors: {table} is {floor!r}: expected the fewest rows it may have, 0 or more")
    if not spec["quick_check_seconds"] > 0:
        raise OpsError(f"quick_check_seconds is {spec['quick_check_seconds']}: expected a number of seconds above 0")
    asked = [name for name in ("service", "pidfile", "pids") if spec[name]]
    if len(asked) > 1:
        raise OpsError(f"{' and '.join(asked)}: expected only one way to find the processes")
    if spec["service"]:
        unit_name(spec["service"])


@dataclass
class Service:
    """The processes that should have the database open; ``error`` when they cannot be found out, ``asked`` if at all."""

    asked: bool = False
    error: str = ""
    processes: tuple[proc.Process, ...] = ()

    @property
    def user(self) -> int | None:
        """The user the work is done as: the one of the youngest process, since a master may stay root."""
        if not self.processes:
            return None
        return proc.owner(max(self.processes, key=lambda one: one.start_ticks).pid)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at one database file and, as far as it is there, inside."""
    say = AREA.reporter(spec.get("thresholds"), source="sqlite")
    path = spec["path"]
    state = dict(previous)
    service = find_service(spec, deadline)
    # From here on the name the kernel and SQLite's companions -wal and -shm go by.
    real = os.path.realpath(path)
    checks = [*_file(say, path, real)]
    sound = checks[0].status is Status.OK
    users, in_use = _in_use(say, service, real)
    checks += in_use
    if checks[0].reason != "missing":
        checks += _owner(say, spec, service, real)
    if sound:
        locked = _lock(say, real, deadline)
        checks.append(locked)
        checks.append(say.measure("sqlite.wal", _size(real + "-wal") / 2**20, "sqlite.wal_size"))
        checks += _inside(say, spec, real, _reader(spec, service, real), users, deadline, state)
    for check in checks:
        check.item = path
    return ProbeResult(checks, state)


# The file from outside


def _file(say: Reporter, path: str, real: str) -> Iterator[Check]:
    def found(status: Status, sentence: str, reason: str = "", **rest: Any) -> Check:
        return say.find("sqlite.file", status, sentence, reason=reason, path=path, **rest)

    try:
        seen = os.stat(path)
        if not stat.S_ISREG(seen.st_mode):
            what = ("a directory", "目录") if stat.S_ISDIR(seen.st_mode) else ("a special file", "特殊文件")
            yield found(Status.CRITICAL, "sqlite.file_kind", what=what[0], what_zh=what[1])
            return
        if seen.st_size == 0:
            yield found(Status.CRITICAL, "sqlite.file_empty")
            return
        header = _settled_header(real)
    except FileNotFoundError:
        if os.path.islink(path):
            yield found(Status.CRITICAL, "sqlite.file_dangling", "missing", target=real)
        else:
            yield found(Status.CRITICAL, "sqlite.file_missing", "missing")
        return
    except OSError as exc:
        yield found(Status.UNKNOWN, "sqlite.file_unseen", "denied", error=exc.strerror or str(exc))
        return
    if not header.valid:
        yield found(Status.CRITICAL, "sqlite.file_header", size=size(header.size))
    elif not header.whole and not _size(real + "-wal"):
        expected = size(max(header.expected, -(-header.size // header.page_size) * header.page_size))
        evidence = [f"{header.size} bytes, expected {header.expected}"]
        yield found(
            Status.CRITICAL, "sqlite.file_truncated", size=size(header.size), expected=expected, evidence=evidence
        )
    else:
        yield found(Status.OK, "sqlite.file_whole", size=size(header.size), value=header.size)


def _settled_header(real: str) -> Header:
    """Read the header; look again for a moment while it is not whole, since a checkpoint may be writing."""
    end = time.monotonic() + GROW_SECONDS
    header = read_header(real)
    while header.valid and not header.whole and time.monotonic() < end:
        time.sleep(LOCK_PAUSE)
        header = read_header(real)
    return header


def _owner(say: Reporter, spec: Mapping[str, Any], service: Service, real: str) -> Iterator[Check]:
    """Judge who owns the database, its companions and whether the service's user can write to all of it."""
    database = _stat(real)
    directory = _stat(os.path.dirname(real))
    if database is None or directory is None:
        return
    if spec["owner"] and _uid(spec["owner"]) is None:
        yield say.find("sqlite.owner", Status.CRITICAL, "sqlite.owner_unknown", reason="missing", user=spec["owner"])
        return
    user = _rightful(spec, service, database)
    companions = {suffix: _stat(real + suffix) for suffix in ("", "-wal", "-shm", "-journal")}
    seen = {os.path.basename(real) + suffix: found for suffix, found in companions.items() if found is not None}
    foreign = {name: found for name, found in seen.items() if found.st_uid != user}
    if foreign:
        names = [f"{name} ({_user(found.st_uid)})" for name, found in foreign.items()]
        lines = [f"{name}: {_user(found.st_uid)} {stat.filemode(found.st_mode)}" for name, found in seen.items()]
        yield say.find(
            "sqlite.owner", Status.CRITICAL, "sqlite.owner_wrong", reason="denied",
            count=len(foreign), user=_user(user), names=listed(names), evidence=lines,
        )  # fmt: skip
        return
    for name, found in seen.items():
        if user != 0 and not _may(found, user, 6):
            yield say.find(
                "sqlite.owner", Status.CRITICAL, "sqlite.owner_denied", reason="denied", user=_user(user),
                what=f"read and write {name}", what_zh=f"读写 {name}", evidence=[f"{name}: {stat.filemode(found.st_mode)}"],
            )  # fmt: skip
            return
    if user != 0 and not _may(directory, user, 3):
        line = f"{os.path.dirname(real)}: {_user(directory.st_uid)} {stat.filemode(directory.st_mode)}"
        yield say.find(
            "sqlite.owner", Status.CRITICAL, "sqlite.owner_denied", reason="denied", user=_user(user),
            what="make -wal and -shm in the directory", what_zh="在目录中创建 -wal 与 -shm", evidence=[line],
        )  # fmt: skip
        return
    yield say.find("sqlite.owner", Status.OK, "sqlite.owner_right", user=_user(user))


def _rightful(spec: Mapping[str, Any], service: Service, database: os.stat_result) -> int:
    """Return the user the database should belong to; a service of root can write whatever it is, so the owner decides."""
    wanted = _uid(spec["owner"]) if spec["owner"] else service.user
    return wanted or database.st_uid


def _reader(spec: Mapping[str, Any], service: Service, real: str) -> tuple[int, int]:
    """Return user and group to look inside as.

    Root only where everything is root's: SQLite run by root gives ``-shm`` to the owner of the database, so a look at a
    database with the wrong owner would spread the damage to the file the application still has open.
    """
    database = os.stat(real)
    user = _rightful(spec, service, database)
    if user != 0:
        return user, database.st_gid
    companions = [found for found in (_stat(real + "-shm"), _stat(real + "-wal")) if found is not None]
    return next(((found.st_uid, found.st_gid) for found in companions if found.st_uid), (0, 0))


def _lock(say: Reporter, real: str, deadline: Deadline) -> Check:
    """See whether one process keeps the write lock: with it at every look, and nothing committed in between.

    A process that commits all the time has the lock at nearly every look too; it lets others in after each commit.
    """
    start = time.monotonic()
    progress = last_commit(real)
    holders = writers(real)
    if not holders:
        return say.measure("sqlite.lock", 0.0, "sqlite.lock_free")
    end = start + min(LOCK_SECONDS, max(0.0, deadline.remaining() - LOOK_SECONDS))
    kept = holders
    while kept and time.monotonic() < end:
        time.sleep(LOCK_PAUSE)
        holders, kept = kept, kept & writers(real) if last_commit(real) == progress else set()
    names = ", ".join(process_name(pid) for pid in sorted(kept or holders))
    sentence = "sqlite.lock_held" if kept else "sqlite.lock_short"
    evidence = [f"{pid}: {proc.cmdline(pid)[:200]}" for pid in sorted(kept)]
    return say.measure("sqlite.lock", time.monotonic() - start, sentence, holder=names, evidence=evidence)


# The service


def find_service(spec: Mapping[str, Any], deadline: Deadline) -> Service:
    """Find the processes of the unit, of the pid file or of the list of pids, each with all its descendants."""
    roots: list[int] = list(spec.get("pids", []))
    try:
        if spec["service"]:
            unit = unit_name(spec["service"])
            shown = show([unit], ["MainPID"], deadline.sooner(SYSTEMCTL_SECONDS).remaining())[unit]
            roots = [number(shown, "MainPID") or 0]
        elif spec["pidfile"]:
            roots = [int(Path(spec["pidfile"]).read_text(encoding="ascii").split()[0])]
    except FileNotFoundError:
        return Service(asked=True)
    except (OpsError, OSError, ValueError, IndexError) as exc:
        return Service(asked=True, error=f"{spec['pidfile']}: {exc}" if spec["pidfile"] else str(exc))
    if not roots:
        return Service()
    table = proc.table()
    family = {one.pid: one for root in roots for one in proc.family(table, root)}
    return Service(asked=True, processes=tuple(family.values()))


def _in_use(say: Reporter, service: Service, real: str) -> tuple[int, list[Check]]:
    """Judge whether the service's processes have exactly this file open; return how many have."""
    if not service.asked:
        return 0, []

    def found(status: Status, sentence: str, reason: str = "", **rest: Any) -> list[Check]:
        return [say.find("sqlite.in_use", status, sentence, reason=reason, **rest)]

    if service.error:
        return 0, found(Status.UNKNOWN, "sqlite.in_use_error", error=service.error)
    if not service.processes:
        return 0, found(Status.SKIPPED, "sqlite.in_use_stopped")
    seen = usage(_stat(real), [one.pid for one in service.processes])
    total = len(service.processes)
    if seen.by:
        return len(seen.by), found(Status.OK, "sqlite.in_use_yes", count=len(seen.by), total=total, value=len(seen.by))
    if seen.others:
        return 0, found(Status.CRITICAL, "sqlite.in_use_other", others=listed(seen.others), evidence=seen.others)
    if seen.denied:
        return 0, found(Status.UNKNOWN, "sqlite.in_use_denied", "denied")
    age = min(proc.age(one) for one in service.processes)
    if age < FRESH_SECONDS:
        return 0, found(Status.SKIPPED, "sqlite.in_use_fresh", "insufficient_data", age=duration(age))
    return 0, found(Status.CRITICAL, "sqlite.in_use_none", age=duration(age))


# Inside


def _inside(
    say: Reporter,
    spec: Mapping[str, Any],
    real: str,
    reader: tuple[int, int],
    users: int,
    deadline: Deadline,
    state: dict[str, Any],
) -> list[Check]:
    spare = max(0.1, deadline.remaining() - 0.3)
    budget = min(spec["quick_check_seconds"], max(0.1, spare - LOOK_SECONDS)) if spec["quick_check"] else 0.0
    seconds = min(spare, budget + LOOK_SECONDS)
    questions = Questions(real, spec["floors"], budget, spec["python"])
    outcome = run_isolated(lambda: look(questions, reader), seconds)
    user = _user(reader[0] if os.geteuid() == 0 else os.geteuid())
    if outcome.timed_out:
        late = say.find("sqlite.opens", Status.CRITICAL, "sqlite.opens_late", reason="timeout", seconds=outcome.seconds)
        return [late]
    if outcome.error:
        raise OpsError(outcome.error.strip().splitlines()[-1])
    return list(judge(say, spec, real, outcome.value, users, user, state))


def judge(
    say: Reporter,
    spec: Mapping[str, Any],
    real: str,
    answers: Mapping[str, Any],
    users: int,
    user: str,
    state: dict[str, Any],
) -> Iterator[Check]:
    """Turn what was seen inside into checks; what an error kept from being seen has none."""
    if spec["python"]:
        yield _version(say, spec, answers["version"], users)
    # Damage that the quick check found is one finding; that reading on failed too adds nothing to it.
    damaged = answers["step"] == "quick_check" or answers.get("quick_check", ["ok"]) != ["ok"]
    if answers["error"] and not damaged:
        yield _not_opened(say, real, answers, user)
    else:
        tables = sum(name.startswith("table ") for name in answers["schema"])
        yield say.find(
            "sqlite.opens", Status.OK, "sqlite.opens_well",
            tables=tables, size=size(answers["page_size"] * answers["page_count"]), journal=answers["journal_mode"],
        )  # fmt: skip
    if "page_count" in answers:
        yield _freelist(say, answers)
        yield from _identity(say, spec, answers)
    if "schema" in answers:
        yield _schema(say, answers["schema"], state)
    if answers["step"] in ("quick_check", "rows") and "schema" in answers:
        yield _quick_check(say, spec, answers)
    if len(answers.get("rows", ())) == len(spec["floors"]) > 0:
        yield _rows(say, spec["floors"], answers["rows"])


def _not_opened(say: Reporter, real: str, answers: Mapping[str, Any], user: str) -> Check:
    error = answers["error"]
    if not answers["traceless"]:
        return say.find("sqlite.opens", Status.UNKNOWN, "sqlite.opens_trace", error=error)
    if "readonly" in error and _size(real + "-journal"):
        return say.find("sqlite.opens", Status.UNKNOWN, "sqlite.opens_hot", path=real)
    if "locked" in error:
        names = ", ".join(process_name(pid) for pid in sorted(writers(real))) or "?"
        return say.find(
            "sqlite.opens", Status.CRITICAL, "sqlite.opens_locked", reason="timeout", user=user, holder=names
        )
    denied = "unable to open" in error or "ermission" in error
    return say.find(
        "sqlite.opens", Status.CRITICAL, "sqlite.opens_not", reason="denied" if denied else "",
        user=user, step=answers["step"], error=error,
    )  # fmt: skip


def _quick_check(say: Reporter, spec: Mapping[str, Any], answers: Mapping[str, Any]) -> Check:
    rows = answers.get("quick_check")
    if answers["error"] and rows is None and answers["step"] == "quick_check":
        return say.find("sqlite.quick_check", Status.CRITICAL, "sqlite.quick_bad", first=answers["error"])
    if not spec["quick_check"]:
        return say.find("sqlite.quick_check", Status.SKIPPED, "sqlite.quick_off")
    seconds = answers["quick_check_seconds"]
    if rows is None:
        whole = size(answers["page_size"] * answers["page_count"])
        return say.find(
            "sqlite.quick_check", Status.UNKNOWN, "sqlite.quick_unfinished", reason="timeout",
            seconds=seconds, done=answers["quick_check_done"], size=whole,
        )  # fmt: skip
    if rows == ["ok"]:
        return say.find("sqlite.quick_check", Status.OK, "sqlite.quick_ok", seconds=seconds)
    lines = [line for row in rows for line in row.splitlines()][:EVIDENCE]
    first = next((line for line in lines if not line.startswith("***")), "?")
    return say.find("sqlite.quick_check", Status.CRITICAL, "sqlite.quick_bad", first=first, evidence=lines)


def _rows(say: Reporter, floors: Mapping[str, int], rows: Mapping[str, int | None]) -> Check:
    missing = [table for table, count in rows.items() if count is None]
    if missing:
        return say.find("sqlite.rows", Status.CRITICAL, "sqlite.rows_no_table", reason="missing", names=listed(missing))
    few = [f"{table} {rows[table]} < {floor}" for table, floor in floors.items() if (rows[table] or 0) < floor]
    if few:
        return say.find(
            "sqlite.rows", Status.CRITICAL, "sqlite.rows_few", names=listed(few), evidence=few, value=len(few)
        )
    return say.find("sqlite.rows", Status.OK, "sqlite.rows_enough", count=len(floors), value=0)


def _schema(say: Reporter, schema: Mapping[str, str], state: dict[str, Any]) -> Check:
    """Compare the schema with the last run's: short hashes by name, so that the finding can name what changed."""
    hashes = {name: hashlib.sha256(sql.encode()).hexdigest()[:8] for name, sql in schema.items()}
    whole = hashlib.sha256("\n".join(f"{name} {text}" for name, text in sorted(hashes.items())).encode()).hexdigest()[
        :16
    ]
    before, known = state.get("schema"), state.get("objects", {})
    state["schema"] = whole
    state["objects"] = hashes if len(hashes) <= SCHEMA_OBJECTS else {}
    if before in (None, whole):
        sentence = "sqlite.schema_same" if before else "sqlite.schema_first"
        return say.find("sqlite.schema", Status.OK, sentence, count=len(schema))
    changes = [
        f"{'-' if name not in hashes else '+' if name not in known else '*'} {name}"
        for name in sorted({*known, *hashes})
        if known.get(name) != hashes.get(name)
    ]
    names = listed(changes) if known and state["objects"] else f"{len(schema)} objects"
    return say.find("sqlite.schema", Status.WARNING, "sqlite.schema_changed", names=names, evidence=changes)


def _freelist(say: Reporter, answers: Mapping[str, Any]) -> Check:
    pages, free = answers["page_count"], answers["freelist_count"]
    unused = free * answers["page_size"]
    if unused < FREELIST_BYTES:
        share = 100.0 * free / max(1, pages)
        return say.find("sqlite.freelist", Status.OK, "sqlite.freelist_small", free=size(unused), value=share)
    whole = size(pages * answers["page_size"])
    return say.measure("sqlite.freelist", 100.0 * free / pages, "sqlite.freelist_share", size=whole, free=size(unused))


def _identity(say: Reporter, spec: Mapping[str, Any], answers: Mapping[str, Any]) -> Iterator[Check]:
    declared = {name: spec[name] for name in ("application_id", "user_version") if spec.get(name) is not None}
    for name, wanted in declared.items():
        if answers[name] != wanted:
            seen = {"name": name, "seen": answers[name], "wanted": wanted}
            yield say.find("sqlite.identity", Status.CRITICAL, "sqlite.identity_wrong", **seen)
            return
    if declared:
        yield say.find("sqlite.identity", Status.OK, "sqlite.identity_right")


def _version(say: Reporter, spec: Mapping[str, Any], version: str, users: int) -> Check:
    """Tell the application's SQLite.

    Debian 12 and Ubuntu 24.04 ship affected versions, so a warning would stand on every healthy host for ever, and be
    read by nobody: it is told, and only warns where it is asked for and several processes write.
    """
    if not version:
        return say.find("sqlite.version", Status.UNKNOWN, "sqlite.version_unknown", python=spec["python"])
    if not wal_reset_bug(version):
        return say.find("sqlite.version", Status.OK, "sqlite.version_fixed", version=version)
    warn = spec["wal_reset_bug"] == "warn" and users > 1
    status = Status.WARNING if warn else Status.OK
    return say.find("sqlite.version", status, "sqlite.version_affected", version=version, count=users)


def wal_reset_bug(version: str) -> bool:
    """Tell whether a SQLite version has the WAL-reset bug: 3.7.0 to 3.51.2, but for the backports 3.44.6 and 3.50.7."""
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if (3, 44, 6) <= numbers < (3, 45) or (3, 50, 7) <= numbers < (3, 51):
        return False
    return (3, 7, 0) <= numbers < (3, 51, 3)


# Files and users


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _size(path: str) -> int:
    seen = _stat(path)
    return seen.st_size if seen else 0


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _may(seen: os.stat_result, uid: int, wanted: int) -> bool:
    """Tell whether the mode lets a user do something: 4 read, 2 write, 1 pass or execute."""
    if seen.st_uid == uid:
        return (seen.st_mode >> 6) & wanted == wanted
    try:
        entry = pwd.getpwuid(uid)
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    except KeyError:
        groups = []
    return (seen.st_mode >> (3 if seen.st_gid in groups else 0)) & wanted == wanted
