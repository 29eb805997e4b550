# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a drill may begin. It can always wait, so every doubt is a reason to wait; nobody can overrule that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.incidents import urgent
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

REFUSALS = {
    "lock": Text(
        "{host} is in the hands of run {run_id} ({controller}, since {since}): a failover is open. Let it end, or take it up "
        "again with the same command; then drill.",
        "主机 {host} 正由运行 {run_id} 占用（{controller}，自 {since}）：有未结束的切换。请先完成或用同一命令继续，再演练。",
    ),
    "failover": Text(
        "The last failover {run_id} ended as {outcome}: put that right first (docs/failover.md), then drill.",
        "最近一次切换 {run_id} 的结果为 {outcome}：请先处理（docs/failover.md），再演练。",
    ),
    "incident": Text(
        "Incident {subject} ({priority}) is {state}: people are busy with it. Drill when it is resolved.",
        "事件 {subject}（{priority}）处于 {state} 状态，人员正在处理。解决后再演练。",
    ),
    "freeze": Text(
        "Changes are frozen: {reason}. Drill when ops_change_freeze is empty again.",
        "处于变更冻结期：{reason}。待 ops_change_freeze 清空后再演练。",
    ),
    "backup": Text(
        "The last {what} of {host} ({at}) was not good: {error}. Make a good backup first: playbook backup, then "
        "backup_verification.",
        "主机 {host} 最近一次{what_zh}（{at}）未成功：{error}。请先运行 backup 与 backup_verification 取得可用备份。",
    ),
    "unseen": Text(
        "{host} could not be looked at: {error}. Whether a failover is open there is not known.",
        "无法检查主机 {host}：{error}。不能确认是否有未结束的切换。",
    ),
}
_WHAT = {"backup.run": ("backup", "备份"), "backup.verify": ("backup verification", "备份验证")}


@dataclass(frozen=True)
class Refusal:
    """One reason why a drill may not begin."""

    id: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data, with the sentence in both languages."""
        text = REFUSALS[self.id]
        return {"id": self.id, "en": text.render("en", self.params), "zh": text.render("zh", self.params)}


def refusals(looks: Iterable[Mapping[str, Any]], freeze: str, events: Sequence[Mapping[str, Any]]) -> list[Refusal]:
    """Return every reason to wait.

    ``looks`` are ``{"host", "lock", "error"}`` of the hosts; ``events`` the last one of each kind and subject, as
    ``{"kind", "subject", "at", "data"}``.
    """
    found = []
    for look in looks:
        lock = look.get("lock")
        if look.get("error"):
            found.append(Refusal("unseen", {"host": look["host"], "error": look["error"]}))
        elif lock:
            words = {name: lock.get(name, "?") for name in ("run_id", "controller", "since")}
            found.append(Refusal("lock", {"host": look["host"], **words}))
    if freeze:
        found.append(Refusal("freeze", {"reason": freeze}))
    failovers = [event for event in events if event["kind"] == "failover.run"]
    for event in sorted(failovers, key=lambda one: one["at"])[-1:]:
        outcome = str(event["data"].get("outcome", ""))
        if outcome in ("needs_human", "degraded"):
            found.append(Refusal("failover", {"run_id": event["data"].get("run_id", "?"), "outcome": outcome}))
    found += [Refusal("incident", vars(one)) for one in urgent(e for e in events if e["kind"].startswith("incident"))]
    for event in events:
        if event["kind"] in _WHAT:
            found += _backup(event)
    return found


def _backup(event: Mapping[str, Any]) -> list[Refusal]:
    """Judge the last backup of a host, and the last verification of its newest snapshots."""
    several = event["data"].get("results")
    results = several if isinstance(several, list) else [event["data"]]
    bad = [one for one in results if one.get("failed") or one.get("unreachable") or one.get("ok") is False]
    if not bad:
        return []
    said = [str(one.get("msg") or _worst(one) or "?")[:200] for one in bad]
    what, what_zh = _WHAT[event["kind"]]
    words = {"host": event["subject"], "at": event["at"], "error": listed(said, 2), "what": what, "what_zh": what_zh}
    return [Refusal("backup", words)]


def _worst(result: Mapping[str, Any]) -> str:
    return str(result.get("file") or result.get("what") or "")
