# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what was written to log files since the last look, and report the errors that were not there before.

The cursor of a file is kept by device, inode and a hash of its first bytes, so that renaming, copying and truncating,
and an inode that was given to another file are told apart; the rest of a rotated file is read before the new one.
Memory and time are bounded whatever stands in the files: a budget of bytes, lines cut to a length, groups counted.
"""

from __future__ import annotations

import array
import glob
import gzip
import hashlib
import math
import os
import pwd
import re
import stat
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, cast

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact, redact_url

TIMEOUT = 12.0

OPTIONS: dict[str, dict[str, Any]] = {
    "paths": {"type": "list", "elements": "str", "required": True},
    "format": {"type": "str", "default": "app", "choices": ["app", "access"]},
    "patterns": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "regex": {"type": "str", "required": True},
            "status": {"type": "str", "default": "warning", "choices": ["warning", "critical"]},
        },
    },
    "default_patterns": {"type": "bool", "default": True},
    "ignore": {"type": "list", "elements": "str", "default": []},
    "optional": {"type": "bool", "default": False},
    "first_bytes": {"type": "int", "default": 262144},
    "max_bytes": {"type": "int", "default": 67108864},
    "min_requests": {"type": "int", "default": 100},
}

CHUNK = 262144
LINE = 4096
# An unfinished last line is left for the next run, unless it is longer than any line somebody would read.
TAIL = 65536
HEAD = 256
DAY = 86400.0
MAX_FILES = 200
# Of one log: the live file and the two it was rotated to last, which a writer may still have open.
MAX_CURSORS = 3
# Times of change are those of the last timer tick, up to 10 ms back.
TICK = 0.05
MAX_GROUPS = 1000
MAX_KNOWN = 200
MAX_SEEN = 20000
TOP = 10

# Known to end in lost data or an outage, whoever logs it.
_FATAL = (
    (
        "database",
        r"database is locked|database disk image is malformed|malformed database schema|file is not a database|"
        r"disk I/O error|unable to open database file|database or disk is full|attempt to write a readonly database",
    ),
    ("disk", r"No space left on device|Read-only file system|Disk quota exceeded"),
    ("memory", r"Out of memory|\bOOM\b|oom-kill|MemoryError|Cannot allocate memory"),
    ("worker", r"Worker failed to boot|WORKER TIMEOUT|Too many open files|segfault|Segmentation fault"),
)
# Levels as words: "errors=0" or a word in somebody's sentence is not an error.
_ERROR = (
    r"\b(?:ERROR|CRITICAL|FATAL)\b|\[(?:error|crit|alert|emerg)\]|\blevel=(?:error|fatal|critical)\b|"
    r"Traceback \(most recent call last\)"
)

AREA = Area(
    "log",
    rules={
        "log.new_fingerprints": Rule(
            title=Text("New kinds of errors", "新出现的错误"),
            fix=Text(
                "Read the lines around those in the evidence (journalctl or the named file) and find the cause; "
                "a line that means nothing goes into ignore of the probe.",
                "查看证据所列行的上下文（journalctl 或对应文件）并查明原因；无意义的行加入探测的 ignore。",
            ),
            warn="0",
            source="an error never seen before is news, whatever its number",
        ),
        "log.fatal": Rule(
            title=Text("Errors known to be fatal", "已知的致命错误"),
            fix=Text(
                "database: look at the sqlite checks, stop writers before any repair. disk: df -h and df -i. memory: "
                "journalctl -k. worker: restart loops and timeouts in gunicorn_error.log.",
                "database：查看 sqlite 各项检查，修复前先停止写入；disk：df -h 与 df -i；memory：journalctl -k；"
                "worker：查 gunicorn_error.log 中的重启与超时。",
            ),
            crit="0",
            source="messages of SQLite, the kernel and gunicorn",
        ),
        "log.tracebacks": Rule(
            title=Text("Tracebacks per hour", "每小时异常堆栈数"),
            fix=Text(
                "One cause usually makes most of them: see the evidence; roll back the last change if they began with it.",
                "多数通常出自同一原因，见证据；若自上次变更后开始出现，请回滚该变更。",
            ),
            crit="50",
            uom="/h",
            source="chosen: more than 50 an hour is a storm",
        ),
        "log.read": Rule(
            title=Text("Logs read completely", "日志读取完整"),
            fix=Text(
                "Something writes more than the probe may read: find out what, rotate by size (logrotate size), or raise "
                "max_bytes and timeout of the probe.",
                "日志写入量超过探测的读取上限：查明来源，按大小轮转（logrotate size），或调大探测的 max_bytes 与 timeout。",
            ),
        ),
        "log.files": Rule(
            title=Text("Number of log files", "日志文件数量"),
            fix=Text("Narrow the globs in paths of the probe.", "收窄探测 paths 中的通配符。"),
        ),
        "log.readable": Rule(
            title=Text("Log readable", "日志可读"),
            fix=Text(
                "Run the check as root (become: true) or give the user the group of the file; the logs directory is 750.",
                "以 root 运行检查（become: true），或将用户加入该文件所属组；日志目录权限为 750。",
            ),
        ),
        "log.missing": Rule(
            title=Text("Log exists", "日志存在"),
            fix=Text(
                "Correct the path (tutor_logs), or set optional: true for a log that is written only when something breaks.",
                "修正路径（tutor_logs）；若该日志仅在出错时写入，设 optional: true。",
            ),
        ),
        "http.5xx": Rule(
            title=Text("Server errors in the access log", "访问日志中的 5xx 比例"),
            fix=Text(
                "See which paths fail (evidence), then gunicorn_error.log at that time. 502: the application is down or "
                "hangs; 500: a traceback stands in its log.",
                "查看失败的路径（证据），再查同一时间的 gunicorn_error.log。502：应用未运行或卡住；500：应用日志中有异常堆栈。",
            ),
            warn="5",
            crit="10",
            uom="%",
            source="runbook: error rate 5 %; samber 5 %",
        ),
        "http.p95": Rule(
            title=Text("Response time, 95 of 100 requests", "响应时间 P95"),
            fix=Text(
                "See which paths are slow in the access log; then slow queries and busy workers of the application.",
                "在访问日志中找出慢的路径，再查应用的慢查询与 worker 占用。",
            ),
            warn="2",
            crit="5",
            uom="s",
            source="runbook: response time < 2 s",
        ),
    },
    sentences={
        "log.news": Text(
            "{item}: {new} new kinds of errors, {events} errors of {kinds} kinds since {since}",
            "{item}：新出现 {new} 类错误；自 {since} 以来共 {events} 条错误、{kinds} 类",
        ),
        "log.baseline": Text(
            "{item}: first look, errors of the last 24 h: {events}; older or undated ones are the baseline: {older}",
            "{item}：首次检查，近 24 小时错误 {events} 条；更早或无时间的 {older} 条作为基线",
        ),
        "log.fatal_none": Text("{item}: no fatal errors", "{item}：无致命错误"),
        "log.fatal_seen": Text(
            "{item}: {count} fatal errors ({names}), the last one: {last}",
            "{item}：{count} 条致命错误（{names}），最近一条：{last}",
        ),
        "log.storm": Text("{item}: {value:.1f} tracebacks an hour", "{item}：每小时 {value:.1f} 次异常堆栈"),
        "log.all_read": Text(
            "{item}: {bytes} bytes of {files} files read", "{item}：已读取 {files} 个文件共 {bytes} 字节"
        ),
        "log.unread": Text(
            "{item}: {unread} bytes were not read (limit {limit} bytes or time), {bytes} bytes of {files} files were",
            "{item}：有 {unread} 字节未读取（上限 {limit} 字节或时间用尽），已读 {files} 个文件共 {bytes} 字节",
        ),
        "log.denied": Text(
            "{item} may not be read by {user}: owner {owner}, mode {mode}",
            "{item}：{user} 无权读取，属主 {owner}，权限 {mode}",
        ),
        "log.failed": Text("{item} cannot be read: {error}", "{item} 无法读取：{error}"),
        "log.none": Text("no file matches {item}", "没有文件匹配 {item}"),
        "log.none_optional": Text("no file matches {item}, as is allowed", "没有文件匹配 {item}（允许）"),
        "log.too_many": Text(
            "{item}: {files} files match, only the {limit} changed last are read",
            "{item}：匹配 {files} 个文件，仅读取最近改动的 {limit} 个",
        ),
        "log.5xx": Text(
            "{item}: {value:.1f} % of {requests} requests failed with 5xx ({failed})",
            "{item}：{requests} 次请求中 5xx 占 {value:.1f} %（{failed} 次）",
        ),
        "log.5xx_few": Text(
            "{item}: {failed} of {requests} requests failed with 5xx, too few requests to judge (fewer than {wanted})",
            "{item}：{requests} 次请求中 5xx {failed} 次，请求数不足 {wanted}，不作判断",
        ),
        "log.p95": Text(
            "{item}: 95 of 100 requests took up to {value:.3f} s (median {p50:.3f}, 99 of 100 {p99:.3f} s)",
            "{item}：P95 响应 {value:.3f} 秒（中位数 {p50:.3f}，P99 {p99:.3f} 秒）",
        ),
    },
)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Read all files from their cursors; the state holds the cursors and the fingerprints that are known."""
    opts, reader = _options(spec)
    say = AREA.reporter(spec.get("thresholds"))
    item = str(spec.get("name") or "") or ", ".join(opts["paths"])
    now = time.time()
    live, checks = _find(opts, say)
    last = float(previous.get("at") or 0)
    cursors = {path: [Cursor.load(one) for one in many] for path, many in (previous.get("files") or {}).items()}
    budget = Budget(opts["max_bytes"], deadline)
    parts: list[Part] = []
    kept: dict[str, list[tuple[float, Cursor]]] = {}
    for path in [*live, *(path for path in cursors if path not in live)]:
        try:
            found, kept[path] = _plan(path, cursors.get(path, []), last, opts["first_bytes"], first=not previous)
        except FileNotFoundError:
            continue  # rotated away and deleted, or gone since the glob was read
        except OSError as exc:
            checks.append(_unreadable(path, exc, say))
            kept[path] = [(0.0, one) for one in cursors.get(path, [])]
            continue
        parts += found
    # Small ones first: one file that went mad must not keep the others from being read.
    for part in sorted(parts, key=lambda one: (one.todo, one.order)):
        reader.begin(part.path, fresh_after=now - DAY if part.first else None)
        try:
            kept[part.family].append((part.order, _read(part, reader, budget)))
        except (OSError, EOFError) as exc:
            checks.append(_unreadable(part.path, exc, say))
            kept[part.family] += [(part.order, part.known)] if part.known else []
    checks += _coverage(item, parts, budget, say)
    told, known = reader.checks(item, list(previous.get("known") or []), last, now, opts, say)
    files = {}
    for path, many in kept.items():
        newest = sorted(many, key=lambda one: one[0])[-MAX_CURSORS:]
        files[path] = [cursor.dump() for _order, cursor in newest]
    return ProbeResult(checks + told, {"at": now, "files": files, "known": known})


