#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_look
short_description: Tell everything a failover has to know of one host
version_added: 0.1.0
description:
  - Looks at a host of the application, a proxy or a witness, and judges nothing. Two looks at two hosts are what a
    failover is decided upon.
  - Everything is looked at side by side, and each part in a process of its own. A part that cannot be told is null, and
    RV(look.errors) says why; it never fails the task.
  - Nothing is changed, made or left behind, neither beside the database nor by O(peers) that are asked.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes.observes
options:
  host:
    description:
      - Name of this host in the inventory. Without it the one in O(config), or the name the host gives itself.
    type: str
  database:
    description:
      - The application's database. Without it the one in O(config).
    type: str
  service:
    description:
      - The unit of the application, whose environment may hold its C(SECRET_KEY).
    type: str
    default: ""
  root:
    description:
      - Where the application is installed.
    type: path
    default: /opt/bilingual-tutor
  python:
    description:
      - The Python it runs with. Without it C(venv/bin/python3) below O(root).
    type: path
  secret_files:
    description:
      - Files that may set C(SECRET_KEY), besides the unit's own and C(.env) below O(root). Only a hash of the key is
        returned.
    type: list
    elements: path
    default: []
  quick_check:
    description:
      - Seconds that C(PRAGMA quick_check) of the database may take; V(0) leaves it out.
    type: float
    default: 5
  replication_home:
    description:
      - Where this host receives replicas.
    type: path
    default: /srv/tutor-ops-replica
  replication_service:
    description:
      - The unit that sends this host's database.
    type: str
    default: tutor-ops-replication.service
  replication_epoch_file:
    description:
      - The file that says for which epoch it sends.
    type: path
    default: /etc/tutor-ops/replication/epoch
  backup_dir:
    description:
      - Where this host's backups lie; without it none are looked for.
    type: path
  backup_patterns:
    description:
      - Which files there are backups, as shell patterns.
    type: list
    elements: str
    default: ["*.db", "*.db.gz", "*.db.zst"]
  peers:
    description:
      - Other hosts, to be asked from here.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name in the inventory.
        type: str
        required: true
      address:
        description: How it is reached from this host.
        type: str
        required: true
      port:
        description: The port of its ssh server.
        type: int
        default: 22
      url:
        description: What to get from it, such as V(http://192.0.2.7/health); empty asks for nothing.
        type: str
        default: ""
  peer_timeout:
    description:
      - Seconds a peer may take for each answer.
    type: float
    default: 2
  config:
    description:
      - What the role fencing has written. A host without it has neither fence nor lease.
    type: path
    default: /etc/tutor-ops/fencing.json
  units:
    description:
      - The units that the fence guards. Without it those in O(config).
    type: list
    elements: str
  stop_timeout:
    description:
      - As in O(config).
    type: float
  state_dir:
    description:
      - Where epoch, fence and lock lie.
    type: path
  run_dir:
    description:
      - Where grant and lease lie.
    type: path
  deadline:
    description:
      - Seconds for everything together.
    type: float
    default: 12
seealso:
  - module: bilingual_tutor.ops.ops_quiesce
  - module: bilingual_tutor.ops.ops_promote
"""

EXAMPLES = r"""
- name: Look at the primary
  bilingual_tutor.ops.failover_look:
    host: tutor1
    database: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor.service
    peers:
      - {name: tutor2, address: 192.0.2.7, url: "http://192.0.2.7/health"}
  register: primary

- name: Does the other host have the same key?
  ansible.builtin.assert:
    that: primary.look.application.secret_sha256 == standby.look.application.secret_sha256
"""

RETURN = r"""
look:
  description: What there is to see. A part that is not there, or could not be told, is null.
  returned: success
  type: dict
  contains:
    host:
      description: Name in the inventory.
      type: str
      sample: tutor1
    at:
      description: When the look began, in seconds since 1970 by this host's clock.
      type: float
      sample: 1795399200.0
    clock:
      description: When it ended, by the same clock.
      type: float
      sample: 1795399200.4
    boot_id:
      description: Another one after each boot.
      type: str
      sample: 7e2bb1f0-6d7b-4b16-bd3d-3ad1f0a3d5a1
    epoch:
      description: The record of this host.
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
    fence:
      description: As RV(bilingual_tutor.ops.ops_fence#module:before).
      type: dict
      contains:
        state:
          description: C(fenced), C(granted), C(unfenced) or C(half).
          type: str
          sample: granted
        fenced_epoch:
          description: The epoch it is fenced for.
          type: int
        granted_epoch:
          description: The epoch that is granted.
          type: int
          sample: 7
        running:
          description: Units that run.
          type: list
          elements: str
          sample: [bilingual-tutor.service]
        unguarded:
          description: Units that systemd would start under a fence.
          type: list
          elements: str
          sample: []
        holders:
          description: Processes that have the database open.
          type: list
          elements: str
          sample: ["612 gunicorn"]
        open_paths:
          description: What a fence would have to shut.
          type: list
          elements: str
          sample: [/opt/bilingual-tutor/bilingual_tutor/storage]
    lease:
      description: What the lease last said.
      type: dict
      contains:
        state:
          description: C(renew), C(hold), C(idle), C(fenced) or C(failed).
          type: str
          sample: renew
        age:
          description: Seconds since its last renewal.
          type: float
          sample: 0.6
    bound:
      description: Seconds after which this host has stopped by itself when no quorum of witnesses answers.
      type: float
      sample: 13.0
    lock:
      description: The run that holds this host, also one whose time is over.
      type: dict
      contains:
        run_id:
          description: The run.
          type: str
          sample: 20261123T010203Z-ab12cd
        controller:
          description: Where it was started.
          type: str
          sample: ops1
        since:
          description: When it took the lock.
          type: raw
        expires:
          description: When the lock ends.
          type: raw
    database:
      description: The database, looked at as its owner.
      type: dict
      contains:
        path:
          description: Its path without links.
          type: str
          sample: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
        exists:
          description: Whether it is there.
          type: bool
          sample: true
        bytes:
          description: Its size without the log.
          type: int
          sample: 20971520
        schema_hash:
          description: One hash of all tables, indexes, triggers and views.
          type: str
        user_version:
          description: What the application has noted as the version of its schema.
          type: int
          sample: 3
        journal_mode:
          description: C(wal) as it should be.
          type: str
          sample: wal
        quick:
          description: C(ok), or what C(quick_check) found; null when it was not done or did not end in time.
          type: str
          sample: ok
        owner:
          description: Whom it belongs to.
          type: str
          sample: bilingual-tutor
    free_bytes:
      description: Free bytes on the disk of the database.
      type: int
      sample: 10737418240
    application:
      description: What is installed.
      type: dict
      contains:
        version:
          description: The first line of C(VERSION), if there is one, and a hash of the code.
          type: str
          sample: 1.4.0+5f3759df1a2b
        packages:
          description: A hash of names and versions of the installed packages.
          type: str
          sample: 9a1be02c33d4
        secret_sha256:
          description: A salted, slow hash of C(SECRET_KEY); equal where the keys are.
          type: str
        python:
          description: Version of its Python.
          type: str
          sample: 3.11.2
        sqlite:
          description: Version of its SQLite.
          type: str
          sample: 3.40.1
    replication:
      description: What this host sends.
      type: dict
      contains:
        epoch:
          description: The epoch it sends for.
          type: int
          sample: 7
        running:
          description: Whether the unit is active.
          type: bool
          sample: true
        lag:
          description: What Litestream has not yet copied; null when it does not run.
          type: dict
          contains:
            behind:
              description: Bytes of the log.
              type: int
              sample: 0
            seconds:
              description: Age of the newest copy; 0 when nothing is missing.
              type: float
              sample: 0.0
    replica:
      description: The newest replica this host has received, of no epoch above RV(look.epoch.epoch).
      type: dict
      contains:
        path:
          description: Its directory.
          type: str
          sample: /srv/tutor-ops-replica/data/epoch-0007
        epoch:
          description: The epoch it was sent for.
          type: int
          sample: 7
        newest_txid:
          description: Its newest transaction, in hex.
          type: str
          sample: 000000000000002a
        newest_at:
          description: When that was made, in seconds since 1970 by the clock of the host that sent it.
          type: float
          sample: 1795399199.8
        age:
          description: Seconds since then, by the clock of this host.
          type: float
          sample: 0.4
        chain_unbroken:
          description: Whether all of it can be restored.
          type: bool
          sample: true
    backup:
      description: The newest backup in O(backup_dir).
      type: dict
      contains:
        newest_at:
          description: When it was made, in seconds since 1970.
          type: float
          sample: 1795377600.0
        ok:
          description: Whether it is as long as its manifest says, its set is complete, and none was found bad since.
          type: bool
          sample: true
    proxy:
      description: What nginx does with requests, where the role traffic is laid out.
      type: dict
      contains:
        mode:
          description: C(serving) or C(maintenance), as its workers answer.
          type: str
          sample: serving
        upstream:
          description: Where requests go.
          type: str
          sample: 192.0.2.7:80
        file_mode:
          description: What the file says.
          type: str
          sample: serving
        file_upstream:
          description: What the file says.
          type: str
          sample: 192.0.2.7:80
        running:
          description: Whether nginx runs.
          type: bool
          sample: true
        config_ok:
          description: Whether C(nginx -t) accepts its configuration.
          type: bool
          sample: true
        config_error:
          description: What it complains about.
          type: str
          sample: ""
    peers:
      description: What O(peers) answered.
      type: list
      elements: dict
      contains:
        name:
          description: Its name in the inventory.
          type: str
          sample: tutor2
        address:
          description: Where it was asked.
          type: str
          sample: 192.0.2.7
        ssh:
          description: C(ok), or what happened.
          type: str
          sample: ok
        http:
          description: The status as a number, or what happened; null without a URL.
          type: raw
          sample: 200
    errors:
      description: Why a part is null, by its name.
      type: dict
      sample: {}
started:
  description: When it began, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:00:00Z"
duration_ms:
  description: How long it took.
  returned: success
  type: float
  sample: 212.5
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.peers import OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.look.run import look


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            host=dict(type="str"),
            database=dict(type="str"),
            service=dict(type="str", default=""),
            root=dict(type="path", default="/opt/bilingual-tutor"),
            python=dict(type="path"),
            secret_files=dict(type="list", elements="path", default=[], no_log=False),
            quick_check=dict(type="float", default=5.0),
            replication_home=dict(type="path", default="/srv/tutor-ops-replica"),
            replication_service=dict(type="str", default="tutor-ops-replication.service"),
            replication_epoch_file=dict(type="path", default="/etc/tutor-ops/replication/epoch"),
            backup_dir=dict(type="path"),
            backup_patterns=dict(type="list", elements="str", default=["*.db", "*.db.gz", "*.db.zst"]),
            peers=dict(type="list", elements="dict", default=[], options=OPTIONS),
            peer_timeout=dict(type="float", default=2.0),
            config=dict(type="path", default="/etc/tutor-ops/fencing.json"),
            units=dict(type="list", elements="str"),
            stop_timeout=dict(type="float"),
            state_dir=dict(type="path"),
            run_dir=dict(type="path"),
            deadline=dict(type="float", default=12.0),
        ),
        supports_check_mode=True,
    )
    acting.run(module, lambda tell: {"changed": False, "look": look(module.params)})


if __name__ == "__main__":
    main()
