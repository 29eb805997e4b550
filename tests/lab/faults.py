# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults for lab hosts. Each breaks a healthy host, proves that it is broken, and mends it again.

  faults.py                                   list the faults
  faults.py tutor2 redis_down -- COMMAND...   run a command while the fault is on, and end with its exit status

From Python: ``with FAULTS["redis_down"].on(host): ...``. ``variables`` is what the inventory must say of the host for
the fault to be one: a wrong path, a password, a URL.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from debian_tree import LabError, run
from lab import Host, Lab, wait_for

HOME = "/opt/bilingual-tutor"
APP = "bilingual-tutor.service"
REDIS = "redis-server.service"
NGINX = "nginx.service"
DATABASE = f"{HOME}/bilingual_tutor/storage/learning.db"
DECOY = f"{HOME}/data/learning.db"
KEPT = "/var/lib/lab-kept.db"
SWITCH = "/run/bilingual-tutor/fault"
HEALTH = "http://127.0.0.1/health"

# The stand-in gives up on Redis for 5 s after an error, so health follows a repair by that much.
HEAL_SECONDS = 20.0
ENGAGE_SECONDS = 10.0

# Breaks a host and proves it; what will mend it is entered in the stack before anything is broken.
Break = Callable[[Host, ExitStack], None]


