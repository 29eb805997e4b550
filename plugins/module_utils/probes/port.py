# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening TCP ports: the expected ones are there with the right reach and owner, and no others face the network.

Source: /proc/net/tcp and tcp6, never a connection: that would reach a port on loopback which nobody outside can, would
disturb the service, and misses what a scan of a thousand well-known ports leaves out (6379 is one). Cost: 1 ms, and one
pass over /proc/PID/fd (5 ms for a hundred processes) where an owner has to be named. UDP is not looked at.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import proc
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.accounts import user_name
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

TIMEOUT = 10.0
LISTEN = "0A"
# Data stores and the Docker API: without a password in front they give the host away to whoever connects.
NEVER_PUBLIC = frozenset((6379, 5432, 3306, 9200, 27017, 2375))
_KEYS = frozenset(("port", "scope", "process", "user", "name"))
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

OPTIONS: dict[str, dict[str, Any]] = {
    "ports": {"type": "list", "elements": "dict", "default": []},
    "declared": {"type": "list", "elements": "int"},
}

AREA = Area(
    "port",
    rules={
        "port.expected": Rule(
            title=Text("Expected port listens", "应有端口在监听"),
            fix=Text(
                "Start the service of this port (`systemctl status UNIT`); if it runs, its bind address or port in the "
                "configuration is not the declared one: `ss -tlnp`.",
                "启动该端口的服务（`systemctl status UNIT`）；若已运行，则其监听地址或端口与声明不符：`ss -tlnp`。",
            ),
        ),
        "port.exposed": Rule(
            title=Text("Port does not listen wider than declared", "端口监听范围不超出声明"),
            fix=Text(
                "Bind the service to 127.0.0.1 in its configuration, restart it in the window; until then close the port "
                "in the firewall.",
                "在配置中将服务绑定到 127.0.0.1，并在窗口内重启；此前先用防火墙封闭该端口。",
            ),
        ),
        "port.unexpected": Rule(
            title=Text("No undeclared port faces the network", "无未声明端口对外监听"),
            fix=Text(
                "`ss -tlnp` names the program. Stop it, bind it to 127.0.0.1, or declare the port in the probe's declared list.",
                "`ss -tlnp` 可查到程序。停止它、改绑 127.0.0.1，或把端口加入探测的 declared 列表。",
            ),
        ),
    },
    sentences={
        "port.listens": Text("port {item} listens on {addresses}", "端口 {item} 正在 {addresses} 监听"),
        "port.closed": Text("port {item} does not listen", "端口 {item} 没有监听"),
        "port.elsewhere": Text(
            "port {item} listens on {addresses} only, expected on {scope}",
            "端口 {item} 仅在 {addresses} 监听，期望 {scope}",
        ),
        "port.foreign_user": Text(
            "port {item} is held by user {seen}, expected {wanted}", "端口 {item} 由用户 {seen} 占用，期望 {wanted}"
        ),
        "port.foreign_process": Text(
            "port {item} is held by {seen}, expected {wanted}", "端口 {item} 由 {seen} 占用，期望 {wanted}"
        ),
        "port.owner_hidden": Text(
            "port {item} listens, but only root may see whose process it is: expected {wanted}",
            "端口 {item} 在监听，但只有 root 能查看其进程，期望 {wanted}",
        ),
        "port.is_exposed": Text(
            "port {item} listens on {addresses}, declared for {scope} only",
            "端口 {item} 在 {addresses} 监听，而声明仅限 {scope}",
        ),
        "port.not_exposed": Text("port {item} stays within {scope}", "端口 {item} 未超出 {scope}"),
        "port.none_unexpected": Text(
            "no undeclared port faces the network ({count} listeners)", "无未声明端口对外监听（共 {count} 个监听）"
        ),
        "port.some_unexpected": Text(
            "{count} undeclared ports face the network: {ports}", "{count} 个未声明端口对外监听：{ports}"
        ),
        "port.unreadable": Text("cannot read {path}: {error}", "无法读取 {path}：{error}"),
    },
)


