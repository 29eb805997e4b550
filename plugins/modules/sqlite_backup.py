#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_backup
short_description: Make a proved snapshot of a live SQLite database
version_added: 0.1.0
description:
  - Copies a database that an application is writing to, as it is after one commit, without keeping its writers waiting.
    Proves the copy and writes a manifest beside it. Only then does it get its name, does the pointer move, and are old
    snapshots thinned out. A run that is interrupted at any moment leaves the old state, or the new snapshot complete.
  - Opens the database as its owner and refuses what it cannot prove to be the right file, such as one that O(service)
    does not have open.
  - A copy that is damaged, has no table or fewer rows than O(floors) is kept as C(.bad), which nothing takes for a
    backup. The module then fails, with the findings in RV(checks), and removes nothing.
  - Takes the lock of the database's directory together with other backups, and that of O(dest) alone.
  - On a standby it takes no snapshot, unless O(serving=false), since its database is as old as the last switch.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
  - bilingual_tutor.ops.acting
  - bilingual_tutor.ops.serving
options:
  path:
    description:
      - The live database.
    type: path
    required: true
  service:
    description:
      - Unit that must have this very file open. Empty for not asking.
    type: str
    default: ""
  pidfile:
    description:
      - File with the number of the process that must have this very file open, instead of O(service).
    type: path
  dest:
    description:
      - Directory for the snapshots; not a link to one, not the database's own, and not writable by everybody.
    type: path
    required: true
  create_dest:
    description:
      - Make O(dest) when it is missing. Off by default, since the directory of a disk that is not mounted is missing
        too.
    type: bool
    default: false
  databases:
    description:
      - Further databases that belong to the set, such as those of another part of the application.
    type: list
    elements: path
    default: []
  files:
    description:
      - Files and directories that belong to the set, such as the configuration and the unit. They go into one
        C(.tar.gz); no link is followed.
    type: list
    elements: path
    default: []
  engine:
    description:
      - V(pinned_copy) holds a read transaction and copies the file and the write-ahead log from outside of SQLite. It
        takes about as long as computing a sha256.
      - V(pinned_api) copies page by page through SQLite, in one read transaction.
      - V(vacuum_into) also leaves out unused pages.
      - V(auto) is V(pinned_copy), and V(pinned_api) where the log's index cannot be trusted.
    type: str
    choices: [auto, pinned_copy, pinned_api, vacuum_into]
    default: auto
  compress:
    description:
      - How to compress the snapshots, after they were copied. V(zstd) needs the C(zstd) command.
    type: str
    choices: [none, gzip, zstd]
    default: none
  verify:
    description:
      - V(full) runs C(integrity_check), V(quick) C(quick_check), which misses damaged indexes. Rows are counted and
        references are checked in any case.
    type: str
    choices: [full, quick, none]
    default: full
  pointer:
    description:
      - Name of the link in O(dest) to the newest good snapshot of O(path). By default C(NAME_latest.db), with C(.gz) or
        C(.zst), where C(NAME) is the name of the database without its suffix.
    type: str
    default: ""
  keep:
    description:
      - Of how many days, weeks and months that have a backup to keep the newest, and of how many C(hours) to keep all
        of them, since the backup before a change must outlive those after it. What is not given is C(hours) 48,
        C(daily) 30, C(weekly) 12, C(monthly) 6.
      - Never removed are the newest complete set, snapshots from the future, sets that a link other than the pointers
        of this run names, and files this module did not make.
    type: dict
    default: {}
  timezone:
    description:
      - Time zone in which the days, weeks and months of O(keep) begin.
    type: str
    default: Asia/Shanghai
  floors:
    description:
      - Rows that each of these tables of O(path) must have at least, so that an emptied database is no backup.
    type: dict
    default: {}
  thresholds:
    description:
      - Other limits for the findings, each a dictionary with C(warn) and C(crit).
    type: dict
    default: {}
  deadline:
    description:
      - Give up after this many seconds, with nothing made.
    type: float
    default: 3600
attributes:
  check_mode:
    support: full
    details: Proves what is to be backed up, looks for room, and tells what would be made and removed.
  diff_mode:
    support: full
    details: Shows the names in O(dest) before and after.
seealso:
  - module: bilingual_tutor.ops.sqlite_backup_verify
  - module: bilingual_tutor.ops.sqlite_maintenance
"""

EXAMPLES = r"""
- name: Back up the database the service has open
  bilingual_tutor.ops.sqlite_backup:
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor
    dest: /opt/bilingual-tutor/backups
    floors:
      vocabulary: 1

