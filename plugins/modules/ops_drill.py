#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_drill
short_description: Admit a drill, and judge it
version_added: 0.1.0
description:
  - V(admit) reads from the ledger whether a drill may begin now, and what the last one left open. A drill can wait, so
    an open failover, an urgent incident, a change freeze and a backup that was not good each refuse it.
  - V(judge) makes the verdict of a drill out of what was found, looks at the emergency process (maintenance page,
    contacts, runbook, the way to page somebody), compares with the drills before, and gives each finding an owner and a
    date. A finding stays open until a drill looks at the same thing and finds it well.
  - The record is written by the role P(bilingual_tutor.ops.dr_drill#role), as an event of kind C(drill.run).
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
attributes:
  check_mode:
    support: full
    details: Nobody is paged.
  diff_mode:
    support: none
    details: There is nothing to show a difference of.
options:
  state:
    description:
      - What is to be done.
    type: str
    choices: [admit, judge]
    required: true
  ledger:
    description:
      - The ledger's file on the host the task runs on. One that does not exist holds no drills.
    type: path
    required: true
  looks:
    description:
      - Of each host C(host), its C(lock) as in RV(bilingual_tutor.ops.failover_look#module:look), and C(error) when it
        could not be looked at. For O(state=admit).
    type: list
    elements: dict
    default: []
  change_freeze:
    description:
      - Why changes are frozen; empty when they are not. For O(state=admit).
    type: str
    default: ""
  seed:
    description:
      - Chooses the random moment. Without it one is drawn, and told. For O(state=admit).
    type: int
  run_id:
    description:
      - The run of the drill.
    type: str
    default: ""
  level:
    description:
      - V(1) rehearses restores and a promotion in scratch, V(2) besides switches over and back for real.
    type: int
    choices: [1, 2]
    default: 1
  rehearsals:
    description:
      - Results of M(bilingual_tutor.ops.drill_scratch), each with C(host); also those that failed.
    type: list
    elements: dict
    default: []
  switchovers:
    description:
      - Of each real one C(step), V(switchover) or V(failback), in C(closed) what its run returned at the end, and in
        C(error) why there is none.
    type: list
    elements: dict
    default: []
  before:
    description:
      - Results of M(bilingual_tutor.ops.service_health) before the drill, by host.
    type: dict
    default: {}
  after:
    description:
      - The same after it.
    type: dict
    default: {}
  rto:
    description:
      - Seconds that recovery may take.
    type: float
    default: 300
  rpo:
    description:
      - Seconds whose changes may be lost.
    type: float
    default: 5
  owner:
    description:
      - Who owns the findings.
    type: str
    default: ""
  due_days:
    description:
      - Days until a finding is due.
    type: int
    default: 14
  maintenance:
    description:
      - The maintenance pages, each C(url), and in C(body) a regular expression that must be in it.
    type: list
    elements: dict
    default: []
  contacts:
    description:
      - C(people), a list of C(name), C(role) and one of C(phone), C(mobile), C(mail), C(wechat), and C(channels) of the
        team by their name.
    type: dict
    default: {}
  contact_roles:
    description:
      - Roles that need somebody.
    type: list
    elements: str
    default: []
  runbook:
    description:
      - The runbook's file on the host the task runs on.
    type: str
    default: ""
  runbook_sha256:
    description:
      - Its hash as agreed; without it that of the last drill.
    type: str
    default: ""
  notify_command:
    description:
      - What pages whoever is on call, as a list. It gets one line as its last word and on standard input.
    type: list
    elements: str
    default: []
  notify_text:
    description:
      - What it says besides that it is a drill.
    type: str
    default: disaster recovery drill, nothing is wrong
seealso:
  - module: bilingual_tutor.ops.drill_scratch
"""

EXAMPLES = r"""
- name: May a drill begin?
  bilingual_tutor.ops.ops_drill:
    state: admit
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
  register: admitted
  failed_when: admitted.refusals | length > 0

- name: Judge it
  bilingual_tutor.ops.ops_drill:
    state: judge
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
    run_id: 20261123T010203Z-ab12cd
    rehearsals: "{{ rehearsed.results }}"
    owner: ops
"""

RETURN = r"""
refusals:
  description: Reasons to wait, each C(id) and the sentence in C(en) and C(zh).
  returned: state is admit
  type: list
  elements: dict
open:
  description: Findings of the last drill that are open.
  returned: state is admit
  type: list
  elements: dict
last:
  description: When the last drill was, empty before the first.
  returned: state is admit
  type: str
  sample: "2026-10-26T02:00:00Z"
seed:
  description: With what the random moment is chosen.
  returned: state is admit
  type: int
  sample: 2891336453
schema:
  description: Version of the record.
  returned: state is judge
  type: str
  sample: ops.drill/1
run_id:
  description: As O(run_id).
  returned: state is judge
  type: str
  sample: 20261123T010203Z-ab12cd
at:
  description: When it was judged, UTC.
  returned: state is judge
  type: str
  sample: "2026-11-23T02:30:00.000Z"
level:
  description: As O(level).
  returned: state is judge
  type: int
  sample: 1
verdict:
  description: V(passed), V(failed), or V(inconclusive) when nothing was wrong and something could not be looked at.
  returned: state is judge
  type: str
  sample: passed
reasons:
  description: The checks that made it so.
  returned: state is judge
  type: list
  elements: dict
rto_s:
  description: Seconds the recovery took; null when it was not measured.
  returned: state is judge
  type: float
  sample: 3.9
rpo_s:
  description: Seconds whose changes would have been lost; null when it was not measured.
  returned: state is judge
  type: float
  sample: 0.12
targets:
  description: The seconds allowed.
  returned: state is judge
  type: dict
  sample: {rto_s: 300.0, rpo_s: 5.0}
restores:
  description: Each restore with its verdict, its seconds, rows and newest stamp.
  returned: state is judge
  type: list
  elements: dict
steps:
  description: Seconds of each step by part.
  returned: state is judge
  type: list
  elements: dict
  sample: [{part: snapshot, step: restore, seconds: 0.8}]
findings:
  description: What is open, that of earlier drills first, each with C(owner), C(since), C(due) and C(overdue).
  returned: state is judge
  type: list
  elements: dict
closed:
  description: Findings of the last drill that this one found well.
  returned: state is judge
  type: list
  elements: dict
trend:
  description: The last drills and this one, oldest first.
  returned: state is judge
  type: list
  elements: dict
runbook_sha256:
  description: Hash of the runbook, empty when it was not read.
  returned: state is judge
  type: str
checks:
  description:
    - The findings C(drill.steady), C(drill.maintenance), C(drill.contacts), C(drill.runbook), C(drill.notified),
      C(drill.rehearsal), C(drill.rto), C(drill.rpo), C(drill.overdue) and C(drill.verdict).
  returned: state is judge
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
  sample: 42.5
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils import acting
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.drill.record import admit, conclude


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["admit", "judge"], required=True),
            ledger=dict(type="path", required=True),
            looks=dict(type="list", elements="dict", default=[]),
            change_freeze=dict(type="str", default=""),
            seed=dict(type="int"),
            run_id=dict(type="str", default=""),
            level=dict(type="int", choices=[1, 2], default=1),
            rehearsals=dict(type="list", elements="dict", default=[]),
            switchovers=dict(type="list", elements="dict", default=[]),
            before=dict(type="dict", default={}),
            after=dict(type="dict", default={}),
            rto=dict(type="float", default=300.0),
            rpo=dict(type="float", default=5.0),
            owner=dict(type="str", default=""),
            due_days=dict(type="int", default=14),
            maintenance=dict(type="list", elements="dict", default=[]),
            contacts=dict(type="dict", default={}),
            contact_roles=dict(type="list", elements="str", default=[]),
            runbook=dict(type="str", default=""),
            runbook_sha256=dict(type="str", default=""),
            notify_command=dict(type="list", elements="str", default=[]),
            notify_text=dict(type="str", default="disaster recovery drill, nothing is wrong"),
        ),
        supports_check_mode=True,
    )
    options = module.params
    if options["state"] == "admit":
        acting.run(module, lambda tell: admit(options))
    acting.run(module, lambda tell: conclude(options, module.check_mode))


if __name__ == "__main__":
    main()
