#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_stats
short_description: Ask a Redis or Valkey server once and judge what it says
version_added: 0.1.0
description:
  - Opens one connection, sends one pipelined exchange in which no command walks over keys, and returns checks with
    guarded thresholds, derived figures and the state for the next run.
  - What the ACL user may not ask is skipped with that reason, and the check C(redis.access) names the grant that is
    missing. The user needs C(+ping +info +slowlog|get +slowlog|len +latency|latest +config|get +memory|doctor
    +acl|log) and no key.
  - A server that is down, stopped, loading or refuses the password is a finding (C(redis.up)), not a failure of the
    task. The task fails when it could not look, such as without the Python library or with unreadable TLS files.
  - Observes only.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
requirements:
  - redis (Python library, 4.3 or newer; C(python3-redis) on Debian)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes.observes
options:
  host:
    description: Name or address of the server. Ignored when O(unix_socket) is set.
    type: str
    default: 127.0.0.1
  port:
    description: TCP port of the server.
    type: int
    default: 6379
  unix_socket:
    description: Path of the server's socket, instead of O(host) and O(port).
    type: path
    default: ""
  username:
    description: ACL user. Without one the user C(default) is meant.
    type: str
    default: ""
  password:
    description: Password of the user.
    type: str
    default: ""
  tls:
    description: Whether the connection is encrypted.
    type: bool
    default: false
  tls_ca:
    description: File with the authorities to trust, PEM. Those of the system when empty.
    type: path
    default: ""
  tls_cert:
    description: File with the client certificate, PEM, if the server wants one.
    type: path
    default: ""
  tls_key:
    description: File with the key of O(tls_cert), PEM, without passphrase.
    type: path
    default: ""
  tls_verify:
    description: Whether the server's certificate and its name are checked.
    type: bool
    default: true
  role:
    description:
      - What the server is for. In a V(cache) the hit rate and missing times to live are judged, and evictions are
        expected; in a V(store) any eviction is critical.
    type: str
    choices: [cache, store]
    default: cache
  expected_role:
    description: Replication role the server must have; empty when any is fine.
    type: str
    choices: ["", master, replica]
    default: ""
  strict_os:
    description:
      - Whether kernel settings that Redis advises against (memory overcommit, transparent huge pages, a short listen
        queue) warn. Otherwise they are advice in an OK, since every fresh host has them.
    type: bool
    default: false
  previous:
    description:
      - The RV(state) of the last run. Rates, restarts and new entries of the slow log follow from it. Without it such
        checks are OK with the reason V(insufficient_data).
    type: dict
    default: {}
  thresholds:
    description:
      - Thresholds by check, a dictionary of check id to C(warn) and C(crit) as Nagios ranges. An empty range switches
        that level off.
    type: dict
    default: {}
  timeout:
    description: Seconds for everything together, resolving, connecting and the answer.
    type: float
    default: 3
seealso:
  - module: bilingual_tutor.ops.service_health
    description: The probe of kind C(redis) makes the same checks among those of a whole host.
"""

EXAMPLES = r"""
- name: Look at the cache of this host
  bilingual_tutor.ops.redis_stats:
  register: redis

- name: Look again and see what happened in between
  bilingual_tutor.ops.redis_stats:
    previous: "{{ redis.state }}"
    thresholds:
      redis.hit_rate: {warn: "75:", crit: "60:"}

- name: Look at a store over TLS as the user of the documentation
  bilingual_tutor.ops.redis_stats:
    host: redis1.example.org
    port: 6380
    username: ops
    password: "{{ vault_redis_ops_password }}"
    tls: true
    tls_ca: /etc/ssl/private-ca.pem
    role: store
    expected_role: master
"""

RETURN = r"""
checks:
  description:
    - The findings, worst first, schema C(ops.check/1) as of M(bilingual_tutor.ops.service_health). Only C(redis.up)
      when the server gave no usable answer.
  returned: success
  type: list
  elements: dict
  sample:
    - id: redis.hit_rate
      item: 127.0.0.1:6379
      status: 1
      summary: hit rate 74.2 % over 15234 look-ups in 360 min
stats:
  description:
    - Derived figures of the window since the last run (since the server's start at the first run) and the fields they
      rest on. Empty when the server gave no usable answer.
  returned: success
  type: dict
  sample:
    window_seconds: 21600.0
    hit_rate_percent: 74.2
    operations_per_second: 11.3
    slowlog: {new: 2, lost: 0, commands: [{command: KEYS, count: 2, total_ms: 61.2, max_ms: 40.1}]}
state:
  description: What the next run wants as O(previous).
  returned: success
  type: dict
"""

import traceback
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import by_severity
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.engine import inspect
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.wire import LibraryMissing


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            host=dict(type="str", default="127.0.0.1"),
            port=dict(type="int", default=6379),
            unix_socket=dict(type="path", default=""),
            username=dict(type="str", default=""),
            password=dict(type="str", default="", no_log=True),
            tls=dict(type="bool", default=False),
            tls_ca=dict(type="path", default=""),
            tls_cert=dict(type="path", default=""),
            tls_key=dict(type="path", default="", no_log=False),
            tls_verify=dict(type="bool", default=True),
            role=dict(type="str", default="cache", choices=["cache", "store"]),
            expected_role=dict(type="str", default="", choices=["", "master", "replica"]),
            strict_os=dict(type="bool", default=False),
            previous=dict(type="dict", default={}),
            thresholds=dict(type="dict", default={}),
            timeout=dict(type="float", default=3),
        ),
        supports_check_mode=True,
    )
    options = module.params
    if not options["timeout"] > 0:
        module.fail_json(msg=f"timeout is {options['timeout']}: expected a number of seconds above 0")
    try:
        found = inspect(options, options["thresholds"], options["previous"], Deadline(options["timeout"]))
    except LibraryMissing:
        module.fail_json(msg=missing_required_lib("redis"), exception=traceback.format_exc())
    except OpsError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(
        changed=False,
        checks=[check.as_dict() for check in by_severity(found.checks)],
        stats=found.stats,
        state=found.state,
    )


if __name__ == "__main__":
    main()
