# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TLS handshake; nothing is sent to a server whose certificate is rejected."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.certificate import Certificate, read_certificate
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.connection import seconds_left
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.endpoint import Endpoint
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.exchange import Exchange, Failed, Untrusted, told


def handshake(
    sock: socket.socket, endpoint: Endpoint, host: str, address: str, deadline: Deadline, result: Exchange
) -> ssl.SSLSocket:
    """Make a connection secure and keep what its certificate says; raise Untrusted or Failed."""
    start = time.monotonic()
    peer, family = sock.getpeername(), sock.family
    try:
        secure = _wrap(sock, _context(endpoint), host, deadline)
    except ssl.SSLCertVerificationError as exc:
        certificate = _look_at(peer, family, host, deadline)
        certificate.error = exc.verify_message or told(exc)
        result.certificate = certificate
        raise Untrusted from None
    except socket.timeout:
        raise Failed("http.no_first_byte", reason="timeout", address=address, waited=time.monotonic() - start) from None
    except OSError as exc:
        raise Failed("http.tls_failed", address=address, error=told(exc)) from None
    result.certificate = read_certificate(secure, host)
    return secure


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        if endpoint.validate_certs:
            context = ssl.create_default_context(cafile=endpoint.ca_path or None)
            # Python 3.13 alone refuses authorities without a key usage, which many own ones lack and curl accepts:
            # a finding must not depend on the Python of the host that looks.
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
            return context
    except OSError as exc:
        raise OpsError(
            f"{endpoint.item}: ca_path {endpoint.ca_path} cannot be read as certificates: {told(exc)}"
        ) from exc
    return _accepting_all()


def _accepting_all() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _wrap(sock: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> ssl.SSLSocket:
    sock.settimeout(seconds_left(deadline))
    secure = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        secure.settimeout(seconds_left(deadline))
        secure.do_handshake()
    except BaseException:
        secure.close()
        raise
    return secure


def _look_at(sockaddr: Any, family: int, host: str, deadline: Deadline) -> Certificate:
    """Fetch a certificate that was rejected, to tell its dates. Nothing is sent on this connection."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(seconds_left(deadline))
            sock.connect(sockaddr)
            with _wrap(sock, _accepting_all(), host, deadline) as secure:
                return read_certificate(secure, host)
    except OSError:
        return Certificate(host)
