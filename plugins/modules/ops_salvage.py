#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_salvage
short_description: Write down what a former primary never replicated, then set its database aside
version_added: 0.1.0
description:
  - Runs on a primary that has come back after another host was promoted. It must be fenced, in the epoch of the other
    host.
  - V(exported) compares the database row by row with what the new primary has and, where it can be had, with the state
    both had in common. Rows are known by their primary key, and by all they hold in a table without one.
  - What this host had to itself is written to C(salvage-RUN_ID.sql), one statement a line, and counted by table in
    C(salvage-RUN_ID.json), which is the true RPO in rows. The text is applied to a private copy of the common state
    first, and kept only when that gives exactly this host's rows.
  - Nothing is merged, here or on the new primary. A person decides about the rows.
  - V(standby) needs a whole export. It moves the diverged database with its log to C(NAME.salvaged-RUN_ID),
    Litestream's notes likewise, and puts the new primary's data as this host has received it in the place. Nothing is
    deleted.
  - Interrupted at any moment there is no half export under its final name, and a whole database; the next run completes
    it.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  state:
    description:
      - What to do.
    type: str
    choices: [exported, standby]
    default: exported
  path:
    description:
      - The former primary's database.
    type: path
    required: true
  run_id:
    description:
      - The run it is for; it names the files, and the same run again changes nothing.
    type: str
    required: true
  lineage:
    description:
      - What the new primary has, as it arrived on this host. One of O(lineage.replica), O(lineage.snapshot) and
        O(lineage.config).
    type: dict
    required: true
    suboptions: &source
      replica:
        description:
          - The directory of a replica of Litestream, of one epoch.
        type: path
      config:
        description:
          - A configuration of Litestream for the database, with C(REPLICATION_EPOCH) in the path of the replica, from
            which a replica on the other host is read.
        type: path
      epoch:
        description:
          - The epoch to read with the configuration.
        type: int
      txid:
        description:
          - The transaction to restore, in hex; the newest without it.
        type: str
        default: ""
      snapshot:
        description:
          - A snapshot with its manifest.
        type: path
  common:
    description:
      - Where the state both sides had in common is, which is what the new primary was promoted from; as O(lineage).
        Where it is missing, or cannot be restored, rows that the new primary changed itself are counted too, and the
        result says so.
    type: dict
    suboptions: *source
  dest:
    description:
      - The directory of the exports, made if need be. Only this user may write to it.
    type: path
    default: /var/lib/tutor-ops/salvage
  binary:
    description:
      - The program Litestream.
    type: str
    default: /usr/local/lib/tutor-ops/litestream
  scratch:
    description:
      - Existing directory that everybody may pass, with room for three and a half times the database; C(/var/tmp)
        without it.
    type: path
  config:
    description:
      - The host's configuration of the fence, written by the role P(bilingual_tutor.ops.fencing#role).
    type: path
    default: /etc/tutor-ops/fencing.json
  deadline:
    description:
      - Seconds for everything together.
    type: float
    default: 1800
  progress:
    description:
      - File, made by the caller, in which the module keeps one line of JSON about how far it has come. For the callers
        of the collection.
    type: path
seealso:
  - module: bilingual_tutor.ops.ops_fence
  - module: bilingual_tutor.ops.replica_verify
"""

EXAMPLES = r"""
- name: Write down what was never replicated
  bilingual_tutor.ops.ops_salvage:
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    run_id: 20261123T010203Z-ab12cd
    lineage:
      replica: /srv/tutor-ops-replica/data/epoch-0002
    common:
      config: /etc/tutor-ops/replication/litestream.yml
      epoch: 1

- name: Make the host a standby
  bilingual_tutor.ops.ops_salvage:
    state: standby
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    run_id: 20261123T010203Z-ab12cd
    lineage:
      replica: /srv/tutor-ops-replica/data/epoch-0002
"""

RETURN = r"""
manifest:
  description: What was found, as it stands in the manifest of the export; null in check mode before there is one.
  returned: success
  type: dict
  contains:
    schema:
      description: The form of the manifest.
      type: str
      sample: ops.salvage/1
    run_id:
      description: The run.
      type: str
    host:
      description: The former primary.
      type: str
    primary:
      description: The new primary.
      type: str
    epoch:
      description: The epoch in force.
      type: int
    created:
      description: When the export was written, UTC.
      type: str
    source:
      description: The database that was compared; C(files) are inode, size and change time by suffix.
      type: dict
    lineage:
      description: Where the new primary's data came from; C(txid) is the transaction.
      type: dict
    common:
      description: Where the common state came from; null without one.
      type: dict
    common_missing:
      description: Why there is none.
      type: str
    proved:
      description: What the export was applied to as a proof, V(common) or V(lineage).
      type: str
    tables:
      description:
        - By table how a row is known (C(by)), rows C(inserted), C(updated) and C(deleted) here, and of these C(lost)
          (untouched by the new primary), C(conflict) (changed on both sides), C(same) (both have the same by now) and
          C(undecided) (without the common state). C(rows) is all but C(same).
      type: dict
    total:
      description: The same of all tables together.
      type: dict
    not_compared:
      description: Tables that could not be compared, and why.
      type: dict
    schema_differs:
      description: Tables, indexes, triggers and views that are not the same on the new primary.
      type: list
      elements: str
    sql:
      description: Path, bytes and sha256 of the text.
      type: dict
    seconds:
      description: How long it took.
      type: float
aside:
  description: Where the diverged database is.
  returned: success, with O(state=standby)
  type: str
  sample: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db.salvaged-20261123T010203Z-ab12cd
checks:
  description: The checks C(salvage.rows), C(salvage.common) and C(salvage.whole).
  returned: success
  type: list
  elements: dict
started:
  description: When the run began, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:00:00Z"
duration_ms:
  description: How long it took.
  returned: success
  type: float
  sample: 2412.5
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.run import work
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.salvage.sources import SOURCE


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            acting.options(1800.0),
            state=dict(type="str", choices=["exported", "standby"], default="exported"),
            path=dict(type="path", required=True),
            run_id=dict(type="str", required=True),
            lineage=dict(SOURCE, required=True),
            common=SOURCE,
            dest=dict(type="path", default="/var/lib/tutor-ops/salvage"),
            binary=dict(type="str", default="/usr/local/lib/tutor-ops/litestream"),
            scratch=dict(type="path"),
            config=dict(type="path", default="/etc/tutor-ops/fencing.json"),
        ),
        supports_check_mode=True,
    )
    acting.run(
        module,
        lambda tell: work(module.params, Deadline(module.params["deadline"]), tell, module.check_mode),
        lambda exc: f"{exc} ended the run: the database is whole, run it again with the same run_id",
    )


if __name__ == "__main__":
    main()
