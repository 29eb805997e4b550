# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site in words: what every host would say of a healthy pair, to be spoilt in one place by a test."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.drive.judge import Hosts, Request

NOW = 1_795_399_200.0
HOSTS = Hosts(
    application=["tutor1", "tutor2"],
    proxies=["tutor3"],
    witnesses=["tutor4", "tutor5"],
    addresses={"tutor1": "10.0.0.1:80", "tutor2": "10.0.0.2:80"},
)
EPOCH = {"epoch": 7, "primary": "tutor1", "since": "2026-11-01T00:00:00Z", "run_id": "earlier"}
FENCE = {"fenced_epoch": None, "running": [], "unguarded": [], "holders": [], "open_paths": []}
GRANTED = {
    **FENCE,
    "state": "granted",
    "granted_epoch": 7,
    "running": ["bilingual-tutor.service", "tutor-ops-replication.service"],
}
FENCED = {**FENCE, "state": "fenced", "fenced_epoch": 7, "granted_epoch": None}
DATABASE = {
    "path": "/srv/learning.db", "exists": True, "bytes": 20_000_000, "schema_hash": "aa", "user_version": 3,
    "journal_mode": "wal", "quick": "ok", "owner": "bilingual-tutor",
}  # fmt: skip
APPLICATION = {"version": "1.4.0", "secret_sha256": "5ec", "python": "3.11.2", "sqlite": "3.40.1"}


def looks() -> dict[str, dict[str, Any]]:
    """Return what five healthy hosts say; a copy, to be changed."""
    common = {"clock": NOW, "epoch": EPOCH, "lock": None, "bound": 7.0, "errors": {}, "peers": []}
    peers = [{"name": "tutor1", "ssh": "ok", "http": 200}, {"name": "tutor2", "ssh": "ok", "http": 503}]
    said = {name: {**common, "host": name, "peers": peers} for name in HOSTS.all}
    said["tutor1"].update(
        fence=GRANTED, database=DATABASE, free_bytes=10**9, application=APPLICATION,
        replication={"epoch": 7, "running": True, "lag": {"behind": 0, "seconds": 0.0}},
        backup={"newest_at": "2026-11-22T18:00:00Z", "ok": True},
    )  # fmt: skip
    said["tutor2"].update(
        fence=FENCED, database=DATABASE, free_bytes=10**9, application=APPLICATION,
        replica={"epoch": 7, "newest_txid": "00000000000000ff", "newest_at": NOW - 2, "age": 2.0, "chain_unbroken": True},
    )  # fmt: skip
    said["tutor3"].update(proxy={"upstream": "10.0.0.1:80", "mode": "serving", "config_ok": True, "config_error": ""})
    return json.loads(json.dumps(said))


def request(**more: Any) -> Request:
    """Return what an operator asks for who has read the plan."""
    told: dict[str, Any] = {
        "mode": "switchover",
        "service": "bilingual-tutor.service",
        "target": "tutor2",
        "run_id": "run-1",
        "now": NOW,
        "confirm": "tutor2",
    }
    return Request(**{**told, **more})