@dataclass(frozen=True)
class Fault:
    """One way to break a host."""

    name: str
    about: str
    inject: Break
    variables: Mapping[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def on(self, host: Host) -> Iterator[None]:
        """Break the host, prove it, and at the end mend it and prove that too."""
        with ExitStack() as mend:
            self.inject(host, mend)
            yield
        wait_healthy(host)


FAULTS: dict[str, Fault] = {}


def fault(**variables: Any) -> Callable[[Break], Break]:
    """Enter a function under its own name, with its first line of documentation."""

    def enter(inject: Break) -> Break:
        name = inject.__name__
        FAULTS[name] = Fault(name, (inject.__doc__ or "").strip().splitlines()[0], inject, variables)
        return inject

    return enter


def sh(host: Host, script: str, seconds: float = 60) -> str:
    """Run a shell script on the host; return what it printed. Any step that fails raises."""
    return host.run("sh", "-euc", script, seconds=seconds).stdout.strip()


def prove(host: Host, script: str, expected: str, seconds: float = ENGAGE_SECONDS) -> None:
    """Wait until a script on the host prints what is expected while the fault is on."""
    seen = ""

    def holds() -> bool:
        nonlocal seen
        seen = host.run("sh", "-c", script, check=False).stdout.strip()
        return seen == expected

    try:
        wait_for(script, holds, seconds)
    except LabError as exc:
        raise LabError(
            f"{host.name}: the fault did not take: {script!r} prints {seen!r}, expected {expected!r}"
        ) from exc


def wait_healthy(host: Host) -> None:
    """Wait until the host is as it was: units active, the application healthy with database and cache."""

    def healthy() -> bool:
        units = host.run("systemctl", "is-active", APP, NGINX, REDIS, check=False).stdout.split()
        answer = host.run("curl", "-s", "-m", "3", HEALTH, check=False).stdout
        return units == ["active"] * 3 and '"status": "healthy"' in answer

    wait_for(f"{host.name}: healthy again", healthy, HEAL_SECONDS)


def start(*units: str) -> str:
    """Return a script that starts units, even those that were started more often than systemd allows."""
    return f"systemctl reset-failed {' '.join(units)}; systemctl start {' '.join(units)}"


def http_code(path: str) -> str:
    """Return a script that prints the HTTP status of a path on the host."""
    return f"curl -s -o /dev/null -m 10 -w '%{{http_code}}' http://127.0.0.1{path}"


# --- units


@fault()
def unit_stopped(host: Host, mend: ExitStack) -> None:
    """The application's unit is stopped."""
    mend.callback(sh, host, start(APP))
    sh(host, f"systemctl stop {APP}")
    prove(host, f"systemctl is-active {APP}", "inactive")
    prove(host, http_code("/health"), "502")


@fault()
def crash_loop(host: Host, mend: ExitStack) -> None:
    """The application cannot start; systemd tries again every 10 s and never calls it failed."""
    folder = f"/run/systemd/system/{APP}.d"
    mend.callback(sh, host, f"rm -rf {folder}; systemctl daemon-reload; systemctl stop {APP}; {start(APP)}")
    sh(
        host,
        f"mkdir -p {folder}; printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > {folder}/crash.conf;"
        f"systemctl daemon-reload; systemctl restart --no-block {APP}",
    )
    prove(host, f"systemctl show -P RestartUSec {APP}", "10s")
    prove(host, f"systemctl show -P NRestarts -P SubState {APP} | paste -sd' '", "1 auto-restart", seconds=15)
    prove(host, http_code("/health"), "502")


def _stop_processes(host: Host, mend: ExitStack, unit: str) -> None:
    mend.callback(sh, host, f"systemctl kill --kill-whom=all -s CONT {unit}")
    sh(host, f"systemctl kill --kill-whom=all -s STOP {unit}")
    group = f"/sys/fs/cgroup$(systemctl show -P ControlGroup {unit})/cgroup.procs"
    prove(host, f"ps -o stat= -p $(paste -sd, {group}) | cut -c1 | sort -u", "T")


@fault()
def app_sigstop(host: Host, mend: ExitStack) -> None:
    """Every process of the application is stopped (SIGSTOP): systemd still says active, the port still accepts."""
    _stop_processes(host, mend, APP)


@fault()
def redis_sigstop(host: Host, mend: ExitStack) -> None:
    """Redis is stopped (SIGSTOP): it accepts connections and never answers."""
    _stop_processes(host, mend, REDIS)
    _prove_degraded(host)


@fault()
def nginx_sigstop(host: Host, mend: ExitStack) -> None:
    """nginx is stopped (SIGSTOP): it accepts connections and never answers."""
    _stop_processes(host, mend, NGINX)


# --- the database


def _keep_database(host: Host, mend: ExitStack) -> None:
    """Keep a copy; it will be put back with no stale -wal and -shm beside it."""
    mend.callback(
        sh,
        host,
        f"systemctl stop {APP}; rm -f {DATABASE}*;"
        f"install -o bilingual-tutor -g bilingual-tutor -m 640 {KEPT} {DATABASE}; rm {KEPT}; {start(APP)}",
    )
    sh(host, f"sqlite3 {DATABASE} \".backup '{KEPT}'\"")


def _damage_at_rest(host: Host, script: str) -> None:
    """Damage the database with the application down, all of it in the one file, and start the application again."""
    emptied = f"sqlite3 {DATABASE} 'PRAGMA wal_checkpoint(TRUNCATE)'; rm -f {DATABASE}-wal {DATABASE}-shm"
    # Somebody asks meanwhile, so that nginx has logged an error however fast the application is back.
    sh(host, f"systemctl stop {APP}; {emptied}; {script}; {http_code('/')}; {start(APP)}")
    prove(host, http_code("/api/health"), "200")  # serving again, and sure of itself


@fault(tutor_database=DECOY)
def database_not_in_use(host: Host, mend: ExitStack) -> None:
    """The inventory names the empty file of the handbook, not the one the application has open."""
    prove(host, f"stat -c %s {DECOY}", "0")


@fault()
def database_missing(host: Host, mend: ExitStack) -> None:
    """The file is gone; the application serves on from the deleted one it has open."""
    _keep_database(host, mend)
    sh(host, f"rm {DATABASE} {DATABASE}-wal {DATABASE}-shm")
    prove(host, http_code("/health"), "200")
    prove(host, f"test -e {DATABASE} || echo gone", "gone")


@fault()
def database_recreated(host: Host, mend: ExitStack) -> None:
    """The file was emptied and the application restarted: it made a new one without a row and calls itself healthy."""
    _keep_database(host, mend)
    _damage_at_rest(host, f": > {DATABASE}")
    prove(host, f"sqlite3 {DATABASE} 'SELECT count(*) FROM vocabulary'", "0")
    prove(host, http_code("/health"), "200")


@fault()
def database_zero_bytes(host: Host, mend: ExitStack) -> None:
    """The file has 0 bytes and the application is down, as after a restore that ran out of disk."""
    _keep_database(host, mend)
    sh(host, f"systemctl stop {APP}; rm -f {DATABASE}-wal {DATABASE}-shm; : > {DATABASE}")
    prove(host, f"stat -c %s {DATABASE}", "0")
    prove(host, http_code("/health"), "502")


@fault()
def database_truncated(host: Host, mend: ExitStack) -> None:
    """The second half of the file is missing."""
    _keep_database(host, mend)
    _damage_at_rest(host, f"truncate -s $(( $(stat -c %s {DATABASE}) / 8192 * 4096 )) {DATABASE}")
    prove(host, f"sqlite3 {DATABASE} 'PRAGMA integrity_check' 2>&1 | grep -qx ok || echo broken", "broken")
    prove(host, http_code("/health"), "503")


@fault()
def database_header_destroyed(host: Host, mend: ExitStack) -> None:
    """The first 100 bytes are noise: SQLite says that it is not a database."""
    _keep_database(host, mend)
    _damage_at_rest(host, f"yes | head -c 100 | dd of={DATABASE} conv=notrunc status=none")
    prove(host, http_code("/health"), "503")


@fault()
def database_foreign_owner(host: Host, mend: ExitStack) -> None:
    """The file belongs to another user with mode 600: root can read it, the application cannot."""
    _keep_database(host, mend)
    _damage_at_rest(host, f"chown nobody:nogroup {DATABASE}; chmod 600 {DATABASE}")
    prove(host, http_code("/health"), "503")


@fault()
def database_locked(host: Host, mend: ExitStack) -> None:
    """Another process holds the write lock. In WAL mode readers go on; every writer waits, then fails."""
    # Longer than any look at the host may take; it ends with its standard input anyway.
    script = f"""
import select, sqlite3, sys
connection = sqlite3.connect("file:{DATABASE}?mode=rw", uri=True, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
select.select([sys.stdin], [], [], 120)
"""
    command = host.command(["sudo", "-u", "bilingual-tutor", "python3", "-c", script])
    holder = mend.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    if not holder.stdout or holder.stdout.readline() != "locked\n":
        raise LabError(f"{host.name}: the fault did not take: no lock on {DATABASE}")
    prove(host, f"sqlite3 {DATABASE} 'BEGIN IMMEDIATE' 2>&1 | grep -o 'database is locked'", "database is locked")


# --- Redis


def _prove_degraded(host: Host) -> None:
    """Prove that the application misses its cache; it serves on, and each of its workers has logged an error."""
    prove(host, f"curl -s -m 10 {HEALTH} | grep -o degraded", "degraded")


@fault()
def redis_down(host: Host, mend: ExitStack) -> None:
    """Redis is stopped."""
    mend.callback(sh, host, start(REDIS))
    sh(host, f"systemctl stop {REDIS}")
    prove(host, "redis-cli ping 2>&1 | grep -o refused", "refused")
    _prove_degraded(host)


@fault(tutor_redis_password="not-the-password")
def redis_wrong_password(host: Host, mend: ExitStack) -> None:
    """Redis wants a password and the inventory has another one."""
    mend.callback(sh, host, "redis-cli -a lab-password --no-auth-warning CONFIG SET requirepass ''")
    sh(
        host,
        "redis-cli CONFIG SET requirepass lab-password; redis-cli -a lab-password CLIENT KILL SKIPME no TYPE normal",
    )
    prove(host, "redis-cli ping", "NOAUTH Authentication required.")
    _prove_degraded(host)


@fault(tutor_redis_username="watch", tutor_redis_password="watch-password")
def redis_acl_without_config(host: Host, mend: ExitStack) -> None:
    """The account for the checks may not use CONFIG."""
    mend.callback(sh, host, "redis-cli ACL DELUSER watch")
    sh(host, "redis-cli ACL SETUSER watch on '>watch-password' '~*' +@all -config")
    # A dry run: a refusal in earnest would be counted, and be a finding of its own.
    prove(host, "redis-cli ACL DRYRUN watch CONFIG GET maxmemory | grep -o 'no permissions'", "no permissions")


# --- disks


def _small_disk(host: Host, mend: ExitStack, path: str, inodes: int) -> None:
    """Put a small ext4 file system, a real one on a loop device, in the place of a directory, with its content."""
    image = host.directory / "small.img"
    mend.callback(image.unlink)
    with image.open("wb") as empty:
        empty.truncate(64 << 20)
    run("mkfs.ext4", "-q", "-m", "0", "-N", str(inodes), "-O", "^has_journal", image)
    device = run("losetup", "--find", "--show", image).stdout.strip()
    mend.callback(run, "losetup", "--detach", device)
    numbers = run("stat", "-c", "%Hr %Lr", device).stdout.strip()
    mend.callback(sh, host, f"umount {path}; rm /dev/lab-small")
    sh(
        host,
        f"mknod -m 600 /dev/lab-small b {numbers}; mkdir -p /run/lab-small; mount /dev/lab-small /run/lab-small;"
        f"rsync -a {path}/ /run/lab-small/; umount /run/lab-small; mount /dev/lab-small {path}",
    )


@fault()
def disk_full(host: Host, mend: ExitStack) -> None:
    """The disk of the backups is 96 % full."""
    place = f"{HOME}/backups"
    _small_disk(host, mend, place, 2000)
    # df rounds up: a hair above 95 shows as 96.
    sh(host, f"fallocate -l $(( $(df -B1 --output=avail {place} | tail -1) - (5 << 19) )) {place}/filler")
    prove(host, f"df --output=pcent {place} | tail -1 | tr -d ' %'", "96")


@fault()
def inodes_exhausted(host: Host, mend: ExitStack) -> None:
    """The disk of the backups has no inode left, and plenty of room."""
    place = f"{HOME}/backups"
    _small_disk(host, mend, place, 128)
    sh(host, f"i=0; while touch {place}/filler-$i 2>/dev/null; do i=$((i + 1)); done")
    prove(host, f"df --output=ipcent,pcent {place} | tail -1 | awk '{{print $1, ($2 + 0 < 50)}}'", "100% 1")


# --- logs


def _log_error(host: Host, text: str) -> None:
    """Write an error as the application does: twice, into the log of gunicorn."""
    line = shlex.quote(f"- bilingual_tutor - ERROR - {text}")
    sh(host, f"for i in 1 2; do echo \"$(date '+%F %T')\" {line} >> {HOME}/logs/gunicorn_error.log; done")


@fault()
def log_errors(host: Host, mend: ExitStack) -> None:
    """The application has logged an error that was never seen before."""
    _log_error(host, "音频生成失败: drill A")
    prove(host, f"grep -c 'drill A' {HOME}/logs/gunicorn_error.log", "2")


@fault()
def log_rotated(host: Host, mend: ExitStack) -> None:
    """A new error was logged, then the logs were rotated: it is in the rotated file; nginx was told to reopen."""
    _log_error(host, "音频生成失败: drill B")
    sh(host, "logrotate -f /etc/logrotate.d/bilingual-tutor")
    prove(host, f"grep -c 'drill B' {HOME}/logs/gunicorn_error.log.1", "2")


@fault()
def log_rotated_not_reopened(host: Host, mend: ExitStack) -> None:
    """The logs were rotated without the reload: nginx and gunicorn keep writing the rotated files."""
    mend.callback(sh, host, f"systemctl reload {APP} {NGINX}")
    sh(
        host,
        "sed '/sharedscripts/d;/postrotate/,/endscript/d' /etc/logrotate.d/bilingual-tutor > /run/lab-logrotate;"
        f"logrotate -f /run/lab-logrotate; rm /run/lab-logrotate; {http_code('/api/health')}",
    )
    log = f"{HOME}/logs/nginx_access.log"
    prove(host, f"test -s {log}.1 && test ! -s {log} && echo rotated", "rotated")


# --- the web


@fault(tutor_url="http://tutor.lab.test")
def resolver_dead(host: Host, mend: ExitStack) -> None:
    """The address to check is a name, and the resolver is a black hole."""
    # A neighbour that does not exist: packets leave, nothing ever comes back, no error either.
    neighbour = f"10.77.{host.lab.net}.253"
    mend.callback(sh, host, f": > /etc/resolv.conf; ip neigh del {neighbour} dev host0")
    sh(
        host,
        f"ip neigh replace {neighbour} lladdr 02:77:00:00:ff:ff dev host0 nud permanent;"
        f"echo nameserver {neighbour} > /etc/resolv.conf",
    )
    prove(host, "timeout 2 getent hosts tutor.lab.test; echo $?", "124")


def _switch(host: Host, mend: ExitStack, name: str) -> None:
    mend.callback(sh, host, f"rm -f {SWITCH}")
    sh(host, f"echo {name} > {SWITCH}")


@fault()
def http_500(host: Host, mend: ExitStack) -> None:
    """Every page answers 500."""
    _switch(host, mend, "http_500")
    prove(host, http_code("/"), "500")


@fault()
def http_endless_body(host: Host, mend: ExitStack) -> None:
    """Every page answers 200 and a body without end."""
    _switch(host, mend, "endless_body")
    prove(host, "curl -s -m 10 http://127.0.0.1/ | head -c 5000000 | wc -c", "5000000")


@fault()
def http_redirect_loop(host: Host, mend: ExitStack) -> None:
    """Every page leads to another one, without end."""
    _switch(host, mend, "redirect_loop")
    prove(host, "curl -s -o /dev/null -L --max-redirs 20 http://127.0.0.1/; echo $?", "47")


@fault()
def http_slow_drip(host: Host, mend: ExitStack) -> None:
    """Every page answers 200 and then a byte now and then."""
    _switch(host, mend, "slow_drip")
    prove(host, "curl -s -o /dev/null -m 2 -w '%{http_code}' http://127.0.0.1/; echo \" $?\"", "200 28")


# --- the host


@fault()
def host_unplugged(host: Host, mend: ExitStack) -> None:
    """The host's link is down."""
    mend.callback(wait_for, f"{host.name}: ssh", host.speaks, HEAL_SECONDS)
    mend.callback(host.set_link, True)
    host.set_link(False)
    if host.state() != "deaf":
        raise LabError(f"{host.name}: the fault did not take: it is {host.state()}")


@fault()
def host_frozen(host: Host, mend: ExitStack) -> None:
    """Every process of the host is stopped at once; its kernel still accepts connections."""
    mend.callback(wait_for, f"{host.name}: ssh", host.speaks, HEAL_SECONDS)
    mend.callback(host.freeze, False)
    host.freeze(True)
    if host.speaks():
        raise LabError(f"{host.name}: the fault did not take: ssh still greets")


def main(arguments: Sequence[str] | None = None) -> int:
    """List the faults, or run a command under one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", nargs="?")
    parser.add_argument("fault", nargs="?", choices=sorted(FAULTS), metavar="FAULT")
    parser.add_argument("words", nargs="*", metavar="CMD", help="the command, after --")
    options = parser.parse_args(arguments)
    if not options.host:
        for entry in FAULTS.values():
            variables = "".join(f" [{name}={value}]" for name, value in entry.variables.items())
            print(f"{entry.name:26} {entry.about}{variables}")
        return 0
    if not options.fault or not options.words:
        parser.error("expected: HOST FAULT -- COMMAND...")
    try:
        with FAULTS[options.fault].on(Lab.from_environment().host(options.host)):
            return subprocess.run(options.words, check=False).returncode
    except LabError as exc:
        print(f"faults: {exc}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
