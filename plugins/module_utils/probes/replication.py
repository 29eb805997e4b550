# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replication: whether it runs, guards the log, how far the replica is behind, and whether it could be restored.

On the primary (``side: primary``) the daemon, its lock and the lag are looked at, and the replica is asked how far it is;
on the standby (``side: standby``) the files that have arrived. Asks the daemon nothing: `litestream sync` on a live
database may cost rows. With ``mode: snapshot`` the last copy and the newest snapshot that arrived are looked at instead.

``side: auto`` reads from the epoch of the host which one it is, and from /etc/tutor-ops/replication where the other side
is, so that the same probe is right on both hosts before and after a switchover. ``side: none`` says that there is nothing
to look at, where an inventory has no standby.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import PATH, Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.copies import sent_epoch
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import area, lag, ltx, snapshots
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.far import Far
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.users import SYSTEMCTL_SECONDS, find_service
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.systemctl import number, show, unit_name

AREA = area.AREA
UNIT = "tutor-ops-replication.service"
OPTIONS: dict[str, dict[str, Any]] = {
    "side": {"type": "str", "choices": ["primary", "standby", "auto", "none"], "required": True},
    "mode": {"type": "str", "choices": ["litestream", "snapshot"], "default": "litestream"},
    "path": {"type": "str", "default": ""},
    "service": {"type": "str", "default": UNIT},
    "pidfile": {"type": "str", "default": ""},
    "replica": {"type": "str", "default": ""},
    "home": {"type": "str", "default": "/srv/tutor-ops-replica"},
    "place": {"type": "str", "default": snapshots.PLACE},
    "config": {"type": "str", "default": PATH},
    "etc": {"type": "str", "default": "/etc/tutor-ops/replication"},
    "host": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 22},
    "user": {"type": "str", "default": ""},
    "key": {"type": "str", "default": "", "no_log": False},
    "known_hosts": {"type": "str", "default": ""},
}
CONSTRAINTS = {
    "required_if": [
        ("side", "primary", ("path", "replica")),
        ("side", "standby", ("replica",)),
        ("side", "auto", ("path",)),
    ]
}
TIMEOUT = 25.0
_EPOCH = re.compile(r"epoch-(\d{4,})")
# As in known_hosts: a name or an address, in brackets with another port than 22.
_ADDRESS = re.compile(r"(?P<host>\[[^\]\s]+\]|[^\s\[]+?)(?::(?P<port>\d+))?\s")
# A lock that is let go for a checkpoint is back within milliseconds.
LOCK_SECONDS = 1.0
LOCK_PAUSE = 0.01
# Beyond the critical lag there is nothing more to learn by waiting.
LAG_SECONDS = 11.0
LAG_PAUSE = 0.01


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse what an argument spec cannot."""
    for name in ("path", "replica", "home", "place", "config", "etc"):
        if spec[name] and not os.path.isabs(spec[name]):
            raise OpsError(f"{name} is {spec[name]!r}: expected an absolute path")
    if spec["side"] == "primary" and not spec["path"]:
        raise OpsError("path is empty: expected the database that is replicated")
    if spec["host"] and not (spec["user"] and spec["key"] and spec["known_hosts"]):
        raise OpsError("host is given: expected user, key and known_hosts too, since an unknown host is never believed")
    if not spec["pidfile"]:
        unit_name(spec["service"])


def probe(spec: dict[str, Any], previous: dict[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at one side of the replication."""
    say = AREA.reporter(spec["thresholds"])
    if spec["side"] == "none":
        return ProbeResult([say.find("replication.replica", Status.SKIPPED, "replication.needless")])
    if spec["side"] == "auto":
        try:
            spec = here(spec)
        except OpsError as exc:
            found = say.find("replication.replica", Status.UNKNOWN, "replication.nobody", error=str(exc))
            return ProbeResult([found])
    state: dict[str, Any] = dict(previous) if spec["mode"] == "snapshot" else {}
    if spec["mode"] == "snapshot":
        checks = (
            snapshots.judge_sent(say, spec)
            if spec["side"] == "primary"
            else snapshots.judge_arrived(say, spec, state, deadline)
        )
    else:
        checks = _standby(say, spec) if spec["side"] == "standby" else _primary(say, spec, previous, state, deadline)
    return ProbeResult(list(checks), state)


