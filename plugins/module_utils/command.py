# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of the host: argument list, C locale, UTC, a time limit, never a shell."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

# systemctl and friends live in directories that are not in every ssh session's PATH.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A process in uninterruptible sleep does not die of SIGKILL: wait this long for it, then leave it behind.
REAP_SECONDS = 0.2


@dataclass(frozen=True)
class Output:
    """What a command left behind."""

    rc: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """Return the last line it said, stderr first: what an operator needs to see."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit status {self.rc}, no output"


class CommandMissing(OpsError):
    """The program is not installed."""


class CommandTimeout(OpsError):
    """The program did not finish in time and was killed."""


def run(argv: Sequence[str], timeout: float, stdin: str = "", env: Mapping[str, str] | None = None) -> Output:
    """Run a command for at most ``timeout`` seconds; any exit status is an answer, only silence is an error."""
    environment = {"PATH": os.environ.get("PATH", "") + ":" + SYSTEM_PATH, "LC_ALL": "C", "LANGUAGE": "", "TZ": "UTC"}
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function  # domain code has no AnsibleModule
            list(argv),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment, **(env or {})},
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise CommandMissing(f"{argv[0]} is not installed on this host: install its package") from exc
    except OSError as exc:
        raise OpsError(f"{argv[0]} cannot be started: {exc.strerror}") from exc
    try:
        out, err = process.communicate(stdin or None, timeout=timeout)
    except subprocess.TimeoutExpired as exc:
        _kill(process)
        raise CommandTimeout(f"{' '.join(argv[:2])} did not answer within {timeout:g} s and was killed") from exc
    return Output(process.returncode, out, err)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill the command with everything it started, and do not wait for what cannot die."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(REAP_SECONDS)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()
