# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins: failed ones by network and user, a success that follows many failures, root, accounts that were locked.

Source: the journal (sshd, sshd-session, sudo, su, login), from where the last run ended; at a first run the last days.
/var/log/auth.log does not exist on Debian 12. Cost: 30 ms, and 1 s for each 20,000 messages; what does not fit into the
probe's time is read by the next run.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security import journal
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security.logins import (
    DAY,
    IDENTIFIERS,
    OTHERS,
    Tally,
    declared,
    names,
)
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import duration, listed

TIMEOUT = 20.0
ENTRIES = 500_000
# Left for judging, once reading is over.
SPARE_SECONDS = 1.0

OPTIONS: dict[str, dict[str, Any]] = {
    "days": {"type": "float", "default": 7.0},
    "root_from": {"type": "list", "elements": "str", "default": []},
}
TUNING = frozenset(OPTIONS)

AREA = Area(
    "security",
    rules={
        "logins.failed": Rule(
            title=Text("Failed logins on the worst day", "单日最多登录失败次数"),
            fix=Text(
                "Close ssh to all but your own networks, or install fail2ban; allow keys only (PasswordAuthentication no).",
                "将 ssh 限制为自有网段，或安装 fail2ban；只允许密钥登录（PasswordAuthentication no）。",
            ),
            warn="99",
            uom="c",
            source="100 a day: more than people mistype",
        ),
        "logins.spray": Rule(
            title=Text("User names tried from one network", "同一网段尝试的用户名数"),
            fix=Text(
                "Somebody tries names: block the network named (`nft`, the provider's firewall), allow keys only.",
                "有人在猜测用户名：封禁所列网段（nft 或云防火墙），只允许密钥登录。",
            ),
            warn="9",
            uom="c",
            source="10 users from one /24",
        ),
        "logins.break_in": Rule(
            title=Text("No success after many failures", "多次失败后没有登录成功"),
            fix=Text(
                "Ask the person whether it was them. If not: block the account and the address, `last`, `who`, change keys and "
                "passwords, open an emergency.",
                "向本人确认。若非本人：立即锁定账户并封禁地址，查看 `last`、`who`，更换密钥和口令，并启动应急流程。",
            ),
            source="5 failures from an address within the hour before its success",
        ),
        "logins.root": Rule(
            title=Text("Root logins", "root 登录"),
            fix=Text(
                "Log in as yourself and use sudo; root by key only (PermitRootLogin prohibit-password) and only from the networks in root_from.",
                "使用个人账户登录并通过 sudo 提权；root 仅允许密钥（PermitRootLogin prohibit-password），且仅限 root_from 中的网段。",
            ),
        ),
        "logins.locked": Rule(
            title=Text("Locked accounts and cut off attempts", "被锁定的账户与被切断的尝试"),
            fix=Text(
                "`faillock`; `journalctl -t sshd -g 'maximum authentication|locked'`: an attack, or somebody who needs help.",
                "执行 `faillock` 和 `journalctl -t sshd -g 'maximum authentication|locked'`：可能是攻击，也可能是用户需要帮助。",
            ),
            warn="9",
            uom="c",
            source="chosen: a person gives up before",
        ),
        "logins.local": Rule(
            title=Text("Failed sudo, su and console logins", "sudo、su 与控制台登录失败"),
            fix=Text(
                "`journalctl -t sudo -t su -t login -g 'incorrect|FAILED|NOT in sudoers'`: ask the users named.",
                "执行 `journalctl -t sudo -t su -t login -g 'incorrect|FAILED|NOT in sudoers'`，并询问所列用户。",
            ),
            warn="9",
            uom="c",
            source="chosen",
        ),
    },
    sentences={
        "logins.counted": Text(
            "{value:.0f} failed logins on the worst day, {total} in {age} from {sources} networks",
            "单日最多 {value:.0f} 次登录失败，{age} 内共 {total} 次，来自 {sources} 个网段",
        ),
        "logins.tried": Text(
            "at most {value:.0f} user names tried from one network{where}",
            "单个网段最多尝试 {value:.0f} 个用户名{where}",
        ),
        "logins.suspicious": Text(
            "{count} logins succeeded after five or more failures from the same address within an hour",
            "{count} 次登录在同一地址一小时内失败五次以上之后成功",
        ),
        "logins.clean": Text("none of {count} logins followed many failures", "{count} 次登录均非多次失败后成功"),
        "logins.root_none": Text("root did not log in", "root 未登录"),
        "logins.root_fine": Text(
            "root logged in {count} times by key, from {sources} addresses",
            "root 用密钥登录 {count} 次，来自 {sources} 个地址",
        ),
        "logins.root_wrong": Text(
            "root logged in {count} times with a password or from undeclared networks",
            "root 用口令或从未声明的网段登录 {count} 次",
        ),
        "logins.locks": Text("{value:.0f} accounts locked or attempts cut off", "{value:.0f} 次账户锁定或尝试被切断"),
        "logins.sudo": Text("{value:.0f} failures of sudo, su and login", "sudo、su、login 失败 {value:.0f} 次"),
        "logins.denied": Text(
            "may not read the journal: run as root or as a member of systemd-journal",
            "无权读取 journal：请以 root 或 systemd-journal 组成员运行",
        ),
        "logins.missing": Text("this host keeps no journal", "本机没有 journal"),
        "logins.error": Text("cannot read the journal: {error}", "无法读取 journal：{error}"),
    },
)


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse what is no network, and a look back into no time at all."""
    _networks(spec["root_from"])
    if not 0 < spec["days"] <= 366:
        raise OpsError(f"days: {spec['days']}: expected a number above 0, at most 366")


def _networks(texts: list[str]) -> list[Any]:
    try:
        return [ipaddress.ip_network(text, strict=False) for text in texts]
    except ValueError as exc:
        raise OpsError(f"root_from: {exc}: expected networks such as 192.0.2.0/24") from exc


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Read what was logged since the last run and judge it."""
    say = AREA.reporter(spec.get("thresholds"), source="journal")
    trouble = journal.trouble()
    if trouble:
        blind = say.find("logins.failed", Status.UNKNOWN, f"logins.{trouble}", reason=trouble)
        return ProbeResult([blind], dict(previous))
    now = time.time()
    tally = Tally(now)
    tally.load(previous.get("recent", {}))
    since = max(float(previous.get("at", 0.0)), now - spec["days"] * DAY)
    cursor, reached = str(previous.get("cursor", "")), now
    notes: list[str] = []
    try:
        since = max(since, journal.begins(deadline.remaining()))
        count, last = 0, since
        for entry in journal.entries(IDENTIFIERS, cursor, since, deadline.remaining() - SPARE_SECONDS):
            tally.take(entry)
            cursor, last, count = entry.cursor, entry.when, count + 1
            if count >= ENTRIES:
                break
        if count >= ENTRIES or deadline.remaining() <= SPARE_SECONDS:
            reached = last
            notes.append(f"read {count} messages up to {duration(now - last)} ago; the next run goes on there")
    except OpsError as exc:
        blind = say.find("logins.failed", Status.UNKNOWN, "logins.error", error=str(exc))
        return ProbeResult([blind], dict(previous))
    state = {"cursor": cursor, "at": reached, "recent": tally.dump()}
    return ProbeResult(judge(say, tally, _networks(spec["root_from"]), now - since, notes), state)


