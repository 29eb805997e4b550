# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the project's checks: every stage to its end, two at a time, and a table of what passed.

    tools/checks.py            everything
    tools/checks.py lint       the stages of one group, or the stages named
    tools/checks.py --list     what there is

The stages are the list STAGES. Each has a log in .cache/checks; the end of a failed one's is shown last. Ends with
``N passed, N failed, N skipped`` and exits 1 when a stage failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache" / "checks"
PYTHONS = ROOT / ".cache" / "pythons"
VENVS = {
    "venv": Path(os.environ.get("VENV", ROOT / ".venv")).absolute(),
    "newest": ROOT / ".cache" / "newest",
    "oldest": ROOT / ".cache" / "oldest",
}
PACKAGE = "ansible_collections.bilingual_tutor.ops.plugins.module_utils"
TAIL = 60
# The Pythons a run is interested in: those of targets (3.9 to 3.13) and of the newest controller.
WANTED = ("3.9", "3.10", "3.11", "3.12", "3.13")
OLDEST, NEWEST = "3.9", "3.13"
# What ansible-test calls a success: it skips everything, without failing, in a folder that git ignores.
NOTHING_TESTED = "All targets skipped"
DEPRECATED = "[DEPRECATION WARNING]"


@dataclass(frozen=True)
class Stage:
    """One check: commands, run in turn until one fails. Their words may hold the {names} that ``run`` lists.

    ``reason`` returns why it cannot run here, or nothing; ``needs`` names stages that have to pass before it, ``after``
    such as only have to end; ``venv`` is the virtual environment of VENVS that {bin} means; ``tree`` runs it in a copy
    of the checkout below .../ansible_collections/bilingual_tutor/ops, which ansible-test insists on; ``alone`` keeps
    every other stage away, for measured times and booted hosts; ``last`` is run however the commands ended; ``limit``
    is in seconds.
    """

    name: str
    group: str
    commands: tuple[tuple[str, ...], ...]
    reason: Callable[[], str] = lambda: ""
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    venv: str = "venv"
    tree: bool = False
    alone: bool = False
    last: tuple[str, ...] = ()
    limit: float = 600.0
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Result:
    """How a stage ended: passed, failed or skipped, a remark and the seconds it took."""

    stage: Stage
    outcome: str
    remark: str = ""
    seconds: float = 0.0


def python_for(version: str) -> Path | None:
    """Return an interpreter of that version which runs; a pyenv shim is on PATH and fails for inactive versions."""
    name = f"python{version}"
    folders = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    folders += sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin"))
    folders += [Path("/usr/bin"), Path("/usr/local/bin")]
    for folder in folders:
        candidate = folder / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            tell = [str(candidate), "-c", "import sys, venv; print(sys.executable)"]
            ran = subprocess.run(tell, capture_output=True, text=True, check=False)
            if ran.returncode == 0:
                return Path(ran.stdout.strip())
    return None


def link_pythons() -> dict[str, Path]:
    """Make a folder of links to the Pythons that run, for ansible-test to find them first, and return them."""
    shutil.rmtree(PYTHONS, ignore_errors=True)
    PYTHONS.mkdir(parents=True)
    found = {version: path for version in WANTED if (path := python_for(version))}
    for version, path in found.items():
        (PYTHONS / f"python{version}").symlink_to(path)
    return found


def needs_python(version: str) -> Callable[[], str]:
    """Return a reason to skip when there is no such Python."""
    return lambda: "" if (PYTHONS / f"python{version}").exists() else f"no Python {version} on this machine"


def needs_lab() -> str:
    """Return why hosts cannot be booted here."""
    if os.geteuid() != 0:
        return "not root: lab hosts need mounts and network namespaces"
    missing = [tool for tool in ("systemd-nspawn", "debootstrap", "ip") if not shutil.which(tool)]
    if missing and not shutil.which("apt-get"):
        return f"missing {', '.join(missing)}, and no apt-get to install them"
    return ""


