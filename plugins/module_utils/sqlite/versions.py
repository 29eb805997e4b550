# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQLite the application works with, and its known bug."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Reporter
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status


def judge_version(say: Reporter, spec: Mapping[str, Any], version: str, users: int) -> Check:
    """Tell the application's SQLite.

    Debian 12 and Ubuntu 24.04 ship affected versions, so a warning would stand on every healthy host for ever, and be
    read by nobody: it is told, and only warns where it is asked for and several processes write.
    """
    if not version:
        return say.find("sqlite.version", Status.UNKNOWN, "sqlite.version_unknown", python=spec["python"])
    if not wal_reset_bug(version):
        return say.find("sqlite.version", Status.OK, "sqlite.version_fixed", version=version)
    warn = spec["wal_reset_bug"] == "warn" and users > 1
    status = Status.WARNING if warn else Status.OK
    return say.find("sqlite.version", status, "sqlite.version_affected", version=version, count=users)


def wal_reset_bug(version: str) -> bool:
    """Tell whether a SQLite version has the WAL-reset bug: 3.7.0 to 3.51.2, but for the backports 3.44.6 and 3.50.7."""
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if (3, 44, 6) <= numbers < (3, 45) or (3, 50, 7) <= numbers < (3, 51):
        return False
    return (3, 7, 0) <= numbers < (3, 51, 3)
