# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights of files: what everybody may write, secrets everybody may read, new setuid programs, files of no account.

Source: one pass of scandir over the trees, on their own file systems, following no symlink; the first bytes of files whose
name alone does not tell a key or a database. Cost: 10 ms for each 1,000 entries, and the disk's time when they are not cached.

setuid and setgid programs are compared with the first run, which is remembered: what came since stays a finding until it
is accepted, with a waiver or with one run with rebaseline. Give the probe a name, so that it keeps its memory when its
options change.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.security.tree import Found, Scan, Tree
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

TIMEOUT = 30.0
# Left for judging when the pass had to be stopped.
SPARE_SECONDS = 0.5
# setuid programs that are remembered; a Debian host has about twenty.
REMEMBERED = 200

OPTIONS: dict[str, dict[str, Any]] = {
    "trees": {"type": "list", "elements": "path", "default": ["/etc", "/opt", "/usr/bin", "/usr/local", "/usr/sbin"]},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "entries": {"type": "int", "default": 200_000},
    "rebaseline": {"type": "bool", "default": False},
}
TUNING = frozenset(("exclude", "entries", "rebaseline"))

AREA = Area(
    "security",
    rules={
        "permissions.scan": Rule(
            title=Text("All trees were looked at", "已查看全部目录树"),
            fix=Text(
                "Run as root; raise the probe's timeout and entries, or exclude what needs no look (exclude).",
                "以 root 运行；调大该探测的 timeout 和 entries，或用 exclude 排除无需检查的目录。",
            ),
        ),
        "permissions.writable": Rule(
            title=Text("No file that everybody may write", "没有任何人可写的文件"),
            fix=Text(
                "`chmod o-w FILE`; then ask who set it: umask, a script, an unpacked archive.",
                "执行 `chmod o-w 文件`，并查明来源：umask、脚本或解压的归档。",
            ),
        ),
        "permissions.directories": Rule(
            title=Text("No directory that everybody may write without sticky bit", "没有缺少粘滞位的任何人可写目录"),
            fix=Text(
                "`chmod o-w DIRECTORY`, or `chmod +t` if everybody shall write there.",
                "执行 `chmod o-w 目录`；若确需共用则 `chmod +t`。",
            ),
        ),
        "permissions.setuid": Rule(
            title=Text("No new setuid programs", "没有新增的 setuid 程序"),
            fix=Text(
                "`dpkg -S FILE`: a package brought it, or somebody else did. `chmod u-s,g-s FILE`, or accept it: one run with "
                "rebaseline, or a waiver.",
                "用 `dpkg -S 文件` 确认是否来自软件包。否则 `chmod u-s,g-s 文件`；确认无误则带 rebaseline 运行一次，或登记豁免。",
            ),
        ),
        "permissions.nobody": Rule(
            title=Text("Every file belongs to an account", "所有文件都有属主账户"),
            fix=Text(
                "`chown` it to who needs it, or remove it: the next account made may get that number and the file.",
                "用 `chown` 改为实际使用者，或删除：新建账户可能得到该编号，从而得到文件。",
            ),
        ),
        "permissions.secrets": Rule(
            title=Text("No secret that everybody may read", "没有任何人可读的机密文件"),
            fix=Text(
                "`chmod o-rwx FILE`; change the password or key in it, since it may have been read.",
                "执行 `chmod o-rwx 文件`；并更换其中的口令或密钥，因为可能已被读取。",
            ),
        ),
    },
    sentences={
        "permissions.looked": Text("{count} entries in {trees}", "{trees} 中共 {count} 个条目"),
        "permissions.stopped": Text(
            "stopped at {where} after {count} entries: the rest was not looked at",
            "查看 {count} 个条目后在 {where} 停止，其余未查看",
        ),
        "permissions.denied": Text(
            "may not look into {count} directories: run as root", "无权查看 {count} 个目录：请以 root 运行"
        ),
        "permissions.nothing": Text("none of the trees is there: {trees}", "目录树均不存在：{trees}"),
        "permissions.none": Text("none", "无"),
        "permissions.world_files": Text("{value:.0f} files that everybody may write", "{value:.0f} 个任何人可写的文件"),
        "permissions.world_run": Text(
            "{value:.0f} files that everybody may write, {run} of them programs or settings of the system",
            "{value:.0f} 个任何人可写的文件，其中 {run} 个是程序或系统配置",
        ),
        "permissions.world_directories": Text(
            "{value:.0f} directories that everybody may write, without sticky bit",
            "{value:.0f} 个任何人可写且没有粘滞位的目录",
        ),
        "permissions.orphans": Text("{value:.0f} files of no account", "{value:.0f} 个没有属主账户的文件"),
        "permissions.readable": Text(
            "{value:.0f} secrets that everybody may read, {keys} private keys",
            "{value:.0f} 个任何人可读的机密文件，其中私钥 {keys} 个",
        ),
        "permissions.setuid_first": Text(
            "{value:.0f} setuid and setgid programs, remembered from now on",
            "{value:.0f} 个 setuid/setgid 程序，已记为基线",
        ),
        "permissions.setuid_same": Text(
            "{value:.0f} setuid and setgid programs, none is new", "{value:.0f} 个 setuid/setgid 程序，无新增"
        ),
        "permissions.setuid_new": Text(
            "{value:.0f} setuid or setgid programs are new or changed",
            "{value:.0f} 个 setuid/setgid 程序为新增或已变更",
        ),
    },
)


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse trees that are not named by their whole path, and no trees at all."""
    for path in [*spec["trees"], *spec["exclude"]]:
        if not os.path.isabs(path):
            raise OpsError(f"trees, exclude: {path!r}: expected an absolute path")
    if not spec["trees"]:
        raise OpsError("trees: expected at least one directory")
    if spec["entries"] < 1:
        raise OpsError(f"entries: {spec['entries']}: expected a number above 0")


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Look at all trees in one pass and judge what was found."""
    say = AREA.reporter(spec.get("thresholds"), source="scandir")
    time = deadline.sooner(max(0.0, deadline.remaining() - SPARE_SECONDS))
    found = Scan(spec["exclude"], spec["entries"], time).run(spec["trees"])
    trees = listed(sorted(spec["trees"]))
    if len(found.missing) == len({os.path.realpath(one) for one in spec["trees"]}):
        nothing = say.find("permissions.scan", Status.UNKNOWN, "permissions.nothing", reason="missing", trees=trees)
        return ProbeResult([nothing], dict(previous))
    setuid, state = judge_setuid(say, found, previous.get("setuid"), spec["rebaseline"])
    return ProbeResult([judge_scan(say, found, trees), *judge(say, found), setuid], state)


