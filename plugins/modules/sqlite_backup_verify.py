#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_backup_verify
short_description: Verify a snapshot of a SQLite database
version_added: 0.1.0
description:
  - Opens what a backup wrote and finds out whether it could be restored. The pointer is followed, the manifest read,
    the file hashed as it lies there, unpacked, checked by C(PRAGMA integrity_check) and C(PRAGMA foreign_key_check),
    and its schema, row counts, newest row and age are compared with the manifest and with what is declared.
  - Damage is a finding in RV(checks) and never fails the task; RV(ok) is only true when everything was looked at and
    nothing was found.
  - A snapshot that is not compressed is read where it lies, without a lock and without leaving anything beside it.
    Another one is unpacked into a private directory, which is removed whatever happens; what a killed run left is
    removed by the next one.
  - On a standby the snapshots from when it served are proved like any other. What the host that serves is asked for is
    left out, unless O(serving=false); their age, O(schema_of), and that there is one at all.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes.observes
  - bilingual_tutor.ops.acting
  - bilingual_tutor.ops.serving
  - bilingual_tutor.ops.proving
requirements:
  - The program C(zstd) for snapshots that end in C(.zst).
options:
  path:
    description:
      - Absolute path of the snapshot, or of the pointer to it, a link to a file in the same directory.
      - By its name a snapshot is compressed with gzip (C(.gz)), with zstd (C(.zst)) or not at all.
    type: path
    required: true
  schema_of:
    description:
      - A live database whose schema the snapshot must have. It is read as its owner and without leaving a trace.
    type: path
  schema_sha256:
    description:
      - The hash of the schema the snapshot must have, as manifests have it.
    type: str
  scratch:
    description:
      - Existing directory to unpack into. Without it the directory of the snapshot, or C(/var/tmp) if that cannot be
        written.
    type: path
  level:
    description:
      - V(full) runs C(PRAGMA integrity_check), V(quick) C(PRAGMA quick_check), which is several times faster and does
        not find damaged indexes.
    type: str
    choices: [full, quick]
    default: full
  thresholds:
    description:
      - Other thresholds than the built-in ones by the id of the check, each a dict with C(warn) and C(crit).
      - C(snapshot.age) is in hours, 26 and 50 by default. C(snapshot.newest), the hours between the newest row and the
        snapshot, has none by default.
    type: dict
    default: {}
  deadline:
    description:
      - Seconds in all. What was not finished by then is UNKNOWN.
    type: float
    default: 1800
seealso:
  - module: bilingual_tutor.ops.sqlite_restore
"""

EXAMPLES = r"""
- name: Verify the newest snapshot
  bilingual_tutor.ops.sqlite_backup_verify:
    path: /opt/bilingual-tutor/backups/learning_latest.db
    floors:
      vocabulary: 1
  register: __verified

- name: Verify it against the live database and with questions of our own
  bilingual_tutor.ops.sqlite_backup_verify:
    path: /opt/bilingual-tutor/backups/learning_latest.db.zst
    schema_of: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    queries:
      - name: japanese words
        sql: SELECT count(*) FROM vocabulary WHERE language = 'japanese'
        min: 50
    thresholds:
      snapshot.age: {warn: "3", crit: "26"}
    scratch: /var/tmp
"""

RETURN = r"""
ok:
  description: Whether everything was looked at and nothing was found.
  returned: success
  type: bool
  sample: true
standby_of:
  description: The host that serves, when this one is its standby and was judged as that; else empty.
  returned: success
  type: str
  sample: ""
file:
  description: The file behind the pointer, empty when there is none.
  returned: success
  type: str
  sample: /opt/bilingual-tutor/backups/learning_20261123T020000Z.db
manifest:
  description: The manifest of the snapshot, empty when there is none that can be read.
  returned: success
  type: dict
rows:
  description: Rows of each table in the snapshot, empty when they could not be counted.
  returned: success
  type: dict
  sample: {vocabulary: 84}
sha256:
  description: Hash of the file as it lies there, empty when it was not read.
  returned: success
  type: str
checks:
  description:
    - The findings C(snapshot.file), C(snapshot.manifest), C(snapshot.sha256), C(snapshot.scratch),
      C(snapshot.integrity), C(snapshot.foreign_keys), C(snapshot.schema), C(snapshot.rows), C(snapshot.floors),
      C(snapshot.age), C(snapshot.newest) and C(snapshot.query), as far as they apply.
  returned: success
  type: list
  elements: dict
seconds:
  description: Seconds of each part, and C(total).
  returned: success
  type: dict
  sample: {read: 0.1, integrity_check: 0.9, foreign_key_check: 0.3, total: 1.1}
started:
  description: When the module started, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:30:00Z"
duration_ms:
  description: How long the module took, in milliseconds.
  returned: success
  type: float
  sample: 1132.5
"""

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.options import OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.verify.run import verify


def main() -> NoReturn:
    module = AnsibleModule(argument_spec={**OPTIONS, **acting.options(deadline=1800.0)}, supports_check_mode=True)
    params = module.params

    def work(tell: Tell) -> dict[str, Any]:
        return {"changed": False, **verify(params, Deadline(params["deadline"]), tell).as_dict()}

    acting.run(
        module,
        work,
        lambda signal: f"{params['path']} was not verified: {signal} ended the run; nothing was left behind",
    )


if __name__ == "__main__":
    main()
