#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_maintenance
short_description: Check, optimise and compact an SQLite database while its application writes
version_added: 0.1.0
description:
  - Runs any of the O(actions) in a safe order. What writes is refused when a check of the same run is not ok.
  - No writer waits longer than O(max_stall_ms). Work that can be divided is done in slices, with others let in after
    each; work that cannot is refused with its estimate before anything is touched, and one that takes longer than
    estimated is undone at the limit.
  - Works as the owner of the file, in a process that can be killed. An aborted action leaves the database as it was;
    slices that were done stay.
  - Never makes a database. Refuses a path that is missing, empty or no database, a link to another owner's file, a
    user who is neither root nor the owner, and a file that O(service) does not have open.
  - On a standby it does nothing, unless O(serving=false).
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
  - bilingual_tutor.ops.acting
  - bilingual_tutor.ops.serving
options:
  path:
    description:
      - The database, as an absolute path.
    type: path
    required: true
  service:
    description:
      - The systemd unit whose processes must have this very file open. Empty does not ask.
    type: str
    default: ""
  pidfile:
    description:
      - File with the process that must have it open, instead of O(service).
    type: path
  actions:
    description:
      - What to do. Whatever the order here, it is done in the order of the choices.
      - V(quick_check), V(integrity_check) and V(foreign_key_check) only read. Without a write-ahead log readers keep
        writers out, so that O(max_stall_ms) applies to them too.
      - V(optimize) analyses the tables whose planner statistics are missing, or that have ten times or a tenth of the
        rows they had when they were analysed, from samples of their rows. C(PRAGMA optimize) of a command does
        nothing before SQLite 3.46; this works with every version.
      - V(analyze) analyses every table, from samples where reading all of it would take longer than O(max_stall_ms).
        Connections of the application use new statistics after they were opened anew.
      - V(reindex) writes every index anew, each by itself.
      - V(incremental_vacuum) gives unused pages back in slices, where C(auto_vacuum) is INCREMENTAL.
      - V(vacuum) writes the database anew. It is done when the share O(vacuum_min_reclaim) is unused, within
        O(window), after a V(integrity_check) of the same run that was ok, when there is room for two more copies (one
        of them where SQLite puts temporary files, E(SQLITE_TMPDIR), or beside the database if there is more room),
        and when the estimate (10 s for 1 GB) keeps O(max_stall_ms). The log is cut after it.
      - V(wal_checkpoint) moves the write-ahead log into the database.
    type: list
    elements: str
    required: true
    choices:
      - quick_check
      - integrity_check
      - foreign_key_check
      - optimize
      - analyze
      - reindex
      - incremental_vacuum
      - vacuum
      - wal_checkpoint
  max_stall_ms:
    description:
      - How long a writer of the application may have to wait, in milliseconds. V(0) sets no limit.
    type: int
    default: 500
  busy_timeout:
    description:
      - How long to wait for the database's lock, in seconds.
    type: float
    default: 5
  deadline:
    description:
      - Seconds for all actions together. What runs then is undone, what was not begun is not.
    type: float
    default: 600
  vacuum_min_reclaim:
    description:
      - Share of unused pages, in percent, from which on V(vacuum) is worth it.
    type: float
    default: 25
  window:
    description:
      - Time of the day in which V(vacuum) may run, such as V(02:00-04:00), also over midnight. Empty for any time.
    type: str
    default: ""
  timezone:
    description:
      - IANA name of the time zone of O(window).
    type: str
    default: UTC
  force:
    description:
      - Whether V(vacuum) runs whatever the window, the share of unused pages and O(max_stall_ms) say. The integrity
        check and the room on the disk are asked for all the same.
    type: bool
    default: false
  checkpoint_mode:
    description:
      - V(passive) keeps nobody out. V(truncate) also cuts the log to nothing, for which it waits up to 0.2 s for
        readers while writers wait too.
    type: str
    choices: [passive, truncate]
    default: passive
  thresholds:
    description:
      - Thresholds to lay over the defaults, by check.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    details: Decides and estimates as in a real run, reading only; checks of the database are not run and taken as ok.
  diff_mode:
    support: full
    details: Shows the sizes before and after.
notes:
  - Takes the BSD lock of the database's directory, so that no backup, restore or other maintenance runs at the same
    time.
seealso:
  - module: bilingual_tutor.ops.service_health
"""

EXAMPLES = r"""
- name: Weekly maintenance, in the window
  bilingual_tutor.ops.sqlite_maintenance:
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    service: bilingual-tutor.service
    actions: [integrity_check, foreign_key_check, optimize, vacuum, wal_checkpoint]
    window: "02:00-04:00"
    timezone: Asia/Shanghai
  register: maintained

- name: Tell what a VACUUM at noon would cost
  bilingual_tutor.ops.sqlite_maintenance:
    path: /opt/bilingual-tutor/bilingual_tutor/storage/learning.db
    actions: [integrity_check, vacuum]
    max_stall_ms: 0
  check_mode: true
  diff: true
"""

RETURN = r"""
actions:
  description: How each action went, by its name.
  returned: success
  type: dict
  sample:
    optimize:
      result: done
      reason: analysed_sampled
      text: "analysed 1 tables from samples of their rows: vocabulary"
      seconds: 0.012
      stall_ms: 3.1
      before: {bytes: 4194304, pages: 1024, freelist: 12, wal_bytes: 0}
      after: {bytes: 4194304, pages: 1025, freelist: 12, wal_bytes: 8272}
      lines: ["vocabulary: no statistics of words"]
standby_of:
  description: The host that serves, when this one is its standby and nothing was done; else empty.
  returned: success
  type: str
  sample: ""
checks:
  description:
    - The checks C(maintenance.quick_check), C(maintenance.integrity), C(maintenance.foreign_keys),
      C(maintenance.action) for each other action, C(maintenance.reclaimed) and C(maintenance.stall). On a standby only
      C(maintenance.standby), which is skipped.
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
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.options import OPTIONS
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.maintain.run import run


def main() -> NoReturn:
    module = AnsibleModule(argument_spec={**OPTIONS, **acting.options(deadline=600.0)}, supports_check_mode=True)
    acting.run(module, lambda tell: run(module.params, module.check_mode, tell))


if __name__ == "__main__":
    main()
