#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_traffic
short_description: Send the requests that reach nginx to a host, or to the page of the maintenance
version_added: 0.1.0
description:
  - Writes C(upstream.conf) as a whole, has C(nginx -t) accept it, reloads nginx, and proves by asking nginx that new
    workers do as asked and that no worker is left that does as before.
  - When C(nginx -t) fails, before or after, what was there stays in force and the module fails with what was seen.
  - Requests that old workers have are ended by them, within O(drain) seconds; then these workers are ended, and named.
    Connections that wait for their next request are closed by nginx at once.
  - Interrupted at any moment it leaves a configuration that nginx accepts; the next run completes it.
  - Needs what the role P(bilingual_tutor.ops.traffic#role) lays out, on a proxy or on the application's hosts.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
options:
  state:
    description:
      - V(serving) sends requests to O(upstream), V(maintenance) answers each with 503 and the page.
      - On an application's host V(serving) lets the site there do what it does, and O(upstream) is only told.
    type: str
    choices: [serving, maintenance]
    required: true
  upstream:
    description:
      - Address or name of the host that is to serve, with C(:PORT) unless that is the one of the role, 80.
    type: str
  drain:
    description:
      - Seconds old workers have to end the requests they have, at least 0.3.
    type: float
    default: 3
  deadline:
    description:
      - Seconds nginx has to take over a reload.
    type: float
    default: 5
  directory:
    description:
      - Where C(upstream.conf) lies.
    type: path
    default: /etc/nginx/tutor-ops
  config:
    description:
      - The configuration of nginx, for C(nginx -t).
    type: path
    default: /etc/nginx/nginx.conf
  pidfile:
    description:
      - Where nginx keeps the number of its master process.
    type: path
    default: /run/nginx.pid
  run_id:
    description:
      - The run that asks for it; told in the evidence.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    details: Refuses what would be refused.
  diff_mode:
    support: full
    details: Shows C(upstream.conf) before and after.
seealso:
  - module: bilingual_tutor.ops.ops_fence
"""

EXAMPLES = r"""
- name: Tell users that there is maintenance
  bilingual_tutor.ops.ops_traffic:
    state: maintenance

- name: Send them to the second host
  bilingual_tutor.ops.ops_traffic:
    state: serving
    upstream: 10.0.0.12
"""

RETURN = r"""
mode:
  description: What is so now, or would be in check mode.
  returned: success
  type: str
  sample: serving
upstream:
  description: Where requests go; empty in the maintenance.
  returned: success
  type: str
  sample: 10.0.0.12
before:
  description: What was found.
  returned: success
  type: dict
  contains: &seen
    mode:
      description: What the workers do, V(serving) or V(maintenance), or the file where none runs. Null for neither.
      type: str
      sample: serving
    upstream:
      description: Where they send requests.
      type: str
      sample: 10.0.0.11
    file_mode:
      description: What C(upstream.conf) says.
      type: str
      sample: serving
    file_upstream:
      description: The upstream there.
      type: str
      sample: 10.0.0.11
    running:
      description: Whether nginx runs.
      type: bool
      sample: true
    config_ok:
      description: Whether C(nginx -t) accepts the whole configuration.
      type: bool
      sample: true
    config_error:
      description: What it complains about.
      type: str
      sample: ""
after:
  description: What there is now, or would be in check mode.
  returned: success
  type: dict
  contains: *seen
ended:
  description: Process numbers of old workers that had requests for longer than O(drain) and were ended.
  returned: success
  type: list
  elements: str
  sample: []
evidence:
  description: What was done and proved, in order.
  returned: success
  type: list
  elements: str
  sample: ["nginx -t accepts it", "new workers answer serving 10.0.0.12", "no old worker is left of 2"]
started:
  description: When it began, UTC.
  returned: success
  type: str
  sample: "2026-11-23T02:00:00Z"
duration_ms:
  description: How long it took.
  returned: success
  type: float
  sample: 180.5
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.traffic.act import switch


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["serving", "maintenance"], required=True),
            upstream=dict(type="str"),
            drain=dict(type="float", default=3),
            deadline=dict(type="float", default=5),
            directory=dict(type="path", default="/etc/nginx/tutor-ops"),
            config=dict(type="path", default="/etc/nginx/nginx.conf"),
            pidfile=dict(type="path", default="/run/nginx.pid"),
            run_id=dict(type="str", default=""),
        ),
        required_if=[("state", "serving", ["upstream"])],
        supports_check_mode=True,
    )
    acting.run(module, lambda tell: switch(module.params, module.check_mode))


if __name__ == "__main__":
    main()