@dataclass(frozen=True)
class Listener:
    """One listening socket."""

    address: Address
    port: int
    uid: int
    inode: int
    waiting: int

    @property
    def loopback(self) -> bool:
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_loopback

    @property
    def everywhere(self) -> bool:
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_unspecified

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Expected:
    """What an operator says about one port. ``scope``: empty, loopback, any, or an address."""

    port: int
    scope: str
    process: str
    user: str
    name: str

    @property
    def item(self) -> str:
        return f"{self.port} ({self.name})" if self.name else str(self.port)

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Expected:
        """Read a dict with port, and optionally scope, process, user, name."""
        try:
            port = int(entry.get("port", 0))
        except (TypeError, ValueError):
            port = 0
        if set(entry) - _KEYS or not 0 < port < 65536:
            raise OpsError(
                f"ports: expected port (1 to 65535) and optionally scope, process, user, name; seen {dict(entry)!r}"
            )
        scope = str(entry.get("scope") or "")
        if scope not in ("", "loopback", "any"):
            try:
                ipaddress.ip_address(scope)
            except ValueError:
                raise OpsError(
                    f"ports: {port}: scope {scope!r}: expected loopback, any or an address of this host"
                ) from None
        return cls(port, scope, *(str(entry.get(key) or "") for key in ("process", "user", "name")))

    def reached_by(self, listener: Listener) -> bool:
        """Tell whether this listener serves those the port is meant for."""
        if not self.scope or listener.everywhere:
            return True
        if self.scope == "loopback":
            return listener.loopback
        if self.scope == "any":
            return not listener.loopback
        return listener.address == ipaddress.ip_address(self.scope)

    def exceeded_by(self, listener: Listener) -> bool:
        """Tell whether this listener serves more than those."""
        if self.scope in ("", "any"):
            return False
        if self.scope == "loopback":
            return not listener.loopback
        return listener.everywhere


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse an entry that cannot be read, before anything runs."""
    for entry in spec["ports"]:
        Expected.read(entry)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Compare the listening sockets of this network namespace with what is declared."""
    say = AREA.reporter(spec.get("thresholds"), source="/proc/net/tcp")
    expected = [Expected.read(entry) for entry in spec.get("ports", [])]
    listeners: list[Listener] = []
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            listeners += parse_listeners(proc.read(path))
        except FileNotFoundError:
            continue  # a host without IPv6
        except OSError as exc:
            blind = say.find(
                "port.expected", Status.UNKNOWN, "port.unreadable", path=path, error=exc.strerror or "", reason="denied"
            )
            return ProbeResult([blind])
    checks: list[Check] = []
    for one in expected:
        checks += judge(say, one, [listener for listener in listeners if listener.port == one.port])
    if spec.get("declared") is not None:
        checks.append(judge_unexpected(say, listeners, {one.port for one in expected} | set(spec["declared"])))
    return ProbeResult(checks)


def parse_listeners(text: str) -> Iterator[Listener]:
    """Read the listening sockets out of /proc/net/tcp or tcp6 (proc(5)); rx_queue is who waits to be accepted."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != LISTEN:
            continue
        host, _sep, port = fields[1].partition(":")
        waiting = int(fields[4].partition(":")[2], 16)
        yield Listener(_address(host), int(port, 16), int(fields[7]), int(fields[9]), waiting)


def _address(text: str) -> Address:
    """Read an address as the kernel prints it: 32-bit words in the byte order of the machine."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    return ipaddress.IPv4Address(raw) if len(words) == 1 else ipaddress.IPv6Address(raw)


