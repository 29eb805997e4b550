# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dates of a certificate, also of one that is rejected."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass
class Certificate:
    """What is told about a certificate. Times are seconds since the epoch."""

    host: str
    begins: float = 0.0
    ends: float = 0.0
    error: str = ""


def read_certificate(secure: ssl.SSLSocket, host: str) -> Certificate:
    """Read what the other side of a connection showed, verified or not."""
    der = secure.getpeercert(binary_form=True) or b""
    try:
        begins, ends = validity(der)
    except (ValueError, IndexError):
        return Certificate(host)
    return Certificate(host, begins, ends)


def validity(der: bytes) -> tuple[float, float]:
    """Return notBefore and notAfter of a certificate; raise ValueError or IndexError when it is none.

    ``getpeercert()`` gives no dates of a certificate that was not verified, and those are the ones of interest.
    """
    certificate = _tlv(der, 0)
    tbs = _tlv(der, certificate[1])
    at = tbs[1]
    if der[at] == 0xA0:  # the optional version
        at = _tlv(der, at)[2]
    for _field in ("serial", "signature algorithm", "issuer"):
        at = _tlv(der, at)[2]
    not_before = _tlv(der, _tlv(der, at)[1])
    not_after = _tlv(der, not_before[2])
    return _asn1_time(der, not_before), _asn1_time(der, not_after)


def _tlv(der: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start of the value and end of the DER element that starts at ``at``."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    if start + length > len(der):
        raise ValueError("DER element ends beyond the data")
    return tag, start, start + length


def _asn1_time(der: bytes, element: tuple[int, int, int]) -> float:
    tag, start, end = element
    text = der[start:end].decode("ascii")
    if tag == 0x17:  # UTCTime: RFC 5280 reads 50 to 99 as the 20th century
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != 0x18:
        raise ValueError(f"tag {tag} is not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
