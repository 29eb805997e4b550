# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a morning shift against the other ways to run the runbook's morning on the same lab hosts.

Peers, in one run and in turn: the runbook's commands as one Ansible task each, the same commands as pyinfra
operations, and one ssh per host that runs them as a script. Wall time is what the operator waits; controller CPU is
user and system time of the whole process tree that was waited for. Absolute times depend on the machine, ratios less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = [sys.executable, str(ROOT / "tests/lab/lab.py")]
DATABASE = "/opt/bilingual-tutor/bilingual_tutor/storage/learning.db"
LOGS = "/opt/bilingual-tutor/logs"

# The morning of the runbook, corrected where its own command finds nothing (docs/runbook.md), as a person would type it.
COMMANDS = (
    "systemctl status --no-pager bilingual-tutor",
    "systemctl status --no-pager nginx",
    "systemctl status --no-pager redis-server",
    "df -h",
    "df -i",
    "free -h",
    "uptime",
    "curl -sf http://127.0.0.1/health",
    f"tail -n 100 {LOGS}/gunicorn_error.log",
    f"tail -n 100 {LOGS}/bilingual_tutor.log",
    "redis-cli ping",
    "redis-cli info",
    f"sqlite3 -readonly {DATABASE} 'PRAGMA quick_check;'",
    f"stat {DATABASE}",
    "ss -ltn",
    "systemctl --failed --no-pager",
    "systemctl list-timers --no-pager",
    "crontab -l -u bilingual-tutor",
    f"du -sh {LOGS}",
    "cat /proc/pressure/memory",
)


@dataclass(frozen=True)
class Sample:
    """What one run took, in seconds."""

    wall: float
    cpu: float


def measure(argv: Sequence[str], stdin: str = "", env: dict[str, str] | None = None) -> Sample:
    """Run a command to its end and time it; a run that fails is an error, not a sample."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        list(argv),
        input=stdin,
        text=True,
        capture_output=True,
        env={**os.environ, **(env or {})},
        cwd=ROOT,
        check=False,
    )
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(
            f"{shlex.join(argv)[:300]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return Sample(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def task_per_command(hosts: str) -> list[dict]:
    """Return a play that runs each command as one task, as most playbooks do."""
    tasks = [
        {
            "name": command[:60],
            "ansible.builtin.command": {"argv": shlex.split(command)},
            "changed_when": False,
            "failed_when": False,
        }
        for command in COMMANDS
    ]
    return [{"name": "Runbook", "hosts": hosts, "gather_facts": False, "tasks": tasks}]


class Peers:
    """The ways to run a morning, over one set of hosts."""

    def __init__(self, directory: Path, inventory: Path, ssh_config: Path, addresses: Sequence[str]) -> None:
        self.directory, self.inventory, self.ssh_config, self.addresses = directory, inventory, ssh_config, addresses
        self.env = {
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "OPS_LOCALE": "en",
        }
        self.bin = Path(sys.executable).parent
        self.play = directory / "tasks.json"
        self.play.write_text(json.dumps(task_per_command("tutor")))
        self.deploy = directory / "deploy.py"
        lines = ["from pyinfra.operations import server"]
        lines += [f"server.shell(name={c[:60]!r}, commands=[{c + ' || true'!r}])" for c in COMMANDS]
        self.deploy.write_text("\n".join(lines) + "\n")
        self.script = "\n".join(f"{command} || true" for command in COMMANDS) + "\n"

    def ours(self) -> Sample:
        """The playbook, with ledger and report."""
        playbook = self.bin / "ansible-playbook"
        extra = {
            "ops_usage_scope": "personal_learning",
            "ops_state_dir": str(self.directory / "state"),
            "ops_shift": "morning",
        }
        args = [str(playbook), "bilingual_tutor.ops.daily_checks", "-i", str(self.inventory), "-e", json.dumps(extra)]
        return measure(args, env=self.env)

    def tasks(self) -> Sample:
        """One Ansible task per command, with the same ansible.cfg."""
        return measure([str(self.bin / "ansible-playbook"), str(self.play), "-i", str(self.inventory)], env=self.env)

    def pyinfra(self) -> Sample:
        """One pyinfra operation per command."""
        hosts = ",".join(self.addresses)
        args = [
            str(self.bin / "pyinfra"),
            "-y",
            hosts,
            str(self.deploy),
            "--data",
            f"ssh_config_file={self.ssh_config}",
        ]
        return measure([*args, "--data", "ssh_user=root"])

    def ssh(self) -> Sample:
        """One ssh per host, side by side, that runs all commands as a script."""
        inner = f"for host in {' '.join(self.addresses)}; do ssh -F {self.ssh_config} $host sh -s < {self.directory}/script & done; wait"
        (self.directory / "script").write_text(self.script)
        return measure(["sh", "-c", inner])


def compare(peers: Peers, runs: int) -> dict[str, list[Sample]]:
    """Run every way in turn, so that a change of the machine's mood meets all of them."""
    ways: dict[str, Callable[[], Sample]] = {
        "daily_checks": peers.ours,
        "one ansible task per command": peers.tasks,
        "pyinfra": peers.pyinfra,
        "one ssh with a script": peers.ssh,
    }
    for way in ways.values():
        way()  # warm: connections, byte code, the first state
    samples: dict[str, list[Sample]] = {name: [] for name in ways}
    for _turn in range(runs):
        for name, way in ways.items():
            samples[name].append(way())
    return samples


