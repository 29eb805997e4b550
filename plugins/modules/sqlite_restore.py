#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_restore
short_description: Restore a SQLite database from a snapshot
version_added: 0.1.0
description:
  - Writes the snapshot beside the database and proves what was written while the service still runs. Then stops the
    service through its unit, proves that no process has the database open, sets it aside with its C(-wal) and C(-shm),
    puts the snapshot in its place, starts the service and proves that it serves exactly this file.
  - What does not end well is undone by itself. The former database serves again, and the task fails.
  - A run that is killed leaves a journal beside the database. The next run finishes it before it does anything else, by
    putting the former database back unless the new one was proved already.
  - Restarting the service ends all sessions and forgets what it holds in memory.
  - On a standby it refuses to replace the database, unless O(serving=false). A scratch place is not refused.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
  - bilingual_tutor.ops.acting
  - bilingual_tutor.ops.serving
  - bilingual_tutor.ops.proving
requirements:
  - The program C(zstd) for snapshots that end in C(.zst), and C(litestream) for O(litestream).
options:
  snapshot:
    description:
      - Absolute path of the snapshot, or of the pointer to it. It needs a manifest, and must pass everything that
        M(bilingual_tutor.ops.sqlite_backup_verify) checks but its age.
      - Either this or O(litestream) is needed.
    type: path
  litestream:
    description:
      - Restore what a replica of Litestream (0.5) had at a moment, instead of a snapshot. It is fetched to a private
        directory and proved like a snapshot, without the manifest that it does not have.
      - Litestream keeps single transactions for minutes and then compacts them to 30 seconds, so that the moment is
        met by a second at first and by half a minute later.
    type: dict
    suboptions:
      timestamp:
        description: The moment, as ISO 8601 with a time zone.
        type: str
        required: true
      replica:
        description: URL of the replica. Either this or O(litestream.config) is needed.
        type: str
      config:
        description: Configuration file of Litestream that names the replica of the database.
        type: path
      database:
        description: What O(litestream.config) calls the database. O(path) without it.
        type: path
      binary:
        description: The program.
        type: str
        default: litestream
  path:
    description:
      - Where to restore to. The present database there may be damaged or missing; a link is followed.
      - Without O(service), and where nothing is yet, this is a restore to a scratch place.
    type: path
    required: true
  service:
    description:
      - The unit of the application. It is stopped and started; with a unit that runs, O(path) must be the database it
        has open.
      - Empty for a database that no service uses. Whoever has it open makes the task fail then.
    type: str
    default: ""
  stop_also:
    description:
      - Units that have the database open besides O(service), such as that of Litestream. Those that run are stopped
        after it and started after it.
    type: list
    elements: str
    default: []
  pidfile:
    description:
      - File with the number of an application's process that no unit runs. It must be stopped before.
    type: path
  confirm:
    description:
      - The name in O(host), as proof that the caller means this host. Not needed for a restore to a scratch place.
    type: str
    default: ""
  host:
    description:
      - What O(confirm) must be, such as C(inventory_hostname). The host's own name without it.
    type: str
    default: ""
  shrinking:
    description:
      - Tables in which the application deletes rows when it starts, such as expired sessions. They may have fewer rows
        than the snapshot afterwards.
    type: list
    elements: str
    default: []
  health_url:
    description:
      - A page that must answer with status 200 after the start. One that reads the database proves the most, and makes
        an application open it that does so at its first request only.
    type: str
    default: ""
  settle:
    description:
      - Seconds the service may take from its start until it serves.
    type: float
    default: 30
  scratch:
    description:
      - Existing directory to which O(litestream) is fetched, and in which check mode unpacks the snapshot. Without it
        the directory of O(path), or C(/var/tmp) if that cannot be written.
    type: path
  deadline:
    description:
      - Seconds for proving the snapshot. What follows has limits of its own, since it must not end half-way.
    type: float
    default: 3600
attributes:
  check_mode:
    support: full
    details: Proves the snapshot, compares it with the present database and tells the steps. Nothing is stopped.
  diff_mode:
    support: full
    details: Shows the rows of each table before and after.
notes:
  - The former database stays as RV(previous_path), complete with its C(-wal), until somebody removes it.
  - A database that holds exactly the rows of the snapshot, and is sound and in use, is left alone.
  - Not run as root, processes of other users cannot be seen.
seealso:
  - module: bilingual_tutor.ops.sqlite_backup_verify
