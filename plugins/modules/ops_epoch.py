#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_epoch
short_description: Read or raise the epoch that tells which host may serve
version_added: 0.1.0
description:
  - The epoch is a number that only grows. Each host of the application and each witness keeps it, with the host that
    may serve in it, in C(epoch.json) below O(state_dir).
  - Raising is a compare and set, alone on the host and durable against a power cut. A lower epoch, and the same one for
    another host, are refused.
  - A record that cannot be read is an error, never the same as none.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
options:
  state:
    description:
      - V(read) only reads. V(raise) needs O(epoch) and O(primary).
    type: str
    choices: [read, raise]
    default: read
  epoch:
    description:
      - The new epoch.
    type: int
  primary:
    description:
      - Name in the inventory of the host that may serve in it.
    type: str
  expected:
    description:
      - The epoch that must be stored now; V(0) for none. Anything else refuses, since another run was faster.
    type: int
  run_id:
    description:
      - The run that raises it.
    type: str
    default: ""
  reason:
    description:
      - Why, for people.
    type: str
    default: ""
  state_dir:
    description:
      - Where the record lies.
    type: path
    default: /var/lib/tutor-ops
attributes:
  check_mode:
    support: full
    details: Refuses what would be refused.
  diff_mode:
    support: full
    details: Shows the record before and after.
seealso:
  - module: bilingual_tutor.ops.ops_fence
"""

EXAMPLES = r"""
- name: Which epoch does this host know?
  bilingual_tutor.ops.ops_epoch:
  register: known

- name: Give the next epoch to tutor2, unless somebody was faster
  bilingual_tutor.ops.ops_epoch:
    state: raise
    epoch: "{{ known.epoch + 1 }}"
    expected: "{{ known.epoch }}"
    primary: tutor2
    run_id: 20261123T010203Z-ab12cd
    reason: planned switchover
"""

RETURN = r"""
record:
  description: What lies there now, or would in check mode; null when there is none.
  returned: success
  type: dict
  contains:
    epoch:
      description: The number.
      type: int
      sample: 7
    primary:
      description: The host that may serve.
      type: str
      sample: tutor1
    since:
      description: When it was raised, UTC.
      type: str
      sample: "2026-11-23T02:00:00Z"
    run_id:
      description: The run that raised it.
      type: str
      sample: 20261123T010203Z-ab12cd
    reason:
      description: Why.
      type: str
      sample: planned switchover
epoch:
  description: The number alone, V(0) without a record.
  returned: success
  type: int
  sample: 7
host:
  description: The name the host gives itself.
  returned: success
  type: str
  sample: tutor1
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.act import epoch


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["read", "raise"], default="read"),
            epoch=dict(type="int"),
            primary=dict(type="str"),
            expected=dict(type="int"),
            run_id=dict(type="str", default=""),
            reason=dict(type="str", default=""),
            state_dir=dict(type="path", default="/var/lib/tutor-ops"),
        ),
        required_if=[("state", "raise", ["epoch", "primary"])],
        supports_check_mode=True,
    )
    try:
        result = epoch(module.params, module.check_mode)
    except OpsError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
