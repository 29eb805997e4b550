# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log probe on real files: growing, rotated by logrotate, truncated, unreadable, enormous and full of garbage."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.app import MAX_KNOWN
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.logs.fingerprint import fingerprint, moment_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import log
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact, redact_url

ROOT = Path(__file__).parents[3]
TRACEBACK = """Traceback (most recent call last):
  File "/opt/app/web.py", line {line}, in handle
    self.rows()
sqlite3.IntegrityError: UNIQUE constraint failed: words.id = {line}
"""


def stamp(hours: float = 0) -> str:
    return f"{datetime.now() - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"


def error(text: str, hours: float = 0) -> str:
    return f"{stamp(hours)} - bilingual_tutor - ERROR - {text}\n"


def info(text: str = "成功连接到Redis服务器") -> str:
    return f"{stamp()} - bilingual_tutor - INFO - {text}\n"


class Logs:
    """One probe on a directory, looked at again and again with its own state."""

    def __init__(self, folder: Path, **spec: Any) -> None:
        self.path = folder / "app.log"
        self.spec: dict[str, Any] = {"paths": [str(folder / "*.log")], **spec}
        self.state: dict[str, Any] = {}

    def add(self, text: str | bytes, path: Path | None = None) -> None:
        with (path or self.path).open("ab") as stream:
            stream.write(text.encode() if isinstance(text, str) else text)

    def look(self, seconds: float = 10) -> dict[str, Check]:
        result = log.probe(self.spec, self.state, Deadline(seconds))
        self.state = json.loads(json.dumps(result.state))
        return {check.id: check for check in result.checks}

    def counted(self) -> int:
        return int(self.look()["log.new_fingerprints"].params["events"])


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    made = Logs(tmp_path)
    made.add(info() * 20)
    assert {c.status for c in made.look().values()} == {Status.OK}
    return made


# ---------------------------------------------------------------- the first look


def test_first_look_counts_a_day_and_takes_the_rest_as_baseline(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.add(error("old", hours=30) + "ERROR without a date\n" + info())
    found = logs.look()
    assert {c.status for c in found.values()} == {Status.OK}
    assert found["log.new_fingerprints"].params["older"] == 2
    logs.add(error("old") + "ERROR without a date\n")
    assert logs.look()["log.new_fingerprints"].status is Status.OK, "the baseline is known"

    fresh = Logs(tmp_path)
    fresh.add(error("young", hours=3))
    news = fresh.look()["log.new_fingerprints"]
    assert (news.params["events"], news.params["new"]) == (2, 1), "one of the two kinds is older than a day"
    assert Logs(tmp_path, first_bytes=10).look()["log.new_fingerprints"].status is Status.OK


def test_first_look_reads_the_end_only_and_no_half_line(tmp_path: Path) -> None:
    logs = Logs(tmp_path, first_bytes=1000)
    logs.add(error("ancient") + info("x" * 2000) + error("recent"))
    found = logs.look()
    assert found["log.new_fingerprints"].params["events"] == 1
    assert found["log.read"].params["bytes"] == 1000


# ---------------------------------------------------------------- news


def test_new_errors_are_a_warning_once(logs: Logs) -> None:
    logs.add(error("连接Redis失败: Error 111 connecting to 127.0.0.1:6379"))
    found = logs.look()
    news = found["log.new_fingerprints"]
    assert news.status is Status.WARNING and news.value == 1 and "连接Redis失败" in news.evidence[0]
    assert {id: c.status for id, c in found.items() if c.status is not Status.OK} == {news.id: Status.WARNING}
    logs.add(error("连接Redis失败: Error 113 connecting to 10.0.0.7:6379"))
    again = logs.look()["log.new_fingerprints"]
    assert again.status is Status.OK and again.params["events"] == 1
    assert logs.look()["log.new_fingerprints"].params["events"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "database is locked",
        "database disk image is malformed",
        "malformed database schema (words)",
        "file is not a database",
        "disk I/O error",
        "unable to open database file",
        "database or disk is full",
        "attempt to write a readonly database",
        "OSError: [Errno 28] No space left on device",
        "Read-only file system",
        "Disk quota exceeded",
        "Out of memory: Killed process 7 (gunicorn)",
        "redis: OOM command not allowed",
        "oom-kill:constraint=CONSTRAINT_NONE",
        "MemoryError",
        "Cannot allocate memory",
        "Worker failed to boot.",
        "[CRITICAL] WORKER TIMEOUT (pid:7)",
        "Too many open files",
        "gunicorn[7]: segfault at 0",
        "Segmentation fault",
    ],
)
def test_known_fatal_lines_are_critical_each_time(logs: Logs, text: str) -> None:
    for _round in range(2):
        logs.add(f"{stamp()} something said: {text}\n")
        found = logs.look()["log.fatal"]
        assert found.status is Status.CRITICAL and found.value == 1


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23 01:02:03 - app - ERROR - x",
        "[2026-11-23 01:02:03 +0000] [7] [CRITICAL] x",
        "FATAL: x",
        "2026/11/23 01:02:03 [error] 7#7: *1 connect() failed",
        "2026/11/23 01:02:03 [crit] 7#7: x",
        "2026/11/23 01:02:03 [alert] x",
        "2026/11/23 01:02:03 [emerg] x",
        "time=1 level=error msg=x",
        "Traceback (most recent call last):\nValueError: x",
    ],
)
def test_levels_of_all_loggers_are_errors(logs: Logs, line: str) -> None:
    logs.add(line + "\n")
    assert logs.counted() == 1


