#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_query
short_description: Read and verify the operations ledger
version_added: 0.1.0
description:
  - Returns events of the ledger that M(bilingual_tutor.ops.ops_record) writes, and proves on request that none was
    changed, taken out, put in or cut off.
  - Reads only. A ledger that is missing is never made.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes.observes
options:
  ledger:
    description:
      - The ledger's file on the host the task runs on.
    type: path
    required: true
  kind:
    description:
      - Only events of these kinds; V(*) in one stands for any text, as in V(incident.*).
    type: list
    elements: str
    default: []
  subject:
    description:
      - Only events about these subjects; V(*) as in O(kind).
    type: list
    elements: str
    default: []
  since:
    description:
      - Only events at this time or later; as ISO 8601 with a time zone, a date, or an age such as V(90m) or V(7d).
    type: str
    default: ""
  until:
    description:
      - Only events before this time; as O(since).
    type: str
    default: ""
  limit:
    description:
      - Only the newest so many events, V(0) for all. An event of a check run has 20 to 60 KB.
      - RV(count) tells how many there are.
    type: int
    default: 100
  latest_per:
    description:
      - Of what only the last recorded event is wanted, such as the last check run of each host.
    type: str
    choices: [subject]
  select:
    description:
      - A JMESPath expression that is applied to the list of events, such as V([].data.worst) or
        V([?data.worst > `0`].subject). Its result is RV(selected).
    type: str
  verify:
    description:
      - Whether to prove the whole ledger too. Reads all of it, about 0.3 GB a second.
      - Of a ledger that cannot be proved no events are returned; ask again without this to see what is there.
    type: bool
    default: false
  missing:
    description:
      - What a ledger that does not exist means. With V(empty) it holds no events, which is right before the first
        record. A ledger that has gone, but left its anchor, always fails.
    type: str
    choices: [fail, empty]
    default: fail
requirements:
  - jmespath (Python library on the host the task runs on, only for O(select))
seealso:
  - module: bilingual_tutor.ops.ops_record
"""

EXAMPLES = r"""
- name: Read the last check run of each host
  bilingual_tutor.ops.ops_query:
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
    kind: [check.run]
    latest_per: subject
    missing: empty
  register: last

- name: Name the hosts that had a finding within a week
  bilingual_tutor.ops.ops_query:
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
    kind: [check.run]
    since: 7d
    limit: 0
    select: "[?data.worst > `0`].subject"

- name: Prove the ledger
  bilingual_tutor.ops.ops_query:
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
    limit: 1
    verify: true
  register: proof
  failed_when: not proof.chain_ok
"""

RETURN = r"""
events:
  description:
    - The events in the order of recording. Empty with O(select), which says what is wanted of them instead; a result
      of megabytes costs the controller seconds.
  returned: success
  type: list
  elements: dict
  contains:
    seq:
      description: Number of the event, counted from 1 without a gap.
      type: int
      sample: 42
    at:
      description: When it happened, UTC.
      type: str
      sample: "2026-11-23T01:02:03.000Z"
    kind:
      description: Its kind.
      type: str
      sample: check.run
    subject:
      description: What it is about.
      type: str
      sample: tutor1
    run_id:
      description: The run that recorded it, or empty.
      type: str
    prev:
      description: Hash of the event before it.
      type: str
    hash:
      description: Hash over everything else here.
      type: str
    data:
      description: Its data.
      type: dict
count:
  description: How many events there are, before O(limit).
  returned: success
  type: int
  sample: 42
selected:
  description: Result of O(select); null without it.
  returned: success
  type: raw
chain_ok:
  description: Whether the ledger is proved; null without O(verify). A ledger that does not exist is never proved.
  returned: success
  type: bool
  sample: true
checks:
  description:
    - With O(verify) one check C(ledger.chain), schema C(ops.check/1), which names the first bad event, what was
      expected and what was seen.
  returned: success
  type: list
  elements: dict
"""

import traceback
from typing import Any, NoReturn

try:
    import jmespath
except ImportError:
    HAS_JMESPATH = False
    JMESPATH_ERROR = traceback.format_exc()
else:
    HAS_JMESPATH = True
    JMESPATH_ERROR = ""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.opening import LedgerMissing
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger, Selection
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.verify import verify


def read(params: dict[str, Any]) -> tuple[Selection, list[Check]]:
    """Return the events asked for, and the proof when it is asked for."""
    ledger = Ledger(params["ledger"])
    try:
        # The proof first: of a damaged ledger it says more than the query that fails on it.
        checks = [verify(ledger)] if params["verify"] else []
        if checks and checks[0].status is not Status.OK:
            return Selection([], 0), checks
        names = ("since", "until", "limit")
        options = {name: params[name] for name in names}
        found = ledger.query(params["kind"], params["subject"], latest_per=params["latest_per"] or "", **options)
    except LedgerMissing:
        if params["missing"] == "fail":
            raise
        return Selection([], 0), []
    return found, checks


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            ledger=dict(type="path", required=True),
            kind=dict(type="list", elements="str", default=[]),
            subject=dict(type="list", elements="str", default=[]),
            since=dict(type="str", default=""),
            until=dict(type="str", default=""),
            limit=dict(type="int", default=100),
            latest_per=dict(type="str", choices=["subject"]),
            select=dict(type="str"),
            verify=dict(type="bool", default=False),
            missing=dict(type="str", choices=["fail", "empty"], default="fail"),
        ),
        supports_check_mode=True,
    )
    expression = None
    if module.params["select"]:
        if not HAS_JMESPATH:
            module.fail_json(msg=missing_required_lib("jmespath"), exception=JMESPATH_ERROR)
        try:
            expression = jmespath.compile(module.params["select"])
        except jmespath.exceptions.JMESPathError as exc:
            module.fail_json(msg=f"select is not a JMESPath expression: {exc}")
    try:
        found, checks = read(module.params)
    except OpsError as exc:
        module.fail_json(msg=str(exc))
    events, selected = [event.as_dict() for event in found.events], None
    if expression is not None:
        try:
            events, selected = [], expression.search(events)
        except jmespath.exceptions.JMESPathError as exc:
            module.fail_json(msg=f"select failed on the events: {exc}")
    module.exit_json(
        changed=False,
        events=events,
        count=found.matched,
        selected=selected,
        chain_ok=checks[0].status is Status.OK if checks else None,
        checks=[check.as_dict() for check in checks],
    )


if __name__ == "__main__":
    main()
