# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: bring up the sandbox, back it up, verify that, run weekly and daily checks on it, show what they found.

Ends with 0 when the sandbox is well, with 1 otherwise. What is found about the machine itself, such as a disk that fills
up, is shown and changes nothing of that: it is true, and not the demo's. Everything it writes is below ``.demo``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from sandbox import REPOSITORY, TREE, Sandbox, SandboxError

DAILY = "bilingual_tutor.ops.daily_checks"
WEEKLY = "bilingual_tutor.ops.weekly_maintenance"
PLAYBOOK_SECONDS = 120


class Step(NamedTuple):
    """One run of a playbook: its name here, the playbook and its variables."""

    name: str
    playbook: str
    variables: Mapping[str, str] = MappingProxyType({})


# The night, the weekly tasks that are about the application (the others are about the machine), the day.
STEPS = (
    Step("backup", "bilingual_tutor.ops.backup"),
    Step("verification", "bilingual_tutor.ops.backup_verification"),
    *(Step(f"weekly_{day}", WEEKLY, {"ops_day": day}) for day in ("tue", "thu")),
    *(Step(shift, DAILY, {"ops_shift": shift}) for shift in ("morning", "afternoon", "evening")),
)
TAIL = 30

GREEN, YELLOW, RED, GREY, BOLD = "32", "33", "31", "90", "1"
# Skipped, ok, unknown, warning, critical.
SEVERITY = (4, 0, 3, 1, 2)
# Warning, critical, unknown: a healthy sandbox has nothing but ok and skipped.
NOT_WELL = (1, 2, 3)
# Checks of the group host are about the machine, but for these two: without them nothing was looked at.
MACHINE = "host"
LOOKED_AT = ("host.reachable", "host.checked")

# By the numbers of Status: ok, warning, critical, unknown, skipped.
COLOURS = (GREEN, YELLOW, RED, YELLOW, GREY)

TEXTS = {
    "en": {
        "title": "Bilingual Tutor operations on a sandbox: a backup and its proof, weekly and daily checks",
        "sandbox": "sandbox",
        "backup": "backup",
        "verification": "proof of it",
        "weekly_tue": "Tuesday",
        "weekly_thu": "Thursday",
        "morning": "morning",
        "afternoon": "afternoon",
        "evening": "evening",
        "started": "started",
        "running": "was running",
        "counts": "{ok} ok, {warning} warning, {critical} critical, {unknown} unknown, {skipped} skipped",
        "ended": "the run ended with {code}; the end of {log}:",
        "report": "Report",
        "data": "Data",
        "again": "Again: the report then tells what changed",
        "fault": "See a fault being found",
        "stop": "Stop the sandbox",
        "green": "All is well.",
        "machine": "The sandbox is well. What is listed above is about this machine itself.",
        "red": "Not all is well: see above.",
    },
    "zh": {
        "title": "双语导师系统运维沙箱演示：备份与验证、每周任务、三班每日检查",
        "sandbox": "沙箱",
        "backup": "备份",
        "verification": "备份验证",
        "weekly_tue": "周二任务",
        "weekly_thu": "周四任务",
        "morning": "上午",
        "afternoon": "下午",
        "evening": "晚间",
        "started": "已启动",
        "running": "已在运行",
        "counts": "正常 {ok}，警告 {warning}，严重 {critical}，未知 {unknown}，跳过 {skipped}",
        "ended": "运行以 {code} 结束，{log} 末尾内容：",
        "report": "报告",
        "data": "数据",
        "again": "再次运行，报告会列出变化",
        "fault": "注入故障，看它如何被发现",
        "stop": "停止沙箱",
        "green": "一切正常。",
        "machine": "沙箱一切正常；上面列出的问题属于本机自身。",
        "red": "存在异常，见上。",
    },
}


class Screen:
    """What the demo prints: plain lines, coloured on a terminal."""

    def __init__(self, locale: str) -> None:
        self.texts = TEXTS[locale]
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def line(self, text: str = "", colour: str = "") -> None:
        """Print a line."""
        print(f"\033[{colour}m{text}\033[0m" if colour and self._colour else text, flush=True)

    def step(self, well: bool, name: str, text: str, seconds: float) -> None:
        """Print how one step went."""
        sign = "✔" if well else "✖"
        label = self.texts[name] + " " * (11 - columns(self.texts[name]))
        self.line(f"  {sign} {label} {text}{' ' * max(1, 58 - columns(text))}{seconds:4.1f} s", "" if well else RED)


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes; Chinese characters and signs take two."""
    return sum(2 if ord(char) > 0x2E80 else 1 for char in text)


def locale_of(environ: Mapping[str, str]) -> str:
    """Return the language that the environment asks for: ``OPS_LOCALE``, else that of the system's locale."""
    chosen = environ.get("OPS_LOCALE", "")
    system = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "zh" if (chosen or system).startswith("zh") else "en"


def run_environ(sandbox: Sandbox, locale: str) -> dict[str, str]:
    """Return the environment of a playbook run: nothing of the operator's own Ansible settings, all files in .demo."""
    ansible = sandbox.directory / "ansible"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(TREE),
        "ANSIBLE_HOME": str(ansible),
        "ANSIBLE_LOCAL_TEMP": str(ansible / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",  # Ansible refuses to start under any other encoding
        "OPS_LOCALE": locale,
        "OPS_DEMO_DIR": str(sandbox.directory),
    }


