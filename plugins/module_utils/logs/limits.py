# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a log is looked at and told, whatever stands in it."""

from __future__ import annotations

# Bytes of a line that are looked at.
LINE = 4096
# Kinds of errors, or of failed requests, that are counted.
MAX_GROUPS = 1000
# Lines of evidence.
TOP = 10
DAY = 86400.0
