#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_promote
short_description: Put the replica a standby has received in the place of its database, or put that back
version_added: 0.1.0
description:
  - Restores a replica into a private directory beside the database, proves it there, and only then exchanges it with
    the database of this host. What was there before is set aside with its log, and can be put back.
  - With O(digest) the content must be exactly what M(bilingual_tutor.ops.ops_quiesce) has seen on the primary. A
    replica with a gap, a damaged one and one that lacks rows are refused, and nothing is changed then.
  - Refused while this host is granted, serves, or somebody has its database open. A fence may be around it.
  - Grants and starts nothing; that is M(bilingual_tutor.ops.ops_fence) after M(bilingual_tutor.ops.ops_epoch).
  - May be killed at any moment. The former or the new database is whole then, and the next call completes or undoes
    what was begun. Called again by the same run, O(state=placed) changes nothing.
  - Must run as root. Litestream reads what it was sent as the user who received it.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.acting
  - bilingual_tutor.ops.attributes
  - bilingual_tutor.ops.guarded
requirements:
  - Litestream 0.5 with O(source=replica).
  - A file system with hard links.
options:
  state:
    description:
      - V(trial) restores, proves, and throws away. V(placed) exchanges the database. V(undone) puts back what O(run_id)
        has set aside.
    type: str
    choices: [trial, placed, undone]
    required: true
  run_id:
    description:
      - The run that does it.
    type: str
    required: true
  path:
    description:
      - The application's database. Without it the one in O(config).
    type: str
  epoch:
    description:
      - With O(state=placed) the new epoch, for which this host will replicate. With O(state=trial) the one of the
        replica.
    type: int
  epoch_from:
    description:
      - The epoch of the replica. Without it the newest one below O(epoch).
    type: int
  source:
    description:
      - V(replica), or V(snapshot) for the newest verified backup in O(snapshots).
    type: str
    choices: [replica, snapshot]
    default: replica
  snapshots:
    description:
      - Where backups of the primary lie on this host.
    type: path
    default: /srv/tutor-ops-replica/data/snapshots
  digest:
    description:
      - What must be in it, RV(bilingual_tutor.ops.ops_quiesce#module:digest).
    type: dict
  txid:
    description:
      - Transaction that the replica must have reached, RV(bilingual_tutor.ops.ops_quiesce#module:txid).
    type: str
  timestamp:
    description:
      - Restore as of this moment, with its zone, instead of the newest transaction; without O(txid) and O(digest).
    type: str
  level:
    description:
      - V(full) runs C(integrity_check), V(quick) C(quick_check). Of 1 GB that is 11 s and 2 s.
    type: str
    choices: [full, quick]
    default: full
  keep:
    description:
      - How many former databases to keep, C(NAME.before-RUN) beside the database.
    type: int
    default: 2
  arrive:
    description:
      - Seconds to wait for O(txid) to arrive.
    type: float
    default: 5
  binary:
    description:
      - The program Litestream.
    type: path
    default: /usr/local/lib/tutor-ops/litestream
  replication_home:
    description:
      - Where this host receives replicas.
    type: path
    default: /srv/tutor-ops-replica
  replication_epoch_file:
    description:
      - The file that says for which epoch this host replicates.
    type: path
    default: /etc/tutor-ops/replication/epoch
  deadline:
    description:
      - Seconds for restoring and proving.
    type: float
    default: 590
attributes:
  check_mode:
    support: full
    details: Looks at the replica and at the room there is, and restores nothing.
  diff_mode:
    support: full
    details: Shows which database lies under the name, and the epoch this host replicates for.
seealso:
  - module: bilingual_tutor.ops.ops_quiesce
  - module: bilingual_tutor.ops.ops_fence
  - module: bilingual_tutor.ops.sqlite_restore
"""

EXAMPLES = r"""
- name: Could this host take over?
  bilingual_tutor.ops.ops_promote:
    state: trial
    run_id: 20261123T010203Z-ab12cd

- name: Take over what the primary has sent last
  bilingual_tutor.ops.ops_promote:
    state: placed
    run_id: 20261123T010203Z-ab12cd
    epoch: 8
    txid: "{{ quiesced.txid }}"
    digest: "{{ quiesced.digest }}"

- name: Go back to a moment before the damage
  bilingual_tutor.ops.ops_promote:
    state: placed
    run_id: 20261123T010203Z-ab12cd
    epoch: 8
    timestamp: "2026-11-23T01:00:00Z"

- name: The switchover was called off
  bilingual_tutor.ops.ops_promote:
    state: undone
    run_id: 20261123T010203Z-ab12cd
"""

RETURN = r"""
rpo:
  description: How far the database reaches that was restored; null when none was.
  returned: success
  type: dict
  contains:
    newest_at:
      description: When its newest change was copied from the primary, in seconds since 1970.
      type: float
      sample: 1795399199.8
    rows:
      description: Rows of all tables.
      type: int
      sample: 20412
    txid:
      description: Its transaction in hex; null for a backup.
      type: str
      sample: 000000000000002a
source:
  description: What was restored.
  returned: success
  type: str
  sample: /srv/tutor-ops-replica/data/epoch-0007
set_aside:
  description: The former database, empty without one.
  returned: success
  type: str
  sample: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db.before-20261123T010203Z-ab12cd
removed:
  description: Former databases of earlier promotions that were removed.
  returned: success
  type: list
  elements: str
  sample: []
steps:
  description: What was done.
  returned: success
  type: list
  elements: dict
  contains:
    step:
      description: C(restore), C(prove), C(replace) or C(undo).
      type: str
      sample: restore
    seconds:
      description: How long it took.
      type: float
      sample: 0.31
seconds:
  description: How long all of it took.
  returned: success
  type: float
  sample: 0.92
evidence:
  description: What was done and proved, in order.
  returned: success
  type: list
  elements: str
  sample: ["the content is the primary's, 20412 rows"]
started:
  description: When it began, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:00:00Z"
duration_ms:
  description: How long the module took.
  returned: success
  type: float
  sample: 921.3
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.act import HOST_OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.promote.run import promote


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            acting.options(deadline=590.0),
            state=dict(type="str", choices=["trial", "placed", "undone"], required=True),
            run_id=dict(type="str", required=True),
            path=dict(type="str"),
            epoch=dict(type="int"),
            epoch_from=dict(type="int"),
            source=dict(type="str", choices=["replica", "snapshot"], default="replica"),
            snapshots=dict(type="path", default="/srv/tutor-ops-replica/data/snapshots"),
            digest=dict(type="dict"),
            txid=dict(type="str"),
            timestamp=dict(type="str"),
            level=dict(type="str", choices=["full", "quick"], default="full"),
            keep=dict(type="int", default=2),
            arrive=dict(type="float", default=5.0),
            binary=dict(type="path", default="/usr/local/lib/tutor-ops/litestream"),
            replication_home=dict(type="path", default="/srv/tutor-ops-replica"),
            replication_epoch_file=dict(type="path", default="/etc/tutor-ops/replication/epoch"),
            **HOST_OPTIONS,
        ),
        required_if=[("state", "placed", ("epoch",))],
        supports_check_mode=True,
    )
    acting.run(
        module,
        lambda tell: promote(module.params, module.check_mode, tell),
        lambda exc: f"ended by {exc}: the former or the new database is in place; the next call completes or undoes it",
    )


if __name__ == "__main__":
    main()
