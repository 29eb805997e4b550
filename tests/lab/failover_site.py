# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site that can fail over: two hosts of the application, a proxy that is a witness too, and two more witnesses.

    with lab.Lab.reserved(NETS) as ours:
        site = FailoverSite(ours, directory)
        site.up()
        done = site.play("bilingual_tutor.ops.switchover", failover_target="tutor2", failover_confirm="tutor2")

``up`` boots the hosts and lays everything out with the playbook ``standby``; a site that is up is the same site after any
number of failovers: who serves is said by the epoch (``record``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lab
import yaml
from debian_tree import LabError
from faults import APP, DATABASE, HOME, sh
from runs import ROOT, ansible

APPLICATION = ("tutor1", "tutor2")
PROXY = "tutor3"
WITNESSES = ("tutor4", "tutor5")
NAMES = (*APPLICATION, PROXY, *WITNESSES)
REPLICATION = "tutor-ops-replication.service"
LEASE = "tutor-ops-lease.service"
STATE_DIR = "/var/lib/tutor-ops"
LITESTREAM = Path(sys.executable).with_name("litestream")
# 50 s on a machine that does nothing else; ten times as long on one where every processor has ten to do.
PLAY_SECONDS = 900.0
TIMES = {"fencing_ttl": 4, "fencing_loop": 0.5, "fencing_probe_timeout": 0.5, "fencing_stop_timeout": 1}
BOUND = 4 + 0.5 + 0.5 + 1 + 1
MARGIN = 3.0
SETTINGS: dict[str, Any] = {
    **TIMES,
    "fencing_boot_wait": 3,
    "fencing_units": [APP, REPLICATION],
    "ops_usage_scope": "personal_learning",
    "ops_locale": "en",
    "replication_litestream_binary": str(LITESTREAM),
}
# A network that is cut in mid-run is unreachable after so many seconds, and not hung.
SSH = "-o ConnectTimeout=3 -o ServerAliveInterval=1 -o ServerAliveCountMax=3"


class FailoverSite:
    """The five hosts, and ways to run playbooks over them, to look at them and to switch their power."""

    def __init__(self, ours: lab.Lab, directory: Path, **settings: Any) -> None:
        self.lab, self.directory = ours, directory
        self.state = directory / "state"
        self.settings = {
            **SETTINGS,
            "replication_litestream_sha256": hashlib.sha256(LITESTREAM.read_bytes()).hexdigest(),
            "ops_state_dir": str(self.state),
            **settings,
        }
        self.hosts = {name: ours.host(name) for name in NAMES}
        self.proxy = self.hosts[PROXY].address

    def up(self, *, lay_out: bool = True) -> None:
        """Boot all hosts and lay out guards, replication and traffic."""
        self.lab.up(NAMES, fresh=True)
        (self.directory / "hosts.yml").write_text(yaml.safe_dump(self.inventory(), sort_keys=False))
        with ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(self._make_plain, (PROXY, *WITNESSES)))
        if lay_out:
            self.lay_out()

    def lay_out(self, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run the playbook that makes the hosts a primary, a standby, a proxy and witnesses."""
        done = self.play("bilingual_tutor.ops.standby", *words, **variables)
        if done.returncode:
            raise LabError(f"the playbook standby failed:\n{done.stdout}{done.stderr}")
        return done

    def inventory(self) -> dict[str, Any]:
        """Return the inventory: roles as they were at the beginning, whoever serves by now."""

        def hosts(*names: str) -> dict[str, Any]:
            return {"hosts": {name: {"ansible_host": self.hosts[name].address} for name in names}}

        groups = {
            "tutor_primary": hosts(APPLICATION[0]),
            "tutor_standby": hosts(APPLICATION[1]),
            "tutor_proxy": hosts(PROXY),
            "tutor_witness": hosts(*WITNESSES),
        }
        common = {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": f"-F {self.lab.ssh_config} {SSH}",
            **lab.VARIABLES,
            **self.settings,
        }
        return {"all": {"children": {"tutor": {"children": groups}}, "vars": common}}

    def words(self, playbook: str, *words: str, **variables: Any) -> list[str]:
        """Return the words that follow the inventory on the command line of a playbook."""
        return [playbook, *words, *(["-e", json.dumps(variables)] if variables else [])]

    def play(
        self, playbook: str, *words: str, seconds: float = PLAY_SECONDS, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook to its end."""
        told = self.words(playbook, *words, **variables)
        return ansible(self.directory, *told, seconds=seconds)

    def start(self, output: Path, playbook: str, *words: str, **variables: Any) -> subprocess.Popen[bytes]:
        """Start a playbook in a session of its own, so that all of it can be killed at once; its output goes to a file."""
        environ = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / "cp"),
        }
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        with output.open("ab") as out:
            return subprocess.Popen(
                [program, "-i", str(self.directory / "hosts.yml"), *self.words(playbook, *words, **variables)],
                cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def sh(self, name: str, script: str, seconds: float = 60) -> str:
        """Run a script on a host, whether it can be reached over its network or not."""
        return sh(self.hosts[name], script, seconds)

    def record(self, name: str) -> dict[str, Any]:
        """Return the epoch that a host has on its disk; also of one that is off."""
        try:
            return dict(json.loads((self.hosts[name].root / STATE_DIR[1:] / "epoch.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {"epoch": 0, "primary": ""}

    def epoch(self) -> dict[str, Any]:
        """Return the newest record of all hosts: who serves."""
        return max((self.record(name) for name in NAMES), key=lambda record: int(record["epoch"]))

    def primary(self) -> str:
        """Return the host that is to serve."""
        return str(self.epoch()["primary"])

    def standby(self) -> str:
        """Return the other one."""
        return next(name for name in APPLICATION if name != self.primary())

    def fenced(self, name: str) -> bool:
        """Tell whether the fence lies on a host's disk."""
        return (self.hosts[name].root / STATE_DIR[1:] / "FENCED").exists()

    def database(self, name: str) -> Path:
        """Return where this machine sees the database of a host."""
        return self.hosts[name].root / DATABASE[1:]

    def power_off(self, name: str) -> None:
        """End a host as a power cut does, but that what it had written stays in the page cache."""
        host = self.hosts[name]
        (host.cgroup / "cgroup.kill").write_text("1")
        lab.wait_for(f"{name}: the end of its processes", lambda: not host.is_up(), 20)

    def power_on(self, name: str, *, wait: bool = True) -> None:
        """Boot a host that is off, with the disk it had."""
        host = self.hosts[name]
        for path in sorted((path for path in host.cgroup.rglob("*") if path.is_dir()), reverse=True):
            path.rmdir()
        with host.log.open("ab") as log:
            subprocess.Popen(
                ["sh", str(host.directory / "boot.sh")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        if wait:
            self.wait_booted(name)

    def wait_booted(self, name: str, seconds: float = 60.0) -> None:
        """Wait for ssh and for systemd to have started what it will start: a fenced host is never wholly up."""
        host = self.hosts[name]
        lab.wait_for(f"{name}: ssh", host.speaks, seconds)
        host.run("systemctl", "is-system-running", "--wait", check=False, seconds=seconds)

    def wait_serving(self, name: str, seconds: float = 20.0) -> None:
        """Wait until the application of a host is healthy."""
        end = time.monotonic() + seconds
        seen = ""
        while time.monotonic() < end:
            with contextlib.suppress(LabError):
                seen = self.hosts[name].run("curl", "-s", "-m", "3", "http://127.0.0.1:5000/health", check=False).stdout
                if '"status": "healthy"' in seen or '"status": "degraded"' in seen:
                    return
            time.sleep(0.05)
        raise LabError(f"{name} does not serve after {seconds:.0f} s, seen {seen!r}")

    def tell(self, *names: str) -> str:
        """Return what the units of hosts said last, for a run that failed."""
        told = []
        for name in names or NAMES:
            with contextlib.suppress(LabError, subprocess.TimeoutExpired):
                said = self.hosts[name].run("journalctl", "-q", "-n", "40", "-u", "tutor-ops-*", "-u", APP, check=False)
                told.append(f"--- {name}: {json.dumps(self.record(name))}\n{said.stdout}")
        return "\n".join(told)

    def _make_plain(self, name: str) -> None:
        """Take the application off a host that is not to have it."""
        self.sh(
            name,
            f"systemctl -q disable --now {APP} redis-server.service; rm -f /etc/nginx/sites-enabled/bilingual-tutor;"
            f"rm -rf {HOME}/bilingual_tutor/storage; systemctl reload nginx",
        )


def cut(done: subprocess.CompletedProcess[str], lines: int = 40) -> str:
    """Return the end of what a playbook said."""
    return "\n".join((done.stdout + done.stderr).splitlines()[-lines:])


def results(state: Path) -> Mapping[str, Path]:
    """Return the directories of the failover runs by their ids, oldest first."""
    found = sorted((path for path in (state / "failover").glob("*") if path.is_dir()), key=lambda path: path.name)
    return {path.name: path for path in found}
