# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop and start the service of a database, and prove both: by systemd, by /proc, by what it serves."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import CommandTimeout, run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.isolate import run_isolated
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.files import stat_of
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.holders import holders
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.locks import process_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import Questions, look
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import Usage, usage
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import number, show, span, unit_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.client import request
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.endpoint import Endpoint
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

ASK_SECONDS = 10.0
# systemd kills what does not stop or start in its time; this long it may take to say so.
GRACE_SECONDS = 30.0
# A job without a limit of its own must not make the module hang.
ENDLESS_SECONDS = 600.0
# How long the last processes of a stopped unit may take to leave the process table.
VANISH_SECONDS = 5.0
# A service that crashes while it starts has its file open for a moment.
STEADY_SECONDS = 2.0
PAUSE = 0.1
LOOK_SECONDS = 120.0
HEALTH_SECONDS = 10.0
UP = ("active", "activating", "reloading")


class Unit:
    """The unit of the service; one without a name is no service, which is never up."""

    def __init__(self, name: str) -> None:
        self.name = unit_name(name) if name else ""

    def look(self) -> dict[str, str]:
        """Return what systemd says; raise OpsError when there is no such unit."""
        names = (
            "ActiveState SubState MainPID NRestarts Result TimeoutStopUSec TimeoutStartUSec User TriggeredBy".split()
        )
        seen = show([self.name], names, ASK_SECONDS)[self.name]
        if seen["LoadState"] == "not-found":
            raise OpsError(f"there is no unit {self.name} on this host: expected the service of the database")
        return seen

    @property
    def up(self) -> bool:
        """Tell whether it runs or is about to."""
        return bool(self.name) and self.look()["ActiveState"] in UP

    def triggers(self) -> list[str]:
        """Return the active sockets, paths and timers that would start it again while it has to be down."""
        names = self.look().get("TriggeredBy", "").split() if self.name else []
        return [
            name for name, seen in show(names, ["ActiveState"], ASK_SECONDS).items() if seen["ActiveState"] == "active"
        ]

    def stop(self) -> None:
        """Stop it and prove it; raise OpsError when it does not stop."""
        seen = self.look()
        self._job("stop", seen["TimeoutStopUSec"])
        seen = self.look()
        if seen["ActiveState"] not in ("inactive", "failed"):
            raise OpsError(f"{self.name} is {seen['ActiveState']} after systemctl stop: expected it to be inactive")

    def start(self) -> None:
        """Start it; raise OpsError when systemd says that it did not."""
        run(["systemctl", "reset-failed", "--", self.name], ASK_SECONDS)  # it may have been started too often just now
        self._job("start", self.look()["TimeoutStartUSec"])

    def _job(self, verb: str, limit: str) -> None:
        seconds = span(limit)
        # Stopping may take its time twice: once to ask, once after SIGKILL.
        patience = GRACE_SECONDS + (2 * seconds if seconds is not None else ENDLESS_SECONDS)
        try:
            output = run(["systemctl", verb, "--", self.name], patience)
        except CommandTimeout as exc:
            raise OpsError(f"systemctl {verb} {self.name} has not ended within {patience:.0f} s") from exc
        if output.rc != 0:
            raise OpsError(f"systemctl {verb} {self.name}: {output.complaint}")

    def pids(self) -> list[int]:
        """Return the processes of the unit: its main process and all that descend from it."""
        main = number(self.look(), "MainPID") or 0
        return [one.pid for one in proc.family(proc.table(), main)] if main else []


def prove_free(path: Path) -> None:
    """Raise OpsError that names them when processes still have the database open."""
    deadline = Deadline(VANISH_SECONDS)
    while True:
        found = [f"{process_name(pid)} [{proc.cmdline(pid)[:80]}]" for pid in holders(path)]
        if not found:
            return
        if deadline.expired:
            raise OpsError(
                f"{path} is still open in {listed(found)}: expected nobody to have it open, since what they write would be "
                "lost or would damage the restored database. End them (a sqlite3 shell, a second service, a job of cron)"
            )
        time.sleep(PAUSE)


def wait_served(unit: Unit, path: Path, health: Endpoint | None, seconds: float) -> int:
    """Wait until the service steadily has exactly this file open and its health page answers; return its processes.

    Raises OpsError that tells what was missing at the end.
    """
    deadline = Deadline(seconds)
    steady: tuple[str, float] | None = None
    seen = unit.look()
    begun = seen["NRestarts"]
    while True:
        trouble, count = _trouble(unit, seen, path, health, begun)
        now = time.monotonic()
        if trouble:
            steady = None
        elif steady is None or steady[0] != seen["MainPID"]:
            steady = (seen["MainPID"], now)
        elif now - steady[1] >= STEADY_SECONDS:
            return count
        if trouble and (deadline.expired or seen["ActiveState"] == "failed"):
            raise OpsError(trouble)
        time.sleep(PAUSE)
        seen = unit.look()


def _trouble(unit: Unit, seen: Mapping[str, str], path: Path, health: Endpoint | None, begun: str) -> tuple[str, int]:
    if seen["ActiveState"] != "active":
        return f"{unit.name} is {seen['ActiveState']} ({seen['SubState']}, result {seen['Result']}): expected active", 0
    if seen["NRestarts"] != begun:
        return f"{unit.name} crashes: systemd restarted it {seen['NRestarts']} times", 0
    if health:
        answer = request(health, Deadline(health.max_time))
        if answer.failure or not health.accepts(answer.code):
            what = (
                f"status {answer.code}" if answer.code else answer.failure.sentence if answer.failure else "no answer"
            )
            return f"{health.item} is not healthy ({what} {answer.excerpt[:80]}): expected {health.expected}", 0
    found: Usage = usage(stat_of(str(path)), unit.pids())
    if not found.by:
        others = f"it has {listed(found.others)} open" if found.others else "it has no database open"
        hint = "" if health else ". One that opens it at the first request needs health_url, a page that reads it"
        return f"{unit.name} does not use {path}: {others}{hint}", 0
    return "", len(found.by)


def health_endpoint(url: str) -> Endpoint | None:
    """Return what to ask, None for no URL; raise OpsError for a URL that cannot be asked."""
    return Endpoint.from_spec({"url": url, "status": ["200"], "max_time": HEALTH_SECONDS}) if url else None


def count_rows(path: Path, rows: Mapping[str, int]) -> None:
    """Prove, as its owner and leaving no trace, that each table holds at least so many rows; raise OpsError."""
    seen = os.stat(path)
    questions = Questions(str(path), rows)
    outcome = run_isolated(lambda: look(questions, (seen.st_uid, seen.st_gid)), LOOK_SECONDS)
    answers: dict[str, Any] = (
        outcome.value if isinstance(outcome.value, dict) else {"error": outcome.error or "no answer"}
    )
    if answers["error"]:
        raise OpsError(f"{path} cannot be read as its owner: {str(answers['error']).strip()[-200:]}")
    few = [
        f"{table} {answers['rows'][table]} < {count}"
        for table, count in rows.items()
        if (answers["rows"][table] or 0) < count
    ]
    gone = [table for table in rows if answers["rows"][table] is None]
    if few or gone:
        raise OpsError(f"{path} does not hold the rows of the snapshot: {listed(few or gone)}")