- name: Back up two databases and the configuration as one set, compressed
  bilingual_tutor.ops.sqlite_backup:
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    databases: [/opt/bilingual-tutor/bilingual_tutor/storage/audio.db]
    files: [/opt/bilingual-tutor/config, /etc/systemd/system/bilingual-tutor.service]
    dest: /var/backups/bilingual-tutor
    compress: gzip
    keep:
      daily: 14
"""

RETURN = r"""
snapshot:
  description: The snapshot of O(path). In check mode only C(path), C(database) and C(pointer), as they would be.
    Empty on a standby.
  returned: success
  type: dict
  contains: &snapshot
    path:
      description: The snapshot.
      returned: unless there is none
      type: str
      sample: /opt/bilingual-tutor/backups/learning_20261123T020000Z.db
    database:
      description: The live database.
      returned: unless there is none
      type: str
      sample: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    pointer:
      description: The link to the newest snapshot.
      returned: unless there is none
      type: str
      sample: /opt/bilingual-tutor/backups/learning_latest.db
    manifest:
      description: The manifest.
      returned: when made
      type: str
      sample: /opt/bilingual-tutor/backups/learning_20261123T020000Z.db.manifest.json
    sha256:
      description: Hash of the file as it lies there.
      returned: when made
      type: str
    bytes:
      description: Size of the file as it lies there.
      returned: when made
      type: int
      sample: 1048576
    database_bytes:
      description: Size of the database in it.
      returned: when made
      type: int
      sample: 1048576
    created:
      description: When the run began, UTC.
      returned: when made
      type: str
      sample: "2026-11-23T02:00:00Z"
    engine:
      description: How it was copied.
      returned: when made
      type: str
      sample: pinned_copy
    journal_mode:
      description: Journal mode of the live database; the snapshot itself has none that makes other files.
      returned: when made
      type: str
      sample: wal
    compress:
      description: How it is compressed.
      returned: when made
      type: str
      sample: none
    rows:
      description: Rows of each table.
      returned: when made
      type: dict
      sample: {vocabulary: 84}
    seconds:
      description: Seconds of C(copy), C(verify) (with compressing) and C(total).
      returned: when made
      type: dict
      sample: {copy: 0.6, verify: 4.1, total: 4.7}
snapshots:
  description: The snapshots of all databases of the set.
  returned: success
  type: list
  elements: dict
  contains: *snapshot
archive:
  description: The archive of O(files), empty without them.
  returned: success
  type: dict
  contains:
    path:
      description: The archive.
      returned: when made
      type: str
      sample: /opt/bilingual-tutor/backups/learning_20261123T020000Z.tar.gz
    manifest:
      description: Its manifest.
      returned: when made
      type: str
    sha256:
      description: Its hash.
      returned: when made
      type: str
    bytes:
      description: Its size.
      returned: when made
      type: int
      sample: 20480
    seconds:
      description: Seconds of C(copy) and C(total).
      returned: when made
      type: dict
      sample: {copy: 0.1, total: 0.1}
standby_of:
  description: The host that serves, when this one is its standby and no snapshot was taken; else empty.
  returned: success
  type: str
  sample: ""
rejected:
  description: What was made and is not good, kept as C(.bad).
  returned: success
  type: list
  elements: str
removed:
  description: Names of old snapshots that were thinned out, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [learning_20261023T020000Z.db]
cleaned:
  description: Names of half-made files of an interrupted run that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
checks:
  description:
    - The findings C(backup.made), C(backup.proof), C(backup.rows), C(backup.files), C(backup.space),
      C(backup.retention) and C(backup.interrupted), as far as they apply; also when the module fails over the copy.
    - On a standby only C(backup.standby), which is skipped.
  returned: success
  type: list
  elements: dict
started:
  description: When the module started, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:00:00Z"
duration_ms:
  description: How long the module took, in milliseconds.
  returned: success
  type: float
  sample: 4712.5
"""

from datetime import datetime, timezone
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import ActionFailed
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.snapshot import backup


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec={**backup.OPTIONS, **acting.options(deadline=3600.0)}, supports_check_mode=True
    )
    params = module.params

    def work(tell: Tell) -> dict[str, Any]:
        now = datetime.now(timezone.utc)
        made = backup.run(params, Deadline(params["deadline"]), tell, module.check_mode, now)
        result = {**made.as_dict(), "changed": not made.standby_of}
        if not module._diff:
            del result["diff"]
        if made.failed:
            raise ActionFailed(made.failed, result)
        return result

    acting.run(
        module,
        work,
        lambda signal: f"{params['path']} was not backed up: {signal} ended the run; no backup was touched",
    )


if __name__ == "__main__":
    main()
