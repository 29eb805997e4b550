# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a Redis or Valkey server, one pipelined exchange, and a deadline that nothing outlasts.

The ``redis`` library packs the commands and parses the replies; the socket is made here. The library's own time-outs
start anew with every ``recv``, so a server that sends one byte a second would hold it for ever, and it resolves names
without any bound.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import ipaddress
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline


class LibraryMissing(OpsError):
    """The Python library ``redis`` cannot be imported on this host."""


class Unreachable(Exception):
    """The server gave no usable answer; ``kind`` is the last part of a sentence key ``redis.up.KIND``."""

    def __init__(self, kind: str, detail: str = "", waited: float = 0.0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.waited = waited


@dataclass(frozen=True)
class Target:
    """Where the server is and as whom to ask it."""

    host: str = "127.0.0.1"
    port: int = 6379
    unix_socket: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_verify: bool = True

    @property
    def item(self) -> str:
        """Name of the server in findings: the socket's path, or host and port."""
        if self.unix_socket:
            return self.unix_socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def user(self) -> str:
        """Name of the ACL user: known without asking, since ACL WHOAMI is not part of the documented grant."""
        return self.username or "default"

    @property
    def local(self) -> bool:
        """Tell whether the address is one of this host; a forwarded port still looks local (see ``Host.read``)."""
        if self.unix_socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Refusal(NamedTuple):
    """The server's error reply to one command: ``denied`` by the ACL, ``unknown`` to this version, or another error."""

    kind: str
    text: str


class Exchange(NamedTuple):
    """All replies in the order of the commands, and the time to the first of them in milliseconds."""

    replies: list[Any]
    ping_ms: float


class _Library(NamedTuple):
    connection: Any
    exceptions: Any


# The last two: a library that is too new for this Python.
_UNUSABLE = (ImportError, AttributeError, TypeError, SyntaxError)


@functools.lru_cache(maxsize=1)
def load_library() -> _Library:
    """Import what is needed of the ``redis`` library, in a tenth of the time of ``import redis``.

    ``import redis`` runs the package's ``__init__``, which pulls in the cluster client, asyncio and every command:
    130 ms of CPU for Debian 12's 4.3, more than all other probes of a host together. ``redis.connection`` alone takes
    14 ms, so it is imported below a package whose ``__init__`` did not run. The private copy is taken out of
    ``sys.modules`` again: whoever imports redis later gets the whole one. A version that cannot be imported this way
    is imported as a whole.
    """
    if "redis" not in sys.modules:
        spec = importlib.util.find_spec("redis")
        if spec is not None:
            sys.modules["redis"] = importlib.util.module_from_spec(spec)
            try:
                return _import()
            except _UNUSABLE:
                pass
            finally:
                for name in [name for name in sys.modules if name == "redis" or name.startswith("redis.")]:
                    del sys.modules[name]
    try:
        return _import()
    except _UNUSABLE as exc:
        raise LibraryMissing(f"the Python library redis cannot be imported: {exc}") from exc


def _import() -> _Library:
    return _Library(importlib.import_module("redis.connection"), importlib.import_module("redis.exceptions"))


class _Bounded:
    """A socket whose waits together end at the deadline, whatever time-outs the library sets on it."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self.received = 0

    def recv(self, size: int) -> bytes:
        self._arm()
        data = self._sock.recv(size)
        self.received += len(data)
        return data

    def recv_into(self, buffer: Any, *rest: Any) -> int:
        self._arm()
        size = self._sock.recv_into(buffer, *rest)
        self.received += size
        return size

    def sendall(self, data: bytes) -> None:
        self._arm()
        # A server that refuses this client says why and closes: its last words are still to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._sock.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """Ignore the library: only the deadline counts."""

    def _arm(self) -> None:
        left = self._deadline.remaining()
        if left <= 0:
            raise socket.timeout("deadline passed")
        self._sock.settimeout(left)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def exchange(
    target: Target, commands: Sequence[Sequence[str]], deadline: Deadline, slow_ms: float, pings: int = 4
) -> Exchange:
    """Send all commands at once, the first of which must be INFO, and read all replies.

    Only when the first reply took longer than ``slow_ms``, ``pings`` single PINGs follow on the same connection and the
    median counts: on a busy host one slow wake-up of this process is not a slow server.

    Raises Unreachable when there is no usable answer, OpsError when our own side is misconfigured.
    """
    library = load_library()
    begin = time.monotonic()
    sock = _Bounded(_connect(target, deadline), deadline)
    connection = _wrap(library, sock)
    auth = _auth(target)
    try:
        connection.connect()
        sent = time.monotonic()
        connection.send_packed_command(connection.pack_commands([*auth, *commands]), check_health=False)
        for _command in auth:
            _read_auth(library, connection, target)
        replies = [_read(library, connection)]
        times = [(time.monotonic() - sent) * 1000]
        if _loading(replies[0]):
            return Exchange(replies, times[0])
        replies += [_read(library, connection) for _command in commands[1:]]
        may_ping = all(
            not isinstance(reply, Refusal) for command, reply in zip(commands, replies) if command[0] == "PING"
        )
        if times[0] > slow_ms and may_ping:
            times += _ping(library, connection, pings)
        return Exchange(replies, sorted(times)[len(times) // 2])
    except library.exceptions.TimeoutError:
        waited = time.monotonic() - begin
        raise Unreachable("drip" if sock.received else "silent", str(sock.received), waited) from None
    except library.exceptions.BusyLoadingError:
        raise Unreachable("loading") from None
    except library.exceptions.AuthenticationError as exc:
        raise _denied(target, str(exc)) from None
    except library.exceptions.ConnectionError as exc:
        text = str(exc)
        raise Unreachable("full" if "max number of clients" in text else "closed", text) from None
    except library.exceptions.InvalidResponse as exc:
        raise Unreachable("foreign", str(exc)[:80]) from None
    finally:
        connection.disconnect()


def _auth(target: Target) -> list[tuple[str, ...]]:
    # One argument means the user "default" on every version; with its name a server without password accepts any.
    if target.username:
        return [("AUTH", target.username, target.password)]
    return [("AUTH", target.password)] if target.password else []


def _wrap(library: _Library, sock: _Bounded) -> Any:
    class Wire(library.connection.Connection):  # type: ignore[name-defined]
        def _connect(self) -> _Bounded:
            return sock

    def bare(connection: Any) -> None:
        # Not the library's on_connect: AUTH goes with the exchange, and no HELLO or CLIENT SETINFO is wanted.
        connection._parser.on_connect(connection)

    options: dict[str, Any] = {"redis_connect_func": bare, "decode_responses": True, "encoding_errors": "replace"}
    # 8.x would import the whole package to find its own version number; before 5.0 there was only protocol 2.
    for newer in ({"protocol": 2, "driver_info": None}, {"protocol": 2}):
        with contextlib.suppress(TypeError):
            return Wire(**newer, **options)
    return Wire(**options)


def _read_auth(library: _Library, connection: Any, target: Target) -> None:
    reply = _read(library, connection)
    if isinstance(reply, Refusal):
        raise _denied(target, reply.text)


def _denied(target: Target, text: str) -> Unreachable:
    if "without any password" in text or "no password is set" in text:
        return Unreachable("no_password_set", text)
    if not target.password:
        return Unreachable("password_wanted", text)
    return Unreachable("wrong_password", text)


def _read(library: _Library, connection: Any) -> Any:
    try:
        return connection.read_response()
    except library.exceptions.ResponseError as exc:
        text = str(exc)
        if "protected mode" in text:
            raise Unreachable("protected", text[:120]) from None
        lower = text.lower()
        if "no permissions" in lower:
            return Refusal("denied", text)
        return Refusal("unknown" if "unknown" in lower else "error", text)


def _loading(info: Any) -> bool:
    return isinstance(info, str) and "\nloading:1" in info


def _ping(library: _Library, connection: Any, pings: int) -> list[float]:
    times = []
    for _number in range(pings):
        sent = time.monotonic()
        connection.send_command("PING", check_health=False)
        if isinstance(_read(library, connection), Refusal):
            break
        times.append((time.monotonic() - sent) * 1000)
    return times


def _connect(target: Target, deadline: Deadline) -> socket.socket:
    begin = time.monotonic()
    sock = _connect_unix(target, deadline) if target.unix_socket else _connect_tcp(target, deadline)
    if not target.tls:
        return sock
    context = _tls_context(target)
    sock.settimeout(max(deadline.remaining(), 0.001))
    try:
        return context.wrap_socket(sock, server_hostname=target.host)
    except socket.timeout:
        sock.close()
        raise Unreachable("tls_silent", waited=time.monotonic() - begin) from None
    except ssl.SSLCertVerificationError as exc:
        sock.close()
        raise Unreachable("certificate", exc.verify_message) from None
    except OSError as exc:
        sock.close()
        raise Unreachable("tls", str(exc)) from None


def _tls_context(target: Target) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=target.tls_ca or None)
        if target.tls_cert:
            context.load_cert_chain(target.tls_cert, target.tls_key or None, password=_no_passphrase)
    except (OSError, ValueError) as exc:
        files = ", ".join(name for name in (target.tls_ca, target.tls_cert, target.tls_key) if name)
        raise OpsError(
            f"TLS files for {target.item} cannot be used ({files}): {exc}; "
            "expected PEM files that the connecting user may read, and a key without passphrase"
        ) from exc
    if not target.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_passphrase() -> str:
    # Without this OpenSSL asks for the passphrase at the terminal, where nobody answers.
    raise ValueError("the key wants a passphrase")


def _connect_unix(target: Target, deadline: Deadline) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(max(deadline.remaining(), 0.001))
    try:
        sock.connect(target.unix_socket)
    except FileNotFoundError:
        sock.close()
        raise Unreachable("no_socket", target.unix_socket) from None
    except PermissionError:
        sock.close()
        raise Unreachable("forbidden_socket", target.unix_socket) from None
    except socket.timeout:
        sock.close()
        raise Unreachable("connect_timeout", waited=deadline.seconds) from None
    except OSError as exc:
        sock.close()
        raise Unreachable("refused", exc.strerror or str(exc)) from None
    return sock


def _connect_tcp(target: Target, deadline: Deadline) -> socket.socket:
    begin = time.monotonic()
    addresses = _resolve(target, deadline)
    failure: OSError = OSError("no address")
    for number, (family, address) in enumerate(addresses):
        # The first address that swallows packets must leave time for the others.
        share = deadline.remaining() / (len(addresses) - number)
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(max(share, 0.001))
        try:
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as exc:
            sock.close()
            failure = exc
    if isinstance(failure, socket.timeout):
        raise Unreachable("connect_timeout", waited=time.monotonic() - begin)
    raise Unreachable("refused", failure.strerror or str(failure))


def _resolve(target: Target, deadline: Deadline) -> list[tuple[Any, Any]]:
    """Resolve in a thread that may be left behind: getaddrinfo knows no time-out (a dead resolver takes 10 s and more)."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            outcome.append([(entry[0], entry[4]) for entry in found])
        except OSError as exc:
            outcome.append(exc)

    begin = time.monotonic()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    if not outcome:
        raise Unreachable("resolver_silent", target.host, time.monotonic() - begin)
    if isinstance(outcome[0], OSError):
        raise Unreachable("unresolved", outcome[0].strerror or str(outcome[0]))
    return outcome[0]