def run(sandbox: Sandbox, step: Step, locale: str) -> tuple[int, dict[str, Any]]:
    """Run a playbook; return how it ended and the report's data, none when it wrote no report."""
    latest = sandbox.directory / "reports/latest.json"
    latest.unlink(missing_ok=True)  # what stands there afterwards is of this run
    playbook = Path(sys.executable).with_name("ansible-playbook")
    inventory = REPOSITORY / "inventories/demo"
    with log_of(sandbox, step).open("w", encoding="utf-8") as log:
        code = subprocess.run(
            [playbook, step.playbook, "-i", inventory, "-e", json.dumps(dict(step.variables))],
            cwd=REPOSITORY,
            env=run_environ(sandbox, locale),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=PLAYBOOK_SECONDS,
            check=False,
        ).returncode
    if not latest.is_file():
        return code or 1, {}
    return code, json.loads(latest.read_text(encoding="utf-8"))


def log_of(sandbox: Sandbox, step: Step) -> Path:
    """Return the file that holds what Ansible said in a run."""
    return sandbox.directory / f"{step.name}.log"


def day(envelopes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Make one record for each host out of those of its runs; a check that several made counts as the worst of them.

    Not as the last: a new error in a log is a finding once, in the run that read it.
    """
    checks: dict[str, dict[tuple[str, str], Any]] = {}
    for envelope in envelopes:
        found = checks.setdefault(envelope["host"], {})
        for check in envelope["checks"]:
            key = (check["id"], check["item"])
            if key not in found or SEVERITY.index(check["status"]) > SEVERITY.index(found[key]["status"]):
                found[key] = check
    return [{"host": host, "checks": list(found.values())} for host, found in checks.items()]


def findings(envelopes: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return what was found about the sandbox, and what about the machine it runs on."""
    found = [check for each in envelopes for check in each["checks"] if check["status"] in NOT_WELL]
    machine = [check for check in found if check["group"] == MACHINE and check["id"] not in LOOKED_AT]
    return [check for check in found if check not in machine], machine


def tally(envelopes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Add up the counts of several records."""
    names = ("ok", "warning", "critical", "unknown", "skipped")
    return {name: sum(envelope["counts"][name] for envelope in envelopes) for name in names}


def show_table(screen: Screen, reports: Sequence[Mapping[str, Any]], locale: str, seconds: float) -> None:
    """Print the table that ends every run of a playbook, for all of them."""
    from ansible_collections.bilingual_tutor.ops.plugins.module_utils.render import terminal

    encoding = sys.stdout.encoding or "utf-8"
    envelopes = day([envelope for report in reports for envelope in report["envelopes"]])
    done = [event for report in reports for event in report["done"]]
    for line in terminal.render(envelopes, locale=locale, encoding=encoding, seconds=seconds, done=done):
        screen.line(line.text, "" if line.status is None else COLOURS[line.status])


def demo(sandbox: Sandbox, locale: str) -> bool:
    """Run the demo; tell whether all was well."""
    screen = Screen(locale)
    texts = screen.texts
    screen.line(texts["title"], BOLD)
    screen.line()
    begun = started = time.monotonic()
    fresh = sandbox.up()
    ports = ", ".join(f"{name} 127.0.0.1:{port}" for name, port in sandbox.facts()["ports"].items())
    screen.step(True, "sandbox", texts["started" if fresh else "running"], time.monotonic() - started)
    screen.line(f"    {'':11} {ports}", GREY)
    everything: list[dict[str, Any]] = []
    well = True
    for step in STEPS:
        started = time.monotonic()
        code, report = run(sandbox, step, locale)
        envelopes = report.get("envelopes", [])
        about_sandbox, about_machine = findings(envelopes)
        # A run also ends non-zero when it could not be recorded: only findings of the machine excuse it.
        step_well = bool(envelopes) and not about_sandbox and (code == 0 or bool(about_machine))
        screen.step(step_well, step.name, texts["counts"].format(**tally(envelopes)), time.monotonic() - started)
        if not envelopes:
            log = log_of(sandbox, step)
            screen.line(texts["ended"].format(code=code, log=log), RED)
            screen.line("\n".join(log.read_text(encoding="utf-8").splitlines()[-TAIL:]))
            return False
        everything.append(report)
        well = well and step_well
    screen.line()
    show_table(screen, everything, locale, time.monotonic() - begun)
    screen.line()
    reports = sandbox.directory / "reports"
    screen.line(f"{texts['report']}: file://{reports / 'latest.html'}", BOLD)
    screen.line(f"{texts['data']}: {reports / 'latest.json'}")
    screen.line()
    commands = (
        ("again", "make demo"),
        ("fault", f"echo http_500 > {shown(sandbox.fault)}"),
        ("", f".venv/bin/ansible-playbook {DAILY} -i inventories/demo -e ops_shift=morning"),
        ("stop", "make demo-down"),
    )
    for name, command in commands:
        if name:
            screen.line(f"{texts[name]}:", GREY)
        screen.line(f"  {command}")
    screen.line()
    machine = findings([envelope for report in everything for envelope in report["envelopes"]])[1]
    verdict = "red" if not well else "machine" if machine else "green"
    screen.line(texts[verdict], GREEN if well else RED)
    return well


def shown(path: Path) -> str:
    """Return a path as somebody in the checkout would type it."""
    return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=REPOSITORY / ".demo")
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without Chinese gets question marks
    try:
        return 0 if demo(Sandbox(options.directory), locale_of(os.environ)) else 1
    except SandboxError as exc:
        print(f"demo: {exc}", file=sys.stderr)
    except subprocess.TimeoutExpired as exc:
        print(f"demo: no end after {exc.timeout:.0f} s: {' '.join(map(str, exc.cmd))}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