def judge_scan(say: Reporter, found: Tree, trees: str) -> Check:
    """Tell whether everything was looked at: what was not is UNKNOWN, beside what was found elsewhere."""
    missing = [f"not there: {one}" for one in found.missing]
    if found.stopped:
        words: dict[str, Any] = {"where": found.stopped, "count": found.entries, "evidence": missing}
        return say.find("permissions.scan", Status.UNKNOWN, "permissions.stopped", reason="timeout", **words)
    if found.denied.count:
        words = {"count": found.denied.count, "evidence": [*found.denied.items[:9], *missing]}
        return say.find("permissions.scan", Status.UNKNOWN, "permissions.denied", reason="denied", **words)
    return say.find(
        "permissions.scan",
        Status.OK,
        "permissions.looked",
        value=found.entries,
        count=found.entries,
        trees=trees,
        evidence=missing,
    )


def judge(say: Reporter, found: Tree) -> list[Check]:
    """Judge what everybody may do, and what belongs to nobody."""
    dangerous = Status.CRITICAL if found.writable_and_run else Status.WARNING
    sentence = "permissions.world_run" if found.writable_and_run else "permissions.world_files"
    keys = Status.CRITICAL if found.private_keys else Status.WARNING
    warning = Status.WARNING
    return [
        _one(say, "permissions.writable", found.writable, dangerous, sentence, run=found.writable_and_run),
        _one(say, "permissions.directories", found.open_directories, warning, "permissions.world_directories"),
        _one(say, "permissions.nobody", found.nobody, warning, "permissions.orphans"),
        _one(say, "permissions.secrets", found.secrets, keys, "permissions.readable", keys=found.private_keys),
    ]


def _one(say: Reporter, check_id: str, found: Found, status: Status, sentence: str, **words: Any) -> Check:
    if not found.count:
        return say.find(check_id, Status.OK, "permissions.none", value=0)
    return say.find(check_id, status, sentence, value=found.count, evidence=sorted(found.items), **words)


def judge_setuid(
    say: Reporter, found: Tree, known: Mapping[str, str] | None, accept: bool
) -> tuple[Check, dict[str, Any]]:
    """Compare with what is remembered; what was removed is forgotten, what is new is not learnt by itself."""
    now = dict(sorted(found.setuid.items())[:REMEMBERED])
    if known is None or accept:
        first = say.find("permissions.setuid", Status.OK, "permissions.setuid_first", value=len(found.setuid))
        return first, {"setuid": now}
    new = {path: rights for path, rights in found.setuid.items() if known.get(path) != rights}
    # A pass that was stopped did not see everything: what it did not see may still be there.
    kept = {path: rights for path, rights in known.items() if found.stopped or path in found.setuid}
    if not new:
        same = say.find("permissions.setuid", Status.OK, "permissions.setuid_same", value=len(found.setuid))
        return same, {"setuid": kept}
    evidence = [
        f"{rights} {path}" + (f", was {known[path]}" if path in known else "") for path, rights in sorted(new.items())
    ]
    drift = say.find("permissions.setuid", Status.WARNING, "permissions.setuid_new", value=len(new), evidence=evidence)
    return drift, {"setuid": kept}
