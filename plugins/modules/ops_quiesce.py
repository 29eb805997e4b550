#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_quiesce
short_description: Stop and fence the primary, send the last it has committed, and tell what that is
version_added: 0.1.0
description:
  - Fences the host as M(bilingual_tutor.ops.ops_fence) does, and proves it. From then on nobody can write.
  - Then C(litestream replicate -once) sends the rest of the log, the log is written into the database, and its content
    is hashed. RV(txid) and RV(digest) are what M(bilingual_tutor.ops.ops_promote) on the other host has to have.
  - All of it runs as the owner of the database, so that no file of root is left beside it, whatever ends the run.
  - May be killed at any moment and called again. Called again by the same run with nothing changed since, it changes
    nothing and returns the same.
  - To go back, grant the host again in the same epoch (M(bilingual_tutor.ops.ops_fence), O(ignore:state=granted)).
  - Must run as root.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.acting
  - bilingual_tutor.ops.attributes
  - bilingual_tutor.ops.guarded
requirements:
  - Litestream 0.5 with O(sync=true).
options:
  run_id:
    description:
      - The run that does it.
    type: str
    required: true
  epoch:
    description:
      - The epoch to fence for, the one in force. Without it the newest this host knows.
    type: int
  reason:
    description:
      - Why, for people.
    type: str
    default: ""
  sync:
    description:
      - Whether to send and hash. V(false) only stops and fences, for a disk that is full or a database that is damaged.
    type: bool
    default: true
  binary:
    description:
      - The program Litestream.
    type: path
    default: /usr/local/lib/tutor-ops/litestream
  replication_config:
    description:
      - Its configuration.
    type: path
    default: /etc/tutor-ops/replication/litestream.yml
  replication_epoch_file:
    description:
      - The file that says for which epoch it sends.
    type: path
    default: /etc/tutor-ops/replication/epoch
  database:
    description:
      - As O(bilingual_tutor.ops.ops_fence#module:database).
    type: str
  deadline:
    description:
      - Seconds for sending and hashing. Fencing comes first and has limits of its own.
    type: float
    default: 50
attributes:
  check_mode:
    support: full
    details: Nothing is stopped, sent or hashed.
  diff_mode:
    support: full
    details: Shows what the host would be and is with regard to the fence.
seealso:
  - module: bilingual_tutor.ops.ops_fence
  - module: bilingual_tutor.ops.ops_promote
"""

EXAMPLES = r"""
- name: End the service here, with nothing lost
  bilingual_tutor.ops.ops_quiesce:
    run_id: 20261123T010203Z-ab12cd
    epoch: 7
    reason: planned switchover
  register: quiesced

- name: Go on there with exactly that
  bilingual_tutor.ops.ops_promote:
    state: placed
    run_id: 20261123T010203Z-ab12cd
    epoch: 8
    txid: "{{ quiesced.txid }}"
    digest: "{{ quiesced.digest }}"
  delegate_to: tutor2
"""

RETURN = r"""
synced:
  description: Whether all that was committed is in the replica.
  returned: success
  type: bool
  sample: true
txid:
  description: The newest transaction of the replica, in hex; null without O(sync).
  returned: success
  type: str
  sample: 000000000000002a
digest:
  description: What is in the database, for M(bilingual_tutor.ops.ops_promote); null without O(sync).
  returned: success
  type: dict
  contains:
    file:
      description: C(sha256) and C(bytes) of the database, which is a single file.
      type: dict
    schema:
      description: A hash of the schema, of databases up to 64 MiB.
      type: str
    tables:
      description: The number of rows and a hash of them by table, of databases up to 64 MiB.
      type: dict
rows:
  description: Rows of all tables.
  returned: success
  type: int
  sample: 20412
newest_at:
  description: When the newest transaction was copied, in seconds since 1970.
  returned: success
  type: float
  sample: 1795399199.8
before:
  description: The fence as it was found, as RV(bilingual_tutor.ops.ops_fence#module:before).
  returned: success
  type: dict
after:
  description: The fence now, or as it would be in check mode.
  returned: success
  type: dict
bound:
  description: Seconds after which this host would have stopped by itself without a quorum.
  returned: success
  type: float
  sample: 13.0
evidence:
  description: What was done and proved, in order.
  returned: success
  type: list
  elements: str
  sample: ["stopped bilingual-tutor.service", "the replica has transaction 000000000000002a"]
started:
  description: When it began, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:00:00Z"
duration_ms:
  description: How long it took.
  returned: success
  type: float
  sample: 1212.5
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.act import HOST_OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.quiesce.run import quiesce


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            acting.options(deadline=50.0),
            run_id=dict(type="str", required=True),
            epoch=dict(type="int"),
            reason=dict(type="str", default=""),
            sync=dict(type="bool", default=True),
            binary=dict(type="path", default="/usr/local/lib/tutor-ops/litestream"),
            replication_config=dict(type="path", default="/etc/tutor-ops/replication/litestream.yml"),
            replication_epoch_file=dict(type="path", default="/etc/tutor-ops/replication/epoch"),
            database=dict(type="str"),
            **HOST_OPTIONS,
        ),
        supports_check_mode=True,
    )
    acting.run(module, lambda tell: quiesce(module.params, module.check_mode, tell))


if __name__ == "__main__":
    main()
