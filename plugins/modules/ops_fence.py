#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_fence
short_description: Fence a host so that it cannot serve, lift the fence, or grant an epoch
version_added: 0.1.0
description:
  - V(fenced) writes the file C(FENCED), stops O(units) and what triggers them, kills what does not stop within
    O(stop_timeout), shuts the database's directory to its owner, kills every process that still has the database open,
    proves that C(systemctl start) fails, and takes the grant back. The file outlives a reboot.
  - The units are guarded by the drop-ins of the role P(bilingual_tutor.ops.fencing#role). Without them everything is
    still stopped, and the module fails, since a start would work.
  - V(unfenced) opens the directory and removes the file, with an epoch not older than the one it was fenced for.
  - V(granted) does the same and gives the grant, without which nothing guarded starts; only when the record of this
    host (M(bilingual_tutor.ops.ops_epoch)) has exactly that epoch for this host.
  - Interrupted at any moment the host is left serving as before, or with C(FENCED), so that nothing guarded can start;
    the next run, and the lease within seconds, completes it.
  - A host that its own lease fenced serves again by itself once the witnesses agree that nobody was promoted. V(fenced)
    makes such a fence one of this run, which only V(unfenced) or V(granted) lifts.
  - Root passes a shut directory, so a server that root starts by hand is not stopped by it.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
  - bilingual_tutor.ops.guarded
options:
  state:
    description:
      - What the host is to be.
    type: str
    choices: [fenced, unfenced, granted]
    required: true
  epoch:
    description:
      - The epoch for which it is fenced, unfenced or granted. Without one V(fenced) takes the newest it knows.
    type: int
  run_id:
    description:
      - The run that asks for it.
    type: str
    default: ""
  reason:
    description:
      - Why, for people.
    type: str
    default: ""
  start:
    description:
      - Units to start once granted.
    type: list
    elements: str
    default: []
  database:
    description:
      - The database the application opens; empty leaves its directory and who has it open alone.
    type: str
attributes:
  check_mode:
    support: full
    details: Refuses what would be refused.
  diff_mode:
    support: full
    details: Shows the state of the fence before and after.
seealso:
  - module: bilingual_tutor.ops.ops_epoch
"""

EXAMPLES = r"""
- name: End the service on this host, whatever state it is in
  bilingual_tutor.ops.ops_fence:
    state: fenced
    run_id: 20261123T010203Z-ab12cd
    reason: planned switchover

- name: Serve again in the same epoch
  bilingual_tutor.ops.ops_fence:
    state: granted
    epoch: 7
    start: [bilingual-tutor.service]

- name: What would be ended?
  bilingual_tutor.ops.ops_fence:
    state: fenced
  check_mode: true
  diff: true
"""

RETURN = r"""
before:
  description: What was found.
  returned: success
  type: dict
  contains: &seen
    state:
      description:
        - C(fenced), C(granted), C(unfenced) (neither), or C(half), with C(FENCED) there and something that could serve.
      type: str
      sample: fenced
    fenced_epoch:
      description: The epoch it is fenced for; null when it is not.
      type: int
      sample: 7
    granted_epoch:
      description: The epoch that is granted; null without a grant.
      type: int
      sample: 7
    running:
      description: Units that run.
      type: list
      elements: str
      sample: [bilingual-tutor.service]
    unguarded:
      description: Units that systemd would start under a fence.
      type: list
      elements: str
      sample: []
    holders:
      description: Processes that have the database open, with the begin of their command lines.
      type: list
      elements: str
      sample: ["612 sqlite3 learning.db"]
    open_paths:
      description: What is to be shut to the application and is not.
      type: list
      elements: str
      sample: [/opt/bilingual-tutor/bilingual_tutor/storage]
after:
  description: What there is now, or would be in check mode.
  returned: success
  type: dict
  contains: *seen
evidence:
  description: What was done and proved, in order.
  returned: success
  type: list
  elements: str
  sample: ["/var/lib/tutor-ops/FENCED says epoch 7", "stopped bilingual-tutor.service"]
bound:
  description: Seconds after which this host has stopped by itself when no quorum of witnesses answers (LEASE_BOUND).
  returned: success
  type: float
  sample: 13.0
started:
  description: When it began, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:00:00Z"
duration_ms:
  description: How long it took.
  returned: success
  type: float
  sample: 412.5
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.act import HOST_OPTIONS, fencing


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["fenced", "unfenced", "granted"], required=True),
            epoch=dict(type="int"),
            run_id=dict(type="str", default=""),
            reason=dict(type="str", default=""),
            start=dict(type="list", elements="str", default=[]),
            database=dict(type="str"),
            **HOST_OPTIONS,
        ),
        required_if=[("state", "unfenced", ["epoch"]), ("state", "granted", ["epoch"])],
        supports_check_mode=True,
    )
    acting.run(module, lambda tell: fencing(module.params, module.check_mode))


if __name__ == "__main__":
    main()
