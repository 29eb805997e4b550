# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python packages of the application's virtual environment: outdated ones, and those that do not fit together.

Source: the environment's own pip, run as the environment's owner, not as root, and writing nothing (no cache, no byte
code). It asks the package index that is configured for it, once for each package: some 0.1 s each.

pip itself takes an index that does not answer for one without newer versions: `pip list --outdated` prints nothing and
ends with 0. So its debug messages are read too, and what could not be asked is UNKNOWN.
"""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Reporter, Rule, Text
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.command import CommandTimeout, Lines, run
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.errors import OpsError
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.probes.base import Deadline, ProbeResult
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redact import redact, redact_url
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.sqlite.look import become
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.words import listed

TIMEOUT = 60.0
# One question to the index; an index that does not answer costs this much for each package.
INDEX_SECONDS = 5
CHECK_SECONDS = 20.0
_FAILED = re.compile(r"^\s*Could not fetch URL (?P<url>\S+): (?P<why>.*?)(?: - skipping)?$")
# The index answered: it does not know this package, which is then one of our own or from another place.
_NOT_THERE = re.compile(r"\b404 Client Error\b")
_CAUSE = re.compile(
    r"\[Errno -?\d+\] [^)']+|timed out|certificate verify failed[^)]*|too many \d+ error responses|\d{3} \w+ Error"
)

OPTIONS: dict[str, dict[str, Any]] = {
    "python": {"type": "path", "required": True},
    "index_url": {"type": "str", "default": "", "no_log": False},
}

AREA = Area(
    "security",
    rules={
        "pip.outdated": Rule(
            title=Text("Outdated Python packages", "过期的 Python 包"),
            fix=Text(
                "Read the change logs of the packages named, security fixes first; raise them in the application's "
                "requirements, test, and deploy as a change. Never `pip install -U` on the host.",
                "查看所列包的变更说明，优先处理安全修复；在应用的 requirements 中升级，测试后按变更流程发布。"
                "不要在主机上直接 `pip install -U`。",
            ),
            warn="20",
            uom="c",
            source="chosen: more than a quarter's worth of releases",
        ),
        "pip.conflicts": Rule(
            title=Text("Python packages fit together", "Python 包依赖一致"),
            fix=Text(
                "`PYTHON -m pip check`; install the application's requirements anew into a fresh environment.",
                "执行 `PYTHON -m pip check`；在新建的虚拟环境中重新安装应用的 requirements。",
            ),
        ),
    },
    sentences={
        "pip.current": Text(
            "{value:.0f} of {total} packages are outdated{names}", "{total} 个包中有 {value:.0f} 个过期{names}"
        ),
        "pip.index": Text(
            "the package index could not be asked about {count} of {total} packages: {error}",
            "{total} 个包中有 {count} 个无法从软件源查询：{error}",
        ),
        "pip.no_python": Text("{item} is not there", "{item} 不存在"),
        "pip.no_pip": Text(
            "{item} has no pip: its packages were installed by another tool", "{item} 中没有 pip：其包由其他工具安装"
        ),
        "pip.failed": Text("pip could not tell: {error}", "pip 无法给出结果：{error}"),
        "pip.slow": Text(
            "pip did not finish within {seconds:.0f} s: the package index is slow or away",
            "pip 在 {seconds:.0f} 秒内未完成：软件源缓慢或不可达",
        ),
        "pip.fits": Text("no conflict among {total} packages", "{total} 个包之间没有冲突"),
        "pip.broken": Text("{count} conflicts among the packages", "包之间有 {count} 处冲突"),
    },
)


@dataclass
class Answer:
    """What pip said: packages with a newer version, and questions to the index that failed, by package."""

    outdated: list[dict[str, str]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def validate(spec: Mapping[str, Any]) -> None:
    """Refuse an interpreter that is not named by its whole path, and an index that is no URL."""
    if not os.path.isabs(spec["python"]):
        raise OpsError(f"python: {spec['python']!r}: expected an absolute path, such as /opt/app/venv/bin/python")
    if spec["index_url"] and "://" not in spec["index_url"]:
        raise OpsError(f"index_url: {redact_url(spec['index_url'])!r}: expected a URL")


def probe(spec: Mapping[str, Any], previous: Mapping[str, Any], deadline: Deadline) -> ProbeResult:
    """Ask the environment's pip. We are a child of our own, so root is given up for good here."""
    say = AREA.reporter(spec.get("thresholds"), source="pip")
    python = spec["python"]
    try:
        # The link's own owner: what it points to is often the system's interpreter, which is root's.
        owner = os.lstat(python)
    except OSError:
        return ProbeResult([say.find("pip.outdated", Status.UNKNOWN, "pip.no_python", item=python, reason="missing")])
    become(owner.st_uid, owner.st_gid)
    env = environment(spec["index_url"])
    try:
        installed = run([python, "-m", "pip", "list", "--format=json"], deadline.remaining(), env=env)
        if "No module named pip" in installed.stderr:
            return ProbeResult([say.find("pip.outdated", Status.UNKNOWN, "pip.no_pip", item=python, reason="missing")])
        total = len(_json(installed.stdout, installed.complaint))
        checks = [_conflicts(say, python, total, env, deadline), _outdated(say, python, total, env, deadline)]
    except CommandTimeout:
        words: dict[str, Any] = {"item": python, "reason": "timeout", "seconds": deadline.seconds}
        checks = [say.find("pip.outdated", Status.UNKNOWN, "pip.slow", **words)]
    except OpsError as exc:
        checks = [say.find("pip.outdated", Status.UNKNOWN, "pip.failed", item=python, error=redact(str(exc)))]
    return ProbeResult(checks)


