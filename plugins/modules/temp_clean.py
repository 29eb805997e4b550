#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: temp_clean
short_description: Remove the stale temporary files an application left behind
version_added: 0.1.0
description:
  - Removes regular files and empty directories below O(paths) whose name matches one of O(patterns), that belong to one
    of O(owners), were neither written nor changed (mtime and ctime) within O(min_age), and that no process has open,
    mapped or as its working directory.
  - Never enters the private directories of services (C(systemd-private-*)), another mount, or anything through a
    symbolic link, and never removes a link. Every name is used relative to its opened directory, so that a file that is
    swapped for a link meanwhile removes nothing elsewhere.
  - Takes the BSD lock of each directory of O(paths), as systemd-tmpfiles does, and fails when another process holds it.
    An interrupted run leaves nothing behind.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
options:
  paths:
    description:
      - Directories to search, with everything below them. One that does not exist is skipped.
      - System directories, C(/) and paths with C(..) are refused.
    type: list
    elements: str
    default: [/tmp, /var/tmp]
  patterns:
    description:
      - Patterns of file names, without directories; at least three characters must be literal.
    type: list
    elements: str
    default: ["*bilingual*"]
  owners:
    description:
      - Users whose files may be removed, by name or number; the application's user.
    type: list
    elements: str
    required: true
  min_age:
    description:
      - Files younger than this stay. A number with C(s), C(m), C(h), C(d) or C(w).
    type: str
    default: 1d
  limit:
    description:
      - Remove at most this many in one run; the others are returned in RV(kept).
    type: int
    default: 1000
  deadline:
    description:
      - Stop after this many seconds, with what was done until then.
    type: float
    default: 30
attributes:
  check_mode:
    support: full
    details: Selects the same files and removes none.
  diff_mode:
    support: full
    details: Shows the paths that are removed.
seealso:
  - module: bilingual_tutor.ops.service_health
"""

EXAMPLES = r"""
- name: Remove what the application left in /tmp and /var/tmp more than a day ago
  bilingual_tutor.ops.temp_clean:
    owners: [bilingual-tutor]

- name: Only tell what would be removed
  bilingual_tutor.ops.temp_clean:
    paths: [/var/tmp]
    patterns: ["bilingual_*", "tutor-upload-*"]
    owners: [bilingual-tutor]
    min_age: 12h
  check_mode: true
  diff: true
"""

RETURN = r"""
removed:
  description: Paths that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/tmp/bilingual_export_1.csv]
kept:
  description: What matches a pattern and stays, at most 200 of them.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Its path.
      type: str
      sample: /tmp/bilingual_upload
    reason:
      description:
        - C(young), C(owner) (belongs to somebody else), C(open), C(unseen) (cannot be told whether it is open),
          C(symlink), C(special) (socket, pipe or device), C(mount), C(limit), C(changed) (while it was looked at) or
          C(failed).
      type: str
      sample: open
kept_count:
  description: How many match a pattern and stay.
  returned: success
  type: int
  sample: 3
bytes:
  description: Disk space of the removed files, in bytes.
  returned: success
  type: int
  sample: 1048576
complete:
  description: Whether everything was searched; false when O(deadline) or the limit of 200000 entries ended the search.
  returned: success
  type: bool
  sample: true
checks:
  description: The check C(temp.stale) with the number of stale files that are left.
  returned: success
  type: list
  elements: dict
"""

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.tempclean.clean import run


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            paths=dict(type="list", elements="str", default=["/tmp", "/var/tmp"]),
            patterns=dict(type="list", elements="str", default=["*bilingual*"]),
            owners=dict(type="list", elements="str", required=True),
            min_age=dict(type="str", default="1d"),
            limit=dict(type="int", default=1000),
            deadline=dict(type="float", default=30.0),
        ),
        supports_check_mode=True,
    )
    try:
        result = run(module.params, Deadline(module.params["deadline"]), module.check_mode)
    except OpsError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
