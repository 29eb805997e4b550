# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take secrets and personal data out of text that goes into evidence, reports and messengers."""

from __future__ import annotations

import re

HIDDEN = "***"

# Names whose value is a secret, alone or as the end of a longer name (db_password, X-Api-Key, csrftoken).
_SECRET_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|"
    r"credential|signature|session(?:_?id)?|sid|jwt|密码|口令|令牌)s?"
)

# Order matters: whole headers before single tokens, URLs before mail addresses (user:pw@host looks like one).
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
        HIDDEN,
    ),
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)([\"']?\s*[:=]\s*)"
            r"(?:\"[^\"]*\"|'[^']*'|[^\r\n\"']*)"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer|basic|digest)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b([a-zA-Z][\w+.-]{1,20}://)[^\s/@\"'<>]+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(
            rf"(?i)(?<![\w.-])({_SECRET_NAME})([\"']?\s*(?:=>|[:=：＝])\s*)"
            r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s,;&\"'}\])]+)"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"\b[\w.+%-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}\b"), f"{HIDDEN}@{HIDDEN}"),
    # Chinese mobile numbers, with or without +86; international numbers only with their plus sign,
    # since any other run of digits may be a counter, a size or a time stamp.
    (re.compile(r"(?<![\w.])(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![\w.])"), HIDDEN),
    (re.compile(r"(?<![\w.])\+\d{1,3}[- ]?(?:\(?\d{2,4}\)?[- ]?){2,4}\d{2,4}(?!\w)"), HIDDEN),
)

# Tokens in a query are known by more names than can be listed: of a query only the names are kept.
_QUERY_VALUE = re.compile(r"([?&;][^=&;#\s\"']{1,80}=)[^&;#\s\"']+")


def redact(text: str) -> str:
    """Return the text without passwords, tokens, cookies, credentials in URLs, mail addresses and phone numbers."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def redact_url(url: str) -> str:
    """Return a URL without credentials and without the values of its query."""
    return redact(_QUERY_VALUE.sub(rf"\1{HIDDEN}", url))