def validate(spec: Mapping[str, Any]) -> None:
    """Raise OpsError for options that can never work, before anything is read."""
    _options(spec)


def _options(spec: Mapping[str, Any]) -> tuple[dict[str, Any], AppReader | AccessReader]:
    opts: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        opts[name] = option.get("default") if spec.get(name) is None else spec[name]
    if not opts["paths"] or not all(str(path).startswith("/") for path in opts["paths"]):
        raise OpsError(f"log: paths {opts['paths']!r}: expected absolute paths or globs")
    for name in ("first_bytes", "max_bytes"):
        if opts[name] <= 0:
            raise OpsError(f"log: {name} is {opts[name]}: expected a number of bytes above 0")
    return opts, AccessReader() if opts["format"] == "access" else AppReader(opts)


# ---------------------------------------------------------------- which bytes of which files


@dataclass
class Cursor:
    """Up to where a file was read. ``head`` is a hash of its first ``head_bytes``; ``size`` what it had at that time."""

    device: int
    inode: int
    offset: int
    head_bytes: int
    head: str
    size: int

    @classmethod
    def load(cls, data: list[Any]) -> Cursor:
        return cls(*data)

    def dump(self) -> list[Any]:
        return [self.device, self.inode, self.offset, self.head_bytes, self.head, self.size]