def table(hosts: int, samples: dict[str, list[Sample]]) -> str:
    """Return medians and, for each peer, how many times ours it takes (above 1: ours is faster)."""
    wall = {name: statistics.median(s.wall for s in taken) for name, taken in samples.items()}
    cpu = {name: statistics.median(s.cpu for s in taken) for name, taken in samples.items()}
    ours = next(iter(samples))
    lines = [f"{hosts} host{'s' * (hosts > 1)}: median of {len(samples[ours])} runs, ratio peer / {ours}"]
    lines.append(f"{'':32}{'wall s':>8}{'ratio':>8}{'cpu s':>8}{'ratio':>8}")
    for name in samples:
        lines.append(
            f"{name:32}{wall[name]:8.2f}{wall[name] / wall[ours]:8.2f}{cpu[name]:8.2f}{cpu[name] / cpu[ours]:8.2f}"
        )
    return "\n".join(lines)


def module_body(state: Path) -> str:
    """Return the median time of the module's body over the recorded runs."""
    query = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "bilingual_tutor.ops.ops_query", "-a"]
    args = json.dumps({"ledger": str(state / "ledger.db"), "kind": "check.run", "select": "[].data.duration_ms"})
    env = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json",
    }
    env["ANSIBLE_LOAD_CALLBACK_PLUGINS"] = "1"
    done = subprocess.run([*query, args], env=env, capture_output=True, text=True, check=True, cwd=ROOT)
    taken = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["localhost"]["selected"]
    return f"module body on the host: median {statistics.median(taken):.0f} ms of {len(taken)} runs"


def main() -> int:
    """Measure for the asked numbers of hosts and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 10], help="how many lab hosts to measure with")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each way")
    options = parser.parse_args()
    for number in options.hosts:
        names = [f"tutor{n}" for n in range(1, number + 1)]
        subprocess.run([*LAB, "down"], check=True)
        subprocess.run([*LAB, "up", *names], check=True)
        directory = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            inventory = directory / "hosts.yml"
            subprocess.run([*LAB, "inventory", "--output", str(inventory)], check=True)
            config = Path(
                subprocess.run([*LAB, "ssh-config"], check=True, capture_output=True, text=True).stdout.strip()
            )
            peers = Peers(directory, inventory, config, names)
            print(table(number, compare(peers, options.runs)))
            print(module_body(directory / "state"), "\n", flush=True)
        finally:
            shutil.rmtree(directory)
    subprocess.run([*LAB, "down"], check=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
