# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a name to a connected socket on which all waiting together ends at one deadline."""

from __future__ import annotations

import io
import ipaddress
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.exchange import Failed, told


class Bounded(io.RawIOBase):
    """A socket as http.client wants it, on which all reading together ends at one deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline
        self.received = 0
        self.first_byte_at = 0.0

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(seconds_left(self._deadline))
        self._sock.sendall(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(seconds_left(self._deadline))
        count = self._sock.recv_into(buffer)
        if count and not self.received:
            self.first_byte_at = time.monotonic()
        self.received += count
        return count

    def close(self) -> None:
        """Leave the socket to its owner: http.client closes this early, while its reader is still in use."""


def seconds_left(deadline: Deadline) -> float:
    """Return what is left for the next wait; raise the error of a socket that waited too long when nothing is."""
    left = deadline.remaining()
    if left <= 0:
        raise socket.timeout("deadline")
    return left


def resolve(host: str, port: int, deadline: Deadline) -> list[tuple[Any, ...]]:
    """Return the addresses of a host.

    getaddrinfo cannot be interrupted and takes 10 s and more where the resolver is dead: it gets a thread of its own,
    which is left behind when it does not answer (the probe is a process of its own that ends right after).
    """
    plain = "127.0.0.1" if host.lower() == "localhost" else host
    try:
        literal = ipaddress.ip_address(plain)
    except ValueError:
        pass
    else:
        family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
        found: list[tuple[Any, ...]] = [(family, (plain, port))]
        if host.lower() == "localhost":
            found.append((socket.AF_INET6, ("::1", port)))
        return found
    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            answer.append(exc)

    waited = deadline.remaining()
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(waited)
    if not answer:
        raise Failed("http.dns_timeout", reason="timeout", host=host, waited=waited)
    if isinstance(answer[0], Exception):
        raise Failed("http.dns_failed", reason="error", host=host, error=told(answer[0]))
    return [(family, sockaddr) for family, _type, _proto, _name, sockaddr in answer[0]]


def connect(addresses: Sequence[tuple[Any, ...]], deadline: Deadline) -> tuple[socket.socket, str]:
    """Return a connected socket and its address as text; each address gets its share of the time left."""
    shown, error = "", ""
    start = time.monotonic()
    timed_out = False
    for number, (family, sockaddr) in enumerate(addresses):
        shown = f"[{sockaddr[0]}]:{sockaddr[1]}" if family == socket.AF_INET6 else f"{sockaddr[0]}:{sockaddr[1]}"
        share = deadline.remaining() / (len(addresses) - number)
        if share <= 0:
            timed_out = True
            break
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as exc:
            error = error or told(exc)
            continue
        try:
            sock.settimeout(share)
            sock.connect(sockaddr)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except socket.timeout:
            timed_out = True
            sock.close()
        except OSError as exc:
            error = error or f"{told(exc)} ({shown})"
            sock.close()
        else:
            return sock, shown
    if timed_out:
        raise Failed("http.connect_timeout", reason="timeout", address=shown, waited=time.monotonic() - start)
    raise Failed("http.connect_failed", address=shown, error=error)
