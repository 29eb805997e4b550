# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The envelope: the record of one run on one host, whatever became of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
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


ACTIONS = Area(
    "action",
    rules={
        "action.completed": Rule(
            title=Text("Outcome of the action", "操作结果"),
            fix=Text(
                "The message says what was seen and what was expected. Put that right, then run the same playbook again: "
                "an action that was interrupted cleans up after itself at its next run.",
                "错误信息写明了现状与预期。按其处理后重新运行同一剧本：中断的操作会在下次运行时自行清理。",
            ),
        ),
    },
    sentences={
        "action.not_completed": Text("{item} did not complete: {error}", "{item} 未完成：{error}"),
    },
)


class Step(NamedTuple):
    """One thing that a run tried on a host, and the registered result; empty when it was not even tried.

    A look (``service_health``) has no ``kind``; an action has the kind of the event that records it, with ``only_changes``
    if it changed something or failed.
    """

    result: Mapping[str, Any]
    what: str
    kind: str = ""
    only_changes: bool = False

    @property
    def skipped(self) -> bool:
        """Whether a condition kept the step from being tried."""
        return bool(self.result.get("skipped"))

    @property
    def failed(self) -> bool:
        """Whether the step has no good end. A look that has checks has one."""
        if not self.kind:
            return "checks" not in self.result
        return not self.result or any(self.result.get(name) for name in ("failed", "unreachable", "timedout"))

    @property
    def error(self) -> str:
        """What Ansible said; its own prefix says nothing that the sentence does not say."""
        return " ".join(str(self.result.get("msg", "no result")).split()).removeprefix("Task failed: ")[:500]

    @property
    def parts(self) -> list[Step]:
        """The steps of a loop; of anything else the step itself."""
        results = self.result.get("results")
        if not isinstance(results, list):
            return [self]
        return [self._replace(result=result, what=f"{self.what} {_item(result)}".strip()) for result in results]

    @property
    def standby_of(self) -> str:
        """The host that serves, where a module left its work to it or judged only what may lie on a standby."""
        return str(self.result.get("standby_of") or "")

    @property
    def eventful(self) -> bool:
        """Whether there is something to record beside the run itself.

        On a standby there is not: who asks for the last backup or verification means the service's.
        """
        if not self.kind or not self.result or self.skipped or self.standby_of:
            return False
        return self.failed or bool(self.result.get("changed")) or not self.only_changes


def _item(result: Mapping[str, Any]) -> str:
    """Return what a turn of a loop was about: its item, or the item's ``name``."""
    item = result.get(result.get("ansible_loop_var", "item"), "")
    return str(item.get("name", "")) if isinstance(item, Mapping) else str(item)


def make_envelope(
    result: Mapping[str, Any], host: str, run_id: str, phase: str, started: str, previous: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the envelope of a host at which a run only looked."""
    run = {"id": run_id, "phase": phase, "started": started}
    return run_envelope([Step(result, "service_health")], host, run, previous)


def run_envelope(
    steps: Sequence[Step], host: str, run: Mapping[str, str], previous: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the envelope of a host out of everything that a run tried there, in the order in which it was tried.

    ``run`` holds the ``id``, the ``phase``, the ``part`` of the phase if it has several, and when it ``started``. What
    failed is a check of its own. ``previous`` is the state of the host's last run: a run that did not look at the host,
    or could not, hands it on, so that counters and log cursors go on from there.
    """
    checks: list[Check] = []
    errors: list[str] = []
    parts = [part for step in steps for part in step.parts if not part.skipped]
    for step in parts:
        found = [Check.from_dict(data) for data in step.result.get("checks") or ()]
        # What came after a failure was not tried because of it.
        if step.failed and (step.result or not errors):
            failures = list(_failures(step))
            errors.append(failures[0].summary)
            found += failures
        # What an earlier step saw too counts as the later one saw it.
        keys = {check.key for check in found}
        checks = [*(check for check in checks if check.key not in keys), *found]
    states = [step.result["state"] for step in parts if not step.kind and "state" in step.result]
    return {
        "schema": SCHEMA,
        "run_id": run["id"],
        "host": host,
        "phase": run["phase"],
        "part": run.get("part", ""),
        "started": next((step.result["started"] for step in parts if "started" in step.result), run["started"]),
        "duration_ms": round(sum(step.result.get("duration_ms") or 0.0 for step in parts), 1),
        "tool_version": VERSION,
        "counts": counts(checks),
        "worst": int(worst(checks)),
        "checks": [check.as_dict() for check in checks],
        "state": states[-1] if states else dict(previous),
        "errors": errors,
    }


def _failures(step: Step) -> Iterator[Check]:
    """Return the checks that say why a step has no good end."""
    silent = bool(step.result.get("timedout"))
    # A host that falls silent in mid-look is not "unreachable" to Ansible: the task's own timeout ends it.
    gone = bool(step.result.get("unreachable")) or (silent and not step.kind)
    shown: dict[str, Any] = {"error": step.error, "evidence": [step.error]}
    if gone:
        yield _say(AREA).find("host.reachable", Status.CRITICAL, "host.unreachable", reason="timeout", **shown)
    if step.kind:
        reason = "timeout" if gone or silent else "error"
        yield _say(ACTIONS).find(
            "action.completed", Status.CRITICAL, "action.not_completed", item=step.what, reason=reason, **shown
        )
    elif not gone:
        yield _say(AREA).find("host.checked", Status.CRITICAL, "host.not_checked", reason="error", **shown)


def _say(area: Area) -> Reporter:
    return area.reporter(source="controller")


def reached(envelope: Mapping[str, Any], fail_on: str) -> bool:
    """Tell whether a host's worst status is as bad as ``fail_on`` or worse.

    A host that could not be looked at reaches everything but ``never``; an action that did not complete reaches that too.
    """
    if fail_on not in FAIL_ON:
        raise OpsError(f"fail_on is {fail_on!r}: expected one of {', '.join(FAIL_ON)}")
    mildest = FAIL_ON[fail_on]
    if any(check["group"] == ACTIONS.group for check in envelope["checks"]):
        return True
    return mildest is not None and Status(envelope["worst"]).severity >= mildest.severity


def findings(checks: Iterable[Check]) -> list[Check]:
    """Return the checks that need somebody: everything but OK and SKIPPED."""
    return [check for check in checks if check.status not in (Status.OK, Status.SKIPPED)]
