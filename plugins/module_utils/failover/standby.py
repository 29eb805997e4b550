# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host is a standby: fenced, in an epoch that is another host's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch, fence
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import PATH, Config

# Options of the modules that do what only the host that serves has to do. Documented by the fragment serving.
SERVING_OPTIONS: dict[str, dict[str, Any]] = {
    "serving": {"type": "bool", "default": True},
    "config": {"type": "path", "default": PATH},
}


def left_to(options: Mapping[str, Any]) -> str:
    """Return the host that a module with SERVING_OPTIONS leaves its work to; empty where it does it here.

    Whoever calls the code below the module without these options has decided already: a promotion verifies on a standby.
    """
    return serves_elsewhere(options["config"]) if options.get("serving") else ""


def serves_elsewhere(path: str = PATH) -> str:
    """Return the host that serves when this one is fenced for it; empty for any other host, also when it cannot be told.

    A fenced host whose own epoch it is has to serve, and what is missing there is a finding.
    """
    try:
        config = Config.read(path)
        record = epoch.read(config.state_dir)
    except OpsError:
        return ""
    if record is None or record.primary == config.host or fence.read(config.state_dir) is None:
        return ""
    return record.primary
