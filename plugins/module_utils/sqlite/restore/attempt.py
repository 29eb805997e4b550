# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt to restore: what is asked for, and what it has come to so far."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.journal import Journal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.result import Run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.service import health_endpoint


class Attempt:
    """What all steps of a restore share: the options, the clock, the words and the result they fill.

    ``journal`` is there from the staging on, and never in check mode.
    """

    journal: Journal

    def __init__(self, spec: Mapping[str, Any], deadline: Deadline, tell: Tell, check_mode: bool) -> None:
        self.spec, self.deadline, self.tell, self.check_mode = spec, deadline, tell, check_mode
        self.say = AREA.reporter(source="sqlite_restore")
        self.health = health_endpoint(spec.get("health_url") or "")
        self.result = Run()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note a step and how long it took; one that raised is not noted."""
        self.tell(name, None)
        begin = time.monotonic()
        yield
        self.result.steps.append({"step": name, "seconds": round(time.monotonic() - begin, 3)})
