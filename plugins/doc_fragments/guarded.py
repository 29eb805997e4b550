# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What modules need to know of a host's fence to act behind it; the options are HOST_OPTIONS of failover/act.py."""

    DOCUMENTATION = r"""
options:
  config:
    description:
      - The host's configuration, written by the role P(bilingual_tutor.ops.fencing#role). The options of the module go
        before what it says.
    type: path
    default: /etc/tutor-ops/fencing.json
  host:
    description:
      - Name of the host in the inventory. Needed where there is no O(config).
    type: str
  units:
    description:
      - The guarded units, application, socket and replication.
    type: list
    elements: str
  stop_timeout:
    description:
      - Seconds the units have to stop by themselves before they are killed.
    type: float
  state_dir:
    description:
      - Where C(FENCED) and C(epoch.json) lie.
    type: path
  run_dir:
    description:
      - Where the grant lies; gone after a reboot.
    type: path
"""