SANITY = (
    ("{bin}/python", "{root}/tools/prime_ansible_test.py"),
    ("{bin}/ansible-test", "sanity", "--local", "--color", "no"),
)
VENV = ("{venv}/bin/uv", "venv", "-q", "--allow-existing", "--seed", "-p")
INSTALL = ("{venv}/bin/uv", "pip", "install", "-q", "--no-build", "-p", "{bin}/python", "-r")
# The last lines of a log, which the driver shows, name what failed, and what took longest.
PYTEST = ("{bin}/python", "-m", "pytest", "-q", "-rfEs", "--durations=20", "--durations-min=2")
PARALLEL = ("-n", "2", "--dist", "loadfile")
# The folders of tests/integration, in two stages.
UNDER_LOAD = tuple(f"tests/integration/{name}" for name in ("failover", "maintenance", "replication", "sqlite"))
INTEGRATION = tuple(
    sorted(
        {f"tests/integration/{test.parent.name}" for test in ROOT.glob("tests/integration/*/test_*.py")} - {*UNDER_LOAD}
    )
)
SHORT_FAULTS = ("-n", "2", "--kind", "planned", "--controls", "lease_wait_zero")

# In the order in which they begin, two at a time: what others wait for and what takes longest first, so that both
# processors have work until the end; what is done in seconds fills the gaps.
STAGES = [
    Stage("ruff check", "lint", (("{bin}/ruff", "check", "."),)),
    Stage("ruff format", "lint", (("{bin}/ruff", "format", "--check", "."),)),
    Stage(
        "newest core",
        "environment",
        (
            (*VENV, "{pythons}/python" + NEWEST, "{newest}"),
            (*INSTALL, "requirements-dev.txt"),
            ("{bin}/ansible", "--version"),
        ),
        reason=needs_python(NEWEST),
        venv="newest",
    ),
    Stage("integration", "integration", ((*PYTEST, *PARALLEL, *INTEGRATION),), limit=1800),
    Stage("sanity", "sanity", SANITY, tree=True),
    Stage("units", "units", ((*PYTEST, *PARALLEL, "tests/unit"),), limit=900),
    Stage(
        "sanity newest core",
        "sanity",
        SANITY,
        needs=("newest core",),
        after=("sanity",),  # both keep their environments in ~/.ansible/test
        tree=True,
        venv="newest",
    ),
    Stage(
        "units newest core",
        "units",
        ((*PYTEST, *PARALLEL, "tests/unit"),),
        needs=("newest core",),
        venv="newest",
        limit=900,
    ),
    Stage(
        "units oldest target",
        "units",
        (
            ("{venv}/bin/uv", "venv", "-q", "--allow-existing", "-p", "{pythons}/python" + OLDEST, "{oldest}"),
            (*INSTALL, "tests/unit/requirements.txt"),
            # Of Ansible a target has module_utils and nothing else: tests/conftest.py leaves out what needs more.
            ("mkdir", "-p", "{scratch}/ansible"),
            ("touch", "{scratch}/ansible/__init__.py"),
            ("ln", "-s", "{ansible}/module_utils", "{scratch}/ansible/module_utils"),
            (*PYTEST, *PARALLEL, "tests/unit"),
        ),
        reason=needs_python(OLDEST),
        env={"PYTHONPATH": "{scratch}"},
        venv="oldest",
        limit=900,
    ),
    Stage("fault harness", "units", ((*PYTEST, "tests/faults"),)),
    Stage(
        "molecule",
        "lab",
        (("{bin}/molecule", "--base-config", "molecule/config.yml", "test", "--all", "--report"),),
        reason=needs_lab,
        limit=1200,
    ),
    # Once: that it is green a second time, in the same directory, is proved by tests/integration/demo.
    Stage(
        "demo",
        "demo",
        (
            ("make", "VENV={venv}", "demo"),
            ("test", "-s", ".demo/reports/latest.json"),
            ("test", "-s", ".demo/reports/latest.html"),
        ),
        last=("make", "VENV={venv}", "demo-down"),
        tree=True,
    ),
    Stage("ansible-lint", "lint", (("{bin}/ansible-lint", "--offline", "--strict", "--profile", "production"),)),
    Stage("package", "package", ((*PYTEST, "tests/package"),)),
    Stage("mypy", "lint", (("{bin}/mypy", "-p", PACKAGE), ("{bin}/mypy", "tools"))),
    Stage("docs", "docs", (("tools/docs.sh", "{scratch}/docs"),), env={"VENV": "{venv}"}),
    Stage(
        "collection docs",
        "lint",
        (("{bin}/antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", "."),),
    ),
    Stage("yamllint", "lint", (("{bin}/yamllint", "--strict", "."),)),
    Stage("changelog", "lint", (("{bin}/antsibull-changelog", "lint"),)),
    # Stalls of writers are measured, and processes killed at moments that depend on how long things take.
    Stage("integration load", "integration", ((*PYTEST, *PARALLEL, *UNDER_LOAD),), alone=True, limit=900),
    # Each file has a lab of its own.
    Stage("lab", "lab", ((*PYTEST, *PARALLEL, "tests/lab"),), reason=needs_lab, alone=True, limit=1800),
    # The short form of `make faults N=100`: that one takes most of an hour.
    Stage(
        "faults", "lab", (("{bin}/python", "tests/faults/campaign.py", *SHORT_FAULTS),), reason=needs_lab, alone=True
    ),
]


