# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in and become root: accounts, groups, passwords, sudo rules, ssh keys, sshd, kernel settings, fail2ban.

Sources: /etc/passwd, group, shadow and sudoers, the authorized_keys files, `sshd -T`, /proc/sys. Cost: 30 ms. Passwords,
sudo rules and sshd's settings are for root only; without it those are UNKNOWN.

Accounts, members of privileged groups, sudo rules and ssh keys are compared with the first run, which is remembered: what
came since stays a finding until it is accepted, with a waiver or with one run with rebaseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.host.look import Files
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security import accounts as reading
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security import hardening
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security.baseline import compare
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

TIMEOUT = 15.0

OPTIONS: dict[str, dict[str, Any]] = {
    "sysctl": {"type": "dict", "default": hardening.SYSCTL},
    "rebaseline": {"type": "bool", "default": False},
}
TUNING = frozenset(OPTIONS)

AREA = Area(
    "security",
    rules={
        "accounts.uid0": Rule(
            title=Text("Only root is root", "只有 root 的 UID 为 0"),
            fix=Text(
                "A second account with number 0 is a back door: `passwd -l USER`, find out who made it, then `userdel USER`; "
                "open an emergency if nobody knows.",
                "第二个 UID 为 0 的账户等同后门：先 `passwd -l 用户`，查明来源后 `userdel 用户`；来源不明则启动应急流程。",
            ),
        ),
        "accounts.empty_password": Rule(
            title=Text("No account with an empty password", "没有空口令账户"),
            fix=Text(
                "`passwd -l USER`, or set a password: `passwd USER`.",
                "执行 `passwd -l 用户`，或用 `passwd 用户` 设置口令。",
            ),
        ),
        "accounts.new": Rule(
            title=Text("No new users and groups", "没有新增用户和组"),
            fix=Text(
                "Who made it, and for what? Remove it (`userdel`, `groupdel`), or accept it: one run with rebaseline, or a waiver.",
                "查明创建者和用途。不需要则删除（`userdel`、`groupdel`）；确认无误则带 rebaseline 运行一次，或登记豁免。",
            ),
        ),
        "accounts.privileged": Rule(
            title=Text("Nobody new in privileged groups", "特权组没有新成员"),
            fix=Text(
                "`gpasswd -d USER GROUP`, or accept it: one run with rebaseline, or a waiver.",
                "执行 `gpasswd -d 用户 组` 移除；确认无误则带 rebaseline 运行一次，或登记豁免。",
            ),
        ),
        "accounts.sudo": Rule(
            title=Text("No new sudo rules", "没有新增 sudo 规则"),
            fix=Text(
                "`visudo -c`, `grep -r . /etc/sudoers.d`: remove the rule, or accept it: one run with rebaseline, or a waiver.",
                "执行 `visudo -c` 和 `grep -r . /etc/sudoers.d` 查看；删除该规则，或带 rebaseline 运行一次，或登记豁免。",
            ),
        ),
        "accounts.keys": Rule(
            title=Text("No new ssh keys", "没有新增 ssh 密钥"),
            fix=Text(
                "`ssh-keygen -lf ~USER/.ssh/authorized_keys` shows whose key it is: remove the line, or accept it: one run "
                "with rebaseline, or a waiver.",
                "用 `ssh-keygen -lf ~用户/.ssh/authorized_keys` 确认密钥归属；删除该行，或带 rebaseline 运行一次，或登记豁免。",
            ),
        ),
        "sshd.root_login": Rule(
            title=Text("Root logs in by key only", "root 只能用密钥登录"),
            fix=Text(
                "PermitRootLogin prohibit-password in /etc/ssh/sshd_config.d/, `sshd -t`, `systemctl reload ssh`.",
                "在 /etc/ssh/sshd_config.d/ 设置 PermitRootLogin prohibit-password，`sshd -t` 后 `systemctl reload ssh`。",
            ),
        ),
        "sshd.passwords": Rule(
            title=Text("No passwords over ssh", "ssh 不接受口令"),
            fix=Text(
                "Have every user's key in place, then PasswordAuthentication no and KbdInteractiveAuthentication no in "
                "/etc/ssh/sshd_config.d/, `sshd -t`, `systemctl reload ssh`.",
                "先为所有用户配置密钥，再在 /etc/ssh/sshd_config.d/ 设置 PasswordAuthentication no 和 "
                "KbdInteractiveAuthentication no，`sshd -t` 后 `systemctl reload ssh`。",
            ),
        ),
        "sshd.max_auth_tries": Rule(
            title=Text("Guesses per connection", "单次连接的认证次数"),
            fix=Text(
                "MaxAuthTries 4 in /etc/ssh/sshd_config.d/, `sshd -t`, `systemctl reload ssh`.",
                "在 /etc/ssh/sshd_config.d/ 设置 MaxAuthTries 4，`sshd -t` 后 `systemctl reload ssh`。",
            ),
            warn="4",
            uom="c",
            source="CIS Debian 12 benchmark",
        ),
        "sysctl.hardening": Rule(
            title=Text("Kernel settings that protect", "内核防护参数"),
            fix=Text(
                "`grep -r KEY /etc/sysctl.d /etc/sysctl.conf` tells who weakened it; correct it there, `sysctl --system`.",
                "用 `grep -r 参数 /etc/sysctl.d /etc/sysctl.conf` 查明修改处，改正后执行 `sysctl --system`。",
            ),
        ),
        "fail2ban.sshd": Rule(
            title=Text("fail2ban guards sshd", "fail2ban 保护 sshd"),
            fix=Text(
                "`systemctl status fail2ban`, `fail2ban-client status`; enable the jail sshd with backend systemd.",
                "查看 `systemctl status fail2ban` 和 `fail2ban-client status`；启用 sshd jail，backend 设为 systemd。",
            ),
        ),
    },
    sentences={
        "accounts.one_root": Text("only root has number 0", "只有 root 的 UID 为 0"),
        "accounts.more_roots": Text("{names} have number 0, as root has", "{names} 的 UID 也为 0"),
        "accounts.empty_some": Text("{names}: empty password", "{names}：口令为空"),
        "accounts.empty_none": Text("none of {count} accounts has an empty password", "{count} 个账户均无空口令"),
        "accounts.denied": Text("only root may read {what}", "只有 root 可读取 {what}"),
        "accounts.unreadable": Text("cannot be read: {error}", "无法读取：{error}"),
        "accounts.remembered": Text("{value:.0f} seen, remembered from now on", "共 {value:.0f} 项，已记为基线"),
        "accounts.unchanged": Text("{value:.0f} seen, none is new", "共 {value:.0f} 项，无新增"),
        "accounts.drifted": Text("{value:.0f} new: {names}", "新增 {value:.0f} 项：{names}"),
        "accounts.root_login": Text("PermitRootLogin {value_text}", "PermitRootLogin {value_text}（现行设置）"),
        "accounts.empty_allowed": Text("sshd accepts empty passwords", "sshd 接受空口令"),
        "accounts.passwords_allowed": Text(
            "sshd accepts passwords, and there are accounts that have one", "sshd 接受口令，且存在设有口令的账户"
        ),
        "accounts.passwords_moot": Text(
            "sshd accepts passwords, but no account that logs in has one", "sshd 接受口令，但可登录账户均未设口令"
        ),
        "accounts.keys_only": Text("sshd accepts keys only", "sshd 只接受密钥"),
        "accounts.tries": Text("{value:.0f} guesses per connection", "每次连接可尝试 {value:.0f} 次"),
        "accounts.tries_moot": Text(
            "{value:.0f} tries per connection, but there is no password to guess",
            "每次连接可尝试 {value:.0f} 次，但没有可猜测的口令",
        ),
        "accounts.no_sshd": Text("this host has no sshd", "本机没有 sshd"),
        "accounts.sshd_failed": Text("sshd -T: {error}", "sshd -T 失败：{error}"),
        "accounts.sysctl_container": Text("they belong to the machine below this container", "属于容器所在宿主机"),
        "accounts.sysctl_good": Text("all {count} as they should be", "{count} 项均符合要求"),
        "accounts.sysctl_weak": Text("{value:.0f} kernel settings are weak", "{value:.0f} 项内核参数偏弱"),
        "accounts.fail2ban_absent": Text("fail2ban is not installed", "未安装 fail2ban"),
        "accounts.fail2ban_down": Text("fail2ban is installed and does not run", "fail2ban 已安装但未运行"),
        "accounts.fail2ban_error": Text("fail2ban does not tell: {error}", "无法获取 fail2ban 状态：{error}"),
        "accounts.fail2ban_jails": Text("jails: {jails}", "已启用 jail：{jails}"),
    },
)


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse a kernel setting whose name is a path out of /proc/sys."""
    for name in spec["sysctl"]:
        if "/" in str(name) or ".." in str(name) or not str(name).strip("."):
            raise OpsError(f"sysctl: {name!r}: expected a name with dots, such as kernel.dmesg_restrict")


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at the host we run on."""
    return examine(spec, previous, deadline, Files())