def judge(say: Reporter, tally: Tally, root_from: list[Any], seconds: float, notes: list[str]) -> list[Check]:
    """Judge what was counted."""
    sources = tally.sources()
    evidence = [f"{name}: {found.failures} failures, {_tried(len(found.users))}" for name, found in sources[:7]]
    if tally.users:
        evidence.append(f"users: {names(tally.users)}")
    widest = max(sources, key=lambda one: len(one[1].users) if one[0] != OTHERS else 0, default=None)
    tried = len(widest[1].users) if widest else 0
    return [
        say.measure(
            "logins.failed",
            tally.worst_day,
            "logins.counted",
            total=tally.failures,
            age=duration(seconds),
            sources=len(sources),
            evidence=[*notes, *evidence],
        ),
        say.measure("logins.spray", tried, "logins.tried", where=f": {widest[0]}" if widest else ""),
        _break_in(say, tally),
        _root(say, tally, root_from),
        say.measure("logins.locked", tally.locked, "logins.locks", evidence=[names(tally.locked_users)]),
        say.measure("logins.local", tally.local_failures, "logins.sudo", evidence=[names(tally.local)]),
    ]


def _tried(count: int) -> str:
    return "1 user name" if count == 1 else f"{count} user names"


def _break_in(say: Reporter, tally: Tally) -> Check:
    if not tally.break_in_count:
        return say.find("logins.break_in", Status.OK, "logins.clean", value=0, count=tally.accepted)
    words: dict[str, Any] = {"value": tally.break_in_count, "count": tally.break_in_count}
    return say.find("logins.break_in", Status.CRITICAL, "logins.suspicious", evidence=tally.break_ins[-10:], **words)


def _root(say: Reporter, tally: Tally, root_from: list[Any]) -> Check:
    """Judge root's logins: a key is fine, a password is not, nor is an address outside the networks declared."""
    if not tally.root:
        return say.find("logins.root", Status.OK, "logins.root_none", value=0)
    wrong = {
        (address, method): count
        for (address, method), count in tally.root.items()
        if method != "publickey" or (root_from and not declared(address, root_from))
    }
    told = wrong or dict(tally.root)
    evidence = [f"{address} with {method}: {count}" for (address, method), count in sorted(told.items())]
    count = sum(told.values())
    if wrong:
        words: dict[str, Any] = {"value": count, "count": count, "evidence": evidence}
        return say.find("logins.root", Status.WARNING, "logins.root_wrong", **words)
    addresses = {address for address, _method in tally.root}
    return say.find(
        "logins.root",
        Status.OK,
        "logins.root_fine",
        value=count,
        count=count,
        sources=len(addresses),
        evidence=[listed(sorted(addresses))],
    )
