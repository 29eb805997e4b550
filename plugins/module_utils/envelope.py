# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The envelope: the record of one run on one host, whatever became of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import SCHEMA, Check, Status, counts, worst
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError

VERSION = "0.1.0"

# never: the run always ends 0. The others name the mildest status that ends it non-zero.
FAIL_ON = {"never": None, "critical": Status.CRITICAL, "warning": Status.WARNING, "unknown": Status.UNKNOWN}

AREA = Area(
    "host",
    rules={
        "host.reachable": Rule(
            title=Text("Host answers", "主机可达"),
            fix=Text(
                "Try `ssh HOST true` from the controller; look at the host's console, its network and its power. "
                "If the primary is down for good: playbook emergency_failover.",
                "在控制机上执行 `ssh 主机 true`；检查主机控制台、网络和电源。若主用机确实无法恢复：执行 emergency_failover 剧本。",
            ),
        ),
        "host.checked": Rule(
            title=Text("Checks could run", "检查可以执行"),
            fix=Text(
                "Read the message: a wrong variable is corrected in the inventory, a missing Python by playbook prepare.",
                "阅读错误信息：变量有误请改清单（inventory），缺少 Python 请运行 prepare 剧本。",
            ),
        ),
    },
    sentences={
        "host.unreachable": Text("no connection: {error}", "无法连接：{error}"),
        "host.not_checked": Text("the checks could not run: {error}", "检查未能执行：{error}"),
    },
)


def make_envelope(
    result: Mapping[str, Any], host: str, run_id: str, phase: str, started: str, previous: Mapping[str, Any]
) -> dict[str, Any]:
    """Turn what ``service_health`` returned for a host into its envelope.

    A host that could not be reached or whose module failed gets the one check that says so, and keeps the state of its
    last run, so that counters and log cursors go on from there.
    """
    if "checks" in result:
        checks = [Check.from_dict(data) for data in result["checks"]]
        state = result["state"]
    else:
        # A host that falls silent in mid-run is not "unreachable" to Ansible: the task's own timeout ends it.
        gone = bool(result.get("unreachable") or result.get("timedout"))
        # Ansible's own prefix says nothing that the sentence does not say.
        error = " ".join(str(result.get("msg", "no result")).split()).removeprefix("Task failed: ")[:500]
        check = AREA.reporter(source="controller").find(
            "host.reachable" if gone else "host.checked",
            Status.CRITICAL,
            "host.unreachable" if gone else "host.not_checked",
            reason="timeout" if gone else "error",
            error=error,
            evidence=[error],
        )
        checks, state = [check], dict(previous)
    return {
        "schema": SCHEMA,
        "run_id": run_id,
        "host": host,
        "phase": phase,
        "started": result.get("started", started),
        "duration_ms": result.get("duration_ms", 0.0),
        "tool_version": VERSION,
        "counts": counts(checks),
        "worst": int(worst(checks)),
        "checks": [check.as_dict() for check in checks],
        "state": state,
        "errors": [] if "checks" in result else [checks[0].summary],
    }


def reached(envelope: Mapping[str, Any], fail_on: str) -> bool:
    """Tell whether a host's worst status is as bad as ``fail_on`` or worse.

    A host that could not be looked at reaches everything but ``never``.
    """
    if fail_on not in FAIL_ON:
        raise OpsError(f"fail_on is {fail_on!r}: expected one of {', '.join(FAIL_ON)}")
    mildest = FAIL_ON[fail_on]
    return mildest is not None and Status(envelope["worst"]).severity >= mildest.severity


def findings(checks: Iterable[Check]) -> list[Check]:
    """Return the checks that need somebody: everything but OK and SKIPPED."""
    return [check for check in checks if check.status not in (Status.OK, Status.SKIPPED)]
