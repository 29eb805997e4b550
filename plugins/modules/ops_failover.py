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
  - V(judge) decides from what M(bilingual_tutor.ops.failover_look) said of every host whether a failover may begin, and
    begins it, or goes on with the one of the same kind and target that was interrupted.
  - V(step) does the part that the host of the task has in a step, if it has one and the step may begin now, and journals
    its begin and its end. V(decide) says where the run goes. V(close) ends it.
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
    choices: [judge, step, decide, close]
    required: true
  dest:
    description:
      - Directory of all runs on the controller; needed by V(judge).
    type: path
  options:
    description:
      - What the operator asked for, the hosts and the settings of the application; needed by V(judge).
    type: dict
  looks:
    description:
      - By host the registered result of M(bilingual_tutor.ops.failover_look); needed by V(judge).
    type: dict
  dry:
    description:
      - Only judge, as in check mode.
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
  way:
    description:
      - Only in a run of this kind; for V(step). V(planned) is one whose primary can be asked.
    type: str
    choices: [planned, emergency]
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
  - It needs no connection but in V(step), and runs on the controller. A host that does not answer is a failed step.
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
act:
  description: Whether there is something to do, with V(judge).
  returned: state is judge
  type: bool
directory:
  description: The run's directory.
  returned: state is judge, and there is something to do
  type: str
  sample: /root/.local/state/bilingual-tutor-ops/failover/20261123T010203Z-ab12cd
path:
  description: C(done), C(degraded), C(forward), C(rollback), C(rolled_back), C(human) or C(abandoned).
  returned: state is decide
  type: str
  sample: done
outcome:
  description:
    - C(done); C(degraded), where somebody has to put something right later; C(nothing), where the target serves already;
      C(planned), of a rehearsal; C(refused); C(rolled_back); C(needs_human); C(abandoned).
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
