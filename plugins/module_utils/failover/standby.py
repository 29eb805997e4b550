# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host is a standby: fenced, in an epoch that is another host's."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch, fence
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import PATH, Config


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
