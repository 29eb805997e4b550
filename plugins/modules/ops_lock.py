#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_lock
short_description: Let one run at a time act on a host
version_added: 0.1.0
description:
  - A failover takes the lock of every host it acts on, so that a second one, also from another controller, is
    refused before it has touched anything.
  - The lock is a file that outlives the run, C(run.json) below O(state_dir). It ends at its time, or when the run gives
    it back.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
options:
  state:
    description:
      - V(held) takes the lock for O(run_id) or keeps it; refused while another run has it. V(free) gives it back.
    type: str
    choices: [held, free]
    required: true
  run_id:
    description:
      - The run.
    type: str
    required: true
  controller:
    description:
      - Where it was started, for whom it keeps waiting.
    type: str
    default: ""
  expires_s:
    description:
      - Seconds after which the lock is nobody's, by the clock of the host.
    type: int
    default: 1800
  reason:
    description:
      - What the run is for.
    type: str
    default: ""
  supersedes:
    description:
      - Runs that are known to be over, whose locks are taken as if they were free. Their controller could not reach the
        host to give them back.
    type: list
    elements: str
    default: []
  state_dir:
    description:
      - Where the lock lies.
    type: path
    default: /var/lib/tutor-ops
attributes:
  check_mode:
    support: full
    details: Refuses what would be refused.
  diff_mode:
    support: full
    details: Shows the lock before and after.
seealso:
  - module: bilingual_tutor.ops.ops_failover
"""

EXAMPLES = r"""
- name: Take the lock
  bilingual_tutor.ops.ops_lock:
    state: held
    run_id: 20261123T010203Z-ab12cd
    controller: station1
    reason: switchover to tutor2

- name: Give it back
  bilingual_tutor.ops.ops_lock:
    state: free
    run_id: 20261123T010203Z-ab12cd
"""

RETURN = r"""
before:
  description: The lock that was found; null when there was none.
  returned: success
  type: dict
  contains: &lock
    run_id:
      description: The run that has it.
      type: str
      sample: 20261123T010203Z-ab12cd
    controller:
      description: Where that run was started.
      type: str
      sample: station1
    since:
      description: Since when, UTC.
      type: str
      sample: "2026-11-23T02:00:00Z"
    expires:
      description: Until when, UTC.
      type: str
      sample: "2026-11-23T02:30:00Z"
    reason:
      description: What for.
      type: str
      sample: switchover to tutor2
lock:
  description: The lock there is now, or would be in check mode; null when there is none.
  returned: success
  type: dict
  contains: *lock
started:
  description: When it began, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:00:00Z"
duration_ms:
  description: How long it took.
  returned: success
  type: float
  sample: 1.5
"""

from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive import lock


def act(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Take the lock or give it back."""
    where, run_id = Path(params["state_dir"]), params["run_id"]
    if params["state"] == "free":
        return lock.free(where, run_id, check_mode)
    words = (params["controller"], params["expires_s"], params["reason"])
    return lock.hold(where, run_id, *words, check_mode, params["supersedes"])


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["held", "free"], required=True),
            run_id=dict(type="str", required=True),
            controller=dict(type="str", default=""),
            expires_s=dict(type="int", default=1800),
            reason=dict(type="str", default=""),
            supersedes=dict(type="list", elements="str", default=[]),
            state_dir=dict(type="path", default="/var/lib/tutor-ops"),
        ),
        supports_check_mode=True,
    )
    acting.run(module, lambda tell: act(module.params, module.check_mode))


if __name__ == "__main__":
    main()
