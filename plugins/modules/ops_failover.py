#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_failover
short_description: Judge, drive and end a failover
version_added: 0.1.0
description:
  - What the role P(bilingual_tutor.ops.failover#role) does on the controller. Use the playbooks.
  - V(look) asks M(bilingual_tutor.ops.failover_look) on the host of the task, and puts together meanwhile what the
    steps will send.
  - V(judge) decides from what was said of every host whether a failover may begin, and
    begins it, or goes on with the one of the same kind and target that was interrupted.
  - V(step) does the part that the host of the task, or the one it is delegated to, has in a step, if it has one and the
    step may begin now, and journals its begin and its end. V(decide) says where the run goes. V(close) ends it.
  - V(ended) names the runs that are over and still hold a host, for the option
    O(bilingual_tutor.ops.ops_lock#module:supersedes).
  - Everything that lies between two tasks is in the directory of the run, on the disk before the next thing is done.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
options:
  state:
    description:
      - Which part of the work.
    type: str
    choices: [look, judge, step, decide, close, ended]
    required: true
  dest:
    description:
      - Directory of all runs on the controller; needed by V(judge) and V(ended).
    type: path
  options:
    description:
      - For V(judge) what the operator asked for, the hosts and the settings of the application; for V(look) the options
        of M(bilingual_tutor.ops.failover_look).
    type: dict
  looks:
    description:
      - By host the registered result of V(look), or of M(bilingual_tutor.ops.failover_look); needed by V(judge) and
        V(ended).
    type: dict
  dry:
    description:
      - Only look and judge, as in check mode.
    type: bool
    default: false
  directory:
    description:
      - The run's directory; needed by V(step) and V(decide).
    type: path
  step:
    description:
      - The step; needed by V(step).
    type: str
  judged:
    description:
      - What V(judge) returned; needed by V(close).
    type: dict
attributes:
  check_mode:
    support: full
    details: Judges, and does nothing else.
  diff_mode:
    support: none
notes:
  - It needs no connection but in V(look) and V(step), and runs on the controller. A host that does not answer is a
    failed step.
seealso:
  - module: bilingual_tutor.ops.failover_look
  - module: bilingual_tutor.ops.ops_quiesce
  - module: bilingual_tutor.ops.ops_promote
  - module: bilingual_tutor.ops.ops_traffic
"""

EXAMPLES = r"""
- name: Where does the run go?
  bilingual_tutor.ops.ops_failover:
    state: decide
    directory: ~/.local/state/bilingual-tutor-ops/failover/20261123T010203Z-ab12cd
  delegate_to: localhost
"""

RETURN = r"""
look:
  description: As M(bilingual_tutor.ops.failover_look) returns it.
  returned: state is look
  type: dict
mode:
  description: C(switchover), C(failback) or C(emergency).
  returned: state is judge or close
  type: str
  sample: switchover
way:
  description:
    - C(planned), where the primary can be asked; C(emergency), where it cannot; C(nothing), where the target serves;
      C(none), where that could not be told.
  returned: state is judge or close
  type: str
  sample: planned
condition:
  description: What is wrong with the primary, such as C(healthy), C(app_down), C(host_down) or C(partitioned).
  returned: state is judge or close
  type: str
  sample: healthy
old:
  description: The primary when the run began.
  returned: state is judge or close
  type: str
  sample: tutor1
target:
  description: The host that is to serve.
  returned: state is judge or close
  type: str
  sample: tutor2
epoch:
  description: The epoch; with V(close) the one in force at the end.
  returned: state is judge or close
  type: int
  sample: 8
run_id:
  description: The run.
  returned: state is judge or close
  type: str
  sample: 20261123T010203Z-ab12cd
expected:
  description: Seconds that were expected beforehand, as C(gap_s), C(rto_s) and C(rpo_s).
  returned: state is judge or close
  type: dict
  sample: {"gap_s": 5.0, "rto_s": 5.0, "rpo_s": 0.0}
msg_zh:
  description: The outcome in Chinese.
  returned: state is judge, and it is known already
  type: str
  sample: tutor2 已在服务：无需操作
verdict:
  description: The outcome as a check.
  returned: state is judge, and it is known already
  type: dict
resumed:
  description: Whether it goes on with a run that was interrupted.
  returned: state is judge, and there is something to do
  type: bool
act:
  description: Whether there is something to do, with V(judge).
  returned: state is judge
  type: bool
directory:
  description: The run's directory.
  returned: state is judge, and there is something to do
  type: str
  sample: /root/.local/state/bilingual-tutor-ops/failover/20261123T010203Z-ab12cd
step:
  description: What failed.
  returned: state is decide
  type: str
  sample: promote
host:
  description: Where.
  returned: state is decide
  type: str
  sample: tutor2
error:
  description: Why.
  returned: state is decide
  type: str
left:
  description: Steps that are left to do.
  returned: state is decide or close
  type: list
  elements: str
  sample: [protected]
ended:
  description: Runs that are over, and could not give back the lock of a host that did not answer.
  returned: state is ended
  type: list
  elements: str
  sample: [20261123T010203Z-ab12cd]
journal:
  description: The journal of the run.
  returned: state is close, of a run
  type: str
  sample: /root/.local/state/bilingual-tutor-ops/failover/20261123T010203Z-ab12cd/journal.ndjson
rpo:
  description: What the promoted database holds, as C(newest_at), C(rows) and C(txid).
  returned: state is close, of a run
  type: dict
path:
  description: C(done), C(degraded), C(forward), C(rollback), C(turn), C(rolled_back), C(turned),
    C(refused), C(human) or C(abandoned).
  returned: state is decide
  type: str
  sample: done
outcome:
  description:
    - C(done); C(degraded), where somebody has to put something right later; C(nothing), where the target serves
      already; C(planned), of a rehearsal; C(refused); C(rolled_back); C(needs_human); C(abandoned).
  returned: state is close
  type: str
  sample: done
rto_s:
  description: Seconds from the decision until users are served; null when they are not.
  returned: state is close, of a run
  type: float
  sample: 5.2
gap_s:
  description: Seconds without service; null when it is not over.
  returned: state is close, of a run
  type: float
  sample: 4.1
rpo_s:
  description: Seconds of acknowledged work that is lost at most; null when that cannot be told.
  returned: state is close, of a run
  type: float
  sample: 0.0
steps:
  description: The steps that were begun, with their seconds and how they ended on each host.
  returned: state is close, of a run
  type: list
  elements: dict
  sample: [{"step": "quiesce", "seconds": 1.1, "hosts": {"tutor1": "ok"}, "errors": {}}]
plan:
  description: The steps there are, with their hosts.
  returned: state is judge
  type: list
  elements: dict
  sample: [{"step": "quiesce", "hosts": ["tutor1"], "soft": false}]
conditions:
  description: What was judged, as checks.
  returned: state is judge
  type: list
  elements: dict
checks:
  description: The outcome, and of a run that did not begin the conditions.
  returned: state is close
  type: list
  elements: dict
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive import controller, runs


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=controller.SPEC,
        required_if=controller.REQUIRED,
        supports_check_mode=True,
    )
    if module.params["state"] in ("look", "step"):
        module.fail_json(
            msg="this needs the connection of its host: expected the action of this name on the controller"
        )
    try:
        result = controller.task(module.params, module.check_mode, runs.parent_process())
    except OpsError as exc:
        module.fail_json(msg=str(exc))
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
