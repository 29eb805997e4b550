#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_record
short_description: Record events in the operations ledger
version_added: 0.1.0
description:
  - Appends one or many events to the ledger, an append-only SQLite database in which the hash of each event covers all
    events before it. The ledger is made by the first record.
  - Either all events of a task are recorded or none. Writers on one host wait for each other.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
options:
  ledger:
    description:
      - The ledger's file on the host the task runs on, usually the one named by C(ops_ledger_host).
      - A directory that is missing is made with mode 0750, the file has mode 0640. The anchor, which proves that
        nothing was cut off the end, lies beside it as C(LEDGER.anchor); back up both.
    type: path
    required: true
  kind:
    description:
      - What kind of event it is, as lower-case words joined by dots, such as V(check.run) or V(backup.done).
    type: str
  subject:
    description:
      - What the event is about, such as a host or the number of an incident.
    type: str
  data:
    description:
      - What there is to say about it.
    type: dict
    default: {}
  run_id:
    description:
      - Identity of the run that records. An event whose O(run_id), O(kind) and O(subject) are recorded already is not
        recorded again, so that a step can be repeated.
      - In O(events) it is the default of the entries that have none.
    type: str
    default: ""
  at:
    description:
      - When it happened, as ISO 8601 with a time zone. Now, if left out.
    type: str
    default: ""
  events:
    description:
      - Several events, recorded in one transaction in this order; instead of O(kind), O(subject), O(data) and O(at).
    type: list
    elements: dict
    suboptions:
      kind:
        description: As O(kind).
        type: str
        required: true
      subject:
        description: As O(subject).
        type: str
        required: true
      data:
        description: As O(data).
        type: dict
        default: {}
      run_id:
        description: As O(run_id).
        type: str
      at:
        description: As O(at).
        type: str
        default: ""
  deadline:
    description:
      - Seconds to wait for other writers and readers, in all.
    type: float
    default: 30
attributes:
  check_mode:
    support: full
    details: Records nothing and says what would be recorded.
  diff_mode:
    support: full
    details: Shows the events that are added.
notes:
  - An event cannot be changed or removed later. Do not put secrets into O(data).
  - A ledger that is shorter than its anchor says is refused, since to go on writing would bury the proof.
seealso:
  - module: bilingual_tutor.ops.ops_query
"""

EXAMPLES = r"""
- name: Record the daily checks of this host
  bilingual_tutor.ops.ops_record:
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
    kind: check.run
    subject: "{{ inventory_hostname }}"
    run_id: 20261123T010203Z-ab12cd
    data:
      worst: 0
      checks: []
  delegate_to: "{{ ops_ledger_host }}"

- name: Record several events at once
  bilingual_tutor.ops.ops_record:
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
    run_id: 20261123T010203Z-ab12cd
    events:
      - kind: backup.done
        subject: tutor1
        data: {bytes: 1048576}
      - kind: notice.sent
        subject: on-call
        at: "2026-11-23T01:02:03Z"
"""

RETURN = r"""
event:
  description:
    - The first event, as it is in the ledger now, but for its data, which the task gave. In check mode RV(event.seq) is
      0 and the hashes are empty.
  returned: success
  type: dict
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
      sample: 20261123T010203Z-ab12cd
    prev:
      description: Hash of the event before it.
      type: str
    hash:
      description: Hash over the whole event. Printed elsewhere, it proves the whole ledger up to this event.
      type: str
events:
  description:
    - All events of the task in the order given. An event that was recorded by an earlier attempt with the same
      O(run_id) is returned as it was recorded then.
  returned: success
  type: list
  elements: dict
added:
  description: How many of RV(events) this task recorded.
  returned: success
  type: int
  sample: 1
"""

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.events import NewEvent, canonical
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger, Recorded


def wanted(params: dict[str, Any]) -> list[NewEvent]:
    """Return the events the task asks for."""
    entries = [params] if params["events"] is None else params["events"]
    return [
        NewEvent(entry["kind"], entry["subject"], entry["data"], entry["run_id"] or params["run_id"], entry["at"])
        for entry in entries
    ]


def difference(path: str, added: list[Recorded]) -> dict[str, str]:
    """Return what is added, one line per event."""
    lines = [f"{item.event.kind} {item.event.subject} {canonical(item.event.data)[:200]}\n" for item in added]
    return {"before_header": path, "after_header": path, "before": "", "after": "".join(lines)}


def main() -> NoReturn:
    entry = dict(
        kind=dict(type="str"),
        subject=dict(type="str"),
        data=dict(type="dict", default={}),
        run_id=dict(type="str", default=""),
        at=dict(type="str", default=""),
    )
    module = AnsibleModule(
        argument_spec=dict(
            entry,
            ledger=dict(type="path", required=True),
            events=dict(
                type="list",
                elements="dict",
                options=dict(
                    kind=dict(type="str", required=True),
                    subject=dict(type="str", required=True),
                    data=dict(type="dict", default={}),
                    run_id=dict(type="str"),
                    at=dict(type="str", default=""),
                ),
            ),
            deadline=dict(type="float", default=30),
        ),
        required_one_of=[("kind", "events")],
        mutually_exclusive=[("kind", "events"), ("subject", "events")],
        required_together=[("kind", "subject")],
        supports_check_mode=True,
    )
    ledger = Ledger(module.params["ledger"])
    try:
        events = wanted(module.params)
        recorded = ledger.preview(events) if module.check_mode else ledger.append(events, module.params["deadline"])
    except OpsError as exc:
        module.fail_json(msg=str(exc))
    added = [item for item in recorded if item.added]
    result = [{name: value for name, value in item.event.as_dict().items() if name != "data"} for item in recorded]
    diff = difference(str(ledger.path), added)
    module.exit_json(changed=bool(added), event=result[0], events=result, added=len(added), diff=diff)


if __name__ == "__main__":
    main()
