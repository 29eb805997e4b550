# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the morning shift against the other ways to run the runbook's morning on the same lab hosts.

The other ways are one Ansible task per command, one pyinfra operation per command, and one ssh per host that runs the
commands as a script; each with the runbook's own commands and with those a person needs to see what the shift sees.
All ways run in turn, so that a change of the machine's mood meets all of them, and each run connects anew: a shift
comes after hours. A run that fails, and so a host with a finding, ends the measurement: it is no sample.

wall: what the operator waits. cpu: user and system time of everything the controller started, in a cgroup of the run's
own, so that also the ControlPersist master counts, which outlives the run and does the encryption for all of it.
host: the same of a host's own cgroup (with what else runs on it). exec: commands that its ssh server was asked to run.
Absolute times depend on the machine, ratios less. The median is told; all samples are in .bench/latest.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/standin")]

import collection  # noqa: E402, F401  # pylint: disable=unused-import  # makes the collection importable
from debian_tree import LabError  # noqa: E402
from lab import HOSTS, Lab, cgroup2_mount  # noqa: E402

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger  # noqa: E402

BIN = Path(sys.executable).parent
PEERS = ROOT / ".cache/bench-venv"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
LATEST = ROOT / ".bench/latest.json"
# A lab of its own beside the one of `make lab`, which it would have to take down.
NET = "240"
OURS = "daily_checks"

DATABASE = "/opt/bilingual-tutor/bilingual_tutor/storage/learning.db"
LOGS = "/opt/bilingual-tutor/logs"
# The morning of the runbook, with the log's real name (docs/runbook.md).
RUNBOOK = (
    "systemctl status --no-pager bilingual-tutor nginx redis-server",
    "df -h",
    "free -h",
    "uptime",
    "curl -fsS http://localhost/health",
    f"tail -n 100 {LOGS}/gunicorn_error.log",
)
# What else a person types to see what the shift looks at besides.
BESIDES = (
    "systemctl --failed --no-pager",
    "df -i",
    "cat /proc/pressure/memory",
    f"tail -n 100 {LOGS}/bilingual_tutor.log",
    "ss -ltnp",
    f"stat {DATABASE}",
    f"sqlite3 -readonly {DATABASE} 'PRAGMA quick_check;'",
    "redis-cli ping",
    "redis-cli info",
    "redis-cli slowlog get 128",
)
SETS = {"runbook": RUNBOOK, "same look": RUNBOOK + BESIDES}


class BenchError(Exception):
    """A run that is no sample."""


@dataclass
class Way:
    """One way to run a morning, and what its runs took. ``least``: so many commands a host must be asked to run."""

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    least: int = 1
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    host: list[float] = field(default_factory=list)
    execs: list[float] = field(default_factory=list)


@contextlib.contextmanager
def cage() -> Iterator[Path]:
    """Return a new cgroup for one run; what the run leaves behind ends with it."""
    group = Path(tempfile.mkdtemp(prefix="tutor-bench-", dir=cgroup2_mount()))
    try:
        yield group
    finally:
        (group / "cgroup.kill").write_text("1")
        end = time.monotonic() + 10
        while "populated 1" in (group / "cgroup.events").read_text():
            if time.monotonic() > end:
                raise BenchError(f"processes of {group} do not end")
            time.sleep(0.01)
        group.rmdir()


def burned(group: Path) -> float:
    """Return the seconds of CPU that all processes of a cgroup have used, those that ended too."""
    fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) / 1e6


def execs(lab: Lab, names: Sequence[str]) -> int:
    """Return how many commands the hosts' ssh servers were asked to run so far."""
    total = 0
    for name in names:
        host = lab.host(name)
        host.run("journalctl", "--sync")
        said = host.run("journalctl", "--unit=ssh", "--output=cat").stdout.splitlines()
        total += sum(line.startswith("Starting session: command") for line in said)
    return total


def count_execs(lab: Lab, names: Sequence[str]) -> None:
    """Make the ssh servers of the hosts tell of each command they run."""
    for name in names:
        host = lab.host(name)
        (host.root / "etc/ssh/sshd_config.d/bench.conf").write_text("LogLevel VERBOSE\n")
        host.run("systemctl", "reload", "ssh")


