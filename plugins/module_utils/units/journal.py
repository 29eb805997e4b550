# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last words of units that are down."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact

JOURNAL_SECONDS = 2.0
JOURNAL_UNITS = 3
JOURNAL_LINES = 5


def add_journal(checks: list[Check], deadline: Deadline) -> None:
    """Put the last words of units that are down into the evidence: what an operator would look up next."""
    down = [check for check in checks if check.id == "unit.state" and check.status in (Status.CRITICAL, Status.WARNING)]
    for check in down[:JOURNAL_UNITS]:
        if check.reason == "missing":
            continue
        try:
            output = run(
                [
                    "journalctl",
                    "--no-pager",
                    "--quiet",
                    "--output=cat",
                    f"--lines={JOURNAL_LINES}",
                    f"--unit={check.item}",
                ],
                deadline.sooner(JOURNAL_SECONDS).remaining(),
            )
        except OpsError:
            return  # the finding stands without its last words
        check.evidence = [redact(line)[:200] for line in output.stdout.splitlines()[-JOURNAL_LINES:]]