@pytest.mark.parametrize(
    "line",
    [
        "INFO - errors=0, no error seen",
        "2026-11-23 01:02:03 - app - WARNING - 慢查询检测: words 耗时 1.2s",
        '1.2.3.4 - - [23/Nov/2026:01:02:03 +0000] "GET /?q=ERROR+Traceback HTTP/1.1" 404 0 "-" "database is locked"',
        "2026/11/23 01:02:03 [notice] 7#7: signal process started",
    ],
)
def test_what_is_no_error(logs: Logs, line: str) -> None:
    logs.add(line + "\n")
    found = logs.look()
    assert {c.status for c in found.values()} == {Status.OK} and found["log.new_fingerprints"].params["events"] == 0


def test_a_traceback_is_one_error_named_by_its_exception(logs: Logs) -> None:
    logs.add(
        error("请求处理失败")
        + TRACEBACK.format(line=3)
        + info()
        + error("请求处理失败2")
        + TRACEBACK.format(line=9)
        + info()
    )
    news = logs.look()["log.new_fingerprints"]
    assert news.params["events"] == 2 and news.value == 1
    assert news.evidence[0].startswith("2x new app.log") and "IntegrityError" in news.evidence[0]


def test_chained_exceptions_are_one_error_and_the_last_counts(logs: Logs) -> None:
    chain = "\nDuring handling of the above exception, another exception occurred:\n\n"
    last = 'Traceback (most recent call last):\n  File "a", line 1\nsqlite3.OperationalError: database is locked\n'
    logs.add(TRACEBACK.format(line=1) + chain + last + info())
    found = logs.look()
    assert found["log.new_fingerprints"].params["events"] == 1
    assert found["log.fatal"].status is Status.CRITICAL and "locked" in found["log.fatal"].summary


def test_a_storm_of_tracebacks_is_critical(logs: Logs) -> None:
    logs.add("".join(error(f"failure {n}") + TRACEBACK.format(line=n) for n in range(51)))
    logs.add(info())
    found = logs.look()["log.tracebacks"]
    assert found.status is Status.CRITICAL and found.value == 51


def test_lines_written_twice_count_once(logs: Logs, tmp_path: Path) -> None:
    line, other = error("服务器内部错误: GET /"), "ERROR without a date\n"
    logs.add(line * 2 + other * 2 + info() + other)
    logs.add(line * 2, tmp_path / "gunicorn_error.log")
    assert logs.counted() == 3 - 1, "the dated one once, the undated one once: its repetition follows directly"


# ---------------------------------------------------------------- cursors


def test_half_a_line_and_half_a_traceback_are_read_whole_at_the_next_look(logs: Logs) -> None:
    line = error("in two halves")
    logs.add(line[:30])
    assert logs.counted() == 0
    logs.add(line[30:])
    assert logs.counted() == 1
    whole = error("failed") + TRACEBACK.format(line=1)
    cut = whole.index("    self.rows")
    logs.add(whole[:cut])
    assert logs.counted() == 0
    logs.add(whole[cut:])
    news = logs.look()["log.new_fingerprints"]
    assert news.params["events"] == 1 and "IntegrityError" in news.evidence[0]


def test_a_last_line_without_newline_is_read_when_nothing_follows(logs: Logs) -> None:
    logs.add(error("the process died here").rstrip("\n"))
    assert [logs.counted(), logs.counted(), logs.counted()] == [0, 1, 0]


