#!/usr/bin/python

# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ops_report
short_description: Write the report of a run of checks from the ledger
version_added: 0.1.0
description:
  - Reads a run of checks and the runs before it from the ledger and writes what people and monitoring systems read
    of it.
  - C(latest.html) is the report in O(locale); C(latest.en.html) and C(latest.zh.html) are the same in both languages.
    C(latest.md), C(latest.json) and C(junit.xml) hold the same run, C(nagios/HOST.txt) and C(textfile/HOST.prom) one
    host each.
  - Every file appears whole or not at all. The files can be read by their owner and group, the Prometheus textfile by
    everybody.
author:
  - Bilingual Tutor Operations (@bilingual-tutor)
requirements:
  - jinja2 on the host that runs the module, for the format V(html)
extends_documentation_fragment:
  - bilingual_tutor.ops.attributes
options:
  ledger:
    description:
      - The ledger to read.
    type: path
    required: true
  dest:
    description:
      - Directory of the report. Made when it is missing.
    type: path
    required: true
  formats:
    description:
      - What to write.
    type: list
    elements: str
    choices: [html, markdown, json, nagios, textfile, junit]
    default: [html, markdown, json, nagios, textfile, junit]
  locale:
    description:
      - Language of the report.
    type: str
    choices: [en, zh]
    default: en
  timezone:
    description:
      - IANA name of the time zone in which times are shown.
    type: str
    default: Asia/Shanghai
  run_id:
    description:
      - The run to report. Without it the newest one.
    type: str
  history:
    description:
      - How many runs before it are shown as history.
    type: int
    default: 30
  title:
    description:
      - Title of the HTML report. Without it a general one in the language of the report.
    type: str
  verify:
    description:
      - Verify the hash chain of the whole ledger and show the result in the HTML report.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    details: Reads and renders everything and writes nothing.
  diff_mode:
    support: none
    details: A report has thousands of lines.
seealso:
  - module: bilingual_tutor.ops.service_health
notes:
  - RV(ignore:changed) is true when a file says something new; the time of rendering alone is nothing new.
"""

EXAMPLES = r"""
- name: Report the newest run in Chinese
  bilingual_tutor.ops.ops_report:
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
    dest: /var/lib/bilingual-tutor-ops/reports
    locale: zh

- name: Give the monitoring agent its textfile only
  bilingual_tutor.ops.ops_report:
    ledger: /var/lib/bilingual-tutor-ops/ledger.db
    dest: /var/lib/bilingual-tutor-ops/metrics
    formats: [textfile]
    verify: false
"""

RETURN = r"""
paths:
  description: The files of the report.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/bilingual-tutor-ops/reports/latest.html]
run_id:
  description: The run that is reported.
  returned: success
  type: str
  sample: 20261123T010203Z-ab12cd
worst:
  description: The worst status of the run; 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, 4 SKIPPED.
  returned: success
  type: int
  sample: 0
counts:
  description: Number of checks by status.
  returned: success
  type: dict
  sample: {"ok": 41, "warning": 1, "critical": 0, "unknown": 0, "skipped": 6}
hosts:
  description: The hosts of the run, those that could not be reached first, then worst first.
  returned: success
  type: list
  elements: str
  sample: [tutor1, tutor2]
"""

import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.catalogue import LOCALES
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.store import Ledger
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.ledger.verify import verify
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import view
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render.report import (
    FORMATS,
    Look,
    files,
    load,
    publish,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.shifts import zone


def main() -> NoReturn:
    module = AnsibleModule(
        argument_spec=dict(
            ledger=dict(type="path", required=True),
            dest=dict(type="path", required=True),
            formats=dict(type="list", elements="str", choices=list(FORMATS), default=list(FORMATS)),
            locale=dict(type="str", choices=list(LOCALES), default="en"),
            timezone=dict(type="str", default="Asia/Shanghai"),
            run_id=dict(type="str"),
            history=dict(type="int", default=30),
            title=dict(type="str"),
            verify=dict(type="bool", default=True),
        ),
        supports_check_mode=True,
    )
    params = module.params
    if params["history"] < 0:
        module.fail_json(msg=f"history is {params['history']}: expected 0 or a number of runs")
    now = datetime.now(timezone.utc)
    try:
        look = Look(params["formats"], params["locale"], zone(params["timezone"]), params["title"] or "", now)
        ledger = Ledger(params["ledger"])
        material = load(ledger, params["run_id"] or "", params["history"])
        chain = verify(ledger) if params["verify"] and "html" in look.formats else None
        paths, changed = publish(files(material, look, chain), Path(params["dest"]), now, dry=module.check_mode)
    except OpsError as exc:
        module.fail_json(msg=str(exc))
    except ImportError as exc:
        module.fail_json(msg=missing_required_lib(exc.name or "jinja2"), exception=traceback.format_exc())
    run = view.read(material.current)
    module.exit_json(
        changed=changed,
        paths=paths,
        run_id=material.current[0]["run_id"],
        worst=int(run.worst),
        counts=run.counts,
        hosts=[host.name for host in run.hosts],
    )


if __name__ == "__main__":
    main()
