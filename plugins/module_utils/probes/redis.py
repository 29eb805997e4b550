# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probe ``redis``: is the server there, is it healthy, may we look. The same engine as the module ``redis_stats``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis import area, engine
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.wire import LibraryMissing, Target

AREA = area.AREA
OPTIONS = engine.OPTIONS
TIMEOUT = 5.0
validate = engine.validate


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at one server; a missing library or an unusable option is UNKNOWN with what to do."""
    # Well before the probe's own deadline, so that the finding says what was waited for.
    patience = deadline.sooner(min(engine.PATIENCE, deadline.remaining() * 0.8))
    try:
        found = engine.inspect(spec, spec["thresholds"], previous, patience)
    except OpsError as exc:
        missing = isinstance(exc, LibraryMissing)
        target = Target(**{name: spec[name] for name in Target.__dataclass_fields__})
        say = AREA.reporter(source="redis")
        check = say.find(
            "redis.up",
            Status.UNKNOWN,
            "redis.up.library" if missing else "redis.up.misconfigured",
            item=target.item,
            reason="missing" if missing else "error",
            detail=str(exc),
            evidence=[str(exc)],
        )
        return ProbeResult([check], dict(previous))
    return ProbeResult(found.checks, found.state)