@pytest.mark.skipif(not shutil.which("logrotate"), reason="needs logrotate")
@pytest.mark.parametrize(
    "how", ["create", "copytruncate", "create compress", "copytruncate compress", "nocreate", "dateext create"]
)
def test_nothing_is_lost_or_read_twice_across_logrotate(logs: Logs, tmp_path: Path, how: str) -> None:
    config = tmp_path / "rotate.conf"
    user = "su root root\n" if os.geteuid() == 0 else ""
    options = "\n".join(how.split())
    config.write_text(f"{logs.path} {{\n{user}rotate 5\n{options}\n}}\n")
    for turn in range(3):
        logs.add(error(f"before {'x' * turn}"))
        done = subprocess.run(
            ["logrotate", "-f", "-s", tmp_path / "status", config], capture_output=True, text=True, check=False
        )
        if "dateext" in how and turn:
            assert "skipping rotation" in done.stderr or done.returncode == 0  # one rotation a day with dates
        else:
            assert done.returncode == 0, done.stderr
        logs.add(error(f"after {'x' * turn}"))
        found = logs.look()
        assert found["log.new_fingerprints"].params["events"] == 2, os.listdir(tmp_path)
        assert logs.counted() == 0


def test_two_rotations_between_two_looks(logs: Logs, tmp_path: Path) -> None:
    logs.add(error("one"))
    logs.path.rename(tmp_path / "app.log.2")
    logs.add(error("two"))
    logs.path.rename(tmp_path / "app.log.1")
    logs.add(error("three"))
    assert logs.counted() == 3


def test_a_writer_that_keeps_the_rotated_file_open(logs: Logs, tmp_path: Path) -> None:
    """nginx writes to the renamed file until it is told to reopen."""
    rotated = tmp_path / "app.log.1"
    logs.path.rename(rotated)
    logs.path.touch()
    assert logs.counted() == 0
    for _turn in range(2):
        logs.add(error(f"still here {'x' * _turn}"), rotated)
        assert logs.counted() == 1


def test_rotated_away_with_no_new_file_yet(logs: Logs, tmp_path: Path) -> None:
    logs.add(error("last words"))
    logs.path.rename(tmp_path / "app.log.1")
    found = logs.look()
    assert found["log.new_fingerprints"].params["events"] == 1
    assert found["log.missing"].status is Status.WARNING
    logs.add(error("first words"))
    assert logs.counted() == 1


def test_truncated_replaced_and_reused_inodes_are_noticed(logs: Logs) -> None:
    logs.path.write_text(error("after truncation"))
    assert logs.counted() == 1
    inode = logs.path.stat().st_ino
    with logs.path.open("r+") as stream:  # same inode, longer, other content: a copytruncate that grew again
        stream.write(error("another beginning") * 1 + info() * 30)
    assert logs.path.stat().st_ino == inode
    assert logs.counted() == 1


def test_a_file_cut_short_behind_its_head_is_read_anew(logs: Logs) -> None:
    os.truncate(logs.path, logs.path.stat().st_size // 2)
    logs.add("\n" + error("after the cut"))
    assert logs.counted() == 1


def test_an_inode_that_a_rotated_file_took_over_is_not_taken_for_the_old_file(logs: Logs, tmp_path: Path) -> None:
    logs.state["files"][str(logs.path)][0][4] = "0" * 16  # as if the cursor's file had begun otherwise
    logs.path.rename(tmp_path / "app.log.1")
    logs.add(error("behind the old offset"), tmp_path / "app.log.1")
    logs.add(info())
    found = logs.look()
    assert found["log.new_fingerprints"].params["events"] == 1
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert found["log.read"].params["bytes"] == size, "from its start"


def test_copies_beside_the_log_are_not_read(logs: Logs, tmp_path: Path) -> None:
    logs.add(error("in a copy of somebody"), tmp_path / "app.log.5")
    assert logs.counted() == 0, "the log was not rotated"
    logs.add(error("in another"), tmp_path / "app.log.3")
    os.utime(tmp_path / "app.log.3", (time.time() + 1,) * 2)
    logs.add(error("rotated"))
    logs.path.rename(tmp_path / "app.log.1")
    os.utime(tmp_path / "app.log.1", (time.time() + 2,) * 2)
    assert logs.counted() == 1, "older than the file that was read last time"


def test_old_rotated_files_are_left_alone(tmp_path: Path) -> None:
    for name, opener in (("app.log.1", open), ("app.log.2.gz", gzip.open)):
        with opener(tmp_path / name, "wt") as stream:  # type: ignore[operator]
            stream.write(error("history"))
        os.utime(tmp_path / name, (1e9, 1e9))
    logs = Logs(tmp_path, paths=[str(tmp_path / "*.log*")])
    logs.add(info())
    logs.look()
    logs.add(info())
    found = logs.look()
    assert found["log.new_fingerprints"].params["events"] == 0 and found["log.read"].params["files"] == 1


def test_state_stays_small(logs: Logs) -> None:
    words = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(500)]
    logs.add("".join(error(f"kind {word}") for word in words))
    assert logs.look()["log.new_fingerprints"].params["kinds"] == 500
    assert len(logs.state["known"]) == MAX_KNOWN and len(json.dumps(logs.state)) < 4096
    logs.add(error(f"kind {words[-1]}"))
    assert logs.look()["log.new_fingerprints"].status is Status.OK, "the kinds seen last are remembered"