def run_once(way: Way, lab: Lab, names: Sequence[str], keep: bool) -> None:
    """Run a way to its end; keep what it took, unless it was to warm up. A run that fails is an error."""
    groups = [lab.host(name).cgroup for name in names]
    asked, host_before = execs(lab, names), sum(map(burned, groups))
    with cage() as group, tempfile.TemporaryDirectory(prefix="cp-") as control:
        inside = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group), *way.argv]
        env = {**os.environ, **way.env, "ANSIBLE_SSH_CONTROL_PATH_DIR": control}
        start = time.monotonic()
        done = subprocess.run(
            inside, check=False, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        wall, cpu = time.monotonic() - start, burned(group)
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise BenchError(f"{way.name}: {shlex.join(way.argv)[:300]} ended with {done.returncode}:\n{said}")
    each = (execs(lab, names) - asked) / len(names)
    if each < way.least:
        raise BenchError(
            f"{way.name}: {each:g} commands on each host, expected {way.least} or more:\n{done.stdout[-2000:]}"
        )
    if keep:
        way.wall.append(wall)
        way.cpu.append(cpu)
        way.host.append((sum(map(burned, groups)) - host_before) / len(names))
        way.execs.append(each)


def ansible(*args: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line and environment of a playbook, as an operator has them in the checkout."""
    env = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".tree")}
    return [str(BIN / "ansible-playbook"), *args], {**env, "OPS_LOCALE": "en"}


def ours(inventory: Path, state: Path) -> Way:
    """Return the playbook, with ledger and report; any finding makes it fail."""
    extra = {
        "ops_usage_scope": "personal_learning",
        "ops_state_dir": str(state),
        "ops_shift": "morning",
        "ops_fail_on": "unknown",
    }
    return Way(OURS, *ansible("bilingual_tutor.ops.daily_checks", "-i", str(inventory), "-e", json.dumps(extra)))


def peers(
    label: str, commands: Sequence[str], directory: Path, inventory: Path, lab: Lab, names: Sequence[str]
) -> list[Way]:
    """Return the other ways to run some commands on the hosts."""
    stem = label.replace(" ", "-")
    play, deploy, script = (directory / f"{stem}.{kind}" for kind in ("json", "py", "sh"))
    tasks = [
        {"name": one, "ansible.builtin.command": {"argv": shlex.split(one)}, "changed_when": False} for one in commands
    ]
    play.write_text(json.dumps([{"name": label, "hosts": "tutor", "gather_facts": False, "tasks": tasks}]))
    operations = [f"server.shell(name={one!r}, commands=[{one!r}])" for one in commands]
    deploy.write_text("\n".join(["from pyinfra.operations import server", *operations]) + "\n")
    script.write_text("\n".join(["set -e", *commands]) + "\n")
    each = " ".join(names)
    loop = (
        f'for host in {each}; do ssh -F {lab.ssh_config} $host sh -s < {script} & pids="$pids $!"; done; '
        "for pid in $pids; do wait $pid || exit; done"
    )
    # A file: pyinfra ends 0 without having done anything when it does not take a name on its command line for a host.
    hosts = directory / "pyinfra_hosts.py"
    settings = {"ssh_config_file": str(lab.ssh_config), "ssh_user": "root"}
    hosts.write_text(f"tutor = {[(name, settings) for name in names]!r}\n")
    return [
        Way(f"{label}: a task each", *ansible(str(play), "-i", str(inventory)), least=len(commands)),
        Way(f"{label}: pyinfra", [str(PEERS / "bin/pyinfra"), "--yes", str(hosts), str(deploy)], least=len(commands)),
        Way(f"{label}: ssh with a script", ["sh", "-c", loop]),
    ]


def table(hosts: int, ways: Sequence[Way]) -> str:
    """Return the medians, and of each other way how many times ours it takes (above 1: ours takes less)."""
    mine = ways[0]
    lines = [f"{hosts} host{'s' * (hosts > 1)}, median of {len(mine.wall)} runs; x: times what {OURS} takes"]
    lines.append(f"{'':30}{'wall s':>8}{'x':>7}{'cpu s':>8}{'x':>7}{'host s':>8}{'x':>7}{'exec':>6}")
    for way in ways:
        cells = ""
        for taken, base in ((way.wall, mine.wall), (way.cpu, mine.cpu), (way.host, mine.host)):
            middle = statistics.median(taken)
            cells += f"{middle:8.2f}{middle / statistics.median(base):7.2f}"
        lines.append(f"{way.name:30}{cells}{statistics.median(way.execs):6.0f}")
    return "\n".join(lines)


def bodies(state: Path) -> list[float]:
    """Return the milliseconds that the module's body took in each recorded run on each host."""
    return [
        event.data["duration_ms"] for event in Ledger(str(state / "ledger.db")).query(["check.run"], limit=0).events
    ]


def redis_usec(lab: Lab, name: str) -> int:
    """Return the microseconds that a host's Redis has spent on commands so far."""
    stats = lab.host(name).run("redis-cli", "info", "commandstats").stdout
    return sum(int(part[5:]) for line in stats.splitlines() for part in line.split(",") if part.startswith("usec="))


def compare(number: int, runs: int, lab: Lab, directory: Path) -> dict[str, object]:
    """Measure all ways on a number of fresh hosts; print the table and return what was measured."""
    names = list(HOSTS)[:number]
    lab.down([])
    lab.up(names, fresh=True)
    count_execs(lab, names)
    inventory, state = directory / "hosts.yml", directory / "state"
    inventory.write_text(lab.inventory(names))
    mine = ours(inventory, state)
    ways = [mine]
    for label, commands in SETS.items():
        ways += peers(label, commands, directory, inventory, lab, names)
    for way in ways:
        run_once(way, lab, names, keep=False)  # byte code, caches, the first state
    redis = []
    for _turn in range(runs):
        for way in ways:
            before = redis_usec(lab, names[0])
            run_once(way, lab, names, keep=True)
            if way is mine:
                redis.append(redis_usec(lab, names[0]) - before)
    body = bodies(state)[len(names) :]  # without the warm-up's
    print(table(number, ways))
    print(
        f"module body on a host: median {statistics.median(body):.0f} ms, {min(body):.0f} to {max(body):.0f} of {len(body)}"
    )
    print(f"redis server time of a shift: median {statistics.median(redis):.0f} us\n", flush=True)
    return {"hosts": number, "ways": [asdict(way) for way in ways], "module_body_ms": body, "redis_server_us": redis}


def install_peers() -> None:
    """Install pyinfra apart from what the project itself needs."""
    done, wanted = PEERS / ".complete", REQUIREMENTS.read_text()
    if done.is_file() and done.read_text() == wanted:
        return
    print(f"installing pyinfra into {PEERS.relative_to(ROOT)}", flush=True)
    env = {**os.environ, "UV_SYSTEM_CERTS": "true"}  # the certificates the rest of the machine trusts
    uv = [str(BIN / "uv"), "--quiet"]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(PEERS)], env=env, check=True)
    install = ["pip", "install", "--compile-bytecode", "--python", str(PEERS / "bin/python"), "-r", str(REQUIREMENTS)]
    subprocess.run([*uv, *install], env=env, check=True)
    done.write_text(wanted)


def main() -> int:
    """Measure for the asked numbers of hosts, print the tables and write all samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 10], choices=range(1, len(HOSTS) + 1), metavar="N")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each way")
    options = parser.parse_args()
    os.environ.setdefault("LAB_NET", NET)
    began, measured, lab = datetime.now(timezone.utc), [], None
    try:
        lab = Lab.from_environment()
        install_peers()
        for number in options.hosts:
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                measured.append(compare(number, options.runs, lab, Path(directory)))
    except (BenchError, LabError, OSError, subprocess.CalledProcessError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    finally:
        if lab:
            lab.down([])
    LATEST.parent.mkdir(exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()}
    record = {"at": began.strftime("%Y-%m-%dT%H:%M:%SZ"), "machine": machine, "measured": measured}
    LATEST.write_text(json.dumps(record, indent=1) + "\n")
    print(f"all samples: {LATEST.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
