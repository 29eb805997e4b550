# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot, reach and remove the lab: real systemd hosts on this machine.

Each host is a systemd-nspawn container with an overlay file system of its own, a network namespace of its own on a
common bridge, and a cgroup of its own, so that removing a host can only ever reach what that host started.

  lab.py up                       boot tutor1 and tutor2, wait until ssh answers
  lab.py inventory --output FILE  write an Ansible inventory of the hosts that are up
  lab.py exec tutor1 -- systemctl status nginx
  lab.py down                     remove all hosts

Environment: LAB_CACHE (trees, default /var/cache/bilingual-tutor-lab), LAB_NET (0 to 250, default 0: the third number
of the subnet 10.77.N.0/24; another number is another lab beside this one), LAB_DIR (state, default
$LAB_CACHE/run-$LAB_NET), LAB_MIRROR (Debian mirror for the base tree).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from debian_tree import LabError, app_key, app_layer, base_tree, remove_tree, run, say

# Name -> last number of the address. Fixed, so that each host's /etc/hosts can name all of them before they boot.
HOSTS = {f"tutor{number}": 10 + number for number in range(1, 11)}
DEFAULT = ("tutor1", "tutor2")

TOOLS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "nft": "nftables",
}

# Each host takes about 7 of root's inotify instances; with the usual 128 the 19th boots without ssh.
INOTIFY_INSTANCES = 1024

# The hosts share this machine's processors and disk with whatever else it does: how busy those are, and how fast a
# healthy service answers on them, says nothing about a host of the lab.
OFF = {"warn": "", "crit": ""}
REDIS = {name: OFF for name in ("redis.ping", "redis.latency.p999", "redis.fork")}
VARIABLES = {
    "ops_usage_scope": "personal_learning",
    "daily_checks_thresholds": {
        "host": {
            name: OFF
            for name in ("cpu.util", "cpu.iowait", "cpu.steal", "cpu.psi", "mem.psi", "io.psi", "procs.d_state")
        },
        "http": {"http.total": OFF},
        "redis": REDIS,
    },
    "weekly_maintenance_thresholds": {"redis": REDIS},
    # A lab host has no pip, and no network to ask an index.
    "weekly_maintenance_python": "",
}

BOOT_SECONDS = 60.0
SPEAK_SECONDS = 5.0

# nspawn leaves a reboot to the service manager above it when told to keep its unit (exit 133). There is none here.
BOOT_SCRIPT = """\
#!/bin/sh
echo $$ > {cgroup}/cgroup.procs
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_TMPFS_TMP=0
while :; do
    systemd-nspawn --quiet --directory={root} --machine={machine} --hostname={name} --register=no --keep-unit \\
        --network-namespace-path=/run/netns/{machine} --resolv-conf=off --timezone=off --link-journal=no \\
        --console=read-only --boot
    [ $? -eq 133 ] || exit
    # nspawn's own sub-groups are left by its first life and would be in the way of its second.
    find {cgroup} -mindepth 1 -depth -type d -exec rmdir {{}} +
done
"""


