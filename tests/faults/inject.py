# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults for a site in the middle of a failover. Each is proved to have taken, quickly, and is mended by the stack.

A fault that did not take raises NotEngaged: its run is inconclusive, for it has tested nothing.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import lab
from debian_tree import LabError, run
from failover_site import LEASE, PROXY, REPLICATION, WITNESSES, FailoverSite
from faults import APP, SWITCH, http_code

ENGAGE_SECONDS = 5.0
BROKEN_SITE = "/etc/nginx/conf.d/zz-broken.conf"
# Steps of a planned run in which the old primary's application still runs, or the new one's does.
EARLY, LATE = ("lock", "quiesce"), ("switch", "probe", "reprotect", "protected")
ALL = ("lock", "quiesce", "promote", "epoch", "grant", "switch", "reprotect")

Inject = Callable[[FailoverSite, str, str, ExitStack], None]


class NotEngaged(Exception):
    """The fault had no effect that could be seen."""


@dataclass(frozen=True)
class Fault:
    """One fault: ``inject(site, primary, standby, mend)``, and the steps of a planned run at whose begin it can take."""

    name: str
    about: str
    inject: Inject
    steps: tuple[str, ...]

    def on(self, site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> float:
        """Break, and return the moment at which it was begun."""
        at = time.monotonic()
        try:
            self.inject(site, primary, standby, mend)
        except (LabError, subprocess.TimeoutExpired) as exc:
            raise NotEngaged(f"{self.name}: {exc}") from exc
        return at


FAULTS: dict[str, Fault] = {}


def fault(*steps: str) -> Callable[[Inject], Inject]:
    """Enter a function under its own name, with its first line of documentation."""

    def enter(inject: Inject) -> Inject:
        name = inject.__name__
        FAULTS[name] = Fault(name, (inject.__doc__ or "").strip().splitlines()[0], inject, steps)
        return inject

    return enter


def proved(what: str, condition: Callable[[], bool], seconds: float = ENGAGE_SECONDS) -> None:
    """Wait until a fault can be seen."""
    try:
        lab.wait_for(what, condition, seconds)
    except LabError as exc:
        raise NotEngaged(f"{what}: not seen within {seconds:.0f} s") from exc


def main_pid(site: FailoverSite, name: str, unit: str) -> str:
    """Return the main process of a unit, 0 when it does not run."""
    return site.sh(name, f"systemctl show -P MainPID {unit}")


def kill_unit(site: FailoverSite, name: str, unit: str) -> None:
    """SIGKILL all processes of a unit that runs."""
    pid = main_pid(site, name, unit)
    if pid == "0":
        raise NotEngaged(f"{unit} did not run on {name}")
    site.sh(name, f"systemctl kill --kill-whom=all -s KILL {unit}")
    proved(f"{unit} on {name} was killed", lambda: main_pid(site, name, unit) != pid)


def stop_unit(site: FailoverSite, name: str, unit: str, mend: ExitStack) -> None:
    """SIGSTOP all processes of a unit that runs: systemd still calls it active."""
    if main_pid(site, name, unit) == "0":
        raise NotEngaged(f"{unit} did not run on {name}")
    go_on = f"systemctl kill --kill-whom=all -s CONT {unit} 2>/dev/null || true"
    mend.callback(site.sh, name, go_on)
    site.sh(name, f"systemctl kill --kill-whom=all -s STOP {unit}")


# --- processes


@fault(*EARLY)
def app_killed(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """SIGKILL to every process of the primary's application."""
    kill_unit(site, primary, APP)


@fault(*EARLY)
def app_stopped(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """SIGSTOP to every process of the primary's application."""
    stop_unit(site, primary, APP, mend)


@fault(*EARLY)
def sender_killed(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """SIGKILL to the primary's Litestream."""
    kill_unit(site, primary, REPLICATION)


@fault(*EARLY)
def sender_stopped(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """SIGSTOP to the primary's Litestream."""
    stop_unit(site, primary, REPLICATION, mend)


@fault(*EARLY)
def both_killed(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """SIGKILL to the primary's application and its Litestream."""
    kill_unit(site, primary, REPLICATION)
    kill_unit(site, primary, APP)


@fault(*EARLY)
def lease_killed(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """SIGKILL to the primary's lease."""
    kill_unit(site, primary, LEASE)


@fault(*LATE)
def new_app_killed(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """SIGKILL to every process of the new primary's application."""
    kill_unit(site, standby, APP)


@fault(*EARLY)
def crash_loop(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The primary's application cannot start any more, and is killed."""
    folder = f"/run/systemd/system/{APP}.d"
    mend.callback(site.sh, primary, f"rm -f {folder}/crash.conf; systemctl daemon-reload")
    site.sh(
        primary,
        f"mkdir -p {folder}; printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > {folder}/crash.conf;"
        "systemctl daemon-reload",
    )
    kill_unit(site, primary, APP)


@fault(*EARLY)
def app_broken(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The primary's application answers 500 to everything."""
    mend.callback(site.sh, primary, f"rm -f {SWITCH}")
    site.sh(primary, f"echo http_500 > {SWITCH}")
    proved("it answers 500", lambda: site.sh(primary, http_code("/").replace("1/", "1:5000/")) == "500")


# --- the network


def _unplug(site: FailoverSite, name: str, mend: ExitStack) -> None:
    host = site.hosts[name]
    mend.callback(lab.wait_for, f"{name}: ssh", host.speaks, 30)
    mend.callback(host.set_link, True)
    host.set_link(False)


@fault(*ALL)
def primary_unplugged(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The old primary's link is down."""
    _unplug(site, primary, mend)


def _drop(site: FailoverSite, name: str, hook: str, mend: ExitStack, *match: str) -> None:
    """Drop what a host's kernel takes in or sends out; its own processes still hear each other."""
    host = site.hosts[name]
    nft = ("ip", "netns", "exec", host.machine, "nft")
    way = {"input": "iifname", "output": "oifname"}[hook]
    mend.callback(lab.wait_for, f"{name}: ssh", host.speaks, 30)
    mend.callback(run, *nft, "delete", "table", "inet", "faults")
    run(*nft, "add", "table", "inet", "faults")
    run(*nft, "add", "chain", "inet", "faults", "cut", f"{{ type filter hook {hook} priority -300; }}")
    run(*nft, "add", "rule", "inet", "faults", "cut", way, "!=", "lo", *match, "drop")
    proved(f"{name} cannot be reached", lambda: not _connects(host.address))


def _connects(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=0.5):
            return True
    except OSError:
        return False


@fault(*ALL)
def primary_deaf(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The old primary sends and hears nothing: what comes in is dropped."""
    _drop(site, primary, "input", mend)


@fault(*ALL)
def primary_mute(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The old primary hears and says nothing: what goes out is dropped."""
    _drop(site, primary, "output", mend)


@fault(*ALL)
def primary_cut_off(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The controller alone does not hear the old primary; users and witnesses do."""
    _drop(site, primary, "output", mend, "ip", "daddr", site.lab.gateway)


@fault(*ALL)
def standby_unplugged(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The standby's link is down."""
    _unplug(site, standby, mend)


@fault(*ALL)
def witness_unplugged(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The link of one witness of three is down."""
    _unplug(site, WITNESSES[0], mend)


@fault(*ALL)
def witnesses_unplugged(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The links of two witnesses of three are down."""
    for name in WITNESSES:
        _unplug(site, name, mend)


@fault(*ALL)
def proxy_unplugged(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The proxy's link is down."""
    _unplug(site, PROXY, mend)


@fault("lock", "quiesce", "promote", "epoch")
def no_way_to_the_standby(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """What the primary sends to the standby is dropped; everybody else hears both."""
    address = site.hosts[standby].address
    mend.callback(site.sh, primary, f"ip route del blackhole {address}/32")
    site.sh(primary, f"ip route add blackhole {address}/32")
    proved("it is dropped", lambda: site.hosts[primary].run("ping", "-c1", "-W1", address, check=False).returncode != 0)


@fault("lock", "quiesce", "promote")
def sshd_stopped(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The standby's sshd accepts connections and never answers."""
    stop_unit(site, standby, "ssh.service", mend)
    proved("ssh is silent", lambda: not site.hosts[standby].speaks())


# --- whole hosts


@fault(*ALL)
def primary_power_cut(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The old primary loses its power, and is switched on again in the end."""
    mend.callback(site.power_on, primary)
    site.power_off(primary)


@fault(*ALL)
def standby_power_cut(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """The standby loses its power, and is switched on again in the end."""
    mend.callback(site.power_on, standby)
    site.power_off(standby)


@fault("lock", "quiesce", "promote")
def standby_frozen(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """Every process of the standby stands still; its kernel still accepts connections."""
    mend.callback(site.hosts[standby].freeze, False)
    site.hosts[standby].freeze(True)


@fault()
def primary_frozen(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """Every process of the primary stands still; its kernel still accepts connections."""
    mend.callback(site.hosts[primary].freeze, False)
    site.hosts[primary].freeze(True)


# --- the proxy


@fault(*ALL)
def proxy_killed(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """SIGKILL to the proxy's nginx."""
    mend.callback(site.sh, PROXY, "systemctl start nginx")
    kill_unit(site, PROXY, "nginx.service")


@fault("lock", "quiesce", "promote", "epoch", "grant")
def proxy_misconfigured(site: FailoverSite, primary: str, standby: str, mend: ExitStack) -> None:
    """Somebody broke the proxy's configuration: nginx -t fails, nginx runs on."""
    mend.callback(site.sh, PROXY, f"rm -f {BROKEN_SITE}")
    site.sh(PROXY, f"echo 'no such directive;' > {BROKEN_SITE}")
    proved("nginx -t fails", lambda: site.hosts[PROXY].run("nginx", "-t", check=False).returncode != 0)


# What takes the old primary's service away and leaves it reachable; what takes it away as a whole.
REACHABLE = ("app_killed", "app_stopped", "both_killed", "crash_loop", "app_broken")
UNREACHABLE = (
    "primary_unplugged",
    "primary_power_cut",
    "primary_frozen",
    "primary_deaf",
    "primary_mute",
    "primary_cut_off",
)


def in_a_step() -> Iterator[tuple[str, str]]:
    """Return each fault with each step in which it can take."""
    for one in FAULTS.values():
        for step in one.steps:
            yield one.name, step
