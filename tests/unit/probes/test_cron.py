# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cron probe, on spools and directories of its own."""

from __future__ import annotations

import getpass
import os

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import cron
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline

ME = getpass.getuser()
JOB = "0 2 * * * /opt/app/backup.sh --password=hunter2 >> /opt/app/backup.log 2>&1"


@pytest.fixture
def host(tmp_path):
    """A host's crontabs: write them, then look."""

    class Host:
        def put(self, path, text, mode=0o600):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(mode)
            return file

        def look(self, **entry):
            spec = {
                "jobs": [{"user": ME, "pattern": r"backup\.sh", "line": "0 2 * * * backup.sh", **entry}],
                "spools": [str(tmp_path / "spool")],
                "system_files": [str(tmp_path / "crontab"), str(tmp_path / "cron.d")],
            }
            return cron.probe(spec, {}, Deadline(5)).checks[0]

    return Host()


def test_a_job_that_is_there(host):
    host.put(f"spool/{ME}", f"# jobs\nMAILTO=ops\n{JOB}\n")
    check = host.look(name="backup")
    assert (check.status, check.params["schedule"]) == (Status.OK, "0 2 * * *")
    assert check.params["where"].endswith(f"{ME}:3")
    assert "hunter2" not in str(check.as_dict())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "cron.missing"),
        ("*/5 * * * * /opt/app/monitor.sh\n", "cron.missing"),
        (f"#{JOB}\n", "cron.commented"),
        (f"# {JOB}\n", "cron.commented"),
        ("# remember: backup.sh is needed\n", "cron.missing"),
        ("BACKUP = 1 2 3 4 5 backup.sh\n", "cron.missing"),
        (JOB, "cron.not_read"),
    ],
)
def test_a_job_that_does_not_run_is_critical_and_names_the_line_expected(host, text, sentence):
    host.put(f"spool/{ME}", text)
    check = host.look()
    assert (check.status, check.message) == (Status.CRITICAL, sentence)
    assert check.evidence == ["expected: 0 2 * * * backup.sh"]
    assert "hunter2" not in str(check.as_dict())


def test_no_crontab_at_all_and_no_user(host):
    assert host.look().message == "cron.missing"
    assert host.look(user="no-such-user").message == "cron.no_user"


def test_crontabs_of_the_system_have_the_user_before_the_command(host):
    host.put("crontab", f"SHELL=/bin/sh\n17 *\t* * *\t{ME}\tcd / && run-parts /etc/cron.hourly\n", 0o644)
    host.put("cron.d/app", f"@daily {ME} /opt/app/backup.sh\n", 0o644)
    assert host.look().params["schedule"] == "@daily"
    assert host.look(pattern="^cd / && run-parts").params["schedule"] == "17 * * * *"
    assert host.look(user="nobody").message == "cron.missing"


@pytest.mark.parametrize(
    ("name", "mode", "why"), [("app.sh", 0o644, "dot"), ("app", 0o666, "write"), ("app~", 0o644, "dot")]
)
def test_files_that_cron_passes_over(host, name, mode, why):
    host.put(f"cron.d/{name}", f"@daily {ME} backup.sh\n", mode)
    check = host.look()
    assert (check.status, check.message) == (Status.CRITICAL, "cron.not_read")
    assert why in check.summary
    host.put("cron.d/good", f"@daily {ME} backup.sh\n", 0o644)
    assert host.look().status == Status.OK


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_a_crontab_of_somebody_else_is_not_read_by_cron(host):
    os.chown(host.put(f"spool/{ME}", f"{JOB}\n"), 65534, 65534)
    assert host.look().params["why"] == cron.WHY["owner"].en


def test_a_spool_that_may_not_be_read_is_unknown_not_missing(host, tmp_path, as_nobody):
    host.put(f"spool/{ME}", f"{JOB}\n").parent.chmod(0o700)
    for directory in (tmp_path, *list(tmp_path.parents)[:3]):
        directory.chmod(0o755)
    assert as_nobody(lambda: host.look().message) == "cron.denied"


@pytest.mark.parametrize(
    "entry", [{}, {"user": "a"}, {"pattern": "a"}, {"user": "a", "pattern": "("}, {"user": "a", "pattern": "b", "x": 1}]
)
def test_what_names_no_job_is_refused(entry):
    with pytest.raises(OpsError):
        cron.Wanted.read(entry)