@dataclass
class Part:
    """One stretch of one file that is to be read, to its end."""

    family: str
    path: str
    start: int
    todo: int
    order: float
    finished: bool
    first: bool
    known: Cursor | None = None


class Budget:
    """The bytes that one run may read, and those that it left out."""

    def __init__(self, limit: int, deadline: Deadline) -> None:
        self.limit, self.used, self.unread, self.files = limit, 0, 0, 0
        self._deadline = deadline
        self._reserve = min(1.0, deadline.seconds / 5)

    @property
    def left(self) -> int:
        return 0 if self._deadline.remaining() <= self._reserve else self.limit - self.used


_ROTATED = re.compile(r"[.-](?:\d{1,4}|old|\d{8}(?:[-_]?\d{2,6})?)(?:\.gz)?$")


def _find(opts: Mapping[str, Any], say: Reporter) -> tuple[list[str], list[Check]]:
    """Return the live files the globs match, and what is to be said about globs that match nothing."""
    live: dict[str, float] = {}
    checks = []
    for pattern in opts["paths"]:
        found = {}
        for path in glob.glob(pattern, recursive=True):
            try:
                status = os.stat(path)
            except OSError:
                found[path] = 0.0  # opening it will tell why
                continue
            if stat.S_ISREG(status.st_mode):
                found[path] = status.st_mtime
        names = set(found)
        for path in names:
            base = _ROTATED.sub("", path)
            if path.endswith((".gz", ".xz", ".bz2", ".zst")) or (base != path and base in names):
                del found[path]  # reached through the file it was rotated from
        live.update(found)
        if not found:
            checks.append(_no_match(pattern, bool(opts["optional"]), say))
    ordered = sorted(live, key=lambda path: (-live[path], path))
    if len(ordered) > MAX_FILES:
        checks.append(
            say.find(
                "log.files",
                Status.WARNING,
                "log.too_many",
                item=", ".join(opts["paths"]),
                files=len(ordered),
                limit=MAX_FILES,
            )
        )
    return sorted(ordered[:MAX_FILES]), checks


