# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator says should be true of a path."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.durations import seconds
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError


@dataclass(frozen=True)
class Wish:
    """What should be true of one path or of all that a glob matches."""

    path: str
    type: str
    present: bool
    optional: bool
    warn_size: int | None
    critical_size: int | None
    min_size: int | None
    max_age: float | None
    critical_age: float | None
    min_age: float | None
    mode: int | None
    max_mode: int | None
    owner: str
    group: str

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Wish:
        path = str(spec.get("path") or "")
        if not path.startswith("/"):
            raise OpsError(f"file: path {path!r}: expected an absolute path or glob")
        return cls(
            path=path if path == "/" else path.rstrip("/"),
            type=spec.get("type") or "any",
            present=(spec.get("state") or "present") == "present",
            optional=bool(spec.get("optional")),
            warn_size=_bytes(spec, path, "warn_size"),
            critical_size=_bytes(spec, path, "critical_size"),
            min_size=_bytes(spec, path, "min_size"),
            max_age=_age(spec, path, "max_age"),
            critical_age=_age(spec, path, "critical_age"),
            min_age=_age(spec, path, "min_age"),
            mode=_octal(spec.get("mode"), path),
            max_mode=_octal(spec.get("max_mode"), path),
            owner=str(spec.get("owner") or ""),
            group=str(spec.get("group") or ""),
        )

    def paths(self) -> list[str]:
        """Return what the glob matches, or the path itself so that it can be missing."""
        return sorted(glob.glob(self.path)) or [self.path] if glob.has_magic(self.path) else [self.path]


def _bytes(spec: Mapping[str, Any], path: str, option: str) -> int | None:
    text = spec.get(option)
    if text in (None, ""):
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", str(text).strip().lower())
    if not match:
        raise OpsError(f"file: {path}: {option} {text!r}: expected bytes such as 1048576, 500M or 2G")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def _age(spec: Mapping[str, Any], path: str, option: str) -> float | None:
    text = spec.get(option)
    if text in (None, ""):
        return None
    try:
        return seconds(text)
    except OpsError as exc:
        raise OpsError(f"file: {path}: {option}: {exc}") from exc


def _octal(text: Any, path: str) -> int | None:
    if text in (None, ""):
        return None
    if not re.fullmatch(r"0?[0-7]{3,4}", str(text)):
        raise OpsError(f"file: {path}: mode {text!r}: expected octal digits in quotes, such as '0750'")
    return int(str(text), 8)
