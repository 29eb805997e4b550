#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: replica_verify
short_description: Prove that a replica made by Litestream has the same rows as the primary
version_added: 0.1.0
description:
  - A replica from which rows were lost in the middle is restored without an error and passes C(PRAGMA integrity_check).
    This module compares its content with the primary's while the application writes, in two calls.
  - O(state=pin) on the primary holds the write lock until Litestream has copied the log to its end, pins a reader at
    that moment, lets the writers go on, and returns a hash of the rows of each table and the transaction that has them.
  - O(state=compare) where the replica lies waits for that transaction, restores it into a private directory as the user
    who received it, and compares.
  - A difference is a finding in RV(checks) and never fails the task; RV(ok) is only true when all rows are the same.
  - Writers wait for one sync of Litestream, 0.1 s at a sync interval of 100 ms, and never longer than O(max_stall).
  - Locks end with the process, whatever ends it. A restored copy that a killed run left is removed by the next one.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes.observes
requirements:
  - Litestream 0.5 with O(state=compare).
options:
  state:
    description:
      - What to do here.
    type: str
    choices: [pin, compare]
    required: true
  path:
    description:
      - The live database, with O(state=pin).
    type: path
  service:
    description:
      - The unit that must have O(path) open; empty does not ask.
    type: str
    default: ""
  pidfile:
    description:
      - The pid file of the process that must have O(path) open, instead of O(service).
    type: path
  busy_timeout:
    description:
      - Seconds to wait for the write lock.
    type: float
    default: 5
  max_stall:
    description:
      - Seconds that writers may be kept waiting, at each of three attempts.
    type: float
    default: 1
  moment:
    description:
      - What O(state=pin) returned as RV(moment), with O(state=compare).
    type: dict
  replica:
    description:
      - The directory of the replica, with O(state=compare).
    type: path
  binary:
    description:
      - The program Litestream.
    type: str
    default: litestream
  arrive:
    description:
      - Seconds to wait for the transaction to arrive in the replica.
    type: float
    default: 30
  scratch:
    description:
      - Existing directory to restore into. Without it the one the replica lies in, or C(/var/tmp) if that cannot be
        written.
    type: path
  level:
    description:
      - How the restored database is checked besides, as O(bilingual_tutor.ops.sqlite_backup_verify#module:level).
    type: str
    choices: [full, quick, none]
    default: quick
  deadline:
    description:
      - Seconds for everything together. Litestream keeps single transactions for five minutes.
    type: float
    default: 240
  thresholds:
    description:
      - Thresholds to lay over the defaults, by check.
    type: dict
    default: {}
seealso:
  - module: bilingual_tutor.ops.sqlite_backup_verify
"""

EXAMPLES = r"""
- name: Pin a moment of the primary
  bilingual_tutor.ops.replica_verify:
    state: pin
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor.service
  register: __pinned

- name: Compare the replica on the standby with it
  bilingual_tutor.ops.replica_verify:
    state: compare
    moment: "{{ __pinned.moment }}"
    replica: /srv/tutor-ops-replica/data/epoch-0001
    binary: /usr/local/lib/tutor-ops/litestream
  delegate_to: tutor2
  register: __compared
"""

RETURN = r"""
ok:
  description: Whether the moment was pinned, or the replica has the same rows.
  returned: success
  type: bool
  sample: true
moment:
  description: The moment, for O(state=compare).
  returned: success
  type: dict
  contains:
    txid:
      description: The transaction of the replica, in hex as C(litestream restore -txid) takes it.
      type: str
      sample: 000000000000002a
    digest:
      description: C(schema), a hash of all of it, and in C(tables) the number of rows and a hash of them by table.
      type: dict
    stall:
      description: Seconds that the write lock was held.
      type: float
      sample: 0.0531
checks:
  description: The check C(replication.stall) with O(state=pin), C(replication.content) with O(state=compare).
  returned: success
  type: list
  elements: dict
started:
  description: When the run began, UTC.
  returned: success
  type: str
  sample: "2026-11-23T18:00:00Z"
duration_ms:
  description: How long it took.
  returned: success
  type: float
  sample: 312.5
"""

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication import proof
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.replication.area import AREA
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.target import OPTIONS, find_target


def act(options: dict[str, Any]) -> dict[str, Any]:
    deadline = Deadline(options["deadline"])
    say = AREA.reporter(options["thresholds"])
    if options["state"] == "compare":
        check = proof.compare(say, options, deadline)
        return {"moment": options["moment"], "checks": [check.as_dict()], "ok": check.status is Status.OK}
    moment = proof.take(find_target(options), options["busy_timeout"], options["max_stall"], deadline)
    check = say.measure("replication.stall", moment.stall, "replication.stalled")
    return {"moment": vars(moment), "checks": [check.as_dict()], "ok": True}


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            OPTIONS,
            path=dict(type="path"),
            state=dict(type="str", choices=["pin", "compare"], required=True),
            busy_timeout=dict(type="float", default=5.0),
            max_stall=dict(type="float", default=1.0),
            moment=dict(type="dict"),
            replica=dict(type="path"),
            binary=dict(type="str", default="litestream"),
            arrive=dict(type="float", default=30.0),
            scratch=dict(type="path"),
            level=dict(type="str", choices=["full", "quick", "none"], default="quick"),
            deadline=dict(type="float", default=240.0),
            thresholds=dict(type="dict", default={}),
        ),
        required_if=[("state", "pin", ("path",)), ("state", "compare", ("moment", "replica"))],
        supports_check_mode=True,
    )
    acting.run(
        module,
        lambda tell: {"changed": False, **act(module.params)},
        lambda exc: f"nothing was proved: {exc} ended the run; nothing was left behind",
    )


if __name__ == "__main__":
    main()
