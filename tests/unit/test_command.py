# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands of the host, as a whole and line by line."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import (
    COMPLAINT_BYTES,
    LINE_BYTES,
    CommandMissing,
    CommandTimeout,
    Lines,
    run,
)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie is over; only its parent has not asked.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int) -> bool:
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def test_what_a_command_said_and_how_it_ended():
    output = run(["sh", "-c", "cat; printf 'a\\r\\nb\\377' ; echo oops >&2; exit 3"], 10, stdin="词 ")
    assert (output.rc, output.stdout, output.complaint) == (3, "词 a\nb\ufffd", "oops")


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path):
    with pytest.raises(CommandTimeout):
        run(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"], 0.5)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_missing_command_is_named():
    for start in (lambda: run(["no-such-command"], 1), lambda: Lines(["no-such-command"], 1)):
        with pytest.raises(CommandMissing, match="no-such-command is not installed"):
            start()


def test_lines_come_as_they_are_said():
    lines = Lines(["sh", "-c", "echo one; echo two; printf three; echo wrong >&2; exit 4"], 10)
    assert list(lines) == ["one", "two", "three"]
    assert (lines.rc, lines.complaint, lines.timed_out) == (4, "wrong", False)


def test_lines_end_at_the_time_and_what_came_before_is_there():
    begin = time.monotonic()
    lines = Lines(["sh", "-c", "echo one; exec sleep 60"], 0.5)
    assert list(lines) == ["one"]
    assert (lines.rc, lines.timed_out) == (None, True)
    assert time.monotonic() - begin < 5


def test_who_hears_enough_ends_the_command():
    lines = Lines(["sh", "-c", "echo $$; exec yes"], 60)
    for line in lines:
        pid = int(line)
        break
    assert gone(pid)


def test_neither_a_line_without_an_end_nor_endless_complaints_fill_the_memory():
    lines = Lines(["sh", "-c", f"head -c {3 * LINE_BYTES} /dev/zero; echo; head -c 100000 /dev/zero >&2"], 30)
    [line] = list(lines)
    assert len(line) <= LINE_BYTES + (1 << 16)
    assert len(lines._complaint) <= COMPLAINT_BYTES
