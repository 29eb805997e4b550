# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may serve: one epoch everywhere, the grant where it belongs, the guards loaded, the lease fresh.

Sources: /etc/tutor-ops/fencing.json, /var/lib/tutor-ops, /run/tutor-ops, systemd, the witnesses. Cost: about 60 ms.

On a host without the role fencing everything is SKIPPED, and so is what needs a second host where there is none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import epoch as epochs
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover import fence, lease
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.config import PATH, Config
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.grant import boottime
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.failover.witness import ask
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

TIMEOUT = 20.0
# A witness that is only slow is the lease's worry, not a finding of its own.
ASK_SECONDS = 2.0

OPTIONS: dict[str, dict[str, Any]] = {"config": {"type": "path", "default": PATH}}

AREA = Area(
    "failover",
    rules={
        "epoch.agreed": Rule(
            title=Text("Everybody knows one epoch", "各主机 epoch 一致"),
            fix=Text(
                "Read it everywhere (module ops_epoch). The newest is right: raise the others to it. A witness that does not "
                "answer: `systemctl status nginx` there, `curl http://WITNESS:8765/epoch.json`.",
                "用 ops_epoch 模块读取各主机的 epoch，以最新者为准并更新其余主机。见证节点无应答时，在该节点执行 "
                "`systemctl status nginx` 和 `curl http://见证节点:8765/epoch.json`。",
            ),
        ),
        "epoch.grant": Rule(
            title=Text("The grant is where it belongs", "授权（grant）位置正确"),
            fix=Text(
                "Primary without a grant: `systemctl start tutor-ops-grant`, `journalctl -u tutor-ops-grant`. Another host with "
                "one: fence it at once (module ops_fence, state fenced).",
                "主机缺少授权：执行 `systemctl start tutor-ops-grant` 并查看 `journalctl -u tutor-ops-grant`。非主机持有授权："
                "立即用 ops_fence（state: fenced）隔离。",
            ),
        ),
        "epoch.fenced": Rule(
            title=Text("The fence is whole, and not around the primary", "隔离完整且未误隔离主机"),
            fix=Text(
                "Half a fence: module ops_fence, state fenced, again. A fenced primary: `cat /var/lib/tutor-ops/FENCED` tells "
                "why; when the cause is gone, ops_fence, state granted, with its epoch.",
                "隔离不完整：再次执行 ops_fence（state: fenced）。主机被隔离：查看 `/var/lib/tutor-ops/FENCED` 中的原因，"
                "排除后用 ops_fence（state: granted）按当前 epoch 重新授权。",
            ),
        ),
        "epoch.guard": Rule(
            title=Text("Units are guarded", "单元已加防护"),
            fix=Text(
                "`systemctl daemon-reload`; if that is not it, run the role fencing on this host.",
                "执行 `systemctl daemon-reload`；若仍未生效，在该主机重新运行 fencing 角色。",
            ),
        ),
        "lease.fresh": Rule(
            title=Text("The lease is renewed", "租约按时续期"),
            fix=Text(
                "`systemctl status tutor-ops-lease`, `cat /run/tutor-ops/lease.json`: which witness does not answer? The host "
                "fences itself when the lease ends.",
                "查看 `systemctl status tutor-ops-lease` 和 `/run/tutor-ops/lease.json`，确认哪个见证节点无应答；租约到期后主机将自我隔离。",
            ),
            warn="50",
            crit="100",
            uom="%",
            source="age of the last renewal, in percent of the lease",
        ),
    },
    sentences={
        "epoch.not_here": Text("fencing is not set up on this host", "本机未配置隔离机制"),
        "epoch.broken": Text("cannot be told: {error}", "无法判断：{error}"),
        "epoch.none": Text("this host has no epoch", "本机没有 epoch 记录"),
        "epoch.damaged": Text("the record is damaged: {error}", "epoch 记录已损坏：{error}"),
        "epoch.alone": Text(
            "epoch {epoch} of {primary}, and no witness to ask", "epoch {epoch}（{primary}），无见证节点"
        ),
        "epoch.same": Text(
            "epoch {epoch} of {primary} here and at {count} witnesses",
            "本机与 {count} 个见证节点均为 epoch {epoch}（{primary}）",
        ),
        "epoch.silent": Text(
            "epoch {epoch} of {primary}; {count} of {total} witnesses do not say: {names}",
            "epoch {epoch}（{primary}）；{total} 个见证节点中 {count} 个无有效应答：{names}",
        ),
        "epoch.differs": Text(
            "epoch {epoch} of {primary} here, and another one at {names}",
            "本机为 epoch {epoch}（{primary}），而 {names} 不同",
        ),
        "epoch.granted_right": Text("epoch {epoch} is granted to this host", "本机持有 epoch {epoch} 的授权"),
        "epoch.granted_none": Text("no grant, as {primary} is to serve", "本机无授权，应由 {primary} 提供服务"),
        "epoch.granted_missing": Text(
            "this host is to serve in epoch {epoch} and has no such grant",
            "本机应在 epoch {epoch} 提供服务，但没有相应授权",
        ),
        "epoch.granted_wrong": Text(
            "this host has a grant, and {primary} is to serve: two may serve",
            "本机持有授权，而应由 {primary} 提供服务：存在双主风险",
        ),
        "epoch.unfenced": Text("not fenced", "未被隔离"),
        "epoch.fenced_well": Text(
            "fenced for epoch {epoch}, as {primary} is to serve", "已隔离（epoch {epoch}），应由 {primary} 提供服务"
        ),
        "epoch.fenced_primary": Text("this host is to serve and is fenced: {why}", "本机应提供服务却被隔离：{why}"),
        "epoch.fenced_half": Text(
            "FENCED is there, but the fence is not whole: {what}", "FENCED 文件存在，但隔离不完整：{what}"
        ),
        "epoch.guarded": Text("all {count} units are guarded", "{count} 个单元均已加防护"),
        "epoch.unguarded": Text(
            "{names} would start under a fence and without a grant", "{names} 在被隔离或无授权时仍可启动"
        ),
        "lease.needless": Text("needs witnesses, and there are none", "需要见证节点，当前未配置"),
        "lease.idle": Text("this host does not serve: there is nothing to renew", "本机不提供服务，无需续期"),
        "lease.age": Text("renewed {age:.1f} s ago, a lease is {ttl:.0f} s", "{age:.1f} 秒前续期，租期 {ttl:.0f} 秒"),
        "lease.missing": Text("nobody holds the lease: {error}", "租约服务未运行：{error}"),
    },
)


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at everything that tells who may serve."""
    say = AREA.reporter(spec.get("thresholds"), source="fencing")
    if not os.path.exists(spec["config"]):
        return ProbeResult([say.find(check, Status.SKIPPED, "epoch.not_here") for check in AREA.rules])
    try:
        config = Config.read(spec["config"])
        seen = fence.observe(config)
    except (OpsError, OSError) as exc:
        return ProbeResult([say.find("epoch.agreed", Status.UNKNOWN, "epoch.broken", error=str(exc))])
    record, error = None, ""
    try:
        record = epochs.read(config.state_dir)
    except OpsError as exc:
        error = str(exc)
    checks = [judge_guard(say, seen), judge_fence(say, seen, record)]
    if error:
        checks.append(say.find("epoch.agreed", Status.CRITICAL, "epoch.damaged", error=error))
    elif record is None:
        checks.append(say.find("epoch.agreed", Status.CRITICAL, "epoch.none", reason="missing"))
    else:
        checks += [judge_agreed(say, config, record, deadline), judge_grant(say, seen, record)]
    return ProbeResult([*checks, *judge_lease(say, config, seen)])


def judge_agreed(say: Reporter, config: Config, record: epochs.Record, deadline: Deadline) -> Check:
    """Compare the record of this host with those of the witnesses."""
    words: dict[str, Any] = {"epoch": record.epoch, "primary": record.primary}
    if not config.witnesses:
        return say.find("epoch.agreed", Status.OK, "epoch.alone", **words)
    answers = ask(config.witnesses, min(ASK_SECONDS, deadline.remaining()))
    other = [
        f"{one.witness} (epoch {one.record.epoch} of {one.record.primary})"
        for one in answers
        if one.record and (one.record.epoch, one.record.primary) != (record.epoch, record.primary)
    ]
    silent = [one.witness for one in answers if not one.record]
    if other:
        return say.find("epoch.agreed", Status.CRITICAL, "epoch.differs", names=listed(other), evidence=other, **words)
    if silent:
        status = Status.CRITICAL if len(answers) - len(silent) < config.needed else Status.WARNING
        evidence = [f"{one.witness}: {one.error}" for one in answers if not one.record]
        words.update(count=len(silent), total=len(answers), names=listed(silent))
        return say.find("epoch.agreed", status, "epoch.silent", reason="timeout", evidence=evidence, **words)
    return say.find("epoch.agreed", Status.OK, "epoch.same", count=len(answers), **words)


def judge_grant(say: Reporter, seen: fence.Seen, record: epochs.Record) -> Check:
    """Tell whether the grant is where the record says."""
    words: dict[str, Any] = {"epoch": record.epoch, "primary": record.primary}
    if record.primary == seen.config.host:
        if seen.epoch == record.epoch:
            return say.find("epoch.grant", Status.OK, "epoch.granted_right", **words)
        return say.find("epoch.grant", Status.CRITICAL, "epoch.granted_missing", reason="missing", **words)
    if seen.granted:
        return say.find("epoch.grant", Status.CRITICAL, "epoch.granted_wrong", **words)
    return say.find("epoch.grant", Status.OK, "epoch.granted_none", **words)


def judge_fence(say: Reporter, seen: fence.Seen, record: epochs.Record | None) -> Check:
    """Tell whether the fence is whole, and around the right host."""
    fenced = seen.fenced
    if not fenced:
        return say.find("epoch.fenced", Status.OK, "epoch.unfenced")
    if seen.state == "half":
        told = seen.as_dict()
        names = ("granted_epoch", "running", "unguarded", "holders", "open_paths")
        what = [f"{name} {told[name]}" for name in names if told[name]] or ["the grant cannot be read"]
        return say.find("epoch.fenced", Status.CRITICAL, "epoch.fenced_half", what=listed(what), evidence=what)
    if record is None or record.primary == seen.config.host:
        why = fenced.damaged or fenced.reason or fenced.run_id or "?"
        return say.find("epoch.fenced", Status.CRITICAL, "epoch.fenced_primary", why=why)
    return say.find("epoch.fenced", Status.OK, "epoch.fenced_well", epoch=fenced.epoch, primary=record.primary)


def judge_guard(say: Reporter, seen: fence.Seen) -> Check:
    """Tell whether systemd has the guards loaded."""
    if seen.unguarded:
        return say.find("epoch.guard", Status.CRITICAL, "epoch.unguarded", names=listed(seen.unguarded))
    return say.find("epoch.guard", Status.OK, "epoch.guarded", count=len(seen.config.units))


def judge_lease(say: Reporter, config: Config, seen: fence.Seen) -> Iterator[Check]:
    """Tell how old the last renewal is, on a host that serves and has witnesses."""
    if config.policy == "standalone" or not config.witnesses:
        yield say.find("lease.fresh", Status.SKIPPED, "lease.needless")
    elif not seen.granted:
        yield say.find("lease.fresh", Status.SKIPPED, "lease.idle")
    else:
        try:
            status = json.loads((config.run_dir / lease.STATUS).read_text(encoding="utf-8"))
            age = boottime() - float(status["renewed"])
        except (OSError, ValueError, KeyError, TypeError) as exc:
            yield say.find("lease.fresh", Status.CRITICAL, "lease.missing", reason="missing", error=str(exc))
            return
        yield say.measure(
            "lease.fresh",
            100 * age / config.ttl,
            "lease.age",
            age=age,
            ttl=config.ttl,
            evidence=[f"{name}: {told}" for name, told in dict(status.get("answers", {})).items()],
        )


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse a path that depends on where the module happens to run."""
    if not os.path.isabs(spec["config"]):
        raise OpsError(f"config is {spec['config']!r}: expected an absolute path")