def judge(say: Reporter, expected: Expected, listeners: list[Listener]) -> list[Check]:
    """Judge one expected port."""
    words: dict[str, Any] = {
        "item": expected.item,
        "addresses": listed([str(one) for one in listeners]),
        "scope": expected.scope,
    }
    if not listeners:
        return [say.find("port.expected", Status.CRITICAL, "port.closed", reason="missing", **words)]
    serving = [one for one in listeners if expected.reached_by(one)]
    if not serving:
        return [say.find("port.expected", Status.CRITICAL, "port.elsewhere", reason="missing", **words)]
    checks = [_owner(say, expected, serving, words)]
    wide = [one for one in listeners if expected.exceeded_by(one)]
    if wide:
        worse = expected.port in NEVER_PUBLIC and any(one.everywhere for one in wide)
        status = Status.CRITICAL if worse else Status.WARNING
        checks.append(say.find("port.exposed", status, "port.is_exposed", **words))
    elif expected.scope not in ("", "any"):
        checks.append(say.find("port.exposed", Status.OK, "port.not_exposed", **words))
    return checks


def _owner(say: Reporter, expected: Expected, serving: list[Listener], words: dict[str, Any]) -> Check:
    """Judge who holds the port: a stranger on it answers health checks too."""
    users = {user_name(one.uid) for one in serving}
    if expected.user and users != {expected.user}:
        # A socket made by root before it gave up its rights keeps root's number: look at the process then.
        holders = _holders(serving)
        users = {user_name(uid) for uid in (proc.owner(one.pid) for one in holders) if uid is not None} or users
        if expected.user not in users:
            return say.find(
                "port.expected",
                Status.CRITICAL,
                "port.foreign_user",
                seen=listed(sorted(users)),
                wanted=expected.user,
                evidence=_evidence(holders),
                **words,
            )
    if expected.process:
        holders = _holders(serving)
        if not holders:
            return say.find(
                "port.expected", Status.UNKNOWN, "port.owner_hidden", reason="denied", wanted=expected.process, **words
            )
        names = sorted({one.comm for one in holders})
        if not any(expected.process[:15] == one.comm or expected.process in proc.cmdline(one.pid) for one in holders):
            return say.find(
                "port.expected",
                Status.CRITICAL,
                "port.foreign_process",
                seen=listed(names),
                wanted=expected.process,
                evidence=_evidence(holders),
                **words,
            )
    waiting = sum(one.waiting for one in serving)
    evidence = [f"{waiting} connections wait to be accepted"] if waiting else []
    return say.find("port.expected", Status.OK, "port.listens", value=waiting, evidence=evidence, **words)


def judge_unexpected(say: Reporter, listeners: list[Listener], known: Iterable[int]) -> Check:
    """Name the ports that face the network and that nobody declared."""
    allowed = set(known)
    strangers = [one for one in listeners if not one.loopback and one.port not in allowed]
    if not strangers:
        return say.find("port.unexpected", Status.OK, "port.none_unexpected", value=0, count=len(listeners))
    owners = proc.socket_owners(one.inode for one in strangers)
    evidence = []
    for one in sorted(strangers, key=lambda listener: (listener.port not in NEVER_PUBLIC, listener.port)):
        held = [found for found in (proc.process(pid) for pid in owners.get(one.inode, [])) if found]
        by = ", ".join(f"{found.comm} (pid {found.pid})" for found in held[:3]) or f"user {user_name(one.uid)}"
        evidence.append(f"{one} {by}")
    ports = sorted({one.port for one in strangers})
    bad = any(one.everywhere and one.port in NEVER_PUBLIC for one in strangers)
    return say.find(
        "port.unexpected",
        Status.CRITICAL if bad else Status.WARNING,
        "port.some_unexpected",
        value=len(ports),
        count=len(ports),
        ports=listed([str(port) for port in ports], 10),
        evidence=evidence,
    )


def _holders(listeners: list[Listener]) -> list[proc.Process]:
    owners = proc.socket_owners(one.inode for one in listeners)
    numbers = sorted({pid for pids in owners.values() for pid in pids})
    return [one for one in (proc.process(pid) for pid in numbers) if one]


def _evidence(holders: list[proc.Process]) -> list[str]:
    return [f"pid {one.pid} {one.comm}" for one in holders]
