# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of accounts, for sentences."""

from __future__ import annotations

import pwd


def user_name(uid: int, prefix: str = "") -> str:
    """Return the name of a user, the number of one without an account with ``prefix`` before it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"{prefix}{uid}"