def examine(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline, files: Files) -> ProbeResult:
    """Look at the host whose files these are."""
    say = AREA.reporter(spec.get("thresholds"), source="accounts")
    state = dict(previous)
    try:
        users = reading.accounts(files.root + "/etc/passwd")
        groups = reading.groups(files.root + "/etc/group")
    except OSError as exc:
        blind = say.find("accounts.uid0", Status.UNKNOWN, "accounts.unreadable", error=str(exc))
        return ProbeResult([blind], state)
    drifts = _Drifts(say, previous, state, spec["rebaseline"])
    names = [f"user {user.name} ({user.uid})" for user in users]
    names += [f"group {name} ({number})" for name, (number, _members) in groups.items()]
    checks = [_uid0(say, users), drifts.judge("accounts.new", names)]
    checks.append(drifts.judge("accounts.privileged", reading.members(groups, users)))
    checks.append(_sudo(say, drifts, files))
    empty, has_password = _passwords(say, users, files)
    checks.append(empty)
    settings, sshd = _sshd(say, has_password, deadline)
    checks += sshd
    patterns = settings.get("authorizedkeysfile", "").split() or list(hardening.KEY_FILES)
    checks.append(_keys(say, drifts, users, [one for one in patterns if one != "none"], files))
    checks.append(hardening.judge_sysctl(say, spec["sysctl"], files))
    checks.append(hardening.judge_fail2ban(say, deadline.remaining()))
    return ProbeResult(checks, state)