def wait_for(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds; raise when it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


def cgroup2_mount() -> Path:
    """Return where this machine has its cgroup2 hierarchy."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields, _sep, rest = line.partition(" - ")
        if rest.split()[0] == "cgroup2":
            return Path(fields.split()[4])
    raise LabError("no cgroup2 file system is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")


class Lab:
    """One lab: a bridge, a directory of state, and its hosts."""

    def __init__(self, cache: Path, directory: Path, net: int) -> None:
        if not 0 <= net <= 250:
            raise LabError(f"LAB_NET is {net}: expected 0 to 250")
        self.cache = cache
        self.directory = directory
        self.net = net
        self.bridge = f"tutorlab{net}"
        self.gateway = f"10.77.{net}.1"
        self.key = directory / "key"
        self.known_hosts = directory / "known_hosts"
        self.ssh_config = directory / "ssh_config"
        self.cgroup = cgroup2_mount() / f"tutor-lab-{net}"

    @classmethod
    def from_environment(cls) -> Lab:
        """Return the lab that the environment variables name."""
        cache = Path(os.environ.get("LAB_CACHE") or "/var/cache/bilingual-tutor-lab").absolute()
        try:
            net = int(os.environ.get("LAB_NET") or "0")
        except ValueError as exc:
            raise LabError(f"LAB_NET is {os.environ['LAB_NET']!r}: expected a number from 0 to 250") from exc
        directory = Path(os.environ.get("LAB_DIR") or cache / f"run-{net}").absolute()
        return cls(cache, directory, net)

    @classmethod
    @contextlib.contextmanager
    def reserved(cls, nets: Iterable[int]) -> Iterator[Lab]:
        """Give a lab to one test run alone, the first of several that no other run has, and take it down at the end."""
        cache = cls.from_environment().cache
        cache.mkdir(parents=True, exist_ok=True)
        for net in nets:
            with (cache / f"reserved-{net}").open("w") as reservation:
                try:
                    fcntl.flock(reservation, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                lab = cls(cache, cache / f"run-{net}", net)
                try:
                    yield lab
                finally:
                    lab.down([])
                return
        raise LabError(f"every lab for tests is in use: {cache}/reserved-*")

    def host(self, name: str) -> Host:
        """Return a host by its name, whether it is up or not."""
        if name not in HOSTS:
            raise LabError(f"no host is called {name}: the lab knows {', '.join(HOSTS)}")
        return Host(self, name)

    def recorded(self) -> list[Host]:
        """Return the hosts that were brought up and not taken down."""
        return [self.host(name) for name in HOSTS if (self.directory / "hosts" / name).is_dir()]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lab alone; the cache is shared between labs, so its lock is the one."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another lab program that holds {self.cache}/lock")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def up(self, names: Sequence[str], fresh: bool) -> None:
        """Bring hosts up, side by side; those that are up stay as they are unless all shall be fresh."""
        wanted = [self.host(name) for name in names]
        with self.locked():
            prepare_machine()
            self.directory.mkdir(parents=True, exist_ok=True)
            base = base_tree(self.cache)
            layer = app_layer(self.cache, base)
            self._make_keys()
            self._make_bridge()
            booting = []
            for host in wanted:
                if host.is_up() and not fresh:
                    if host.tree() != layer.name:
                        say(f"{host.name} is up on an older tree; renew it with: lab.py up --fresh {host.name}")
                else:
                    host.remove()
                    booting.append(host)
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(lambda host: host.boot(base, layer), booting))
            self._write_ssh_files()
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(Host.wait, wanted))
            self._prune_layers(layer)

    def down(self, names: Sequence[str]) -> None:
        """Take hosts down and forget them; with the last one the bridge goes too."""
        with self.locked():
            hosts = [self.host(name) for name in names] if names else self.recorded()
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(Host.remove, hosts))
            if not self.recorded() and Path("/sys/class/net", self.bridge).exists():
                run("ip", "link", "del", self.bridge)
                if self.cgroup.is_dir():
                    self.cgroup.rmdir()
            self._write_ssh_files()

    def inventory(self, names: Sequence[str]) -> str:
        """Return an Ansible inventory of hosts, by default of all that are up; the first is the primary."""
        up = [self.host(name) for name in names] if names else [host for host in self.recorded() if host.is_up()]
        if not up:
            raise LabError("no host is up: lab.py up")
        lines = ["---", "all:", "  children:", "    tutor:", "      hosts:"]
        for host in up:
            lines += [f"        {host.name}:", f"          ansible_host: {host.address}"]
        lines += ["      children:", "        tutor_primary:", "          hosts:", f"            {up[0].name}:"]
        for group in ("tutor_standby", "tutor_proxy", "tutor_witness"):
            lines += [f"        {group}:"]
        lines += [
            "      vars:",
            "        ansible_user: root",
            "        ansible_python_interpreter: /usr/bin/python3",
            f"        ansible_ssh_common_args: -F {self.ssh_config}",
            *(f"        {name}: {json.dumps(value)}" for name, value in VARIABLES.items()),
        ]
        return "\n".join(lines) + "\n"

    def _make_keys(self) -> None:
        if not self.key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", self.key)
        (self.directory / "hostkeys").mkdir(exist_ok=True)

    def _make_bridge(self) -> None:
        limit = Path("/proc/sys/fs/inotify/max_user_instances")
        if int(limit.read_text()) < INOTIFY_INSTANCES:
            limit.write_text(str(INOTIFY_INSTANCES))
        if Path("/sys/class/net", self.bridge).exists():
            return
        # A fixed MAC: left alone a bridge takes its lowest port's, which changes as hosts come and go; the stale ARP
        # entries then made the wait for ssh 10 to 30 s.
        run("ip", "link", "add", self.bridge, "address", f"02:77:{self.net:02x}:00:00:01", "type", "bridge")
        run("ip", "addr", "add", f"{self.gateway}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")

    def _write_ssh_files(self) -> None:
        if not self.directory.is_dir():
            return
        known, config = [], []
        for host in self.recorded():
            known.append(f"{host.name},{host.address} {host.hostkey.with_suffix('.pub').read_text().strip()}\n")
            config.append(f"Host {host.name} {host.address}\n    HostName {host.address}\n")
        config.append(
            f"Host *\n    User root\n    IdentityFile {self.key}\n    IdentitiesOnly yes\n    BatchMode yes\n"
            f"    UserKnownHostsFile {self.known_hosts}\n    GlobalKnownHostsFile /dev/null\n"
            "    StrictHostKeyChecking yes\n    ConnectTimeout 5\n"
        )
        for path, lines in ((self.known_hosts, known), (self.ssh_config, config)):
            new = path.with_suffix(".new")
            new.write_text("".join(lines))
            new.rename(path)

    def _prune_layers(self, current: Path) -> None:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        for layer in self.cache.glob("app-*"):
            if layer != current and str(layer) not in mounts:
                remove_tree(layer)


class Host:
    """One host of the lab. All it has on this machine carries its name: directory, cgroup, namespace, link."""

    def __init__(self, lab: Lab, name: str) -> None:
        number = HOSTS[name]
        self.lab = lab
        self.name = name
        self.address = f"10.77.{lab.net}.{number}"
        self.mac = f"02:77:{lab.net:02x}:00:00:{number:02x}"
        self.link = f"tl{lab.net}p{number}"
        self.machine = f"tl{lab.net}-{name}"
        self.directory = lab.directory / "hosts" / name
        self.root = self.directory / "root"
        self.cgroup = lab.cgroup / name
        self.hostkey = lab.directory / "hostkeys" / name
        self.log = self.directory / "console.log"

    def is_up(self) -> bool:
        """Tell whether the host runs (it may still be deaf: frozen, or its link down)."""
        try:
            return "populated 1" in (self.cgroup / "cgroup.events").read_text()
        except OSError:
            return False

    def is_frozen(self) -> bool:
        """Tell whether all processes of the host are stopped."""
        return (self.cgroup / "cgroup.freeze").read_text().strip() == "1"

    def tree(self) -> str:
        """Return the name of the application layer the host was booted on."""
        return (self.directory / "tree").read_text().strip()

    def init_pid(self) -> int:
        """Return this machine's pid of the host's pid 1."""
        try:
            pids = (self.cgroup / "payload" / "init.scope" / "cgroup.procs").read_text().split()
        except OSError:
            pids = []
        if not pids:
            raise LabError(f"{self.name} has no running init; {self.state()}")
        return min(int(pid) for pid in pids)

    def state(self) -> str:
        """Return one word for the host."""
        if not self.directory.is_dir():
            return "absent"
        if not self.is_up():
            return "dead"
        if self.is_frozen():
            return "frozen"
        return "up" if self.speaks() else "deaf"

    def speaks(self) -> bool:
        """Tell whether an ssh server greets at the host's address."""
        try:
            with socket.create_connection((self.address, 22), timeout=SPEAK_SECONDS) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command line that runs words on the host as root, from outside and without a network."""
        environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"]
        enter = ["nsenter", "--all", f"--target={self.init_pid()}", "--wdns=/", "--"]
        return [*enter, "env", "-i", *environment, *words]

    def run(self, *words: str, check: bool = True, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command on the host as root and return what it said."""
        return run(*self.command(words), check=check, seconds=seconds)

    def boot(self, base: Path, layer: Path) -> None:
        """Lay out the host and start it; does not wait for it."""
        upper, work = self.directory / "upper", self.directory / "work"
        for path in (upper, work, self.root):
            path.mkdir(parents=True)
        (self.directory / "tree").write_text(layer.name + "\n")
        lower = f"lowerdir={layer}:{base}"
        run("mount", "-t", "overlay", "overlay", "-o", f"{lower},upperdir={upper},workdir={work}", self.root)
        self._write_identity()
        self._make_link()
        self.cgroup.mkdir(parents=True)
        script = self.directory / "boot.sh"
        script.write_text(BOOT_SCRIPT.format(cgroup=self.cgroup, root=self.root, machine=self.machine, name=self.name))
        with self.log.open("ab") as log:
            subprocess.Popen(
                ["sh", str(script)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until the host has booted and answers ssh; a host that boots with failed units is an error."""
        end = time.monotonic() + BOOT_SECONDS
        try:
            wait_for(f"{self.name}: init", (self.cgroup / "payload/init.scope/cgroup.procs").exists, 10)
            wait_for(f"{self.name}: ssh at {self.address}", self.speaks, BOOT_SECONDS)
        except LabError as exc:
            raise LabError(f"{exc}; {self.log} ends with:\n{self._console_end()}") from exc
        left = max(1.0, end - time.monotonic())
        booted = self.run("systemctl", "is-system-running", "--wait", check=False, seconds=left).stdout.strip()
        if booted != "running":
            failed = self.run("systemctl", "--failed", "--no-legend", "--plain", check=False).stdout.strip()
            raise LabError(
                f"{self.name} has booted as {booted!r}, expected 'running'; failed units: {failed or 'none'}"
            )

    def reboot(self) -> None:
        """Reboot the host properly and wait for it."""
        before = self.boot_id()
        self.run("systemctl", "reboot", check=False)

        def is_new() -> bool:
            try:
                return self.boot_id() not in ("", before)
            except LabError:
                return False

        wait_for(f"{self.name}: a new boot", is_new, BOOT_SECONDS)
        self.wait()

    def boot_id(self) -> str:
        """Return what tells one boot of the host from another: when its pid 1 started, in ticks."""
        stat = Path(f"/proc/{self.init_pid()}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[19]

    def freeze(self, frozen: bool) -> None:
        """Stop every process of the host at once, or let them go on. The kernel still accepts connections for them."""
        (self.cgroup / "cgroup.freeze").write_text("1" if frozen else "0")
        word = f"frozen {int(frozen)}"
        wait_for(f"{self.name}: {word}", lambda: word in (self.cgroup / "cgroup.events").read_text(), 10)

    def set_link(self, up: bool) -> None:
        """Pull or plug the host's network cable."""
        run("ip", "link", "set", self.link, "up" if up else "down")

    def remove(self) -> None:
        """Take away all there is of the host, whatever state it is in."""
        if self.cgroup.is_dir():
            (self.cgroup / "cgroup.kill").write_text("1")
            wait_for(f"{self.name}: end of its processes", lambda: not self.is_up(), 20)
            for path in sorted((path for path in self.cgroup.rglob("*") if path.is_dir()), reverse=True):
                path.rmdir()
            self.cgroup.rmdir()
        if Path("/sys/class/net", self.link).exists():
            run("ip", "link", "del", self.link)
        if Path("/run/netns", self.machine).exists():
            run("ip", "netns", "del", self.machine)
        remove_tree(self.directory)

    def _write_identity(self) -> None:
        hosts = ["127.0.0.1 localhost\n"]
        hosts += [f"10.77.{self.lab.net}.{number} {name}\n" for name, number in HOSTS.items()]
        files = {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": "".join(hosts),
            # A machine-id of our own, not an empty one: that would be a first boot, which re-enables all units.
            "etc/machine-id": hashlib.md5(self.machine.encode(), usedforsecurity=False).hexdigest() + "\n",
            # The machine's own resolver cannot be reached from the bridge: each name look-up would take 10 s.
            "etc/resolv.conf": "",
        }
        for name, text in files.items():
            path = self.root / name
            path.unlink(missing_ok=True)
            path.write_text(text)
        if not self.hostkey.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", self.hostkey)
        for suffix in ("", ".pub"):
            target = self.root / "etc/ssh" / f"ssh_host_ed25519_key{suffix}"
            shutil.copyfile(f"{self.hostkey}{suffix}", target)
            target.chmod(0o600)
        ssh = self.root / "root/.ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(f"{self.lab.key}.pub", ssh / "authorized_keys")

    def _make_link(self) -> None:
        run("ip", "netns", "add", self.machine)
        end = ("type", "veth", "peer", "name", "host0", "address", self.mac, "netns", self.machine)
        run("ip", "link", "add", self.link, *end)
        run("ip", "link", "set", self.link, "master", self.lab.bridge, "up")
        inside = ("ip", "-n", self.machine)
        run(*inside, "addr", "add", f"{self.address}/24", "dev", "host0")
        run(*inside, "link", "set", "host0", "up")
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "route", "add", "default", "via", self.lab.gateway)

    def _console_end(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        except OSError as exc:
            return str(exc)


def why_not() -> str:
    """Return why this machine can have no lab at all, whatever is installed; empty when it can."""
    if os.geteuid() != 0:
        return "the lab needs root (mounts, network namespaces): run it with sudo"
    try:
        cgroup2_mount()
        run("unshare", "--mount", "--net", "--pid", "--fork", "true")
    except LabError as exc:
        return f"no lab on this machine: {exc}"
    return ""


def prepare_machine() -> None:
    """See that this machine can run a lab; install what is missing."""
    reason = why_not()
    if reason:
        raise LabError(reason)
    missing = sorted(package for tool, package in TOOLS.items() if not shutil.which(tool))
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"missing on this machine: {' '.join(missing)}; install them")
    say(f"installing {' '.join(missing)}")
    run("apt-get", "update", "-q", seconds=300)
    install = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qy", "--no-install-recommends")
    run(*install, *missing, seconds=600)


def print_status(lab: Lab) -> None:
    """Print one line for each host."""
    current = f"app-{app_key()}"
    hosts = lab.recorded()
    if not hosts:
        print(f"no hosts (state in {lab.directory})")
    for host in hosts:
        age = "" if host.tree() == current else "  (older tree)"
        print(f"{host.name:10} {host.address:14} {host.state():7} {host.directory}{age}")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="boot hosts and wait until ssh answers")
    up.add_argument("names", nargs="*", metavar="NAME", help=f"default: {' '.join(DEFAULT)}; known: {' '.join(HOSTS)}")
    up.add_argument("--fresh", action="store_true", help="boot anew also those that are up")
    down = commands.add_parser("down", help="remove hosts")
    down.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    commands.add_parser("status", help="show the hosts")
    execute = commands.add_parser("exec", help="run a command on a host, as root, from outside (no ssh)")
    execute.add_argument("name", metavar="NAME")
    execute.add_argument("words", nargs="+", metavar="CMD", help="the command, after --")
    commands.add_parser(
        "ssh-config", help="print the path of the ssh configuration: ssh -F $(lab.py ssh-config) tutor1"
    )
    inventory = commands.add_parser("inventory", help="print an Ansible inventory of the hosts that are up")
    inventory.add_argument("names", nargs="*", metavar="NAME", help="default: all that are up")
    inventory.add_argument("--output", type=Path, metavar="FILE", help="write it there instead")
    reboot = commands.add_parser("reboot", help="reboot a host and wait for it")
    reboot.add_argument("name", metavar="NAME")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    options = build_parser().parse_args(arguments)
    try:
        lab = Lab.from_environment()
        if options.command == "up":
            started = time.monotonic()
            lab.up(options.names or DEFAULT, options.fresh)
            say(f"{' '.join(options.names or DEFAULT)} up in {time.monotonic() - started:.1f} s")
        elif options.command == "down":
            lab.down(options.names)
        elif options.command == "status":
            print_status(lab)
        elif options.command == "exec":
            command = lab.host(options.name).command(options.words)
            os.execvp(command[0], command)
        elif options.command == "ssh-config":
            print(lab.ssh_config)
        elif options.command == "inventory":
            text = lab.inventory(options.names)
            if options.output:
                options.output.parent.mkdir(parents=True, exist_ok=True)
                options.output.write_text(text)
            else:
                print(text, end="")
        elif options.command == "reboot":
            lab.host(options.name).reboot()
    except (LabError, OSError) as exc:
        print(f"lab: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