def here(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for this host, by its epoch and by what the role replication has laid out; raise OpsError."""
    config = Config.read(spec["config"])
    record = epochs.read(config.state_dir)
    if record is None:
        raise OpsError(f"{config.state_dir} has no epoch: expected the one that playbook standby writes")
    home, numbers = os.path.join(spec["home"], "data"), [record.epoch]
    if record.primary != config.host:
        if spec["mode"] == "snapshot":
            return {**spec, "side": "standby", "replica": os.path.join(home, snapshots.NAME)}
        with contextlib.suppress(OSError):
            numbers += [int(found[1]) for found in map(_EPOCH.fullmatch, os.listdir(home)) if found]
        # What arrived for a former epoch says nothing of the present one.
        return {**spec, "side": "standby", "replica": os.path.join(home, f"epoch-{max(numbers):04d}")}
    try:
        known_hosts = os.path.join(spec["etc"], "known_hosts")
        with open(known_hosts, encoding="ascii") as stream:
            host, port = _ADDRESS.match(stream.readline()).group("host", "port")  # type: ignore[union-attr]  # caught below
        number = sent_epoch(os.path.join(spec["etc"], "epoch"))
    except (OSError, AttributeError, UnicodeDecodeError) as exc:
        raise OpsError(f"{spec['etc']}: {exc}. Expected what the role replication writes") from exc
    return {
        **spec,
        "side": "primary",
        "replica": f"/data/epoch-{number or record.epoch:04d}",
        "host": host.strip("[]"),
        "port": int(port or 22),
        "user": spec["user"] or "tutor-replica",
        "key": spec["key"] or os.path.join(spec["etc"], "key"),
        "known_hosts": spec["known_hosts"] or known_hosts,
    }


def _standby(say: Reporter, spec: Mapping[str, Any]) -> Iterator[Check]:
    path = spec["replica"]
    item = os.path.basename(path)
    try:
        files = ltx.names(path)
        found = ltx.chain(files)
        newest = max(files, key=lambda one: (one.last, -one.level), default=None)
        if newest is None:
            raise OpsError("it has no files")
        header = ltx.read_header(os.path.join(path, newest.path))
    except (OSError, OpsError) as exc:
        error = exc.strerror if isinstance(exc, OSError) else str(exc)
        yield say.find(
            "replication.replica", Status.CRITICAL, "replication.no_replica", item, "missing", path=path, error=error
        )
        return
    reach, last = f"{found.reach:016x}", f"{found.newest:016x}"
    if not found.whole:
        yield say.find("replication.replica", Status.CRITICAL, "replication.no_whole", item, path=path)
    elif not found.unbroken:
        yield say.find(
            "replication.replica", Status.CRITICAL, "replication.gap", item, path=path, newest=last, reach=reach
        )
    else:
        yield say.find("replication.replica", Status.OK, "replication.whole", item, path=path, txid=reach)
    hours = max(0.0, time.time() - header.at) / 3600
    yield say.measure("replication.age", hours, "replication.newest", item, txid=last, unit=spec["service"])


def _primary(
    say: Reporter, spec: Mapping[str, Any], previous: Mapping[str, Any], state: dict[str, Any], deadline: Deadline
) -> Iterator[Check]:
    real = os.path.realpath(spec["path"])
    name = spec["pidfile"] or unit_name(spec["service"])
    # A pid file is named instead of the unit, which has a default.
    daemon = find_service({"service": "" if spec["pidfile"] else name, "pidfile": spec["pidfile"]}, deadline)
    yield _daemon(say, spec, name, daemon, previous, state, deadline)
    yield _lock(say, name, real, [one.pid for one in daemon.processes], deadline)
    yield from _lag(say, spec, name, real, deadline)


def _daemon(
    say: Reporter,
    spec: Mapping[str, Any],
    name: str,
    daemon: Any,
    previous: Mapping[str, Any],
    state: dict[str, Any],
    deadline: Deadline,
) -> Check:
    shown: Mapping[str, str] = {}
    try:
        if daemon.error:
            raise OpsError(daemon.error)
        if not spec["pidfile"]:
            wanted = ["ActiveState", "SubState", "NRestarts"]
            shown = show([name], wanted, deadline.sooner(SYSTEMCTL_SECONDS).remaining())[name]
    except OpsError as exc:
        return say.find("replication.daemon", Status.UNKNOWN, "replication.daemon_unasked", unit=name, error=str(exc))
    restarts = number(shown, "NRestarts") or 0
    state["restarts"] = restarts
    more = restarts - previous.get("restarts", restarts)
    seen = f"{shown['ActiveState']} ({shown['SubState']})" if shown.get("LoadState") == "loaded" else "not there"
    if not daemon.processes or seen.startswith(("activating", "deactivating", "failed")):
        state_text = "not running" if spec["pidfile"] else seen
        return say.find("replication.daemon", Status.CRITICAL, "replication.daemon_down", unit=name, state=state_text)
    if more > 0:
        return say.find("replication.daemon", Status.WARNING, "replication.daemon_restarted", unit=name, count=more)
    return say.find("replication.daemon", Status.OK, "replication.daemon_runs", unit=name)


def _lock(say: Reporter, name: str, real: str, pids: list[int], deadline: Deadline) -> Check:
    if not pids:
        return say.find("replication.lock", Status.SKIPPED, "replication.lock_no_daemon", unit=name)
    until = deadline.sooner(LOCK_SECONDS)
    kept = lag.keeps_lock(real, pids)
    while not kept and not until.expired:
        time.sleep(LOCK_PAUSE)
        kept = lag.keeps_lock(real, pids)
    status, sentence = (Status.OK, "replication.lock_kept") if kept else (Status.CRITICAL, "replication.lock_lost")
    return say.find("replication.lock", status, sentence, path=real, unit=name)


def _lag(say: Reporter, spec: Mapping[str, Any], name: str, real: str, deadline: Deadline) -> Iterator[Check]:
    """Take the end of the log, and see how long it takes until all before it is in the replica."""
    far = Far.of(spec)
    where = {"path": far.path, "host": far.host or "this host"}
    begin = time.monotonic()
    until = deadline.sooner(LAG_SECONDS)
    reached, error = 0, ""
    try:
        reached = far.newest(deadline.sooner(LAG_SECONDS))
    except OpsError as exc:
        error = str(exc)
    if error:
        yield say.find(
            "replication.replica", Status.CRITICAL, "replication.not_reached", reason="missing", error=error, **where
        )
    else:
        yield say.find("replication.replica", Status.OK, "replication.reached", txid=f"{reached:016x}", **where)
    try:
        wanted = lag.Wanted(real)
        begin = time.monotonic()
        # A newest file that is older than what we ask for need not be asked for again.
        while not wanted.copied() and not until.expired:
            time.sleep(LAG_PAUSE)
        while not error and reached < wanted.txid and not until.expired:
            time.sleep(LAG_PAUSE)
            reached = far.newest(until)
        now = lag.position(real)
    except OpsError as exc:
        yield say.find(
            "replication.lag", Status.CRITICAL, "replication.lag_unknown", reason="missing", error=str(exc), unit=name
        )
        return
    there = {"where": f"the replica on {far.host or 'this host'}", "where_zh": f"{far.host or '本机'} 上的副本"}
    if wanted.txid and not error and reached >= wanted.txid:
        seconds = time.monotonic() - begin
        yield say.measure("replication.lag", seconds, "replication.lag_seen", behind=wanted.behind, unit=name, **there)
        return
    seconds = max(time.monotonic() - begin, time.time() - now.at)
    yield say.find(
        "replication.lag",
        max(Status.CRITICAL, say.grade("replication.lag", seconds)),
        "replication.lag_more", reason="timeout", value=seconds, behind=now.behind, unit=name, **there,
    )  # fmt: skip
