#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_scratch
short_description: Rehearse a restore in a place of its own, with the application serving it
version_added: 0.1.0
description:
  - Restores the newest backup, a replica, or a replica as of a random moment into a private directory, proves it as
    M(bilingual_tutor.ops.sqlite_backup_verify) does, starts the application on it, asks it, and takes all of it away.
  - The application runs in namespaces of its own. Its network has a loopback device and nothing else, so it takes
    the port it always takes and reaches neither Redis nor any host; all files are read-only to it, and in the place
    of the directory of the live database it finds a copy with the restored one. The live system is neither stopped
    nor changed.
  - Directory and processes go whatever happens. The kernel ends the application with the module, also when that is
    killed; the next run removes the directory.
  - Damage is a finding in RV(checks) and never fails the task.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
  - bilingual_tutor.ops.acting
  - bilingual_tutor.ops.proving
requirements:
  - Linux 5.12 or later, and root.
  - Litestream 0.5 for O(source=replica) and O(source=moment); zstd for snapshots that end in C(.zst).
attributes:
  check_mode:
    support: full
    details: Checks the options.
  diff_mode:
    support: none
    details: There is nothing left to show a difference of.
options:
  source:
    description:
      - What is restored. V(snapshot) is O(snapshot), V(replica) the newest state of O(replica), or its state at
        O(moment), V(moment) its state at a moment that O(seed) chooses.
    type: str
    choices: [snapshot, replica, moment]
    required: true
  name:
    description:
      - What the rehearsal is called in the checks; O(source) without it.
    type: str
    default: ""
  snapshot:
    description:
      - Absolute path of the snapshot, or of the pointer to it.
    type: path
  replica:
    description:
      - The directory of one epoch, with C(ltx) in it.
    type: path
  moment:
    description:
      - RV(bilingual_tutor.ops.replica_verify#module:moment) of the primary. The replica must have it within
        O(arrive), and what is restored must equal it.
    type: dict
  arrive:
    description:
      - Seconds until O(moment) must be there.
    type: float
    default: 30
  seed:
    description:
      - Chooses the moment for O(source=moment). Without it one is drawn, and told in RV(seed).
    type: int
  binary:
    description:
      - Litestream.
    type: str
    default: litestream
  path:
    description:
      - The path at which the application opens its database. Nothing need be there; what lies beside it is copied
        for the rehearsal, the live database is not.
    type: path
    required: true
  live:
    description:
      - The live database, where this host has it, to compare the newest rows.
    type: path
  schema_of:
    description:
      - A live database whose schema the restored one must have.
    type: path
  schema_sha256:
    description:
      - The hash of the schema it must have, as manifests have it.
    type: str
  level:
    description:
      - V(full) runs C(PRAGMA integrity_check), V(quick) C(PRAGMA quick_check).
    type: str
    choices: [full, quick]
    default: full
  thresholds:
    description:
      - Other thresholds than the built-in ones by the id of the check, each a dict with C(warn) and C(crit).
    type: dict
    default: {}
  scratch:
    description:
      - Directory for what is restored. Made when it is missing; nobody but its owner may be able to write to it.
    type: path
    default: /var/lib/tutor-ops/drill
  service:
    description:
      - The unit of the application, of which command, environment, user and directory are taken. It is not touched.
      - Without it and without O(command) the application is not started, which leaves RV(rto_s) empty.
    type: str
    default: ""
  command:
    description:
      - The command of the application instead, as a list.
    type: list
    elements: str
    default: []
  directory:
    description:
      - Where the command is started, instead of what O(service) says.
    type: path
  user:
    description:
      - As whom, instead of what O(service) says; without both the owner of O(path).
    type: str
    default: ""
  environment:
    description:
      - Variables besides those of O(service).
    type: dict
    default: {}
  writable:
    description:
      - Directories that the application writes to, such as that of its logs. It finds empty ones in their place.
    type: list
    elements: path
    default: []
  hidden:
    description:
      - Directories that it must find empty, such as one with the socket of a server; C(/run), C(/tmp), C(/var/tmp) and
        C(/dev/shm) always are.
    type: list
    elements: path
    default: []
  health_url:
    description:
      - What must answer with 200 before it counts as serving, seen from within.
    type: str
    default: http://127.0.0.1:5000/health
  health_body:
    description:
      - A regular expression that must be in the answer.
    type: str
    default: ""
  start_seconds:
    description:
      - How long it may take to serve.
    type: float
    default: 60
  requests:
    description:
      - What it is asked besides once it serves.
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: The address, seen from within.
        type: str
        required: true
      method:
        description: The method.
        type: str
        choices: [GET, POST]
        default: GET
      status:
        description: The status it must answer with.
        type: int
        default: 200
      body:
        description: A regular expression that must be in the answer.
        type: str
        default: ""
  shrinking:
    description:
      - Tables from which the application removes rows when it starts.
    type: list
    elements: str
    default: []
  deadline:
    description:
      - Seconds in all. What was not finished by then is UNKNOWN.
    type: float
    default: 1800
seealso:
  - module: bilingual_tutor.ops.sqlite_backup_verify
  - module: bilingual_tutor.ops.replica_verify
  - module: bilingual_tutor.ops.ops_drill
"""

EXAMPLES = r"""
- name: Restore the newest backup beside the live database and let the application serve it
  bilingual_tutor.ops.drill_scratch:
    source: snapshot
    snapshot: /opt/bilingual-tutor/backups/learning_latest.db
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    live: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor.service
    writable: [/opt/bilingual-tutor/logs]
    floors:
      vocabulary: 1

- name: The state of the replica at a random moment, the same as last time
  bilingual_tutor.ops.drill_scratch:
    source: moment
    seed: 20261123
    replica: /srv/tutor-ops-replica/data/epoch-0001
    binary: /usr/local/lib/tutor-ops/litestream
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor.service
    writable: [/opt/bilingual-tutor/logs]
    requests:
      - {url: "http://127.0.0.1:5000/api/test", method: POST, body: '"ok"'}
"""

RETURN = r"""
verdict:
  description: V(passed), V(failed), or V(inconclusive) when something could not be looked at.
  returned: success
  type: str
  sample: passed
source:
  description: As O(source).
  returned: success
  type: str
  sample: snapshot
name:
  description: What the rehearsal is called.
  returned: success
  type: str
  sample: snapshot
seed:
  description: With what a random moment is chosen.
  returned: success
  type: int
  sample: 2891336453
moment:
  description: The moment that was chosen, between which others, and the seed; empty for the other sources.
  returned: success
  type: dict
  sample: {moment: "2026-11-23T01:12:44Z", first: "2026-11-23T00:00:02Z", seed: 2891336453}
served:
  description: Whether the application served the restored database.
  returned: success
  type: bool
  sample: true
rto_s:
  description:
    - Seconds from the begin of the restore to the first right answer, proofs included; null when it did not serve.
  returned: success
  type: float
  sample: 3.9
rpo_s:
  description:
    - Seconds whose changes would have been lost. Of a snapshot its age; of a replica with O(moment) the seconds
      that one took to arrive, and without it the age of the newest change there is. Null for O(source=moment).
  returned: success
  type: float
  sample: 0.12
rows:
  description: Rows of each table, empty when nothing was restored.
  returned: success
  type: dict
  sample: {vocabulary: 84}
newest:
  description: The newest stamp in any table.
  returned: success
  type: str
  sample: "2026-11-23 01:58:12"
seconds:
  description: Seconds of each step, C(restore), C(verify), C(start), C(ask), and C(total).
  returned: success
  type: dict
  sample: {restore: 0.8, verify: 1.9, start: 1.2, total: 4.4}
cleaned:
  description: What a killed run had left, and was removed.
  returned: success
  type: list
  elements: str
checks:
  description:
    - The findings C(drill.source), C(drill.moment), C(drill.restored), C(drill.content), C(drill.loss),
      C(drill.isolated), C(drill.served), C(drill.answered) and C(drill.cleaned), and those of
      M(bilingual_tutor.ops.sqlite_backup_verify), as far as they apply.
  returned: success
  type: list
  elements: dict
started:
  description: When the module started, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:30:00Z"
duration_ms:
  description: How long the module took, in milliseconds.
  returned: success
  type: float
  sample: 4432.5
"""

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.run import rehearse
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify import queries


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            acting.options(deadline=1800.0),
            source=dict(type="str", choices=["snapshot", "replica", "moment"], required=True),
            name=dict(type="str", default=""),
            snapshot=dict(type="path"),
            replica=dict(type="path"),
            moment=dict(type="dict"),
            arrive=dict(type="float", default=30.0),
            seed=dict(type="int"),
            binary=dict(type="str", default="litestream"),
            path=dict(type="path", required=True),
            live=dict(type="path"),
            floors=dict(type="dict", default={}),
            queries=queries.OPTIONS,
            schema_of=dict(type="path"),
            schema_sha256=dict(type="str"),
            level=dict(type="str", choices=["full", "quick"], default="full"),
            thresholds=dict(type="dict", default={}),
            scratch=dict(type="path", default="/var/lib/tutor-ops/drill"),
            service=dict(type="str", default=""),
            command=dict(type="list", elements="str", default=[]),
            directory=dict(type="path"),
            user=dict(type="str", default=""),
            environment=dict(type="dict", default={}),
            writable=dict(type="list", elements="path", default=[]),
            hidden=dict(type="list", elements="path", default=[]),
            health_url=dict(type="str", default="http://127.0.0.1:5000/health"),
            health_body=dict(type="str", default=""),
            start_seconds=dict(type="float", default=60.0),
            requests=dict(
                type="list",
                elements="dict",
                default=[],
                options=dict(
                    url=dict(type="str", required=True),
                    method=dict(type="str", choices=["GET", "POST"], default="GET"),
                    status=dict(type="int", default=200),
                    body=dict(type="str", default=""),
                ),
            ),
            shrinking=dict(type="list", elements="str", default=[]),
        ),
        required_if=[
            ("source", "snapshot", ("snapshot",)),
            ("source", "replica", ("replica",)),
            ("source", "moment", ("replica",)),
        ],
        supports_check_mode=True,
    )

    def work(tell: Tell) -> dict[str, Any]:
        return rehearse(module.params, Deadline(module.params["deadline"]), tell, module.check_mode)

    acting.run(
        module,
        work,
        lambda signal: f"{signal} ended the rehearsal: nothing was left behind, and nothing live was touched",
    )


if __name__ == "__main__":
    main()