def environment(index_url: str) -> dict[str, str]:
    """Return what makes pip quiet, quick and harmless, and lets it find the configuration of the user we are."""
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        home = "/"
    env = {
        "HOME": home,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_COLOR": "1",
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": str(INDEX_SECONDS),
    }
    return {**env, "PIP_INDEX_URL": index_url} if index_url else env


def _json(text: str, complaint: str) -> list[dict[str, str]]:
    try:
        data = json.loads(text)
    except ValueError:
        raise OpsError(complaint) from None
    return [dict(one) for one in data]


def _conflicts(say: Reporter, python: str, total: int, env: Mapping[str, str], deadline: Deadline) -> Check:
    output = run([python, "-m", "pip", "check"], deadline.sooner(CHECK_SECONDS).remaining(), env=env)
    if output.rc == 0:
        return say.find("pip.conflicts", Status.OK, "pip.fits", item=python, value=0, total=total)
    lines = [line for line in output.stdout.splitlines() if line.strip()]
    if not lines:
        raise OpsError(output.complaint)
    words: dict[str, Any] = {"item": python, "value": len(lines), "count": len(lines), "evidence": lines}
    return say.find("pip.conflicts", Status.WARNING, "pip.broken", **words)


def _outdated(say: Reporter, python: str, total: int, env: Mapping[str, str], deadline: Deadline) -> Check:
    answer = ask(python, env, deadline)
    newer = [f"{one['name']} {one['version']} -> {one['latest_version']}" for one in answer.outdated]
    if answer.failed:
        words: dict[str, Any] = {"count": len(answer.failed), "total": total}
        errors = [redact(f"{name}: {why}") for name, why in sorted(answer.failed.items())]
        # Newer versions that are known stay told; whether there are others is not known.
        words.update(error=_cause(next(iter(answer.failed.values()))), evidence=[*errors[:5], *newer])
        return say.find("pip.outdated", Status.UNKNOWN, "pip.index", item=python, **words)
    names = ": " + listed([one["name"] for one in answer.outdated]) if newer else ""
    return say.measure("pip.outdated", len(newer), "pip.current", item=python, total=total, names=names, evidence=newer)


def ask(python: str, env: Mapping[str, str], deadline: Deadline) -> Answer:
    """Ask for newer versions; of the debug messages only failures are kept, a package can have thousands of others."""
    answer, found = Answer(), ""
    lines = Lines([python, "-m", "pip", "-vv", "list", "--outdated", "--format=json"], deadline.remaining(), env)
    for line in lines:
        match = _FAILED.match(line)
        if match and not _NOT_THERE.search(match["why"]):
            answer.failed[match["url"].rstrip("/").rpartition("/")[2]] = match["why"]
        elif line.startswith("["):
            found = line
    if lines.timed_out:
        raise CommandTimeout("pip list --outdated")
    if lines.rc != 0:
        raise OpsError(lines.complaint)
    answer.outdated = _json(found, lines.complaint)
    return answer


def _cause(why: str) -> str:
    """Return what went wrong, out of the many layers that urllib3 wraps it in."""
    match = _CAUSE.search(why)
    return redact(match[0] if match else why[:120])