def _no_match(pattern: str, optional: bool, say: Reporter) -> Check:
    """A glob in a directory that may not be listed matches nothing, too: that is another finding."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    while folder != "/" and not os.path.lexists(folder) and not _blocked(os.path.dirname(folder)):
        folder = os.path.dirname(folder)
    while folder != "/" and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if _blocked(folder):
        return _unreadable(folder, PermissionError(13, "Permission denied"), say)
    if optional:
        return say.find("log.missing", Status.SKIPPED, "log.none_optional", item=pattern)
    return say.find("log.missing", Status.WARNING, "log.none", item=pattern, reason="missing")


def _blocked(folder: str) -> bool:
    return os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK)


def _unreadable(path: str, exc: Exception, say: Reporter) -> Check:
    if not isinstance(exc, PermissionError):
        error = getattr(exc, "strerror", None) or str(exc)
        return say.find("log.readable", Status.UNKNOWN, "log.failed", item=path, error=error)
    owner, mode = "?", "?"
    try:
        status = os.stat(path)
        owner, mode = _user(status.st_uid), f"{stat.S_IMODE(status.st_mode):04o}"
    except OSError:
        pass
    return say.find(
        "log.readable",
        Status.UNKNOWN,
        "log.denied",
        item=path,
        reason="denied",
        user=_user(os.geteuid()),
        owner=owner,
        mode=mode,
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _open(path: str) -> IO[bytes]:
    """Open a regular file, without hanging on a pipe of that name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        raw = os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise
    return raw


def _content(path: str) -> IO[bytes]:
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return _open(path)


def _head(stream: IO[bytes], count: int) -> str:
    stream.seek(0)
    return hashlib.sha256(stream.read(count) if count else b"").hexdigest()[:16]


def _plan(
    path: str, cursors: list[Cursor], last: float, first_bytes: int, first: bool
) -> tuple[list[Part], list[tuple[float, Cursor]]]:
    """Decide what of a log and of the files it was rotated to is new; return that, and the cursors that stay.

    ``last`` is the time of the last run: a rotated file that was not written after it holds nothing new.
    """
    try:
        current, own = _plan_live(path, cursors, first_bytes, first)
    except FileNotFoundError:
        if not cursors or not _rotated(path):
            raise
        current, own = None, None
    if current and not cursors:
        return [current], []
    unplaced = [one for one in cursors if one is not own]
    parts: list[Part] = []
    idle: list[tuple[float, Cursor]] = []
    for moment, member in _rotated(path):
        member_status = os.stat(member)
        known = next((one for one in unplaced if _same_file(one, member_status)), None)
        if known and moment < last - TICK:
            idle.append((moment, known))
            unplaced.remove(known)
            continue
        if moment < last - TICK:
            continue
        with _content(member) as stream:
            match = next(
                (one for one in unplaced if one.head_bytes and _head(stream, one.head_bytes) == one.head), None
            )
        if known and known is not match and known.head_bytes:
            known = None  # the inode now belongs to another file
        known = known or match
        begin = known.offset if known else 0
        if known:
            unplaced.remove(known)
            parts = [part for part in parts if part.known]  # what is older than a file of the last run was read then
        parts.append(Part(path, member, begin, max(0, member_status.st_size - begin), moment, True, False, known))
    if own:
        parts = [part for part in parts if part.known]  # not rotated since
    return [*parts, *([current] if current else [])], idle


def _plan_live(path: str, cursors: list[Cursor], first_bytes: int, first: bool) -> tuple[Part | None, Cursor | None]:
    """Return what of the live file is new, and its cursor if it is still the file that was read before."""
    with _open(path) as stream:
        status = os.fstat(stream.fileno())
        own = next((one for one in cursors if _same_file(one, status)), None)
        if own and (own.offset > status.st_size or _head(stream, own.head_bytes) != own.head):
            own = None
    first = first and not cursors
    fresh = max(0, status.st_size - first_bytes) if first else 0
    start = own.offset if own else fresh
    finished = own is not None and own.size == status.st_size
    return Part(path, path, start, status.st_size - start, math.inf, finished, first, own), own