# ---------------------------------------------------------------- bad files


def test_binary_garbage_is_survived(logs: Logs) -> None:
    logs.add(os.urandom(300_000) + b"\0" * 100_000 + b"\xff\xfe\n" + error("among garbage").encode())
    found = logs.look()["log.new_fingerprints"]
    assert any("among garbage" in line for line in found.evidence)
    json.dumps(found.as_dict())


def measured(spec: dict[str, Any], state: dict[str, Any]) -> tuple[float, float, list[dict[str, Any]]]:
    """Run the probe in a process of its own; return seconds, MiB of memory it took on top, and the checks."""
    code = """if True:
        import json, resource, sys, time
        from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import log
        from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
        spec, state = json.loads(sys.argv[1])
        rss = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        before, start = rss(), time.monotonic()
        checks = log.probe(spec, state, Deadline(10)).checks
        print(json.dumps([time.monotonic() - start, rss() - before, [c.as_dict() for c in checks]]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([spec, state])],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tree")},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    seconds, memory, checks = json.loads(done.stdout)
    return seconds, memory, checks


@pytest.mark.parametrize("kind", ["one line of 100 MB", "2 GB with a hole"])
def test_enormous_files_take_little_memory_and_time(logs: Logs, kind: str) -> None:
    if kind.startswith("2 GB"):
        with logs.path.open("r+b") as stream:
            stream.truncate(2 * 1024**3)
        logs.add("\n" + error("after the hole"))
    else:
        with logs.path.open("ab") as stream:
            for _block in range(100):
                stream.write(b"ERROR x" * 149_797)
        logs.add("\n" + error("after the line"))
    seconds, memory, checks = measured(logs.spec, logs.state)
    assert seconds < 8 and memory < 30
    read = next(c for c in checks if c["id"] == "log.read")
    assert read["status"] == Status.WARNING and read["params"]["unread"] > 30_000_000
    assert read["params"]["bytes"] <= log.OPTIONS["max_bytes"]["default"]
    news = next(c for c in checks if c["id"] == "log.new_fingerprints")
    assert any("after the" in line for line in news["evidence"])


def test_one_mad_file_does_not_starve_the_others_and_the_cursor_moves_on(logs: Logs, tmp_path: Path) -> None:
    logs.spec["max_bytes"] = 20_000
    logs.add(info("x" * 1000) * 100)
    logs.add(error("in the small file"), tmp_path / "small.log")
    found = logs.look()
    assert found["log.new_fingerprints"].params["events"] == 1
    assert found["log.read"].status is Status.WARNING and found["log.read"].params["unread"] > 80_000
    logs.add(error("next"))
    after = logs.look()
    assert after["log.read"].status is Status.OK and after["log.new_fingerprints"].params["events"] == 1


def test_no_time_left_is_said(logs: Logs) -> None:
    logs.add(error("unseen"))
    found = logs.look(seconds=0)
    assert found["log.read"].status is Status.WARNING and found["log.read"].params["unread"] > 0


def test_pipes_and_directories_are_not_opened(logs: Logs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "folder.log").mkdir()
    assert {c.status for c in logs.look().values()} == {Status.OK}


def test_missing_and_optional(tmp_path: Path) -> None:
    found = Logs(tmp_path, paths=[str(tmp_path / "error.log")]).look()["log.missing"]
    assert found.status is Status.WARNING and str(tmp_path / "error.log") in found.summary
    allowed = Logs(tmp_path, paths=[str(tmp_path / "none" / "error.log")], optional=True).look()
    assert allowed["log.missing"].status is Status.SKIPPED


@pytest.mark.parametrize("what", ["file", "folder"])
def test_unreadable_is_unknown_and_says_whose_it_is(as_nobody: Any, passable: Path, what: str) -> None:
    folder = passable / "logs"
    folder.mkdir()
    path = folder / "app.log"
    path.write_text(error("secret"))
    path.chmod(0o640 if what == "file" else 0o644)
    folder.chmod(0o755 if what == "file" else 0o750)
    told = as_nobody(lambda: [[c.id, int(c.status), c.reason, c.summary] for c in Logs(folder).look().values()])
    denied = [one for one in told if one[0] == "log.readable"]
    assert denied and denied[0][1:3] == [Status.UNKNOWN, "denied"]
    name, mode = (path, "0640") if what == "file" else (folder, "0750")
    assert denied[0][3] == f"{name} may not be read by nobody: owner root, mode {mode}"
    assert not [one for one in told if one[0] == "log.missing"]


# ---------------------------------------------------------------- options


def test_own_patterns_and_ignore(logs: Logs) -> None:
    logs.spec["patterns"] = [
        {"name": "slow", "regex": "慢查询检测", "status": "warning"},
        {"name": "case", "regex": "(?i)lost (the) \\1", "status": "critical"},
    ]
    logs.spec["ignore"] = ["favicon"]
    logs.add(
        f"{stamp()} - WARNING - 慢查询检测: words 耗时 1.2s\n{stamp()} LOST THE the\n"
        + error("no favicon")
        + error("kept")
    )
    found = logs.look()
    assert found["log.new_fingerprints"].params["events"] == 3
    assert found["log.fatal"].params["names"] == "case"
    only = Logs(logs.path.parent, default_patterns=False, patterns=[{"name": "slow", "regex": "慢查询检测"}])
    assert only.counted() == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"paths": ["relative.log"]}, "absolute"),
        ({"paths": []}, "absolute"),
        ({"ignore": ["("]}, "not a regular expression"),
        ({"patterns": [{"name": "x", "regex": "["}]}, "not a regular expression"),
        ({"default_patterns": False}, "no patterns"),
        ({"max_bytes": 0}, "above 0"),
        ({"thresholds": {"log.fatal": {"crit": "x"}}}, "not a Nagios range"),
    ],
)
def test_bad_options_are_refused_in_words(tmp_path: Path, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(OpsError, match=words):
        Logs(tmp_path, **spec).look()


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (
            "2026-11-23 01:02:03,123 ERROR user 17 failed",
            "[2026-11-24 11:12:13 +0800] ERROR user 9 failed".replace("[", "").replace("]", ""),
        ),
        ("ERROR id 123e4567-e89b-12d3-a456-426614174000", "ERROR id 00000000-0000-0000-0000-000000000000"),
        ("ERROR at 0x7f00dead in deadbeef01", "ERROR at 0x1 in 0123456789abcdef"),
        ("ERROR open /var/lib/x/1.db: no", "ERROR open /tmp/other file".replace(" file", ": no")),
        ("ERROR key 'abc' not in \"x y\"", "ERROR key 'other' not in \"z\""),
        ("ERROR took 1.25 s from 10.0.0.1:80", "ERROR took 88 s from 192.168.1.1:8080"),
    ],
)
def test_what_differs_between_occurrences_is_no_part_of_the_fingerprint(one: str, two: str) -> None:
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(one + " entirely")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-23T01:02:03Z x", 1795395723.0),
        ("[2026-11-23 09:02:03 +0800] x", 1795395723.0),
        ('1.2.3.4 - - [22/Nov/2026:20:02:03 -0500] "GET', 1795395723.0),
        ("2026/11/23 01:02:03 [error]", time.mktime((2026, 11, 23, 1, 2, 3, 0, 0, -1))),
        ("2026-13-45 99:99:99 x", None),
        ("no date", None),
    ],
)
def test_dates_of_all_formats(line: str, expected: float | None) -> None:
    assert moment_of(line) == expected


SECRETS = [
    ("login password=hunter2 failed", "hunter2"),
    ("{'db_password': 'hunter2 x', 'a': 1}", "hunter2"),
    ('{"api_key": "hunter2\\"rest", "a": 1}', "hunter2"),
    ("密码：hunter2", "hunter2"),
    ("Authorization: Bearer hunter2.abc-def", "hunter2"),
    ("Authorization: Basic aHVudGVyMjpwYXNz", "aHVudGVyMjpwYXNz"),
    ("sent with bearer hunter2hunter2", "hunter2"),
    ("Cookie: session=hunter2; theme=dark7", "dark7"),
    ("Set-Cookie: sid=hunter2; Path=/", "hunter2"),
    ("redis://user:hunter2@10.0.0.1:6379/0", "hunter2"),
    ("mail to li.lei+x@example.com.cn bounced", "li.lei"),
    ("user 13812345678 not found", "13812345678"),
    ("call +86 138-1234-5678", "1234"),
    ("call +44 20 7946 0958", "7946 0958"),
    ("X-Api-Key: hunter2", "hunter2"),
    ("token eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl seen", "eyJzdWIiOiIx"),
    ("https://h/p?access_token=hunter2&x=1", "hunter2"),
]


@pytest.mark.parametrize(("line", "secret"), SECRETS)
def test_secrets_never_reach_evidence(logs: Logs, line: str, secret: str) -> None:
    assert secret not in redact(line)
    logs.add(error(f"{line} (database is locked)"))
    told = json.dumps([check.as_dict() for check in logs.look().values()], ensure_ascii=False)
    assert "CRITICAL" not in told and secret not in told and "***" in told
    assert secret not in json.dumps(logs.state)


def test_redaction_keeps_what_one_needs() -> None:
    line = "2026-11-23 01:02:03 ERROR 127.0.0.1:6379 pid 13812 took 1795395723 us at /opt/app/web.py:42"
    assert redact(line) == line
    assert redact_url("https://u:p@h/x?q=1&t=2#f") == "https://***@h/x?q=***&t=***#f"


# ---------------------------------------------------------------- access logs


def access(status: int, path: str = "/api/content/17?token=hunter2", rest: str = "", when: str = "") -> str:
    when = when or f"{datetime.now().astimezone():%d/%b/%Y:%H:%M:%S %z}"
    return f'127.0.0.1 - - [{when}] "GET {path} HTTP/1.0" {status} 70 "-" "curl/7.88 \\"x\\""{rest}\n'


@pytest.mark.parametrize(
    ("failed", "status"), [(0, Status.OK), (5, Status.OK), (6, Status.WARNING), (11, Status.CRITICAL)]
)
def test_rate_of_server_errors(tmp_path: Path, failed: int, status: Status) -> None:
    logs = Logs(tmp_path, format="access")
    logs.add(access(500) * failed + access(200) * (60 - failed) + access(404) * 40)
    found = logs.look()["http.5xx"]
    assert found.status is status and found.value == failed and found.params["requests"] == 100
    if failed:
        assert found.evidence[0] == f"{failed}x 500 GET /api/content/<id>"
    assert logs.look()["http.5xx"].params["requests"] == 0


def test_few_or_old_requests_are_not_judged(tmp_path: Path) -> None:
    logs = Logs(tmp_path, format="access")
    logs.add(access(500) * 99 + access(500, when="23/Nov/2020:01:02:03 +0000") * 50)
    found = logs.look()["http.5xx"]
    assert found.status is Status.OK and found.reason == "insufficient_data" and found.params["failed"] == 99


def test_response_times_only_where_the_log_has_them(tmp_path: Path) -> None:
    logs = Logs(tmp_path, format="access")
    logs.add("".join(access(200, rest=f" {n / 20:.3f}") for n in range(1, 101)))
    found = logs.look()["http.p95"]
    assert (
        found.value == pytest.approx(4.8)
        and found.status is Status.WARNING
        and found.params["p50"] == pytest.approx(2.55)
    )
    logs.add(access(200, rest=" 12345") * 200)
    assert "http.p95" not in logs.look()
    logs.add(access(200, rest=' rt=0.010 uct="0.000"') * 200)
    assert logs.look()["http.p95"].value == pytest.approx(0.01)


def test_lines_that_are_no_requests_are_counted_apart(tmp_path: Path) -> None:
    logs = Logs(tmp_path, format="access")
    logs.add(access(200) * 120 + "garbage\n" * 3 + '1.2.3.4 - - [x] "\\x16\\x03" 400 0 "-" "-"\n')
    assert logs.look()["http.5xx"].params["unread_lines"] == 4


def test_what_can_never_work_is_refused_before_the_run() -> None:
    with pytest.raises(OpsError, match="'\\(' is not a regular"):
        prepare({"kind": "log", "paths": ["/x"], "ignore": ["("]})