"""

EXAMPLES = r"""
- name: Restore last night's snapshot
  bilingual_tutor.ops.sqlite_restore:
    snapshot: /opt/bilingual-tutor/backups/learning_latest.db
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor.service
    health_url: http://127.0.0.1:5000/health
    host: "{{ inventory_hostname }}"
    confirm: tutor1

- name: See what that would stop, and what it would lose
  bilingual_tutor.ops.sqlite_restore:
    snapshot: /opt/bilingual-tutor/backups/learning_latest.db
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor.service
    host: "{{ inventory_hostname }}"
    confirm: tutor1
  check_mode: true
  diff: true

- name: Go back to five minutes before the mistake, from the replica on the standby
  bilingual_tutor.ops.sqlite_restore:
    litestream:
      timestamp: "2026-11-23T09:55:00+08:00"
      config: /etc/litestream.yml
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor.service
    stop_also: [litestream.service]
    floors:
      vocabulary: 1
    host: "{{ inventory_hostname }}"
    confirm: tutor1

- name: Replace the database of a standby, which nobody is served from
  bilingual_tutor.ops.sqlite_restore:
    snapshot: /opt/bilingual-tutor/backups/learning_latest.db
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    host: "{{ inventory_hostname }}"
    confirm: tutor2
    serving: false

- name: Restore to a scratch place, to take single rows from it
  bilingual_tutor.ops.sqlite_restore:
    snapshot: /opt/bilingual-tutor/backups/learning_20261120T020000Z.db.zst
    path: /var/tmp/learning-of-friday.db
"""

RETURN = r"""
previous_path:
  description:
    - Where the former database lies now, with its C(-wal) beside it. Empty when it is under its own name, or there was
      none.
  returned: always
  type: str
  sample: /opt/tutor/learning.db.before-restore-20261123T020000Z-ab12cd
failed_path:
  description: Where a restored database lies that did not serve; empty unless the restore was undone.
  returned: always
  type: str
  sample: ""
undone:
  description: Whether the new database was in its place and the former one was put back.
  returned: always
  type: bool
  sample: false
run_id:
  description: The id of this run, which the names of all its files have; empty in check mode.
  returned: always
  type: str
  sample: 20261123T020000Z-ab12cd
steps:
  description: What was done, or would be in check mode, in this order.
  returned: always
  type: list
  elements: dict
  contains:
    step:
      description:
        - C(recover), C(verify), C(compare), C(stage), C(stop), C(prove_free), C(replace), C(serve) or C(prove),
          C(undo).
      type: str
      sample: replace
    seconds:
      description: How long it took, in seconds.
      type: float
      sample: 0.004
rows:
  description: Rows of each table, C(before) in the present database and C(after) in the snapshot.
  returned: always
  type: dict
  sample: {vocabulary: {before: 90, after: 84}}
manifest:
  description: The manifest of the snapshot, empty when it was not read.
  returned: always
  type: dict
checks:
  description:
    - The findings of M(bilingual_tutor.ops.sqlite_backup_verify) about the snapshot, and C(restore.loss),
      C(restore.restart) (in check mode), C(restore.served), C(restore.others), C(restore.undone) and
      C(restore.recovered), as far as they apply.
  returned: always
  type: list
  elements: dict
started:
  description: When the module started, UTC.
  returned: always
  type: str
  sample: "2026-11-23T02:30:00Z"
duration_ms:
  description: How long the module took, in milliseconds.
  returned: always
  type: float
  sample: 4132.5
"""

from typing import Any, NoReturn
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.progress import Tell
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.options import OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.result import Run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.restore.run import restore


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec={**OPTIONS, **acting.options(deadline=3600.0)},
        mutually_exclusive=[("snapshot", "litestream")],
        required_one_of=[("snapshot", "litestream")],
        supports_check_mode=True,
    )
    params = module.params
    if params["litestream"] and params["litestream"]["replica"]:
        secret = urlsplit(params["litestream"]["replica"]).password
        module.no_log_values.update([secret] if secret else [])

    def work(tell: Tell) -> dict[str, Any]:
        done = restore(params, Deadline(params["deadline"]), tell, module.check_mode)
        return {**done.as_dict(), "diff": done.diff(params["path"])}

    acting.run(
        module,
        work,
        lambda signal: f"{signal} ended the restore of {params['path']}: nothing was replaced",
        nothing=Run().as_dict(),
    )


if __name__ == "__main__":
    main()
