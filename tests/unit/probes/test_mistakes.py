# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's mistake inside a probe's options stops the run before it starts, and is named."""

from __future__ import annotations

import pytest

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes import registry

# One entry that only the probe itself can tell to be wrong, and a word the message must have.
MISTAKES = [
    ({"kind": "unit", "units": [{"name": "nginx", "teir": "normal"}]}, "teir"),
    ({"kind": "process", "processes": [{"name": "app"}]}, "pidfile"),
    ({"kind": "process", "processes": [{"name": "app", "cmdline": "("}]}, "regular expression"),
    ({"kind": "port", "ports": [{"port": 99999}]}, "65535"),
    ({"kind": "timer", "units": [{"period": 5}]}, "name"),
    ({"kind": "cron", "jobs": [{"user": "root"}]}, "pattern"),
    ({"kind": "logrotate", "logs": ["logs/*.log"]}, "absolute path"),
    ({"kind": "host", "skip": ["disk.usde"]}, "disk.usde"),
    ({"kind": "http", "url": "ftp://127.0.0.1/"}, "http"),
    ({"kind": "log", "paths": ["/x"], "ignore": ["("]}, "("),
    ({"kind": "file", "files": [{"path": "/x", "warn_size": "much"}]}, "much"),
    ({"kind": "sqlite", "path": "learning.db"}, "absolute"),
    ({"kind": "backup", "path": "backups"}, "absolute"),
    ({"kind": "redis", "port": 0}, "port"),
    ({"kind": "replication", "side": "standby", "replica": "replica"}, "absolute"),
    ({"kind": "performance", "paths": ["/x"], "format": "(?P<status>.)"}, "seconds"),
    ({"kind": "slow_queries", "paths": ["/x"], "pattern": "slow"}, "query"),
    ({"kind": "capacity", "growth": [{"name": "users"}]}, "table"),
    ({"kind": "updates", "units": ["-x"]}, "name of a unit"),
    ({"kind": "logins", "root_from": ["home"]}, "root_from"),
    ({"kind": "permissions", "trees": ["etc"]}, "absolute path"),
    ({"kind": "accounts", "sysctl": {"../../etc/shadow": 1}}, "name with dots"),
    ({"kind": "epoch", "config": "fencing.json"}, "absolute path"),
    ({"kind": "pip", "python": "venv/bin/python"}, "absolute path"),
]


def test_every_kind_is_here():
    assert {spec["kind"] for spec, _word in MISTAKES} == set(registry.KINDS)


@pytest.mark.parametrize(("spec", "word"), MISTAKES, ids=lambda value: str(value)[:60])
def test_a_mistake_is_named_before_anything_runs(spec, word):
    with pytest.raises(OpsError) as error:
        registry.prepare(spec)
    assert word in str(error.value)
