# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module ops_traffic does: test, write, test, reload, and prove that no worker is left that goes elsewhere."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import durable
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.proc import Process
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.traffic import nginx
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.traffic.nginx import Seen, Site, Traffic

LOCK_SECONDS = 10.0
# From SIGTERM, and from SIGKILL, until a worker is gone: it only closes its sockets.
END_SECONDS = 0.3
# The master lets new workers run for 0.1 s before it tells the old ones to end.
QUIT_SECONDS = 0.3
PAUSE = 0.01


def switch(options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Send the requests where they are to go; raise OpsError when they do not, with the configuration that was there."""
    site = Site(Path(options["directory"]), Path(options["config"]), Path(options["pidfile"]))
    serving = options["state"] == nginx.SERVING
    wanted = Traffic(options["state"], nginx.upstream(options["upstream"], site.port) if serving else "")
    act = Act(site, wanted, options["deadline"], options["drain"], options["run_id"])
    if check_mode:
        result = act.plan()
    else:
        site.read()  # makes no directory where the role has not been
        with durable.alone(site.directory, LOCK_SECONDS):
            result = act.run()
    return {**result, "mode": wanted.mode, "upstream": wanted.upstream, "evidence": act.evidence, "ended": act.ended}


class Act:
    """One switch. It may be repeated, and killed at any moment: the file is always one that nginx accepts."""

    def __init__(self, site: Site, wanted: Traffic, deadline: float, drain: float, run_id: str = "") -> None:
        self.site, self.wanted, self.deadline, self.drain = site, wanted, deadline, drain
        self.run_id, self.text = run_id, wanted.text(site.port)
        self.evidence: list[str] = []
        self.ended: list[str] = []

    @property
    def _told(self) -> str:
        return f"{self.wanted.mode} {self.wanted.upstream}".strip()

    def plan(self) -> dict[str, Any]:
        """Return what a run would find and do; raise OpsError for what it would refuse."""
        text, before = self._look()
        now = self.wanted if before.running else None
        return self._result(text, before, Seen(before.running, now, self.wanted, ""))

    def run(self) -> dict[str, Any]:
        """Do it."""
        text, before = self._look()
        # A master that was told to reload by a run that was killed may still be about to: then nothing is as it seems.
        late = self._leaving()
        if text != self.text:
            self._write(text)
        if self._differs(text, before) or late:
            self._reload(text)
        return self._result(text, before, nginx.observe(self.site))

    def _look(self) -> tuple[str, Seen]:
        text, before = self.site.read(), nginx.observe(self.site)
        if before.complaint and str(self.site.file) not in before.complaint:
            raise OpsError(
                f"nginx -t: {before.complaint}; nothing was changed: expected a configuration that nginx accepts before "
                "it is touched. Mend it, then `nginx -t`"
            )
        if not before.running and self.wanted.mode == nginx.SERVING:
            raise OpsError(
                f"nginx does not run ({self.site.pidfile} names no master process): expected it to serve "
                f"{self.wanted.upstream}. `systemctl start nginx`, then run this again"
            )
        return text, before

    def _differs(self, text: str, before: Seen) -> bool:
        return text != self.text or (before.running and before.now != self.wanted)

    def _result(self, text: str, before: Seen, after: Seen) -> dict[str, Any]:
        return {
            "changed": self._differs(text, before) or bool(self.ended),
            "before": before.as_dict(),
            "after": after.as_dict(),
            "diff": {"before": text, "after": self.text},
        }

    def _write(self, old: str) -> None:
        self.site.put(self.text)
        complaint = self.site.test()
        if complaint:
            self.site.put(old)
            raise OpsError(
                f"nginx -t: {complaint}; {self.site.file} was put back, and nginx serves as before: expected it to accept "
                f"{self._told}. Mend what it names, then run this again"
            )
        asked = f", asked by run {self.run_id}" if self.run_id else ""
        self.evidence.append(f"{self.site.file} says {self._told}{asked}")
        self.evidence.append("nginx -t accepts it")

    def _leaving(self) -> list[Process]:
        master = self.site.master()
        return [one for one in self.site.workers(master) if nginx.leaving(one)] if master else []

    def _reload(self, old: str) -> None:
        site, end = self.site, time.monotonic() + self.deadline
        master = site.master()
        if master is None:
            self.evidence.append("nginx does not run: nobody is served, and it will start so")
            return
        former = site.workers(master)
        os.kill(master, signal.SIGHUP)
        while site.ask() != self.wanted:
            if time.monotonic() > end:
                site.put(old)
                os.kill(master, signal.SIGHUP)  # it may be late and not deaf
                raise OpsError(
                    f"nginx (master {master}) has not taken over {self._told} within "
                    f"{self.deadline:g} s of the reload; {site.file} was put back. Expected its workers to tell so on "
                    f"127.0.0.1:{site.ping_port}{nginx.PING}: its error log says why they do not"
                )
            time.sleep(PAUSE)
        self.evidence.append(f"new workers answer {self._told}")
        self._drain(former)
        self._drain(self._leaving())  # of a reload that somebody else had asked for
        self.evidence.append(f"no old worker is left of {len(former)}")

    def _drain(self, former: Sequence[Process]) -> None:
        """Let old workers end the requests they have, then end those workers: none may reach the old upstream any more."""
        left = _gone(former, max(self.drain, QUIT_SECONDS))
        for name in (signal.SIGTERM, signal.SIGKILL):
            for one in left:
                told = f"{one.pid}"
                if told not in self.ended:
                    self.ended.append(told)
                    self.evidence.append(
                        f"ended old worker {one.pid}, which had requests for more than {self.drain:g} s"
                    )
                _signal(one, name)
            left = _gone(left, END_SECONDS)
        if left:
            names = ", ".join(str(one.pid) for one in left)
            raise OpsError(
                f"old worker {names} still runs after SIGKILL: expected it to be gone. It hangs in the kernel, and what it "
                "has open may still reach the old upstream; the others serve as asked"
            )


def _gone(workers: Sequence[Process], seconds: float) -> list[Process]:
    """Wait until the workers are gone; return those that are not within the time."""
    end = time.monotonic() + seconds
    while True:
        left = [one for one in workers if nginx.alive(one)]
        if not left or time.monotonic() >= end:
            return left
        time.sleep(PAUSE)


def _signal(worker: Process, name: signal.Signals) -> None:
    if nginx.alive(worker):
        try:
            os.kill(worker.pid, name)
        except ProcessLookupError:
            return
