#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_offsite
short_description: Copy snapshots with their manifests off the host, by restic or rsync
version_added: 0.1.0
description:
  - Copies every file of O(path) that has a manifest of its own size, and the manifest after it. A file without one is
    no backup and stays.
  - With O(engine=restic) into an encrypted, deduplicated repository; with O(engine=rsync) as plain files over ssh to a
    host whose key is known already.
  - Removes nothing at the far end unless asked, and never when there is no snapshot here.
  - A copy that is interrupted is taken up by the next run.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
  - bilingual_tutor.ops.acting
options:
  path:
    description:
      - The directory of snapshots, as M(bilingual_tutor.ops.sqlite_backup) makes them.
    type: path
    required: true
  engine:
    description:
      - How to copy.
    type: str
    choices: [restic, rsync]
    required: true
  repository:
    description:
      - The restic repository, such as V(sftp:user@host:/srv/restic), V(s3:https://host/bucket) or a path. It is handed
        over in the environment, since it may hold credentials.
    type: str
  password_file:
    description:
      - The file with the repository's password, on the host. Only its owner may be able to read it.
    type: path
  environment:
    description:
      - Environment of restic, such as the credentials of an object store.
    type: dict
    default: {}
  create:
    description:
      - Whether to make the repository when there is none.
    type: bool
    default: false
  host:
    description:
      - The host's name in the repository; by default its own.
    type: str
    default: ""
  keep:
    description:
      - What of the repository to keep, as numbers of C(last), C(hourly), C(daily), C(weekly), C(monthly) and C(yearly)
        restic snapshots of this host; the others are removed. Empty keeps everything.
    type: dict
    default: {}
  destination:
    description:
      - Where rsync copies to, as C(user@host:/directory), or C(/directory) for another disk. The directory must exist.
    type: str
  delete:
    description:
      - Whether rsync removes snapshots there that are gone here. Files with other names stay.
    type: bool
    default: false
  ssh_key:
    description:
      - The private key for ssh, on the host.
    type: path
  known_hosts:
    description:
      - The file with the far end's host key, instead of the user's own.
    type: path
  ssh_port:
    description:
      - The port of ssh there, if it is not 22.
    type: int
  check:
    description:
      - How the copies are checked afterwards. V(metadata) is C(restic check), or a comparison of sizes and times with
        rsync. V(read_data) also reads data, O(read_data_subset) of it with restic, everything with rsync.
    type: str
    choices: [none, metadata, read_data]
    default: metadata
  read_data_subset:
    description:
      - How much of the data V(read_data) reads with restic, such as V(5%), V(1/7) or V(500M).
    type: str
    default: 5%
  deadline:
    description:
      - Seconds for everything together.
    type: float
    default: 3600
  thresholds:
    description:
      - Thresholds to lay over the defaults, by check.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    details: Asks the far end what is missing there and rehearses the copy with the engine's own dry run.
  diff_mode:
    support: full
    details: Shows the snapshots that are copied, and what is removed.
notes:
  - Needs the program restic or rsync on the host; rsync on the far end too.
seealso:
  - module: bilingual_tutor.ops.sqlite_backup_verify
"""

EXAMPLES = r"""
- name: Copy the snapshots into an encrypted repository and check a part of its data
  bilingual_tutor.ops.backup_offsite:
    path: /opt/bilingual-tutor/backups
    engine: restic
    repository: sftp:backup@backup.example.org:/srv/restic
    password_file: /etc/bilingual-tutor-ops/restic.password
    ssh_key: /etc/bilingual-tutor-ops/offsite.key
    check: read_data
    keep: {daily: 30, weekly: 12, monthly: 6}

- name: Copy them to the standby
  bilingual_tutor.ops.backup_offsite:
    path: /opt/bilingual-tutor/backups
    engine: rsync
    destination: root@tutor2:/opt/bilingual-tutor/backups
    ssh_key: /etc/bilingual-tutor-ops/offsite.key
"""

RETURN = r"""
copied:
  description: Names of the snapshots that were copied, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [learning_20261123T020000Z.db.zst]
present:
  description: How many were there already.
  returned: success
  type: int
  sample: 29
bytes:
  description: Size of the snapshots that were copied.
  returned: success
  type: int
  sample: 1048576
left:
  description: Files that look like snapshots and are none.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: learning_20261122T020000Z.db
    reason:
      description: What is wrong with it.
      type: str
      sample: no manifest
removed:
  description: What was removed at the far end; short ids of restic's snapshots, or names of files.
  returned: success
  type: list
  elements: str
snapshot_id:
  description: Id of the restic snapshot that was made, empty when nothing had to be copied or with rsync.
  returned: success
  type: str
  sample: 1f2e3d4c
checks:
  description: The checks C(offsite.copied), C(offsite.check) and C(offsite.age).
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
  sample: 41.2
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.offsite.run import run


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="path", required=True),
            engine=dict(type="str", choices=["restic", "rsync"], required=True),
            repository=dict(type="str"),
            password_file=dict(type="path", no_log=False),  # its name, not what is in it
            environment=dict(type="dict", default={}, no_log=True),
            create=dict(type="bool", default=False),
            host=dict(type="str", default=""),
            keep=dict(type="dict", default={}),
            destination=dict(type="str"),
            delete=dict(type="bool", default=False),
            ssh_key=dict(type="path", no_log=False),  # as above
            known_hosts=dict(type="path"),
            ssh_port=dict(type="int"),
            check=dict(type="str", choices=["none", "metadata", "read_data"], default="metadata"),
            read_data_subset=dict(type="str", default="5%"),
            thresholds=dict(type="dict", default={}),
            **acting.options(deadline=3600.0),
        ),
        supports_check_mode=True,
    )
    acting.run(module, lambda tell: run(module.params, module.check_mode, tell))


if __name__ == "__main__":
    main()