def copy_tree(where: Path) -> Path:
    """Copy what git knows or would add below where/ansible_collections/NAMESPACE/NAME and return that folder."""
    dest = where / "ansible_collections" / "bilingual_tutor" / "ops"
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT)
    for name in filter(None, listed.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (dest / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, dest / name)
    return dest


def environment(stage: Stage, values: dict[str, str], log: Path) -> dict[str, str]:
    """Return the environment of a stage."""
    dropped = ("ANSIBLE_", "MAKE", "MFLAGS", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    env.update(
        PATH=os.pathsep.join([str(VENVS[stage.venv] / "bin"), str(PYTHONS), env.get("PATH", "")]),
        VIRTUAL_ENV=str(VENVS[stage.venv]),
        # Every process below, also one inside pytest or molecule, tells here what it displayed.
        ANSIBLE_LOG_PATH=str(log.with_suffix(".ansible")),
        ANSIBLE_INJECT_FACT_VARS="false",
        ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".tree"),
        LC_ALL="C.UTF-8",
        MYPYPATH=str(ROOT / ".tree"),
        UV_SYSTEM_CERTS="true",
    )
    env.update({name: value.format(**values) for name, value in stage.env.items()})
    return env


def judge(stage: Stage, code: int, log: Path) -> tuple[str, str]:
    """Return the outcome of a stage that ran, and a remark: the last line in which a tool counts, or what was wrong."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("$ "))
    shown = log.with_suffix(".ansible")
    ansible = shown.read_text(encoding="utf-8", errors="replace") if shown.exists() else ""
    if code:
        return "failed", f"exit {code}" if code > 0 else f"signal {-code}"
    if DEPRECATED in text + ansible:
        line = next(line for line in f"{text}\n{ansible}".splitlines() if DEPRECATED in line)
        return "failed", line[line.index(DEPRECATED) :][:160]
    if NOTHING_TESTED in text:
        return "failed", "ansible-test skipped every target"
    counted = re.findall(r"^(?:=* )?(\d+ passed[^\n=]*?)(?: in [\d.:]+s?.*)?(?: =*)?$", text, re.MULTILINE)
    # A line of pytest -rs: SKIPPED [2] tests/unit/test_x.py:7: the reason
    reasons = dict.fromkeys(re.findall(r"^SKIPPED \[\d+\] \S+: (.+)$", text, re.MULTILINE))
    told = f" ({'; '.join(reasons)})" if reasons else ""
    return "passed", (counted[-1].strip() if counted else "") + told


class Commands:
    """The commands that run now. An interrupt reaches each of them, so that they clean up what they made."""

    def __init__(self) -> None:
        # A second interrupt may come while the first is passed on, in the same thread.
        self.lock = threading.RLock()
        self.running: set[subprocess.Popen[bytes]] = set()
        self.interrupted = False

    def interrupt(self) -> None:
        """Pass an interrupt on; from now on only what cleans up is started."""
        with self.lock:
            self.interrupted = True
            for child in self.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGINT)

    def start(
        self, words: list[str], where: Path, env: dict[str, str], out: IO[str], last: bool
    ) -> subprocess.Popen[bytes] | None:
        """Start a command in a session of its own; the lock keeps an interrupt from missing one that just starts."""
        with self.lock:
            if self.interrupted and not last:
                return None
            child = subprocess.Popen(
                words,
                cwd=where,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.running.add(child)
        return child

    def execute(
        self, words: list[str], where: Path, env: dict[str, str], out: IO[str], limit: float, last: bool = False
    ) -> int:
        """Run one command until it ends, or for so many seconds; return its exit status.

        124 stands for one that was stopped, 130 for one that was not started after an interrupt.
        """
        out.write(f"$ {' '.join(words)}\n")
        out.flush()
        child = self.start(words, where, env, out, last)
        if child is None:
            return 130
        try:
            return child.wait(max(1.0, limit))
        except subprocess.TimeoutExpired:
            out.write("\nstopped: the time of this stage is up\n")
            out.flush()
        finally:
            with self.lock:
                self.running.discard(child)
        # Interrupted, pytest still tells what failed until then and takes down the hosts it booted.
        for number in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(child.pid, number)
                child.wait(30)
        return 124


def run(stage: Stage, commands: Commands) -> Result:
    """Run one stage to its end or its limit; nothing of it is left running."""
    log = LOGS / f"{stage.name.replace(' ', '-')}.log"
    for old in (log, log.with_suffix(".ansible")):
        old.unlink(missing_ok=True)
    if why := stage.reason():
        return Result(stage, "skipped", why)
    # Not below the checkout: git ignores .cache, and ansible-test skips what git ignores.
    scratch = Path(os.environ.get("TMPDIR", "/tmp")) / f"ops-checks-{os.getpid()}" / stage.name.replace(" ", "-")
    scratch.mkdir(parents=True)
    start = time.monotonic()
    where = copy_tree(scratch) if stage.tree else ROOT
    values = {name: str(path) for name, path in VENVS.items()}
    values.update(root=str(ROOT), bin=str(VENVS[stage.venv] / "bin"), scratch=str(scratch), pythons=str(PYTHONS))
    values["ansible"] = str(next(VENVS["venv"].glob("lib/python3*/site-packages/ansible")))
    env = environment(stage, values, log)
    code = 0
    with log.open("w", encoding="utf-8") as out:
        for command in stage.commands:
            words = [word.format(**values) for word in command]
            code = commands.execute(words, where, env, out, stage.limit - (time.monotonic() - start))
            if code:
                break
        if stage.last:
            words = [word.format(**values) for word in stage.last]
            code = commands.execute(words, where, env, out, 60.0, last=True) or code
    outcome, remark = judge(stage, code, log)
    shutil.rmtree(scratch, ignore_errors=True)
    return Result(stage, outcome, remark, time.monotonic() - start)


class Scheduler:
    """Runs stages in the order of the list, as many at a time as there are workers, each after those it waits for."""

    def __init__(self, stages: Iterable[Stage], workers: int) -> None:
        self.waiting = list(stages)
        self.names = {stage.name for stage in self.waiting}
        self.workers = workers
        self.results: list[Result] = []
        self.running: list[Stage] = []
        self.changed = threading.Condition()
        self.commands = Commands()

    def ready(self) -> Stage | None:
        """Return the next stage that may start now; those alone come last, each by itself."""
        done = {result.stage.name for result in self.results}
        if any(stage.alone for stage in self.running):
            return None
        shared = [stage for stage in self.waiting if not stage.alone]
        for stage in shared or ([] if self.running else self.waiting):
            if not ({*stage.needs, *stage.after} & self.names) - done:
                return stage
        return None

    def broken(self, stage: Stage) -> str:
        """Return why a stage cannot run after what happened to those it needs."""
        for result in self.results:
            if result.stage.name in stage.needs and result.outcome != "passed":
                return result.remark if result.outcome == "skipped" else f"{result.stage.name} failed"
        return ""

    def work(self) -> None:
        """Take stages until none is left."""
        while True:
            with self.changed:
                while (stage := self.ready()) is None:
                    if not self.waiting:
                        return
                    self.changed.wait()
                self.waiting.remove(stage)
                self.running.append(stage)
                broken = self.broken(stage)
            try:
                result = Result(stage, "skipped", broken) if broken else run(stage, self.commands)
            except Exception as exc:  # noqa: BLE001 - whatever broke the driver is that stage's failure, not a hang
                result = Result(stage, "failed", f"{type(exc).__name__}: {exc}")
            with self.changed:
                self.running.remove(stage)
                self.results.append(result)
                report(result)
                self.changed.notify_all()

    def interrupt(self, *_signal: object) -> None:
        """Begin nothing more, and end what runs."""
        with self.changed:
            self.waiting.clear()
            self.changed.notify_all()
        self.commands.interrupt()

    def all(self) -> list[Result]:
        """Run everything and return the results in the order of the list. To be called in the main thread."""
        order = {stage.name: place for place, stage in enumerate(self.waiting)}
        threads = [threading.Thread(target=self.work) for _turn in range(self.workers)]
        # No exception: one that comes while a thread is waited for makes Python before 3.13 take that thread for ended.
        # Also where a shell started us in the background and had SIGINT ignored: what we start inherits that.
        before = {number: signal.signal(number, self.interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for thread in threads:
                thread.start()
            # Awake now and then: a signal that comes just before the wait begins does not end it.
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self.results += [Result(stage, "failed", "never ran") for stage in self.waiting]
        return sorted(self.results, key=lambda result: order[result.stage.name])


def report(result: Result) -> None:
    """Say that a stage ended."""
    print(f"{result.outcome:8}{result.seconds:7.1f} s  {result.stage.name}  {result.remark}", flush=True)


def show_log(stage: Stage) -> None:
    """Print the end of a stage's log, and where all of it is."""
    log = LOGS / f"{stage.name.replace(' ', '-')}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    print(f"\n{stage.name}:")
    for line in lines[-TAIL:]:
        print(f"    | {line}")
    print(f"    full log: {os.path.relpath(log, ROOT)}")


def table(results: list[Result]) -> None:
    """Print what every stage came to; what failed comes last, with its log: often only the end of an output is kept."""
    width = max((len(result.stage.name) for result in results), default=0)
    failed = [result for result in results if result.outcome == "failed"]
    print()
    for result in [*(result for result in results if result not in failed), *failed]:
        print(f"{result.stage.name:{width}}  {result.outcome:7}  {result.seconds:7.1f} s  {result.remark}".rstrip())
    for result in failed:
        show_log(result.stage)
    count = {
        outcome: sum(result.outcome == outcome for result in results) for outcome in ("passed", "failed", "skipped")
    }
    print(f"\n{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped", flush=True)


def select(words: list[str]) -> list[Stage]:
    """Return the stages that are meant by names of stages or groups, with those they need; of no word, all."""
    known = {stage.name for stage in STAGES} | {stage.group for stage in STAGES}
    if unknown := [word for word in words if word not in known]:
        raise SystemExit(f"no stage or group {', '.join(unknown)}: expected of {', '.join(sorted(known))}")
    wanted = {stage.name for stage in STAGES if not words or stage.name in words or stage.group in words}
    wanted |= {needed for stage in STAGES if stage.name in wanted for needed in stage.needs}
    return [stage for stage in STAGES if stage.name in wanted]


def main() -> int:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(description="Run the project's checks.")
    parser.add_argument("what", nargs="*", help="stages or groups; default: everything")
    parser.add_argument("--list", action="store_true", help="list the stages and their groups")
    parser.add_argument("--workers", type=int, default=2, help="stages at a time (2)")
    options = parser.parse_args()
    stages = select(options.what)
    if options.list:
        for stage in stages:
            print(f"{stage.group:12} {stage.name}")
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    link_pythons()
    scheduler = Scheduler(stages, options.workers)
    results = scheduler.all()
    table(results)
    return 1 if scheduler.commands.interrupted or any(result.outcome == "failed" for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
