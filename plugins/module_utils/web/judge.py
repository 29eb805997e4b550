# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare an answer with what is expected of it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.endpoint import Endpoint
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.web.exchange import Exchange, Failed


def judge(endpoint: Endpoint, result: Exchange) -> None:
    """Compare the answer with what is expected; raise Failed for the first difference."""
    if not endpoint.accepts(result.code):
        raise Failed("http.wrong_status", code=result.code, expected=endpoint.expected)
    text = result.body.decode("utf-8", "replace")
    if endpoint.body and not endpoint.body.search(text):
        _mismatch("http.body_mismatch", bytes=len(result.body), pattern=endpoint.body_text)
    if not result.complete:
        _mismatch("http.too_large", limit=endpoint.max_bytes)
    if endpoint.json:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as exc:
            _mismatch("http.not_json", error=endpoint.clean(str(exc))[:120])
        for path, expected in endpoint.json.items():
            seen = _at(data, str(path))
            if not _same(seen, expected):
                shown = "missing" if seen is _MISSING else endpoint.clean(json.dumps(seen, ensure_ascii=False))[:80]
                _mismatch("http.json_differs", path=path, seen=shown, expected=json.dumps(expected, ensure_ascii=False))


def _mismatch(sentence: str, **params: Any) -> NoReturn:
    raise Failed(sentence, check_id="http.body", **params)


_MISSING = object()


def _at(data: Any, path: str) -> Any:
    """Return what stands at a dotted path such as ``database.tables.0.name``, or _MISSING."""
    for step in path.split("."):
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return _MISSING
    return data


def _same(seen: Any, expected: Any) -> bool:
    """Compare strictly, so that true is not 1; but inventory values arrive as text, so text is compared as text too."""
    if isinstance(expected, str) and isinstance(seen, (bool, int, float)):
        return json.dumps(seen) == expected.strip().lower()
    return (
        type(seen) is type(expected)
        and bool(seen == expected)
        or (
            not isinstance(seen, bool)
            and not isinstance(expected, bool)
            and isinstance(seen, (int, float))
            and isinstance(expected, (int, float))
            and seen == expected
        )
    )
