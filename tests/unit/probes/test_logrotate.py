# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logrotate probe, on real files and a real process that goes on writing."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import logrotate, registry
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

DAY = 86400.0
WRITER = "import sys; f = open(sys.argv[1], sys.argv[2]); print(1, flush=True); input()"


@pytest.fixture
def logs(tmp_path):
    """A directory with one log, and the probe looking at it."""

    class Logs:
        log = tmp_path / "app.log"
        status = tmp_path / "status"
        state: dict = {}

        def look(self, **spec):
            options = {"logs": [str(tmp_path / "*.log")], "config": "", "state_files": [str(self.status)], **spec}
            result = logrotate.probe(options, self.state, Deadline(5))
            self.state = result.state
            return {check.id: check for check in result.checks}

        def rotated(self, days):
            when = time.localtime(time.time() - days * DAY)
            self.status.write_text(
                "logrotate state -- version 2\n"
                f'"{self.log}" {when.tm_year}-{when.tm_mon}-{when.tm_mday}-{when.tm_hour}:{when.tm_min}:{when.tm_sec}\n'
            )

    made = Logs()
    made.log.write_text("one\n")
    return made


def test_a_healthy_directory(logs):
    logs.rotated(1)
    assert {check.status for check in logs.look().values()} == {Status.OK}
    logs.log.write_text("one\ntwo\n")
    checks = logs.look()
    assert {check.status for check in checks.values()} == {Status.OK}
    assert checks["logrotate.stale"].value == pytest.approx(1, abs=0.05)


def test_a_log_that_grows_and_is_not_rotated(logs):
    logs.rotated(9)
    assert logs.look()["logrotate.stale"].status == Status.OK  # seen once: nobody knows yet whether it grows
    assert logs.look()["logrotate.stale"].status == Status.OK  # it stands still
    logs.log.write_text("one\ntwo\n")
    check = logs.look()["logrotate.stale"]
    assert (check.status, check.params["names"]) == (Status.WARNING, str(logs.log))
    assert logs.look(thresholds={"logrotate.stale": {"warn": "10"}})["logrotate.stale"].status == Status.OK


def test_a_log_that_logrotate_never_met_counts_from_when_we_saw_it(logs):
    logs.look()
    logs.log.write_text("one\ntwo\n")
    assert logs.look()["logrotate.stale"].status == Status.OK
    logs.state[str(logs.log)] = [time.time() - 9 * DAY, 1]
    assert logs.look()["logrotate.stale"].status == Status.WARNING
    logs.rotated(1)
    logs.log.write_text("three\n")
    assert logs.look()["logrotate.stale"].status == Status.OK


def test_both_versions_of_the_state_file():
    old = logrotate.parse_state('logrotate state -- version 1\n"/var/log/a.log" 2026-11-3\n/var/log/b.log 2026-11-23\n')
    new = logrotate.parse_state('logrotate state -- version 2\n"/var/log/a b.log" 2026-11-23-0:5:9\nrubbish\n')
    assert [time.localtime(moment)[:6] for moment in old.values()] == [(2026, 11, 3, 0, 0, 0), (2026, 11, 23, 0, 0, 0)]
    assert {path: time.localtime(moment)[:6] for path, moment in new.items()} == {
        "/var/log/a b.log": (2026, 11, 23, 0, 5, 9)
    }


def test_a_log_that_grew_out_of_bounds(logs):
    with logs.log.open("r+b") as file:
        file.truncate(2**30 + 1)
    check = logs.look()["logrotate.size"]
    assert (check.status, check.value) == (Status.WARNING, 2**30 + 1)


@pytest.mark.parametrize(
    ("name", "rotated"),
    [
        ("app.log", False),
        ("app.log.1", True),
        ("app.log.2.gz", True),
        ("app.log-20261123", True),
        ("app.log-20261123.gz", True),
        ("app.log-2026-11-23.zst", True),
        ("app-2.log", False),
        ("app1.log", False),
    ],
)
def test_names_of_rotated_files(name, rotated):
    assert logrotate.is_rotated(f"/var/log/{name}") == rotated


@pytest.mark.parametrize("suffix", [".1", "-20261123"])
def test_a_process_that_goes_on_writing_to_a_rotated_log_is_named(logs, spawn, suffix):
    writer = spawn(WRITER, str(logs.log), "a")
    writer.stdout.readline()
    assert logs.look()["logrotate.not_reopened"].status == Status.OK
    logs.log.rename(f"{logs.log}{suffix}")
    logs.log.write_text("")
    check = logs.look()["logrotate.not_reopened"]
    assert check.status == Status.WARNING
    assert check.evidence[0].startswith(f"pid {writer.pid} ")
    assert check.evidence[0].endswith(suffix)
    writer.stdin.write("\n")
    writer.stdin.flush()
    writer.wait()
    assert logs.look()["logrotate.not_reopened"].status == Status.OK


def test_a_deleted_log_that_is_still_written(logs, spawn):
    spawn(WRITER, str(logs.log), "a").stdout.readline()
    logs.log.unlink()
    assert "(deleted)" in logs.look()["logrotate.not_reopened"].params["files"]


def test_a_reader_of_a_rotated_log_is_welcome(logs, spawn):
    spawn(WRITER, str(logs.log), "r").stdout.readline()
    logs.log.rename(f"{logs.log}.1")
    assert logs.look()["logrotate.not_reopened"].status == Status.OK


def test_configuration(logs, tmp_path):
    config = tmp_path / "app.conf"
    assert logs.look(config=str(config))["logrotate.config"].message == "logrotate.config_missing"
    config.write_text("x")
    config.chmod(0o644)
    assert logs.look(config=str(config))["logrotate.config"].status == Status.OK
    config.chmod(0o664)
    assert logs.look(config=str(config))["logrotate.config"].message == "logrotate.config_ignored"


def test_no_logs_and_no_absolute_path(logs):
    logs.log.unlink()
    checks = logs.look()
    assert checks["logrotate.stale"].status == Status.SKIPPED
    assert "logrotate.size" not in checks
    with pytest.raises(OpsError, match="absolute"):
        registry.prepare({"kind": "logrotate", "logs": ["app.log"]})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to hide a file from nobody")
def test_a_state_file_that_is_a_directory_is_unknown(logs):
    logs.status.mkdir()
    assert logs.look()["logrotate.stale"].status == Status.UNKNOWN