def _same_file(cursor: Cursor, status: os.stat_result) -> bool:
    return (cursor.device, cursor.inode) == (status.st_dev, status.st_ino)


def _rotated(path: str) -> list[tuple[float, str]]:
    """Return the files a log was rotated to with their times of change, oldest first."""
    folder, name = os.path.split(path)
    result = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(name) and _ROTATED.fullmatch(entry.name[len(name) :]) and entry.is_file():
                result.append((entry.stat().st_mtime, entry.path))
    return sorted(result)


def _read(part: Part, reader: AppReader | AccessReader, budget: Budget) -> Cursor:
    """Feed a part to the reader, line by line; return the cursor for the next run."""
    budget.files += 1
    with _content(part.path) as stream:
        status = os.fstat(stream.fileno())
        packed = part.path.endswith(".gz")
        position = part.start
        allowed = budget.left
        if not packed and status.st_size - position > allowed:
            skipped = status.st_size - position - allowed
            budget.unread += skipped
            position += skipped  # the newest lines are worth more
        in_middle = position not in (0, part.start) or part.first and position > 0
        stream.seek(position)
        held, held_size, complete = b"", 0, part.finished
        while True:
            if budget.left <= 0:
                rest = 0 if packed else max(0, status.st_size - position)
                budget.unread += rest
                position += rest
                held, held_size, complete = b"", 0, True
                break
            chunk = stream.read(min(CHUNK, budget.left))
            if not chunk:
                break
            position += len(chunk)
            budget.used += len(chunk)
            end = chunk.rfind(b"\n")
            if end < 0:
                held, held_size = (held + chunk)[: LINE * 4], held_size + len(chunk)
                continue
            block = held + chunk[:end]
            held, held_size = chunk[end + 1 :][: LINE * 4], len(chunk) - end - 1
            if in_middle:
                in_middle = False
                first_end = block.find(b"\n")
                block = block[first_end + 1 :] if first_end >= 0 else b""
            reader.feed(block)
        complete = complete or held_size > TAIL
        if held and complete and not in_middle:
            reader.feed(held)
        offset = position if complete else position - held_size
        back = reader.end(complete)
        if back <= TAIL and offset - back >= part.start:
            offset -= back  # a traceback that is being written: all of it at the next run
        head_bytes = min(HEAD, offset)
        return Cursor(status.st_dev, status.st_ino, offset, head_bytes, _head(stream, head_bytes), status.st_size)


def _coverage(item: str, parts: list[Part], budget: Budget, say: Reporter) -> list[Check]:
    facts: dict[str, Any] = {
        "bytes": budget.used,
        "files": budget.files,
        "unread": budget.unread,
        "limit": budget.limit,
    }
    if budget.unread:
        return [say.find("log.read", Status.WARNING, "log.unread", item=item, value=budget.unread, **facts)]
    return [say.find("log.read", Status.OK, "log.all_read", item=item, **facts)] if parts else []


# ---------------------------------------------------------------- what stands in an application's log


@dataclass
class Event:
    """One error: its first line, the exception that ends its traceback, and which patterns it fits."""

    path: str
    first: str
    last: str = ""
    traceback: bool = False
    open: bool = False
    size: int = 0


@dataclass
class Group:
    """All errors of one fingerprint."""

    sample: str
    path: str
    count: int = 0
    fatal: bool = False
    new: bool = False


_STAMP = re.compile(
    r"(?P<y>\d{4})[-/](?P<m>\d\d)[-/](?P<d>\d\d)[T ](?P<t>\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?"
    r"(?: ?(?P<z>Z|[+-]\d\d:?\d\d))?"
    r"|(?P<d2>\d\d)/(?P<mon>[A-Z][a-z]{2})/(?P<y2>\d{4}):(?P<t2>\d\d:\d\d:\d\d) (?P<z2>[+-]\d{4})"
)
# Not calendar.month_abbr, which follows the locale.
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}


def moment_of(line: str) -> float | None:
    """Return the time at the start of a log line, seconds since the epoch, or None. Without a zone it is local time."""
    match = _STAMP.search(line[:80])
    if not match:
        return None
    try:
        if match["y"]:
            date, clock, zone = (int(match["y"]), int(match["m"]), int(match["d"])), match["t"], match["z"]
        else:
            date, clock, zone = (int(match["y2"]), _MONTHS[match["mon"]], int(match["d2"])), match["t2"], match["z2"]
        hour, minute, second = (int(part) for part in clock.split(":"))
        naive = datetime(*date, hour, minute, min(second, 59))
        if not zone:
            return time.mktime(naive.timetuple())
        offset = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[-2:])) * (-60 if zone[0] == "-" else 60)
        return (naive - datetime(1970, 1, 1)).total_seconds() - offset
    except (ValueError, KeyError, OverflowError):
        return None


