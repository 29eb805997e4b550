# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS with a certificate made here, by servers that were built with it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

from .conftest import Server, free_port, look


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that is its own authority, for 127.0.0.1."""
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=ops test", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
        check=True,
        capture_output=True,
    )
    return directory


@pytest.fixture
def encrypted(make: Callable[[str], Server], certificates: Path) -> tuple[Server, int]:
    """A server with an encrypted port that wants a client certificate too, and that port.

    The system's server alone: neither wheel is built with TLS.
    """
    server = make("redis-system")
    port = free_port()
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    server.start(port="0", tls_port=str(port), tls_cert_file=cert, tls_key_file=key, tls_ca_cert_file=cert)
    return server, port


def test_tls(encrypted: tuple[Server, int], certificates: Path) -> None:
    _server, port = encrypted
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    mine = {"port": port, "tls": True, "tls_cert": cert, "tls_key": key}
    good = look(**mine, tls_ca=cert)
    assert good["redis.up"].status is Status.OK
    assert good["redis.exposure"].message == "redis.exposure.loopback"
    assert look(**mine, tls_verify=False)["redis.up"].status is Status.OK
    stranger = look(**mine)["redis.up"]
    assert (stranger.status, stranger.message) == (Status.CRITICAL, "redis.up.certificate")
    other_name = look(**{**mine, "host": "localhost"}, tls_ca=cert)["redis.up"]
    assert other_name.message == "redis.up.certificate"
    # TLS 1.3 tells of the missing client certificate only after the handshake.
    nameless = look(port=port, tls=True, tls_ca=cert)["redis.up"]
    assert nameless.status is Status.CRITICAL
    assert nameless.message in ("redis.up.tls", "redis.up.closed")
    plain = look(port=port)["redis.up"]
    assert (plain.status, plain.message) == (Status.CRITICAL, "redis.up.closed")
    assert "TLS" in plain.summary


def test_tls_to_a_stopped_server(encrypted: tuple[Server, int], certificates: Path) -> None:
    server, port = encrypted
    server.freeze()
    up = look(port=port, tls=True, tls_ca=str(certificates / "cert.pem"), seconds=0.3)["redis.up"]
    assert (up.message, up.reason) == ("redis.up.tls_silent", "timeout")


def test_tls_to_a_plain_port(system: Server) -> None:
    system.start()
    # The server takes the greeting for an unfinished command and waits.
    up = look(port=system.port, tls=True, seconds=0.3)["redis.up"]
    assert up.message == "redis.up.tls_silent"
    assert "does this port speak TLS" in up.summary


def test_unusable_files_are_our_mistake(certificates: Path, tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"/nonexistent/ca\.pem"):
        look_at_nothing(tls_ca="/nonexistent/ca.pem")
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "ec", "-in", certificates / "key.pem", "-aes256", "-passout", "pass:abcd", "-out", locked],
        check=True,
        capture_output=True,
    )
    with pytest.raises(OpsError, match="passphrase"):
        look_at_nothing(tls_cert=str(certificates / "cert.pem"), tls_key=str(locked))


def look_at_nothing(**options: str) -> None:
    """Ask a port that accepts: files are read before the first byte is sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        look(port=listener.getsockname()[1], tls=True, seconds=1, **options)
