# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What modules need to know to leave a standby alone; the options are SERVING_OPTIONS of failover/standby.py."""

    DOCUMENTATION = r"""
options:
  serving:
    description:
      - Whether this is for the host that serves only. A host that is fenced in an epoch of another host is its standby,
        which is no host without O(config).
    type: bool
    default: true
  config:
    description:
      - The host's configuration, written by the role P(bilingual_tutor.ops.fencing#role).
    type: path
    default: /etc/tutor-ops/fencing.json
"""