_NORMAL: tuple[tuple[re.Pattern[str], str], ...] = (
    (_STAMP, "<time>"),
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "<uuid>"),
    (re.compile(r"\"[^\"]*\"|'[^']*'|\u201c[^\u201d]*\u201d|「[^」]*」"), "<text>"),
    (re.compile(r"(?<![\w<])(?:[a-z][a-z0-9+.-]*:/)?/[^\s,;:\"')\]]+"), "<path>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def normalise(line: str) -> str:
    """Return a line without what differs between two occurrences of one error."""
    for pattern, replacement in _NORMAL:
        line = pattern.sub(replacement, line)
    return line.strip()


def fingerprint(line: str) -> str:
    """Return the identity of a kind of error."""
    return hashlib.sha256(normalise(line).encode("utf-8", "replace")).hexdigest()[:8]


_ACCESS_LIKE = re.compile(r"^\S+ \S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:")
_CHAINED = ("During handling of the above", "The above exception was")


class AppReader:
    """Finds errors in an application's log lines and counts them by fingerprint."""

    def __init__(self, opts: Mapping[str, Any]) -> None:
        self._patterns = [
            (str(one["name"]), str(one["regex"]), one.get("status") or "warning") for one in opts["patterns"]
        ]
        if opts["default_patterns"]:
            self._patterns += [(name, regex, "critical") for name, regex in _FATAL] + [("error", _ERROR, "warning")]
        if not self._patterns:
            raise OpsError("log: no patterns: expected some in patterns, or default_patterns: true")
        self._fatal = [(name, _compile(regex)) for name, regex, status in self._patterns if status == "critical"]
        self._any = _any_of([regex for _name, regex, _status in self._patterns])
        self._hint, slow = _hint([regex for _name, regex, _status in self._patterns])
        self._slow = _any_of(slow) if slow else None
        self._ignore = [_compile(regex) for regex in opts["ignore"]]
        self.groups: dict[str, Group] = {}
        self.events = self.older = self.tracebacks = 0
        self.fatal: Counter[str] = Counter()
        self.last_fatal = ""
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()
        self._event: Event | None = None
        self._before = ""
        self._path = ""
        self._fresh_after: float | None = None
        self._baseline: list[str] = []

    def begin(self, path: str, fresh_after: float | None) -> None:
        """Start with a file; with ``fresh_after`` only errors dated later count, the others become the baseline."""
        self._path, self._fresh_after, self._before, self._event = path, fresh_after, "", None

    def feed(self, block: bytes) -> None:
        """Take complete lines, joined by newlines. Only lines that may matter are looked at one by one."""
        position, end = 0, len(block)
        while position < end:
            if self._event is None and self._slow is None:
                hit = self._hint.search(block, position)
                if hit is None:
                    return
                position = max(position, block.rfind(b"\n", position, hit.start()) + 1)
            stop = block.find(b"\n", position)
            if stop < 0:
                stop = end
            limit = min(stop, position + LINE)
            line = block[position:limit].decode("utf-8", "replace")
            if self._event or not self._slow or self._slow(line) or self._hint.search(block, position, limit):
                self._line(line, stop - position + 1)
            position = stop + 1

    def _line(self, line: str, size: int) -> None:
        event = self._event
        if event is not None:
            if self._continues(event, line):
                event.size += size
                return
            self._close()
        if self._any(line) and not _ACCESS_LIKE.match(line):
            self._event = Event(self._path, line, size=size)
            if line.lstrip().startswith("Traceback (most"):
                self._event.traceback = self._event.open = True

    def _continues(self, event: Event, line: str) -> bool:
        """Tell whether a line belongs to the error before it: frames, the exception itself, what it was caused by."""
        if line.startswith("Traceback (most"):
            if event.traceback and not event.open and not event.last.startswith(_CHAINED):
                return False
            event.traceback = event.open = True
            return True
        if not event.traceback:
            return line[:1] in (" ", "\t") and bool(line.strip())
        if event.open:
            if line.strip() and line[0] not in " \t":
                event.last, event.open = line, False
            return True
        if not line.strip():
            return True
        if line.startswith(_CHAINED):
            event.last = line
            return True
        return line[0] in " \t"

    def end(self, complete: bool) -> int:
        """End a file; return the bytes of a traceback that is cut off, to be read again, or 0."""
        event = self._event
        if event is not None and event.open and not complete:
            self._event = None
            return event.size
        self._close()
        return 0

    def _close(self) -> None:
        event, self._event = self._event, None
        if event is None:
            return
        text = event.first if not event.last else f"{event.first} … {event.last}"
        if any(pattern.search(line) for pattern in self._ignore for line in (event.first, event.last) if line):
            return
        moment = moment_of(event.first)
        if self._twice(text, moment):
            return
        shape = event.last or event.first
        if self._fresh_after is not None and (moment is None or not self._fresh_after <= moment <= time.time() + DAY):
            self.older += 1
            self._baseline.append(fingerprint(shape))
            del self._baseline[:-MAX_KNOWN]
            return
        self.events += 1
        self.tracebacks += event.traceback
        names = [name for name, pattern in self._fatal if pattern.search(event.first) or pattern.search(event.last)]
        self.fatal.update(names)
        if names:
            self.last_fatal = redact(shape)[:160]
        key = fingerprint(shape)
        if key not in self.groups:
            if len(self.groups) >= MAX_GROUPS:
                return
            self.groups[key] = Group(redact(text), os.path.basename(event.path))
        group = self.groups[key]
        group.count += 1
        group.fatal = group.fatal or bool(names)

    def _twice(self, text: str, moment: float | None) -> bool:
        """Tell whether this is the same line again: the application writes each line twice, into two files.

        Dated lines are compared with all that were read, others only with the one before.
        """
        same = text == self._before
        self._before = text
        if moment is None:
            return same
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()[:12]
        if digest in self._seen:
            return True
        self._seen.add(digest)
        self._order.append(digest)
        if len(self._order) > MAX_SEEN:
            self._seen.discard(self._order.popleft())
        return False

    def checks(
        self, item: str, known: list[str], last: float, now: float, opts: Mapping[str, Any], say: Reporter
    ) -> tuple[list[Check], list[str]]:
        """Return the checks and the fingerprints that are known from now on, the last seen at the end."""
        familiar = set(known) | set(self._baseline)
        for key, group in self.groups.items():
            group.new = key not in familiar
        ranked = sorted(self.groups.values(), key=lambda one: (not one.fatal, not one.new, -one.count))
        evidence = [f"{one.count}x {'new ' if one.new else ''}{one.path}: {one.sample}" for one in ranked[:TOP]]
        facts: dict[str, Any] = {
            "new": sum(1 for one in ranked if one.new),
            "events": self.events,
            "kinds": len(ranked),
            "older": self.older,
            "since": _utc(last) if last else _utc(now - DAY),
        }
        first = not last
        checks = [
            say.measure(
                "log.new_fingerprints",
                facts["new"],
                "log.baseline" if first else "log.news",
                item=item,
                min=0,
                evidence=evidence,
                **facts,
            )
        ]
        fatal = [f"{one.count}x {one.path}: {one.sample}" for one in ranked if one.fatal]
        checks.append(
            say.measure(
                "log.fatal",
                sum(one.count for one in ranked if one.fatal),
                "log.fatal_seen" if fatal else "log.fatal_none",
                item=item,
                min=0,
                evidence=fatal,
                count=sum(one.count for one in ranked if one.fatal),
                names=", ".join(sorted(self.fatal)),
                last=self.last_fatal,
            )
        )
        # Of two runs a minute apart no rate per hour follows: one hour at least, a day at the first look.
        hours = max(1.0, (now - last) / 3600) if last else 24.0
        checks.append(say.measure("log.tracebacks", self.tracebacks / hours, "log.storm", item=item, min=0))
        current = [*self._baseline, *self.groups]
        merged = list(dict.fromkeys(reversed([*known, *current])))
        return checks, list(reversed(merged[:MAX_KNOWN]))


def _compile(regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as exc:
        raise OpsError(f"log: {regex!r} is not a regular expression: {exc}") from exc


def _any_of(regexes: list[str]) -> Callable[[str], Any]:
    """Return a search for any of the patterns: one alternation, unless they refer to groups of their own."""
    compiled = [_compile(regex) for regex in regexes]
    if any(one.groups for one in compiled):
        return lambda line: any(one.search(line) for one in compiled)
    # Flags at the start of one pattern must not reach the others.
    scoped = [re.sub(r"^\(\?([aimsux]+)\)(.*)$", r"(?\1:\2)", regex, flags=re.DOTALL) for regex in regexes]
    return _compile("|".join(f"(?:{regex})" for regex in scoped)).search


# Every line that fits a shipped pattern holds one of these. Looking for plain words in raw bytes reads a log ten times
# faster than trying the patterns on each decoded line.
_HINTS = (
    *("ERROR", "CRITICAL", "FATAL", "[error]", "[crit]", "[alert]", "[emerg]", "level=", "Traceback (most"),
    *("is locked", "malformed", "not a database", "disk I/O", "open database", "is full", "readonly database"),
    *("No space left", "Read-only file", "quota exceeded", "Out of memory", "OOM", "oom-kill", "MemoryError"),
    *("Cannot allocate", "failed to boot", "WORKER TIMEOUT", "Too many open", "segfault", "Segmentation"),
)


def _hint(regexes: list[str]) -> tuple[re.Pattern[bytes], list[str]]:
    """Return a quick search in bytes, and the patterns for which it cannot tell and that each line must be tried with."""
    shipped = {regex for _name, regex in _FATAL} | {_ERROR}
    plain = {regex for regex in regexes if regex not in shipped and not re.search(r"[\\^$.|?*+()\[\]{}]", regex)}
    words = plain | (set(_HINTS) if shipped & set(regexes) else set())
    slow = [regex for regex in regexes if regex not in shipped and regex not in plain]
    # (?!) fits nowhere: without any word there is no line to be found quickly.
    return re.compile(b"|".join(re.escape(word.encode()) for word in sorted(words)) or b"(?!)"), slow


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


# ---------------------------------------------------------------- what stands in an access log

# The combined format of nginx, Apache and gunicorn; whatever follows the user agent may be a time.
_ACCESS = re.compile(
    r"^\S+ \S+ .{0,100}?\[(?P<at>[^\]]{10,40})\] \"(?P<request>(?:[^\"\\]|\\.)*)\" (?P<status>[1-5]\d\d) \S+"
    r"(?: \"(?:[^\"\\]|\\.)*\" \"(?:[^\"\\]|\\.)*\")?(?P<rest>.*)$"
)
# Only a decimal fraction is surely seconds: gunicorn also knows whole microseconds.
_SECONDS = re.compile(r"(?:^|[\s=\"])(\d{1,5}\.\d{1,6})\"?s?(?=\s|$)")


class AccessReader:
    """Counts requests, server errors and response times in an access log."""

    def __init__(self) -> None:
        self.requests = self.unread = 0
        self.classes: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.seconds = array.array("d")
        self._fresh_after: float | None = None

    def begin(self, path: str, fresh_after: float | None) -> None:
        """Start with a file; with ``fresh_after`` only requests dated later count."""
        self._fresh_after = fresh_after

    def feed(self, block: bytes) -> None:
        """Take complete lines, joined by newlines."""
        for line in block.decode("utf-8", "replace").split("\n"):
            match = _ACCESS.match(line[:LINE])
            if not match:
                self.unread += bool(line.strip())
                continue
            if self._fresh_after is not None and (moment_of(f"{match['at']}") or 0) < self._fresh_after:
                continue
            self.requests += 1
            status = match["status"]
            self.classes[status[0]] += 1
            if status[0] == "5" and (len(self.failed) < MAX_GROUPS):
                words = match["request"].split(" ")
                self.failed[f"{status} {words[0]} {normalise_path(words[1] if len(words) > 1 else '')}"] += 1
            if match["rest"]:
                told = _SECONDS.search(match["rest"])
                if told:
                    self.seconds.append(float(told[1]))

    def end(self, complete: bool) -> int:
        """End a file; requests are single lines, nothing is ever to be read again."""
        return 0

    def checks(
        self, item: str, known: list[str], last: float, now: float, opts: Mapping[str, Any], say: Reporter
    ) -> tuple[list[Check], list[str]]:
        """Return the rate of server errors, and the response times where the log has them."""
        failed = self.classes["5"]
        facts: dict[str, Any] = {"requests": self.requests, "failed": failed, "unread_lines": self.unread}
        evidence = [f"{count}x {what}" for what, count in self.failed.most_common(TOP - 1)]
        evidence += [", ".join(f"{name}xx: {count}" for name, count in sorted(self.classes.items()))]
        if self.requests < opts["min_requests"]:
            few = say.find(
                "http.5xx",
                Status.OK,
                "log.5xx_few",
                item=item,
                reason="insufficient_data",
                evidence=evidence,
                wanted=opts["min_requests"],
                **facts,
            )
            return [few], []
        rate = 100.0 * failed / self.requests
        checks = [say.measure("http.5xx", rate, "log.5xx", item=item, min=0, max=100, evidence=evidence, **facts)]
        if len(self.seconds) >= opts["min_requests"]:
            ordered = sorted(self.seconds)
            p50, p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95, 0.99))
            checks.append(say.measure("http.p95", p95, "log.p95", item=item, min=0, p50=p50, p99=p99))
        return checks, []


def normalise_path(target: str) -> str:
    """Return a request's path without its query and with numbers and ids replaced, redacted."""
    path = redact_url(target).split("?")[0][:200]
    return re.sub(r"(?<=/)(?:\d+|[0-9a-fA-F-]{16,})(?=/|$)", "<id>", path)