class _Drifts:
    """Compares one kind of thing after the other with what is remembered of it."""

    def __init__(self, say: Reporter, previous: Mapping[str, Any], state: dict[str, Any], accept: bool) -> None:
        self.say = say
        self.previous = previous
        self.state = state
        self.accept = accept

    def judge(self, check_id: str, seen: Iterable[str], grave: str = "") -> Check:
        """Judge what is new: critical is what begins with ``grave``."""
        seen = sorted(set(seen))
        drift = compare(seen, self.previous.get(check_id), self.accept)
        self.state[check_id] = drift.baseline
        if drift.new:
            critical = bool(grave) and any(thing.startswith(grave) for thing in drift.new)
            return self.say.find(
                check_id,
                Status.CRITICAL if critical else Status.WARNING,
                "accounts.drifted",
                value=len(drift.new),
                names=listed(drift.new, 3),
                evidence=drift.new,
            )
        sentence = "accounts.remembered" if drift.first else "accounts.unchanged"
        return self.say.find(check_id, Status.OK, sentence, value=len(seen))


def _uid0(say: Reporter, users: list[reading.Account]) -> Check:
    others = [user.name for user in users if user.uid == 0 and user.name != "root"]
    if others:
        words: dict[str, Any] = {"value": len(others), "names": listed(others), "evidence": others}
        return say.find("accounts.uid0", Status.CRITICAL, "accounts.more_roots", **words)
    return say.find("accounts.uid0", Status.OK, "accounts.one_root", value=0)


def _passwords(say: Reporter, users: list[reading.Account], files: Files) -> tuple[Check, dict[str, bool] | None]:
    """Judge empty passwords, and tell which accounts that log in have a password; None when that is hidden."""
    path = files.root + "/etc/shadow"
    try:
        kinds = reading.passwords(path)
    except OSError as exc:
        reason = "denied" if isinstance(exc, PermissionError) else "error"
        hidden = say.find("accounts.empty_password", Status.UNKNOWN, "accounts.denied", what=path, reason=reason)
        return hidden, None
    has_password = {user.name: kinds.get(user.name, "none") != "none" for user in users if user.logs_in}
    empty = sorted(name for name, kind in kinds.items() if kind == "empty")
    if empty:
        words: dict[str, Any] = {"value": len(empty), "names": listed(empty), "evidence": empty}
        return say.find("accounts.empty_password", Status.CRITICAL, "accounts.empty_some", **words), has_password
    none = say.find("accounts.empty_password", Status.OK, "accounts.empty_none", value=0, count=len(kinds))
    return none, has_password


def _sudo(say: Reporter, drifts: _Drifts, files: Files) -> Check:
    main = files.root + "/etc/sudoers"
    try:
        rules = reading.sudo_rules(main, main + ".d")
    except FileNotFoundError:
        rules = []  # a host without sudo has no rules; that it gets some is drift
    except OSError as exc:
        reason = "denied" if isinstance(exc, PermissionError) else "error"
        return say.find("accounts.sudo", Status.UNKNOWN, "accounts.denied", what=main, reason=reason)
    return drifts.judge("accounts.sudo", rules)


def _sshd(
    say: Reporter, has_password: Mapping[str, bool] | None, deadline: Deadline
) -> tuple[Mapping[str, str], list[Check]]:
    try:
        settings = hardening.sshd_settings(deadline.remaining())
    except OpsError as exc:
        failed = say.find("sshd.root_login", Status.UNKNOWN, "accounts.sshd_failed", error=str(exc))
        return {}, [failed]
    if settings is None:
        return {}, [say.find("sshd.root_login", Status.SKIPPED, "accounts.no_sshd")]
    return settings, hardening.judge_sshd(say, settings, has_password)


def _keys(say: Reporter, drifts: _Drifts, users: list[reading.Account], patterns: list[str], files: Files) -> Check:
    there = [user for user in users if user.home.startswith("/")]
    found, hidden = reading.keys(there, [files.root + one if one.startswith("/") else one for one in patterns])
    if hidden:
        words: dict[str, Any] = {"reason": "denied", "what": listed(hidden, 3), "evidence": hidden}
        return say.find("accounts.keys", Status.UNKNOWN, "accounts.denied", **words)
    # A new key of root opens the whole host.
    return drifts.judge("accounts.keys", [f"{user}: {key}" for user, key in found], grave="root: ")
