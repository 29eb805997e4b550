#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_health
short_description: Look at a host through many probes at once and return a list of checks
version_added: 0.1.0
description:
  - Runs all O(probes) side by side, each in a process of its own with a deadline of its own, and returns what they
    found as a list of checks (schema C(ops.check/1)).
  - A probe that hangs or crashes becomes a finding and never delays or hides the others.
  - Observes only. A critical finding is data, not a failure of the task; the task fails when it could not run.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes.observes
options:
  probes:
    description:
      - What to look at. Each entry is a dictionary with a C(kind); the other options depend on the kind and are listed
        in C(docs/probes.md).
      - Every kind also takes C(name) (a stable name for the probe's state), C(timeout) (seconds), C(thresholds)
        (a dictionary of check id to C(warn) and C(crit) as Nagios ranges), C(labels) and C(waivers) (findings that are
        accepted until a day; a list of dictionaries with C(check), C(item), C(until) and C(reason)), and C(serving)
        (leaves the probe out, and says so, where the host is fenced as the standby of another one).
    type: list
    elements: dict
    required: true
  previous:
    description:
      - The RV(state) of the last run on this host. Differences of counters, log cursors and the age of a finding are
        computed from it, so that the host keeps nothing.
    type: dict
    default: {}
  deadline:
    description:
      - Seconds after which every probe that still runs is ended, whatever its own timeout.
    type: float
    default: 15
notes:
  - Runs on Python 3.9 and newer. The probe C(redis) needs the Python library redis and says so in its finding when it
    is missing.
"""

EXAMPLES = r"""
- name: Look at the web server and the application
  bilingual_tutor.ops.service_health:
    probes:
      - kind: unit
        units: [nginx, bilingual-tutor]
      - kind: http
        url: http://127.0.0.1/health
        thresholds:
          http.total: {warn: "1", crit: "3"}
      - kind: host
  register: health

- name: Look again and say what changed in between
  bilingual_tutor.ops.service_health:
    probes:
      - kind: host
    previous: "{{ health.state }}"
    deadline: 10
"""

RETURN = r"""
checks:
  description: The findings, worst first; healthy ones too.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: What was checked.
      type: str
      sample: disk.used
    group:
      description: The family of the check.
      type: str
      sample: host
    item:
      description: Which one, empty when there is only one.
      type: str
      sample: /var
    status:
      description: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (could not look), 4 SKIPPED (not applicable here).
      type: int
      sample: 1
    reason:
      description: Why it has this status.
      type: str
      sample: threshold
    summary:
      description: The finding in one English sentence.
      type: str
      sample: /var is 84 % full, 3.1 GiB free
    message:
      description: Key of the sentence in the message catalogue, for other languages.
      type: str
      sample: disk.full
    params:
      description: Values of the sentence.
      type: dict
    value:
      description: The measured value, if there is one.
      type: float
      sample: 84.2
    uom:
      description: Unit of the value.
      type: str
      sample: "%"
    warn:
      description: Range that warns, as a Nagios range.
      type: str
      sample: "80"
    crit:
      description: Range that is critical, as a Nagios range.
      type: str
      sample: "90"
    min:
      description: Smallest possible value, if known.
      type: float
    max:
      description: Largest possible value, if known.
      type: float
    evidence:
      description: Up to ten lines of proof, redacted.
      type: list
      elements: str
    fix:
      description: Key of the advice in the message catalogue, empty when there is nothing to do.
      type: str
    since:
      description: Since when the check has this status, UTC.
      type: str
      sample: "2026-11-23T01:10:00Z"
    prev_status:
      description: Status at the last run, null at the first.
      type: int
    flaps_24h:
      description: Changes of status within a day.
      type: int
    duration_ms:
      description: How long the probe took.
      type: float
    source:
      description: The probe that found it.
      type: str
    labels:
      description: Labels given to the probe.
      type: dict
    fingerprint:
      description: Identity of the finding.
      type: str
state:
  description: What the next run wants as O(previous).
  returned: success
  type: dict
worst:
  description: The worst status of all checks; CRITICAL, WARNING, UNKNOWN, OK, SKIPPED in that order.
  returned: success
  type: int
  sample: 0
counts:
  description: Number of checks by status.
  returned: success
  type: dict
  sample: {"ok": 41, "warning": 1, "critical": 0, "unknown": 0, "skipped": 6}
schema:
  description: Schema of the checks.
  returned: success
  type: str
  sample: ops.check/1
started:
  description: When the run started, UTC.
  returned: success
  type: str
  sample: "2026-11-23T01:10:00Z"
duration_ms:
  description: How long all probes took together.
  returned: success
  type: float
  sample: 61.4
"""

import time
from datetime import datetime, timezone
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import SCHEMA, by_severity, counts, worst
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.registry import prepare_all
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.runner import run_probes


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            probes=dict(type="list", elements="dict", required=True),
            previous=dict(type="dict", default={}),
            deadline=dict(type="float", default=15),
        ),
        supports_check_mode=True,
    )
    if not module.params["deadline"] > 0:
        module.fail_json(msg=f"deadline is {module.params['deadline']}: expected a number of seconds above 0")
    if not module.params["probes"]:
        module.fail_json(
            msg="probes is empty: expected at least one, or a run that looks at nothing would pass as healthy"
        )
    try:
        probes = prepare_all(module.params["probes"])
    except OpsError as exc:
        module.fail_json(msg=str(exc))
    for probe in probes:
        module.no_log_values.update(probe.secrets)
    started, begin = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), time.monotonic()
    result = run_probes(probes, module.params["previous"], module.params["deadline"])
    module.exit_json(
        changed=False,
        schema=SCHEMA,
        started=started,
        duration_ms=round((time.monotonic() - begin) * 1000, 1),
        checks=[check.as_dict() for check in by_severity(result.checks)],
        state=result.state,
        worst=int(worst(result.checks)),
        counts=counts(result.checks),
    )


if __name__ == "__main__":
    main()
